//! Debian's tinyproxy between the program and a token endpoint, and curl's choice of a proxy beside the program's.

#![allow(
    clippy::too_many_lines,
    reason = "a table of cases belongs to its test"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;

use crate::support::node::TOKEN_PATH;
use crate::support::peers::{PASSWORD, make_private};
use crate::support::pki::Pki;
use crate::support::ports::ClosedPort;
use crate::support::scanner::TOKEN;
use crate::support::tinyproxy::Tinyproxy;
use crate::support::token_endpoint::{self as endpoint, Request, TokenEndpoint};
use crate::support::{Output, Workplace};

/// Every variable that chooses a proxy.
const VARIABLES: [&str; 8] = [
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "http_proxy",
    "HTTP_PROXY",
    "no_proxy",
    "NO_PROXY",
];

/// A token endpoint with TLS at this host, and a job that gets tokens there. The relay does not listen.
struct Job {
    workplace: Workplace,
    endpoint: TokenEndpoint,
    target: String,
    _closed: ClosedPort,
}

impl Job {
    fn at(host: &str) -> Self {
        let pki = Pki::new();
        let tls = pki.server(host.trim_matches(['[', ']']));
        let address: IpAddr = match host {
            "[::1]" => Ipv6Addr::LOCALHOST.into(),
            _ => Ipv4Addr::LOCALHOST.into(),
        };
        let script = |_: &Request| endpoint::token(TOKEN, 3600);
        let endpoint = TokenEndpoint::start_at(address, Some(tls), script);
        let closed = ClosedPort::reserve();
        let url = endpoint.url().replace("127.0.0.1", host);
        let mut workplace = Workplace::new(closed.port());
        workplace.write("ca.pem", &pki.ca_pem);
        workplace.write("secret", PASSWORD);
        make_private(&workplace.file("secret"));
        workplace.smtp = format!(
            "host = \"localhost\"\nport = {}\nusername = \"ada\"",
            closed.port()
        );
        workplace.extra = format!(
            "[smtp.oauth]\ntoken_url = \"{url}{TOKEN_PATH}\"\nclient_id = \"invite\"\nclient_secret_file = \"secret\"\nca_file = \"ca.pem\"\n"
        );
        workplace.configure();
        workplace.partners(&["ada@a.example"]);
        Self {
            workplace,
            endpoint,
            target: url.strip_prefix("https://").unwrap().to_owned(),
            _closed: closed,
        }
    }

    /// Gets a token with these variables.
    fn run(&self, variables: &[(&str, &str)]) -> Output {
        self.workplace.run_with(&["check", "--connect"], |command| {
            for name in VARIABLES {
                command.env_remove(name);
            }
            command.envs(variables.iter().copied());
        })
    }
}

#[test]
#[ignore = "needs tinyproxy; .ci/run calls it"]
fn a_token_is_requested_through_tinyproxy_with_and_without_a_login() {
    let received = "access token received from";
    let port = |proxy: &Tinyproxy| format!("127.0.0.1:{}", proxy.port());

    // Without a login.
    let (job, proxy) = (
        Job::at("localhost"),
        Tinyproxy::start(None, "127.0.0.1 localhost\n"),
    );
    let output = job.run(&[("HTTPS_PROXY", &port(&proxy))]);
    assert!(output.stdout.contains(received), "{output:?}");
    assert_eq!(
        (proxy.connects(&job.target), job.endpoint.requests().len()),
        (1, 1)
    );

    // A target that the proxy refuses.
    let blocked = Job::at("blocked.example");
    let output = blocked.run(&[("HTTPS_PROXY", &port(&proxy))]);
    assert_eq!(output.code, 78, "{output:?}");
    let words = "does not allow connections to blocked.example";
    assert!(output.stderr.contains(words), "{output:?}");
    assert_eq!(blocked.endpoint.requests().len(), 0);

    // With a login: the right one, none, a wrong one.
    let login = Some(("ada", PASSWORD));
    let proxy = Tinyproxy::start(login, "127.0.0.1 localhost\n");
    let with = |word: &str| format!("http://ada:{word}@{}", port(&proxy));
    let output = job.run(&[("HTTPS_PROXY", &with(PASSWORD))]);
    assert!(output.stdout.contains(received), "{output:?}");
    assert_eq!(job.endpoint.requests().len(), 2);
    assert_eq!(
        job.endpoint.requests()[1].header("proxy-authorization"),
        None
    );
    for proxy in [port(&proxy), with("wrong")] {
        let output = job.run(&[("HTTPS_PROXY", &proxy)]);
        assert_eq!(output.code, 78, "{output:?}");
        assert!(output.stderr.contains("requires a login"), "{output:?}");
    }
}

#[test]
#[ignore = "needs tinyproxy and curl; .ci/run calls it"]
fn a_proxy_is_chosen_as_curl_chooses_it() {
    let hosts = "127.0.0.1 localhost login.example sub.login.example\n::1 localhost\n";
    let proxy = Tinyproxy::start(None, hosts);
    let shell = proxy.shell();
    let another = Tinyproxy::start(None, hosts);
    let [used, other] = [&proxy, &another].map(|it| format!("http://127.0.0.1:{}", it.port()));
    let (used, other) = (used.as_str(), other.as_str());
    let jobs = ["login.example", "sub.login.example", "127.0.0.1", "[::1]"].map(Job::at);
    let [login, below, ipv4, ipv6] = &jobs;
    let with_port = login.target.as_str();
    let exempt = |list| vec![("HTTPS_PROXY", used), ("NO_PROXY", list)];
    let mut table = vec![
        (login, vec![]),
        (login, vec![("HTTPS_PROXY", used)]),
        (login, vec![("HTTPS_PROXY", "")]),
        (login, vec![("https_proxy", used), ("HTTPS_PROXY", other)]),
        (login, vec![("https_proxy", other), ("HTTPS_PROXY", used)]),
        (login, vec![("ALL_PROXY", used)]),
        (login, vec![("all_proxy", used), ("ALL_PROXY", other)]),
        (login, vec![("all_proxy", other), ("HTTPS_PROXY", used)]),
        (login, vec![("HTTPS_PROXY", ""), ("ALL_PROXY", used)]),
        (login, vec![("http_proxy", used), ("HTTP_PROXY", used)]),
        (
            login,
            vec![
                ("HTTPS_PROXY", used),
                ("no_proxy", "login.example"),
                ("NO_PROXY", "x"),
            ],
        ),
        (
            login,
            vec![
                ("HTTPS_PROXY", used),
                ("no_proxy", "x"),
                ("NO_PROXY", "login.example"),
            ],
        ),
        (
            login,
            vec![
                ("HTTPS_PROXY", used),
                ("no_proxy", ""),
                ("NO_PROXY", "login.example"),
            ],
        ),
    ];
    for list in [
        "",
        "*",
        " * ",
        "x,*",
        "*.example",
        "login.example",
        "LOGIN.Example",
        "example",
        ".example",
        ".login.example",
        "login.example.",
        "gin.example",
        "x.login.example",
        with_port,
        "a.example, login.example",
        "a.example login.example",
        "a.example,login.example ,b",
        "a.example;login.example",
    ] {
        table.push((login, exempt(list)));
    }
    for list in [
        "login.example",
        ".login.example",
        "sub.login.example",
        "ub.login.example",
        "example",
    ] {
        table.push((below, exempt(list)));
    }
    for list in [
        "127.0.0.1",
        "127.0.0.1/32",
        "127.0.0.0/8",
        "126.0.0.0/8",
        "127.0.0.0/33",
        "0.0.1",
        "localhost",
        "127.0.0.2",
    ] {
        table.push((ipv4, exempt(list)));
    }
    // Not `[::1]`, `::1/128` and `::/0`: curl 7.88 compares IPv6 addresses as text, unlike curl(1) says.
    for list in ["::1", "::2/127", "127.0.0.1"] {
        table.push((ipv6, exempt(list)));
    }

    let mut differences = Vec::new();
    for (job, variables) in table {
        let connects = |request: &dyn Fn()| {
            let before = proxy.connects(&job.target);
            request();
            proxy.connects(&job.target) - before
        };
        let by_curl = connects(&|| run_curl(&shell, job, &variables));
        let by_us = connects(&|| get_token(&shell, job, &variables));
        if by_us != by_curl {
            differences.push(format!(
                "{} {variables:?}: curl {by_curl}, we {by_us}",
                job.target
            ));
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

/// Makes a request with curl, in the shell with the hosts of the proxy.
fn run_curl(shell: &[String], job: &Job, variables: &[(&str, &str)]) {
    let mut curl = Command::new(&shell[0]);
    curl.args(&shell[1..]);
    curl.args([
        "curl",
        "-s",
        "-k",
        "--max-time",
        "5",
        "-o",
        "/dev/null",
        "-d",
        "",
    ]);
    curl.arg(format!("https://{}{TOKEN_PATH}", job.target));
    for name in VARIABLES {
        curl.env_remove(name);
    }
    curl.envs(variables.iter().copied());
    let requests = job.endpoint.requests().len();
    assert!(curl.status().is_ok_and(|it| it.success()), "{variables:?}");
    assert_eq!(job.endpoint.requests().len(), requests + 1, "{variables:?}");
}

/// The same with the program.
fn get_token(shell: &[String], job: &Job, variables: &[(&str, &str)]) {
    let unset = VARIABLES.map(|it| format!("--unset={it}"));
    let set = variables
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let program: Vec<_> = (shell.iter().cloned())
        .chain(["env".to_owned()])
        .chain(unset)
        .chain(set)
        .collect();
    let program: Vec<_> = program.iter().map(String::as_str).collect();
    let requests = job.endpoint.requests().len();
    let output = job.workplace.run_under(&program, &["check", "--connect"]);
    assert_eq!(
        job.endpoint.requests().len(),
        requests + 1,
        "{variables:?}: {output:?}"
    );
}

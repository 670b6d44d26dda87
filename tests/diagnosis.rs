//! `check --connect`: the steps of the connection, and all of it for each provider on a terminal.

#![allow(
    clippy::too_many_lines,
    reason = "a table or a story stays in one place"
)]

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;

use crate::sender_domain::in_order;
use crate::support::Workplace;
use crate::support::dns::{Dns, Trouble, Zone};
use crate::support::pki::Pki;
use crate::support::ports::ClosedPort;
use crate::support::scanner::PASSWORD;
use crate::support::sheet::normalized;
use crate::support::smtp::{Action, Call, Login, Server, Setup, Stage, Tls};
use crate::support::terminal::Terminal;
use crate::support::token_endpoint::{self, TokenEndpoint};
use access_invite::config::{self, Config, Provider};
use access_invite::relay::{Connector, Step};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

#[test]
fn a_size_limit_below_the_largest_message_is_an_error() {
    let setup = Setup {
        offers: vec!["SIZE 2000", "SMTPUTF8"],
        ..Setup::default()
    };
    let relay = Server::set_up(setup, |_: &Call| Action::Normal);
    let mut workplace = Workplace::new(relay.port());
    workplace.limits = "per_minute = 10\nper_day = 15".into();
    workplace.configure();
    workplace.many_partners(20);

    let output = workplace.run(&["check", "--connect"]);

    assert_eq!(output.code, 69, "{output:?}");
    let error = "error: size: the largest message has 10 KB, but the relay accepts only 2 KB\n  fix: shorten";
    assert_eq!(output.stderr.matches(error).count(), 1, "{output:?}");
    for line in [
        "; the relay offers SIZE 2000, SMTPUTF8\n",
        "note: duration: 20 messages: at least 24 h over 2 connections; limits 10 a minute and 15 a day; one run cannot send them all, so later runs continue\n",
        "config.toml is not good: 1 error\n",
    ] {
        assert!(output.stdout.contains(line), "{line}: {output:?}");
    }
    assert_eq!(relay.count("MAIL"), 0);

    let json = workplace.run(&["check", "--connect", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let findings = json["findings"].as_array().unwrap();
    let size = findings.iter().find(|it| it["check"] == "size").unwrap();
    assert_eq!(
        (&json["ok"], &size["severity"]),
        (&false.into(), &"error".into())
    );
}

#[tokio::test]
async fn every_address_is_tried_as_far_as_the_greeting() {
    let closed = [ClosedPort::reserve(), ClosedPort::reserve()];
    let relays = [Server::accepting(), Server::accepting()];
    let refusing = Server::replying(Stage::Banner, "554 5.7.1 not you");
    let workplace = Workplace::new(relays[0].port());
    let config = Config::load(&workplace.file("config.toml")).unwrap();
    let ports = [
        closed[0].port(),
        relays[0].port(),
        closed[1].port(),
        relays[1].port(),
        refusing.port(),
    ];
    let addresses = ports.map(|it| (Ipv4Addr::LOCALHOST, it).into()).to_vec();
    let connector = Connector::new(&config.smtp, None).unwrap();
    let connector = connector.with_addresses(addresses);
    let mut steps = Vec::new();

    let offered = connector.diagnose(&mut |it| steps.push(it)).await.unwrap();

    assert!(offered.pipelining);
    let steps: Vec<_> = steps
        .iter()
        .map(|it| match it {
            Step::AddressFailed { address, error } => {
                assert!(!error.why.is_empty());
                format!("failed {}", address.port())
            }
            Step::Greeted { address, .. } => format!("greeted {}", address.port()),
            Step::Extensions { .. } => "extensions".to_owned(),
            other => format!("{other:?}"),
        })
        .collect();
    let [first, second, third, fourth, fifth] = ports;
    assert_eq!(
        steps,
        [
            format!("failed {first}"),
            format!("greeted {second}"),
            "extensions".to_owned(),
            format!("failed {third}"),
            format!("greeted {fourth}"),
            format!("failed {fifth}"),
        ]
    );
    assert_eq!((relays[0].count("EHLO"), relays[1].count("EHLO")), (1, 0));
    assert_eq!((relays[0].count("QUIT"), relays[1].count("QUIT")), (1, 1));
}

/// A script that runs the program where these names and this DNS server are known.
fn in_namespace(workplace: &Workplace, hosts: &str, dns: &Dns) -> [&'static str; 4] {
    workplace.write("hosts", hosts);
    let server = dns.address().ip();
    let options = "options timeout:2 attempts:1";
    workplace.write("resolv.conf", &format!("nameserver {server}\n{options}\n"));
    let mounted =
        "mount --bind hosts /etc/hosts && mount --bind resolv.conf /etc/resolv.conf && exec \"$@\"";
    workplace.write("mounted.sh", mounted);
    ["unshare", "--mount", "sh", "mounted.sh"]
}

#[test]
#[ignore = "needs root, for other mounts and port 53; .ci/run calls it"]
fn a_relay_that_dns_does_not_find_is_explained() {
    let zone = Zone::default()
        .txt("empty.contoso.com", "no address")
        .trouble("silent.contoso.com", Trouble::Ignore);
    let dns = Dns::start_at(zone, Ipv4Addr::new(127, 0, 53, 2));
    for (host, words) in [
        (
            "nobody.contoso.com",
            "no such name in DNS (failed to lookup",
        ),
        (
            "empty.contoso.com",
            "the name exists in DNS, but has no address (failed to lookup",
        ),
        (
            "silent.contoso.com",
            "the DNS server failed or did not answer (failed to lookup",
        ),
    ] {
        let mut workplace = Workplace::new(465);
        workplace.smtp = format!("host = \"{host}\"");
        workplace.configure();
        let program = in_namespace(&workplace, "127.0.0.1 localhost\n", &dns);

        let output = workplace.run_under(&program, &["check", "--connect"]);

        assert_eq!(output.code, 69, "{output:?}");
        let expected = format!("error: relay: cannot find the relay `{host}`: {words}");
        assert!(output.stderr.contains(&expected), "{output:?}");
    }
}

/// What a provider's relay offers, as far as its documents or public transcripts show it.
fn offers(provider: &str) -> (Vec<&'static str>, &'static str) {
    match provider {
        "microsoft365" | "microsoft365-gov" => (
            vec![
                "SIZE 157286400",
                "PIPELINING",
                "DSN",
                "ENHANCEDSTATUSCODES",
                "8BITMIME",
                "BINARYMIME",
                "CHUNKING",
                "SMTPUTF8",
            ],
            "LOGIN XOAUTH2",
        ),
        "google-workspace-relay" | "gmail" => (
            vec![
                "SIZE 35882577",
                "8BITMIME",
                "ENHANCEDSTATUSCODES",
                "PIPELINING",
                "CHUNKING",
                "SMTPUTF8",
            ],
            "LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH",
        ),
        _ => (
            vec!["PIPELINING", "8BITMIME", "SIZE 10485760"],
            "PLAIN LOGIN",
        ),
    }
}

/// A token as Microsoft Entra issues it, without a signature that anybody could use.
fn entra_token() -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = encode(r#"{"typ":"JWT","alg":"RS256"}"#);
    let claims = encode(
        r#"{"aud":"https://outlook.office365.com","appid":"11111111-2222-3333-4444-555555555555","roles":["SMTP.SendAsApp"],"exp":4000000000}"#,
    );
    format!("{header}.{claims}.{}", encode("signature"))
}

#[test]
#[ignore = "needs tmux, and root for other mounts and port 53; .ci/run calls it"]
fn check_connect_of_each_provider_on_a_terminal() {
    let dns = Dns::start_at(in_order(), Ipv4Addr::new(127, 0, 53, 1));
    let mut sheet = String::new();
    for name in Provider::names() {
        let pki = Pki::new();
        let issuer = TokenEndpoint::start(|_| token_endpoint::token(&entra_token(), 3_599));
        let mut workplace = Workplace::new(1);
        workplace.write("ca.pem", &pki.ca_pem);
        for file in ["password", "client-secret"] {
            workplace.write(file, PASSWORD);
            let private = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(workplace.file(file), private).unwrap();
        }
        let login = match name {
            "microsoft365" | "microsoft365-gov" => {
                let cloud = match name {
                    "microsoft365" => "global",
                    _ => "us-gov",
                };
                workplace.extra = format!(
                    "[microsoft]\ntenant = \"contoso.onmicrosoft.com\"\nclient_id = \"11111111-2222-3333-4444-555555555555\"\nclient_secret_file = \"client-secret\"\ncloud = \"{cloud}\"\nlogin_url = \"{}\"\n",
                    issuer.url()
                );
                "username = \"access@contoso.com\""
            }
            "postfix" => "",
            "amazon-ses" => {
                "region = \"eu-west-1\"\nusername = \"ada\"\npassword_file = \"password\""
            }
            _ => "username = \"ada\"\npassword_file = \"password\"",
        };
        workplace.limits = String::new();
        workplace.smtp = format!("provider = \"{name}\"\nca_file = \"ca.pem\"\n{login}");
        // The host and the TLS mode of the provider, for its double.
        let smtp = configure(&workplace);
        let (offers, mechanisms) = offers(name);
        let tls = match smtp.tls {
            config::Tls::Implicit => Some(Tls::Implicit),
            config::Tls::StartTls => Some(Tls::StartTls),
            config::Tls::None => None,
        };
        let by_token = format!(
            "user=access@contoso.com\x01auth=Bearer {}\x01\x01",
            entra_token()
        );
        let takes = match name {
            "microsoft365" | "microsoft365-gov" => STANDARD.encode(by_token),
            _ => STANDARD.encode(format!("\0ada\0{PASSWORD}")),
        };
        let setup = Setup {
            offers,
            tls: tls.map(|it| (it, pki.server(&smtp.host))),
            login: smtp.login.as_ref().map(|_| Login {
                mechanisms,
                takes,
                ..Login::default()
            }),
            ..Setup::default()
        };
        let relay = Server::set_up(setup, |_: &Call| Action::Normal);
        workplace.smtp = format!(
            "{}\nhello = \"mail.contoso.com\"\nport = {}",
            workplace.smtp,
            relay.port()
        );
        configure(&workplace);
        workplace.many_partners(180);
        let hosts = format!("127.0.0.1 localhost {}\n", smtp.host);
        let program = in_namespace(&workplace, &hosts, &dns).join(" ");
        let command = format!("{program} access-invite check --connect\n");
        workplace.write("diagnose.sh", &command);
        let terminal = Terminal::open(&workplace, 80, 60);

        let screen = terminal.run("sh diagnose.sh");

        let screen = normalized(&workplace, &screen);
        let (_, screen) = screen.split_once('\n').unwrap();
        let line = "~".repeat(80);
        writeln!(sheet, "{line}\n{name}\n\n{screen}\n").unwrap();
        assert!(
            screen.contains("ok: relay: ready to accept mail"),
            "{screen}"
        );
        assert!(!screen.contains("eyJ"), "a token is shown: {screen}");
        assert_eq!(relay.count("MAIL"), 0);
        assert!(relay.violations().is_empty(), "{:?}", relay.violations());
    }
    insta::assert_snapshot!(sheet);
}

/// Writes the configuration with a sender in public DNS; returns its relay.
fn configure(workplace: &Workplace) -> config::Smtp {
    workplace.configure();
    let path = workplace.file("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("contoso.example", "contoso.com");
    workplace.write("config.toml", &text);
    Config::load(&path).unwrap().smtp
}

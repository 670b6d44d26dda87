//! `--log-format`, `--quiet` and `-v`: what a run writes to stderr, and what it never writes there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use crate::support::graph::Graph;
use crate::support::pki::Pki;
use crate::support::scanner::{PASSWORD, TOKEN};
use crate::support::smtp::{Action, Call, Login, Server, Setup, Stage, Tls, Tokens, reply};
use crate::support::token_endpoint::{TokenEndpoint, token};
use crate::support::{Output, Workplace};

const JSON: [&str; 2] = ["--log-format", "json"];
const ADA: &str = "ada.lovelace@a.example";

/// The lines of stderr, each of which must be one object with time, level and message.
#[track_caller]
fn lines(output: &Output) -> Vec<Value> {
    let parse = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| {
            panic!("{error}: {line}\n{output:?}");
        });
        let text = |name: &str| {
            line[name]
                .as_str()
                .unwrap_or_else(|| panic!("{name}: {line}"))
                .to_owned()
        };
        assert!(text("time").parse::<jiff::Timestamp>().is_ok(), "{line}");
        assert!(
            ["debug", "note", "warning", "error"].contains(&text("level").as_str()),
            "{line}"
        );
        assert!(!text("message").is_empty(), "{line}");
        line
    };
    output.stderr.lines().map(parse).collect()
}

fn with_json(workplace: &Workplace, arguments: &[&str]) -> Output {
    workplace.run(&[&JSON, arguments].concat())
}

/// A relay that accepts Ada, rejects, defers, and loses the reply to a third and fourth, and names each in its reply.
fn relay() -> Server {
    Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(it)) if it.starts_with("bob") => {
            reply("550 5.1.1 <bob@b.example>: unknown user")
        }
        (Stage::Rcpt, Some(it)) if it.starts_with("cyd") => reply("450 4.2.0 later"),
        (Stage::Dot, Some(it)) if it.starts_with("dan") => Action::Close,
        (Stage::Dot, Some(it)) => reply(&format!("250 2.6.0 <{it}> queued")),
        _ => Action::Normal,
    })
}

fn job(server: &Server) -> Workplace {
    let workplace = Workplace::new(server.port());
    workplace.partners(&[ADA, "bob@b.example", "cyd@c.example", "dan@d.example"]);
    workplace
}

#[test]
fn every_line_on_stderr_is_an_object_whatever_ends_the_run() {
    let server = relay();
    let workplace = job(&server);
    workplace.write("bad.csv", "email,locale\nnobody,en\nx@y.example,jp\n");
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write("bad.toml", &config.replace("partners.csv", "bad.csv"));
    workplace.write(
        "wrong.toml",
        &config.replace("[limits]", "[limits]\nper_minit = 3"),
    );
    for (arguments, code, level) in [
        (&["send"][..], 3, "error"),
        (&["--verbose", "send"], 3, "debug"),
        (&["send", "--limit", "x"], 2, "error"),
        (&["nonsense"], 2, "error"),
        (
            &[
                "resolve",
                "nobody@x.example",
                "--as",
                "abandoned",
                "--note",
                "x",
            ],
            65,
            "error",
        ),
        (&["-c", "missing.toml", "send"], 78, "error"),
        (&["-c", "wrong.toml", "send"], 78, "error"),
        (&["-c", "bad.toml", "send"], 65, "error"),
        (&["-v", "-c", "bad.toml", "check"], 65, "error"),
        (&["check", "--format", "json"], 0, "note"),
        (&["preview"], 0, "warning"),
    ] {
        let output = with_json(&workplace, arguments);
        assert_eq!(output.code, code, "{arguments:?}: {output:?}");
        let lines = lines(&output);
        if arguments != ["preview"] {
            assert!(
                lines.iter().any(|it| it["level"] == level),
                "{arguments:?}: {lines:?}"
            );
        }
        if code >= 65 && !arguments.contains(&"check") {
            let last = lines.last().unwrap();
            assert_eq!(last["exit_code"], code, "{last}");
            assert!(
                !last["message"].as_str().unwrap().starts_with("error"),
                "{last}"
            );
        }
    }
    // The format is also found behind the verb, and with `=`.
    let output = workplace.run(&["send", "--log-format=json", "--nonsense"]);
    assert_eq!(lines(&output).len(), 1);
    assert_eq!(lines(&output)[0]["exit_code"], 2);
}

#[test]
fn findings_have_their_fields() {
    let workplace = Workplace::new(1);
    workplace.write(
        "partners.csv",
        "email,name\nada@a.example,#N/A\nbob@b.example,Bob\n",
    );

    let output = with_json(&workplace, &["send"]);
    let warned = with_json(&workplace, &["check"]);

    assert_eq!(output.code, 69, "{output:?}");
    let found = lines(&warned);
    let warning = found.iter().find(|it| it["level"] == "warning").unwrap();
    assert!(warning["check"].is_string(), "{warning}");
    assert!(
        !warning["message"].as_str().unwrap().contains("warning:"),
        "{warning}"
    );
}

#[test]
fn json_and_diagnostic_lines_mask_partners_unless_the_configuration_names_them() {
    let server = relay();
    let mut workplace = job(&server);
    let names = |output: &Output| {
        let all = [ADA, "bob@b.example", "cyd@c.example", "dan@d.example"];
        all.map(|it| output.stderr.contains(it))
    };

    let json = with_json(&workplace, &["-v", "send"]);
    assert_eq!(json.code, 3, "{json:?}");
    assert_eq!(names(&json), [false; 4], "{json:?}");
    for part in [
        "a…@a.example",
        "b…@b.example",
        "c…@c.example",
        "d…@d.example",
    ] {
        assert!(json.stderr.contains(part), "{part}: {json:?}");
    }
    // The Message-ID, by which a person finds the invitation, stays.
    let status = workplace.status();
    let dan = status["invitations"].as_array().unwrap().iter();
    let dan = dan.clone().find(|it| it["state"] == "unknown").unwrap();
    let id = dan["message_id"].as_str().unwrap().trim_matches(['<', '>']);
    assert!(json.stderr.contains(id), "{id}: {json:?}");

    workplace.extra = "[log]\nrecipients = true".into();
    workplace.configure();
    workplace.partners(&["eve@e.example"]);
    let allowed = with_json(&workplace, &["-v", "send"]);
    assert!(allowed.stderr.contains("eve@e.example"), "{allowed:?}");
}

#[test]
fn diagnostic_lines_of_text_mask_partners_and_messages_stay_as_they_are() {
    let server = relay();
    let [plain, verbose] = [(); 2].map(|()| {
        let workplace = Workplace::new(server.port());
        workplace.partners(&[ADA, "bob@b.example", "cyd@c.example"]);
        workplace
    });

    let messages = plain.run(&["send"]).stderr;
    let output = verbose.run(&["-v", "send"]);

    let is_diagnostic = |it: &&str| it.as_bytes()[0].is_ascii_digit() && it.as_bytes()[2] == b':';
    let (diagnostic, others): (Vec<&str>, Vec<&str>) =
        output.stderr.lines().partition(is_diagnostic);
    assert!(messages.contains("rejected: bob@b.example"), "{messages}");
    assert_eq!(others.join("\n") + "\n", messages);
    assert!(diagnostic.len() > 8, "{diagnostic:?}");
    let diagnostic = diagnostic.concat();
    assert!(diagnostic.contains("<a…@a.example> queued"), "{diagnostic}");
    for name in [ADA, "bob@", "cyd@"] {
        assert!(!diagnostic.contains(name), "{name}: {diagnostic}");
    }
}

#[test]
fn quiet_prints_errors_and_what_waits_for_a_decision_only() {
    let server = Server::replying(Stage::Rcpt, "450 4.2.0 later");
    let workplace = Workplace::new(server.port());
    workplace.partners(&[ADA]);
    let deferred = workplace.run(&["--quiet", "send"]);
    assert_eq!((deferred.code, deferred.stderr.as_str()), (75, ""));

    let server = relay();
    let workplace = job(&server);
    let output = workplace.run(&["send", "--quiet"]);
    assert_eq!(output.code, 3, "{output:?}");
    for part in [
        "rejected: bob@b.example",
        "unknown: dan@d.example",
        "resolve",
    ] {
        assert!(output.stderr.contains(part), "{part}: {output:?}");
    }
    for part in ["4 messages", "deferred"] {
        assert!(!output.stderr.contains(part), "{part}: {output:?}");
    }
    let both = workplace.run(&["--quiet", "-v", "send"]);
    assert_eq!(both.code, 2, "{both:?}");
}

/// The lines of a verbose run with this job as text and as JSON; the scanner of the tests fails if one of them has a
/// part of the password or of a token, in any of their forms.
#[track_caller]
fn told(workplace: &Workplace, expected: &[&str]) {
    for (nth, format) in ["text", "json"].into_iter().enumerate() {
        workplace.partners(&[&format!("p{nth}@a.example")]);
        let output = workplace.run(&["-v", "--log-format", format, "send"]);
        assert_eq!(output.code, 0, "{output:?}");
        for part in expected {
            assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
        }
        for secret in [PASSWORD, TOKEN] {
            for form in [
                secret.to_owned(),
                BASE64.encode(secret),
                BASE64.encode(format!("\0ada\0{secret}")),
            ] {
                assert!(!output.stderr.contains(&form), "{form}: {}", output.stderr);
            }
        }
    }
}

#[test]
fn a_verbose_login_with_a_password_shows_its_steps_and_no_secret() {
    let pki = Pki::new();
    let setup = Setup {
        tls: Some((Tls::Implicit, pki.server("localhost"))),
        login: Some(Login {
            mechanisms: "PLAIN",
            takes: BASE64.encode(format!("\0ada\0{PASSWORD}")),
            ..Login::default()
        }),
        ..Setup::default()
    };
    let server = Server::set_up(setup, |_: &Call| Action::Normal);
    let mut workplace = Workplace::new(1);
    workplace.log_in(server.port(), &pki.ca_pem, "");

    told(
        &workplace,
        &[
            "configuration read",
            "secret read",
            "list opened",
            "TLS established",
            "logged in",
            "PLAIN",
            "outcome recorded",
            "run ends",
        ],
    );
}

#[test]
fn a_verbose_login_with_a_token_shows_its_steps_and_neither_token_nor_client_secret() {
    let pki = Pki::new();
    let tokens = Tokens::default();
    tokens.issue(TOKEN, std::time::Duration::from_mins(10));
    let setup = Setup {
        tls: Some((Tls::Implicit, pki.server("localhost"))),
        login: Some(Login {
            mechanisms: "XOAUTH2",
            tokens,
            ..Login::default()
        }),
        ..Setup::default()
    };
    let server = Server::set_up(setup, |_: &Call| Action::Normal);
    let issuer = TokenEndpoint::start(|_| token(TOKEN, 3600));
    let mut workplace = Workplace::new(1);
    workplace.log_in(server.port(), &pki.ca_pem, "");
    workplace.smtp = workplace.smtp.replace("password_file = \"password\"\n", "");
    workplace.smtp(&format!(
        "[smtp.oauth]\ntoken_url = \"{}/token\"\nclient_id = \"app\"\nclient_secret_file = \"password\"\nscope = \"smtp\"",
        issuer.url()
    ));

    told(&workplace, &["access token received", "XOAUTH2"]);
}

#[test]
fn a_verbose_send_shows_the_requests_to_microsoft_graph() {
    let graph = Graph::start();
    let server = Server::accepting();
    let mut workplace = Workplace::new(server.port());
    graph.configure(&mut workplace, Some(""));
    workplace.partners(&[ADA]);

    let output = with_json(&workplace, &["-v", "send"]);

    let all = lines(&output);
    let requests = all
        .iter()
        .filter(|it| it["message"] == "requested from Microsoft Graph");
    let requests: Vec<_> = requests.collect();
    assert!(requests.len() >= 2, "{output:?}");
    for request in requests {
        assert!(
            request["path"].as_str().unwrap().starts_with("/v1.0/"),
            "{request}"
        );
        assert!(
            request["status"].is_number() && request["ms"].is_number(),
            "{request}"
        );
    }
    assert!(!output.stderr.contains("Bearer"), "{output:?}");
}

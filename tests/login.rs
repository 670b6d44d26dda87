//! STARTTLS and AUTH over real sockets: no credential and no MAIL is sent before a verified TLS
//! session, one refused login ends the run, and every refusal has its message.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test that cannot go on fails"
)]

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::support::pki::Pki;
use crate::support::scanner::{PASSWORD, STALE_TOKEN, TOKEN};
use crate::support::smtp::{Action, Call, Login, Server, Setup, Stage, Tls};
use crate::support::{Workplace, oracle};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

fn plain() -> String {
    BASE64.encode(format!("\0ada\0{PASSWORD}"))
}

fn login() -> String {
    format!("{} {}", BASE64.encode("ada"), BASE64.encode(PASSWORD))
}

fn xoauth2(token: &str) -> String {
    BASE64.encode(format!("user=ada\x01auth=Bearer {token}\x01\x01"))
}

/// A relay with this kind of TLS that accepts only this response to these mechanisms.
fn setup(pki: &Pki, tls: Tls, mechanisms: &'static str, takes: String) -> Setup {
    Setup {
        tls: Some((tls, pki.server("localhost"))),
        login: Some(Login {
            mechanisms,
            takes,
            ..Login::default()
        }),
        ..Setup::default()
    }
}

fn relay(pki: &Pki, mechanisms: &'static str, takes: String) -> Server {
    Server::set_up(setup(pki, Tls::StartTls, mechanisms, takes), |_: &Call| {
        Action::Normal
    })
}

/// A job that sends through the relay, with these lines under `[smtp]`.
fn job(relay: &Server, pki: &Pki, lines: &str) -> Workplace {
    let mut workplace = Workplace::english(relay.port());
    workplace.write("ca.pem", &pki.ca_pem);
    workplace.write("password", &format!("{PASSWORD}\n"));
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(workplace.file("password"), private).unwrap();
    workplace.smtp = format!(
        "host = \"localhost\"\nport = {}\nca_file = \"ca.pem\"\ndeadlines = {{ ehlo = \"2s\", starttls = \"2s\", auth = \"2s\", tls = \"2s\", mail = \"2s\" }}\n{lines}",
        relay.port()
    );
    workplace.configure();
    workplace.partners(&["eva@e.example", "bob@b.example"]);
    workplace
}

#[test]
fn auth_plain_and_login_work_over_both_kinds_of_tls() {
    let pki = Pki::new();
    let table = [
        ("PLAIN LOGIN", plain(), "AUTH PLAIN"),
        ("LOGIN", login(), "AUTH LOGIN"),
        ("XOAUTH2 login", login(), "AUTH LOGIN"),
    ];
    for tls in [Tls::StartTls, Tls::Implicit] {
        for (mechanisms, takes, used) in &table {
            let setup = setup(&pki, tls, mechanisms, takes.clone());
            let relay = Server::set_up(setup, |_: &Call| Action::Normal);
            let tls = match tls {
                Tls::Implicit => "implicit",
                Tls::StartTls => "starttls",
            };
            let workplace = job(
                &relay,
                &pki,
                &format!("tls = \"{tls}\"\nusername = \"ada\"\npassword_file = \"password\""),
            );

            let output = workplace.run(&["send"]);

            assert_eq!(
                (output.code, output.stderr.as_str()),
                (0, ""),
                "{mechanisms}"
            );
            assert_eq!(relay.accepted().len(), 2);
            assert!(relay.count(used) > 0, "{:?}", relay.commands());
            let check = workplace.run(&["check", "--connect"]);
            let mechanism = used.trim_start_matches("AUTH ");
            assert!(
                check
                    .stdout
                    .contains(&format!("ok: login: logged in as ada by {mechanism}\n")),
                "{check:?}"
            );
            let violations = relay.violations();
            assert!(violations.is_empty(), "{violations:?}");
            oracle::nothing_in_clear(&relay);
        }
    }
}

#[test]
fn a_password_can_come_from_environment_or_systemd() {
    let pki = Pki::new();
    for key in [
        "password_env = \"RELAY_PASSWORD\"",
        "password_credential = \"password\"",
    ] {
        let relay = relay(&pki, "PLAIN", plain());
        let workplace = job(
            &relay,
            &pki,
            &format!("tls = \"starttls\"\nusername = \"ada\"\n{key}"),
        );

        let without = workplace.run(&["send"]);
        assert_eq!(without.code, 78, "{without:?}");
        assert_eq!(relay.commands().len(), 0);
        // systemd's credentials folder is private, whatever the mode of its files.
        let everybody = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(workplace.file("password"), everybody).unwrap();
        let output = workplace.run_with(&["send"], |command| {
            command
                .env("RELAY_PASSWORD", PASSWORD)
                .env("CREDENTIALS_DIRECTORY", workplace.path());
        });

        assert_eq!(output.code, 0, "{output:?}");
        assert_eq!(relay.accepted().len(), 2);
    }
}

#[test]
fn a_missing_empty_or_readable_secret_stops_before_connecting() {
    let pki = Pki::new();
    let relay = relay(&pki, "PLAIN", plain());
    let workplace = job(
        &relay,
        &pki,
        "tls = \"starttls\"\nusername = \"ada\"\npassword_file = \"password\"",
    );
    let refused = |code: i32, word: &str| {
        for verb in ["send", "check"] {
            let output = workplace.run(&[verb]);
            assert_eq!(output.code, code, "{output:?}");
            assert!(output.stderr.contains(word), "{output:?}");
        }
    };

    let file = workplace.file("password");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    refused(77, "readable by everyone");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&file, "\n").unwrap();
    refused(78, "is empty");
    std::fs::write(&file, format!("{PASSWORD}\nsecond line\n")).unwrap();
    refused(78, "one line");
    std::fs::remove_file(&file).unwrap();
    refused(78, "smtp.password_file");
    assert_eq!(relay.commands().len(), 0);

    // Neither a preview nor a sandbox run needs it.
    assert_eq!(workplace.run(&["preview"]).code, 0);
    assert_eq!(workplace.run(&["send", "--sandbox"]).code, 0);
}

#[test]
fn d23_one_refused_login_ends_the_run() {
    let pki = Pki::new();
    for (mechanisms, used) in [("PLAIN", "AUTH PLAIN"), ("LOGIN", "AUTH LOGIN")] {
        let relay = relay(&pki, mechanisms, "something else".into());
        let workplace = job(
            &relay,
            &pki,
            "tls = \"starttls\"\nconnections = 4\nusername = \"ada\"\npassword_file = \"password\"",
        );

        let output = workplace.run(&["send"]);

        assert_eq!(output.code, 69, "{output:?}");
        assert!(
            output.stderr.contains("535 5.7.8 bad credentials"),
            "{output:?}"
        );
        assert_eq!(relay.count(used), 1, "one attempt");
        workplace.all_are("pending");
    }
}

#[test]
fn a_login_refused_after_a_success_is_repeated_once() {
    let pki = Pki::new();
    let setup = setup(&pki, Tls::StartTls, "PLAIN", plain());
    let relay = Server::set_up(setup, |call: &Call| match call.stage {
        Stage::Auth if call.nth > 0 => Action::Reply(b"535 5.7.8 locked\r\n".to_vec()),
        // Long enough for the other connections to request a token.
        Stage::Dot => Action::Delay(Duration::from_millis(300), Box::new(Action::Normal)),
        _ => Action::Normal,
    });
    let workplace = job(
        &relay,
        &pki,
        "tls = \"starttls\"\nconnections = 4\nusername = \"ada\"\npassword_file = \"password\"",
    );
    let addresses: Vec<_> = (0..12).map(|it| format!("p{it}@a.example")).collect();
    workplace.partners(&addresses.iter().map(String::as_str).collect::<Vec<_>>());

    let output = workplace.run(&["send"]);

    assert_eq!(relay.count("AUTH"), 2, "{output:?}");
    // The open connection continues.
    assert_eq!((output.code, relay.accepted().len()), (0, 12), "{output:?}");
}

#[test]
fn a_token_is_fetched_per_connection_and_its_refusal_explained() {
    let pki = Pki::new();
    let setup = setup(&pki, Tls::StartTls, "XOAUTH2", xoauth2(TOKEN));
    let once = setup.clone();
    let relay = Server::set_up(once, |call: &Call| match call.stage {
        Stage::Dot => Action::ReplyThenClose(b"250 2.0.0 taken\r\n".to_vec()),
        _ => Action::Normal,
    });
    // A token on a command line could be seen in `/proc`.
    let script = "echo run >> runs; cat token";
    let lines = |script: &str| {
        format!(
            "tls = \"starttls\"\nconnections = 1\nusername = \"ada\"\ntoken_command = [\"sh\", \"-c\", \"{script}\"]"
        )
    };
    let workplace = job(&relay, &pki, &lines(script));
    workplace.write("token", TOKEN);

    let output = workplace.run(&["send"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(relay.accepted().len(), 2);
    let runs = std::fs::read_to_string(workplace.file("runs")).unwrap();
    assert_eq!(runs.lines().count(), 2, "a token a connection");

    let challenge = BASE64.encode(r#"{"status":"401","schemes":"bearer"}"#);
    let relay = Server::set_up(
        Setup {
            login: setup.login.map(|it| Login { challenge, ..it }),
            ..setup
        },
        |_: &Call| Action::Normal,
    );
    let workplace = job(&relay, &pki, &lines("cat token"));
    workplace.write("token", STALE_TOKEN);
    let output = workplace.run(&["send"]);
    assert_eq!(output.code, 69, "{output:?}");
    assert!(
        output
            .stderr
            .contains("and about the token: schemes bearer, status 401")
            || output.stderr.contains("status 401, schemes bearer"),
        "{output:?}"
    );
    assert_eq!(relay.count("AUTH"), 1);

    let workplace = job(&relay, &pki, &lines("echo no network >&2; exit 1"));
    let output = workplace.run(&["send"]);
    assert_eq!(output.code, 69, "{output:?}");
    assert!(
        output.stderr.contains("token_command") && output.stderr.contains("no network"),
        "{output:?}"
    );
}

#[test]
fn a_missing_auth_mechanism_has_its_own_error() {
    let pki = Pki::new();
    let relay = relay(&pki, "XOAUTH2 CRAM-MD5", String::new());
    let workplace = job(
        &relay,
        &pki,
        "tls = \"starttls\"\nusername = \"ada\"\npassword_file = \"password\"",
    );

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 69, "{output:?}");
    assert!(
        output
            .stderr
            .contains("only XOAUTH2, CRAM-MD5, but this login needs PLAIN or LOGIN"),
        "{output:?}"
    );
    assert_eq!(relay.count("AUTH"), 0);
}

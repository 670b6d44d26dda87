//! The SMTP dialogue under every fault that can be staged, by the ids of the test plan (D1–D35):
//! over real sockets, with and without PIPELINING, and the invariants after each.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test that cannot go on fails"
)]

mod support;

use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use support::pki::Pki;
use support::scanner::PASSWORD;
use support::smtp::{Action, Call, Login, Server, Setup, Stage, Tls};
use support::{Workplace, oracle};

/// Long enough for a busy machine, short enough for a test.
const DEADLINES: &str = r#"{ connect = "2s", tls = "2s", banner = "2s", ehlo = "2s", auth = "2s", mail = "2s", rcpt = "2s", data = "2s", body = "2s", dot = "2s", rset = "2s" }"#;

fn reply(text: &str) -> Action {
    Action::Reply(format!("{text}\r\n").into_bytes())
}

/// A job of few words over one connection, with deadlines of two seconds.
fn job(server: &Server, pipelining: &str, partners: &[&str]) -> Workplace {
    let mut workplace = Workplace::new(server.port());
    workplace.retry = "first_after = \"1s\"".into();
    workplace.smtp(&format!(
        "connections = 1\npipelining = \"{pipelining}\"\ndeadlines = {DEADLINES}"
    ));
    workplace.few_words();
    workplace.partners(partners);
    workplace
}

const BOTH: [&str; 2] = ["auto", "off"];

#[test]
fn d15_a_refusal_in_the_middle_of_a_message_is_read_though_the_connection_breaks() {
    let table = [
        ("552 5.3.4 too big", 1, "rejected"),
        ("452 4.3.1 no room", 75, "deferred"),
        (
            "550 5.7.705 Access denied, tenant has exceeded threshold",
            69,
            "pending",
        ),
    ];
    for (text, code, state) in table {
        for pipelining in BOTH {
            for then in [Action::Reset, Action::Stall] {
                let refusal = format!("{text}\r\n").into_bytes();
                let server = Server::start(move |call: &Call| match (call.stage, call.recipient) {
                    (Stage::Body, Some("b@b.example")) => {
                        Action::ReplyThen(refusal.clone(), Box::new(then.clone()))
                    }
                    _ => Action::Normal,
                });
                let workplace = job(&server, pipelining, &["a@a.example", "b@b.example"]);

                let output = workplace.run(&["send"]);

                assert_eq!(output.code, code, "{text}: {output:?}");
                let states = workplace.states();
                assert_eq!(states[0].1, "accepted");
                assert_eq!(states[1].1, state, "{text}, {pipelining}: {output:?}");
                let said = &workplace.status()["invitations"][1]["reply"];
                if state != "pending" {
                    assert!(text.ends_with(said.as_str().unwrap()), "{said}");
                }
                oracle::check(&workplace, &server, 2, 0);
            }
        }
    }
}

#[test]
fn d20_a_relay_whose_size_is_below_our_messages_gets_none_and_nobody_is_marked() {
    for (size, code) in [
        ("SIZE 500", 69),
        ("SIZE 0", 0),
        ("SIZE", 0),
        ("SIZE 100000", 0),
    ] {
        let setup = Setup {
            offers: vec!["PIPELINING", size],
            ..Setup::default()
        };
        let server = Server::set_up(setup, |_: &Call| Action::Normal);
        let workplace = job(&server, "auto", &["a@a.example", "b@b.example"]);

        let output = workplace.run(&["send"]);

        assert_eq!(output.code, code, "{size}: {output:?}");
        if code == 69 {
            let word = "takes messages of at most 500 bytes, and the one to a@a.example has 1";
            assert!(output.stderr.contains(word), "{output:?}");
            assert_eq!((server.count("MAIL"), server.connections()), (0, 1));
            assert!(workplace.states().iter().all(|(_, it)| it == "pending"));
        }
        oracle::check(&workplace, &server, 2, 0);
    }
}

/// A job that logs in over TLS, at a server that wants it.
fn login_job(
    pki: &Pki,
    mechanisms: &'static str,
    script: impl Fn(&Call<'_>) -> Action + Send + Sync + 'static,
) -> (Server, Workplace) {
    let setup = Setup {
        tls: Some((Tls::Implicit, pki.server("localhost"))),
        login: Some(Login {
            mechanisms,
            takes: BASE64.encode(format!("\0ada\0{PASSWORD}")),
            challenge: String::new(),
        }),
        ..Setup::default()
    };
    let server = Server::set_up(setup, script);
    let mut workplace = Workplace::new(server.port());
    workplace.write("ca.pem", &pki.ca_pem);
    workplace.write("password", PASSWORD);
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(workplace.file("password"), private).unwrap();
    workplace.smtp = format!(
        "host = \"localhost\"\nport = {}\nca_file = \"ca.pem\"\nusername = \"ada\"\npassword_file = \"password\"\nconnections = 1\ndeadlines = {DEADLINES}",
        server.port()
    );
    workplace.retry = "first_after = \"1s\"".into();
    workplace.few_words();
    workplace.partners(&["a@a.example", "b@b.example"]);
    (server, workplace)
}

#[test]
fn d24_a_login_that_is_asked_for_more_and_more_is_given_up_after_one_attempt() {
    let pki = Pki::new();
    let challenges = ["334 VXNlcm5hbWU6", "334 ", "334", "334 ???not base64???"];
    for mechanisms in ["PLAIN", "LOGIN"] {
        for challenge in challenges {
            let (server, workplace) = login_job(&pki, mechanisms, move |call| match call.stage {
                Stage::Auth => reply(challenge),
                _ => Action::Normal,
            });

            let output = workplace.run(&["send"]);

            assert_eq!(output.code, 69, "{output:?}");
            let word = format!("\"{}\"; it asks for more", challenge.trim_end());
            assert!(output.stderr.contains(&word), "{output:?}");
            assert_eq!((server.count("AUTH"), server.connections()), (1, 1));
            let lines = server.commands().len() - server.count("EHLO") - server.count("QUIT");
            assert!(lines <= 3, "{:?}", server.commands());
            assert_eq!(server.count("MAIL"), 0);
            oracle::check(&workplace, &server, 2, 0);
        }
    }
}

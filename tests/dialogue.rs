//! The SMTP dialogue under every fault that can be staged, by the ids of the test plan (D1–D35):
//! over real sockets, with and without PIPELINING, and the invariants after each.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test that cannot go on fails"
)]

mod support;

use support::smtp::{Action, Call, Server, Stage};
use support::{Workplace, oracle};

/// A job of few words over one connection, with deadlines of two seconds.
fn job(server: &Server, pipelining: &str, partners: &[&str]) -> Workplace {
    let mut workplace = Workplace::new(server.port());
    workplace.retry = "first_after = \"1s\"".into();
    workplace.smtp(&format!(
        "connections = 1\npipelining = \"{pipelining}\"\ndeadlines = {{ banner = \"2s\", ehlo = \"2s\", mail = \"2s\", rcpt = \"2s\", data = \"2s\", body = \"2s\", dot = \"2s\", rset = \"2s\" }}"
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

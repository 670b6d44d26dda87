//! Connections cut after every byte of the client (D2) and of the relay (D3): a message is `unknown` if and
//! only if its final dot was begun and the reply is incomplete, and nobody is invited twice.
//!
//! One run sends to many partners, and each of its connections is cut at another byte. Within a body,
//! `ACCESS_INVITE_STRIDE` sets the number of bytes between two cuts (default
//! 401; 1 is every byte).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::support::smtp::{Action, Call, Cut, Server, Setup, Stage};
use crate::support::{Workplace, oracle};

const BOTH: [&str; 2] = ["auto", "off"];
/// Number of runs that share the cuts of one kind.
const RUNS: usize = 24;
/// Number of bytes at both ends of a body that are cut one by one.
const ENDS: usize = 40;

/// Offsets at which the steps of a message end on the wire.
#[derive(Clone, Copy, Debug, Default)]
struct Steps {
    /// DATA, or the reply to it.
    data: usize,
    /// The body, without the final dot; zero bytes on the relay's side.
    body: usize,
    /// The dot, or the reply to it.
    dot: usize,
}

/// Whether the message whose connection is cut is `unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Uncertainty {
    /// No: it is accepted, over this connection or the next.
    Never,
    /// Depends on whether the close was seen before the final dot was written.
    Perhaps,
    /// Yes.
    Always,
}

/// A cut, and its expected result.
#[derive(Clone, Copy, Debug)]
struct Planned {
    cut: Cut,
    /// Whether it is in the first message of the connection or in the second.
    message: usize,
    doubt: Uncertainty,
}

fn job(server: &Server, pipelining: &str, partners: usize) -> Workplace {
    let mut workplace = Workplace::new(server.port());
    workplace.smtp(&format!(
        "connections = 1\npipelining = \"{pipelining}\"\nhello = \"h.example\""
    ));
    workplace.short_templates();
    // All addresses have the same length, and so have all messages.
    let partners: Vec<_> = (0..partners)
        .map(|it| format!("p{it:05}@a.example"))
        .collect();
    workplace.partners(&partners.iter().map(String::as_str).collect::<Vec<_>>());
    workplace
}

/// A relay with short replies, whose journal is in memory.
fn setup() -> Setup {
    Setup {
        offers: vec!["PIPELINING"],
        ..Setup::default()
    }
}

fn script(call: &Call<'_>) -> Action {
    let reply: &[u8] = match call.stage {
        Stage::Banner => b"220 hi\r\n",
        Stage::Mail => b"250 ok\r\n",
        Stage::Data => b"354 go\r\n",
        Stage::Dot => b"250 2.0.0 ok\r\n",
        _ => return Action::Normal,
    };
    Action::Reply(reply.to_vec())
}

fn stride() -> usize {
    let given = std::env::var("ACCESS_INVITE_STRIDE");
    given.map_or(401, |it| it.parse().unwrap())
}

/// A byte, and whether the cut after it is an RST: alternating, or both if every byte is cut.
fn both_ends(byte: usize) -> impl Iterator<Item = (usize, bool)> {
    let all = stride() == 1;
    [false, true]
        .into_iter()
        .filter(move |reset| all || *reset == (byte % 2 == 1))
        .map(move |reset| (byte, reset))
}

/// The offset at which `what` ends in `bytes`, searched from `from` on.
fn end_of(what: &[u8], bytes: &[u8], from: usize) -> usize {
    let at = bytes[from..].windows(what.len()).position(|it| it == what);
    from + at.unwrap() + what.len()
}

/// The steps of two messages on one connection, in the bytes of the client and of the relay.
fn record_steps(pipelining: &str) -> ([Steps; 2], [Steps; 2]) {
    let server = Server::set_up(setup(), script);
    let workplace = job(&server, pipelining, 2);
    assert_eq!(workplace.run(&["send"]).code, 0);
    let (ours, theirs) = (&server.bytes_received()[0], &server.bytes_sent()[0]);
    let mut from = (0, 0);
    let steps = [(); 2].map(|()| {
        let data = end_of(b"DATA\r\n", ours, from.0);
        let dot = end_of(b"\r\n.\r\n", ours, data);
        let ours = Steps {
            data,
            body: dot - 3,
            dot,
        };
        let data = end_of(b"354 go\r\n", theirs, from.1);
        let dot = end_of(b"250 2.0.0 ok\r\n", theirs, data);
        let theirs = Steps {
            data,
            body: data,
            dot,
        };
        from = (ours.dot, theirs.dot);
        (ours, theirs)
    });
    (steps.map(|it| it.0), steps.map(|it| it.1))
}

/// Distributes the cuts over simultaneous runs, because some cuts cost a pause.
fn check_all(pipelining: &str, plan: &[Planned]) {
    std::thread::scope(|scope| {
        for run in 0..RUNS {
            let share: Vec<_> = plan.iter().skip(run).step_by(RUNS).copied().collect();
            scope.spawn(move || check_case(pipelining, &share));
        }
    });
}

fn check_case(pipelining: &str, plan: &[Planned]) {
    // If the first message of a connection is cut, the next connection carries one complete message and closes, so
    // that no message is cut twice. If it is the second, the first message of the next connection is complete
    // anyway.
    let every = 2 - plan[0].message;
    let cuts: Vec<_> = plan.iter().map(|it| it.cut).collect();
    let last = every * plan.len();
    let setup = Setup {
        cut: Arc::new(move |connection| match cuts.get(connection / every) {
            Some(cut) if connection % every == 0 => *cut,
            _ => Cut::default(),
        }),
        ..setup()
    };
    let server = Server::set_up(setup, move |call: &Call<'_>| {
        let between = call.connection < last && call.connection % every == 1;
        match call.stage {
            Stage::Dot if between => Action::ReplyThenClose(b"250 2.0.0 ok\r\n".to_vec()),
            _ => script(call),
        }
    });
    let partners = 2 * plan.len() + 2;
    let workplace = job(&server, pipelining, partners);

    let output = workplace.run(&["send"]);

    oracle::check(&workplace, &server, partners, plan.len());
    let states = workplace.states();
    let unknown: BTreeSet<_> = states
        .iter()
        .filter(|(_, state)| state == "unknown")
        .map(|(address, _)| address.clone())
        .collect();
    assert_eq!(
        output.code,
        if unknown.is_empty() { 0 } else { 3 },
        "{output:?}"
    );
    // Until the first `unknown`, which ends pipelining behind final dots, two messages are in flight
    // whenever the second one is cut.
    let surely = plan.iter().take_while(|it| it.doubt == Uncertainty::Never);
    let in_flight = surely.filter(|it| it.message == 1).count();
    if pipelining == "auto" && in_flight > 1 {
        // Except for a cut right behind the final dot, where the server reads no further.
        assert!(
            server.pipelined_envelopes() >= in_flight - 1,
            "{} of {in_flight}",
            server.pipelined_envelopes()
        );
    }
    let (received, sent) = (server.bytes_received(), server.bytes_sent());
    let mut explained = BTreeSet::new();
    for (number, planned) in plan.iter().enumerate() {
        let connection = number * every;
        let name = format!("{planned:?}, connection {connection}, pipelining {pipelining}");
        let (received, sent) = (&received[connection], &sent[connection]);
        match planned.cut {
            Cut {
                received: Some(cut),
                ..
            } => assert_eq!(received.len() as u64, cut, "{name}"),
            Cut {
                sent: Some(cut), ..
            } => assert_eq!(sent.len() as u64, cut, "{name}"),
            Cut { .. } => unreachable!("{name}"),
        }
        let received = String::from_utf8_lossy(received);
        let recipient = received
            .match_indices("RCPT TO:<")
            .filter_map(|(at, it)| received[at + it.len()..].split_once('>'))
            .map(|(recipient, _)| recipient.to_owned())
            .nth(planned.message);
        match (planned.doubt, recipient) {
            (Uncertainty::Always, recipient) => {
                let recipient = recipient.unwrap();
                assert!(
                    unknown.contains(&recipient),
                    "{name}: {recipient} is not in doubt"
                );
                explained.insert(recipient);
            }
            (Uncertainty::Perhaps, Some(recipient)) => {
                explained.insert(recipient);
            }
            _ => {}
        }
    }
    let others: Vec<_> = unknown.difference(&explained).collect();
    assert!(others.is_empty(), "in doubt without a reason: {others:?}");

    let again = workplace.run(&["send"]);
    assert_eq!(again.code, output.code, "{again:?}");
    oracle::check_settled(&workplace, &server, partners, plan.len());
    assert!(server.violations().is_empty(), "{:?}", server.violations());
}

#[test]
fn d2_a_cut_in_client_bytes_is_unknown_only_within_the_dot() {
    let stride = stride();
    for pipelining in BOTH {
        let (ours, _) = record_steps(pipelining);
        let mut from = 0;
        for (message, steps) in ours.into_iter().enumerate() {
            let inside = steps.data + ENDS..steps.body - ENDS;
            let plan: Vec<_> = (from..=steps.dot)
                .filter(|it| !inside.contains(it) || (it - inside.start).is_multiple_of(stride))
                .flat_map(both_ends)
                .map(|(byte, reset)| Planned {
                    cut: Cut {
                        received: Some(byte as u64),
                        sent: None,
                        reset,
                    },
                    message,
                    doubt: match byte {
                        _ if byte < steps.data || byte == steps.dot => Uncertainty::Never,
                        _ if byte <= steps.body => Uncertainty::Perhaps,
                        _ => Uncertainty::Always,
                    },
                })
                .collect();
            check_all(pipelining, &plan);
            from = steps.dot;
        }
    }
}

#[test]
fn d3_a_cut_in_the_final_reply_is_unknown_until_complete() {
    for pipelining in BOTH {
        let (_, theirs) = record_steps(pipelining);
        let mut from = 0;
        for (message, steps) in theirs.into_iter().enumerate() {
            let plan: Vec<_> = (from..=steps.dot)
                .flat_map(both_ends)
                .map(|(byte, reset)| Planned {
                    cut: Cut {
                        received: None,
                        sent: Some(byte as u64),
                        reset,
                    },
                    message,
                    doubt: if (steps.data..steps.dot).contains(&byte) {
                        Uncertainty::Always
                    } else {
                        Uncertainty::Never
                    },
                })
                .collect();
            check_all(pipelining, &plan);
            from = steps.dot;
        }
    }
}

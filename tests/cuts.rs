//! The connection cut after every byte, of what we say (D2) and of what the relay says (D3): a message
//! is `unknown` if and only if its dot was begun and the answer is not whole, and nobody is invited twice.
//!
//! One run sends to many partners, and each of its connections is cut at another byte. In the middle of a
//! body one byte is like the next; `ACCESS_INVITE_STRIDE` says how many of them go by between two cuts (61
//! unless told otherwise; 1 is every byte).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::support::smtp::{Action, Call, Cut, Server, Setup, Stage};
use crate::support::{Workplace, oracle};

const BOTH: [&str; 2] = ["auto", "off"];
/// So many runs share the cuts of one kind.
const RUNS: usize = 24;
/// So many bytes at either end of a body are each cut at.
const ENDS: usize = 40;

/// Where the steps of a message end on the wire.
#[derive(Clone, Copy, Debug, Default)]
struct Steps {
    /// DATA, or the reply to it.
    data: usize,
    /// The body, without the dot; to the relay's side it has no length.
    body: usize,
    /// The dot, or the reply to it.
    dot: usize,
}

/// What must be recorded of the message over which a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Uncertainty {
    /// It is accepted, by this connection or by the next.
    Never,
    /// It hangs on whether the end of the connection was seen before the dot was written.
    Perhaps,
    /// Nobody can know.
    Always,
}

/// A cut, and what comes of it.
#[derive(Clone, Copy, Debug)]
struct Planned {
    cut: Cut,
    /// Whether it is in the first message of the connection or in the second.
    message: usize,
    doubt: Uncertainty,
}

fn job(server: &Server, pipelining: &str, partners: usize) -> Workplace {
    let mut workplace = Workplace::in_memory(server.port());
    workplace.smtp(&format!(
        "connections = 1\npipelining = \"{pipelining}\"\nhello = \"h.example\""
    ));
    workplace.few_words();
    // All addresses have one length, and so have all messages.
    let partners: Vec<_> = (0..partners)
        .map(|it| format!("p{it:05}@a.example"))
        .collect();
    workplace.partners(&partners.iter().map(String::as_str).collect::<Vec<_>>());
    workplace
}

/// A relay of few words, which stays in memory.
fn setup() -> Setup {
    Setup {
        offers: vec!["PIPELINING"],
        in_memory: true,
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
    given.map_or(61, |it| it.parse().unwrap())
}

/// A byte, and whether the cut after it is by an RST: in turns, or both where every byte is asked for.
fn both_ends(byte: usize) -> impl Iterator<Item = (usize, bool)> {
    let all = stride() == 1;
    [false, true]
        .into_iter()
        .filter(move |reset| all || *reset == (byte % 2 == 1))
        .map(move |reset| (byte, reset))
}

/// Where `what` ends in `bytes`, looked for from `from` on.
fn end_of(what: &[u8], bytes: &[u8], from: usize) -> usize {
    let at = bytes[from..].windows(what.len()).position(|it| it == what);
    from + at.unwrap() + what.len()
}

/// The steps of two messages on one connection, as we write them and as the relay answers.
fn course(pipelining: &str) -> ([Steps; 2], [Steps; 2]) {
    let server = Server::set_up(setup(), script);
    let workplace = job(&server, pipelining, 2);
    assert_eq!(workplace.run(&["send"]).code, 0);
    let (ours, theirs) = (&server.tapped()[0], &server.said()[0]);
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

/// Shares the cuts out among runs at the same time, each of which gets some that cost it a pause.
fn hold_all(pipelining: &str, plan: &[Planned]) {
    std::thread::scope(|scope| {
        for run in 0..RUNS {
            let share: Vec<_> = plan.iter().skip(run).step_by(RUNS).copied().collect();
            scope.spawn(move || hold(pipelining, &share));
        }
    });
}

fn hold(pipelining: &str, plan: &[Planned]) {
    // Where the first message of a connection is cut, the next connection carries one message whole, so
    // that no message meets two cuts; then it closes, too. Where it is the second, the next one's first
    // message is whole anyway.
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
    // Before the first doubt, after which envelopes go behind dots no more, two messages were in
    // flight wherever the second one is cut.
    let surely = plan.iter().take_while(|it| it.doubt == Uncertainty::Never);
    let in_flight = surely.filter(|it| it.message == 1).count();
    if pipelining == "auto" && in_flight > 1 {
        // But for a cut right behind the dot, where the server reads no further.
        assert!(
            server.ahead() >= in_flight - 1,
            "{} of {in_flight}",
            server.ahead()
        );
    }
    let (tapped, said) = (server.tapped(), server.said());
    let mut explained = BTreeSet::new();
    for (number, planned) in plan.iter().enumerate() {
        let connection = number * every;
        let name = format!("{planned:?}, connection {connection}, pipelining {pipelining}");
        let (heard, said) = (&tapped[connection], &said[connection]);
        match planned.cut {
            Cut {
                heard: Some(cut), ..
            } => assert_eq!(heard.len() as u64, cut, "{name}"),
            Cut {
                said: Some(cut), ..
            } => assert_eq!(said.len() as u64, cut, "{name}"),
            Cut { .. } => unreachable!("{name}"),
        }
        let heard = String::from_utf8_lossy(heard);
        let recipient = heard
            .match_indices("RCPT TO:<")
            .filter_map(|(at, it)| heard[at + it.len()..].split_once('>'))
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
        let (ours, _) = course(pipelining);
        let mut from = 0;
        for (message, steps) in ours.into_iter().enumerate() {
            let inside = steps.data + ENDS..steps.body - ENDS;
            let plan: Vec<_> = (from..=steps.dot)
                .filter(|it| !inside.contains(it) || (it - inside.start).is_multiple_of(stride))
                .flat_map(both_ends)
                .map(|(byte, reset)| Planned {
                    cut: Cut {
                        heard: Some(byte as u64),
                        said: None,
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
            hold_all(pipelining, &plan);
            from = steps.dot;
        }
    }
}

#[test]
fn d3_a_cut_in_the_final_reply_is_unknown_until_complete() {
    for pipelining in BOTH {
        let (_, theirs) = course(pipelining);
        let mut from = 0;
        for (message, steps) in theirs.into_iter().enumerate() {
            let plan: Vec<_> = (from..=steps.dot)
                .flat_map(both_ends)
                .map(|(byte, reset)| Planned {
                    cut: Cut {
                        heard: None,
                        said: Some(byte as u64),
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
            hold_all(pipelining, &plan);
            from = steps.dot;
        }
    }
}

//! Pipelining (RFC 2920): one round trip per message, each reply matched to its command, and the same
//! promises as without it. The relay is scripted, over a real socket.

use std::time::{Duration, Instant};

use crate::support::smtp::{Action, Call, Server, Setup, Stage, Swallows, reply};
use crate::support::{Workplace, oracle, parallel};

/// A job over one connection with these partners.
fn job(server: &Server, smtp: &str, partners: &[&str]) -> Workplace {
    let mut workplace = Workplace::english(server.port());
    workplace.retry = "first_after = \"1s\"".into();
    workplace.smtp(&format!("connections = 1\n{smtp}"));
    workplace.partners(partners);
    workplace
}

const FIVE: [&str; 5] = [
    "a@a.example",
    "b@b.example",
    "c@c.example",
    "d@d.example",
    "e@e.example",
];

#[test]
fn a_pipelined_message_takes_one_round_trip() {
    let server = Server::accepting();
    let workplace = job(&server, "", &FIVE);

    let output = workplace.run(&["send"]);

    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert_eq!((server.pipelined_envelopes(), server.connections()), (4, 1));
    assert!(server.violations().is_empty(), "{:?}", server.violations());
    oracle::check_settled(&workplace, &server, 5, 0);
}

#[test]
fn without_pipelining_commands_go_one_at_a_time() {
    let poor = Server::start(|call: &Call| match call.stage {
        Stage::Ehlo => reply("250-localhost\r\n250 8BITMIME"),
        _ => Action::Normal,
    });
    for (server, smtp) in [(poor, ""), (Server::accepting(), "pipelining = \"off\"")] {
        let workplace = job(&server, smtp, &FIVE);

        let output = workplace.run(&["send"]);

        assert_eq!((output.code, output.stderr.as_str()), (0, ""));
        assert_eq!(server.pipelined_envelopes(), 0);
        assert!(server.violations().is_empty(), "{:?}", server.violations());
        oracle::check_settled(&workplace, &server, 5, 0);
    }
}

#[test]
fn a_354_after_a_refused_recipient_is_ended_by_a_lone_dot() {
    let server = Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(who)) if who < "c" => reply("550 5.1.1 no such user"),
        (Stage::Data, None) => reply("354 go on then"),
        _ => Action::Normal,
    });
    let workplace = job(&server, "", &FIVE);

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 1, "{output:?}");
    assert_eq!((server.accepted().len(), server.connections()), (3, 1));
    let reset = server.commands().iter().any(|(_, it)| it == "RSET");
    assert!(!reset, "the dot has ended the transaction already");
    assert!(server.violations().is_empty(), "{:?}", server.violations());
    oracle::check_settled_but(&workplace, &server, 5, 0, &["rejected"]);
}

#[test]
fn an_accepted_lone_dot_keeps_the_recipient_refused() {
    let server = Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some("a@a.example")) => reply("550 5.1.1 no such user"),
        (Stage::Data, None) => reply("354 go on then"),
        (Stage::Dot, None) => reply("250 2.0.0 nothing for nobody"),
        _ => Action::Normal,
    });
    let workplace = job(&server, "", &FIVE);

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 1, "{output:?}");
    assert_eq!(server.connections(), 2);
    let taken = server.accepted();
    let for_somebody = taken.iter().filter(|it| !it.recipients.is_empty());
    assert_eq!(for_somebody.count(), 4);
    assert_eq!(workplace.states()[0].1, "rejected");
}

#[test]
fn a_pipelined_envelope_survives_any_reply_to_the_dot() {
    // The outcome of the first message, the number of connections, and the exit code.
    let table = [
        (reply("250 2.0.0 ok"), "accepted", 1, 0),
        (reply("450 4.2.0 later"), "deferred", 1, 75),
        (reply("552 5.3.4 too big"), "deferred", 1, 75),
        (reply("550 5.1.1 gone"), "rejected", 1, 1),
        (reply("421 4.3.2 closing"), "deferred", 2, 75),
        (reply("354 what"), "unknown", 2, 3),
        (reply("nonsense"), "unknown", 2, 3),
        (Action::Close, "unknown", 2, 3),
        (Action::AcceptThen(Box::new(Action::Close)), "unknown", 2, 3),
        (Action::AcceptThen(Box::new(Action::Reset)), "unknown", 2, 3),
    ];
    for (action, state, connections, code) in table {
        let name = format!("{action:?}");
        let server = Server::start(move |call: &Call| match call.stage {
            Stage::Dot if call.nth == 0 => action.clone(),
            _ => Action::Normal,
        });
        let workplace = job(&server, "", &FIVE);

        let output = workplace.run(&["send"]);

        assert_eq!(output.code, code, "{name}: {output:?}");
        let states = workplace.states();
        assert_eq!(states[0].1, state, "{name}");
        assert!(
            states[1..].iter().all(|it| it.1 == "accepted"),
            "{name}: {states:?}"
        );
        assert_eq!(server.connections(), connections, "{name}");
        let violations = server.violations();
        assert!(violations.is_empty(), "{name}: {violations:?}");
        oracle::check(&workplace, &server, 5, usize::from(state == "unknown"));
    }
}

#[test]
fn a_lost_envelope_does_not_count_as_an_attempt() {
    // Every connection ends at its second RCPT, so each carries one message.
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Rcpt if call.nth % 2 == 1 => Action::Close,
        _ => Action::Normal,
    });
    let workplace = job(&server, "", &FIVE);

    let output = workplace.run(&["send"]);

    assert_eq!(
        (output.code, output.stderr.as_str()),
        (0, ""),
        "a row was deferred"
    );
    assert_eq!(server.connections(), 5);
    oracle::check_settled(&workplace, &server, 5, 0);
}

#[test]
fn a_stop_after_data_arms_nothing() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Dot if call.nth == 0 => {
            reply("550 5.7.60 Client does not have permissions to send as this sender")
        }
        _ => Action::Normal,
    });
    let workplace = job(&server, "", &FIVE);

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 69, "{output:?}");
    assert_eq!(
        (server.pipelined_envelopes(), server.accepted().len()),
        (1, 0)
    );
    let begun = server.commands();
    assert_eq!(begun.iter().filter(|(_, it)| it == "DATA").count(), 2);
    workplace.all_are("pending");
}

#[test]
fn pipelining_respects_the_rate_limits() {
    let server = Server::accepting();
    let mut workplace = job(&server, "", &FIVE);
    workplace.limits = "per_minute = 100\nper_day = 3".into();
    workplace.configure();

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 75, "{output:?}");
    assert_eq!(
        (server.accepted().len(), server.pipelined_envelopes()),
        (3, 2)
    );
    let begun = server.commands();
    assert_eq!(begun.iter().filter(|(_, it)| it == "DATA").count(), 3);
    oracle::check(&workplace, &server, 5, 0);
}

#[test]
fn an_acceptance_is_durable_before_a_slow_next_envelope() {
    std::thread::scope(|scope| {
        for stage in [Stage::Mail, Stage::Rcpt, Stage::Data] {
            scope.spawn(move || {
                let server = Server::start(move |call: &Call| {
                    if call.stage == stage && call.nth == 1 {
                        Action::Delay(Duration::from_secs(20), Box::new(Action::Normal))
                    } else {
                        Action::Normal
                    }
                });
                let workplace = job(&server, "", &FIVE);

                let run = workplace.start(&["send"]);
                while server.pipelined_envelopes() < 1 {
                    std::thread::sleep(Duration::from_millis(10));
                }
                std::thread::sleep(Duration::from_millis(500));
                run.kill();

                let output = workplace.run(&["send", "--limit", "0"]);
                assert_eq!(output.code, 0, "{stage:?}, nothing is in doubt: {output:?}");
                assert_eq!(workplace.states()[0].1, "accepted", "{stage:?}");
                oracle::check(&workplace, &server, 5, 0);
            });
        }
    });
}

#[test]
fn a_421_to_a_pipelined_envelope_only_reconnects() {
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Data] {
        for close in [true, false] {
            let server = Server::start(move |call: &Call| {
                let goodbye = b"421 4.3.2 closing\r\n".to_vec();
                match (call.stage == stage && call.nth == 1, close) {
                    (false, _) => Action::Normal,
                    (true, true) => Action::ReplyThenClose(goodbye),
                    (true, false) => Action::Reply(goodbye),
                }
            });
            let workplace = job(&server, "", &FIVE);

            let output = workplace.run(&["send"]);

            let ended = (output.code, output.stderr.as_str());
            assert_eq!(ended, (0, ""), "{stage:?}");
            assert_eq!(server.connections(), 2, "{stage:?}");
            assert!(server.violations().is_empty(), "{:?}", server.violations());
            oracle::check_settled(&workplace, &server, 5, 0);
        }
    }
}

#[test]
fn a_refused_mail_after_an_accepted_dot_keeps_the_acceptance() {
    let table = [
        ("550 5.1.8 not from you", 69, 1, 1),
        (
            "550 5.7.60 Client does not have permissions to send as this sender",
            69,
            1,
            1,
        ),
        ("451 4.3.0 later", 0, 2, 5),
    ];
    for (text, code, connections, accepted) in table {
        let server = Server::start(move |call: &Call| match call.stage {
            Stage::Mail if call.nth == 1 => reply(text),
            _ => Action::Normal,
        });
        let workplace = job(&server, "", &FIVE);

        let output = workplace.run(&["send"]);

        assert_eq!(output.code, code, "{text}: {output:?}");
        assert_eq!(server.connections(), connections, "{text}");
        let states = workplace.states();
        let count = states.iter().filter(|it| it.1 == "accepted").count();
        assert_eq!(
            (states[0].1.as_str(), count),
            ("accepted", accepted),
            "{text}"
        );
        oracle::check(&workplace, &server, 5, 0);
        assert_eq!(workplace.run(&["send"]).code, 0);
        oracle::check_settled(&workplace, &server, 5, 0);
    }
}

#[test]
fn any_reply_to_rset_or_the_lone_dot_keeps_the_refusal() {
    // The stage (RSET, or the lone dot if the relay accepted DATA), the reply, and the number of connections.
    let table = [
        (Stage::Rset, Action::Normal, 1),
        (Stage::Rset, reply("502 5.5.1 what is that"), 2),
        (Stage::Rset, reply("421 4.3.2 closing"), 2),
        (Stage::Rset, reply("nonsense"), 2),
        (Stage::Rset, Action::Close, 2),
        (Stage::Rset, Action::Stall, 2),
        (Stage::Dot, Action::Normal, 1),
        (Stage::Dot, reply("451 4.3.0 for whom"), 1),
        (Stage::Dot, reply("421 4.3.2 closing"), 2),
        (Stage::Dot, reply("354 what"), 2),
        (Stage::Dot, Action::Close, 2),
        (Stage::Dot, Action::Stall, 2),
    ];
    parallel::for_each(4, &table, |(stage, action, connections)| {
        let (stage, action, connections) = (*stage, action.clone(), *connections);
        let name = format!("{stage:?}: {action:?}");
        let server = Server::start(move |call: &Call| match (call.stage, call.recipient) {
            (Stage::Rcpt, Some("b@b.example")) => reply("550 5.1.1 no such user"),
            (Stage::Data, None) if stage == Stage::Dot => reply("354 go on then"),
            (Stage::Dot, None) | (Stage::Rset, _) if call.stage == stage => action.clone(),
            _ => Action::Normal,
        });
        let workplace = job(
            &server,
            "deadlines = { rset = \"1s\", dot = \"1s\" }",
            &FIVE,
        );

        let output = workplace.run(&["send"]);

        assert_eq!(output.code, 1, "{name}: {output:?}");
        assert_eq!(server.connections(), connections, "{name}");
        assert_eq!(workplace.states()[1].1, "rejected", "{name}");
        assert_eq!(server.accepted().len(), 4, "{name}");
        oracle::check_settled_but(&workplace, &server, 5, 0, &["rejected"]);
    });
}

#[test]
fn a_signal_after_a_dot_writes_no_further_body() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Dot => Action::Delay(Duration::from_secs(1), Box::new(Action::Normal)),
        _ => Action::Normal,
    });
    let workplace = job(&server, "", &FIVE);
    let run = workplace.start(&["send"]);
    while server.count("DATA") < 1 {
        std::thread::sleep(Duration::from_millis(5));
    }
    // The final dot and the next envelope are sent, and the server delays its reply to the dot.
    std::thread::sleep(Duration::from_millis(300));

    run.signal("TERM");
    let output = run.wait();

    assert_eq!(output.code, 75, "{output:?}");
    assert_eq!(
        (server.pipelined_envelopes(), server.accepted().len()),
        (1, 1)
    );
    let bodies = server.bytes_received()[0]
        .windows(10)
        .filter(|it| *it == b"\r\nSubject:")
        .count();
    assert_eq!(bodies, 1, "the next body was written");
    let states = workplace.states();
    assert_eq!(states[0].1, "accepted");
    assert!(states[1..].iter().all(|it| it.1 == "pending"), "{states:?}");
    oracle::check(&workplace, &server, 5, 0);
}

#[test]
fn the_pipelining_offer_is_read_per_connection() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Ehlo if call.connection % 2 == 1 => reply("250-localhost\r\n250 8BITMIME"),
        Stage::Dot if call.here == 1 => Action::AcceptThen(Box::new(Action::ReplyThenClose(
            b"250 2.0.0 ok, and goodbye\r\n".to_vec(),
        ))),
        _ => Action::Normal,
    });
    let workplace = job(&server, "", &FIVE);

    let output = workplace.run(&["send"]);

    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert_eq!(server.connections(), 3);
    assert!(server.violations().is_empty(), "{:?}", server.violations());
    oracle::check_settled(&workplace, &server, 5, 0);
}

#[test]
fn a_relay_that_drops_the_next_envelope_is_detected_once() {
    let setup = Setup {
        forgets: true,
        ..Setup::default()
    };
    let server = Server::set_up(setup, |_: &Call| Action::Normal);
    let workplace = job(&server, "deadlines = { mail = \"1s\" }", &FIVE);

    let usual = usual_duration();
    let start = Instant::now();
    let output = workplace.run(&["send"]);

    check_one_deadline(start, usual, "drop");
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert_eq!((server.pipelined_envelopes(), server.connections()), (1, 2));
    oracle::check_settled(&workplace, &server, 5, 0);
}

/// Checks that the time since `start` has room for one deadline of a second and for a few ordinary runs,
/// whose duration depends on the load of the machine, but not for further deadlines.
#[track_caller]
fn check_one_deadline(start: Instant, usual: Duration, name: &str) {
    let took = start.elapsed();
    let limit = Duration::from_secs(2) + 3 * usual;
    assert!(
        took < limit,
        "{name}: {took:?}, an ordinary run takes {usual:?}"
    );
}

/// The duration of a run over an ordinary relay.
fn usual_duration() -> Duration {
    let server = Server::accepting();
    let workplace = job(&server, "", &FIVE);
    let start = Instant::now();
    assert_eq!(workplace.run(&["send"]).code, 0);
    start.elapsed()
}

/// A server that loses a part of each envelope that arrives in one packet.
fn swallowing(swallows: Swallows) -> Server {
    let setup = Setup {
        swallows,
        ..Setup::default()
    };
    Server::set_up(setup, |_: &Call| Action::Normal)
}

#[test]
fn r5_a_relay_that_loses_commands_is_served_in_lock_step() {
    for swallows in [
        Swallows::FirstCommand,
        Swallows::SecondCommand,
        Swallows::Rest,
        Swallows::All,
    ] {
        let server = swallowing(swallows);
        let workplace = job(
            &server,
            "deadlines = { mail = \"1s\", rcpt = \"1s\", data = \"1s\" }",
            &FIVE,
        );

        let usual = usual_duration();
        let start = Instant::now();
        let output = workplace.run(&["send"]);

        check_one_deadline(start, usual, &format!("{swallows:?}"));
        let ended = (output.code, output.stderr.as_str());
        assert_eq!(ended, (0, ""), "{swallows:?}");
        assert_eq!(
            (server.connections(), server.pipelined_envelopes()),
            (2, 0),
            "{swallows:?}"
        );
        oracle::check_settled(&workplace, &server, 5, 0);
    }
}

#[test]
fn r5_one_pipelining_fault_disables_it_on_all_connections() {
    let server = swallowing(Swallows::Rest);
    let mut workplace = job(&server, "deadlines = { rcpt = \"1s\" }", &[]);
    workplace.smtp = workplace.smtp.replace("connections = 1", "connections = 3");
    workplace.configure();
    workplace.many_partners(30);

    let usual = usual_duration();
    let start = Instant::now();
    let output = workplace.run(&["send"]);

    // Thirty messages take longer than the five of an ordinary run.
    check_one_deadline(
        start,
        Duration::from_millis(300) + 2 * usual,
        "three connections",
    );
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    // Each of the three may have sent one packet before the first deadline expired.
    assert!(server.connections() <= 6, "{}", server.connections());
    oracle::check_settled(&workplace, &server, 30, 0);
}

#[test]
fn r5_a_503_to_mail_without_pipelining_is_reported() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Mail => reply("503 5.5.1 Error: send AUTH first"),
        _ => Action::Normal,
    });
    let workplace = job(&server, "", &FIVE);

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 69, "{output:?}");
    assert!(output.stderr.contains("send AUTH first"), "{output:?}");
    assert_eq!((server.connections(), server.count("MAIL")), (2, 2));
    workplace.all_are("pending");
}

#[test]
fn r5_a_503_in_lock_step_is_a_reply_to_the_recipient() {
    for stage in [Stage::Rcpt, Stage::Data] {
        let server = Server::start(move |call: &Call| match (call.stage, call.recipient) {
            (it, Some("a@a.example")) if it == stage => reply("503 5.5.1 not now"),
            _ => Action::Normal,
        });
        let workplace = job(&server, "", &FIVE);

        let output = workplace.run(&["send"]);

        assert_ne!(output.code, 0, "{output:?}");
        let states = workplace.states();
        assert_ne!(states[0].1, "accepted");
        assert!(
            states[1..].iter().all(|it| it.1 == "accepted"),
            "{states:?}"
        );
        assert_eq!(server.connections(), 2, "one more for lock-step");
        oracle::check(&workplace, &server, 5, 0);
    }
}

#[test]
fn r5_lost_connections_without_any_acceptance_are_reported() {
    // A relay that closes at each RCPT, with or without pipelining.
    for (partners, code, deferred) in [(1, 75, 1), (3, 69, 3), (12, 69, 10)] {
        let server = Server::start(|call: &Call| match call.stage {
            Stage::Rcpt => Action::Close,
            _ => Action::Normal,
        });
        let workplace = job(&server, "", &[]);
        workplace.many_partners(partners);

        let output = workplace.run(&["send"]);

        assert_eq!(output.code, code, "{output:?}");
        let noun = if deferred == 1 { "message" } else { "messages" };
        let sentence =
            format!("lost the connection over {deferred} {noun}, twice each, and accepted none");
        assert!(output.stderr.contains(&sentence), "{output:?}");
        let states = workplace.states();
        let count = |state: &str| states.iter().filter(|it| it.1 == state).count();
        assert_eq!(
            (count("deferred"), count("pending")),
            (deferred, partners - deferred),
            "the rest is left for a later run"
        );
        assert_eq!(server.connections(), 2 * deferred);
        oracle::check(&workplace, &server, partners, 0);
    }
}

#[test]
fn r5_lost_connections_beside_acceptances_are_not() {
    let server = Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some("b@b.example")) => Action::Close,
        _ => Action::Normal,
    });
    let workplace = job(&server, "", &FIVE);

    let output = workplace.run(&["send"]);

    assert_eq!((output.code, output.stderr.as_str()), (75, ""));
    oracle::check(&workplace, &server, 5, 0);
}

/// A server that answers this many commands of an envelope before the final dot that precedes it.
fn answering_early(commands: usize, script: fn(&Call) -> Action) -> Server {
    let setup = Setup {
        answers_early: commands,
        ..Setup::default()
    };
    Server::set_up(setup, script)
}

const EIGHT: [&str; 8] = [
    "a@a.example",
    "b@a.example",
    "c@a.example",
    "d@a.example",
    "e@a.example",
    "f@a.example",
    "g@a.example",
    "h@a.example",
];

#[test]
fn f22_a_dot_refused_out_of_order_is_not_accepted() {
    let refuse = |call: &Call| match call.stage {
        Stage::Dot => reply("550 5.7.1 we do not like that"),
        _ => Action::Normal,
    };
    // The replies to the envelope arrive at once, or later than an acceptance may stay unrecorded.
    let refuse_slowly = |call: &Call| match call.stage {
        Stage::Dot => reply("550 5.7.1 we do not like that"),
        Stage::Rcpt | Stage::Data => {
            Action::Delay(Duration::from_millis(100), Box::new(Action::Normal))
        }
        _ => Action::Normal,
    };
    // The reply to the dot follows those to the whole envelope, or that to MAIL.
    for commands in [3, 1] {
        for script in [refuse as fn(&Call) -> Action, refuse_slowly] {
            let server = answering_early(commands, script);
            let workplace = job(&server, "", &EIGHT);

            let output = workplace.run(&["send"]);

            assert_ne!(output.code, 0, "{output:?}");
            let states = workplace.states();
            assert!(states.iter().all(|it| it.1 != "accepted"), "{states:?}");
            assert_eq!(states[0].1, "unknown", "{output:?}");
            assert_eq!(server.pipelined_envelopes(), 1, "lock-step from then on");
            assert!(
                output.stderr.contains("replies came out of order"),
                "{output:?}"
            );
            oracle::check(&workplace, &server, 8, 1);
        }
    }
}

#[test]
fn f22_out_of_order_replies_cost_one_unknown() {
    let slowly = |call: &Call| match call.stage {
        Stage::Rcpt | Stage::Data => {
            Action::Delay(Duration::from_millis(100), Box::new(Action::Normal))
        }
        _ => Action::Normal,
    };
    for script in [(|_| Action::Normal) as fn(&Call) -> Action, slowly] {
        let server = answering_early(3, script);
        let workplace = job(&server, "", &EIGHT);

        let output = workplace.run(&["send"]);

        assert_eq!(output.code, 3, "{output:?}");
        let states = workplace.states();
        assert_eq!(states[0].1, "unknown");
        assert!(
            states[1..].iter().all(|it| it.1 == "accepted"),
            "{states:?}"
        );
        assert_eq!((server.connections(), server.pipelined_envelopes()), (2, 1));
        oracle::check_settled(&workplace, &server, 8, 1);
    }
}

#[test]
fn f22_an_early_refusal_before_an_accepted_dot_is_unknown() {
    // A temporary refusal of MAIL; read as the reply to the dot, it would cause a resend.
    let server = answering_early(3, |call: &Call| match call.stage {
        Stage::Mail if call.nth == 1 => reply("451 4.3.0 later"),
        _ => Action::Normal,
    });
    let workplace = job(&server, "", &EIGHT);

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 3, "{output:?}");
    assert_eq!(workplace.states()[0].1, "unknown");
    oracle::check_settled(&workplace, &server, 8, 1);
}

#[test]
fn f22_out_of_order_replies_within_one_envelope_mark_nobody() {
    for (stage, text) in [
        (Stage::Mail, "354 go on"),
        (Stage::Rcpt, "354 go on"),
        (Stage::Data, "250 ok"),
    ] {
        let server = Server::start(move |call: &Call| {
            if call.stage == stage && call.connection == 0 {
                reply(text)
            } else {
                Action::Normal
            }
        });
        let workplace = job(&server, "", &FIVE);

        let output = workplace.run(&["send"]);

        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{text}");
        assert_eq!(
            (server.connections(), server.pipelined_envelopes()),
            (2, 0),
            "{text}"
        );
        oracle::check_settled(&workplace, &server, 5, 0);
    }
}

#[test]
fn f22_a_stopping_run_still_reads_pipelined_replies() {
    let server = answering_early(3, |call: &Call| match call.stage {
        Stage::Dot => reply("550 5.7.1 we do not like that"),
        Stage::Mail if call.nth == 1 => {
            Action::Delay(Duration::from_secs(1), Box::new(Action::Normal))
        }
        Stage::Rcpt if call.nth == 1 => {
            Action::Delay(Duration::from_millis(100), Box::new(Action::Normal))
        }
        _ => Action::Normal,
    });
    let workplace = job(&server, "", &EIGHT);
    let run = workplace.start(&["send"]);
    while server.count("MAIL") < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }

    // The reply to MAIL arrives within the second in which no message may start.
    run.signal("TERM");
    let output = run.wait();

    assert_eq!(output.code, 3, "{output:?}");
    let states = workplace.states();
    assert_eq!(states[0].1, "unknown", "{output:?}");
    assert!(states[1..].iter().all(|it| it.1 == "pending"), "{states:?}");
    oracle::check(&workplace, &server, 8, 1);
}

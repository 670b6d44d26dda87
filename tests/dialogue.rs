//! The SMTP dialogue under every fault that can be injected, by the ids of docs/RELIABILITY.md (D1–D35):
//! over real sockets, with and without PIPELINING, and the invariants after each.

#![allow(
    clippy::unwrap_used,
    clippy::similar_names,
    clippy::too_many_lines,
    reason = "a test that cannot go on fails"
)]

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::pki::Pki;
use crate::support::scanner::PASSWORD;
use crate::support::smtp::{Action, Call, Login, Server, Setup, Stage, Tls, reply};
use crate::support::{Workplace, oracle, parallel};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A job with short templates over one connection.
fn job(server: &Server, pipelining: &str, partners: &[&str]) -> Workplace {
    let mut workplace = Workplace::english(server.port());
    workplace.retry = "first_after = \"1s\"".into();
    workplace.smtp(&format!("connections = 1\npipelining = \"{pipelining}\""));
    workplace.short_templates();
    workplace.partners(partners);
    workplace
}

/// Two seconds for a stage that does not answer. The others keep the deadlines of minutes, which no busy machine exceeds.
fn shorten_deadlines(workplace: &mut Workplace, stage: Stage) {
    let keys: &[&str] = match stage {
        Stage::Connect => &["connect", "tls", "banner"],
        Stage::Banner => &["banner"],
        Stage::Ehlo => &["ehlo"],
        Stage::Auth => &["auth"],
        Stage::Mail => &["mail"],
        Stage::Rcpt => &["rcpt"],
        Stage::Data => &["data"],
        Stage::Body => &["body", "dot"],
        Stage::Dot => &["dot"],
        _ => return,
    };
    let short: Vec<_> = keys.iter().map(|it| format!("{it} = \"2s\"")).collect();
    let short = format!("\ndeadlines = {{ {} }}", short.join(", "));
    workplace.smtp.push_str(&short);
    workplace.configure();
}

const BOTH: [&str; 2] = ["auto", "off"];

#[test]
fn the_test_relay_stores_a_message_before_replying() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Dot => Action::AcceptThen(Box::new(Action::Stall)),
        _ => Action::Normal,
    });
    let mut client = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let message =
        "EHLO x\r\nMAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\nx\r\n.\r\n";

    client.write_all(message.as_bytes()).unwrap();

    while server.synced().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(server.synced(), [["b@b.example"]]);
    let said = String::from_utf8(server.bytes_sent().concat()).unwrap();
    assert!(said.ends_with("354 end with <CRLF>.<CRLF>\r\n"), "{said}");
}

/// The expected result of a fault: state, exit code and number of connections of the run, and exit code
/// and state after a second run, when the relay works again and the row is due.
#[derive(Debug)]
struct Fate {
    state: &'static str,
    code: i32,
    connections: usize,
    then: (i32, &'static str),
}

/// The expected result for a short name in the tables.
fn fate(name: &str) -> Fate {
    let (state, code, connections, then) = match name {
        // A problem of the relay: nobody is marked. Retried if that can help.
        "tried" => ("pending", 69, 5, (0, "accepted")),
        "left" => ("pending", 69, 1, (0, "accepted")),
        // The connection was lost twice over this message.
        "lost" => ("deferred", 75, 2, (0, "accepted")),
        "deferred" => ("deferred", 75, 1, (0, "accepted")),
        "rejected" => ("rejected", 1, 1, (0, "rejected")),
        "unknown" => ("unknown", 3, 1, (3, "unknown")),
        // Lost once before the final dot, and once behind it.
        "late" => ("unknown", 3, 2, (3, "unknown")),
        "accepted" => ("accepted", 0, 1, (0, "accepted")),
        other => panic!("{other}"),
    };
    Fate {
        state,
        code,
        connections,
        then,
    }
}

/// A stage, a fault, and its results; several if they depend on which of two packets is read first.
struct Cell {
    stage: Stage,
    pipelining: &'static str,
    fault: Action,
    fates: Vec<Fate>,
}

impl Cell {
    fn check_case(&self, pki: &Pki) {
        let name = format!(
            "{:?} {:?}, pipelining {}",
            self.stage, self.fault, self.pipelining
        );
        let healed = Arc::new(AtomicBool::new(false));
        let (stage, fault, well) = (self.stage, self.fault.clone(), healed.clone());
        let script = move |call: &Call<'_>| {
            if call.stage == stage && !well.load(Ordering::SeqCst) {
                fault.clone()
            } else {
                Action::Normal
            }
        };
        // Faults before the banner and at the login are tested over TLS.
        let (server, mut workplace) = if matches!(self.stage, Stage::Connect | Stage::Auth) {
            login_job(pki, "PLAIN", script)
        } else {
            let server = Server::start(script);
            let workplace = job(&server, self.pipelining, &[]);
            (server, workplace)
        };
        workplace.partners(&["ada@a.example"]);
        let usual = workplace.smtp.clone();
        if self.stage == Stage::Body || matches!(self.fault, Action::Stall | Action::Drip(..)) {
            shorten_deadlines(&mut workplace, self.stage);
        }

        let first = workplace.run(&["send"]);

        let state = workplace.state();
        let met = (state.as_str(), first.code, server.connections());
        let fate = self
            .fates
            .iter()
            .find(|it| (it.state, it.code, it.connections) == met);
        let Some(fate) = fate else {
            panic!("{name}: {met:?}, not {:?}: {first:?}", self.fates);
        };
        let lost = first.stderr.contains("lost the connection over 1 message");
        if first.code == 0 || (first.code == 75 && !lost) {
            assert_eq!(
                (first.stdout.as_str(), first.stderr.as_str()),
                ("", ""),
                "{name}"
            );
        }
        // Only a message that was lost twice, with nobody accepted, is reported.
        let twice = (fate.state, fate.code, fate.connections) == ("deferred", 75, 2);
        assert_eq!(lost, twice, "{name}: {first:?}");
        oracle::check(&workplace, &server, 1, 1);

        healed.store(true, Ordering::SeqCst);
        workplace.smtp = usual;
        workplace.configure();
        if fate.state == "deferred" {
            std::thread::sleep(Duration::from_millis(1_200));
        }
        let second = workplace.run(&["send"]);
        let met = (second.code, workplace.state());
        assert_eq!(
            (met.0, met.1.as_str()),
            fate.then,
            "{name}, second run: {second:?}"
        );
        oracle::check_settled_but(&workplace, &server, 1, 1, &["rejected"]);
        let violations = server.violations();
        assert!(violations.is_empty(), "{name}: {violations:?}");
    }
}

/// Checks all cells, many at a time, because most of the time each of them waits.
fn check_all(cells: &[Cell]) {
    let pki = Pki::new();
    parallel::for_each(64, cells, |cell| cell.check_case(&pki));
}

/// The faults of the matrix, in the order of its columns.
fn faults(stage: Stage) -> [Action; 8] {
    // A relay that replies within a body does not continue as if it had not.
    let say = |text: &str| {
        let line = format!("{text}\r\n").into_bytes();
        match stage {
            Stage::Body => Action::ReplyThen(line, Box::new(Action::Stall)),
            _ => Action::Reply(line),
        }
    };
    let good: &[u8] = match stage {
        Stage::Connect | Stage::Banner => b"220 localhost ESMTP\r\n",
        Stage::Auth => b"235 2.7.0 welcome\r\n",
        Stage::Data => b"354 end with <CRLF>.<CRLF>\r\n",
        Stage::Body => b"550 5.7.1 we do not like that\r\n",
        _ => b"250 2.0.0 well then, as you say\r\n",
    };
    [
        Action::Reset,
        Action::Close,
        Action::Stall,
        say("450 4.2.1 later"),
        say("550 5.1.1 no"),
        say("nonsense"),
        Action::ReplyThenClose(b"421 4.3.2 closing\r\n".to_vec()),
        // The whole reply takes far longer than its deadline, each byte of it far less.
        Action::Drip(Duration::from_millis(250), good.to_vec()),
    ]
}

#[test]
fn d1_each_fault_at_each_stage_has_its_state_and_exit_code() {
    #[rustfmt::skip]
    let matrix = [
        //                RST             FIN             stall      4yz         5yz         garbage         421+close       drip
        (Stage::Connect, ["tried",        "tried",        "tried",   "left",     "left",     "left",         "left",         "left"]),
        (Stage::Banner,  ["tried",        "tried",        "tried",   "tried",    "left",     "tried",        "tried",        "tried"]),
        (Stage::Ehlo,    ["tried",        "tried",        "tried",   "tried",    "left",     "tried",        "tried",        "tried"]),
        (Stage::Auth,    ["tried",        "tried",        "tried",   "tried",    "left",     "tried",        "tried",        "tried"]),
        (Stage::Mail,    ["tried",        "tried",        "tried",   "tried",    "left",     "tried",        "tried",        "tried"]),
        (Stage::Rcpt,    ["lost",         "lost",         "lost",    "deferred", "rejected", "lost",         "lost",         "lost"]),
        (Stage::Data,    ["lost",         "lost",         "lost",    "deferred", "rejected", "lost",         "lost",         "lost"]),
        (Stage::Body,    ["lost|unknown|late", "lost|unknown|late", "unknown", "deferred", "rejected", "lost|unknown|late", "lost|deferred", "unknown"]),
        (Stage::Dot,     ["unknown",      "unknown",      "unknown", "deferred", "rejected", "unknown",      "deferred",     "unknown"]),
        (Stage::Quit,    ["accepted",     "accepted",     "accepted","accepted", "accepted", "accepted",     "accepted",     "accepted"]),
    ];
    let mut cells = Vec::new();
    for (stage, fates) in matrix {
        // Before MAIL there is nothing to pipeline.
        let transaction = matches!(
            stage,
            Stage::Mail | Stage::Rcpt | Stage::Data | Stage::Body | Stage::Dot
        );
        for pipelining in &BOTH[..=usize::from(transaction)] {
            for (fault, fates) in faults(stage).into_iter().zip(fates) {
                cells.push(Cell {
                    stage,
                    pipelining,
                    fault,
                    fates: fates.split('|').map(fate).collect(),
                });
            }
        }
    }
    // The longest ones first.
    cells.sort_by_key(|it| !matches!(it.fault, Action::Stall));
    check_all(&cells);
}

fn raw(bytes: &[u8]) -> Action {
    Action::Reply(bytes.to_vec())
}

/// Cells with this fault at each stage, with and without pipelining.
fn cells<'a>(rows: impl IntoIterator<Item = (Stage, Action, &'a str)>) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (stage, fault, fates) in rows {
        for pipelining in BOTH {
            cells.push(Cell {
                stage,
                pipelining,
                fault: fault.clone(),
                fates: fates.split('|').map(fate).collect(),
            });
        }
    }
    cells
}

#[test]
fn d4_a_reply_without_text_is_valid_at_every_stage() {
    check_all(&cells([
        (Stage::Banner, raw(b"220\r\n"), "accepted"),
        (Stage::Ehlo, raw(b"250\r\n"), "accepted"),
        (Stage::Mail, raw(b"250 \r\n"), "accepted"),
        (Stage::Rcpt, raw(b"250-\r\n250\r\n"), "accepted"),
        (Stage::Data, raw(b"354\r\n"), "accepted"),
        (Stage::Dot, raw(b"250\r\n"), "accepted"),
    ]));
}

#[test]
fn d5_and_d32_any_bytes_in_a_reply_are_accepted_and_escaped() {
    let long = [b"250 ".as_slice(), &[b'x'; 2_041], b"\r\n"].concat();
    assert_eq!(long.len(), 2_047);
    let table: [(&[u8], &str); 5] = [
        (
            b"250 angenommen f\xfcr Ada\r\n",
            "angenommen f\u{fffd}r Ada",
        ),
        (
            "250 angenommen für Ada ✓\r\n".as_bytes(),
            "angenommen für Ada ✓",
        ),
        (
            b"250 \x1b[2J\x1b]0;own\x07ed\x1b[31m\0\x9b1m\r\n",
            "?[2J?]0;own?ed?[31m?\u{fffd}1m",
        ),
        (
            b"250-2.0.0 \x08\x08\r\n250 2.0.0 two\rlines\r\n",
            "?? two?lines",
        ),
        (&long, &"x".repeat(500)),
    ];
    for (bytes, expected) in table {
        let reply = bytes.to_vec();
        let server = Server::start(move |call: &Call| match call.stage {
            Stage::Dot => Action::Reply(reply.clone()),
            _ => Action::Normal,
        });
        let workplace = job(&server, "auto", &["ada@a.example"]);

        let output = workplace.run(&["send"]);

        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{bytes:?}");
        assert_eq!(workplace.status()["invitations"][0]["reply"], expected);
        // Every run of the binary checks its output for escape sequences.
        let shown = workplace.run(&["status", "ada@a.example"]).stdout;
        assert!(shown.contains(&expected[..4]), "{shown}");
        oracle::check_settled(&workplace, &server, 1, 0);
    }
}

#[test]
fn d6_d7_and_d8_a_malformed_reply_is_no_reply() {
    let looks: [&[u8]; 8] = [
        b"250 bare\n",
        b"250-yes\r\n550 no\r\n",
        b"250-yes\r\n250\tyes\r\n",
        b"150 wait\r\n",
        b"050 ok\r\n",
        b"650 ok\r\n",
        b"950 ok\r\n",
        b"25O ok\r\n",
    ];
    let mut rows = Vec::new();
    for bytes in looks {
        rows.push((Stage::Mail, raw(bytes), "tried"));
        rows.push((Stage::Rcpt, raw(bytes), "lost"));
        rows.push((Stage::Data, raw(bytes), "lost"));
        // Whatever the malformed reply was meant to say.
        let unsaid = Action::ReplyThen(bytes.to_vec(), Box::new(Action::Close));
        rows.push((Stage::Dot, unsaid.clone(), "unknown"));
        rows.push((Stage::Dot, Action::AcceptThen(Box::new(unsaid)), "unknown"));
    }
    // 3yz is a reply, but none that ends anything.
    rows.push((Stage::Mail, reply("354 what"), "tried"));
    rows.push((Stage::Rcpt, reply("354 what"), "lost"));
    rows.push((Stage::Dot, reply("354 go on"), "unknown"));
    let taken = Action::AcceptThen(Box::new(reply("354 go on")));
    rows.push((Stage::Dot, taken, "unknown"));
    // An unknown code counts by its first digit.
    rows.push((Stage::Dot, reply("268 fine"), "accepted"));
    rows.push((Stage::Dot, reply("477 hm"), "deferred"));
    rows.push((Stage::Dot, reply("599 5.1.1 never"), "rejected"));
    check_all(&cells(rows));
}

#[test]
fn d9_a_250_to_data_does_not_start_the_body() {
    for pipelining in BOTH {
        let (server, workplace) = {
            let server = Server::start(|call: &Call| match call.stage {
                Stage::Data => reply("250 sure"),
                _ => Action::Normal,
            });
            let workplace = job(&server, pipelining, &["ada@a.example"]);
            (server, workplace)
        };

        let output = workplace.run(&["send"]);

        assert_eq!(
            (output.code, workplace.state().as_str()),
            (75, "deferred"),
            "{output:?}"
        );
        let wire = server.bytes_received().concat();
        assert!(
            !wire.windows(8).any(|it| it == b"Subject:"),
            "the message was written"
        );
        oracle::check(&workplace, &server, 1, 0);
    }
}

#[test]
fn d10_unsolicited_replies_end_the_connection() {
    let mut rows = Vec::new();
    for extra in [
        "250 ok",
        "354 go",
        "250 ok\r\n250 ok\r\n354 go\r\n250 accepted, really",
        "25",
    ] {
        let with = |normal: &str| raw(format!("{normal}\r\n{extra}\r\n").as_bytes());
        rows.push((Stage::Banner, with("220 localhost"), "tried"));
        rows.push((
            Stage::Ehlo,
            with("250-localhost\r\n250 PIPELINING"),
            "tried",
        ));
        rows.push((Stage::Mail, with("250 ok"), "lost"));
        rows.push((Stage::Rcpt, with("250 ok"), "lost"));
        rows.push((Stage::Data, with("354 go"), "lost"));
        // The reply to the final dot counts; the next message takes another connection.
        rows.push((Stage::Dot, with("250 ok"), "accepted"));
    }
    check_all(&cells(rows));

    for pipelining in BOTH {
        let server = Server::start(|call: &Call| match call.stage {
            Stage::Dot => raw(b"250 ok\r\n250 and ok for whom else\r\n"),
            _ => Action::Normal,
        });
        let five = [
            "a@a.example",
            "b@b.example",
            "c@c.example",
            "d@d.example",
            "e@e.example",
        ];
        let workplace = job(&server, pipelining, &five);

        let output = workplace.run(&["send"]);

        assert_eq!(
            (output.code, output.stderr.as_str()),
            (0, ""),
            "{pipelining}"
        );
        assert_eq!(server.connections(), 5, "{pipelining}");
        oracle::check_settled(&workplace, &server, 5, 0);
    }
}

#[test]
fn d11_and_d12_an_oversized_reply_is_bounded_in_memory_and_time() {
    let line = format!("250-{}\r\n", "x".repeat(994));
    let megabyte = [line.repeat(1_060), "250 the end\r\n".into()].concat();
    assert!(megabyte.len() > 1 << 20);
    let (_, _, usual) = {
        let server = Server::accepting();
        job(&server, "auto", &["ada@a.example"]).send_watched()
    };
    for fault in [Action::Reply(megabyte.into_bytes()), Action::Endless] {
        for (stage, state, code) in [(Stage::Rcpt, "deferred", 75), (Stage::Dot, "unknown", 3)] {
            let (this, what) = (stage, fault.clone());
            let server = Server::start(move |call: &Call| {
                if call.stage == this {
                    what.clone()
                } else {
                    Action::Normal
                }
            });
            // A run that waited for a deadline would be far slower than one that gives up at the limit.
            let workplace = job(&server, "auto", &["ada@a.example"]);

            let (output, took, peak) = workplace.send_watched();

            assert_eq!(
                (output.code, workplace.state().as_str()),
                (code, state),
                "{output:?}"
            );
            assert!(took < Duration::from_mins(1), "{stage:?}: {took:?}");
            assert!(
                peak <= usual + 2 * 1024,
                "{stage:?}: {peak} KiB, else {usual} KiB"
            );
            oracle::check(&workplace, &server, 1, 1);
        }
    }
}

#[test]
fn d13_a_slow_reply_has_one_deadline_for_the_whole_reply() {
    let table = [
        (Stage::Rcpt, "deferred", 75, 2),
        (Stage::Dot, "unknown", 3, 1),
    ];
    parallel::for_each(2, &table, |&(stage, state, code, connections)| {
        let server = Server::start(move |call: &Call| {
            if call.stage == stage {
                let slow = format!("250 2.0.0 well then{}\r\n", ", as you say".repeat(30));
                Action::Drip(Duration::from_millis(400), slow.into_bytes())
            } else {
                Action::Normal
            }
        });
        let mut workplace = job(&server, "auto", &["ada@a.example"]);
        shorten_deadlines(&mut workplace, stage);

        let start = Instant::now();
        let output = workplace.run(&["send"]);

        assert_eq!(
            (output.code, workplace.state().as_str()),
            (code, state),
            "{output:?}"
        );
        assert_eq!(server.connections(), connections);
        // Two seconds per connection; the whole reply would take two and a half minutes.
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "{:?}",
            start.elapsed()
        );
    });
}

#[test]
fn d14_a_relay_that_stops_reading_the_body_accepted_nothing() {
    let setup = Setup {
        window: Some(4096),
        ..Setup::default()
    };
    let server = Server::set_up(setup, |call: &Call| match (call.stage, call.recipient) {
        (Stage::Body, Some("a@a.example")) => Action::Stall,
        _ => Action::Normal,
    });
    let mut workplace = job(&server, "auto", &["a@a.example", "b@b.example"]);
    let words = "It is a long way to the end of this text.\n".repeat(5_000);
    let button = r#"<a class="button" href="{{ link }}">here</a> <p>{{ link }}</p>"#;
    workplace.words(&format!("Hello,\n\n{{{{ link }}}}\n\n{words}"), button);
    shorten_deadlines(&mut workplace, Stage::Body);

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 75, "{output:?}");
    let states: Vec<_> = workplace.states().into_iter().map(|(_, it)| it).collect();
    assert_eq!(states, ["deferred", "accepted"]);
    let note = workplace.status()["invitations"][0]["note"].to_string();
    assert!(note.contains("did not read the data within 2 s"), "{note}");
    oracle::check(&workplace, &server, 2, 0);
}

#[test]
fn d15_a_refusal_during_the_body_is_read_before_the_close() {
    let table = [
        ("552 5.3.4 too big", 75, "deferred"),
        ("550 5.1.1 gone", 1, "rejected"),
        ("452 4.3.1 no room", 75, "deferred"),
        (
            "550 5.7.705 Access denied, tenant has exceeded threshold",
            69,
            "pending",
        ),
    ];
    let mut cases = Vec::new();
    for row in table {
        for pipelining in BOTH {
            cases.extend([Action::Reset, Action::Stall].map(|then| (row, pipelining, then)));
        }
    }
    parallel::for_each(8, &cases, |&((text, code, state), pipelining, ref then)| {
        let (refusal, then) = (format!("{text}\r\n").into_bytes(), then.clone());
        let server = Server::start(move |call: &Call| match (call.stage, call.recipient) {
            (Stage::Body, Some("b@b.example")) => {
                Action::ReplyThen(refusal.clone(), Box::new(then.clone()))
            }
            _ => Action::Normal,
        });
        let mut workplace = job(&server, pipelining, &["a@a.example", "b@b.example"]);
        shorten_deadlines(&mut workplace, Stage::Body);

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
    });
}

#[test]
fn d20_a_size_limit_below_the_message_is_69() {
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
            let word = "accepts messages of at most 500 bytes, but the one to a@a.example has 1";
            assert!(output.stderr.contains(word), "{output:?}");
            assert_eq!((server.count("MAIL"), server.connections()), (0, 1));
            workplace.all_are("pending");
        }
        oracle::check(&workplace, &server, 2, 0);
    }
}

/// A job that logs in over TLS, and a server that requires the login.
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
            ..Default::default()
        }),
        ..Setup::default()
    };
    let server = Server::set_up(setup, script);
    let mut workplace = Workplace::english(server.port());
    workplace.log_in(server.port(), &pki.ca_pem, "connections = 1");
    workplace.retry = "first_after = \"1s\"".into();
    workplace.short_templates();
    workplace.partners(&["a@a.example", "b@b.example"]);
    (server, workplace)
}

#[test]
fn d24_endless_auth_challenges_end_after_one_attempt() {
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
            let word = format!("unexpected AUTH challenge \"{}\"", challenge.trim_end());
            assert!(output.stderr.contains(&word), "{output:?}");
            assert_eq!((server.count("AUTH"), server.connections()), (1, 1));
            let lines = server.commands().len() - server.count("EHLO") - server.count("QUIT");
            assert!(lines <= 3, "{:?}", server.commands());
            assert_eq!(server.count("MAIL"), 0);
            oracle::check(&workplace, &server, 2, 0);
        }
    }
}

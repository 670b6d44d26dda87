//! Realistic relays, by the ids of docs/RELIABILITY.md (D16–D34): slow, greylisting, limited, restarting,
//! old, lax, and unreachable. Over real sockets, except for deadlines of minutes.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use crate::support::pki::Pki;
use crate::support::ports::ClosedPort;
use crate::support::smtp::{Action, Call, Server, Setup, Stage, reply};
use crate::support::{Workplace, oracle, parallel};
use access_invite::address::Address;
use access_invite::config::{Config, Deadlines};
use access_invite::outcome::{Outcome, Phase, PhaseResult, phase_result};
use access_invite::relay::{Connector, Conversation, Envelope, FinalDot};
use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::time::{Instant, sleep};

const BOTH: [&str; 2] = ["auto", "off"];

/// A job with short templates over one connection, for partners `p0@a.example` and so on.
fn job(server: &Server, pipelining: &str, partners: usize) -> Workplace {
    let mut workplace = Workplace::english(server.port());
    workplace.retry = "first_after = \"1s\"".into();
    workplace.smtp(&format!(
        "connections = 1\npipelining = \"{pipelining}\"\ndeadlines = {{ rcpt = \"2s\", dot = \"2s\" }}"
    ));
    workplace.short_templates();
    let partners: Vec<_> = (0..partners).map(|it| format!("p{it}@a.example")).collect();
    workplace.partners(&partners.iter().map(String::as_str).collect::<Vec<_>>());
    workplace
}

/// The states in the order of the list.
fn states(workplace: &Workplace) -> Vec<String> {
    workplace.states().into_iter().map(|(_, it)| it).collect()
}

/// The outcome and duration of a final dot with the standard's deadlines and a reply after `time`, on a
/// paused clock.
async fn dot_answered_after(time: Duration, pipelining: bool) -> (PhaseResult, Duration) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let relay = async move {
        let (reader, mut writer) = tokio::io::split(theirs);
        let mut lines = BufReader::new(reader).lines();
        let offer = if pipelining { "PIPELINING" } else { "8BITMIME" };
        writer.write_all(b"220 hi\r\n").await.unwrap();
        while let Ok(Some(line)) = lines.next_line().await {
            let answer = match line.split(' ').next().unwrap() {
                "EHLO" => format!("250-relay\r\n250 {offer}\r\n"),
                "MAIL" | "RCPT" => "250 ok\r\n".into(),
                "DATA" => "354 go\r\n".into(),
                "." => {
                    sleep(time).await;
                    "250 ok\r\n".into()
                }
                _ => continue,
            };
            if writer.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    let relay = tokio::spawn(relay);
    let address = Address::parse("ada@a.example").unwrap();
    let envelope = Envelope {
        sender: &address,
        recipient: &address,
        reports: None,
    };
    let mut conversation = Conversation::new(ours, Deadlines::default());
    conversation.banner(Duration::from_mins(5)).await.unwrap();
    let (_, offers) = conversation.ehlo("here").await.unwrap();
    conversation.use_extensions(&offers, true);
    conversation.begin(envelope).await.unwrap();
    conversation.body(b"Subject: x\r\n\r\nx\r\n").await.unwrap();

    let start = Instant::now();
    let FinalDot::Written(heard) = conversation.dot(Some(envelope)).await else {
        panic!("the dot was not written");
    };
    let took = start.elapsed();
    drop(conversation);
    relay.await.unwrap();
    (phase_result(Phase::Dot, heard.as_ref().ok()), took)
}

#[tokio::test(start_paused = true)]
async fn d16_and_d31_the_reply_to_the_dot_has_ten_minutes() {
    for pipelining in [true, false] {
        let (verdict, _) = dot_answered_after(Duration::from_secs(599), pipelining).await;
        assert_eq!(verdict, PhaseResult::Settled(Outcome::Accepted));

        // A route that drops everything from the final dot on looks the same.
        for late in [601, 86_400] {
            let (verdict, took) = dot_answered_after(Duration::from_secs(late), pipelining).await;
            assert_eq!(verdict, PhaseResult::Settled(Outcome::Unknown));
            assert_eq!(took.as_secs(), 600);
        }
    }
}

#[test]
fn d17_and_d18_a_late_reply_is_not_used_for_another_message() {
    let cases = BOTH.map(|it| [(it, Stage::Rcpt), (it, Stage::Dot)]);
    parallel::for_each(4, cases.as_flattened(), |&(pipelining, stage)| {
        let server = Server::start(move |call: &Call| match (call.stage, call.recipient) {
            (it, Some("p0@a.example")) if it == stage && call.connection == 0 => {
                let late = Action::Delay(Duration::from_secs(4), Box::new(reply("250 ok")));
                Action::AcceptThen(Box::new(late))
            }
            (Stage::Rcpt, Some("p1@a.example")) => reply("550 5.1.1 no such user"),
            _ => Action::Normal,
        });
        let workplace = job(&server, pipelining, 3);

        let output = workplace.run(&["send"]);

        let (first, code) = match stage {
            Stage::Rcpt => ("accepted", 1),
            _ => ("unknown", 3),
        };
        assert_eq!(output.code, code, "{output:?}");
        assert_eq!(
            states(&workplace),
            [first, "rejected", "accepted"],
            "{stage:?}"
        );
        assert_eq!(server.connections(), 2);
        oracle::check(&workplace, &server, 3, 1);
    });
}

#[test]
fn d19_a_relay_without_ehlo_is_69() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Ehlo => reply("502 5.5.1 command not implemented"),
        _ => Action::Normal,
    });
    let workplace = job(&server, "auto", 2);

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 69, "{output:?}");
    assert!(
        output.stderr.contains("(ehlo): it replied \"502 5.5.1"),
        "{output:?}"
    );
    assert_eq!((server.connections(), server.count("HELO")), (1, 0));
    oracle::check(&workplace, &server, 2, 0);
}

#[test]
fn d21_and_d34_unused_extensions_are_ignored() {
    let everything = vec![
        "PIPELINING",
        "8BITMIME",
        "SMTPUTF8",
        "CHUNKING",
        "REQUIRETLS",
        "SIZE 35882577",
    ];
    for offers in [vec![], vec!["PIPELINING"], everything] {
        let setup = Setup {
            offers,
            ..Setup::default()
        };
        let server = Server::set_up(setup, |_: &Call| Action::Normal);
        let workplace = job(&server, "auto", 0);
        workplace.write(
            "partners.csv",
            "email,name\nzoe@bücher.example,Zoë Ünal 🎉\nren@例え.example,蓮\n",
        );

        let output = workplace.run(&["send"]);

        assert_eq!((output.code, output.stderr.as_str()), (0, ""));
        let envelopes: Vec<_> = server
            .commands()
            .into_iter()
            .map(|(_, it)| it)
            .filter(|it| it.starts_with("MAIL") || it.starts_with("RCPT"))
            .collect();
        let from = "MAIL FROM:<access@contoso.example>";
        let to = [
            "RCPT TO:<zoe@xn--bcher-kva.example>",
            "RCPT TO:<ren@xn--r8jz45g.example>",
        ];
        assert_eq!(envelopes, [from, to[0], from, to[1]]);
        assert!(server.accepted().iter().all(|it| it.data.is_ascii()));
        assert!(server.violations().is_empty(), "{:?}", server.violations());
    }

    // Addresses that need SMTPUTF8 never reach the relay.
    let server = Server::accepting();
    let workplace = job(&server, "auto", 0);
    workplace.write("partners.csv", "email,name\nzoë@a.example,Zoë\n");
    let output = workplace.run(&["send"]);
    assert_eq!((output.code, server.connections()), (65, 0), "{output:?}");
}

#[test]
fn d22_a_refused_data_is_deferred_and_69_if_for_everybody() {
    for pipelining in BOTH {
        let server = Server::start(|call: &Call| match (call.stage, call.recipient) {
            (Stage::Data, Some("p1@a.example" | "a@a.example" | "b@b.example" | "c@c.example")) => {
                reply("554 5.7.1 no mail from you")
            }
            (Stage::Data, Some("p2@a.example")) => reply("550 5.1.1 gone"),
            _ => Action::Normal,
        });
        let workplace = job(&server, pipelining, 4);

        let output = workplace.run(&["send"]);

        assert_eq!(output.code, 1, "{output:?}");
        let expected = ["accepted", "deferred", "rejected", "accepted"];
        assert_eq!(states(&workplace), expected);
        assert_eq!(server.connections(), 1, "a refusal costs no connection");
        oracle::check(&workplace, &server, 4, 0);

        workplace.partners(&["a@a.example", "b@b.example", "c@c.example"]);
        let output = workplace.run(&["send"]);
        assert_eq!(output.code, 69, "{output:?}");
        assert_eq!(states(&workplace)[4..], ["deferred"; 3], "{output:?}");
    }
}

#[test]
fn d26_a_greylisted_partner_is_accepted_by_a_later_run() {
    for pipelining in BOTH {
        let server = Server::start(|call: &Call| match (call.stage, call.recipient) {
            (Stage::Rcpt, Some("p1@a.example")) if call.nth < 3 => {
                reply("451 4.7.1 Greylisting in action, please come back later")
            }
            _ => Action::Normal,
        });
        let mut workplace = job(&server, pipelining, 3);
        workplace.retry = String::new();
        workplace.configure();

        let output = workplace.run(&["send"]);

        assert_eq!((output.code, output.stderr.as_str()), (75, ""));
        assert_eq!(states(&workplace), ["accepted", "deferred", "accepted"]);
        let waiting = &workplace.status()["invitations"][1];
        let time = |key: &str| -> Timestamp { waiting[key].as_str().unwrap().parse().unwrap() };
        let pause = time("next_attempt_at").duration_since(time("updated_at"));
        assert!((30..=33).contains(&pause.as_mins()), "{pause}");

        // Before the row is due nothing is sent and no connection opened.
        assert_eq!(workplace.run(&["send"]).code, 75);
        assert_eq!(server.connections(), 1);
        oracle::check(&workplace, &server, 3, 0);
    }

    let server = Server::start(|call: &Call| match call.stage {
        Stage::Rcpt if call.nth < 3 => reply("450 4.2.0 Greylisted"),
        _ => Action::Normal,
    });
    let workplace = job(&server, "auto", 3);
    assert_eq!(workplace.run(&["send"]).code, 75);
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(workplace.run(&["send"]).code, 0);
    oracle::check_settled(&workplace, &server, 3, 0);
}

#[test]
fn d28_a_relay_that_closes_after_n_messages_only_reconnects() {
    for pipelining in BOTH {
        for messages in [1, 3] {
            for goodbye in [
                "250 2.0.0 ok, and goodbye",
                "250 2.0.0 ok\r\n421 4.7.0 enough",
            ] {
                let server = Server::start(move |call: &Call| match call.stage {
                    Stage::Dot if call.here + 1 == messages => {
                        Action::ReplyThenClose(format!("{goodbye}\r\n").into_bytes())
                    }
                    _ => Action::Normal,
                });
                let workplace = job(&server, pipelining, 9);

                let output = workplace.run(&["send"]);

                assert_eq!(
                    (output.code, output.stderr.as_str()),
                    (0, ""),
                    "{pipelining}"
                );
                assert_eq!(server.connections(), 9 / messages);
                oracle::check_settled(&workplace, &server, 9, 0);
            }
        }
    }
}

#[test]
fn d29_100_relay_restarts_lose_and_repeat_nobody() {
    const PARTNERS: usize = 1_000;
    const CONNECTIONS: usize = 4;
    const RESTARTS: usize = 100;
    let setup = Setup { ..Setup::default() };
    let server = Server::set_up(setup, |_: &Call| Action::Normal);
    let mut workplace = job(&server, "auto", PARTNERS);
    workplace.smtp = workplace
        .smtp
        .replace("connections = 1", &format!("connections = {CONNECTIONS}"));
    workplace.configure();

    let mut run = workplace.start(&["send"]);
    let mut restarts = 0;
    while run.is_running() {
        if restarts < RESTARTS && server.count("DATA") > restarts * PARTNERS / RESTARTS {
            server.restart();
            restarts += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = run.wait();

    assert_eq!(restarts, RESTARTS, "{output:?}");
    oracle::check(&workplace, &server, PARTNERS, RESTARTS * CONNECTIONS);
    std::thread::sleep(Duration::from_millis(1_200));
    let clean = workplace.run(&["send"]);
    assert!(matches!(clean.code, 0 | 3), "{clean:?}");
    oracle::check_settled(&workplace, &server, PARTNERS, RESTARTS * CONNECTIONS);
    // Each unknown row was cut off behind its final dot: the relay has some of them.
    let undecided = states(&workplace)
        .iter()
        .filter(|it| *it == "unknown")
        .count();
    assert_eq!(clean.code == 3, undecided > 0);
    assert!(server.violations().is_empty(), "{:?}", server.violations());
}

/// A name server that knows no name, for the lifetime of the process.
fn serve_nxdomain(address: &str) {
    let socket = UdpSocket::bind((address, 53)).unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            let mut answer = query[..length].to_vec();
            // A response, recursion available, NXDOMAIN; only the question comes back.
            answer[2] |= 0x80;
            answer[3] = 0x83;
            answer[6..12].fill(0);
            let _ = socket.send_to(&answer, from);
        }
    });
}

#[test]
#[ignore = "needs a mount of its own, for other hosts and another name service; .ci/run calls it"]
fn d30_an_unknown_host_is_69_and_a_dead_address_is_skipped() {
    let pki = Pki::new();
    let server = Server::start_tls(pki.server("relay.invalid"), |_: &Call| Action::Normal);
    let mut workplace = job(&server, "auto", 3);
    workplace.write("ca.pem", &pki.ca_pem);
    workplace.smtp = format!(
        "host = \"relay.invalid\"\nport = {}\nca_file = \"ca.pem\"",
        server.port()
    );
    workplace.configure();
    let nobody = "127.98.76.54";
    serve_nxdomain(nobody);
    let find = |hosts: &str, resolver: &str| {
        workplace.write("hosts", hosts);
        workplace.write(
            "resolv.conf",
            &format!("nameserver {resolver}\noptions timeout:1\n"),
        );
        let mounted = "mount --bind hosts /etc/hosts && mount --bind resolv.conf /etc/resolv.conf && exec \"$@\"";
        let program = ["unshare", "--mount", "sh", "-c", mounted, "sh"];
        workplace.run_under(&program, &["send"])
    };

    // First no answer, then NXDOMAIN, then only dead addresses.
    for (hosts, resolver, word) in [
        ("", "127.98.76.53", "cannot find the relay `relay.invalid`"),
        ("", nobody, "cannot find the relay `relay.invalid`"),
        (
            "127.98.76.1 relay.invalid\n",
            nobody,
            "cannot connect to the relay relay.invalid",
        ),
    ] {
        let output = find(hosts, resolver);
        assert_eq!(output.code, 69, "{output:?}");
        assert!(output.stderr.contains(word), "{output:?}");
        assert!(states(&workplace).iter().all(|it| it == "pending"));
        assert_eq!(server.connections(), 0);
    }

    let output = find("::1 relay.invalid\n127.0.0.1 relay.invalid\n", nobody);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    oracle::check_settled(&workplace, &server, 3, 0);
}

/// A message without the value of its Date.
fn undated(message: &[u8]) -> String {
    let text = String::from_utf8(message.to_vec()).unwrap();
    let (head, rest) = text.split_once("\r\nDate: ").unwrap();
    format!("{head}{}", &rest[rest.find('\r').unwrap()..])
}

#[test]
fn d33_a_body_cannot_smuggle_a_second_message() {
    let smuggled = "x\n.\r\nMAIL FROM:<eve@e.example>\r\nRCPT TO:<bob@b.example>\r\nDATA\r\n\r\nhello\r\n.\r\n";
    let notes = [
        ".",
        "..",
        ".hidden",
        "x\r.\ry",
        "x\n.\ny",
        "x\r\n.\r\ny",
        "x\n.\r\ny",
        "x\r\n.\ny",
        smuggled,
        &"x".repeat(998),
        &"x".repeat(999),
        &"é".repeat(3_000),
    ];
    let rows: Vec<_> = notes
        .iter()
        .enumerate()
        .map(|(number, note)| format!("p{number}@a.example,\"{note}\"\n"))
        .collect();
    for lax in [false, true] {
        for pipelining in BOTH {
            let setup = Setup {
                lax,
                ..Setup::default()
            };
            let server = Server::set_up(setup, |_: &Call| Action::Normal);
            let mut workplace = job(&server, pipelining, 0);
            let button = r#"<a class="button" href="{{ link }}">here</a> <p>{{ link }}</p>
.
<p>{{ partner.extra.remark }}</p>"#;
            workplace.words(
                "{{ link }}\n.\n..\nx\r.\ry\n{{ partner.extra.remark }}\n.",
                button,
            );
            workplace.write("partners.csv", &format!("email,remark\n{}", rows.concat()));
            assert_eq!(workplace.run(&["preview", "--out", "review"]).code, 0);

            let output = workplace.run(&["send"]);

            assert_eq!((output.code, output.stderr.as_str()), (0, ""), "lax: {lax}");
            assert!(server.violations().is_empty(), "{:?}", server.violations());
            oracle::check_settled(&workplace, &server, notes.len(), 0);
            assert_eq!(server.accepted().len(), notes.len());
            assert_eq!(server.count("MAIL"), notes.len());
            let sent: BTreeMap<_, _> = server
                .accepted()
                .into_iter()
                .map(|it| (it.recipients[0].clone(), undated(&it.data)))
                .collect();
            for number in 0..notes.len() {
                let file = format!("review/messages/{:04}.eml", number + 1);
                let shown = std::fs::read(workplace.file(&file)).unwrap();
                assert_eq!(sent[&format!("p{number}@a.example")], undated(&shown));
            }
        }
    }
}

/// A connector whose relay's name resolves to these ports of this machine.
fn several(workplace: &Workplace, ports: &[u16]) -> Connector {
    let config = Config::load(&workplace.file("config.toml")).unwrap();
    let address = |port: &u16| SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
    let addresses = ports.iter().map(address).collect();
    Connector::new(&config.smtp, None)
        .unwrap()
        .with_addresses(addresses)
}

/// A server that does this at its first stage.
fn failing(action: &Action) -> Server {
    let action = action.clone();
    Server::start(move |call: &Call| match call.stage {
        Stage::Banner => action.clone(),
        _ => Action::Normal,
    })
}

const SHORT: &str =
    "deadlines = { connect = \"6s\", tls = \"6s\", banner = \"6s\", ehlo = \"6s\" }";

#[tokio::test]
async fn r17_the_next_address_is_tried_until_one_greets() {
    for action in [
        Action::Close,
        Action::Reset,
        Action::Stall,
        reply("421 4.3.2 not now"),
        reply("554 5.7.1 not you"),
        reply("HTTP/1.1 400 Bad Request"),
    ] {
        let bad = failing(&action);
        let good = Server::accepting();
        let mut workplace = Workplace::english(good.port());
        workplace.smtp(SHORT);
        let connector = several(&workplace, &[bad.port(), good.port()]);

        let start = Instant::now();
        let opened = connector.open().await;
        assert!(opened.is_ok(), "{action:?}");
        // The first address gets half of the six seconds.
        assert!(start.elapsed() < Duration::from_millis(5_500), "{action:?}");
        assert_eq!((bad.connections(), good.connections()), (1, 1));

        // Later connections begin with the address that greeted.
        let again = connector.open().await;
        assert!(again.is_ok(), "{action:?}");
        assert_eq!((bad.connections(), good.connections()), (1, 2));
    }
}

#[tokio::test]
async fn r17_an_address_whose_tls_fails_is_skipped() {
    let pki = Pki::new();
    let good = Server::start_tls(pki.server("localhost"), |_: &Call| Action::Normal);
    let failing_servers = [
        Server::start_tls(pki.expired("localhost"), |_: &Call| Action::Normal),
        Server::start_tls(pki.server("other.example"), |_: &Call| Action::Normal),
        Server::accepting(),
    ];
    let mut workplace = Workplace::english(good.port());
    workplace.write("ca.pem", &pki.ca_pem);
    workplace.smtp = format!(
        "host = \"localhost\"\nport = {}\nca_file = \"ca.pem\"",
        good.port()
    );
    workplace.configure();
    let ports: Vec<u16> = failing_servers
        .iter()
        .chain([&good])
        .map(Server::port)
        .collect();
    let opened = several(&workplace, &ports).open().await;
    assert!(opened.is_ok());
    assert_eq!(good.connections(), 1);

    let failed = several(&workplace, &ports[..3]).open().await.err().unwrap();
    for part in [
        "none of the 3 addresses",
        "expired on",
        "but for `other.example`",
        "in plain text",
    ] {
        assert!(failed.why.contains(part), "{part}: {failed}");
    }
    assert!(!failed.temporary);
}

#[tokio::test]
async fn r17_the_errors_of_all_addresses_are_reported_together() {
    let dead = ClosedPort::reserve();
    let dead_port = dead.port();
    let silent = failing(&Action::Stall);
    let closing = failing(&reply("421 4.3.2 not now"));
    let refusing = failing(&reply("554 5.7.1 not you"));
    let mut workplace = Workplace::english(refusing.port());
    workplace.smtp(SHORT);
    let ports = [dead_port, silent.port(), closing.port(), refusing.port()];
    let start = Instant::now();

    let failed = several(&workplace, &ports).open().await.err().unwrap();

    assert!(
        start.elapsed() < Duration::from_secs(6),
        "{:?}",
        start.elapsed()
    );
    for part in [
        "none of the 4 addresses of the relay 127.0.0.1:",
        "Connection refused",
        "did not answer within 2",
        "421 4.3.2 not now",
        "554 5.7.1 not you",
    ] {
        assert!(failed.why.contains(part), "{part}: {failed}");
    }
    assert_eq!(failed.why.lines().count(), 5, "{failed}");
    assert!(failed.temporary, "one of them is only closing");

    // A relay that refuses at the only address that answers is not retried.
    let ports = [dead_port, refusing.port()];
    let failed = several(&workplace, &ports).open().await.err().unwrap();
    assert!(!failed.temporary, "{failed}");
    assert_eq!(failed.phase, Phase::Banner);
    let other = format!("nothing answers at its other address 127.0.0.1:{dead_port}");
    assert!(failed.why.contains("554 5.7.1 not you"), "{failed}");
    assert!(failed.why.contains(&other), "{failed}");

    // If no address answers, the error names each.
    let failed = several(&workplace, &[dead_port, 1])
        .open()
        .await
        .err()
        .unwrap();
    assert!(failed.temporary, "{failed}");
    assert_eq!(
        failed.why.matches("Connection refused").count(),
        2,
        "{failed}"
    );

    // No address is tried after one has greeted.
    let rejecting = Server::start(|call: &Call| match call.stage {
        Stage::Ehlo => reply("550 5.7.1 no"),
        _ => Action::Normal,
    });
    let good = Server::accepting();
    let ports = [rejecting.port(), good.port()];
    assert!(several(&workplace, &ports).open().await.is_err());
    assert_eq!(good.connections(), 0);
}

#[test]
#[ignore = "needs a mount of its own, for other hosts; .ci/run calls it"]
fn r17_mail_goes_through_the_address_that_greets() {
    let server = Server::accepting();
    // The same port of another address of this machine, which closes at once.
    let closing = TcpListener::bind(("127.0.0.2", server.port())).unwrap();
    std::thread::spawn(move || {
        while let Ok((socket, _)) = closing.accept() {
            drop(socket);
        }
    });
    let mut workplace = job(&server, "auto", 3);
    workplace.smtp = workplace.smtp.replace("127.0.0.1", "localhost");
    workplace.configure();
    workplace.write("hosts", "127.0.0.2 localhost\n127.0.0.1 localhost\n");
    let mounted = "mount --bind hosts /etc/hosts && exec \"$@\"";

    let program = ["unshare", "--mount", "sh", "-c", mounted, "sh"];
    let output = workplace.run_under(&program, &["send"]);

    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    oracle::check_settled(&workplace, &server, 3, 0);
}

#[test]
fn r12_a_port_that_contradicts_the_tls_mode_is_a_warning() {
    for (lines, word) in [
        (
            "port = 465\ntls = \"starttls\"",
            "`smtp.port` = 465 is for TLS from the first byte",
        ),
        (
            "port = 587\ntls = \"implicit\"",
            "`smtp.port` = 587 is for STARTTLS",
        ),
        ("port = 587", "`smtp.port` = 587 is for STARTTLS"),
        (
            "port = 25\ntls = \"implicit\"",
            "`smtp.port` = 25 is for STARTTLS",
        ),
        ("port = 465", ""),
        ("port = 587\ntls = \"starttls\"", ""),
        ("tls = \"starttls\"", ""),
        ("port = 2525\ntls = \"starttls\"", ""),
    ] {
        let mut workplace = Workplace::english(1);
        workplace.smtp = format!("host = \"smtp.contoso.example\"\n{lines}");
        workplace.configure();

        let output = workplace.run(&["check"]);

        assert_eq!(output.code, 0, "{output:?}");
        let warned = output.stderr.contains("`smtp.port` =");
        assert_eq!(warned, !word.is_empty(), "{lines}: {output:?}");
        assert!(output.stderr.contains(word), "{lines}: {output:?}");
    }
}

#[test]
fn r12_check_connect_prints_each_step_and_what_it_waits_for() {
    let server = failing(&Action::Stall);
    let mut workplace = Workplace::english(server.port());
    workplace.smtp = workplace.smtp.replace("127.0.0.1", "localhost");
    workplace.smtp("deadlines = { banner = \"30s\" }");

    let run = workplace.start(&["check", "--connect"]);
    let begun = std::time::Instant::now();
    let seen = |word: &str| {
        while !run.written().contains(word) {
            assert!(begun.elapsed().as_secs() < 20, "{word}: {}", run.written());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    seen("relay: waiting for the greeting");
    assert!(begun.elapsed().as_secs() < 5, "at once, not at the end");
    seen("note: relay: no greeting yet\n  fix: check `smtp.port`");
    let output = run.kill();

    let mut rest = output.stdout.as_str();
    // If `localhost` has an IPv6 address too, it is tried in between.
    for step in [
        "ok: dns: the ",
        "127.0.0.1",
        "note: relay: waiting for the greeting, for up to ",
    ] {
        let (_, after) = rest
            .split_once(step)
            .unwrap_or_else(|| panic!("{step}: {output:?}"));
        rest = after;
    }

    // The complete check, with a good relay.
    let pki = Pki::new();
    let server = Server::start_tls(pki.server("localhost"), |_: &Call| Action::Normal);
    workplace.write("ca.pem", &pki.ca_pem);
    workplace.smtp = format!(
        "host = \"localhost\"\nport = {}\nca_file = \"ca.pem\"",
        server.port()
    );
    workplace.configure();
    let output = workplace.run(&["check", "--connect"]);
    assert_eq!(output.code, 0, "{output:?}");
    let mut rest = output.stdout.as_str();
    for step in [
        "ok: dns: the ",
        "ok: tls: TLS 1.3, TLS_",
        "; the certificate is for localhost, issued by access-invite test authority, and expires in ",
        &format!("ok: connect: 127.0.0.1:{} answers in ", server.port()),
        " ms: \"220 localhost ESMTP\"\n",
        "ok: ehlo: EHLO ",
        "; the relay offers PIPELINING, SIZE 35882577, 8BITMIME\n",
        "ok: relay: ready to accept mail; none was sent\n",
    ] {
        let (_, after) = rest
            .split_once(step)
            .unwrap_or_else(|| panic!("{step}: {output:?}"));
        rest = after;
    }
}

#[test]
fn f23_ipv6_addresses_work_with_and_without_brackets() {
    let server = Server::accepting();
    let outside = TcpListener::bind(("::1", 0)).unwrap();
    let port = outside.local_addr().unwrap().port();
    let inside = server.port();
    std::thread::spawn(move || {
        while let Ok((client, _)) = outside.accept() {
            let relay = std::net::TcpStream::connect(("127.0.0.1", inside)).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), relay.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            let (mut from, mut to) = (relay, client);
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        }
    });
    for host in ["::1", "[::1]", "0:0:0:0:0:0:0:1"] {
        let mut workplace = Workplace::english(port);
        workplace.smtp = workplace.smtp.replace("127.0.0.1", host);
        workplace.smtp("connections = 1");
        workplace.partners(&["ada@a.example"]);

        let output = workplace.run(&["send"]);

        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{host}");
        let relay = &workplace.status()["invitations"][0]["relay"];
        assert_eq!(relay, &format!("[::1]:{port}"));
    }
    let greeted = server.count("EHLO [IPv6:::1]") + server.count("EHLO ");
    assert!(greeted >= 3);
}

#[tokio::test]
async fn f23_the_tls_name_of_an_ipv6_host_is_the_address() {
    let pki = Pki::new();
    let server = Server::start_tls(pki.server("::1"), |_: &Call| Action::Normal);
    for (host, good) in [("::1", true), ("[::1]", true), ("[::2]", false)] {
        let mut workplace = Workplace::english(1);
        workplace.write("ca.pem", &pki.ca_pem);
        workplace.smtp = format!("host = \"{host}\"\nport = 465\nca_file = \"ca.pem\"");
        workplace.configure();
        let opened = several(&workplace, &[server.port()]).open().await;
        let why = opened.err().map(|it| it.why).unwrap_or_default();
        assert_eq!(why.is_empty(), good, "{host}: {why}");
        if !good {
            assert!(why.contains("not for `::2`, but for `::1`"), "{why}");
        }
    }
}

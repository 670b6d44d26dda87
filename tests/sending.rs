//! Sending over real sockets: TLS, limits, sender-side refusals, and the promise that a partner is
//! invited once and nobody is lost. tests/dialogue.rs checks the table of outcomes.

#![allow(
    clippy::unwrap_used,
    clippy::format_collect,
    clippy::similar_names,
    clippy::too_many_lines,
    clippy::needless_pass_by_value,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::held::Held;
use crate::support::oracle;
use crate::support::pki::Pki;
use crate::support::ports::ClosedPort;
use crate::support::smtp::{Accepted, Action, Call, Server, Setup, Stage, Tls, reply};
use crate::support::{LINK, Workplace};
use access_invite::commands::{Job, PartnerFilter};
use access_invite::config::Config;
use access_invite::delivery::{Run, RunEvent, StopKind};
use access_invite::exit::{Exit, ExitCode};
use access_invite::invitation::Unless;
use access_invite::ledger::{Ledger, RunStart};
use access_invite::outbox::{Outbox, PlannedSend};
use access_invite::relay::{Connector, Credentials};
use jiff::Timestamp;
use mail_parser::MessageParser;

/// A server that misbehaves at one stage until it is healed.
fn faulty(stage: Stage, action: Action) -> (Server, Arc<AtomicBool>) {
    let healed = Arc::new(AtomicBool::new(false));
    let well = healed.clone();
    let server = Server::start(move |call: &Call| {
        if call.stage == stage && !well.load(Ordering::SeqCst) {
            action.clone()
        } else {
            Action::Normal
        }
    });
    (server, healed)
}

#[test]
fn an_absent_relay_is_tried_five_times() {
    let absent = ClosedPort::reserve();
    let port = absent.port();
    let workplace = Workplace::english(port);
    workplace.partners(&["ada@a.example"]);

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 69);
    assert!(
        output
            .stderr
            .contains(&format!("cannot connect to the relay 127.0.0.1:{port}")),
        "{output:?}"
    );
    assert_eq!(workplace.state(), "pending");
}

#[test]
fn a_refused_recipient_keeps_the_connection() {
    let server = Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(who)) if who.starts_with("no") => reply("550 5.1.1 no such user"),
        (Stage::Dot, Some(who)) if who.starts_with("big") => reply("552 5.3.4 too big"),
        _ => Action::Normal,
    });
    let mut workplace = Workplace::english(server.port());
    workplace.smtp += "\nconnections = 1";
    workplace.configure();
    workplace.partners(&[
        "a@a.example",
        "no1@a.example",
        "b@a.example",
        "big@a.example",
        "no2@a.example",
        "c@a.example",
    ]);

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output
            .stderr
            .contains("rejected: no1@a.example: 550 5.1.1 no such user"),
        "{output:?}"
    );
    assert_eq!(server.connections(), 1);
    assert_eq!(server.accepted().len(), 3);
    assert!(server.violations().is_empty(), "{:?}", server.violations());
    let again = workplace.run(&["send"]);
    assert_eq!(
        (again.code, again.stderr.as_str(), server.connections()),
        (75, "", 1),
        "too big waits for a later run"
    );
}

#[test]
fn d28_a_421_after_every_third_message_only_reconnects() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Mail if call.nth % 4 == 3 => {
            Action::ReplyThenClose(b"421 4.7.0 enough\r\n".to_vec())
        }
        _ => Action::Normal,
    });
    let mut workplace = Workplace::english(server.port());
    workplace.smtp += "\nconnections = 1";
    workplace.configure();
    let addresses: Vec<_> = (0..20).map(|it| format!("p{it}@a.example")).collect();
    workplace.partners(&addresses.iter().map(String::as_str).collect::<Vec<_>>());

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(server.accepted().len(), 20);
    oracle::check_settled(&workplace, &server, 20, 0);
}

#[test]
fn a_failed_connection_leaves_its_messages_to_the_others() {
    // Only one connection is accepted; the others are refused permanently.
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Banner if call.connection > 0 => reply("554 5.7.0 one is enough"),
        _ => Action::Normal,
    });
    let mut workplace = Workplace::english(server.port());
    workplace.smtp += "\nconnections = 4";
    workplace.configure();
    let addresses: Vec<_> = (0..40).map(|it| format!("p{it}@a.example")).collect();
    workplace.partners(&addresses.iter().map(String::as_str).collect::<Vec<_>>());

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 0, "{output:?}");
    oracle::check_settled(&workplace, &server, 40, 0);
}

#[test]
fn five_hundred_partners_are_mailed_once_each_over_tls() {
    let pki = Pki::new();
    let server = Server::start_tls(pki.server("localhost"), |_: &Call| Action::Normal);
    let mut workplace = Workplace::new(server.port());
    workplace.write("ca.pem", &pki.ca_pem);
    workplace.smtp = format!(
        "host = \"localhost\"\nport = {}\nca_file = \"ca.pem\"\nconnections = 4",
        server.port()
    );
    workplace.configure();
    let locales = ["en", "fr-CA", "ar_EG", "", "vi"];
    let csv = |count: usize| {
        let rows: String = (0..count)
            .map(|it| {
                let locale = locales[it % 5];
                format!(
                    "p{it}@b{}.example;\"Zoë \"\"{it}\"\", Ünal\";{locale}\r\n",
                    it % 7
                )
            })
            .collect();
        format!("email;name;locale\r\n{rows}")
    };
    workplace.write("partners.csv", &csv(500));

    let first = workplace.run(&["send"]);

    assert_eq!(
        (first.code, first.stdout.as_str(), first.stderr.as_str()),
        (0, "", "")
    );
    let accepted = server.accepted();
    assert_eq!(accepted.len(), 500);
    assert!(server.most_at_once() <= 4);
    assert!(server.violations().is_empty(), "{:?}", server.violations());
    let mut seen = BTreeSet::new();
    for message in &accepted {
        let [recipient] = message.recipients.as_slice() else {
            panic!("one recipient a message: {:?}", message.recipients);
        };
        assert!(seen.insert(recipient.clone()), "{recipient} twice");
        assert_eq!(message.sender, "access@contoso.example");
        let number: usize = recipient[1..].split('@').next().unwrap().parse().unwrap();
        let mail = MessageParser::default().parse(&message.data).unwrap();
        let to = mail.to().unwrap().first().unwrap();
        assert_eq!(to.address(), Some(recipient.as_str()));
        assert_eq!(to.name(), Some(format!("Zoë \"{number}\", Ünal").as_str()));
        let language = ["en", "fr", "ar", "en", "en"][number % 5];
        assert_eq!(
            mail.header_raw("Content-Language").map(str::trim),
            Some(language)
        );
        let text = mail.body_text(0).unwrap();
        assert_eq!(text.lines().filter(|it| *it == LINK).count(), 1);
        let html = mail.body_html(0).unwrap();
        assert!(html.contains(&format!("href=\"{LINK}\"")));
        assert!(html.contains(&format!(">{LINK}<")));
    }
    oracle::check_settled(&workplace, &server, 500, 0);
    let connections = server.connections();

    let second = workplace.run(&["send"]);
    assert_eq!(
        (second.code, second.stdout.as_str(), second.stderr.as_str()),
        (0, "", "")
    );
    assert_eq!(
        server.connections(),
        connections,
        "a run with nothing to do opens no connection"
    );

    workplace.write("partners.csv", &csv(503));
    assert_eq!(workplace.run(&["send"]).code, 0);
    assert_eq!(server.accepted().len(), 503);
    oracle::check_settled(&workplace, &server, 503, 0);
}

#[test]
fn per_minute_delays_and_per_day_stops_across_runs() {
    let server = Server::accepting();
    let mut workplace = Workplace::english(server.port());
    workplace.limits = "per_minute = 1000\nper_day = 5".into();
    workplace.configure();
    let addresses: Vec<_> = (0..8).map(|it| format!("p{it}@a.example")).collect();
    workplace.partners(&addresses.iter().map(String::as_str).collect::<Vec<_>>());

    let first = workplace.run(&["send", "--limit", "3"]);
    assert_eq!(first.code, 0, "{first:?}");
    let second = workplace.run(&["send"]);
    assert_eq!(second.code, 75, "{second:?}");
    assert!(second.stderr.contains("limits.per_day"), "{second:?}");
    assert_eq!(server.accepted().len(), 5);
    oracle::check(&workplace, &server, 8, 0);
}

#[test]
fn each_limited_run_takes_the_next_rows() {
    let server = Server::accepting();
    let workplace = Workplace::english(server.port());
    let addresses: Vec<_> = (0..50).map(|it| format!("p{it}@a.example")).collect();
    workplace.partners(&addresses.iter().map(String::as_str).collect::<Vec<_>>());

    for _ in 0..5 {
        assert_eq!(workplace.run(&["send", "--limit", "10"]).code, 0);
    }

    let reached: BTreeSet<_> = server
        .accepted()
        .iter()
        .map(|it| it.recipients[0].clone())
        .collect();
    assert_eq!(reached.len(), 50);
    assert_eq!(server.accepted().len(), 50);
}

#[test]
fn guards_stop_a_run_before_any_write() {
    let server = Server::accepting();
    let mut workplace = Workplace::english(server.port());
    workplace.partners(&["ada@a.example", "bob@b.example", "eva@b.example"]);
    let refused = |workplace: &Workplace, word: &str| {
        let output = workplace.run(&["send"]);
        assert_eq!(output.code, 65, "{output:?}");
        assert!(output.stderr.contains(word), "{output:?}");
        assert_eq!(workplace.states(), []);
        assert_eq!(server.connections(), 0);
    };

    workplace.limits = "new_per_run = 2".into();
    workplace.configure();
    refused(&workplace, "3 invitations would be sent for the first time");
    workplace.limits = "only_to = [\"@b.example\"]".into();
    workplace.configure();
    refused(
        &workplace,
        "partners.csv:2: ada@a.example is not in `limits.only_to`",
    );
    workplace.limits = "only_to = []".into();
    workplace.configure();
    refused(&workplace, "only_to");

    // `--only` restricts what the guards check.
    workplace.limits = "only_to = [\"@b.example\"]\nnew_per_run = 1".into();
    workplace.configure();
    assert_eq!(workplace.run(&["send", "--only", "eva@b.example"]).code, 0);
    assert_eq!(server.accepted().len(), 1);
    let missing = workplace.run(&["send", "--only", "nobody@b.example"]);
    assert_eq!(missing.code, 65);
    assert!(missing.stderr.contains("nobody@b.example"), "{missing:?}");
}

#[test]
fn a_renamed_campaign_requires_new_campaign() {
    let server = Server::accepting();
    let workplace = Workplace::english(server.port());
    workplace.partners(&["ada@a.example"]);
    assert_eq!(workplace.run(&["send"]).code, 0);
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write("config.toml", &config.replace("\"spring\"", "\"sprnig\""));

    let stopped = workplace.run(&["send"]);
    assert_eq!(stopped.code, 65, "{stopped:?}");
    assert!(
        stopped.stderr.contains("already invited under `spring`"),
        "{stopped:?}"
    );
    assert_eq!(server.accepted().len(), 1);

    assert_eq!(workplace.run(&["send", "--new-campaign"]).code, 0);
    assert_eq!(server.accepted().len(), 2);
    let ids: BTreeSet<_> = server
        .accepted()
        .iter()
        .map(|it| {
            MessageParser::default()
                .parse(&it.data)
                .unwrap()
                .message_id()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(ids.len(), 2);
}

#[test]
fn closed_packages_removed_rows_and_readded_rows() {
    let server = Server::accepting();
    let workplace = Workplace::english(server.port());
    workplace.partners(&["ada@a.example", "bob@b.example"]);
    assert_eq!(workplace.run(&["send", "--only", "ada@a.example"]).code, 0);

    // A removed row is not mailed, and is not mailed again when it returns.
    workplace.partners(&["bob@b.example"]);
    let listed = workplace.status()["invitations"][0]["listed"].clone();
    assert_eq!(listed, serde_json::json!(false));
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write(
        "config.toml",
        &config.replace("[partners]", "respond_by = 2020-01-01\n[partners]"),
    );
    assert_eq!(workplace.run(&["send"]).code, 0);
    assert_eq!(server.accepted().len(), 1, "the package is closed");
    workplace.write("config.toml", &config);
    workplace.partners(&["ada@a.example", "bob@b.example"]);
    assert_eq!(workplace.run(&["send"]).code, 0);
    oracle::check_settled(&workplace, &server, 2, 0);
}

#[test]
fn a_deferred_row_expires_only_after_an_attempt() {
    let (server, _) = faulty(Stage::Rcpt, reply("450 4.2.1 later"));
    let mut workplace = Workplace::english(server.port());
    workplace.retry = "first_after = \"4s\"\nmax_after = \"4s\"\ngive_up_after = \"4s\"".into();
    workplace.configure();
    workplace.partners(&["ada@a.example"]);

    assert_eq!(workplace.run(&["send"]).code, 75);
    let early = workplace.run(&["send"]);
    assert_eq!(
        (early.code, server.connections()),
        (75, 1),
        "not due yet: {early:?}"
    );
    std::thread::sleep(Duration::from_secs(5));
    let last = workplace.run(&["send"]);

    assert_eq!(last.code, 1, "{last:?}");
    assert!(
        last.stderr.contains("expired: ada@a.example: 450"),
        "{last:?}"
    );
    assert_eq!(workplace.state(), "expired");
    assert_eq!(server.connections(), 2);
    let later = workplace.run(&["send"]);
    assert_eq!((later.code, later.stderr.as_str()), (1, ""), "named once");
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_second_run_at_the_same_time_is_75() {
    let held = Held::at(Stage::Dot, 0, |it| {
        it.partners(&["ada@a.example", "bob@b.example"]);
    });
    let workplace = &held.workplace;

    let second = workplace.run(&["send"]);
    let looked = workplace.run(&["status", "--format", "csv"]);
    let previewed = workplace.run(&["preview"]);

    assert_eq!(second.code, 75, "{second:?}");
    let pid = format!("(process {})", held.run.id());
    assert!(second.stderr.contains(&pid), "{second:?}");
    assert_eq!(
        (looked.code, previewed.code),
        (0, 0),
        "{looked:?} {previewed:?}"
    );
    let (server, workplace, first) = held.finish();
    assert_eq!(first.code, 0, "{first:?}");
    oracle::check_settled(&workplace, &server, 2, 0);
}

/// The messages of a run.
struct Due {
    sends: Vec<PlannedSend>,
    outbox: Outbox,
}

/// A run as `send` creates it, with its messages and its ledger, not yet started.
async fn prepare(workplace: &Workplace) -> (Run, Due, Arc<Ledger>) {
    let config = Arc::new(Config::load(&workplace.file("config.toml")).unwrap());
    let job = Job::load(config.clone(), workplace.path()).unwrap();
    let now = Timestamp::now();
    let start = RunStart {
        verb: "send",
        campaign: config.campaign.clone(),
        at: now,
    };
    let ledger = Arc::new(Ledger::open(&config.ledger, &start).unwrap());
    let plan = job.plan(&PartnerFilter::default(), now);
    let reader = ledger.reader();
    let sends = job.verify(&plan, reader, now).await.unwrap().sends;
    let run = Run {
        ledger: ledger.clone(),
        connector: Arc::new(
            Connector::new(&config.smtp, Credentials::check(&config.smtp).unwrap()).unwrap(),
        ),
        sender: config.sender.address.clone(),
        connections: 1,
        max_runtime: None,
        rates: None,
        retry: config.retry,
        unless: Unless::default(),
        receipts: false,
        breaker_open: false,
        first_pause: Duration::from_millis(5),
        clock: Timestamp::now,
        on_event: Box::new(|_, _| {}),
    };
    let outbox = Outbox::new(&job.partners, &config.campaign, &job.composer, &ledger);
    outbox.enrol(&sends, now).await.unwrap();
    (run, Due { sends, outbox }, ledger)
}

#[tokio::test]
async fn a_message_that_differs_from_the_verified_one_is_not_sent() {
    type Confuse = fn(&mut [PlannedSend]);
    let other: Confuse = |it| it[1].fingerprint = 7;
    let swapped: Confuse = |it| {
        let bob = it[1].fingerprint;
        it[1].fingerprint = it[2].fingerprint;
        it[2].fingerprint = bob;
    };
    let same_again: Confuse = |it| it[1].fingerprint = it[0].fingerprint;
    let other_row: Confuse = |it| {
        let eve = it[2];
        it[1].line = eve.line;
        it[1].offset = eve.offset;
    };
    let within_a_row: Confuse = |it| it[1].offset += 1;
    let not_recorded: Confuse = |it| {
        it[1].offset += 1;
        it[1].recorded = true;
    };
    let header: Confuse = |it| it[1].offset = 0;
    let beyond: Confuse = |it| it[1].offset = 1_000_000;
    let of_bob = "line 3: the message to bob@b.example is not the one that was verified; nothing more is sent";
    let of_eve = of_bob.replace("line 3", "line 4").replace("bob@b", "eve@c");
    let of_ob = of_bob.replace("bob@b", "ob@b");
    let no_row =
        "line 3 of the partner file is no longer the row that was verified; nothing more is sent";
    let table = [
        (other, of_bob),
        (swapped, of_bob),
        (same_again, of_bob),
        (other_row, &of_eve),
        (within_a_row, &of_ob),
        (
            not_recorded,
            "line 3: ob@b.example is not recorded in the ledger; nothing more is sent",
        ),
        (header, no_row),
        (beyond, no_row),
    ];
    for (confuse, why) in table {
        let server = Server::accepting();
        let workplace = Workplace::english(server.port());
        workplace.partners(&["ada@a.example", "bob@b.example", "eve@c.example"]);
        let (run, mut due, ledger) = prepare(&workplace).await;
        confuse(&mut due.sends);

        let stop = run.deliver(due.sends, due.outbox).await.stopped.unwrap();

        assert_eq!(stop.kind, StopKind::Internal);
        assert_eq!(stop.why, why);
        Arc::into_inner(ledger).unwrap().close().await.unwrap();
        let bob = |it: &Accepted| it.recipients == ["bob@b.example"];
        assert!(!server.accepted().iter().any(bob));
        // Each of them has their own message, or none.
        for message in server.accepted() {
            let to = message.recipients[0].as_str();
            let parsed = MessageParser::default().parse(&message.data).unwrap();
            assert_eq!(parsed.to().unwrap().first().unwrap().address(), Some(to));
        }
        oracle::check(&workplace, &server, 3, 0);
    }
}

/// A list of planned sends that is not the plan invites nobody twice and leaves the others pending.
#[tokio::test]
async fn a_message_that_is_planned_twice_is_sent_once() {
    let server = Server::accepting();
    let workplace = Workplace::english(server.port());
    workplace.partners(&["ada@a.example", "bob@b.example", "eve@c.example"]);
    let (run, due, ledger) = prepare(&workplace).await;

    let tally = run.deliver(vec![due.sends[0]; 2], due.outbox).await;

    let stop = tally.stopped.unwrap();
    assert_eq!(stop.kind, StopKind::Internal, "{}", stop.why);
    assert_eq!(tally.accepted, 1);
    Arc::into_inner(ledger).unwrap().close().await.unwrap();
    assert_eq!(server.accepted().len(), 1);
    oracle::check(&workplace, &server, 3, 0);
    assert_eq!(workplace.run(&["send"]).code, 0);
    oracle::check_settled(&workplace, &server, 3, 0);
}

/// The rows are read again by their offsets, whatever their order, and each message has the Date of its
/// attempt.
#[tokio::test]
async fn planned_sends_keep_their_order_and_get_a_current_date() {
    let server = Server::accepting();
    let workplace = Workplace::english(server.port());
    let list = "\u{feff}email,name\n\n\"ada@a.example\",\"Lovelace, Ada\"\nbob@b.example,Bob\n\neve@c.example,Eve";
    workplace.write("partners.csv", list);
    let (run, mut due, ledger) = prepare(&workplace).await;
    due.sends.reverse();
    due.sends.swap(0, 1);

    let tally = run.deliver(due.sends, due.outbox).await;

    assert!(tally.stopped.is_none(), "{tally:?}");
    Arc::into_inner(ledger).unwrap().close().await.unwrap();
    oracle::check_settled(&workplace, &server, 3, 0);
    let accepted = server.accepted();
    let recipients: Vec<_> = accepted
        .iter()
        .map(|it| it.recipients[0].as_str())
        .collect();
    assert_eq!(
        recipients,
        ["bob@b.example", "eve@c.example", "ada@a.example"]
    );
    for message in &accepted {
        let parsed = MessageParser::default().parse(&message.data).unwrap();
        let age = Timestamp::now().as_second() - parsed.date().unwrap().to_timestamp();
        assert!((0..60).contains(&age), "it is {age} seconds old");
    }
}

#[tokio::test]
async fn events_report_arms_outcomes_and_the_stop() {
    let server = Server::start(|call: &Call| {
        if call.stage == Stage::Rcpt && call.recipient == Some("eve@c.example") {
            reply("550 5.7.60 Client does not have permissions to send as this sender")
        } else {
            Action::Normal
        }
    });
    let workplace = Workplace::english(server.port());
    workplace.partners(&["ada@a.example", "bob@b.example", "eve@c.example"]);
    let (mut run, due, ledger) = prepare(&workplace).await;
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    run.on_event = Box::new(move |event, _| {
        let text = match event {
            RunEvent::Armed(recipient) => format!("{recipient}: armed"),
            RunEvent::Settled(recipient, state, ..) => format!("{recipient}: {state}"),
            RunEvent::Stopped(stop) => format!("stopped with {}", stop.exit() as u8),
            other => format!("{other:?}"),
        };
        seen.lock().unwrap().push(text);
    });

    run.deliver(due.sends, due.outbox).await;

    Arc::into_inner(ledger).unwrap().close().await.unwrap();
    let expected = [
        "ada@a.example: armed",
        "ada@a.example: accepted",
        "bob@b.example: armed",
        "bob@b.example: accepted",
    ];
    let mut events = events.lock().unwrap().clone();
    // The stop may be reported before the last outcome.
    let stops: Vec<_> = events
        .extract_if(.., |it| it == "stopped with 69")
        .collect();
    assert_eq!(stops.len(), 1, "{events:?}");
    assert_eq!(events, expected);
}

/// How many more calls of the clock succeed before it panics.
static CLOCK: AtomicUsize = AtomicUsize::new(0);

fn failing_clock() -> Timestamp {
    let left = CLOCK.fetch_sub(1, Ordering::SeqCst);
    assert!(left != 0, "the clock has failed");
    Timestamp::now()
}

#[tokio::test(flavor = "multi_thread")]
async fn a14_a_panic_stops_the_run_and_loses_nobody() {
    for calls in 0..16 {
        let server = Server::accepting();
        let mut workplace = Workplace::english(server.port());
        workplace.smtp("connections = 2");
        workplace.many_partners(6);
        let (mut run, due, ledger) = prepare(&workplace).await;
        run.connections = 2;
        run.clock = failing_clock;
        CLOCK.store(calls, Ordering::SeqCst);

        let tally = run.deliver(due.sends, due.outbox).await;

        let stop = tally.stopped.unwrap();
        assert_eq!(stop.kind, StopKind::Internal, "{}", stop.why);
        assert!(stop.why.contains("internal error"));
        Arc::into_inner(ledger).unwrap().close().await.unwrap();
        // Only the row whose worker panicked between final dot and record is unknown.
        oracle::check(&workplace, &server, 6, 1);
        let clean = workplace.run(&["send"]);
        assert!(matches!(clean.code, 0 | 3), "{calls}: {clean:?}");
        oracle::check_settled(&workplace, &server, 6, 1);
    }
}

#[test]
fn a_sender_side_refusal_stops_at_the_first_reply() {
    let table = [
        (
            Stage::Rcpt,
            "550 5.7.705 Access denied, tenant has exceeded threshold",
            "ask the administrator",
        ),
        (
            Stage::Rcpt,
            "530 5.7.57 Client not authenticated to send mail",
            "the relay requires a login",
        ),
        (
            Stage::Dot,
            "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException",
            "quota is used up",
        ),
        (
            Stage::Dot,
            "554 5.2.252 SendAsDenied; a not allowed to send as b",
            "does not let this login send as",
        ),
        (
            Stage::Mail,
            "550 5.7.60 Client does not have permissions to send as this sender",
            "does not let this login send as",
        ),
        (
            Stage::Data,
            "550 5.4.5 Daily SMTP relay limit exceeded for user",
            "quota is used up",
        ),
    ];
    for (stage, text, cure) in table {
        let (server, healed) = faulty(stage, reply(text));
        let mut workplace = Workplace::english(server.port());
        workplace.smtp += "\nconnections = 1";
        workplace.configure();
        workplace.partners(&["ada@a.example", "bob@b.example"]);

        let output = workplace.run(&["send"]);

        assert_eq!(output.code, 69, "{output:?}");
        assert!(
            output.stderr.contains(text) && output.stderr.contains(cure),
            "{output:?}"
        );
        assert!(
            workplace
                .states()
                .iter()
                .all(|(_, state)| state == "pending"),
            "{text}"
        );
        oracle::check(&workplace, &server, 2, 0);
        healed.store(true, Ordering::SeqCst);
        assert_eq!(workplace.run(&["send"]).code, 0);
        oracle::check_settled(&workplace, &server, 2, 0);
    }
}

#[tokio::test]
async fn d27_throttling_pauses_and_the_sixth_in_a_row_ends_the_run() {
    for (stage, throttles, accepted) in [
        (Stage::Rcpt, 3, 2),
        (Stage::Dot, 3, 2),
        (Stage::Rcpt, 99, 0),
    ] {
        let server = Server::start(move |call: &Call| {
            if call.stage == stage && call.nth < throttles {
                reply("451 4.7.500 Server busy. Please try again later")
            } else {
                Action::Normal
            }
        });
        let workplace = Workplace::english(server.port());
        workplace.partners(&["ada@a.example", "bob@b.example"]);
        let (run, due, ledger) = prepare(&workplace).await;

        let tally = run.deliver(due.sends, due.outbox).await;

        assert_eq!(tally.accepted, accepted, "{tally:?}");
        assert_eq!(
            tally.stopped.map(|it| it.exit()),
            (accepted == 0).then_some(Exit::TryLater)
        );
        Arc::into_inner(ledger).unwrap().close().await.unwrap();
        oracle::check(&workplace, &server, 2, 0);
        if accepted == 0 {
            workplace.all_are("pending");
            let rcpts = server
                .commands()
                .iter()
                .filter(|(_, it)| it.starts_with("RCPT"))
                .count();
            assert_eq!(rcpts, 6);
        }
    }
}

#[tokio::test]
async fn d27_a_pause_also_holds_back_a_pipelined_message() {
    let server = Server::start(|call: &Call| match call.stage {
        // While the first final dot waits for its reply, the other connection is throttled.
        Stage::Dot if call.connection == 0 && call.here == 0 => {
            Action::Delay(Duration::from_millis(800), Box::new(Action::Normal))
        }
        Stage::Rcpt if call.connection == 1 && call.here == 0 => {
            let busy = reply("451 4.7.500 Server busy. Please try again later");
            Action::Delay(Duration::from_millis(300), Box::new(busy))
        }
        _ => Action::Normal,
    });
    let workplace = Workplace::english(server.port());
    workplace.partners(&["a@a.example", "b@b.example", "c@c.example", "d@d.example"]);
    let (mut run, due, ledger) = prepare(&workplace).await;
    run.connections = 2;
    run.first_pause = Duration::from_secs(2);

    let tally = run.deliver(due.sends, due.outbox).await;

    assert_eq!(
        (tally.accepted, tally.stopped.is_none()),
        (4, true),
        "{tally:?}"
    );
    let begun = |connection: usize| -> Vec<_> {
        let commands = server.commands().into_iter();
        let here = commands.filter(|(it, line)| *it == connection && line.starts_with("RCPT"));
        here.map(|(_, line)| line).collect()
    };
    // Only the envelope that was already sent went over that connection.
    assert_eq!(begun(0).len(), 2);
    let accepted = server.accepted();
    assert_eq!(accepted.iter().filter(|it| it.connection == 0).count(), 1);
    let again = (2..server.connections()).flat_map(begun);
    assert_eq!(again.filter(|it| *it == begun(0)[1]).count(), 1);
    Arc::into_inner(ledger).unwrap().close().await.unwrap();
    oracle::check_settled(&workplace, &server, 4, 0);
}

#[test]
fn a_close_in_the_body_is_pending_and_after_the_dot_unknown() {
    for action in [Action::Close, Action::Reset, Action::CloseAfterBytes(300)] {
        let (server, healed) = faulty(Stage::Body, action);
        let mut workplace = Workplace::english(server.port());
        workplace.smtp += "\nconnections = 1";
        workplace.retry = "first_after = \"1s\"".into();
        workplace.configure();
        workplace.partners(&["ada@a.example"]);

        let output = workplace.run(&["send"]);

        // The network decides whether the close is noticed before the final dot; after the dot was
        // written, nothing but a reply can tell.
        let outcome = (output.code, workplace.state());
        assert!(
            [(75, "deferred".to_owned()), (3, "unknown".to_owned())].contains(&outcome),
            "{output:?}"
        );
        assert!(server.accepted().is_empty());
        oracle::check(&workplace, &server, 1, 1);
        healed.store(true, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(1_200));
        let again = workplace.run(&["send"]);
        assert_eq!(again.code, if outcome.0 == 75 { 0 } else { 3 }, "{again:?}");
        oracle::check_settled(&workplace, &server, 1, 1);
    }
}

#[test]
fn a_stop_wakes_waiting_workers_and_sends_nothing_more() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Dot if call.nth == 0 => {
            reply("550 5.7.60 Client does not have permissions to send as this sender")
        }
        _ => Action::Normal,
    });
    let mut workplace = Workplace::english(server.port());
    workplace.smtp += "\nconnections = 3";
    workplace.limits = "per_minute = 1".into();
    workplace.configure();
    workplace.partners(&["a@a.example", "b@b.example", "c@c.example", "d@d.example"]);

    let start = std::time::Instant::now();
    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 69, "{output:?}");
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "the waiting workers did not stop"
    );
    assert!(server.accepted().is_empty());
    workplace.all_are("pending");
}

#[test]
fn refusals_in_flight_when_the_breaker_opens_are_deferred() {
    let server = Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(who)) if who.starts_with("dead") => reply("550 5.1.1 no such user"),
        // Slower, so that the dead address has its answer before the breaker opens.
        (Stage::Rcpt, _) => {
            let refusal = reply("550 5.7.1 Access denied");
            Action::Delay(Duration::from_millis(500), Box::new(refusal))
        }
        _ => Action::Normal,
    });
    let mut workplace = Workplace::english(server.port());
    workplace.smtp += "\nconnections = 8";
    workplace.configure();
    let addresses: Vec<_> = (0..40).map(|it| format!("p@a{it}.example")).collect();
    let mut all = vec!["dead@x.example"];
    all.extend(addresses.iter().map(String::as_str));
    workplace.partners(&all);

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 69, "{output:?}");
    // 69 means that nobody was rejected, not even with evidence from before the breaker opened.
    for (address, state) in workplace.states() {
        let may_be = ["deferred", "pending"].contains(&state.as_str());
        assert!(may_be, "{address} is {state}");
    }
    assert!(
        output.stderr.contains("deferred: dead@x.example"),
        "{output:?}"
    );
    assert!(
        server.count("RCPT") <= 1 + 10 + 8,
        "{}",
        server.count("RCPT")
    );
}

#[test]
fn a_relay_with_one_connection_gets_all_messages() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Banner if call.connection > 0 => {
            Action::ReplyThenClose(b"421 4.3.2 one connection is enough\r\n".to_vec())
        }
        _ => Action::Normal,
    });
    let workplace = Workplace::english(server.port());
    let addresses: Vec<_> = (0..10).map(|it| format!("p{it}@a.example")).collect();
    workplace.partners(&addresses.iter().map(String::as_str).collect::<Vec<_>>());

    let output = workplace.run(&["send"]);

    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    oracle::check_settled(&workplace, &server, 10, 0);
}

#[tokio::test]
async fn one_throttled_recipient_does_not_block_the_others() {
    for text in [
        "450 4.7.1 rate limit exceeded",
        "421 4.7.0 Too many messages in this session",
    ] {
        let server = Server::start(move |call: &Call| match (call.stage, call.recipient) {
            (Stage::Rcpt, Some(who)) if who.starts_with("slow") => reply(text),
            _ => Action::Normal,
        });
        let workplace = Workplace::english(server.port());
        workplace.partners(&["slow@a.example", "b@b.example", "c@c.example"]);
        let (run, due, ledger) = prepare(&workplace).await;

        let tally = run.deliver(due.sends, due.outbox).await;

        assert_eq!(tally.accepted, 2, "{text}: {tally:?}");
        assert_eq!(
            tally.stopped.map(|it| it.exit()),
            Some(Exit::TryLater),
            "{text}"
        );
        Arc::into_inner(ledger).unwrap().close().await.unwrap();
        oracle::check(&workplace, &server, 3, 0);
        assert!(
            workplace
                .states()
                .contains(&("slow@a.example".into(), "pending".into()))
        );
    }
}

#[test]
fn a_symbolic_link_leads_to_the_same_ledger() {
    let held = Held::at(Stage::Dot, 0, |it| it.partners(&["ada@a.example"]));
    let workplace = &held.workplace;
    std::os::unix::fs::symlink("ledger.sqlite3", workplace.file("link.sqlite3")).unwrap();
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write(
        "linked.toml",
        &config.replace("ledger.sqlite3", "link.sqlite3"),
    );

    let second = workplace.run(&["send", "-c", "linked.toml"]);
    assert_eq!(second.code, 75, "{second:?}");
    let (server, workplace, first) = held.finish();
    assert_eq!(first.code, 0, "{first:?}");
    workplace.partners(&["ada@a.example", "bob@b.example"]);
    assert_eq!(workplace.run(&["send", "-c", "linked.toml"]).code, 0);
    oracle::check_settled(&workplace, &server, 2, 0);
}

/// A relay that replies to each final dot after this delay.
fn slow(delay: Duration) -> Server {
    Server::start(move |call: &Call| match call.stage {
        Stage::Dot => Action::Delay(delay, Box::new(Action::Normal)),
        _ => Action::Normal,
    })
}

#[test]
fn a_signal_finishes_only_messages_in_flight() {
    for signal in ["TERM", "INT"] {
        let server = slow(Duration::from_millis(700));
        let workplace = Workplace::english(server.port());
        let addresses: Vec<_> = (0..20).map(|it| format!("p{it}@a.example")).collect();
        workplace.partners(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
        let run = workplace.start(&["send"]);
        while server
            .commands()
            .iter()
            .filter(|(_, it)| it == "DATA")
            .count()
            < 2
        {
            std::thread::sleep(Duration::from_millis(5));
        }

        run.signal(signal);
        let output = run.wait();

        assert_eq!(output.code, 75, "{output:?}");
        let said = format!("stopped by SIG{signal}");
        assert!(output.stderr.contains(&said), "{output:?}");
        let taken = server.accepted().len();
        assert!((1..=4).contains(&taken), "{taken}");
        oracle::check(&workplace, &server, 20, 0);
        assert!(!workplace.file("ledger.sqlite3-wal").exists());
    }
}

#[test]
fn a_second_signal_exits_at_once_and_armed_is_unknown() {
    let server = slow(Duration::from_mins(1));
    let workplace = Workplace::english(server.port());
    workplace.partners(&["ada@a.example", "bob@b.example", "eva@e.example"]);
    let run = workplace.start(&["send"]);
    let armed = || {
        workplace
            .states()
            .iter()
            .filter(|(_, it)| it == "armed")
            .count()
    };
    while server.connections() == 0 || armed() < 2 {
        std::thread::sleep(Duration::from_millis(20));
    }

    let start = std::time::Instant::now();
    for _ in 0..2 {
        run.signal("TERM");
        std::thread::sleep(Duration::from_millis(300));
    }
    let output = run.wait();

    assert_eq!(output.code, 75, "{output:?}");
    assert!(start.elapsed() < Duration::from_secs(30));
    let counts = "3 messages: 0 accepted, 2 cut short, 1 not attempted";
    assert!(output.stderr.contains(counts), "{output:?}");
    let fate =
        "2 messages were cut short and are perhaps sent; the next run records them as `unknown`";
    assert!(output.stderr.contains(fate), "{output:?}");
    let next = workplace.run(&[
        "resolve",
        "--all-unknown",
        "--as",
        "abandoned",
        "--note",
        "x",
    ]);
    assert_eq!(next.stdout.lines().count(), 2, "{next:?}");
}

/// The signal and the time limit arrive while the last messages are under way.
#[test]
fn a_stop_that_leaves_nothing_undone_is_no_error() {
    for limit in ["", "max_runtime = \"1s\""] {
        let server = slow(Duration::from_secs(3));
        let mut workplace = Workplace::english(server.port());
        workplace.limits = limit.into();
        workplace.configure();
        workplace.partners(&["ada@a.example", "bob@b.example"]);
        let run = workplace.start(&["send"]);
        let armed = || workplace.states().iter().all(|it| it.1 == "armed");
        while workplace.states().len() < 2 || !armed() {
            std::thread::sleep(Duration::from_millis(20));
        }
        if limit.is_empty() {
            run.signal("TERM");
        }

        let output = run.wait();

        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{limit}");
        workplace.all_are("accepted");
    }
}

#[test]
fn no_message_starts_after_max_runtime() {
    let server = slow(Duration::from_millis(400));
    let mut workplace = Workplace::english(server.port());
    workplace.limits = "max_runtime = \"1s\"\nper_minute = 1000".into();
    workplace.configure();
    let addresses: Vec<_> = (0..40).map(|it| format!("p{it}@a.example")).collect();
    workplace.partners(&addresses.iter().map(String::as_str).collect::<Vec<_>>());

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 75, "{output:?}");
    assert!(output.stderr.contains("limits.max_runtime"), "{output:?}");
    assert!(
        (2..20).contains(&server.accepted().len()),
        "{}",
        server.accepted().len()
    );
    oracle::check(&workplace, &server, 40, 0);
}

/// A job that logs in at a relay which throttles the first so many logins, and its server.
fn throttled_login(throttles: usize, text: &'static str) -> (Server, Workplace) {
    let pki = Pki::new();
    let setup = Setup {
        tls: Some((Tls::Implicit, pki.server("localhost"))),
        ..Setup::default()
    };
    let server = Server::set_up(setup, move |call: &Call| match call.stage {
        Stage::Ehlo => reply("250-localhost\r\n250-PIPELINING\r\n250 AUTH PLAIN"),
        Stage::Auth if call.nth < throttles => reply(text),
        Stage::Auth => reply("235 2.7.0 welcome"),
        _ => Action::Normal,
    });
    let mut workplace = Workplace::english(server.port());
    workplace.log_in(server.port(), &pki.ca_pem, "tls = \"implicit\"");
    workplace.partners(&["ada@a.example", "bob@b.example"]);
    (server, workplace)
}

#[tokio::test]
async fn r16_a_throttled_login_gets_a_pause_and_too_many_end_the_run() {
    let text = "454 4.7.0 Too many login attempts, please try again later";
    for (throttles, accepted) in [(3, 2), (99, 0)] {
        let (server, workplace) = throttled_login(throttles, text);
        let (mut run, due, ledger) = prepare(&workplace).await;
        run.first_pause = Duration::from_millis(40);
        let start = Instant::now();

        let tally = run.deliver(due.sends, due.outbox).await;

        assert_eq!(tally.accepted, accepted, "{tally:?}");
        // 40 + 80 + 160 ms, or the first five pauses: never the seconds between other failures.
        let took = start.elapsed();
        let pauses = if accepted > 0 { 280 } else { 40 * 31 };
        let pauses = Duration::from_millis(pauses);
        assert!(
            (pauses..pauses + Duration::from_millis(1_500)).contains(&took),
            "{took:?}"
        );
        if accepted == 0 {
            let stop = tally.stopped.unwrap();
            assert_eq!(stop.kind, StopKind::Later);
            assert!(
                stop.why.contains("keeps asking to slow down"),
                "{}",
                stop.why
            );
            assert!(stop.why.contains("Too many login attempts"), "{}", stop.why);
            assert_eq!(server.count("AUTH"), 6);
        }
        Arc::into_inner(ledger).unwrap().close().await.unwrap();
        oracle::check(&workplace, &server, 2, 0);
    }
}

#[test]
fn r16_a_throttled_login_is_not_repeated_within_seconds() {
    let (server, workplace) = throttled_login(99, "454 4.7.0 Too many login attempts");
    let mut workplace = workplace;
    workplace.limits += "\nmax_runtime = \"3s\"";
    workplace.configure();

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 75, "{output:?}");
    assert!(
        output.stderr.contains("`limits.max_runtime` is reached"),
        "{output:?}"
    );
    assert_eq!(server.count("AUTH"), 1);
}

#[tokio::test]
async fn r16_a_connection_limit_keeps_the_open_connections() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Banner if call.connection > 0 => reply("421 4.7.0 Too many connections"),
        Stage::Dot => Action::Delay(Duration::from_millis(50), Box::new(Action::Normal)),
        _ => Action::Normal,
    });
    let workplace = Workplace::english(server.port());
    workplace.partners(&["a@a.example", "b@b.example", "c@c.example", "d@d.example"]);
    let (mut run, due, ledger) = prepare(&workplace).await;
    run.connections = 3;
    run.first_pause = Duration::from_mins(1);

    let start = Instant::now();
    let tally = run.deliver(due.sends, due.outbox).await;

    assert_eq!(tally.accepted, 4, "{tally:?}");
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "the connections waited for each other"
    );
    Arc::into_inner(ledger).unwrap().close().await.unwrap();
    oracle::check_settled(&workplace, &server, 4, 0);
}

#[tokio::test]
async fn r16_a_throttled_mail_gets_a_pause_too() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Mail if call.nth < 3 => reply("451 4.7.500 Server busy. Please try again later"),
        _ => Action::Normal,
    });
    let workplace = Workplace::english(server.port());
    workplace.partners(&["ada@a.example", "bob@b.example"]);
    let (mut run, due, ledger) = prepare(&workplace).await;
    run.first_pause = Duration::from_millis(40);
    let start = Instant::now();

    let tally = run.deliver(due.sends, due.outbox).await;

    assert_eq!(
        (tally.accepted, tally.stopped.is_none()),
        (2, true),
        "{tally:?}"
    );
    // 40 + 80 + 160 ms, not the seconds between failures of another kind.
    let took = start.elapsed();
    assert!(
        (Duration::from_millis(280)..Duration::from_secs(3)).contains(&took),
        "{took:?}"
    );
    Arc::into_inner(ledger).unwrap().close().await.unwrap();
    oracle::check_settled(&workplace, &server, 2, 0);
}

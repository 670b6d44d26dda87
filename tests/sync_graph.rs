//! `sync` through Microsoft Graph: the mailbox that reports come to, and the message trace of Exchange Online.
//! Every request is watched: the double fails the test on anything but a `GET` and the token.

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::exchange::{Exchange, MAILBOX, SENDER, TRACES, without_service_principal};
use crate::support::graph::{Graph, configure, error, error_with_pause, page};
use crate::support::held::Held;
use crate::support::ports::ClosedPort;
use crate::support::smtp::{Action as Reply, Call, Server, Stage};
use crate::support::token_endpoint::{Action, json as answer};
use crate::support::{Output, Workplace};
use crate::sync::{history, message_id, report, report_with};

const ADA: &str = "ada@a.example";
const BOB: &str = "bob@a.example";
/// The mailbox is [`MAILBOX`].
const BOUNCES: &str = "[bounces]\ngraph_mailbox = \"partner-access@contoso.example\"\n";
/// Nothing but the trace.
const TRACE: &str = "before_send = \"off\"\nmessage_trace = true";

/// A tenant with its mailbox, a relay, and a job that has invited partners.
struct Job {
    graph: Graph,
    exchange: Exchange,
    server: Server,
    workplace: Workplace,
}

impl Job {
    /// Reads the mailbox, the trace, or both.
    fn new(mailbox: bool, trace: bool, server: Server) -> Self {
        let graph = Graph::start();
        let exchange = Exchange::start(&graph);
        let mut workplace = Workplace::english(server.port());
        graph.configure(&mut workplace, trace.then_some(TRACE));
        if mailbox {
            workplace.extra += BOUNCES;
        }
        workplace.configure();
        Self {
            graph,
            exchange,
            server,
            workplace,
        }
    }

    fn mailbox() -> Self {
        let job = Self::new(true, false, Server::accepting());
        job.invite(&[ADA, BOB], 0);
        job
    }

    fn trace() -> Self {
        let job = Self::new(false, true, Server::accepting());
        job.invite(&[ADA, BOB], 0);
        job
    }

    #[track_caller]
    fn invite(&self, addresses: &[&str], code: i32) {
        self.workplace.partners(addresses);
        let output = self.workplace.run(&["send"]);
        assert_eq!(output.code, code, "{output:?}");
    }

    #[track_caller]
    fn sync(&self, code: i32) -> Output {
        let output = self.workplace.run(&["sync"]);
        assert_eq!(output.code, code, "{output:?}");
        output
    }

    fn id(&self, address: &str) -> String {
        message_id(&self.workplace, address)
    }

    fn state(&self, address: &str) -> String {
        let mut states = self.workplace.states().into_iter();
        states.find(|it| it.0 == address).unwrap().1
    }

    /// The requests to Graph whose targets contain a text.
    fn asked(&self, part: &str) -> usize {
        let targets = self.graph.targets();
        targets.iter().filter(|it| it.contains(part)).count()
    }

    /// Sets back when everything was recorded.
    fn age(&self, days: i64) {
        let ledger = Connection::open(self.workplace.file("ledger.sqlite3")).unwrap();
        let milliseconds = days * 24 * 3_600 * 1_000;
        ledger
            .execute("UPDATE history SET at = at - ?1", [milliseconds])
            .unwrap();
    }
}

/// A relay that closes the connection in place of its reply to the message.
fn silent() -> Server {
    Server::start(|call: &Call| match call.stage {
        Stage::Dot => Reply::Close,
        _ => Reply::Normal,
    })
}

#[test]
fn reports_in_a_mailbox_of_exchange_online_are_recorded_once() {
    let job = Job::mailbox();
    let (ada, bob) = (job.id(ADA), job.id(BOB));
    for number in 0..7 {
        job.exchange.mail(
            &format!("AAMkAGI{number}="),
            "Subject: hello\r\n\r\nthanks\r\n",
        );
    }
    job.exchange
        .mail("AAMkAGIx/+=", report("exchange-online-en", ADA, &ada));
    let own = [("report-1@", "late@")];
    job.exchange.mail(
        "AAMkAGIy-_",
        report_with("postfix-delayed", BOB, &bob, &own),
    );

    let output = job.sync(1);

    assert!(
        output
            .stdout
            .starts_with(&format!("{ADA} (spring): accepted → bounced: 550 5.1.10")),
        "{output:?}"
    );
    assert!(
        output.stdout.ends_with(
            "9 mails read: 2 reports about these invitations (2 new), 1 bounced, 1 noted\n"
        ),
        "{output:?}"
    );
    assert_eq!(
        (job.state(ADA), job.state(BOB)),
        ("bounced".into(), "accepted".into())
    );
    // Three pages of ids, and each mail once; only mail since the first message.
    assert_eq!(
        (
            job.asked("/mailFolders/inbox/messages?"),
            job.asked("/$value")
        ),
        (3, 9)
    );
    let targets = job.graph.targets();
    let listing = targets
        .iter()
        .find(|it| it.contains("/mailFolders/"))
        .unwrap();
    let since = (Timestamp::now() - SignedDuration::from_hours(48))
        .strftime("%Y-%m-%dT")
        .to_string();
    assert!(
        listing.contains(&format!("receivedDateTime%20ge%20{since}")),
        "{listing}"
    );
    let before = history(&job.workplace, ADA);

    let again = job.sync(0);

    assert!(
        again
            .stdout
            .contains("2 reports about these invitations (0 new)"),
        "{again:?}"
    );
    assert_eq!(history(&job.workplace, ADA), before);
}

#[test]
fn without_a_message_nothing_is_asked_of_exchange_online() {
    let job = Job::new(true, true, Server::accepting());
    job.sync(0);
    // Only requests for access are read.
    let targets = job.graph.targets();
    let is_other = |it: &&String| !it.starts_with("/v1.0/identityGovernance/");
    assert_eq!(targets.iter().find(is_other), None);
}

#[test]
fn a_mailbox_is_read_ninety_days_back_at_most() {
    let job = Job::mailbox();
    job.age(300);
    job.sync(0);
    let since = (Timestamp::now() - SignedDuration::from_hours(90 * 24))
        .strftime("%Y-%m-%dT")
        .to_string();
    assert_eq!(
        job.asked(&format!("receivedDateTime%20ge%20{since}")),
        1,
        "{:?}",
        job.graph.targets()
    );
}

#[test]
fn what_prevents_reading_a_mailbox_is_said_with_its_fix() {
    for (status, code, words) in [
        (403, 78, "needs the application permission Mail.Read"),
        (
            404,
            78,
            "`bounces.graph_mailbox` must be the address of a mailbox",
        ),
        (400, 78, "does not accept the request"),
        (401, 78, "is refused; check `microsoft.tenant`"),
        (
            503,
            75,
            "is overloaded or has an internal error; try again later",
        ),
    ] {
        let job = Job::mailbox();
        job.graph.refuse("/mailFolders/", status);
        let output = job.sync(code);
        assert!(output.stderr.contains(words), "{words}: {output:?}");
        assert!(output.stderr.contains(MAILBOX), "{output:?}");
        job.workplace.all_are("accepted");
    }
    let job = Job::mailbox();
    let mut refusals = 2;
    job.graph.script("/mailFolders/", move |_| {
        refusals -= 1;
        (refusals >= 0).then(|| error_with_pause(429, "0.05"))
    });
    job.exchange
        .mail("A", report("google-unknown", ADA, &job.id(ADA)));
    job.sync(1);
    let job = Job::mailbox();
    std::fs::remove_file(job.workplace.file("client-secret")).unwrap();
    let output = job.sync(78);
    assert!(
        output.stderr.contains("microsoft.client_secret_file"),
        "{output:?}"
    );
}

#[test]
fn an_exchange_online_out_of_reach_is_75_and_other_sources_are_read() {
    let mut job = Job::mailbox();
    let id = job.id(ADA);
    job.workplace.write(
        "back.mbox",
        &format!(
            "From x Mon Nov 30 09:01:00 2026\n{}",
            report("google-unknown", ADA, &id)
        ),
    );
    let closed = ClosedPort::reserve();
    let nobody = format!("http://127.0.0.1:{}", closed.port());
    configure(&mut job.workplace, &job.graph.url(), &nobody, Some(TRACE));
    job.workplace.extra += BOUNCES;
    job.workplace.extra += "mbox = \"back.mbox\"\n";
    job.workplace.configure();

    let output = job.workplace.run(&["sync", "--format", "json"]);

    assert_eq!(output.code, 75, "{output:?}");
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    let sources = json["sources"].as_array().unwrap();
    assert_eq!(sources.len(), 3, "{json}");
    assert_eq!(
        (&sources[0]["mails"], &sources[0]["error"]),
        (&1.into(), &Value::Null)
    );
    for (source, name) in [
        (1, format!("the mailbox {MAILBOX}")),
        (2, format!("the message trace of {SENDER}")),
    ] {
        assert_eq!(sources[source]["name"], name);
        let error = sources[source]["error"].as_str().unwrap();
        assert!(error.contains("connection refused"), "{error}");
    }
    assert_eq!(job.state(ADA), "bounced");
}

#[test]
fn a_mail_that_cannot_be_read_does_not_prevent_the_others_of_a_mailbox() {
    let job = Job::mailbox();
    for number in 0..5 {
        job.exchange
            .mail(&format!("ok{number}"), "Subject: x\r\n\r\n");
    }
    // It was deleted meanwhile; it cannot be converted; its answer is cut.
    let mut mails = 0;
    job.graph.script("/messages/ok", move |_| {
        mails += 1;
        match mails {
            1 => Some(error(404)),
            2 => Some(error(400)),
            _ => None,
        }
    });
    job.exchange
        .mail("report", report("google-unknown", ADA, &job.id(ADA)));

    let output = job.sync(78);

    assert!(
        output.stderr.contains("does not accept the request"),
        "{output:?}"
    );
    assert!(
        output.stdout.contains("4 mails read: 1 report"),
        "{output:?}"
    );
    assert_eq!(job.state(ADA), "bounced");
    // If all of them fail, the rest is not tried.
    for number in 0..50 {
        job.exchange
            .mail(&format!("ok{number}"), "Subject: x\r\n\r\n");
    }
    job.graph.refuse("/$value", 400);
    let before = job.asked("/$value");
    let output = job.sync(78);
    assert!(
        output.stderr.contains("; also unreadable: 7 mails"),
        "{output:?}"
    );
    assert_eq!(job.asked("/$value") - before, 8);
}

#[test]
fn a_huge_mail_is_cut_and_still_read() {
    let job = Job::mailbox();
    let text = report("google-unknown", ADA, &job.id(ADA));
    let mut huge = text.into_bytes();
    huge.resize(20 * 1024 * 1024, b'x');
    job.exchange.mail("huge", huge);
    job.sync(1);
    assert_eq!(job.state(ADA), "bounced");
}

/// The answer to a request for this URL.
type Script = Box<dyn FnMut(&str) -> Action + Send>;

#[test]
fn hostile_lists_of_mails_are_errors_and_no_token_goes_elsewhere() {
    let other = Graph::start();
    let foreign = format!("{}/v1.0/x", other.url());
    let filler = "x".repeat(7 * 1024 * 1024);
    let cases: [(&str, i32, Script); 6] = [
        (
            "leads to another server",
            78,
            Box::new(move |_| page(&json!([{"id": "A"}]), Some(&foreign))),
        ),
        (
            "in a circle",
            78,
            Box::new(|own| page(&json!([]), Some(own))),
        ),
        (
            "is not what Microsoft documents",
            78,
            Box::new(|_| page(&json!([{"id": 7}]), None)),
        ),
        (
            "is not what Microsoft documents",
            78,
            Box::new(|_| answer(200, "[]")),
        ),
        (
            "closed before the answer was complete",
            75,
            Box::new(|_| {
                Action::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"value\":".to_vec())
            }),
        ),
        ("larger than 64 MiB", 78, {
            let mut number = 0;
            Box::new(move |own| {
                number += 1;
                page(
                    &json!([{"id": "A", "new": filler}]),
                    Some(&format!("{own}&page={number}")),
                )
            })
        }),
    ];
    for (words, code, mut script) in cases {
        let job = Job::mailbox();
        let url = job.graph.url();
        job.graph.script("/mailFolders/", move |request| {
            let own = request.head.split(' ').nth(1).unwrap();
            let own = own.split("&page=").next().unwrap();
            Some(script(&format!("{url}{own}")))
        });
        let output = job.sync(code);
        assert!(output.stderr.contains(words), "{words}: {output:?}");
        job.workplace.all_are("accepted");
    }
    assert_eq!(other.requests(), 0);
}

#[test]
fn an_id_leads_to_no_other_resource() {
    let job = Job::mailbox();
    let ids = [
        "..",
        ".",
        "../../../organization",
        "a/../../b",
        "?$x=y#z",
        "%2e%2e",
        "é\u{202e} \u{1b}[31m",
    ];
    for id in ids {
        job.exchange.mail(id, "Subject: x\r\n\r\n");
    }
    let output = job.sync(0);
    // Two of them are the id of no mail.
    assert!(output.stdout.starts_with("5 mails read"), "{output:?}");
    let begin = format!("/v1.0/users/{MAILBOX}/messages/");
    let targets = job.graph.targets();
    let reads: Vec<_> = targets
        .iter()
        .filter(|it| it.ends_with("/$value"))
        .collect();
    assert_eq!(reads.len(), ids.len());
    for target in reads {
        let id = target
            .strip_prefix(&begin)
            .unwrap()
            .strip_suffix("/$value")
            .unwrap();
        assert!(!id.contains(['/', '?', '#', ' ']), "{target}");
    }
}

#[test]
fn a_failure_in_the_message_trace_is_a_bounce_with_its_reason() {
    let job = Job::trace();
    let (ada, bob) = (job.id(ADA), job.id(BOB));
    job.exchange.explain("Reason: [{LED=550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found};{MSG=};{FQDN=};{IP=};{LRT=}]");
    for number in 0..7 {
        job.exchange
            .trace(&format!("{number}@other.example"), ADA, "failed");
    }
    job.exchange.trace(&ada, "ADA@A.example", "failed");
    job.exchange.trace(&bob, BOB, "delivered");
    let before = history(&job.workplace, BOB);

    let output = job.sync(1);

    assert!(
        output.stdout.starts_with(&format!("{ADA} (spring): accepted → bounced: 550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found\n")),
        "{output:?}"
    );
    assert!(
        output.stdout.contains("0 mails and 9 entries of the message trace read: 1 report about these invitations (1 new), 1 bounced\n"),
        "{output:?}"
    );
    // An accepted message stays accepted: that it was passed on proves no more.
    assert_eq!(history(&job.workplace, BOB), before);
    assert_eq!(job.state(BOB), "accepted");
    let last = history(&job.workplace, ADA).pop().unwrap();
    assert_eq!(
        (&last["smtp_code"], &last["enhanced_code"]),
        (&550.into(), &"5.1.10".into())
    );
    let note = last["note"].as_str().unwrap();
    assert!(
        note.starts_with("message trace of 2")
            && note.ends_with("Z, failed: Exchange Online could not deliver the message"),
        "{note}"
    );
    assert_eq!(job.asked("getDetailsByRecipient"), 1);

    // Bob's message is still to be read about; what is recorded is not looked up again.
    let recorded = history(&job.workplace, ADA);
    let again = job.sync(0);
    assert!(
        again
            .stdout
            .contains("1 report about these invitations (0 new)"),
        "{again:?}"
    );
    assert_eq!(history(&job.workplace, ADA), recorded);
    assert_eq!(job.asked("getDetailsByRecipient"), 1);
}

#[test]
fn a_failure_whose_details_cannot_be_read_is_a_bounce_without_a_reason() {
    for status in [403, 404, 400] {
        let job = Job::trace();
        job.exchange.trace(&job.id(ADA), ADA, "Failed");
        job.graph.refuse("getDetailsByRecipient", status);
        job.sync(1);
        assert_eq!(job.state(ADA), "bounced");
        let note = history(&job.workplace, ADA).pop().unwrap()["note"].clone();
        assert!(
            note.as_str()
                .unwrap()
                .ends_with("Exchange Online could not deliver the message"),
            "{note}"
        );
    }
}

#[test]
fn an_entry_of_the_message_trace_settles_an_unknown_and_absence_proves_nothing() {
    for (status, expected, code) in [
        (None, "unknown", 0),
        (Some("gettingStatus"), "accepted", 0),
        (Some("pending"), "accepted", 0),
        (Some("delivered"), "accepted", 0),
        (Some("quarantined"), "accepted", 0),
        (Some("unheardOf"), "accepted", 0),
        (Some("failed"), "bounced", 1),
    ] {
        let job = Job::new(false, true, silent());
        job.invite(&[ADA], 3);
        let id = job.id(ADA);
        // Neither another recipient nor another message is evidence.
        job.exchange.trace(&id, BOB, "failed");
        job.exchange.trace(
            "0123456789abcdef0123456789abcdef@contoso.example",
            ADA,
            "failed",
        );
        if let Some(status) = status {
            job.exchange.trace(&id, ADA, status);
        }
        job.sync(code);
        assert_eq!(job.state(ADA), expected, "{status:?}");
        job.sync(0);
        assert_eq!(job.state(ADA), expected, "{status:?}");
        drop(job.server);
    }
}

#[test]
fn a_status_that_changes_late_is_recorded() {
    let job = Job::new(false, true, silent());
    job.invite(&[ADA], 3);
    let id = job.id(ADA);
    // An entry appears a day late, is pending, and fails days later.
    job.age(3);
    let at = Timestamp::now() - SignedDuration::from_hours(72);
    job.sync(0);
    assert_eq!(job.state(ADA), "unknown");
    job.exchange.trace_at(at, &id, ADA, "pending");
    job.sync(0);
    assert_eq!(job.state(ADA), "accepted");
    job.exchange.forget_traces();
    job.exchange.trace_at(at, &id, ADA, "failed");
    job.sync(1);
    assert_eq!(job.state(ADA), "bounced");
}

#[test]
fn the_message_trace_is_asked_for_the_times_of_messages_only() {
    let job = Job::trace();
    let (ada, bob) = (job.id(ADA), job.id(BOB));
    // Ada was invited 60 days ago, Bob today: two windows, and none for the weeks between.
    let ledger = Connection::open(job.workplace.file("ledger.sqlite3")).unwrap();
    let back = 60_i64 * 24 * 3_600 * 1_000;
    let changed = ledger.execute(
        "UPDATE history SET at = at - ?1 WHERE invitation = (SELECT id FROM invitation WHERE address = ?2)",
        rusqlite::params![back, ADA],
    );
    assert!(changed.unwrap() >= 2);
    drop(ledger);
    let then = Timestamp::now() - SignedDuration::from_hours(60 * 24);
    job.exchange.trace_at(then, &ada, ADA, "failed");
    job.exchange.trace(&bob, BOB, "failed");

    job.sync(1);

    assert_eq!(
        (job.state(ADA), job.state(BOB)),
        ("bounced".into(), "bounced".into())
    );
    assert_eq!(job.asked(&format!("{TRACES}?")), 2);
    // Nothing is accepted or unknown any more, so nothing is asked.
    job.sync(0);
    assert_eq!(job.asked(&format!("{TRACES}?")), 2);
    // Exchange remembers 90 days.
    let job = Job::trace();
    job.age(91);
    job.sync(0);
    assert_eq!(job.asked(TRACES), 0);
}

#[test]
fn what_prevents_reading_the_message_trace_is_said_with_its_fix() {
    for (status, code, words) in [
        (
            403,
            78,
            "needs the application permission ExchangeMessageTrace.Read.All",
        ),
        (400, 78, "does not accept the request"),
        (503, 75, "try again later"),
    ] {
        let job = Job::trace();
        job.graph.refuse(TRACES, status);
        let output = job.sync(code);
        assert!(output.stderr.contains(words), "{words}: {output:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
        job.workplace.all_are("accepted");
    }
    let job = Job::trace();
    job.graph
        .script(TRACES, |_| Some(without_service_principal()));
    let output = job.sync(78);
    assert!(
        output
            .stderr
            .contains("`New-MgServicePrincipal -AppId 8bd644d1-64a1-4d4b-ae52-2e0cbf64e373`"),
        "{output:?}"
    );
    // It stops before the pause that is too long.
    let job = Job::trace();
    job.graph
        .script(TRACES, |_| Some(error_with_pause(429, "300")));
    let output = job.sync(75);
    assert!(output.stderr.contains("in 300 s"), "{output:?}");
    assert_eq!(job.asked(TRACES), 1);
}

#[test]
fn hostile_entries_of_the_message_trace_change_nothing() {
    let job = Job::trace();
    let id = job.id(ADA);
    let before = history(&job.workplace, ADA);
    let entries = json!([
        {},
        {"messageId": null, "recipientAddress": null, "status": null},
        {"messageId": format!("<{id}>"), "recipientAddress": format!("{ADA}, {BOB}"), "status": "failed"},
        {"messageId": format!("<{id}>"), "recipientAddress": format!("x{ADA}"), "status": "failed"},
        {"messageId": format!("{}@contoso.example", &id[1..]), "recipientAddress": ADA, "status": "failed"},
        {"messageId": "é".repeat(32), "recipientAddress": ADA, "status": "failed"},
        {"messageId": "", "recipientAddress": ADA, "status": "failed"},
    ]);
    job.graph
        .script(TRACES, move |_| Some(page(&entries, None)));
    let output = job.sync(0);
    assert!(
        output.stdout.contains("7 entries of the message trace"),
        "{output:?}"
    );
    assert_eq!(history(&job.workplace, ADA), before);

    // What is recorded of a forged entry's text is bounded and printable.
    let job = Job::trace();
    let id = job.id(ADA);
    let evil = format!("{}\u{1b}[2J\u{202e}\n\r\t", "x".repeat(100_000));
    let entry = json!([{"id": "../..", "messageId": format!("<{id}>"), "recipientAddress": ADA, "status": "failed", "receivedDateTime": evil}]);
    job.graph.script(TRACES, move |_| Some(page(&entry, None)));
    let details = json!([{"event": format!("Fail{evil}"), "description": evil}]);
    job.graph
        .script("getDetails", move |_| Some(page(&details, None)));
    job.sync(1);
    let note = history(&job.workplace, ADA).pop().unwrap()["note"].clone();
    let note = note.as_str().unwrap();
    assert!(
        note.chars().count() < 1_200 && !note.contains(char::is_control),
        "{note:?}"
    );
    assert!(
        job.graph
            .targets()
            .iter()
            .filter(|it| !it.starts_with("/v1.0/identityGovernance/"))
            .all(|it| it.starts_with(&format!("/v1.0{TRACES}")))
    );

    // Wrong types and pages without end.
    for (words, entries, next) in [
        (
            "is not what Microsoft documents",
            json!([{"status": 7}]),
            None,
        ),
        ("is not what Microsoft documents", json!({}), None),
        (
            "leads to another server",
            json!([]),
            Some("https://graph.example/x"),
        ),
    ] {
        let job = Job::trace();
        job.graph
            .script(TRACES, move |_| Some(page(&entries, next)));
        let output = job.sync(78);
        assert!(output.stderr.contains(words), "{words}: {output:?}");
    }
}

#[test]
fn both_are_read_beside_a_run_that_sends() {
    let graph = Graph::start();
    let exchange = Exchange::start(&graph);
    let held = Held::at(Stage::Dot, 1, |it| {
        graph.configure(it, Some(TRACE));
        it.extra += BOUNCES;
        it.configure();
        it.partners(&[ADA, BOB]);
    });
    let (ada, bob) = (
        message_id(&held.workplace, ADA),
        message_id(&held.workplace, BOB),
    );
    exchange.trace(&ada, ADA, "failed");
    exchange.trace(&bob, BOB, "failed");
    let own = [("report-1@", "own@")];
    exchange.mail("A", report_with("postfix-unknown-user", BOB, &bob, &own));

    let output = held.workplace.run(&["sync"]);

    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stdout.contains("2 left for the next sync"),
        "{output:?}"
    );
    let (_server, workplace, ended) = held.finish();
    assert_eq!(ended.code, 0, "{ended:?}");
    let states = |workplace: &Workplace| {
        workplace
            .states()
            .into_iter()
            .map(|it| it.1)
            .collect::<Vec<_>>()
    };
    assert_eq!(states(&workplace), ["bounced", "accepted"]);
    assert_eq!(workplace.run(&["sync"]).code, 1);
    assert_eq!(states(&workplace), ["bounced", "bounced"]);
    assert_eq!(workplace.run(&["sync"]).code, 0);
}

#[test]
fn check_entra_says_whether_both_can_be_read() {
    let job = Job::new(true, true, Server::accepting());
    job.workplace.partners(&[ADA]);
    let check = |code: i32| {
        let output = job.workplace.run(&["check", "--entra"]);
        assert_eq!(output.code, code, "{output:?}");
        output
    };
    let good = check(0);
    assert!(
        good.stdout.contains(&format!(
            "entra: bounces.graph_mailbox: the application can read the inbox of {MAILBOX}"
        )),
        "{good:?}"
    );
    assert!(
        good.stdout.contains(&format!(
            "entra: entra.message_trace: the application can read the message trace of {SENDER}"
        )),
        "{good:?}"
    );

    job.graph.refuse("/mailFolders/", 403);
    job.graph.refuse(TRACES, 403);
    let refused = check(0);
    for (what, permission) in [
        ("not checked: the mailbox that `sync` reads", "Mail.Read"),
        (
            "not checked: the message trace that `sync` reads",
            "ExchangeMessageTrace.Read.All",
        ),
    ] {
        assert!(
            refused.stderr.contains(what) && refused.stderr.contains(permission),
            "{refused:?}"
        );
    }
    // Without the keys, nothing is asked.
    let job = Job::new(false, false, Server::accepting());
    job.workplace.run(&["check", "--entra"]);
    assert_eq!(job.asked("/users/") + job.asked(TRACES), 0);
}

#[test]
fn both_need_their_tables_and_the_trace_the_global_cloud() {
    let mut workplace = Workplace::english(1);
    workplace.extra = BOUNCES.into();
    workplace.configure();
    let output = workplace.run(&["check"]);
    assert_eq!(output.code, 78);
    assert!(
        output
            .stderr
            .contains("`bounces.graph_mailbox` needs the table `[microsoft]`"),
        "{output:?}"
    );
    workplace.extra = "[bounces]\ngraph_mailbox = \"partner-access\"\n".into();
    workplace.configure();
    let output = workplace.run(&["check"]);
    assert!(
        output.stderr.contains("must be the address of a mailbox"),
        "{output:?}"
    );
    configure(
        &mut workplace,
        "https://login.example",
        "https://graph.example",
        Some(TRACE),
    );
    workplace.extra = workplace
        .extra
        .replace("[entra]", "cloud = \"china\"\n[entra]");
    workplace.configure();
    let output = workplace.run(&["check"]);
    assert_eq!(output.code, 78);
    assert!(
        output
            .stderr
            .contains("`entra.message_trace` needs `microsoft.cloud` = \"global\""),
        "{output:?}"
    );
}

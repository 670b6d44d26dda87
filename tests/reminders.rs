//! Reminders: only to partners who are silent, in time, in the thread of the invitation, and never too often. The
//! days between runs pass by moving the times in the closed ledger back.

use std::collections::{BTreeMap, BTreeSet};

use mail_parser::MessageParser;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::graph::{Graph, PACKAGE, error, request};
use crate::support::sheet::Sheet;
use crate::support::smtp::gate::gate;
use crate::support::smtp::{Accepted, Action, Server, Stage, reply};
use crate::support::{Output, Workplace};

const DAY: i64 = 24 * 3_600 * 1_000;
const AT: &str = "2026-11-21T08:00:00Z";
const ADA: &str = "ada@a.example";
const SCHEDULE: &str = "[reminders]\nafter = \"7d\"\nevery = \"3d\"\nat_most = 2\n";

/// Makes a job with short templates remind.
fn with_reminders(workplace: &mut Workplace, lines: &str) {
    workplace.short_templates();
    let html = r#"<p>Invited on {{ invited_on }}.</p><a class="button" href="{{ link }}">here</a> <p>{{ link }}</p>"#;
    let text = "Invited on {{ invited_on }}.\n\n{{ link }}\n";
    workplace.write("words/en/reminder.subject.txt", "Reminder\n");
    workplace.write("words/en/reminder.txt", text);
    workplace.write("words/en/reminder.html", html);
    workplace.extra += lines;
    workplace.configure();
}

/// A job that reminds by time only, and has invited these partners.
fn invited(server: &Server, partners: &[&str]) -> Workplace {
    let mut workplace = Workplace::new(server.port());
    with_reminders(&mut workplace, SCHEDULE);
    workplace.partners(partners);
    send(&workplace, 0);
    workplace
}

#[track_caller]
fn send(workplace: &Workplace, code: i32) -> Output {
    let output = workplace.run(&["send"]);
    assert_eq!(output.code, code, "{output:?}");
    output
}

/// Moves all times in the ledger back, as if so many days had passed.
fn days_pass(workplace: &Workplace, days: i64) {
    let ledger = Connection::open(workplace.file("ledger.sqlite3")).unwrap();
    let passed = format!(
        "UPDATE invitation SET created_at = created_at - {by}, updated_at = updated_at - {by},
            accepted_at = accepted_at - {by}, deferred_since = deferred_since - {by},
            next_attempt_at = next_attempt_at - {by};
         UPDATE access_reading SET at = at - {by};
         UPDATE notice SET at = at - {by};",
        by = days * DAY
    );
    ledger.execute_batch(&passed).unwrap();
}

fn is_reminder(message: &Accepted) -> bool {
    let message = String::from_utf8_lossy(&message.data);
    message.contains("\r\nSubject: Reminder\r\n")
}

/// The recipients of the accepted reminders, in their order.
fn reminded(server: &Server) -> Vec<String> {
    let accepted = server.accepted().into_iter().filter(is_reminder);
    accepted.flat_map(|it| it.recipients).collect()
}

/// The reminders of an address in JSON.
fn reminders(workplace: &Workplace, address: &str) -> Vec<Value> {
    let status = workplace.status();
    let mut rows = status["invitations"].as_array().unwrap().iter();
    let row = rows.find(|it| it["email"] == *address).unwrap();
    row["reminders"].as_array().unwrap().clone()
}

/// Occasion and state of each of these reminders.
fn states(reminders: &[Value]) -> Vec<(&str, &str)> {
    reminders
        .iter()
        .map(|it| {
            (
                it["occasion"].as_str().unwrap(),
                it["state"].as_str().unwrap(),
            )
        })
        .collect()
}

#[test]
fn a_campaign_of_60_reminds_only_the_silent_once_each() {
    let (held, keeper) = gate();
    // The final dot of the eleventh reminder.
    let server = Server::start(move |call| match (call.stage, call.nth) {
        (Stage::Dot, 70) => Action::Hold(held.clone(), Box::new(Action::Normal)),
        _ => Action::Normal,
    });
    let graph = Graph::start();
    let mut workplace = Workplace::new(server.port());
    graph.configure(&mut workplace, Some(""));
    workplace.smtp("connections = 1");
    with_reminders(&mut workplace, SCHEDULE);
    let partners: Vec<String> = (0..60)
        .map(|it| format!("p{it:02}@d{it:02}.example"))
        .collect();
    workplace.partners(&partners.iter().map(String::as_str).collect::<Vec<_>>());
    send(&workplace, 0);
    let ask = |numbers: &[usize]| {
        let asked = numbers
            .iter()
            .map(|it| request(PACKAGE, &partners[*it], "pendingApproval", AT));
        let asked: Vec<Value> = asked.collect();
        graph.change(|it| it["assignmentRequests"] = asked.clone().into());
    };
    // Between the runs.
    let mut asked: Vec<usize> = (0..60).step_by(4).collect();
    ask(&asked);
    days_pass(&workplace, 6);
    send(&workplace, 0);
    assert_eq!(reminded(&server), [""; 0]);
    days_pass(&workplace, 2);

    let run = workplace.start(&["send"]);
    keeper.wait();
    // During the run.
    asked.extend([1, 29, 30, 31, 59]);
    ask(&asked);
    let synced = workplace.run(&["sync"]);
    assert_eq!(synced.code, 0, "{synced:?}");
    keeper.release();
    let output = run.wait();
    assert_eq!(output.code, 0, "{output:?}");

    let got = reminded(&server);
    let distinct: BTreeSet<&String> = got.iter().collect();
    assert_eq!(got.len(), distinct.len(), "twice: {got:?}");
    let knew = |it: &usize| asked.contains(it) && *it != 1;
    let silent: BTreeSet<&String> = (0..60)
        .filter(|it| !knew(it))
        .map(|it| &partners[it])
        .collect();
    assert_eq!(distinct, silent);
    for (number, partner) in partners.iter().enumerate() {
        let reminders = reminders(&workplace, partner);
        let expected: &[_] = match number {
            29..=31 | 59 => &[("reminder-1", "abandoned")],
            _ if number % 4 == 0 => &[],
            _ => &[("reminder-1", "accepted")],
        };
        assert_eq!(states(&reminders), expected, "{partner}");
        if number == 29 {
            assert_eq!(reminders[0]["note"], "access was requested");
        }
    }
    let counts = &workplace.status()["counts"];
    assert_eq!(counts["accepted"], 60, "{counts}");
    // The same day, and when the next is due to those who were reminded.
    send(&workplace, 0);
    assert_eq!(reminded(&server).len(), silent.len());
    days_pass(&workplace, 4);
    send(&workplace, 0);
    assert_eq!(
        reminded(&server).len(),
        2 * silent.len() - 1,
        "p01 has asked"
    );
    days_pass(&workplace, 100);
    send(&workplace, 0);
    assert_eq!(reminded(&server).len(), 2 * silent.len() - 1);
    assert_eq!(server.violations(), [""; 0]);
}

#[test]
fn a_reminder_is_in_the_thread_of_the_invitation_and_says_when_that_was() {
    let server = Server::accepting();
    let workplace = invited(&server, &[ADA]);
    days_pass(&workplace, 8);
    let date = {
        let ledger = Connection::open(workplace.file("ledger.sqlite3")).unwrap();
        let query = "SELECT date(accepted_at / 1000, 'unixepoch') FROM invitation";
        let date = ledger.query_row(query, [], |row| row.get::<_, String>(0));
        date.unwrap().parse::<jiff::civil::Date>().unwrap()
    };
    send(&workplace, 0);

    let accepted = server.accepted();
    let [invitation, reminder] = accepted.as_slice() else {
        panic!("{} messages", accepted.len());
    };
    let parse = |it| MessageParser::default().parse(it).unwrap();
    let (invitation, reminder) = (parse(&invitation.data), parse(&reminder.data));
    let id = invitation.message_id().unwrap();
    assert_eq!(reminder.in_reply_to().as_text(), Some(id));
    assert_eq!(reminder.references().as_text(), Some(id));
    assert_ne!(reminder.message_id(), Some(id));
    assert!(invitation.in_reply_to().as_text().is_none());
    let invite_id =
        |it: &mail_parser::Message<'_>| it.header_raw("X-Access-Invite-Id").map(str::to_owned);
    assert_ne!(invite_id(&invitation), invite_id(&reminder));
    let shown = format!("{} {}", date.strftime("%B"), date.day());
    let text = reminder.body_text(0).unwrap();
    assert!(
        text.contains(&shown) || text.contains(&date.strftime("%-d %B").to_string()),
        "{shown}: {text}"
    );
    let recorded = reminders(&workplace, ADA);
    assert_eq!(recorded[0]["message_id"], reminder.message_id().unwrap());
}

#[test]
fn reminders_follow_their_schedule_without_entra() {
    let server = Server::accepting();
    let workplace = invited(&server, &[ADA]);

    for (days, total) in [(6, 0), (1, 1), (0, 1), (2, 1), (1, 2), (30, 2)] {
        days_pass(&workplace, days);
        send(&workplace, 0);
        assert_eq!(reminded(&server).len(), total, "after {days} more days");
    }
    let recorded = reminders(&workplace, ADA);
    assert_eq!(
        states(&recorded),
        [("reminder-1", "accepted"), ("reminder-2", "accepted")]
    );
    assert_eq!(workplace.state(), "accepted");
}

#[test]
fn a_resent_invitation_is_reminded_of_anew() {
    let server = Server::accepting();
    let workplace = invited(&server, &[ADA]);
    days_pass(&workplace, 8);
    send(&workplace, 0);
    let resend = ["resolve", ADA, "--as", "resend", "--note", "lost"];
    assert_eq!(workplace.run(&resend).code, 0);
    days_pass(&workplace, 4);
    send(&workplace, 0);
    assert_eq!(reminded(&server).len(), 1, "the invitation was sent again");

    for (days, total) in [(6, 1), (1, 2)] {
        days_pass(&workplace, days);
        send(&workplace, 0);
        assert_eq!(reminded(&server).len(), total, "after {days} more days");
    }
    let accepted = server.accepted();
    let parse = |it: usize| MessageParser::default().parse(&accepted[it].data).unwrap();
    assert_eq!(parse(3).in_reply_to().as_text(), parse(2).message_id());
}

#[test]
fn nobody_is_reminded_whose_invitation_did_not_arrive_or_is_closed() {
    let server = Server::start(|call| match call.recipient {
        Some("dee@d.example") if call.stage == Stage::Rcpt => reply("450 4.2.0 later"),
        Some("eve@e.example") if call.stage == Stage::Dot => Action::Close,
        Some("fay@f.example") if call.stage == Stage::Rcpt => reply("550 5.1.1 no such user"),
        _ => Action::Normal,
    });
    let mut workplace = Workplace::new(server.port());
    with_reminders(&mut workplace, SCHEDULE);
    let partners = [
        ADA,
        "bob@b.example",
        "dee@d.example",
        "eve@e.example",
        "fay@f.example",
    ];
    workplace.partners(&partners);
    send(&workplace, 3);
    let bounced = [
        "resolve",
        "bob@b.example",
        "--as",
        "bounced",
        "--note",
        "seen",
    ];
    assert_eq!(workplace.run(&bounced).code, 0);
    // The last day to respond has passed.
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let closed = config.replacen(
        "name = \"Project space\"",
        "name = \"Project space\"\nrespond_by = 2026-01-31",
        1,
    );
    days_pass(&workplace, 8);
    workplace.write("config.toml", &closed);
    send(&workplace, 3);
    assert_eq!(reminded(&server), [""; 0]);
    workplace.write("config.toml", &config);
    send(&workplace, 3);
    assert_eq!(reminded(&server), [ADA]);
}

#[test]
fn an_open_reminder_is_abandoned_when_its_invitation_comes_back() {
    let server = Server::start(|call| match (call.stage, call.nth) {
        (Stage::Rcpt, 1..) => reply("450 4.2.0 later"),
        _ => Action::Normal,
    });
    let workplace = invited(&server, &[ADA]);
    days_pass(&workplace, 8);
    send(&workplace, 75);
    assert_eq!(
        states(&reminders(&workplace, ADA)),
        [("reminder-1", "deferred")]
    );
    let bounced = ["resolve", ADA, "--as", "bounced", "--note", "seen"];
    assert_eq!(workplace.run(&bounced).code, 0);

    send(&workplace, 0);

    let recorded = reminders(&workplace, ADA);
    assert_eq!(states(&recorded), [("reminder-1", "abandoned")]);
    let note = "the invitation or an earlier reminder did not arrive, or was closed";
    assert_eq!(recorded[0]["note"], note);
    assert_eq!(server.accepted().len(), 1);
}

#[test]
fn an_unknown_reminder_blocks_the_next_until_it_is_resolved() {
    let server = Server::start(|call| match (call.stage, call.nth) {
        (Stage::Dot, 1) => Action::AcceptThen(Box::new(Action::Close)),
        _ => Action::Normal,
    });
    let workplace = invited(&server, &[ADA]);
    days_pass(&workplace, 8);
    let output = send(&workplace, 3);
    for words in ["ada@a.example (reminder-1)", "--occasion reminder-1"] {
        assert!(output.stderr.contains(words), "{words}: {output:?}");
    }
    days_pass(&workplace, 30);
    send(&workplace, 3);
    assert_eq!(reminded(&server).len(), 1);
    // The date of the invitation is in the message.
    days_pass(&workplace, -30);
    // `--state` and the counts speak of invitations.
    let status = workplace.status();
    assert_eq!(
        (&status["counts"]["unknown"], &status["counts"]["accepted"]),
        (&json!(0), &json!(1))
    );
    let listed = workplace.run(&["status", "--state", "unknown"]);
    assert!(!listed.stdout.contains(ADA), "{listed:?}");
    let decision = "needs a decision:\n  reminder-1 to ada@a.example is unknown:\n    access-invite resolve ada@a.example --occasion reminder-1 --as accepted|resend|abandoned --note TEXT\n";
    let overview = workplace.run(&["status"]);
    assert!(overview.stdout.contains(decision), "{overview:?}");
    let history = workplace.run(&["status", ADA]);
    assert!(
        history
            .stdout
            .contains("history of reminder-1 to ada@a.example"),
        "{history:?}"
    );

    let resolve = |occasion: &[&str], decision| {
        let mut arguments = vec!["resolve", ADA, "--as", decision, "--note", "seen"];
        arguments.extend(occasion);
        workplace.run(&arguments)
    };
    let invitation = resolve(&[], "accepted");
    assert_eq!(
        invitation.code, 65,
        "the invitation is accepted already: {invitation:?}"
    );
    let missing = resolve(&["--occasion", "reminder-2"], "accepted");
    assert_eq!(missing.code, 65);
    assert!(
        missing.stderr.contains("no reminder-2 to ada@a.example"),
        "{missing:?}"
    );
    let resent = resolve(&["--occasion", "reminder-1"], "resend");
    assert_eq!(resent.code, 0, "{resent:?}");
    assert!(
        resent.stdout.contains("reminder-1): unknown → pending"),
        "{resent:?}"
    );
    send(&workplace, 0);
    // The same bytes, so that a mailbox recognises the duplicate.
    let sent: Vec<Accepted> = server.accepted().into_iter().filter(is_reminder).collect();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].data, sent[1].data);
    days_pass(&workplace, 4);
    send(&workplace, 0);
    assert_eq!(
        states(&reminders(&workplace, ADA)),
        [("reminder-1", "accepted"), ("reminder-2", "accepted")]
    );
}

#[test]
fn without_a_reading_of_the_last_hour_invitations_go_and_reminders_wait() {
    let server = Server::accepting();
    let graph = Graph::start();
    let mut workplace = Workplace::new(server.port());
    graph.configure(&mut workplace, Some("before_send = \"off\""));
    with_reminders(&mut workplace, SCHEDULE);
    workplace.partners(&[ADA]);
    send(&workplace, 0);
    assert_eq!(graph.requests(), 0, "nobody is due to be reminded");
    days_pass(&workplace, 8);
    workplace.partners(&[ADA, "bob@b.example"]);
    graph.script("/assignmentRequests", |_| Some(error(503)));

    let output = send(&workplace, 75);

    assert!(
        output
            .stderr
            .contains("it is not known who has asked for access"),
        "{output:?}"
    );
    assert!(
        output.stderr.contains("not reminded in this run"),
        "{output:?}"
    );
    assert_eq!(reminded(&server), [""; 0]);
    let mailed: Vec<_> = server
        .accepted()
        .into_iter()
        .flat_map(|it| it.recipients)
        .collect();
    assert_eq!(mailed, [ADA, "bob@b.example"]);

    let unscripted = Graph::start();
    unscripted.configure(&mut workplace, Some("before_send = \"off\""));
    workplace.extra += SCHEDULE;
    workplace.configure();
    send(&workplace, 0);
    assert_eq!(reminded(&server), [ADA]);
    let asked = |graph: &Graph| {
        graph
            .targets()
            .iter()
            .filter(|it| it.contains("/assignmentRequests"))
            .count()
    };
    assert_eq!(asked(&unscripted), 1);
    // Within the hour, it is not read again.
    workplace.partners(&[ADA]);
    send(&workplace, 0);
    let ledger = Connection::open(workplace.file("ledger.sqlite3")).unwrap();
    let earlier = format!(
        "UPDATE invitation SET accepted_at = accepted_at - {}",
        4 * DAY
    );
    ledger.execute_batch(&earlier).unwrap();
    drop(ledger);
    send(&workplace, 0);
    assert_eq!((reminded(&server).len(), asked(&unscripted)), (2, 1));
}

#[test]
fn a_request_of_a_colleague_silences_only_if_asked() {
    for (unless, expected) in [("", 1), ("unless = \"colleague\"", 0)] {
        let server = Server::accepting();
        let graph = Graph::start();
        let mut workplace = Workplace::new(server.port());
        graph.configure(&mut workplace, Some(""));
        with_reminders(&mut workplace, &format!("{SCHEDULE}{unless}\n"));
        workplace.partners(&[ADA]);
        let colleague = request(PACKAGE, "eve@a.example", "denied", AT);
        graph.change(|it| it["assignmentRequests"] = json!([colleague]));
        send(&workplace, 0);
        days_pass(&workplace, 8);
        send(&workplace, 0);
        assert_eq!(reminded(&server).len(), expected, "{unless}");
    }
}

#[test]
fn reminders_do_not_count_as_new_and_follow_the_invitations() {
    let server = Server::accepting();
    let mut workplace = invited(&server, &[ADA, "bob@b.example"]);
    days_pass(&workplace, 8);
    workplace.smtp("connections = 1");
    workplace.limits = "per_minute = 1000000\nnew_per_run = 1".into();
    workplace.configure();
    workplace.partners(&[ADA, "bob@b.example", "cyd@c.example"]);

    let previewed = workplace.run(&["preview"]);
    assert_eq!(previewed.code, 0, "{previewed:?}");
    let words = "3 messages (3 en; 2 reminders) would be sent";
    assert!(previewed.stdout.contains(words), "{previewed:?}");
    let list = std::fs::read_to_string(workplace.file("preview/data/list-0001.js")).unwrap();
    let numbers: Vec<_> = list
        .lines()
        .filter(|it| it.ends_with(",1],") || it.ends_with(",1]"))
        .collect();
    assert_eq!(numbers.len(), 2, "{list}");

    send(&workplace, 0);
    let mailed = server
        .accepted()
        .into_iter()
        .skip(2)
        .flat_map(|it| it.recipients);
    assert_eq!(
        mailed.collect::<Vec<_>>(),
        ["cyd@c.example", ADA, "bob@b.example"]
    );
}

#[test]
fn what_is_approved_includes_the_reminders() {
    let server = Server::accepting();
    let mut workplace = Workplace::new(server.port());
    with_reminders(&mut workplace, "");
    workplace.partners(&[ADA]);
    let digest = |workplace: &Workplace| {
        let output = workplace.run(&["preview"]);
        let line = output
            .stdout
            .lines()
            .find_map(|it| it.strip_prefix("digest of the inputs: "));
        let digest = line.unwrap().to_owned();
        digest.split('-').nth(2).unwrap().to_owned()
    };
    let without = digest(&workplace);
    workplace.write("words/en/reminder.subject.txt", "Again\n");
    assert_eq!(digest(&workplace), without, "they are not used");
    workplace.extra = SCHEDULE.into();
    workplace.configure();
    let with = digest(&workplace);
    assert_ne!(with, without);
    workplace.write("words/en/reminder.subject.txt", "Reminder\n");
    assert_ne!(digest(&workplace), with);
}

#[test]
fn a_killed_run_leaves_its_reminder_unknown_and_sends_no_second() {
    let (held, keeper) = gate();
    let server = Server::start(move |call| match (call.stage, call.nth) {
        (Stage::Dot, 1) => Action::AcceptThen(Box::new(Action::Hold(
            held.clone(),
            Box::new(Action::Close),
        ))),
        _ => Action::Normal,
    });
    let workplace = invited(&server, &[ADA]);
    days_pass(&workplace, 8);
    let run = workplace.start(&["send"]);
    keeper.wait();
    run.kill();
    keeper.release();

    send(&workplace, 3);
    assert_eq!(
        states(&reminders(&workplace, ADA)),
        [("reminder-1", "unknown")]
    );
    assert_eq!(workplace.state(), "accepted");
    assert_eq!(reminded(&server), [ADA]);
}

#[test]
fn messages_about_reminders() {
    let server = Server::start(|call| match (call.stage, call.nth) {
        (Stage::Dot, 1) => Action::AcceptThen(Box::new(Action::Close)),
        _ => Action::Normal,
    });
    let mut sheet = Sheet::default();
    let mut workplace = Workplace::new(server.port());
    for (title, line) in [
        ("a time that is none", "after = 7"),
        ("no reminder", "at_most = 0"),
        ("another reason", "unless = \"domain\""),
        ("a key that is unknown", "evry = \"7d\""),
    ] {
        with_reminders(&mut workplace, "");
        workplace.extra = format!("[reminders]\n{line}\n");
        workplace.configure();
        let output = workplace.run(&["check"]);
        assert_eq!(output.code, 78, "{title}: {output:?}");
        sheet.note(title, &workplace, &output);
    }
    workplace.extra = SCHEDULE.into();
    workplace.configure();
    std::fs::remove_file(workplace.file("words/en/reminder.html")).unwrap();
    std::fs::remove_file(workplace.file("words/en/reminder.txt")).unwrap();
    sheet.note("templates missing", &workplace, &send(&workplace, 78));
    with_reminders(&mut workplace, "");
    workplace.write("words/en/reminder.txt", "{{ link }}\n\n{{ inviting }}\n");
    sheet.note("a template that fails", &workplace, &send(&workplace, 78));

    with_reminders(&mut workplace, "");
    workplace.partners(&[ADA]);
    send(&workplace, 0);
    days_pass(&workplace, 8);
    sheet.note("a check", &workplace, &workplace.run(&["check"]));
    sheet.note("an unknown reminder", &workplace, &send(&workplace, 3));
    sheet.note("a preview of it", &workplace, &workplace.run(&["preview"]));
    for (title, more) in [
        ("no occasion", &["--occasion", "reminder"][..]),
        (
            "a reminder that is not recorded",
            &["--occasion", "reminder-2"],
        ),
        (
            "a message that cannot be repeated",
            &["--occasion", "reminder-1", "--as", "resend"],
        ),
        ("abandoned", &["--occasion", "reminder-1"]),
    ] {
        let decision: &[&str] = if more.contains(&"--as") {
            &[]
        } else {
            &["--as", "abandoned"]
        };
        if more.contains(&"resend") {
            let bounced = ["resolve", ADA, "--as", "bounced", "--note", "seen"];
            assert_eq!(workplace.run(&bounced).code, 0);
            workplace.write("words/en/reminder.txt", "again\n\n{{ link }}\n");
        }
        let arguments = [&["resolve", ADA, "--note", "seen"][..], more, decision].concat();
        sheet.note(title, &workplace, &workplace.run(&arguments));
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn results_and_counts_speak_of_invitations_only() {
    let server = Server::accepting();
    let mut workplace = invited(&server, &[ADA]);
    workplace.extra += "[results]\ncsv = \"results.csv\"\n";
    workplace.configure();
    days_pass(&workplace, 8);
    send(&workplace, 0);

    let results = std::fs::read_to_string(workplace.file("results.csv")).unwrap();
    let status = workplace.status();
    let invitation = &status["invitations"][0];
    assert_eq!(status["invitations"].as_array().unwrap().len(), 1);
    assert!(
        results.contains(invitation["message_id"].as_str().unwrap()),
        "{results}"
    );
    let reminder = invitation["reminders"][0]["message_id"].as_str().unwrap();
    assert!(!results.contains(reminder), "{results}");
    let csv = workplace.run(&["status", "--format", "csv"]).stdout;
    assert_eq!(csv.lines().count(), 2, "{csv}");
    let counts: BTreeMap<String, u64> = serde_json::from_value(status["counts"].clone()).unwrap();
    assert_eq!(counts.values().sum::<u64>(), 1);
}

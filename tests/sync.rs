//! `sync`: what came back changes the right invitations, once, and nothing else.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use access_invite::invitation::invite_id;
use serde_json::Value;

use crate::support::held::Held;
use crate::support::oracle;
use crate::support::smtp::{Action, Call, Server, Setup, Stage, reply};
use crate::support::{Output, Workplace, without_privileges};

const ADA: &str = "ada@fabrikam.example";

/// A report of `tests/fixtures/reports/`, about the message with this Message-ID.
pub fn report(name: &str, address: &str, message_id: &str) -> String {
    report_with(name, address, message_id, &[])
}

pub fn report_with(name: &str, address: &str, message_id: &str, more: &[(&str, &str)]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reports");
    let text = std::fs::read_to_string(folder.join(format!("{name}.eml"))).unwrap();
    let invite = invite_id(message_id);
    let known = [
        ("{to}", address),
        ("{message_id}", message_id),
        ("{invite_id}", &invite),
        ("{envelope_id}", &invite),
    ];
    let values = known.iter().chain(more);
    values.fold(text, |text, (name, value)| text.replace(name, value))
}

/// The Message-ID of the invitation to an address.
pub fn message_id(workplace: &Workplace, address: &str) -> String {
    let status = workplace.status();
    let invitations = status["invitations"].as_array().unwrap();
    let found = invitations
        .iter()
        .find(|it| it["email"] == address)
        .unwrap();
    let id = found["message_id"].as_str().unwrap();
    id.trim_matches(['<', '>']).to_owned()
}

/// A job that has invited these addresses.
fn invited(addresses: &[&str]) -> (Server, Workplace) {
    let server = Server::accepting();
    let workplace = Workplace::english(server.port());
    workplace.partners(addresses);
    assert_eq!(workplace.run(&["send"]).code, 0);
    (server, workplace)
}

pub fn history(workplace: &Workplace, address: &str) -> Vec<Value> {
    let output = workplace.run(&["status", address, "--format", "json"]);
    let status: Value = serde_json::from_str(&output.stdout).unwrap();
    status["invitations"][0]["history"]
        .as_array()
        .unwrap()
        .clone()
}

#[track_caller]
fn sync(workplace: &Workplace, file: &str, code: i32) -> Output {
    let output = workplace.run(&["sync", "--bounces", file]);
    assert_eq!(output.code, code, "{output:?}");
    // A run that has recorded something is on record with its exit code.
    let run = &workplace.status()["runs"][0];
    if run["verb"] == "sync" && !output.stdout.contains("(0 new)") {
        assert_eq!(run["exit_code"], code, "{output:?}");
    }
    output
}

#[test]
fn a_bounce_is_recorded_with_its_reason_and_only_once() {
    let (server, workplace) = invited(&[ADA, "bob@fabrikam.example"]);
    let id = message_id(&workplace, ADA);
    workplace.write("back.eml", &report("postfix-unknown-user", ADA, &id));

    let output = sync(&workplace, "back.eml", 1);

    assert!(
        output.stdout.contains(
            "ada@fabrikam.example (spring): accepted → bounced: 550 5.1.1 <ada@fabrikam.example>"
        ),
        "{output:?}"
    );
    assert!(
        output
            .stdout
            .ends_with("1 mail read: 1 report about these invitations (1 new), 1 bounced\n"),
        "{output:?}"
    );
    let states: BTreeMap<_, _> = workplace.states().into_iter().collect();
    assert_eq!(states[ADA], "bounced");
    assert_eq!(states["bob@fabrikam.example"], "accepted");
    let history_once = history(&workplace, ADA);
    let last = history_once.last().unwrap();
    assert_eq!(
        (&last["from"], &last["to"]),
        (&"accepted".into(), &"bounced".into())
    );
    assert_eq!(last["smtp_code"], 550);
    assert_eq!(last["enhanced_code"], "5.1.1");
    assert_eq!(
        last["note"],
        "report report-1@mail.fabrikam.example: failed"
    );

    let again = sync(&workplace, "back.eml", 0);

    assert!(
        again
            .stdout
            .contains("1 report about these invitations (0 new)"),
        "{again:?}"
    );
    assert_eq!(history(&workplace, ADA), history_once);
    // It is not mailed again until a person decides.
    assert_eq!(workplace.run(&["send"]).code, 0);
    assert_eq!(server.accepted().len(), 2);
}

#[test]
fn every_documented_form_of_a_failure_bounces() {
    /// Fixtures that are no failures, or not about the partner's own message.
    const OTHERS: [&str; 29] = [
        "complaint",
        "double-bounce",
        "earlier-generation",
        "exchange-online-delayed",
        "exchange-receipt-delivered",
        "exchange-receipt-without-notification",
        "exim-delayed",
        "exim-forwarding-parent",
        "exim-other-recipient",
        "forged-id",
        "gmail-old-delay",
        "google-delayed",
        "id-in-the-diagnostic-only",
        "our-id-in-a-newsletter",
        "out-of-office-apple",
        "out-of-office-exchange",
        "out-of-office-german",
        "out-of-office-vacation",
        "postfix-delayed",
        "postfix-delivered",
        "postfix-expanded",
        "postfix-forwarded-mailbox",
        "postfix-relayed",
        "read-receipt",
        "reply-by-a-person",
        "sendmail-warning",
        "ses-without-our-header",
        "zimbra",
        "postfix-other-message",
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reports");
    let names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| {
            it.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .filter(|it| !OTHERS.contains(&it.as_str()))
        .collect();
    assert!(names.len() >= 45, "{}", names.len());
    let addresses: Vec<_> = names
        .iter()
        .map(|it| format!("{it}@fabrikam.example"))
        .collect();
    let (_server, workplace) = invited(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
    std::fs::create_dir_all(workplace.file("Maildir/new")).unwrap();
    std::fs::create_dir_all(workplace.file("Maildir/cur")).unwrap();
    for (name, address) in names.iter().zip(&addresses) {
        let id = message_id(&workplace, address);
        let more = [("report-1@", format!("{name}@"))];
        let more: Vec<_> = more
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let text = report_with(name, address, &id, &more);
        workplace.write(&format!("Maildir/new/{name}"), &text);
    }

    sync(&workplace, "Maildir", 1);

    workplace.all_are("bounced");
    sync(&workplace, "Maildir", 0);
}

#[test]
fn delays_receipts_and_replies_are_noted_or_ignored() {
    let (_server, workplace) = invited(&[ADA]);
    let id = message_id(&workplace, ADA);
    let noted = [
        "postfix-delayed",
        "exim-delayed",
        "gmail-old-delay",
        "sendmail-warning",
        "postfix-relayed",
        "read-receipt",
        "postfix-forwarded-mailbox",
        "exim-other-recipient",
    ];
    for (number, name) in noted.iter().enumerate() {
        let own = [
            ("report-1@", format!("r{number}@")),
            ("mdn-1@", format!("m{number}@")),
        ];
        let own: Vec<_> = own
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        workplace.write("back.eml", &report_with(name, ADA, &id, &own));
        let before = history(&workplace, ADA).len();
        for _ in 0..2 {
            sync(&workplace, "back.eml", 0);
            assert_eq!(history(&workplace, ADA).len(), before + 1, "{name}");
        }
        workplace.all_are("accepted");
    }
    for name in [
        "out-of-office-exchange",
        "out-of-office-vacation",
        "reply-by-a-person",
        "our-id-in-a-newsletter",
        "complaint",
    ] {
        workplace.write("back.eml", &report(name, ADA, &id));
        let before = history(&workplace, ADA).len();
        sync(&workplace, "back.eml", 0);
        assert_eq!(history(&workplace, ADA).len(), before, "{name}");
    }
    workplace.all_are("accepted");

    workplace.write("back.eml", &report("postfix-delivered", ADA, &id));
    sync(&workplace, "back.eml", 0);
    workplace.all_are("delivered");
    // A later bounce is believed; a delivery after it is not.
    let late = [("report-1@", "late@")];
    workplace.write(
        "back.eml",
        &report_with("postfix-unknown-user", ADA, &id, &late),
    );
    sync(&workplace, "back.eml", 1);
    workplace.all_are("bounced");
    let later = [("report-1@", "later@")];
    workplace.write(
        "back.eml",
        &report_with("postfix-delivered", ADA, &id, &later),
    );
    sync(&workplace, "back.eml", 0);
    workplace.all_are("bounced");
}

#[test]
fn forged_reports_change_nothing() {
    let (_server, workplace) = invited(&[ADA]);
    let id = message_id(&workplace, ADA);
    let before = history(&workplace, ADA);
    for name in ["forged-id", "id-in-the-diagnostic-only", "double-bounce"] {
        workplace.write("back.eml", &report(name, ADA, &id));
        let output = sync(&workplace, "back.eml", 0);
        assert!(
            output.stdout.contains("about other messages"),
            "{name}: {output:?}"
        );
    }
    assert_eq!(history(&workplace, ADA), before);
}

#[test]
fn a_mail_over_which_the_parser_panics_does_not_prevent_the_others() {
    let (_server, workplace) = invited(&[ADA]);
    let id = message_id(&workplace, ADA);
    let separator = "From x Mon Nov 30 09:01:00 2026\n";
    // Found by fuzzing: the boundary is never closed, and a message stands in a message.
    let nested = "Content-Type: message/rfc822\r\n\r\n";
    let forged = format!(
        "Content-Type: multipart/report; boundary=\"=_1\"x\n\n\n--=_1\n{nested}{nested}Subject: x\n\nx\n--=_1--\n"
    );
    let report = report("postfix-unknown-user", ADA, &id);
    workplace.write(
        "back.mbox",
        &format!("{separator}{forged}\n{separator}{report}"),
    );

    let output = sync(&workplace, "back.mbox", 1);

    assert_eq!(output.stderr, "");
    assert!(
        output.stdout.contains("2 mails read: 1 report"),
        "{output:?}"
    );
    workplace.all_are("bounced");
}

#[test]
fn a_bounce_of_a_message_before_a_resend_is_noted() {
    let (server, workplace) = invited(&[ADA]);
    let first = message_id(&workplace, ADA);
    workplace.write("first.eml", &report("postfix-unknown-user", ADA, &first));
    sync(&workplace, "first.eml", 1);
    let resend = [
        "resolve",
        ADA,
        "--as",
        "resend",
        "--note",
        "mailbox repaired",
    ];
    assert_eq!(workplace.run(&resend).code, 0);
    // Read again while it is due, it changes nothing.
    sync(&workplace, "first.eml", 0);
    assert_eq!(workplace.run(&["send"]).code, 0);
    assert_eq!(server.accepted().len(), 2);
    assert_ne!(message_id(&workplace, ADA), first);

    let late = [("report-1@", "late@")];
    workplace.write(
        "late.eml",
        &report_with("exim-unknown-user", ADA, &first, &late),
    );
    sync(&workplace, "late.eml", 0);

    workplace.all_are("accepted");
    let history = history(&workplace, ADA);
    let note = history.last().unwrap()["note"].as_str().unwrap();
    assert!(
        note.starts_with("report late@mail.fabrikam.example: about an earlier message: failed"),
        "{note}"
    );
}

#[test]
fn a_report_about_an_unknown_message_settles_it() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Dot => Action::Close,
        _ => Action::Normal,
    });
    for (name, expected, code) in [
        ("postfix-unknown-user", "bounced", 1),
        ("postfix-delivered", "delivered", 0),
        ("postfix-delayed", "accepted", 0),
    ] {
        let workplace = Workplace::english(server.port());
        workplace.partners(&[ADA]);
        assert_eq!(workplace.run(&["send"]).code, 3);
        workplace.all_are("unknown");
        let id = message_id(&workplace, ADA);
        workplace.write("back.eml", &report(name, ADA, &id));
        sync(&workplace, "back.eml", code);
        workplace.all_are(expected);
    }
}

#[test]
fn a_person_records_what_came_back_in_another_way() {
    let (server, workplace) = invited(&[ADA]);
    let resolve = |decision| {
        let note = ["--note", "seen by the help desk"];
        workplace.run(&[&["resolve", ADA, "--as", decision][..], &note].concat())
    };
    let printed = |output: &Output| (output.code, output.stdout.clone());
    assert_eq!(printed(&resolve("delivered")).0, 0);
    workplace.all_are("delivered");
    let bounced = resolve("bounced");
    assert_eq!(
        printed(&bounced),
        (0, format!("{ADA} (project): delivered → bounced\n"))
    );
    // A report may be wrong, and the partner may say so.
    let corrected = printed(&resolve("delivered"));
    assert_eq!(
        corrected,
        (0, format!("{ADA} (project): bounced → delivered\n"))
    );
    let refused = resolve("delivered");
    assert_eq!(refused.code, 65, "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("`--as delivered` applies to accepted, unknown and bounced"),
        "{refused:?}"
    );
    assert_eq!(resolve("bounced").code, 0);
    assert_eq!(workplace.run(&["send"]).code, 0);
    assert_eq!(server.accepted().len(), 1);
    assert_eq!(resolve("resend").code, 0);
    assert_eq!(workplace.run(&["send"]).code, 0);
    assert_eq!(server.accepted().len(), 2);
}

#[test]
fn a_relay_that_replaces_the_message_id_is_matched_by_its_reply() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Dot => reply("250 Ok 0102018f3c7a-5a1b2c-000000"),
        _ => Action::Normal,
    });
    let workplace = Workplace::english(server.port());
    workplace.partners(&[ADA, "bob@fabrikam.example"]);
    assert_eq!(workplace.run(&["send"]).code, 0);
    let other = "not-ours@contoso.example";
    // Without the address, the relay's id proves nothing.
    let id = [("{queue_id}", "0102018f3c7a-5a1b2c-000000")];
    let carol = report_with(
        "ses-without-our-header",
        "carol@fabrikam.example",
        other,
        &id,
    );
    workplace.write("back.eml", &carol);
    sync(&workplace, "back.eml", 0);
    workplace.all_are("accepted");

    workplace.write(
        "back.eml",
        &report_with("ses-without-our-header", ADA, other, &id),
    );
    sync(&workplace, "back.eml", 1);

    let states: BTreeMap<_, _> = workplace.states().into_iter().collect();
    assert_eq!(states[ADA], "bounced");
    assert_eq!(states["bob@fabrikam.example"], "accepted");
}

#[test]
fn a_message_that_is_being_sent_is_read_again_by_the_next_sync() {
    let held = Held::at(Stage::Dot, 0, |it| it.partners(&[ADA]));
    let id = message_id(&held.workplace, ADA);
    let text = report("postfix-unknown-user", ADA, &id);
    held.workplace.write("back.eml", &text);

    let output = sync(&held.workplace, "back.eml", 0);

    assert!(
        output.stdout.contains("1 left for the next sync"),
        "{output:?}"
    );
    held.workplace.all_are("armed");
    let (_server, workplace, ended) = held.finish();
    assert_eq!(ended.code, 0, "{ended:?}");
    workplace.all_are("accepted");
    sync(&workplace, "back.eml", 1);
    workplace.all_are("bounced");
}

#[test]
fn sources_come_from_the_configuration() {
    let (_server, mut workplace) = invited(&[ADA]);
    let output = workplace.run(&["sync"]);
    assert_eq!(output.code, 78, "{output:?}");
    assert!(output.stderr.contains("`bounces.maildir`"), "{output:?}");

    workplace.extra = "[bounces]\nmaildir = \"Maildir\"\nmbox = \"back.mbox\"".into();
    workplace.configure();
    let id = message_id(&workplace, ADA);
    let text = report("google-unknown", ADA, &id);
    workplace.write(
        "back.mbox",
        &format!("From x Mon Nov 30 09:01:00 2026\n{text}"),
    );

    // One source that cannot be read does not prevent the other.
    let output = workplace.run(&["sync", "--format", "json"]);

    assert_eq!(output.code, 75, "{output:?}");
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    assert!(
        json["sources"][0]["error"]
            .as_str()
            .unwrap()
            .starts_with("cannot read mail from `Maildir`"),
        "{json}"
    );
    assert_eq!(json["sources"][1]["mails"], 1);
    let change = &json["changes"][0];
    assert_eq!(
        (&change["email"], &change["from"], &change["to"]),
        (&ADA.into(), &"accepted".into(), &"bounced".into())
    );
    workplace.all_are("bounced");
    std::fs::create_dir_all(workplace.file("Maildir/new")).unwrap();
    std::fs::create_dir_all(workplace.file("Maildir/cur")).unwrap();
    assert_eq!(workplace.run(&["sync"]).code, 0);
}

#[test]
fn several_at_once_record_each_report_once() {
    let (_server, workplace) = invited(&[ADA]);
    let id = message_id(&workplace, ADA);
    workplace.write("back.eml", &report("postfix-unknown-user", ADA, &id));
    let before = history(&workplace, ADA).len();

    let runs: Vec<_> = (0..4)
        .map(|_| workplace.start(&["sync", "--bounces", "back.eml"]))
        .collect();

    let ended: Vec<_> = runs.into_iter().map(|it| it.wait().code).collect();
    // The first reports it as new; the others found it recorded.
    assert!(ended.iter().all(|it| matches!(it, 0 | 1)), "{ended:?}");
    assert_eq!(ended.iter().filter(|it| **it == 1).count(), 1, "{ended:?}");
    workplace.all_are("bounced");
    assert_eq!(history(&workplace, ADA).len(), before + 1);
}

#[test]
fn a_mail_that_cannot_be_read_does_not_prevent_the_others() {
    let addresses: Vec<String> = (0..20)
        .map(|it| format!("p{it}@fabrikam.example"))
        .collect();
    let all: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let (_server, workplace) = invited(&all);
    std::fs::create_dir_all(workplace.file("Maildir/new")).unwrap();
    std::fs::create_dir_all(workplace.file("Maildir/cur")).unwrap();
    for (number, address) in addresses.iter().enumerate() {
        let id = message_id(&workplace, address);
        let text = report_with(
            "postfix-unknown-user",
            address,
            &id,
            &[("report-1@", &format!("{number}@"))],
        );
        workplace.write(&format!("Maildir/new/{number}"), &text);
    }
    for name in ["new/unreadable", "cur/unreadable"] {
        let file = format!("Maildir/{name}");
        workplace.write(&file, "Subject: x\n\n");
        let none = std::os::unix::fs::PermissionsExt::from_mode(0o000);
        std::fs::set_permissions(workplace.file(&file), none).unwrap();
    }
    // None of them is mail, and none of them blocks.
    std::os::unix::fs::symlink("/dev/zero", workplace.file("Maildir/new/device")).unwrap();
    let pipe = workplace.file("Maildir/new/pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(pipe)
            .status()
            .unwrap()
            .success()
    );

    let output = without_privileges(&workplace, &["sync", "--bounces", "Maildir"]);

    assert_eq!(output.code, 75, "{output:?}");
    workplace.all_are("bounced");
    assert!(
        output
            .stderr
            .starts_with("error: cannot read mail from `Maildir/"),
        "{output:?}"
    );
    assert!(
        output.stderr.ends_with("; also unreadable: 1 mail\n"),
        "{output:?}"
    );
}

#[test]
fn sync_and_send_at_once_lose_and_repeat_nothing() {
    // The relay is slow until enough has bounced.
    let enough = Arc::new(AtomicBool::new(false));
    let is_enough = enough.clone();
    let server = Server::start(move |call: &Call| match call.stage {
        Stage::Dot if !is_enough.load(Ordering::SeqCst) => {
            Action::Delay(Duration::from_millis(100), Box::new(Action::Normal))
        }
        _ => Action::Normal,
    });
    let mut workplace = Workplace::english(server.port());
    workplace.smtp("connections = 2");
    workplace.many_partners(300);
    let mut run = workplace.start(&["send"]);
    let mut bounced = 0;
    let mut rounds = 0;
    while run.is_running() || rounds == 0 {
        // Reports about some that are accepted by now.
        let accepted = if workplace.file("ledger.sqlite3-wal").exists() {
            let states = workplace.states().into_iter();
            states.filter(|it| it.1 == "accepted").take(3).collect()
        } else {
            Vec::new()
        };
        let mut mbox = String::new();
        for (address, _) in &accepted {
            let id = message_id(&workplace, address);
            let own = format!("{address}.");
            let text = report_with("postfix-unknown-user", address, &id, &[("report-1@", &own)]);
            mbox.extend(["From x Mon Nov 30 09:01:00 2026\n", &text, "\n"]);
        }
        if !accepted.is_empty() {
            workplace.write("back.mbox", &mbox);
            sync(&workplace, "back.mbox", 1);
            bounced += accepted.len();
            enough.store(bounced > 6, Ordering::SeqCst);
        }
        rounds += 1;
    }
    let ended = run.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(bounced > 3, "the run was too short for {rounds} rounds");

    let states = workplace.states();
    assert_eq!(states.len(), 300);
    let count = |state| states.iter().filter(|it| it.1 == state).count();
    assert_eq!(
        (count("bounced"), count("accepted")),
        (bounced, 300 - bounced)
    );
    assert_eq!(server.accepted().len(), 300);
    // The ledger is whole, and closed as after any run.
    assert_eq!(workplace.run(&["check"]).code, 0);
    assert_eq!(workplace.run(&["send"]).code, 0);
    assert!(!workplace.file("ledger.sqlite3-wal").exists());
    assert_eq!(server.accepted().len(), 300);
}

/// A relay that offers DSN and answers an envelope with parameters at `stage` like this.
fn refusing_parameters(stage: Stage, text: &'static str, pipelining: bool) -> Server {
    let mut offers = vec!["8BITMIME", "DSN"];
    offers.extend(pipelining.then_some("PIPELINING"));
    let setup = Setup {
        offers,
        ..Setup::default()
    };
    Server::set_up(setup, move |call: &Call| {
        let asks = call.line.contains("ENVID=") || call.line.contains("NOTIFY=");
        let mut of_stage = call.stage == stage;
        if stage == Stage::Rcpt {
            of_stage &= call.line.starts_with("RCPT");
        }
        if of_stage && asks {
            reply(text)
        } else {
            Action::Normal
        }
    })
}

fn parameters(server: &Server, verb: &str) -> Vec<String> {
    let commands = server.commands().into_iter().map(|it| it.1);
    let commands = commands.filter(|it| it.starts_with(verb));
    let after = commands.filter_map(|it| it.split_once('>').map(|it| it.1.trim().to_owned()));
    after.collect()
}

#[test]
fn a_relay_that_offers_dsn_is_asked_for_reports() {
    let setup = || Setup {
        offers: vec!["PIPELINING", "DSN"],
        ..Setup::default()
    };
    for (receipts, notify) in [
        ("", "NOTIFY=FAILURE,DELAY"),
        ("receipts = true", "NOTIFY=SUCCESS,FAILURE,DELAY"),
    ] {
        let server = Server::set_up(setup(), |_: &Call| Action::Normal);
        let mut workplace = Workplace::english(server.port());
        workplace.extra = format!("[bounces]\n{receipts}");
        workplace.configure();
        workplace.partners(&[ADA, "bob@fabrikam.example"]);
        assert_eq!(workplace.run(&["send"]).code, 0);
        for address in [ADA, "bob@fabrikam.example"] {
            let id = invite_id(&message_id(&workplace, address));
            let mail = format!("RET=HDRS ENVID={id}");
            assert!(
                parameters(&server, "MAIL").contains(&mail),
                "{:?}",
                server.commands()
            );
            let header = format!("\r\nX-Access-Invite-Id: {id}\r\n");
            let accepted = server.accepted();
            let bytes = accepted.iter().map(|it| String::from_utf8_lossy(&it.data));
            assert_eq!(bytes.filter(|it| it.contains(&header)).count(), 1);
        }
        assert_eq!(parameters(&server, "RCPT"), [notify, notify]);
    }
    // Without the offer, nothing is asked.
    let (server, _workplace) = invited(&[ADA]);
    assert_eq!(parameters(&server, "MAIL"), [""]);
    assert_eq!(parameters(&server, "RCPT"), [""]);
}

#[test]
fn refused_parameters_are_left_out_and_nobody_is_marked() {
    for (stage, text) in [
        (Stage::Mail, "501 5.5.4 syntax error in parameters"),
        (
            Stage::Mail,
            "555 MAIL FROM/RCPT TO parameters not recognized",
        ),
        (Stage::Rcpt, "504 parameter not implemented"),
        (Stage::Rcpt, "550 5.5.4 unsupported option: NOTIFY"),
    ] {
        for pipelining in [true, false] {
            let server = refusing_parameters(stage, text, pipelining);
            let mut workplace = Workplace::english(server.port());
            workplace.smtp("connections = 2");
            workplace.many_partners(20);

            let output = workplace.run(&["send"]);

            assert_eq!(
                (output.code, output.stderr.as_str()),
                (0, ""),
                "{text} {pipelining}"
            );
            oracle::check_settled(&workplace, &server, 20, 0);
            for (address, _) in workplace.states() {
                let causes = history(&workplace, &address);
                assert_eq!(causes.len(), 3, "{text}: {causes:?}");
            }
            let asked = parameters(&server, "MAIL")
                .iter()
                .filter(|it| !it.is_empty())
                .count();
            assert!((1..=6).contains(&asked), "{asked} for {text}");
        }
    }
}

#[test]
fn an_address_that_is_refused_for_its_syntax_stays_refused() {
    let setup = Setup {
        offers: vec!["DSN"],
        ..Setup::default()
    };
    let server = Server::set_up(setup, |call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(ADA)) => reply("501 5.1.3 bad recipient address syntax"),
        _ => Action::Normal,
    });
    let workplace = Workplace::english(server.port());
    workplace.partners(&[ADA, "bob@fabrikam.example"]);

    assert_eq!(workplace.run(&["send"]).code, 1);

    let states: BTreeMap<_, _> = workplace.states().into_iter().collect();
    assert_eq!(states[ADA], "rejected");
    assert!(parameters(&server, "RCPT").iter().all(|it| !it.is_empty()));
}

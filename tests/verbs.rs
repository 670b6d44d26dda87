//! The verbs, run as a user does: output, files, and exit codes.

#![allow(
    clippy::unwrap_used,
    clippy::similar_names,
    clippy::format_collect,
    clippy::too_many_lines,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::init::tree;
use crate::support::smtp::{Action, Call, Server, Stage};
use crate::support::{LINK, Workplace, oracle};
use access_invite::commands::send;
use access_invite::console::{Console, Messages, Screen};
use access_invite::exit::Exit;
use mail_parser::MessageParser;
use serde_json::Value;

/// A message without the value of its Date.
fn undated(message: &[u8]) -> String {
    let text = String::from_utf8(message.to_vec()).unwrap();
    let (head, rest) = text.split_once("\r\nDate: ").unwrap();
    format!("{head}{}", &rest[rest.find('\r').unwrap()..])
}

fn message_id(message: &[u8]) -> String {
    let mail = MessageParser::default().parse(message).unwrap();
    mail.message_id().unwrap().to_owned()
}

/// A relay that does not answer the final dot of the first `times` messages, accepted or not.
fn forgetful(times: usize, taking: bool) -> Server {
    let count = Arc::new(AtomicUsize::new(0));
    Server::start(move |call: &Call| {
        if call.stage == Stage::Dot && count.fetch_add(1, Ordering::SeqCst) < times {
            if taking {
                Action::AcceptThen(Box::new(Action::Close))
            } else {
                Action::Close
            }
        } else {
            Action::Normal
        }
    })
}

#[test]
fn send_refuses_the_sender_link_and_partners_of_the_examples() {
    let server = Server::accepting();
    let workplace = Workplace::new(server.port());
    let own = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let example = std::fs::read_to_string("config.example.toml").unwrap();
    let from = example.lines().find_map(|it| it.strip_prefix("from = "));
    let from = from.unwrap().split('#').next().unwrap().trim();
    let link = example
        .lines()
        .find(|it| it.starts_with("link = "))
        .unwrap();
    let partners = std::fs::read_to_string("partners.example.csv").unwrap();
    let listed = partners.lines().nth(1).unwrap().split(',').next().unwrap();
    let line = |key: &str| {
        let line = own.lines().find(|it| it.starts_with(key));
        line.unwrap().to_owned()
    };
    let (own_from, own_link) = (line("from = "), line("link = "));

    for (config, list, refused) in [
        (
            own.replace(&own_from, &format!("from = {from}")),
            "ada@a.example",
            "`sender.from`",
        ),
        (
            own.replace(&own_link, link),
            "ada@a.example",
            "the link of the example configuration",
        ),
        (own.clone(), listed, "a partner of the example list"),
    ] {
        workplace.write("config.toml", &config);
        workplace.partners(&[list]);

        let output = workplace.run(&["send"]);

        assert_eq!(output.code, 78, "{output:?}");
        assert!(output.stderr.contains(refused), "{output:?}");
        assert_eq!(output.stderr.lines().count(), 2, "{output:?}");
    }
    assert_eq!(server.connections(), 0);

    workplace.write("config.toml", &own);
    workplace.partners(&["someone.else@harbourworks.example"]);
    assert_eq!(workplace.run(&["send"]).code, 0);
}

#[test]
fn check_reports_everything_and_ignores_warnings() {
    let mut workplace = Workplace::new(1);
    workplace.smtp += "\nca_file = \"none.pem\"";
    workplace.configure();
    let templates = workplace.file("broken");
    std::fs::create_dir_all(templates.join("en")).unwrap();
    std::fs::create_dir_all(templates.join("fr")).unwrap();
    let good = "<a class=\"button\" href=\"{{ link }}\">x</a> {{ link }}";
    for (locale, subject) in [("en", "Hello"), ("fr", "Bonjour {{ partner.nom }}")] {
        workplace.write(&format!("broken/{locale}/invitation.subject.txt"), subject);
        workplace.write(
            &format!("broken/{locale}/invitation.txt"),
            "x\n\n{{ link }}\n",
        );
        workplace.write(&format!("broken/{locale}/invitation.html"), good);
    }
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let directory = format!(
        "directory = \"{}\"",
        concat!(env!("CARGO_MANIFEST_DIR"), "/templates")
    );
    let tls = config
        .replace(&directory, "directory = \"broken\"")
        .replace("tls = \"none\"", "tls = \"implicit\"");
    workplace.write("config.toml", &tls);
    workplace.partners(&["ada@a.example", "nobody", "ada@A.example"]);

    let output = workplace.run(&["check"]);

    assert_eq!(output.code, 78, "{output:?}");
    for part in [
        "smtp.ca_file",
        "in `fr`",
        "fr/invitation.subject.txt:1:",
        "partners.csv:3, column email, \"nobody\": it is not an address",
        "partners.csv:4, column email: line 2 has the same address for this package",
    ] {
        assert!(
            output.stderr.contains(part),
            "{part:?} is not in {}",
            output.stderr
        );
    }
    assert!(
        output.stdout.contains("config.toml is not good: 3 errors"),
        "{output:?}"
    );

    workplace.write("config.toml", &config.replace("ca_file = \"none.pem\"", ""));
    let rows = workplace.run(&["check"]);
    assert_eq!(rows.code, 65, "{rows:?}");
    let skipping = config
        .replace("ca_file = \"none.pem\"", "")
        .replace("[partners]", "[partners]\nbad_rows = \"skip\"");
    workplace.write("config.toml", &skipping);
    let skipped = workplace.run(&["check"]);
    assert_eq!(skipped.code, 0, "{skipped:?}");
    assert!(
        skipped.stdout.contains("is good: 1 partner, "),
        "{skipped:?}"
    );
    assert!(
        skipped
            .stderr
            .contains("warning: 2 bad rows will be skipped"),
        "{skipped:?}"
    );
    assert!(
        skipped
            .stderr
            .contains("\n  fix: correct them; until then, these partners are not mailed\n"),
        "{skipped:?}"
    );
}

#[test]
fn check_shows_the_template_of_each_language() {
    let workplace = Workplace::new(1);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    for locale in ["en", "he", "pt-BR"] {
        std::fs::create_dir_all(workplace.file("words").join(locale)).unwrap();
        for (name, text) in tree(&shipped.join("en")) {
            workplace.write(&format!("words/{locale}/{}", name.display()), &text);
        }
    }
    std::fs::copy(
        shipped.join("layout.html"),
        workplace.file("words/layout.html"),
    )
    .unwrap();
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let directory = format!("directory = \"{}\"", shipped.display());
    let config = config.replace(&directory, "directory = \"words\"\nMISSING");
    let write = |missing: &str| workplace.write("config.toml", &config.replace("MISSING", missing));
    write("");
    workplace.write(
        "partners.csv",
        "email,locale\na@a.example,en_GB\nb@a.example,en_GB\nc@a.example,en_GB\nd@a.example,vi\ne@a.example,vi\nf@a.example,iw\ng@a.example,en\nh@a.example,\ni@a.example,pt\n",
    );

    let text = workplace.run(&["check", "--locales"]);
    assert_eq!(text.code, 0, "{text:?}");
    let table: Vec<String> = text
        .stdout
        .lines()
        .take(7)
        .map(|it| it.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        table,
        [
            "asked for read as template by partners",
            "en_GB en-GB en parent 3",
            "vi vi en default 2",
            "(nothing) en default 1",
            "en en en exact 1",
            "iw he he alias 1",
            "pt pt pt-BR script 1",
        ]
    );
    let ends: std::collections::BTreeSet<usize> =
        text.stdout.lines().take(7).map(str::len).collect();
    assert_eq!(ends.len(), 1, "numbers are aligned: {text:?}");

    // Bad rows are counted too, and stdout contains only the JSON.
    write("missing_locale = \"refuse\"");
    let json = workplace.run(&["check", "--locales", "--format", "json"]);
    assert_eq!(json.code, 65, "{json:?}");
    let found: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(found["default_locale"], "en");
    assert_eq!(found["missing_locale"], "refuse");
    assert_eq!(found["templates"], serde_json::json!(["en", "he", "pt-BR"]));
    assert_eq!(found["more"], 0);
    assert_eq!(
        found["locales"][1],
        serde_json::json!({"asked": "vi", "locale": "vi", "template": null, "step": "refused", "partners": 2})
    );
    assert_eq!(
        found["locales"][2],
        serde_json::json!({"asked": null, "locale": null, "template": "en", "step": "default", "partners": 1})
    );
    assert_eq!(found["ok"], false);
    let findings = found["findings"].as_array().unwrap();
    assert!(
        findings.iter().any(|it| it["severity"] == "error"),
        "{found}"
    );
    assert!(json.stderr.contains("partners.csv has errors"), "{json:?}");
}

#[test]
fn list_warnings_appear_in_check_preview_and_on_terminals() {
    let server = Server::accepting();
    let workplace = Workplace::new(server.port());
    let csv = b"email,name\nada@gmail.com,Ren\xe9\n";
    std::fs::write(workplace.file("partners.csv"), csv).unwrap();
    let warned = |text: &str| {
        [
            "warning: `partners.csv` is not UTF-8 and looks like windows-1252",
            "warning: addresses at consumer mail services",
            "partners.csv:2, column email, \"ada@gmail.com\": `gmail.com` is open to everyone",
        ]
        .map(|it| text.contains(it))
    };

    for verb in ["check", "preview"] {
        let output = workplace.run(&[verb]);
        assert_eq!(output.code, 0, "{output:?}");
        assert_eq!(warned(&output.stderr), [true; 3], "{output:?}");
    }

    // The answer no at the question.
    let (mut out, mut err, mut input) = (Vec::new(), Vec::new(), &b"no\n"[..]);
    let mut console = Console {
        out: &mut out,
        err: &mut err,
        input: &mut input,
        interactive: true,
        screen: Screen::default(),
        clock: jiff::Timestamp::now,
        messages: Messages::default(),
    };
    let exit = tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(send::run(
            &workplace.file("config.toml"),
            &send::SendOptions::default(),
            &mut console,
        ))
        .unwrap();
    assert_eq!(exit, Exit::Done);
    let asked = String::from_utf8(err).unwrap();
    assert_eq!(
        warned(&asked.replace(&format!("{}/", workplace.path().display()), "")),
        [true; 3],
        "{asked}"
    );
    assert_eq!(
        workplace.states(),
        [],
        "rows were recorded after the answer no"
    );

    let output = workplace.run(&["send"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    assert_eq!(server.accepted().len(), 1);
}

#[test]
fn one_failing_message_stops_the_whole_run() {
    let server = Server::accepting();
    let mut workplace = Workplace::new(server.port());
    let page = "<a class=\"button\" href=\"{{ link }}\">Open</a> {{ link }}";
    let words = "{{ link }}\n{% if partner.name == \"Zoe\" %}{{ link }}\n{% endif %}";
    workplace.words(words, page);
    let rows: String = (0..700)
        .map(|it| format!("p{it}@a.example,{}\n", ["Ada", "Zoe"][it / 699]))
        .collect();
    workplace.write("partners.csv", &format!("email,name\n{rows}"));

    let refused = workplace.run(&["send"]);

    assert_eq!(refused.code, 78, "{refused:?}");
    let fault = "partners.csv:701: in the text part: the link occurs 2 times";
    assert!(refused.stderr.contains(fault), "{refused:?}");
    assert!(server.accepted().is_empty());
    assert_eq!(workplace.states(), []);
    assert!(!workplace.file("ledger.sqlite3-wal").exists());

    workplace.words("{{ link }}\n", page);
    assert_eq!(workplace.run(&["send"]).code, 0);
    oracle::check_settled(&workplace, &server, 700, 0);
}

#[test]
fn bad_rows_stop_a_send_or_are_skipped() {
    let server = Server::accepting();
    let workplace = Workplace::new(server.port());
    workplace.partners(&["ada@a.example", "nobody"]);

    let refused = workplace.run(&["send"]);
    assert_eq!(refused.code, 65, "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("partners.csv:3, column email, \"nobody\""),
        "{refused:?}"
    );
    assert!(server.accepted().is_empty());

    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write(
        "config.toml",
        &config.replace("[partners]", "[partners]\nbad_rows = \"skip\""),
    );
    let skipped = workplace.run(&["send"]);
    assert_eq!(skipped.code, 1, "{skipped:?}");
    assert!(skipped.stderr.contains("partners.csv:3"), "{skipped:?}");
    assert_eq!(server.accepted().len(), 1);
}

#[test]
fn a_preview_changes_nothing_and_shows_what_is_sent() {
    let server = Server::accepting();
    let mut workplace = Workplace::new(server.port());
    workplace.limits = "only_to = []\nnew_per_run = 0".into();
    workplace.configure();
    workplace.write(
        "partners.csv",
        "email,name,locale\nada@a.example,\"Zoë, <b>\",fr-CA\nbob@b.example,,ar\neva@e.example,Eva,\n",
    );
    let before = workplace.bytes();

    let preview = workplace.run(&["preview", "--out", "review"]);

    assert_eq!(preview.code, 0, "{preview:?}");
    assert!(preview.stdout.contains("3 messages (1 ar, 1 en, 1 fr) would be sent, 0 partners not mailed; open review/index.html"), "{preview:?}");
    assert!(
        preview.stderr.contains("a real send would stop"),
        "{preview:?}"
    );
    assert_eq!(server.connections(), 0);
    let after: Vec<_> = workplace
        .bytes()
        .into_iter()
        .filter(|(path, _)| !path.starts_with(workplace.file("review")))
        .collect();
    assert_eq!(after, before, "outside --out nothing may change");
    assert!(workplace.file("review/index.html").exists());
    let list = std::fs::read_to_string(workplace.file("review/list.html")).unwrap();
    assert!(
        list.contains("fr-CA → fr") && !list.contains("<b>"),
        "{list}"
    );
    let names: Vec<_> = std::fs::read_dir(workplace.file("review/messages"))
        .unwrap()
        .collect();
    assert_eq!(names.len(), 9);

    workplace.limits = String::new();
    workplace.configure();
    assert_eq!(workplace.run(&["send"]).code, 0);
    let mut sent = BTreeMap::new();
    for message in server.accepted() {
        let to = message.recipients[0].clone();
        sent.insert(to, undated(&message.data));
    }
    for number in 1..=3 {
        let eml =
            std::fs::read(workplace.file(&format!("review/messages/000{number}.eml"))).unwrap();
        let mail = MessageParser::default().parse(&eml).unwrap();
        let to = mail.to().unwrap().first().unwrap().address().unwrap();
        assert_eq!(undated(&eml), sent[to]);
    }

    // The same command with its other name now reports skipped rows with reasons.
    let preview = workplace.run(&["send", "--dry-run", "--out", "review"]);
    assert_eq!(preview.code, 0);
    assert!(
        preview
            .stdout
            .contains("not mailed: ada@a.example (accepted already)"),
        "{preview:?}"
    );
    assert!(
        preview
            .stdout
            .contains("0 messages would be sent, 3 partners not mailed"),
        "{preview:?}"
    );
}

#[test]
fn a_preview_of_a_long_list_counts_who_was_mailed_and_names_the_others() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Rcpt if call.line.contains("bob@b.example") => {
            Action::Reply(b"550 5.1.1 no such user\r\n".to_vec())
        }
        _ => Action::Normal,
    });
    let workplace = Workplace::new(server.port());
    let addresses: Vec<_> = (0..20).map(|it| format!("p{it}@a.example")).collect();
    let mut listed: Vec<_> = addresses.iter().map(String::as_str).collect();
    listed.push("bob@b.example");
    workplace.partners(&listed);
    assert_eq!(workplace.run(&["send"]).code, 1);

    let preview = workplace.run(&["preview"]);

    let named: Vec<_> = preview
        .stdout
        .lines()
        .filter(|it| it.starts_with("not mailed: "))
        .collect();
    assert_eq!(
        named,
        [
            "not mailed: bob@b.example (rejected)",
            "not mailed: 20 partners accepted or delivered already"
        ],
        "{preview:?}"
    );
}

#[test]
fn a_preview_without_a_ledger_counts_all_as_new() {
    let workplace = Workplace::new(1);
    workplace.partners(&["ada@a.example"]);
    std::fs::remove_file(workplace.file("ledger.sqlite3")).unwrap();

    let preview = workplace.run(&["preview"]);
    let check = workplace.run(&["check"]);

    assert_eq!((preview.code, check.code), (0, 0), "{preview:?} {check:?}");
    assert!(
        preview
            .stderr
            .contains("every partner counts as not invited"),
        "{preview:?}"
    );
    assert!(!workplace.file("ledger.sqlite3").exists());
    for verb in [
        &["send"][..],
        &["status"],
        &[
            "resolve",
            "--all-unknown",
            "--as",
            "accepted",
            "--note",
            "x",
        ],
    ] {
        let output = workplace.run(verb);
        assert_eq!(output.code, 78, "{output:?}");
        assert!(
            output.stderr.contains("`access-invite init` creates it"),
            "{output:?}"
        );
    }
    assert!(!workplace.file("ledger.sqlite3.lock").exists());
}

#[test]
fn a_sandbox_run_marks_nobody() {
    let mut workplace = Workplace::new(1);
    workplace.limits = "only_to = []\nnew_per_run = 0\nper_minute = 1\nper_day = 1".into();
    workplace.configure();
    workplace.partners(&["ada@a.example", "bob@b.example", "eva@e.example"]);
    let ledger = std::fs::read(workplace.file("ledger.sqlite3")).unwrap();

    for _ in 0..2 {
        let output = workplace.run(&["send", "--sandbox"]);
        assert_eq!(output.code, 0, "{output:?}");
        assert!(
            output
                .stdout
                .contains("3 messages (3 en) sent to the sandbox, 3 received"),
            "{output:?}"
        );
    }
    let limited = workplace.run(&["send", "--sandbox", "--limit", "1"]);
    assert!(
        limited
            .stdout
            .contains("1 message (1 en) sent to the sandbox, 1 received"),
        "{limited:?}"
    );
    let messages: Vec<_> = std::fs::read_dir(workplace.file("sandbox/messages"))
        .unwrap()
        .collect();
    assert_eq!(messages.len(), 3);
    let mut left: Vec<_> = std::fs::read_dir(workplace.file("sandbox"))
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(
        left,
        [
            ".made-by-access-invite",
            ".reviewed",
            "data",
            "index.html",
            "kinds.js",
            "list.html",
            "messages",
            "print.js",
            "review.css",
            "review.js"
        ],
        "neither a temporary ledger nor received messages"
    );

    assert_eq!(
        std::fs::read(workplace.file("ledger.sqlite3")).unwrap(),
        ledger
    );
    assert_eq!(workplace.states(), []);
    std::fs::create_dir(workplace.file("own")).unwrap();
    workplace.write("own/thesis.txt", "years of work");
    let refused = workplace.run(&["send", "--sandbox", "--out", "own"]);
    assert_eq!(refused.code, 74, "{refused:?}");
}

#[test]
fn status_json_has_exactly_the_documented_fields() {
    let server = Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(who)) if who.starts_with("no") => {
            Action::Reply(b"550 5.1.1 no such user\r\n".to_vec())
        }
        (Stage::Rcpt, Some(who)) if who.starts_with("later") => {
            Action::Reply(b"450 4.2.1 later\r\n".to_vec())
        }
        _ => Action::Normal,
    });
    let workplace = Workplace::new(server.port());
    workplace.write(
        "partners.csv",
        "email,name,organization,locale\nAda@A.example,Ada,Fabrikam,fr-CA\nno@b.example,,,\nlater@c.example,,,\n",
    );
    assert_eq!(workplace.run(&["send"]).code, 1);

    let status = workplace.status();
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    let mut top = keys(&status);
    top.sort();
    assert_eq!(top, ["campaign", "counts", "invitations", "runs"]);
    let counts = status["counts"].as_object().unwrap();
    assert_eq!(counts.len(), 11);
    assert_eq!(
        (
            &counts["accepted"],
            &counts["rejected"],
            &counts["deferred"],
            &counts["bounced"]
        ),
        (&1.into(), &1.into(), &1.into(), &0.into())
    );
    let ada = &status["invitations"][0];
    let mut fields = keys(ada);
    fields.sort();
    let mut expected = [
        "package",
        "package_id",
        "email",
        "name",
        "organization",
        "locale",
        "template_locale",
        "state",
        "listed",
        "attempts",
        "message_id",
        "smtp_code",
        "enhanced_code",
        "reply",
        "relay",
        "created_at",
        "updated_at",
        "accepted_at",
        "next_attempt_at",
        "note",
        "access",
        "access_at",
        "access_by",
        "reminders",
        "suppressed",
    ];
    expected.sort_unstable();
    assert_eq!(fields, expected);
    assert_eq!(ada["email"], "Ada@A.example");
    assert_eq!(ada["locale"], "fr-CA");
    assert_eq!(ada["template_locale"], "fr");
    assert_eq!(ada["listed"], true);
    assert_eq!(ada["attempts"], 1);
    assert_eq!(ada["smtp_code"], 250);
    assert_eq!(ada["enhanced_code"], "2.0.0");
    assert_eq!(ada["relay"], format!("127.0.0.1:{}", server.port()));
    assert!(ada["accepted_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(
        (&ada["next_attempt_at"], &ada["note"]),
        (&Value::Null, &Value::Null)
    );
    let no = &status["invitations"][1];
    assert_eq!(
        (&no["name"], &no["accepted_at"], &no["smtp_code"]),
        (&Value::Null, &Value::Null, &550.into())
    );
    assert!(status["invitations"][2]["next_attempt_at"].is_string());

    let one = workplace.run(&["status", "ada@a.EXAMPLE", "--format", "json"]);
    let one: Value = serde_json::from_str(&one.stdout).unwrap();
    let history = one["invitations"][0]["history"].as_array().unwrap();
    let steps: Vec<_> = history
        .iter()
        .map(|it| (it["from"].as_str(), it["to"].as_str().unwrap()))
        .collect();
    assert_eq!(
        steps,
        [
            (None, "pending"),
            (Some("pending"), "armed"),
            (Some("armed"), "accepted")
        ]
    );
    let mut fields = keys(&history[2]);
    fields.sort();
    assert_eq!(
        fields,
        [
            "at",
            "enhanced_code",
            "from",
            "message_id",
            "note",
            "phase",
            "relay",
            "reply",
            "smtp_code",
            "to"
        ]
    );

    // Reading the ledger does not need the partner list.
    std::fs::remove_file(workplace.file("partners.csv")).unwrap();
    assert_eq!(workplace.status()["invitations"][0]["listed"], Value::Null);
}

#[test]
fn status_text_and_csv_filter_and_report_no_match() {
    let server = Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(who)) if who.starts_with("no") => {
            Action::Reply(b"550 5.1.1 =HYPERLINK(1) \x1b[31m\r\n".to_vec())
        }
        _ => Action::Normal,
    });
    let workplace = Workplace::new(server.port());
    let empty = workplace.run(&["status"]);
    assert_eq!(
        (empty.code, empty.stdout.as_str()),
        (0, "campaign spring: 0 invitations\n")
    );
    workplace.write(
        "partners.csv",
        "email,name\nada@a.example,=1+1\nno@b.example,Bob\n",
    );
    assert_eq!(workplace.run(&["send"]).code, 1);

    let text = workplace.run(&["status"]);
    assert!(
        text.stdout
            .starts_with("campaign spring: 2 invitations: 1 accepted, 1 rejected\n"),
        "{text:?}"
    );
    assert!(
        text.stdout.contains("550 5.1.1") && !text.stdout.contains('\x1b'),
        "{text:?}"
    );
    let csv = workplace.run(&["status", "--format", "csv"]);
    assert_eq!(csv.stdout.lines().count(), 3, "{csv:?}");
    assert!(csv.stdout.starts_with("\u{feff}package,"), "{csv:?}");
    assert!(
        csv.stdout.contains(",'=1+1,") && csv.stdout.contains(",'=HYPERLINK"),
        "{csv:?}"
    );
    let rejected = workplace.run(&["status", "--state", "rejected", "--format", "csv"]);
    assert!(
        rejected.stdout.contains("no@b.example") && !rejected.stdout.contains("ada@"),
        "{rejected:?}"
    );
    let history = workplace.run(&["status", "no@b.example"]);
    assert!(
        history.stdout.contains("history of no@b.example (project)"),
        "{history:?}"
    );

    assert_eq!(workplace.run(&["status", "eva@e.example"]).code, 65);
    assert_eq!(workplace.run(&["status", "--package", "nothing"]).code, 65);
    assert_eq!(workplace.run(&["status", "--state", "sent"]).code, 2);
    assert_eq!(workplace.run(&["status", "no address"]).code, 2);
}

#[test]
fn resolve_decides_unknown_deliveries() {
    let server = forgetful(2, true);
    let workplace = Workplace::new(server.port());
    workplace.partners(&["ada@a.example", "bob@b.example"]);
    let sent = workplace.run(&["send"]);
    assert_eq!(sent.code, 3, "{sent:?}");
    assert!(
        sent.stderr
            .contains("resolve ADDRESS --as accepted|resend|abandoned"),
        "{sent:?}"
    );

    let resolve = |arguments: &[&str]| {
        let mut all = vec!["resolve"];
        all.extend(arguments);
        all.extend(["--note", "seen in the relay's log"]);
        workplace.run(&all)
    };
    let accepted = resolve(&["ada@a.example", "--as", "accepted"]);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    assert!(
        accepted
            .stdout
            .contains("ada@a.example (project): unknown → accepted"),
        "{accepted:?}"
    );
    let again = resolve(&["ada@a.example", "--as", "accepted"]);
    assert_eq!(again.code, 65, "{again:?}");
    assert!(
        again.stderr.contains(
            "ada@a.example is accepted; `--as accepted` applies only to unknown, pending, deferred"
        ),
        "{again:?}"
    );
    assert_eq!(resolve(&["eva@e.example", "--as", "abandoned"]).code, 65);
    let all = resolve(&["--all-unknown", "--as", "abandoned"]);
    assert!(
        all.stdout
            .contains("bob@b.example (project): unknown → abandoned"),
        "{all:?}"
    );
    assert_eq!(workplace.run(&["send"]).code, 0);
    let none = resolve(&["--all-unknown", "--as", "abandoned"]);
    assert_eq!(
        (none.code, none.stdout.as_str()),
        (0, "nothing is unknown\n")
    );

    let history = workplace.run(&["status", "ada@a.example", "--format", "json"]);
    assert!(
        history.stdout.contains("seen in the relay's log"),
        "{history:?}"
    );
    assert_eq!(
        workplace
            .run(&["resolve", "--as", "accepted", "--note", "x"])
            .code,
        2
    );
    assert_eq!(
        workplace
            .run(&["resolve", "ada@a.example", "--as", "accepted"])
            .code,
        2
    );
    oracle::check_settled_but(&workplace, &server, 2, 0, &["abandoned"]);
}

#[test]
fn d35_a_resend_repeats_the_same_bytes() {
    let server = forgetful(2, true);
    let mut workplace = Workplace::new(server.port());
    workplace.smtp += "\nconnections = 1";
    workplace.configure();
    workplace.partners(&["ada@a.example", "bob@b.example"]);
    assert_eq!(workplace.run(&["send"]).code, 3);
    let resend = |address: &str, more: &[&str]| {
        let mut all = vec![
            "resolve",
            address,
            "--as",
            "resend",
            "--note",
            "not in the log",
        ];
        all.extend(more);
        workplace.run(&all)
    };
    std::thread::sleep(Duration::from_millis(1_100));

    assert_eq!(resend("ada@a.example", &[]).code, 0);
    assert_eq!(workplace.run(&["send"]).code, 3, "bob is still unknown");
    let accepted = server.accepted();
    assert_eq!(accepted.len(), 3);
    assert_eq!(
        accepted[0].data, accepted[2].data,
        "Date and Message-ID included"
    );

    // Bob's row has changed: a resend would be another message.
    workplace.write(
        "partners.csv",
        "email,name\nada@a.example,Ada\nbob@b.example,Robert\n",
    );
    let other = resend("bob@b.example", &[]);
    assert_eq!(other.code, 65, "{other:?}");
    assert!(
        other.stderr.contains("`--changed` sends it as it is now"),
        "{other:?}"
    );
    assert_eq!(resend("bob@b.example", &["--changed"]).code, 0);
    assert_eq!(workplace.run(&["send"]).code, 0);
    let accepted = server.accepted();
    let id = |it: usize| message_id(&accepted[it].data);
    assert_eq!(id(1), id(3));
    assert_ne!(accepted[1].data, accepted[3].data);

    // In any other state it is a new message.
    let again = resend("ada@a.example", &[]);
    assert!(again.stdout.contains("accepted → pending"), "{again:?}");
    assert_eq!(workplace.run(&["send"]).code, 0);
    let accepted = server.accepted();
    let id = |it: usize| message_id(&accepted[it].data);
    assert_ne!(id(4), id(0));
}

#[test]
fn a_resend_that_would_differ_returns_to_unknown() {
    let server = forgetful(1, true);
    let workplace = Workplace::new(server.port());
    workplace.partners(&["ada@a.example"]);
    assert_eq!(workplace.run(&["send"]).code, 3);
    assert_eq!(
        workplace
            .run(&["resolve", "ada@a.example", "--as", "resend", "--note", "x"])
            .code,
        0
    );
    let rows = "email,name\nada@a.example,Augusta Ada\nbob@b.example,Bob\n";
    workplace.write("partners.csv", rows);

    let preview = workplace.run(&["preview"]);
    assert!(
        preview
            .stderr
            .contains("so a send could not repeat it and would make it unknown"),
        "{preview:?}"
    );
    let send = workplace.run(&["send"]);

    // Bob, who is new, is enrolled again when the plan is made without her.
    assert_eq!(send.code, 3, "{send:?}");
    let mut states = workplace.states();
    states.sort();
    assert_eq!(states[0], ("ada@a.example".into(), "unknown".into()));
    assert_eq!(states[1], ("bob@b.example".into(), "accepted".into()));
    assert_eq!(server.accepted().len(), 2);
    let history = workplace.run(&["status", "ada@a.example"]);
    assert!(history.stdout.contains("has changed since"), "{history:?}");
}

#[test]
fn an_address_with_several_packages_is_resolved_separately() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Rcpt => Action::Reply(b"550 5.1.1 no\r\n".to_vec()),
        _ => Action::Normal,
    });
    let workplace = Workplace::new(server.port());
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let second = LINK.replace("0b11", "0b12");
    let two = format!("{config}[packages.archive]\nlink = \"{second}\"\nname = \"Archive\"\n");
    workplace.write("config.toml", &two);
    workplace.write(
        "partners.csv",
        "email,package\nada@a.example,project\nada@a.example,archive\n",
    );
    assert_eq!(workplace.run(&["send"]).code, 1);
    let resolve = |more: &[&str]| {
        let mut all = vec!["resolve", "ada@a.example", "--as", "resend", "--note", "x"];
        all.extend(more);
        workplace.run(&all)
    };

    let which = resolve(&[]);
    assert_eq!(which.code, 65, "{which:?}");
    assert!(
        which.stderr.contains("project and archive") && which.stderr.contains("--package"),
        "{which:?}"
    );
    assert_eq!(resolve(&["--package", "archive"]).code, 0);
    let mut states = workplace.states();
    states.sort();
    assert_eq!(states[0].1, "pending");
    assert_eq!(states[1].1, "rejected");
}

/// The ids of two packages in the ledger, and of one that is not.
const PROJECT_ID: &str = "8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11";
const ARCHIVE_ID: &str = "8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b12";
const OTHER_ID: &str = "8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b13";

/// A job whose one partner was refused for the packages `project` and `archive`, and its configuration
/// as a pattern for these two keys and ids.
fn refused_for_two_packages(port: u16) -> (Workplace, impl Fn([(&str, &str); 2]) -> String) {
    let workplace = Workplace::new(port);
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let configured = move |packages: [(&str, &str); 2]| {
        let [first, second] = packages;
        let head = config
            .replace("[packages.project]", &format!("[packages.{}]", first.0))
            .replace(PROJECT_ID, first.1);
        let link = LINK.replace(PROJECT_ID, second.1);
        format!(
            "{head}[packages.{}]\nlink = \"{link}\"\nname = \"Archive\"\n",
            second.0
        )
    };
    let both = configured([("project", PROJECT_ID), ("archive", ARCHIVE_ID)]);
    workplace.write("config.toml", &both);
    workplace.write(
        "partners.csv",
        "email,package\nada@a.example,project\nada@a.example,archive\n",
    );
    assert_eq!(workplace.run(&["send"]).code, 1);
    (workplace, configured)
}

/// The package, its id and the state of every record, by id.
fn packages(workplace: &Workplace) -> Vec<(String, String, String)> {
    let text = |it: &Value| it.as_str().unwrap().to_owned();
    let mut found: Vec<_> = workplace.status()["invitations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            (
                text(&it["package"]),
                text(&it["package_id"]),
                text(&it["state"]),
            )
        })
        .collect();
    found.sort_by(|a, b| a.1.cmp(&b.1));
    found
}

fn rejecting() -> Server {
    Server::start(|call: &Call| match call.stage {
        Stage::Rcpt => Action::Reply(b"550 5.1.1 no\r\n".to_vec()),
        _ => Action::Normal,
    })
}

const RESEND: [&str; 6] = ["resolve", "ada@a.example", "--as", "resend", "--note", "x"];

#[test]
fn f6_a_renamed_or_swapped_package_is_selected_by_id() {
    let server = rejecting();
    for (first, second, wanted) in [
        // Renamed, and swapped.
        ("project", "store", "store"),
        ("archive", "project", "project"),
    ] {
        let (workplace, configured) = refused_for_two_packages(server.port());
        let other = configured([(first, PROJECT_ID), (second, ARCHIVE_ID)]);
        workplace.write("config.toml", &other);

        let status = workplace.run(&["status", "--package", wanted, "--format", "csv"]);
        assert_eq!(status.code, 0, "{status:?}");
        let rows: Vec<&str> = status.stdout.lines().skip(1).collect();
        assert_eq!(rows.len(), 1, "{status:?}");
        assert!(
            rows[0].starts_with(&format!("{wanted},{ARCHIVE_ID},")),
            "{rows:?}"
        );

        let resolved = workplace.run(&[&RESEND[..], &["--package", wanted]].concat());
        assert_eq!(resolved.code, 0, "{resolved:?}");
        assert_eq!(
            resolved.stdout,
            format!("ada@a.example ({wanted}): rejected → pending\n")
        );
        let expected = [
            (first, PROJECT_ID, "rejected"),
            (second, ARCHIVE_ID, "pending"),
        ];
        let expected = expected.map(|(a, b, c)| (a.into(), b.into(), c.into()));
        assert_eq!(packages(&workplace), expected);
    }
}

#[test]
fn f6_a_key_with_a_new_id_does_not_select_the_old_package() {
    let server = rejecting();
    let (workplace, configured) = refused_for_two_packages(server.port());
    let other = configured([("project", PROJECT_ID), ("archive", OTHER_ID)]);
    workplace.write("config.toml", &other);

    let by_key = workplace.run(&[&RESEND[..], &["--package", "archive"]].concat());
    assert_eq!(by_key.code, 65, "{by_key:?}");
    assert!(
        by_key
            .stderr
            .contains(&format!("to `archive` ({OTHER_ID})"))
            && by_key.stderr.contains(&format!("archive ({ARCHIVE_ID})")),
        "{by_key:?}"
    );
    let status = workplace.run(&["status", "--package", "archive"]);
    assert_eq!(status.code, 0, "{status:?}");
    assert!(!status.stdout.contains("ada@a.example"), "{status:?}");
    let ambiguous = workplace.run(&RESEND);
    assert_eq!(ambiguous.code, 65, "{ambiguous:?}");
    assert!(
        ambiguous
            .stderr
            .contains(&format!("project and archive ({ARCHIVE_ID})")),
        "{ambiguous:?}"
    );
    // A package that is no longer configured is shown with its id.
    let text = workplace.run(&["status"]);
    assert!(
        text.stdout.contains(&format!("archive ({ARCHIVE_ID})")),
        "{text:?}"
    );

    let id = ARCHIVE_ID.to_uppercase();
    let status = workplace.run(&["status", "--package", &id, "--format", "csv"]);
    assert!(
        status.stdout.contains(&format!("\narchive,{ARCHIVE_ID},")),
        "{status:?}"
    );
    assert_eq!(status.stdout.lines().count(), 2, "{status:?}");
    let by_id = workplace.run(&[&RESEND[..], &["--package", &id]].concat());
    assert_eq!(by_id.code, 0, "{by_id:?}");
    let states: Vec<_> = packages(&workplace).into_iter().map(|it| it.2).collect();
    assert_eq!(states, ["rejected", "pending"]);
}

#[test]
fn f6_an_unknown_package_is_refused_with_the_known_ones() {
    let server = rejecting();
    let (workplace, configured) = refused_for_two_packages(server.port());
    let other = configured([("project", PROJECT_ID), ("store", ARCHIVE_ID)]);
    workplace.write("config.toml", &other);

    for verb in [&RESEND[..], &["status"]] {
        // A former key is reported with its id.
        let former = workplace.run(&[verb, &["--package", "archive"]].concat());
        assert_eq!(former.code, 65, "{former:?}");
        assert!(
            former.stderr.contains("(configured: project, store)")
                && former.stderr.contains(&format!("`--package {ARCHIVE_ID}`")),
            "{former:?}"
        );
        let unknown = workplace.run(&[verb, &["--package", OTHER_ID]].concat());
        assert_eq!(unknown.code, 65, "{unknown:?}");
        assert!(
            unknown.stderr.contains(OTHER_ID)
                && unknown.stderr.contains("neither configured nor recorded"),
            "{unknown:?}"
        );
    }
    // A configured id is valid, with or without records.
    let config = configured([("project", OTHER_ID), ("store", ARCHIVE_ID)]);
    workplace.write("config.toml", &config);
    assert_eq!(workplace.run(&["status", "--package", OTHER_ID]).code, 0);
}

#[test]
fn f6_resolve_all_unknown_selects_by_package_id() {
    let server = forgetful(1_000, true);
    let (workplace, configured) = {
        let workplace = Workplace::new(server.port());
        let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
        (workplace, config)
    };
    let link = LINK.replace(PROJECT_ID, ARCHIVE_ID);
    let archive = format!("[packages.archive]\nlink = \"{link}\"\nname = \"Archive\"\n");
    workplace.write("config.toml", &format!("{configured}{archive}"));
    workplace.write(
        "partners.csv",
        "email,package\nada@a.example,project\nbob@b.example,archive\n",
    );
    assert_eq!(workplace.run(&["send"]).code, 3);
    // The package is no longer configured.
    workplace.write("config.toml", &configured);

    let resolved = workplace.run(&[
        "resolve",
        "--all-unknown",
        "--as",
        "accepted",
        "--note",
        "seen",
        "--package",
        ARCHIVE_ID,
    ]);

    assert_eq!(resolved.code, 0, "{resolved:?}");
    let states: Vec<_> = packages(&workplace).into_iter().map(|it| it.2).collect();
    assert_eq!(states, ["unknown", "accepted"]);
}

#[test]
fn f7_a_missing_configured_column_stops_every_verb() {
    let server = Server::accepting();
    let workplace = Workplace::new(server.port());
    workplace.partners(&["ada@a.example"]);
    assert_eq!(workplace.run(&["send"]).code, 0);
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let columns = "[partners]\ncolumns = { name = \"First name\", locale = \"Language\" }";
    workplace.write("config.toml", &config.replace("[partners]", columns));
    workplace.write(
        "partners.csv",
        "email,First name,Langue\nada@a.example,Ada,fr\nbob@b.example,Bob,fr\n",
    );

    for verb in [
        &["check"][..],
        &["check", "--locales"],
        &["preview"],
        &["send"],
        &["send", "--dry-run"],
        &["send", "--sandbox"],
        &["send", "--test-to", "me@contoso.example"],
    ] {
        let output = workplace.run(verb);
        assert_eq!(output.code, 65, "{verb:?} {output:?}");
        assert!(
            output.stderr.contains("partners.csv:1: there is no column `Language`, which `partners.columns.locale` names; did you mean `Langue`? The file has `email`, `First name`, `Langue`"),
            "{verb:?} {output:?}"
        );
    }
    // `status` does not need the list.
    assert_eq!(workplace.status()["invitations"][0]["listed"], Value::Null);
    assert_eq!(server.accepted().len(), 1);
}

#[test]
fn f2_check_refuses_rows_hidden_by_stray_quotes() {
    let server = Server::accepting();
    let workplace = Workplace::new(server.port());
    workplace.write(
        "partners.csv",
        "email,name,note\nada@a.example,Ada,\"19 inch screen\nbob@b.example,Bob,\neva@e.example,Eva,\ndee@d.example,Dee,\"21 inch screen\nzoe@z.example,Zoe,\n",
    );

    for verb in [&["check"][..], &["preview"], &["send"]] {
        let output = workplace.run(verb);
        assert_eq!(output.code, 65, "{verb:?} {output:?}");
        assert!(
            output
                .stderr
                .contains("partners.csv:2-5: the quoted cell that begins on line 2 ends on line 5"),
            "{verb:?} {output:?}"
        );
    }
    assert!(server.accepted().is_empty());

    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let skip = "[partners]\nbad_rows = \"skip\"";
    let results = "[results]\ncsv = \"results.csv\"\n";
    let config = format!("{}{results}", config.replace("[partners]", skip));
    workplace.write("config.toml", &config);
    let sent = workplace.run(&["send"]);
    assert_eq!(sent.code, 1, "{sent:?}");
    assert!(sent.stderr.contains("partners.csv:2-5:"), "{sent:?}");
    assert_eq!(server.accepted().len(), 1);
    // The results contain the rows unchanged, in one cell.
    let written = std::fs::read_to_string(workplace.file("results.csv")).unwrap();
    assert!(
        written.contains("\"ada@a.example,Ada,\"\"19 inch screen\nbob@b.example,Bob,\n")
            && written.contains("bad_row"),
        "{written}"
    );
}

#[test]
fn file_errors_have_their_exit_codes() {
    let server = Server::accepting();
    let workplace = Workplace::new(server.port());
    workplace.partners(&["ada@a.example"]);
    let send = |code: i32, word: &str| {
        let output = workplace.run(&["send"]);
        assert_eq!(output.code, code, "{output:?}");
        assert!(
            output.stderr.starts_with("error: ") && output.stderr.contains(word),
            "{output:?}"
        );
        assert!(!output.stderr.contains("panicked"), "{output:?}");
    };

    assert_eq!(workplace.run(&["send", "-c", "none.toml"]).code, 78);
    assert_eq!(workplace.run(&["frobnicate"]).code, 2);
    for other in ["--dry-run", "--sandbox"] {
        let both = workplace.run(&["send", "--test-to", "a@a.example", other]);
        assert_eq!(both.code, 2, "{both:?}");
    }
    assert_eq!(workplace.run(&["send", "--dry-run", "--sandbox"]).code, 2);
    assert_eq!(workplace.run(&["send", "--out", "x"]).code, 2);
    assert_eq!(workplace.run(&["--version"]).code, 0);

    workplace.write("partners.csv", "");
    send(65, "the file is empty");
    workplace.write("partners.csv", "email,name\n");
    assert_eq!(
        workplace.run(&["send"]).code,
        0,
        "a header alone has no partners"
    );
    std::fs::remove_file(workplace.file("partners.csv")).unwrap();
    send(65, "cannot read the partner file");
    workplace.partners(&["ada@a.example"]);

    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write("config.toml", &config.replace("0b11\"", "0b1\""));
    send(78, "is not a complete My Access link");
    workplace.write("config.toml", &config.replace("fabrikam.", "contoso."));
    send(78, "the link of the example configuration");
    workplace.write(
        "config.toml",
        &config.replace(concat!(env!("CARGO_MANIFEST_DIR"), "/templates"), "none"),
    );
    send(78, "cannot read the template folder");
    workplace.write("config.toml", &config);

    assert_eq!(server.connections(), 0);
    assert_eq!(workplace.run(&["send"]).code, 0);
}

#[test]
fn closed_output_does_not_stop_a_run() {
    let server = Server::accepting();
    let workplace = Workplace::new(server.port());
    workplace.partners(&["ada@a.example", "nobody"]);
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write(
        "config.toml",
        &config.replace("[partners]", "[partners]\nbad_rows = \"skip\""),
    );
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();

    let output = workplace.run_with(&["send"], |command| {
        command.stdout(full.try_clone().unwrap()).stderr(full);
    });

    // The run is complete and recorded; its output is lost.
    assert_eq!(output.code, 74);
    assert_eq!(server.accepted().len(), 1);
    assert_eq!(workplace.state(), "accepted");
}

#[test]
fn hostile_cells_stay_text() {
    let server = Server::accepting();
    let workplace = Workplace::new(server.port());
    let hostile = [
        "{{7*7}}",
        "{% include 'x' %}",
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "${HOME}",
        "$(id)",
        "=cmd|' /C calc'!A0",
    ];
    let rows: String = hostile
        .iter()
        .enumerate()
        .map(|(number, it)| format!("p{number}@a.example,\"{}\"\n", it.replace('"', "\"\"")))
        .collect();
    workplace.write("partners.csv", &format!("email,name\n{rows}"));

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 0, "{output:?}");
    for message in server.accepted() {
        let mail = MessageParser::default().parse(&message.data).unwrap();
        let html = mail.body_html(0).unwrap();
        assert!(
            !html.contains("<script") && !html.contains("<img"),
            "{html}"
        );
        let number: usize = message.recipients[0][1..2].parse().unwrap();
        assert!(mail.body_text(0).unwrap().contains(hostile[number]));
        assert_eq!(
            mail.to().unwrap().first().unwrap().name(),
            Some(hostile[number])
        );
    }
}

#[test]
fn test_to_sends_one_mail_per_language() {
    let server = Server::accepting();
    let mut workplace = Workplace::new(server.port());
    workplace.limits = "only_to = []\nnew_per_run = 0\nper_day = 1".into();
    workplace.configure();
    workplace.write(
        "partners.csv",
        "email,name,locale\nada@a.example,Ada,en\nbob@b.example,Bob,en-GB\nzoe@z.example,Zoé,fr-CA\n",
    );
    std::fs::remove_file(workplace.file("ledger.sqlite3")).unwrap();

    let output = workplace.run(&["send", "--test-to", "me@contoso.example"]);

    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        output.stdout.contains("2 messages accepted")
            && output.stdout.contains("no partner was mailed"),
        "{output:?}"
    );
    let accepted = server.accepted();
    assert_eq!(accepted.len(), 2);
    let mut languages = Vec::new();
    for message in &accepted {
        assert_eq!(message.recipients, ["me@contoso.example"]);
        let mail = MessageParser::default().parse(&message.data).unwrap();
        assert!(
            mail.subject().unwrap().starts_with("[TEST] "),
            "{:?}",
            mail.subject()
        );
        assert_eq!(
            mail.to().unwrap().first().unwrap().address(),
            Some("me@contoso.example")
        );
        assert!(mail.body_text(0).unwrap().lines().any(|it| it == LINK));
        languages.push(
            mail.header_raw("Content-Language")
                .unwrap()
                .trim()
                .to_owned(),
        );
    }
    languages.sort();
    assert_eq!(languages, ["en", "fr"]);
    assert!(!workplace.file("ledger.sqlite3").exists());
}

#[test]
fn check_connect_reports_each_step_and_sends_nothing() {
    let server = Server::accepting();
    let workplace = Workplace::new(server.port());
    workplace.partners(&["ada@a.example"]);

    let plain = workplace.run(&["check"]);
    assert_eq!((plain.code, server.connections()), (0, 0));
    let good = workplace.run(&["check", "--connect"]);
    assert_eq!(good.code, 0, "{good:?}");
    for step in [
        "ok: connect: 127.0.0.1:",
        "ok: ehlo: EHLO ",
        "ok: relay: ready to accept mail; none was sent",
    ] {
        assert!(good.stdout.contains(step), "{good:?}");
    }
    assert!(
        server
            .commands()
            .iter()
            .all(|(_, it)| !it.starts_with("MAIL"))
    );

    let refusing = Server::start(|call: &Call| match call.stage {
        Stage::Ehlo => Action::Reply(b"554 5.7.1 not you\r\n".to_vec()),
        _ => Action::Normal,
    });
    let workplace = Workplace::new(refusing.port());
    let refused = workplace.run(&["check", "--connect"]);
    assert_eq!(refused.code, 69, "{refused:?}");
    assert!(
        refused.stdout.contains("ok: connect: 127.0.0.1:"),
        "{refused:?}"
    );
    assert!(refused.stderr.contains("554 5.7.1 not you"), "{refused:?}");
}

#[test]
fn a_changed_deferred_resend_returns_to_unknown() {
    let deferring = Arc::new(AtomicUsize::new(0));
    let count = deferring.clone();
    let server =
        Server::start(
            move |call: &Call| match (call.stage, count.load(Ordering::SeqCst)) {
                (Stage::Dot, 0) => Action::AcceptThen(Box::new(Action::Close)),
                (Stage::Rcpt, 1) => Action::Reply(b"450 4.2.1 later\r\n".to_vec()),
                _ => Action::Normal,
            },
        );
    let mut workplace = Workplace::new(server.port());
    workplace.retry = "first_after = \"1s\"".into();
    workplace.configure();
    workplace.partners(&["ada@a.example"]);
    assert_eq!(workplace.run(&["send"]).code, 3);
    let resend = ["resolve", "ada@a.example", "--as", "resend", "--note", "x"];
    assert_eq!(workplace.run(&resend).code, 0);
    deferring.store(1, Ordering::SeqCst);
    assert_eq!(workplace.run(&["send"]).code, 75);
    deferring.store(2, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(1_200));

    // Her row changed; the guard still applies to the row that takes its place.
    workplace.limits = "only_to = [\"ada@a.example\"]".into();
    workplace.configure();
    workplace.write(
        "partners.csv",
        "email,name\nada@a.example,Augusta\nbob@b.example,Bob\n",
    );
    let guarded = workplace.run(&["send", "--limit", "1"]);
    assert_eq!(guarded.code, 65, "{guarded:?}");
    workplace.limits = String::new();
    workplace.configure();
    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 3, "{output:?}");
    let mut states = workplace.states();
    states.sort();
    assert_eq!(states[0], ("ada@a.example".into(), "unknown".into()));
    assert_eq!(states[1], ("bob@b.example".into(), "accepted".into()));
    assert_eq!(server.accepted().len(), 2);
}

#[test]
fn reading_a_ledger_in_wal_mode_changes_no_file() {
    let workplace = Workplace::new(1);
    workplace.partners(&["ada@a.example"]);
    let outside = rusqlite::Connection::open(workplace.file("ledger.sqlite3")).unwrap();
    outside
        .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
        .unwrap();
    drop(outside);
    let before = workplace.bytes();

    for verb in ["status", "check"] {
        assert_eq!(workplace.run(&[verb]).code, 0);
    }

    assert_eq!(workplace.bytes(), before);
}

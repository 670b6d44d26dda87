//! `report`: what it says is what the ledger holds and what was sent; it replaces reports only, and changes nothing.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::page::Page;
use crate::support::smtp::{Action, Call, Server, Stage, reply};
use crate::support::story::Story;
use crate::support::{Output, Workplace};

/// A job that has invited Ada, and Bob whose address is refused.
fn invited() -> (Server, Workplace) {
    let server = Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(who)) if who.starts_with("bob") => reply("550 5.1.1 no such user"),
        _ => Action::Normal,
    });
    let workplace = Workplace::new(server.port());
    let list = "email,name,locale\nada@a.example,Ada,fr\nbob@b.example,Bob,\n";
    workplace.write("partners.csv", list);
    assert_eq!(workplace.run(&["send"]).code, 1);
    (server, workplace)
}

#[track_caller]
fn report(workplace: &Workplace, options: &[&str]) -> Output {
    let output = workplace.run(&[&["report"], options].concat());
    assert_eq!(output.code, 0, "{output:?}");
    output
}

fn read(workplace: &Workplace, name: &str) -> String {
    std::fs::read_to_string(workplace.file(name)).unwrap()
}

fn json(workplace: &Workplace) -> Value {
    report(workplace, &["--format", "json"]);
    serde_json::from_str(&read(workplace, "report.json")).unwrap()
}

#[test]
fn all_formats_say_what_the_ledger_holds() {
    let (server, workplace) = invited();

    let output = report(&workplace, &[]);

    assert_eq!(
        output.stdout,
        "report.html: 2 invitations, 1 run, 0 approvals, 2 texts\n"
    );
    assert_eq!(output.stderr, "");
    let page = Page::read(&read(&workplace, "report.html"));
    let status = workplace.status();
    for invitation in status["invitations"].as_array().unwrap() {
        for field in ["email", "name", "state", "message_id", "template_locale"] {
            let value = invitation[field].as_str().unwrap();
            assert!(page.words.contains(value), "{field}: {value}");
        }
    }
    for words in [
        "spring",
        "Contoso",
        "550 5.1.1 no such user",
        "text verified",
        concat!("access-invite ", env!("CARGO_PKG_VERSION")),
        "exit code 1",
        "1 accepted, 1 rejected",
        "Times in",
    ] {
        assert!(page.words.contains(words), "{words}");
    }

    let report = json(&workplace);
    assert_eq!(report["counts"], status["counts"]);
    let fields = |it: &Value| {
        let names = [
            "email",
            "state",
            "message_id",
            "smtp_code",
            "reply",
            "accepted_at",
        ];
        names.map(|name| it[name].clone())
    };
    let of = |it: &Value| -> Vec<_> {
        it["invitations"]
            .as_array()
            .unwrap()
            .iter()
            .map(fields)
            .collect()
    };
    assert_eq!(of(&report), of(&status));
    assert_eq!(
        report["progress"].as_array().unwrap().last().unwrap()["accepted"],
        1
    );
    assert_eq!(report["runs"][0]["verb"], "send");
    assert_eq!(report["runs"][0]["counts"]["rejected"], 1);
    assert_eq!(report["ledger_id"].as_str().unwrap().len(), 32);
    let history = &report["invitations"][1]["history"];
    assert_eq!(
        history.as_array().unwrap().last().unwrap()["to"],
        "rejected"
    );

    // The text is the one that the relay got.
    let sent = server.accepted().remove(0).data;
    let sent = mail_parser::MessageParser::default().parse(&sent).unwrap();
    let messages = report["messages"].as_array().unwrap();
    let french = messages.iter().find(|it| it["locale"] == "fr").unwrap();
    assert_eq!(
        (&french["sent"], &french["verified"]),
        (&1.into(), &1.into())
    );
    let sample = &french["sample"];
    assert_eq!(sample["is_sent"], true);
    assert_eq!(sample["subject"], sent.subject().unwrap());
    assert_eq!(sample["text"], *sent.body_text(0).unwrap());
    assert_eq!(sample["html"], *sent.body_html(0).unwrap());
    assert_eq!(sample["date"], sent.date().unwrap().to_rfc3339());

    report_csv(&workplace);
}

fn report_csv(workplace: &Workplace) {
    report(workplace, &["--format", "csv", "--out", "table.csv"]);
    let csv = read(workplace, "table.csv");
    let csv = csv.strip_prefix('\u{feff}').unwrap();
    let mut lines = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<BTreeMap<String, String>> = lines.deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1]["email"], "bob@b.example");
    assert_eq!(rows[1]["enhanced_code"], "5.1.1");
    assert_eq!(
        (&*rows[0]["text_verified"], &*rows[1]["text_verified"]),
        ("true", "")
    );
    assert!(!rows[0]["accepted_at"].is_empty());
}

#[test]
fn a_text_that_has_changed_since_is_not_shown_as_the_one_that_was_sent() {
    let server = Server::accepting();
    let mut workplace = Workplace::new(server.port());
    workplace.words("Hello {{ partner.extra.note }},\n\n{{ link }}\n", "<p><a class=\"button\" href=\"{{ link }}\">here</a> {{ partner.extra.note }}</p> <p>{{ link }}</p>");
    let list = |name: &str| {
        workplace.write(
            "partners.csv",
            &format!("email,name,note\nada@a.example,{name},first\n"),
        );
    };
    list("Ada");
    assert_eq!(workplace.run(&["send"]).code, 0);
    let text = |workplace: &Workplace| {
        let report = json(workplace);
        let sample = &report["messages"][0]["sample"];
        (
            report["invitations"][0]["text_verified"].clone(),
            sample["is_sent"].clone(),
            sample["text"]
                .as_str()
                .unwrap_or_default()
                .trim()
                .to_owned(),
        )
    };
    // The column is only in the list; the name was recorded, so the list may have another one.
    let sent = format!("Hello first,\n\n{}", crate::support::LINK);
    let found = text(&workplace);
    assert_eq!(found.2.replace("\r\n", "\n"), sent);
    assert_eq!((found.0, found.1), (true.into(), true.into()));

    workplace.write(
        "words/en/invitation.txt",
        "Good day {{ partner.extra.note }},\n\n{{ link }}\n",
    );
    let found = text(&workplace);
    assert_eq!((found.0, found.1), (false.into(), false.into()));
    assert!(found.2.starts_with("Good day first"), "{}", found.2);
    report(&workplace, &[]);
    let page = read(&workplace, "report.html");
    assert!(page.contains("It is not the one that was sent"), "{page}");
    assert!(page.contains("sent with another text"));
    assert!(!page.contains("byte for byte as"));
}

#[test]
fn a_report_replaces_reports_only_and_is_private() {
    let (_server, workplace) = invited();
    for (name, text) in [
        ("partners.csv", None),
        ("ledger.sqlite3", None),
        (
            "page.html",
            Some("<!DOCTYPE html>\n<html lang=\"en\">\n<p>Mine</p>"),
        ),
        ("empty", Some("")),
    ] {
        if let Some(text) = text {
            workplace.write(name, text);
        }
        let before = std::fs::read(workplace.file(name)).unwrap();
        let refused = workplace.run(&["report", "--out", name]);
        assert_eq!(refused.code, 74, "{refused:?}");
        let why = format!(
            "error: `{name}` exists and is not a report, so it is not overwritten; move it away, or name another file with `--out`\n"
        );
        assert_eq!(refused.stderr, why);
        assert_eq!(std::fs::read(workplace.file(name)).unwrap(), before);
    }
    let folder = workplace.run(&["report", "--out", "."]);
    assert_eq!(folder.code, 74, "{folder:?}");
    let missing = workplace.run(&["report", "--out", "no/such/report.html"]);
    assert_eq!(missing.code, 74, "{missing:?}");

    for format in ["html", "json", "csv", "html"] {
        report(&workplace, &["--format", format, "--out", "one"]);
        let mode = workplace
            .file("one")
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert!(read(&workplace, "one").starts_with("<!DOCTYPE html>"));
    let files = std::fs::read_dir(workplace.path()).unwrap();
    let left = files.map(|it| it.unwrap().file_name().into_string().unwrap());
    let left: Vec<_> = left
        .filter(|it| it.contains("unfinished") || it.starts_with(".tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_report_changes_nothing_and_works_during_a_run() {
    let held = crate::support::held::Held::at(Stage::Dot, 1, |workplace| {
        workplace.partners(&["ada@a.example", "bob@b.example"]);
    });
    let before = held.workplace.bytes();

    let during = json(&held.workplace);

    // Readers of SQLite note in this file, which is no part of the ledger, what they read.
    let kept = |files: Vec<(PathBuf, Vec<u8>)>| {
        let is_kept =
            |it: &PathBuf| !it.ends_with("report.json") && !it.ends_with("ledger.sqlite3-shm");
        let kept = files.into_iter().filter(|it| is_kept(&it.0));
        kept.collect::<Vec<_>>()
    };
    let (before, after) = (kept(before), kept(held.workplace.bytes()));
    let changed = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| before != after);
    let changed: Vec<_> = changed.map(|it| (&it.0.0, &it.1.0)).collect();
    assert!(changed.is_empty(), "{changed:?}");
    assert_eq!(before.len(), after.len());
    assert_eq!(during["invitations"].as_array().unwrap().len(), 2);
    assert_eq!(during["runs"][0]["ended_at"], Value::Null);
    let (_server, workplace, ended) = held.finish();
    assert_eq!(ended.code, 0, "{ended:?}");
    let end = &json(&workplace)["runs"][0]["ended_at"];
    assert!(end.is_string(), "{end}");
}

#[test]
fn without_list_or_templates_the_report_says_what_it_lacks() {
    let (_server, workplace) = invited();
    std::fs::remove_file(workplace.file("partners.csv")).unwrap();

    let output = report(&workplace, &["--format", "json"]);

    assert!(
        output.stderr.starts_with("warning: the list `"),
        "{output:?}"
    );
    let without_list: Value = serde_json::from_str(&read(&workplace, "report.json")).unwrap();
    assert_eq!(without_list["warnings"].as_array().unwrap().len(), 1);
    assert_eq!(without_list["invitations"][0]["listed"], Value::Null);
    // What was sent is known from the ledger alone.
    assert_eq!(without_list["invitations"][0]["text_verified"], true);

    let config = read(&workplace, "config.toml");
    let other = config.replace("/templates\"", "/no-templates\"");
    assert_ne!(config, other);
    workplace.write("config.toml", &other);
    let output = report(&workplace, &[]);
    assert!(
        output.stderr.contains("warning: the report lacks the text of the messages, because the templates cannot be used: "),
        "{output:?}"
    );
    let page = read(&workplace, "report.html");
    assert!(page.contains("The text cannot be composed any more"));
    assert!(page.contains("ada@a.example"));
}

#[test]
fn ledgers_of_version_1_and_none_at_all() {
    let workplace = Workplace::new(1);
    std::fs::remove_file(workplace.file("ledger.sqlite3")).unwrap();
    let _ = std::fs::remove_file(workplace.file("ledger.sqlite3.witness"));
    let missing = workplace.run(&["report"]);
    assert_eq!(missing.code, 78, "{missing:?}");
    assert!(!workplace.file("report.html").exists());

    let old = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/ledger-version-1.sqlite3"
    );
    std::fs::copy(old, workplace.file("ledger.sqlite3")).unwrap();
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(workplace.file("ledger.sqlite3"), private).unwrap();
    let report = json(&workplace);
    assert_eq!(report["ledger_id"], Value::Null);
    assert_eq!(report["runs"], Value::Array(Vec::new()));
    assert_eq!(
        report["invitations"].as_array().unwrap().len(),
        workplace.states().len()
    );
}

#[test]
fn the_page_runs_and_loads_nothing_but_its_own() {
    let hostile = "\"><script>alert(1)</script><img src=x onerror=alert(2)>";
    let server = Server::start(move |call: &Call| match call.stage {
        Stage::Rcpt => Action::Reply(format!("550 5.1.1 {hostile}\r\n").into_bytes()),
        _ => Action::Normal,
    });
    let workplace = Workplace::new(server.port());
    let cell = format!("\"{}\"", hostile.replace('"', "\"\""));
    workplace.write(
        "partners.csv",
        &format!("email,name,organization\nada@a.example,{cell},{cell}\n"),
    );
    let config = read(&workplace, "config.toml")
        .replace("\"spring\"", "'</title><script>alert(3)</script>'");
    workplace.write("config.toml", &config);
    assert_eq!(workplace.run(&["send"]).code, 1);

    report(&workplace, &[]);

    let text = read(&workplace, "report.html");
    let page = Page::read(&text);
    let scripts: Vec<_> = page
        .elements
        .iter()
        .filter(|it| it.name == "script")
        .collect();
    assert_eq!(scripts.len(), 1);
    assert!(scripts[0].attributes.is_empty());
    let loading = ["img", "link", "object", "embed", "base", "video", "audio"];
    for element in &page.elements {
        assert!(
            !loading.contains(&element.name.as_str()),
            "{}",
            element.name
        );
        for (name, value) in &element.attributes {
            assert!(!name.starts_with("on"), "{name}={value}");
            let is_local =
                !matches!(name.as_str(), "src" | "href" | "action") || value.starts_with('#');
            assert!(is_local, "{name}={value}");
        }
    }
    let policy = page
        .elements
        .iter()
        .find(|it| it.get("http-equiv").is_some())
        .unwrap();
    let policy = policy.get("content").unwrap();
    assert!(
        policy.starts_with(
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-"
        ),
        "{policy}"
    );
    assert!(!policy.contains("http"), "{policy}");
    let frames: Vec<_> = page
        .elements
        .iter()
        .filter(|it| it.name == "iframe")
        .collect();
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].get("sandbox"), Some("allow-same-origin"));
    assert!(page.words.contains(hostile));
    let csv = report(&workplace, &["--format", "csv"]);
    assert_eq!(csv.stderr, "");
}

#[test]
fn a_whole_campaign_is_told_with_reminders_access_and_approvals() {
    let story = Story::of(60);

    let out = story.workplace.file("report.json");
    let (exit, said) =
        story.command(&["report", "--format", "json", "--out", out.to_str().unwrap()]);

    assert_eq!(exit as u8, 0, "{said}");
    let report: Value = serde_json::from_str(&read(&story.workplace, "report.json")).unwrap();
    let invitations = report["invitations"].as_array().unwrap();
    assert_eq!(invitations.len(), 60);
    let count = |is: &dyn Fn(&Value) -> bool| invitations.iter().filter(|it| is(it)).count();
    assert_eq!(count(&|it| it["state"] == "bounced"), 5);
    assert!(count(&|it| it["access"] == "granted") > 5);
    assert!(count(&|it| it["access"] == "requested") > 2);
    let reminded = count(&|it| it["reminded"] == 1);
    assert!(reminded > 10, "{reminded} are reminded");
    // Nobody is reminded who had asked before.
    assert_eq!(
        count(&|it| it["reminded"] == 1
            && it["access_requested_at"].as_str() < it["reminded_at"].as_str()
            && it["access_requested_at"].is_string()),
        0
    );
    for it in invitations {
        let was_sent = it["accepted_at"].is_string();
        assert_eq!(it["text_verified"] == true, was_sent, "{it}");
        for reminder in it["reminders"].as_array().unwrap() {
            assert_eq!(reminder["text_verified"], true, "{reminder}");
        }
    }
    let approvals = report["approvals"].as_array().unwrap();
    let by: Vec<_> = approvals
        .iter()
        .map(|it| it["by"].as_str().unwrap())
        .collect();
    assert_eq!(by, ["Ada Lovelace", "Grete Hermann"]);
    let runs = report["runs"].as_array().unwrap();
    let approved = runs.iter().filter(|it| it["verb"] == "send");
    let approved: Vec<_> = approved.map(|it| it["approval"]["by"].as_str()).collect();
    assert_eq!(&approved[..3], [Some("Ada Lovelace"); 3]);
    assert!(
        approved[3..].iter().all(|it| *it == Some("Grete Hermann")),
        "{approved:?}"
    );
    let occasions = report["messages"].as_array().unwrap().iter();
    let reminders = occasions.filter(|it| it["occasion"] == "reminder-1");
    assert!(reminders.count() > 4);
}

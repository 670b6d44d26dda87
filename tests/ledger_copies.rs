//! `ledger backup`, `ledger verify`, a restored backup, and the upgrade of a ledger of version 2.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::support::held::Held;
use crate::support::smtp::{Server, Stage};
use crate::support::{Output, Workplace, oracle};

const LEDGER: &str = "ledger.sqlite3";
const WITNESS: &str = "ledger.sqlite3.witness";
const COPY: &str = "copy.sqlite3";
const BACKUP: [&str; 3] = ["ledger", "backup", COPY];
const VERIFY: [&str; 2] = ["ledger", "verify"];

#[track_caller]
fn runs(workplace: &Workplace, arguments: &[&str], code: i32) -> Output {
    let output = workplace.run(arguments);
    assert_eq!(output.code, code, "{output:?}");
    output
}

fn sent(partners: usize) -> (Server, Workplace) {
    let server = Server::accepting();
    let workplace = Workplace::new(server.port());
    workplace.many_partners(partners);
    runs(&workplace, &["send"], 0);
    (server, workplace)
}

/// Puts a file in place, readable by its owner only.
fn put(workplace: &Workplace, name: &str, bytes: &[u8]) {
    let path = workplace.file(name);
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn change(workplace: &Workplace, sql: &str) {
    let outside = rusqlite::Connection::open(workplace.file(LEDGER)).unwrap();
    outside
        .execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}"))
        .unwrap();
}

/// The findings of `ledger verify`.
fn verified(workplace: &Workplace, code: i32) -> Vec<(String, String, String)> {
    let output = runs(workplace, &["ledger", "verify", "--format", "json"], code);
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(json["ok"], code == 0, "{json}");
    let text = |it: &Value| it.as_str().unwrap().to_owned();
    let findings = json["findings"].as_array().unwrap().iter();
    findings
        .map(|it| (text(&it["check"]), text(&it["severity"]), text(&it["what"])))
        .collect()
}

#[test]
fn a_backup_of_a_live_run_is_consistent_private_and_new() {
    let held = Held::at(Stage::Dot, 3, |it| it.many_partners(8));
    let workplace = &held.workplace;

    let backup = runs(workplace, &BACKUP, 0);

    assert_eq!((backup.stdout.as_str(), backup.stderr.as_str()), ("", ""));
    let copy = workplace.file(COPY);
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = std::fs::read(&copy).unwrap();
    let refused = runs(workplace, &BACKUP, 74);
    assert!(
        refused.stderr.contains("the file exists; name another one"),
        "{refused:?}"
    );
    assert!(std::fs::read(&copy).unwrap() == bytes);
    let elsewhere = runs(workplace, &["ledger", "backup", "missing/copy"], 74);
    assert!(
        elsewhere.stderr.contains("there is no such folder"),
        "{elsewhere:?}"
    );
    let (_, workplace, ended) = held.finish();
    assert_eq!(ended.code, 0, "{ended:?}");
    workplace.all_are("accepted");

    // The witness knows that the run went on after the copy.
    put(&workplace, LEDGER, &bytes);
    let refused = runs(&workplace, &["send"], 65);
    assert!(
        refused.stderr.contains("is older than its witness"),
        "{refused:?}"
    );
    let states: Vec<String> = workplace.states().into_iter().map(|it| it.1).collect();
    let of = |state: &str| states.iter().filter(|it| *it == state).count();
    assert_eq!(
        (of("accepted"), of("armed"), of("pending")),
        (3, 1, 4),
        "{states:?}"
    );
    let findings = verified(&workplace, 65);
    let (check, severity, _) = findings.last().unwrap();
    assert_eq!((check.as_str(), severity.as_str()), ("witness", "error"));
    let left: Vec<_> = workplace.bytes().into_iter().map(|it| it.0).collect();
    assert!(
        left.iter()
            .all(|it| !it.display().to_string().contains("unfinished")),
        "{left:?}"
    );
}

#[test]
fn a_restored_backup_is_used_if_it_is_the_newest_and_accepted_otherwise() {
    let (server, workplace) = sent(5);
    runs(&workplace, &BACKUP, 0);
    let copy = std::fs::read(workplace.file(COPY)).unwrap();

    // The witness was kept, and nothing was written since.
    put(&workplace, LEDGER, &copy);
    runs(&workplace, &VERIFY, 0);
    runs(&workplace, &["send"], 0);
    oracle::check_settled(&workplace, &server, 5, 0);

    // Ledger and witness are lost.
    put(&workplace, LEDGER, &copy);
    std::fs::remove_file(workplace.file(WITNESS)).unwrap();
    runs(&workplace, &["send"], 65);
    let note = ["--note", "the disk was lost", "--yes"];
    runs(
        &workplace,
        &[&["resolve", "--accept-older-ledger"][..], &note].concat(),
        0,
    );
    runs(&workplace, &VERIFY, 0);
    runs(&workplace, &["send"], 0);
    oracle::check_settled(&workplace, &server, 5, 0);
}

#[test]
fn verify_finds_what_was_changed_and_changes_nothing() {
    let (_server, workplace) = sent(3);
    let whole = std::fs::read(workplace.file(LEDGER)).unwrap();
    let good = verified(&workplace, 0);
    let checks: Vec<_> = good.iter().map(|it| it.0.as_str()).collect();
    assert_eq!(
        checks,
        ["integrity", "tables", "changes", "invitations", "witness"]
    );
    assert_eq!(good[3].2, "3 with their states, histories and Message-IDs");
    let text = runs(&workplace, &VERIFY, 0).stdout;
    assert!(text.starts_with("ok: integrity: every page"), "{text}");
    assert!(std::fs::read(workplace.file(LEDGER)).unwrap() == whole);

    for (sql, check, words) in [
        (
            "UPDATE invitation SET state = 'pending' WHERE id = 2",
            "invitations",
            "invitation 2 is pending, but its latest event is accepted",
        ),
        (
            "UPDATE invitation SET address = 'eva@e.example' WHERE id = 3",
            "invitations",
            "invitation 3 has the Message-ID of another one",
        ),
        (
            "DELETE FROM history WHERE invitation = 1",
            "invitations",
            "its latest event is missing",
        ),
        (
            "UPDATE meta SET changes = 1",
            "changes",
            "the counter of changes is 1, but a run made change",
        ),
        ("DROP TABLE notice", "tables", "column notice.at INTEGER"),
        (
            "CREATE TABLE more (x)",
            "tables",
            "column more.x was not created by this program",
        ),
        ("CREATE VIEW v AS SELECT 1", "integrity", "it has a view v"),
        (
            "INSERT INTO history (invitation, at, to_state, cause, message_id) VALUES (99, 0, 'pending', 'x', 'y')",
            "integrity",
            "1 rows refer to rows that are missing",
        ),
    ] {
        change(&workplace, sql);
        let findings = verified(&workplace, 65);
        let errors: Vec<_> = findings.iter().filter(|it| it.1 == "error").collect();
        assert_eq!(errors.len(), 1, "{sql}: {findings:?}");
        assert_eq!(errors[0].0, check, "{sql}");
        assert!(errors[0].2.contains(words), "{sql}: {}", errors[0].2);
        put(&workplace, LEDGER, &whole);
    }
    put(&workplace, LEDGER, &whole[..whole.len() / 2]);
    runs(&workplace, &VERIFY, 65);
    put(&workplace, LEDGER, b"no database");
    runs(&workplace, &VERIFY, 65);
    std::fs::remove_file(workplace.file(LEDGER)).unwrap();
    for verb in [&VERIFY[..], &BACKUP] {
        runs(&workplace, verb, 78);
    }
}

/// A ledger of version 2, and how each of its invitations goes on.
const VERSION_2: [(&str, &str); 10] = [
    ("pending", "accepted"),
    ("accepted", "accepted"),
    ("rejected", "rejected"),
    ("unknown", "unknown"),
    ("abandoned", "abandoned"),
    ("expired", "expired"),
    ("delivered", "delivered"),
    ("bounced", "bounced"),
    ("deferred", "accepted"),
    ("armed", "unknown"),
];

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::read(folder.join(name)).unwrap()
}

#[test]
fn a_ledger_of_version_2_is_upgraded_and_keeps_everything() {
    let server = Server::accepting();
    let workplace = Workplace::on_disk(server.port());
    let addresses = VERSION_2.map(|it| format!("{0}@{0}.example", it.0));
    let mut list: Vec<&str> = addresses.iter().map(String::as_str).collect();
    list.push("new@new.example");
    workplace.partners(&list);
    let old = fixture("ledger-version-2.sqlite3");
    put(&workplace, LEDGER, &old);
    put(
        &workplace,
        WITNESS,
        &fixture("ledger-version-2.sqlite3.witness"),
    );
    let with = |states: [&str; 10]| -> Vec<(String, String)> {
        let states = states.into_iter().map(str::to_owned);
        addresses.iter().cloned().zip(states).collect()
    };

    // Reading does not upgrade it.
    assert_eq!(workplace.states(), with(VERSION_2.map(|it| it.0)));
    let before = workplace.status();
    let findings = verified(&workplace, 0);
    let tables = findings.iter().find(|it| it.0 == "tables").unwrap();
    assert!(tables.2.starts_with("version 2, ledger "), "{tables:?}");
    assert!(
        tables.2.ends_with("; the next run brings it to version 3"),
        "{tables:?}"
    );
    for verb in [&["check"][..], &["preview"], &BACKUP] {
        runs(&workplace, verb, 0);
    }
    assert!(std::fs::read(workplace.file(LEDGER)).unwrap() == old);

    runs(&workplace, &["send"], 3);

    let mut expected = with(VERSION_2.map(|it| it.1));
    expected.push(("new@new.example".to_owned(), "accepted".to_owned()));
    assert_eq!(workplace.states(), expected);
    assert_eq!(server.accepted().len(), 3);
    let after = workplace.status();
    for (nth, (state, now)) in VERSION_2.iter().enumerate() {
        let (was, is) = (&before["invitations"][nth], &after["invitations"][nth]);
        if state == now {
            assert_eq!(was, is, "{state}");
        }
        assert_eq!(was["message_id"], is["message_id"], "{state}");
    }
    // The newest run is added to those of before.
    let runs_of = |it: &Value| it["runs"].as_array().unwrap().clone();
    let (was, is) = (runs_of(&before), runs_of(&after));
    assert_eq!(was[..], is[1..]);
    assert!(was.iter().any(|it| it["verb"] == "resolve"), "{was:?}");
    runs(&workplace, &VERIFY, 0);
    put(&workplace, LEDGER, &old);
    runs(&workplace, &["send"], 65);
}

#[test]
fn the_tables_of_an_upgraded_ledger_are_those_of_a_new_one() {
    for version in [1, 2] {
        let workplace = Workplace::on_disk(1);
        put(
            &workplace,
            LEDGER,
            &fixture(&format!("ledger-version-{version}.sqlite3")),
        );
        if version == 2 {
            put(
                &workplace,
                WITNESS,
                &fixture("ledger-version-2.sqlite3.witness"),
            );
        }
        runs(&workplace, &crate::support::OPEN, 65);
        let findings = verified(&workplace, 0);
        let tables = findings.iter().find(|it| it.0 == "tables").unwrap();
        assert!(tables.2.starts_with("version 3, ledger "), "{tables:?}");
    }
}

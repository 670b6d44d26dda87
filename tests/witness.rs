//! The ledger in use is the newest one and the one on disk: older copies, missing logs and
//! files replaced during a run are detected before anybody is mailed again.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and one that is skipped says so"
)]

use std::fs::File;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::smtp::{Action, Server, Stage, gate};
use crate::support::terminal::Terminal;
use crate::support::{Output, Workplace, oracle};
use serde_json::Value;

const LEDGER: &str = "ledger.sqlite3";
const WITNESS: &str = "ledger.sqlite3.witness";
const SEND: &[&str] = &["send"];
const RESOLVE: &[&str] = &["resolve", "p0@a0.example", "--as", "resend", "--note", "x"];
const ACCEPT: &[&str] = &[
    "resolve",
    "--accept-older-ledger",
    "--note",
    "the disk was lost",
    "--yes",
];

/// The output of a verb that must be refused like this.
#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.code, code, "{output:?}");
    for word in words {
        assert!(output.stderr.contains(word), "no {word:?} in {output:?}");
    }
}

/// A job with five of ten partners mailed, and a copy of its ledger from before.
fn half_sent(server: &Server) -> (Workplace, Vec<u8>) {
    let workplace = Workplace::on_disk(server.port());
    workplace.many_partners(10);
    assert_eq!(workplace.run(&["send", "--limit", "3"]).code, 0);
    let older = std::fs::read(workplace.file(LEDGER)).unwrap();
    assert_eq!(workplace.run(&["send", "--limit", "3"]).code, 0);
    (workplace, older)
}

/// Replaces the ledger by these bytes, as a restored backup does.
fn restore(workplace: &Workplace, bytes: &[u8]) {
    let path = workplace.file("restored");
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(&path, workplace.file(LEDGER)).unwrap();
}

/// Checks that every verb refuses or reports this, without a connection.
#[track_caller]
fn check_doubted(workplace: &Workplace, server: &Server, words: &str) {
    let connections = server.connections();
    let before = std::fs::read(workplace.file(LEDGER)).unwrap();
    for verb in [SEND, RESOLVE] {
        let hint = "resolve --accept-older-ledger";
        refused(&workplace.run(verb), 65, &[words, hint]);
    }
    for verb in ["status", "check", "preview"] {
        refused(&workplace.run(&[verb]), 0, &["warning: ", words]);
    }
    assert_eq!(server.connections(), connections);
    assert!(
        std::fs::read(workplace.file(LEDGER)).unwrap() == before,
        "the ledger was changed by a refusal"
    );
}

#[test]
fn b7_an_older_ledger_is_refused_and_reported() {
    let server = Server::accepting();
    let (workplace, older) = half_sent(&server);
    restore(&workplace, &older);

    check_doubted(&workplace, &server, "is older than its witness");
}

#[test]
fn accepting_an_older_ledger_mails_nobody_twice() {
    let server = Server::accepting();
    let (workplace, older) = half_sent(&server);
    restore(&workplace, &older);
    let without_yes = &ACCEPT[..ACCEPT.len() - 1];

    refused(&workplace.run(without_yes), 2, &["--yes"]);
    assert!(std::fs::read(workplace.file(LEDGER)).unwrap() == older);
    let accepted = workplace.run(ACCEPT);

    assert_eq!(accepted.code, 0, "{accepted:?}");
    let told =
        "of 10 partners in `partners.csv`, 7 may already have been mailed: 7 without a record";
    assert!(accepted.stderr.contains(told), "{accepted:?}");
    // The unrecorded ones may have been mailed by the lost run.
    let words = ["an older ledger was accepted on", "`--new-campaign`"];
    refused(&workplace.run(SEND), 65, &words);
    refused(
        &workplace.run(&["send", "--only", "p9@a4.example"]),
        65,
        &words,
    );
    assert_eq!(server.accepted().len(), 6);
    assert_eq!(workplace.run(&["send", "--new-campaign"]).code, 0);
    assert_eq!(workplace.run(SEND).code, 0);
    // The decision is permanent.
    assert_eq!(server.accepted().len(), 13);
    refused(&workplace.run(ACCEPT), 65, &["nothing to accept"]);
}

#[test]
fn open_rows_of_an_accepted_older_ledger_become_unknown() {
    let server = Server::start(|call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(it)) if it.starts_with("p1") => {
            Action::Reply(b"450 4.2.0 later\r\n".to_vec())
        }
        _ => Action::Normal,
    });
    let mut workplace = Workplace::on_disk(server.port());
    workplace.limits = "per_minute = 1000000\nper_day = 2\nnew_per_run = 100".into();
    workplace.smtp("connections = 1");
    workplace.many_partners(4);
    workplace.run(SEND);
    let states: Vec<_> = workplace.states().into_iter().map(|(_, it)| it).collect();
    assert_eq!(states, ["accepted", "deferred", "accepted", "pending"]);
    std::fs::write(workplace.file(WITNESS), "access-invite witness 1 torn").unwrap();

    check_doubted(&workplace, &server, "is damaged");
    let accepted = workplace.run(ACCEPT);

    let told = "2 may already have been mailed: 0 without a record, 1 pending, 1 deferred, 0 armed";
    assert!(accepted.stderr.contains(told), "{accepted:?}");
    assert!(
        accepted.stdout.contains("2 invitations are now unknown"),
        "{accepted:?}"
    );
    let states: Vec<_> = workplace.states().into_iter().map(|(_, it)| it).collect();
    assert_eq!(states, ["accepted", "unknown", "accepted", "unknown"]);
    assert_eq!(workplace.run(SEND).code, 3);
}

#[test]
fn f5_a_killed_run_whose_log_is_gone_is_refused() {
    let (server, keeper) = Server::holding(Stage::Dot, 7);
    let workplace = Workplace::on_disk(server.port());
    workplace.many_partners(20);
    let run = workplace.start(SEND);
    keeper.wait();
    run.kill();
    for suffix in ["-wal", "-shm"] {
        std::fs::remove_file(workplace.file(&format!("{LEDGER}{suffix}"))).unwrap();
    }

    check_doubted(&workplace, &server, "older than its witness");
    // With the witness gone as well, the record of it is in the lost log, but not the header.
    std::fs::remove_file(workplace.file(WITNESS)).unwrap();
    check_doubted(&workplace, &server, "is missing");
    let accepted = workplace.run(ACCEPT);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    let taken = server.accepted().len();
    assert_eq!(workplace.run(SEND).code, 3);
    assert_eq!(server.accepted().len(), taken);
    oracle::check_settled(&workplace, &server, 20, 20);
}

#[test]
fn f5_a_copy_taken_during_a_run_is_refused_elsewhere() {
    let (server, keeper) = Server::holding(Stage::Dot, 3);
    let workplace = Workplace::on_disk(server.port());
    workplace.many_partners(5);
    let run = workplace.start(SEND);
    keeper.wait();
    let elsewhere = Workplace::on_disk(server.port());
    elsewhere.many_partners(5);
    std::fs::copy(workplace.file(LEDGER), elsewhere.file(LEDGER)).unwrap();
    std::fs::copy(workplace.file(WITNESS), elsewhere.file(WITNESS)).unwrap();
    keeper.release();
    assert_eq!(run.wait().code, 0);

    check_doubted(&elsewhere, &server, "older than its witness");
    std::fs::remove_file(elsewhere.file(WITNESS)).unwrap();
    check_doubted(&elsewhere, &server, "is missing");
}

#[test]
fn b14_a_missing_damaged_or_foreign_witness_is_refused() {
    let server = Server::accepting();
    let (workplace, _) = half_sent(&server);
    let witness = std::fs::read(workplace.file(WITNESS)).unwrap();
    let mode = workplace.file(WITNESS).metadata().unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);

    std::fs::remove_file(workplace.file(WITNESS)).unwrap();
    check_doubted(&workplace, &server, "is missing, so nothing shows");
    for verb in ["status", "check", "preview"] {
        workplace.run(&[verb]);
    }
    assert!(!workplace.file(WITNESS).exists(), "a look created one");
    std::fs::write(workplace.file(WITNESS), &witness[..40]).unwrap();
    check_doubted(&workplace, &server, "is damaged");
    std::fs::write(workplace.file(WITNESS), "email,name\n").unwrap();
    for verb in [SEND, ACCEPT] {
        refused(
            &workplace.run(verb),
            65,
            &["is not the witness of a ledger"],
        );
    }
    let other_server = Server::accepting();
    let other = Workplace::on_disk(other_server.port());
    other.many_partners(1);
    assert_eq!(other.run(SEND).code, 0);
    std::fs::copy(other.file(WITNESS), workplace.file(WITNESS)).unwrap();
    check_doubted(&workplace, &server, "belongs to another ledger");

    std::fs::write(workplace.file(WITNESS), &witness).unwrap();
    assert_eq!(workplace.run(SEND).code, 0);
    oracle::check_settled(&workplace, &server, 10, 0);
}

#[test]
fn init_refuses_a_witness_without_its_ledger() {
    let server = Server::accepting();
    let (workplace, _) = half_sent(&server);
    std::fs::remove_file(workplace.file(LEDGER)).unwrap();

    refused(
        &workplace.run(&["init", "."]),
        65,
        &["there is no ledger", "restore it"],
    );
    assert!(!workplace.file(LEDGER).exists());
    std::fs::remove_file(workplace.file(WITNESS)).unwrap();
    assert_eq!(workplace.run(&["init", "."]).code, 0);
}

#[test]
fn the_witness_accepts_a_kill_vacuum_decision_or_restored_pair() {
    let (server, keeper) = Server::holding(Stage::Dot, 2);
    let workplace = Workplace::on_disk(server.port());
    workplace.many_partners(6);
    let run = workplace.start(SEND);
    keeper.wait();
    run.kill();
    keeper.release();
    assert_eq!(workplace.run(SEND).code, 3, "after a kill");

    let unknown = [
        "resolve",
        "--all-unknown",
        "--as",
        "accepted",
        "--note",
        "seen",
    ];
    assert_eq!(workplace.run(&unknown).code, 0, "a decision");
    let outside = rusqlite::Connection::open(workplace.file(LEDGER)).unwrap();
    outside.execute_batch("VACUUM").unwrap();
    drop(outside);
    assert_eq!(workplace.run(SEND).code, 0, "after VACUUM");

    let pair = [LEDGER, WITNESS].map(|it| std::fs::read(workplace.file(it)).unwrap());
    workplace.many_partners(8);
    assert_eq!(workplace.run(SEND).code, 0);
    restore(&workplace, &pair[0]);
    std::fs::write(workplace.file(WITNESS), &pair[1]).unwrap();
    // Both are older: documented as undetectable.
    let checked = workplace.run(&["check"]);
    assert!(!checked.stderr.contains("witness"), "{checked:?}");
    assert_eq!(workplace.run(&["send", "--only", "p0@a0.example"]).code, 0);
}

#[test]
fn the_witness_accepts_a_moved_ledger_or_two_configurations() {
    let server = Server::accepting();
    let (workplace, older) = half_sent(&server);
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    std::fs::create_dir(workplace.file("moved")).unwrap();
    for name in [LEDGER, WITNESS] {
        let to = workplace.file("moved").join(name);
        std::fs::rename(workplace.file(name), to).unwrap();
    }
    let moved = config.replace(LEDGER, "moved/ledger.sqlite3");
    workplace.write("config.toml", &moved);
    assert_eq!(workplace.run(&["send", "--limit", "1"]).code, 0, "moved");

    // A second configuration keeps its witness elsewhere; a run updates only its own.
    let second = moved.replace("[ledger]\n", "[ledger]\nwitness = \"second.witness\"\n");
    workplace.write("second.toml", &second);
    for config in ["second.toml", "config.toml", "second.toml", "config.toml"] {
        let output = workplace.run(&["send", "--config", config, "--limit", "1"]);
        assert_eq!(output.code, 0, "{output:?}");
    }
    assert!(workplace.file("second.witness").exists());
    oracle_of(&workplace, &server, 10);

    // Each of them detects an older ledger.
    std::fs::write(workplace.file("moved").join(LEDGER), &older).unwrap();
    for config in ["second.toml", "config.toml"] {
        let output = workplace.run(&["send", "--config", config]);
        refused(&output, 65, &["is older than its witness"]);
    }
}

/// Everybody was mailed once.
fn oracle_of(workplace: &Workplace, server: &Server, partners: usize) {
    let states = workplace.states();
    assert!(states.iter().all(|(_, it)| it == "accepted"), "{states:?}");
    assert_eq!(server.accepted().len(), partners);
}

#[test]
fn a_ledger_of_version_1_is_upgraded_and_keeps_everything() {
    let server = Server::accepting();
    let workplace = Workplace::on_disk(server.port());
    workplace.partners(&[
        "ada@a.example",
        "bob@b.example",
        "cyd@c.example",
        "dee@d.example",
    ]);
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/ledger-version-1.sqlite3"
    );
    let old = std::fs::read(fixture).unwrap();
    restore(&workplace, &old);
    let expected = [
        ("ada@a.example", "accepted"),
        ("bob@b.example", "rejected"),
        ("cyd@c.example", "deferred"),
    ];
    let expected = expected.map(|(address, state)| (address.to_owned(), state.to_owned()));

    // Reading does not upgrade it.
    assert_eq!(workplace.states(), expected);
    for verb in ["check", "preview"] {
        assert_eq!(workplace.run(&[verb]).code, 0);
    }
    assert!(std::fs::read(workplace.file(LEDGER)).unwrap() == old);
    let renamed = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write("renamed.toml", &renamed.replace("\"spring\"", "\"summer\""));
    let misspelt = workplace.run(&[
        "send",
        "--config",
        "renamed.toml",
        "--only",
        "dee@d.example",
    ]);
    refused(&misspelt, 65, &["was already invited under `spring`"]);

    assert_eq!(workplace.run(&["send", "--only", "dee@d.example"]).code, 0);
    assert_eq!(server.accepted().len(), 1);
    let states = workplace.states();
    assert_eq!(states[..3], expected);
    assert_eq!(states[3].1, "accepted");
    // From here on an older ledger is detected, version 1 included.
    restore(&workplace, &old);
    refused(&workplace.run(SEND), 65, &["is older than its witness"]);
}

#[test]
fn a_missing_log_without_a_witness_is_refused() {
    let server = Server::accepting();
    let workplace = Workplace::on_disk(server.port());
    workplace.partners(&["ada@a.example", "cyd@c.example", "dee@d.example"]);
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/ledger-version-1.sqlite3"
    );
    let mut old = std::fs::read(fixture).unwrap();
    old[18..20].fill(2);
    restore(&workplace, &old);

    for _ in 0..2 {
        for verb in [SEND, RESOLVE] {
            refused(&workplace.run(verb), 65, &["the log", "is missing"]);
        }
    }
    let accepted = workplace.run(ACCEPT);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    refused(
        &workplace.run(SEND),
        65,
        &["dee@d.example", "--new-campaign"],
    );
    assert_eq!(server.connections(), 0);
}

#[test]
fn f3_a_ledger_replaced_during_a_run_stops_it() {
    type Replace = fn(&Workplace, &[u8]);
    let removed: Replace = |it, _| std::fs::remove_file(it.file(LEDGER)).unwrap();
    let renamed: Replace = |it, older| restore(it, older);
    let overwritten: Replace = |it, older| std::fs::write(it.file(LEDGER), older).unwrap();
    let log: Replace = |it, _| std::fs::remove_file(it.file("ledger.sqlite3-wal")).unwrap();
    let lock: Replace = |it, _| std::fs::remove_file(it.file("ledger.sqlite3.lock")).unwrap();
    let cases = [
        ("removed", removed),
        ("renamed over", renamed),
        ("overwritten", overwritten),
        ("its log removed", log),
        ("its lock removed", lock),
    ];

    for (what, replace) in cases {
        let (server, keeper) = Server::holding(Stage::Dot, 5);
        let mut workplace = Workplace::on_disk(server.port());
        workplace.smtp("connections = 1");
        workplace.many_partners(60);
        let older = std::fs::read(workplace.file(LEDGER)).unwrap();
        let run = workplace.start(SEND);
        keeper.wait();
        replace(&workplace, &older);
        keeper.release();
        let output = run.wait();

        refused(&output, 74, &["was replaced or removed during this run"]);
        let taken = server.accepted().len();
        assert!(taken <= 6, "{what}: {taken} of 60 were mailed");
        if what.starts_with("its ") {
            // Nothing is lost: the log is checkpointed when the file is closed.
            assert_eq!(workplace.run(SEND).code, 3, "{what}");
            oracle::check_settled(&workplace, &server, 60, 1);
            continue;
        }
        let again = workplace.run(SEND);
        assert!(matches!(again.code, 65 | 78), "{what}: {again:?}");
        assert_eq!(server.accepted().len(), taken, "{what}");
    }
}

#[test]
fn f4_the_campaign_guard_checks_the_whole_list() {
    let server = Server::accepting();
    let workplace = Workplace::on_disk(server.port());
    workplace.many_partners(20);
    assert_eq!(workplace.run(SEND).code, 0);
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write("config.toml", &config.replace("\"spring\"", "\"sprign\""));
    workplace.many_partners(21);
    let newcomer = ["send", "--only", "p20@a0.example"];

    for verb in [SEND, &newcomer, &["send", "--limit", "1"], SEND] {
        refused(
            &workplace.run(verb),
            65,
            &["`sprign` is new to this ledger"],
        );
    }
    assert_eq!(server.accepted().len(), 20);
    assert_eq!(
        workplace
            .run(&["send", "--new-campaign", "--limit", "1"])
            .code,
        0
    );
    assert_eq!(workplace.run(SEND).code, 0);
    assert_eq!(server.accepted().len(), 41);
}

#[test]
fn f4_an_unknown_of_another_campaign_counts_as_invited() {
    let server = Server::start(|call| match call.stage {
        Stage::Dot => Action::Close,
        _ => Action::Normal,
    });
    let workplace = Workplace::on_disk(server.port());
    workplace.many_partners(1);
    assert_eq!(workplace.run(SEND).code, 3);
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write("config.toml", &config.replace("\"spring\"", "\"summer\""));

    refused(
        &workplace.run(SEND),
        65,
        &["already invited under `spring`"],
    );
}

#[test]
fn f12_a_read_during_the_end_of_a_run_waits_or_is_75() {
    let server = Server::accepting();
    let (workplace, _) = half_sent(&server);
    hot_journal(&workplace);
    let lock = File::options()
        .write(true)
        .open(workplace.file("ledger.sqlite3.lock"))
        .unwrap();
    lock.lock().unwrap();

    let held = workplace.run(&["status"]);
    refused(&held, 75, &["try again"]);
    let released = std::thread::scope(|scope| {
        let status = scope.spawn(|| workplace.run(&["status"]));
        std::thread::sleep(Duration::from_millis(300));
        lock.unlock().unwrap();
        status.join().unwrap()
    });
    assert_eq!(released.code, 0, "{released:?}");
    assert_eq!(workplace.run(&["check"]).code, 0);
    assert_eq!(workplace.run(SEND).code, 0);
    oracle::check_settled(&workplace, &server, 10, 0);
}

/// Leaves a hot rollback journal, as a process killed within a transaction does.
fn hot_journal(workplace: &Workplace) {
    let path = workplace.file(LEDGER);
    let writer = rusqlite::Connection::open(&path).unwrap();
    writer
        .execute_batch(
            "PRAGMA cache_size = 1; BEGIN IMMEDIATE; INSERT INTO spare VALUES (zeroblob(100000))",
        )
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    for suffix in ["", "-journal"] {
        let name = format!("{LEDGER}{suffix}");
        std::fs::copy(workplace.file(&name), folder.path().join(name)).unwrap();
    }
    drop(writer);
    for suffix in ["", "-journal"] {
        let name = format!("{LEDGER}{suffix}");
        std::fs::copy(folder.path().join(&name), workplace.file(&name)).unwrap();
    }
}

#[test]
fn f13_files_created_by_root_belong_to_the_ledgers_owner() {
    if !is_root() {
        eprintln!("skipped: only root can try this");
        return;
    }
    let server = Server::accepting();
    let mut workplace = Workplace::on_disk(server.port());
    workplace.extra = "[results]\ncsv = \"results.csv\"\n".into();
    workplace.configure();
    workplace.many_partners(2);
    for name in [".", LEDGER, "config.toml", "partners.csv"] {
        std::os::unix::fs::chown(workplace.file(name), Some(1234), Some(1234)).unwrap();
    }
    assert_eq!(workplace.run(SEND).code, 0);

    for name in [LEDGER, WITNESS, "ledger.sqlite3.lock", "results.csv"] {
        assert_eq!(
            workplace.file(name).metadata().unwrap().uid(),
            1234,
            "{name}"
        );
    }
    workplace.many_partners(3);
    std::os::unix::fs::chown(workplace.file("partners.csv"), Some(1234), None).unwrap();
    let user = ["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups"];
    let output = workplace.run_under(&user, SEND);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(server.accepted().len(), 3);
    // If an earlier version left a lock that the user cannot open, the error names the fix.
    std::os::unix::fs::chown(workplace.file("ledger.sqlite3.lock"), Some(0), Some(0)).unwrap();
    let output = workplace.run_under(&user, SEND);
    refused(&output, 77, &["belongs to uid 0", "sudo chown 1234"]);
}

fn is_root() -> bool {
    Path::new("/proc/self").metadata().unwrap().uid() == 0
}

#[test]
fn f18_status_counts_and_rows_agree_during_a_run() {
    let server =
        Server::start(|_| Action::Delay(Duration::from_millis(1), Box::new(Action::Normal)));
    let mut workplace = Workplace::on_disk(server.port());
    workplace.short_templates();
    workplace.smtp("connections = 4");
    workplace.many_partners(300);
    let mut run = workplace.start(SEND);
    let mut looks = 0;
    while run.is_running() {
        let status = workplace.run(&["status", "--format", "json"]);
        assert_eq!(status.code, 0, "{status:?}");
        let status: Value = serde_json::from_str(&status.stdout).unwrap();
        let rows = status["invitations"].as_array().unwrap();
        for (state, count) in status["counts"].as_object().unwrap() {
            let listed = rows
                .iter()
                .filter(|it| it["state"] == *state.as_str())
                .count();
            assert_eq!(count.as_u64().unwrap(), listed as u64, "{state}");
        }
        looks += 1;
    }
    assert_eq!(run.wait().code, 0);
    assert!(looks > 2, "only {looks} looks");
}

#[test]
fn f19_a_ledger_with_a_trigger_is_refused() {
    let server = Server::accepting();
    let (workplace, _) = half_sent(&server);
    let outside = rusqlite::Connection::open(workplace.file(LEDGER)).unwrap();
    outside
        .execute_batch(
            "CREATE TRIGGER quiet BEFORE UPDATE ON invitation BEGIN SELECT RAISE(IGNORE); END",
        )
        .unwrap();
    drop(outside);

    for verb in [SEND, RESOLVE, &["check"], &["preview"]] {
        refused(&workplace.run(verb), 65, &["trigger quiet"]);
    }
    assert_eq!(server.accepted().len(), 6);
}

/// A mount that ends with the test.
struct Mount(std::path::PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
#[ignore = "needs the right to mount; .ci/run calls it"]
fn f1_a_ledger_mounted_as_a_single_file_is_refused() {
    let server = Server::accepting();
    let (workplace, _) = half_sent(&server);
    std::fs::create_dir(workplace.file("data")).unwrap();
    let mounted = workplace.file("data").join(LEDGER);
    File::create(&mounted).unwrap();
    let status = Command::new("mount")
        .arg("--bind")
        .arg(workplace.file(LEDGER))
        .arg(&mounted)
        .status();
    assert!(
        status.unwrap().success(),
        "this test needs the right to mount"
    );
    let mount = Mount(mounted);
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write(
        "config.toml",
        &config.replace(LEDGER, "data/ledger.sqlite3"),
    );

    for verb in [SEND, RESOLVE, ACCEPT, &["status"], &["check"], &["preview"]] {
        refused(
            &workplace.run(verb),
            77,
            &["mounted as a single file", "mount its folder"],
        );
    }
    drop(mount);
    assert_eq!(server.accepted().len(), 6);
    // A mounted folder is the same place under any name.
    std::fs::remove_dir_all(workplace.file("data")).unwrap();
    std::fs::create_dir(workplace.file("data")).unwrap();
    let status = Command::new("mount")
        .arg("--bind")
        .arg(workplace.path())
        .arg(workplace.file("data"))
        .status();
    assert!(status.unwrap().success());
    let _mount = Mount(workplace.file("data"));
    assert_eq!(workplace.run(SEND).code, 0);
    assert_eq!(server.accepted().len(), 10);
}

#[test]
#[ignore = "needs tmux; .ci/run calls it"]
fn the_prompt_holds_no_transaction() {
    let (gate, _keeper) = gate::gate();
    let server = Server::start(move |call| {
        if call.stage == Stage::Banner {
            Action::Hold(gate.clone(), Box::new(Action::Normal))
        } else {
            Action::Normal
        }
    });
    let workplace = Workplace::on_disk(server.port());
    workplace.many_partners(3);
    let terminal = Terminal::open(&workplace, 80, 24);
    terminal.begin("access-invite send");
    terminal.wait_for("[y/N]");

    let outside = rusqlite::Connection::open(workplace.file(LEDGER)).unwrap();
    outside.busy_timeout(Duration::ZERO).unwrap();
    outside
        .execute_batch("BEGIN IMMEDIATE; DELETE FROM spare; COMMIT")
        .unwrap();
    let recorded: i64 = outside
        .query_row("SELECT count(*) FROM invitation", [], |row| row.get(0))
        .unwrap();
    assert_eq!(recorded, 0);
    drop(outside);
    terminal.answer("n");
    terminal.settle();
    assert!(workplace.states().is_empty());
}

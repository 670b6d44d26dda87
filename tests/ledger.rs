//! Damaged ledgers: missing, of another program, corrupt, unreachable, locked, copied. Each is
//! reported with its fix, and nobody is mailed because of it.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use crate::support::smtp::{Action, Call, Server, Stage};
use crate::support::{Output, Workplace, oracle, without_privileges};

const PARTNERS: [&str; 3] = ["ada@a.example", "bob@b.example", "eva@e.example"];

/// A job with one invited partner and two more in the list.
fn begun(server: &Server) -> Workplace {
    let workplace = Workplace::on_disk(server.port());
    workplace.partners(&PARTNERS);
    assert_eq!(workplace.run(&["send", "--limit", "1"]).code, 0);
    workplace
}

/// Runs a verb that must be refused like this, before any connection is opened.
fn refused(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.code, code, "{output:?}");
    for word in words {
        assert!(output.stderr.contains(word), "no {word:?} in {output:?}");
    }
    assert!(!output.stderr.contains("panicked"), "{output:?}");
}

const SEND: &[&str] = &["send"];
const RESOLVE: &[&str] = &["resolve", "ada@a.example", "--as", "resend", "--note", "x"];
const STATUS: &[&str] = &["status"];
const CHECK: &[&str] = &["check"];
const PREVIEW: &[&str] = &["preview"];

#[test]
fn b1_a_missing_ledger_is_an_error_and_is_not_created() {
    let server = Server::accepting();
    let workplace = begun(&server);
    for name in ["ledger.sqlite3", "ledger.sqlite3.lock"] {
        std::fs::remove_file(workplace.file(name)).unwrap();
    }
    let connections = server.connections();

    for verb in [SEND, RESOLVE, STATUS] {
        let words = ["there is no ledger", "`access-invite init` creates it"];
        refused(&workplace.run(verb), 78, &words);
    }
    for verb in [CHECK, PREVIEW] {
        let output = workplace.run(verb);
        assert_eq!(output.code, 0, "{output:?}");
        let words = "warning: there is no ledger `ledger.sqlite3`, but its witness `ledger.sqlite3.witness` exists";
        assert!(output.stderr.contains(words), "{output:?}");
    }
    std::fs::remove_file(workplace.file("ledger.sqlite3.witness")).unwrap();
    let output = workplace.run(CHECK);
    assert_eq!(output.code, 0, "{output:?}");
    let words = "warning: there is no ledger `ledger.sqlite3` yet";
    assert!(output.stderr.contains(words), "{output:?}");

    assert_eq!(server.connections(), connections);
    assert!(!workplace.file("ledger.sqlite3").exists());
    assert!(!workplace.file("ledger.sqlite3.lock").exists());
}

fn allow(workplace: &Workplace, name: &str, mode: u32) {
    std::fs::set_permissions(workplace.file(name), std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn b2_an_unwritable_ledger_stops_before_any_connection() {
    let server = Server::accepting();
    let workplace = begun(&server);
    std::fs::remove_file(workplace.file("ledger.sqlite3.lock")).unwrap();
    // The write probe needs a folder, so the ledger is one folder down.
    std::fs::create_dir(workplace.file("memory")).unwrap();
    std::fs::rename(
        workplace.file("ledger.sqlite3"),
        workplace.file("memory/ledger.sqlite3"),
    )
    .unwrap();
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write(
        "config.toml",
        &config.replace("ledger.sqlite3", "memory/ledger.sqlite3"),
    );
    let connections = server.connections();
    let before = std::fs::read(workplace.file("memory/ledger.sqlite3")).unwrap();
    let cases = [
        (0o400, 0o700, "cannot be written by this user"),
        (0o600, 0o500, "this user cannot create files in the folder"),
    ];

    for (file, folder, words) in cases {
        allow(&workplace, "memory/ledger.sqlite3", file);
        allow(&workplace, "memory", folder);
        for verb in [SEND, RESOLVE] {
            let output = without_privileges(&workplace, verb);
            refused(
                &output,
                77,
                &[words, "run the job as the user that owns it"],
            );
        }
        // Read-only verbs work, and report what a send would find.
        assert_eq!(without_privileges(&workplace, STATUS).code, 0);
        for verb in [CHECK, PREVIEW] {
            let output = without_privileges(&workplace, verb);
            assert_eq!(output.code, 0, "{output:?}");
            assert!(output.stderr.contains(words), "{output:?}");
        }
        let left: Vec<_> = std::fs::read_dir(workplace.file("memory"))
            .unwrap()
            .collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    allow(&workplace, "memory", 0o700);
    allow(&workplace, "memory/ledger.sqlite3", 0o000);
    for verb in [SEND, RESOLVE, STATUS, CHECK, PREVIEW] {
        let output = without_privileges(&workplace, verb);
        refused(&output, 77, &["run the job as the user that owns it"]);
    }
    assert_eq!(server.connections(), connections);
    allow(&workplace, "memory/ledger.sqlite3", 0o600);
    assert_eq!(
        std::fs::read(workplace.file("memory/ledger.sqlite3")).unwrap(),
        before
    );
    assert_eq!(without_privileges(&workplace, SEND).code, 0);
    oracle::check_settled(&workplace, &server, 3, 0);
}

/// A mount that ends with the test.
struct Mount<'a>(&'a std::path::Path);

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
#[ignore = "needs the right to mount; .ci/run calls it"]
fn b2_a_read_only_file_system_is_named_with_its_fix() {
    let server = Server::accepting();
    let workplace = begun(&server);
    let here = workplace.path();
    let mounted = |arguments: &[&str]| {
        let status = Command::new("mount").args(arguments).arg(here).status();
        assert!(
            status.unwrap().success(),
            "this test needs the right to mount"
        );
    };
    mounted(&["--bind", here.to_str().unwrap()]);
    let _mount = Mount(here);
    mounted(&["-o", "remount,bind,ro"]);

    for verb in [SEND, RESOLVE] {
        let words = ["cannot be written", "mount the file system writable"];
        refused(&workplace.run(verb), 77, &words);
    }
    assert_eq!(workplace.run(STATUS).code, 0);
    assert_eq!(server.connections(), 1);
}

#[test]
fn b3_b4_a_damaged_or_truncated_ledger_is_refused() {
    let server = Server::accepting();
    let workplace = begun(&server);
    let ledger = workplace.file("ledger.sqlite3");
    let whole = std::fs::read(&ledger).unwrap();
    let mut headless = whole.clone();
    headless[..16].copy_from_slice(b"garbage garbage ");
    let mut torn = whole.clone();
    torn[whole.len() / 4..][..8192].fill(0x5a);
    let cases: [(&[u8], &str); 4] = [
        (b"", "is an empty file"),
        (
            &headless,
            "is not a ledger of access-invite, nor any SQLite database",
        ),
        (&whole[..whole.len() / 2], "is damaged"),
        (&torn, "is damaged"),
    ];

    for (bytes, words) in cases {
        std::fs::write(&ledger, bytes).unwrap();
        for verb in [SEND, RESOLVE, CHECK, PREVIEW] {
            refused(&workplace.run(verb), 65, &[words]);
        }
        assert_eq!(std::fs::read(&ledger).unwrap(), bytes, "{words}: touched");
        assert!(!workplace.file("ledger.sqlite3-wal").exists());
    }
    assert_eq!(server.connections(), 1);
    std::fs::write(&ledger, &whole).unwrap();
    assert_eq!(workplace.run(SEND).code, 0);
    oracle::check_settled(&workplace, &server, 3, 0);
}

#[test]
fn b8_a_foreign_database_or_newer_ledger_is_refused() {
    let server = Server::accepting();
    let workplace = begun(&server);
    let outside = rusqlite::Connection::open(workplace.file("ledger.sqlite3")).unwrap();
    let cases = [
        ("user_version", 99, "newer access-invite"),
        ("application_id", 1, "not a ledger of access-invite"),
    ];

    for (pragma, value, words) in cases {
        outside.pragma_update(None, pragma, value).unwrap();
        for verb in [SEND, RESOLVE, STATUS, CHECK, PREVIEW] {
            refused(&workplace.run(verb), 65, &[words]);
        }
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn b10_a_ledger_locked_by_another_program_is_75() {
    let server = Server::accepting();
    let workplace = begun(&server);
    let outside = rusqlite::Connection::open(workplace.file("ledger.sqlite3")).unwrap();
    outside
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
        .unwrap();

    let held = workplace.run(SEND);

    let words = ["is locked by another program", "try again"];
    refused(&held, 75, &words);
    assert_eq!(server.connections(), 1);
    drop(outside);
    assert_eq!(workplace.run(SEND).code, 0);
    oracle::check_settled(&workplace, &server, 3, 0);
}

#[test]
fn b11_a_ledger_open_to_others_or_hard_linked_is_refused() {
    let server = Server::accepting();
    let workplace = begun(&server);
    for (mode, word) in [
        (0o604, "readable"),
        (0o602, "writable"),
        (0o666, "readable"),
    ] {
        allow(&workplace, "ledger.sqlite3", mode);
        for verb in [SEND, RESOLVE, STATUS, CHECK, PREVIEW] {
            refused(&workplace.run(verb), 77, &[word, "chmod 600"]);
        }
    }
    // Group permissions are accepted.
    allow(&workplace, "ledger.sqlite3", 0o660);
    assert_eq!(workplace.run(STATUS).code, 0);

    let ledger = workplace.file("ledger.sqlite3");
    std::fs::hard_link(&ledger, workplace.file("second.sqlite3")).unwrap();
    for verb in [SEND, RESOLVE] {
        refused(&workplace.run(verb), 77, &["2 names", "keep one name"]);
    }
    std::fs::remove_file(workplace.file("second.sqlite3")).unwrap();

    allow(&workplace, ".", 0o777);
    let warned = workplace.run(CHECK);
    assert_eq!(warned.code, 0, "{warned:?}");
    assert!(warned.stderr.contains("chmod o-w"), "{warned:?}");
    assert_eq!(workplace.run(SEND).code, 0);
    oracle::check_settled(&workplace, &server, 3, 0);
}

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn b12_check_and_preview_warn_on_a_network_file_system() {
    let server = Server::accepting();
    let workplace = begun(&server);
    // statfs returns the magic number of NFS, in native byte order.
    let nfs = format!("{:08x}", u32::from_be_bytes(0x6969_u32.to_ne_bytes()));
    let inject = format!("inject=statfs:poke_exit=@arg2={nfs}");

    for verb in [CHECK, PREVIEW] {
        let plain = workplace.run(verb);
        let mut strace: Vec<_> = "strace -f -qq -o /dev/null -e trace=statfs -e"
            .split(' ')
            .collect();
        strace.push(&inject);
        let on_nfs = workplace.run_under(&strace, verb);

        assert!(!plain.stderr.contains("network"), "{plain:?}");
        assert_eq!(on_nfs.code, 0, "{on_nfs:?}");
        let words = "is on a network file system (NFS)";
        assert!(on_nfs.stderr.contains(words), "{on_nfs:?}");
    }
}

#[test]
fn b13_a_ledger_in_wal_mode_is_checkpointed_and_closed() {
    let server = Server::accepting();
    let workplace = begun(&server);
    let outside = rusqlite::Connection::open(workplace.file("ledger.sqlite3")).unwrap();
    outside
        .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
        .unwrap();
    drop(outside);

    assert_eq!(workplace.run(SEND).code, 0);

    oracle::check_settled(&workplace, &server, 3, 0);
    for suffix in ["-wal", "-shm", "-journal"] {
        assert!(!workplace.file(&format!("ledger.sqlite3{suffix}")).exists());
    }
    let header = std::fs::read(workplace.file("ledger.sqlite3")).unwrap();
    assert_eq!(header[18..20], [1, 1], "read and written without a log");
}

#[test]
fn b6_a_log_of_another_ledger_is_refused() {
    let server = Server::accepting();
    let workplace = begun(&server);
    let other = {
        // Killed at its first final dot, the run leaves a log with its own pages.
        let relay = Server::start(|call: &Call| match call.stage {
            Stage::Dot => Action::Stall,
            _ => Action::Normal,
        });
        let other = Workplace::on_disk(relay.port());
        other.many_partners(20);
        let run = other.start(&["send"]);
        while relay.commands().iter().all(|(_, it)| it != "DATA") {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(300));
        run.kill();
        other
    };
    let before = std::fs::read(workplace.file("ledger.sqlite3")).unwrap();
    let log = workplace.file("ledger.sqlite3-wal");
    std::fs::copy(other.file("ledger.sqlite3-wal"), &log).unwrap();

    for verb in [SEND, RESOLVE, CHECK, PREVIEW] {
        refused(&workplace.run(verb), 65, &["ledger.sqlite3"]);
    }

    assert_eq!(server.connections(), 1);
    assert!(std::fs::read(workplace.file("ledger.sqlite3")).unwrap() == before);
    std::fs::remove_file(log).unwrap();
    let _ = std::fs::remove_file(workplace.file("ledger.sqlite3-shm"));
    assert_eq!(workplace.run(SEND).code, 0);
    oracle::check_settled(&workplace, &server, 3, 0);
}

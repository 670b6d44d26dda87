//! The ledger as accidents leave it: missing, taken for another, damaged, out of reach, held,
//! copied. Whatever it is, it is told in words with a cure, and nobody is mailed on its word.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use crate::support::smtp::{Action, Call, Server, Stage};
use crate::support::{Output, Workplace, oracle};

const PARTNERS: [&str; 3] = ["ada@a.example", "bob@b.example", "eva@e.example"];

/// A job with a partner invited already and two more in the list.
fn begun(server: &Server) -> Workplace {
    let workplace = Workplace::new(server.port());
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
fn b1_a_missing_ledger_stops_every_verb_that_needs_it_and_none_is_made() {
    let server = Server::obliging();
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
        assert!(output.stderr.contains("there is no ledger"), "{output:?}");
    }

    assert_eq!(server.connections(), connections);
    assert!(!workplace.file("ledger.sqlite3").exists());
    assert!(!workplace.file("ledger.sqlite3.lock").exists());
}

/// The verb as somebody for whom permissions count, which they do not for root.
fn without_privileges(workplace: &Workplace, verb: &[&str]) -> Output {
    let probe = workplace.file("probe");
    std::fs::write(&probe, "").unwrap();
    std::fs::set_permissions(&probe, std::fs::Permissions::from_mode(0o400)).unwrap();
    let privileged = std::fs::OpenOptions::new()
        .append(true)
        .open(&probe)
        .is_ok();
    std::fs::remove_file(&probe).unwrap();
    if !privileged {
        return workplace.run(verb);
    }
    let dropped = "-dac_override,-dac_read_search";
    let setpriv = ["setpriv", "--bounding-set", dropped, "--inh-caps", dropped];
    workplace.run_under(&setpriv, verb)
}

fn allow(workplace: &Workplace, name: &str, mode: u32) {
    std::fs::set_permissions(workplace.file(name), std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn b2_a_ledger_or_folder_that_cannot_be_written_stops_what_writes_before_the_network() {
    let server = Server::obliging();
    let workplace = begun(&server);
    std::fs::remove_file(workplace.file("ledger.sqlite3.lock")).unwrap();
    // The probe wants to be written, so the ledger ensure_no_unsolicited_data one folder down.
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
        // A look is allowed, and tells what a send would meet.
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

/// Something mounted for the time of a test.
struct Mount<'a>(&'a std::path::Path);

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
#[ignore = "needs the right to mount; .ci/run calls it"]
fn b2_on_a_file_system_mounted_read_only_the_cure_is_to_mount_it_writable() {
    let server = Server::obliging();
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
fn b3_b4_what_is_no_database_any_more_or_cut_off_is_refused_by_every_verb() {
    let server = Server::obliging();
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
fn b8_another_program_s_database_and_a_newer_ledger_are_refused() {
    let server = Server::obliging();
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
fn b10_while_another_program_holds_it_the_run_comes_back_later() {
    let server = Server::obliging();
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
fn b11_a_ledger_that_others_may_open_or_that_has_two_names_is_refused() {
    let server = Server::obliging();
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
    // A group may be trusted.
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
fn b12_on_a_network_file_system_check_and_preview_warn() {
    let server = Server::obliging();
    let workplace = begun(&server);
    // The kernel answers statfs with the number of NFS, in the bytes' order of this machine.
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
fn b13_a_ledger_that_somebody_put_into_log_mode_comes_to_rest_again() {
    let server = Server::obliging();
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
fn b6_a_log_that_belongs_to_another_ledger_is_refused_and_spoils_nothing() {
    let server = Server::obliging();
    let workplace = begun(&server);
    let other = {
        // Killed at its first dot, it leaves a log that is full of its own pages.
        let relay = Server::start(|call: &Call| match call.stage {
            Stage::Dot => Action::Stall,
            _ => Action::Normal,
        });
        let other = Workplace::new(relay.port());
        other.crowd(20);
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

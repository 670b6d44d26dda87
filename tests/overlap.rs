//! Several runs, reads and copies of the same ledger at the same time: one run sends, and nobody is
//! mailed twice.
//!
//! `ACCESS_INVITE_RUNS` sets the number of simultaneous runs (default 12).

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::Duration;

use crate::support::chance::number;
use crate::support::held::Held;
use crate::support::smtp::{Server, Stage};
use crate::support::{Output, Workplace, oracle};
use mail_parser::MessageParser;

/// A run that the relay holds at the reply to its first dot.
fn held(partners: usize) -> Held {
    Held::at(Stage::Dot, 0, |it| it.many_partners(partners))
}

#[test]
fn c1_c5_simultaneous_runs_send_each_invitation_once() {
    let runs = number("ACCESS_INVITE_RUNS").map_or(12, |it| usize::try_from(it).unwrap());
    let server = Server::accepting();
    let workplace = Workplace::english(server.port());
    workplace.many_partners(30);
    let start = Barrier::new(runs);

    let ended: Vec<Output> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..runs)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    workplace.run(&["send"])
                })
            })
            .collect();
        all.into_iter().map(|it| it.join().unwrap()).collect()
    });

    for run in &ended {
        assert!(matches!(run.code, 0 | 75), "{run:?}");
        let told = run.stderr.contains("another run is using the ledger");
        assert_eq!(told, run.code == 75, "{run:?}");
    }
    assert!(ended.iter().any(|it| it.code == 0), "no run sent");
    oracle::check_settled(&workplace, &server, 30, 0);
}

#[test]
fn c3_a_stopped_run_keeps_the_lock() {
    let held = held(3);
    held.run.signal("STOP");
    // A lock that expired by age would have expired by then.
    std::thread::sleep(Duration::from_millis(700));

    let second = held.workplace.run(&["send"]);

    assert_eq!(second.code, 75, "{second:?}");
    assert!(
        second
            .stderr
            .contains(&format!("(process {})", held.run.id()))
    );
    held.run.signal("CONT");
    let (server, workplace, ended) = held.finish();
    assert_eq!(ended.code, 0, "{ended:?}");
    oracle::check_settled(&workplace, &server, 3, 0);
}

#[test]
fn c4_without_the_lock_file_each_row_is_armed_once() {
    let held = held(20);
    std::fs::remove_file(held.workplace.file("ledger.sqlite3.lock")).unwrap();

    // The second run takes the armed row for that of a dead run, which costs one `unknown`.
    let second = held.workplace.run(&["send"]);
    let (server, workplace, first) = held.finish();

    assert!(matches!(second.code, 3 | 75), "{second:?}");
    // The first run stops, because its lock file is gone.
    assert!(matches!(first.code, 0 | 74), "{first:?}");
    oracle::check(&workplace, &server, 20, 1);
    assert!(matches!(workplace.run(&["send"]).code, 0 | 3));
    oracle::check_settled(&workplace, &server, 20, 1);
}

#[test]
fn c6_a_lock_file_without_a_lock_does_not_block() {
    let server = Server::accepting();
    let workplace = Workplace::english(server.port());
    workplace.partners(&["ada@a.example"]);
    // As a killed run left it, with a process id that was reused.
    let myself = std::process::id().to_string();
    workplace.write("ledger.sqlite3.lock", &myself);

    assert_eq!(workplace.run(&["send"]).code, 0);

    oracle::check_settled(&workplace, &server, 1, 0);
}

#[test]
fn c7_reads_and_copies_during_a_run_are_consistent() {
    let held = held(5);
    let workplace = &held.workplace;

    for verb in ["status", "check", "preview"] {
        assert_eq!(workplace.run(&[verb]).code, 0, "{verb}");
    }
    let states = workplace.states();
    assert_eq!(states.len(), 5);
    assert_eq!(states.iter().filter(|(_, it)| it == "armed").count(), 1);
    let resolve = [
        "resolve",
        "--all-unknown",
        "--as",
        "accepted",
        "--note",
        "x",
    ];
    assert_eq!(workplace.run(&resolve).code, 75);
    // As `sqlite3 ledger.sqlite3 "VACUUM INTO 'copy'"` makes a copy.
    let outside = rusqlite::Connection::open(workplace.file("ledger.sqlite3")).unwrap();
    let into = workplace.file("copy.sqlite3");
    outside
        .execute("VACUUM INTO ?1", [into.to_str().unwrap()])
        .unwrap();
    drop(outside);
    let copy = rusqlite::Connection::open(workplace.file("copy.sqlite3")).unwrap();
    let armed = "SELECT count(*) FROM invitation WHERE state = 'armed'";
    assert_eq!(copy.query_row(armed, [], |row| row.get(0)), Ok(1));

    let (server, workplace, ended) = held.finish();
    assert_eq!(ended.code, 0, "{ended:?}");
    oracle::check_settled(&workplace, &server, 5, 0);
    assert!(!workplace.file("ledger.sqlite3-wal").exists());
}

#[test]
fn c8_a_copied_ledger_gives_the_same_message_ids() {
    let ids = |server: &Server| -> BTreeSet<String> {
        let id = |data: &[u8]| {
            let mail = MessageParser::default().parse(data).unwrap();
            mail.message_id().unwrap().to_owned()
        };
        server.accepted().iter().map(|it| id(&it.data)).collect()
    };
    let (here, there) = (Server::accepting(), Server::accepting());
    let (first, second) = (
        Workplace::english(here.port()),
        Workplace::english(there.port()),
    );
    for workplace in [&first, &second] {
        workplace.many_partners(5);
    }
    let ledger = "ledger.sqlite3";
    std::fs::copy(first.file(ledger), second.file(ledger)).unwrap();

    for workplace in [&first, &second] {
        assert_eq!(workplace.run(&["send"]).code, 0);
    }

    // Neither machine can detect this; a mailbox with both mails can.
    assert_eq!(ids(&here), ids(&there));
    assert_eq!(ids(&here).len(), 5);
}

//! Several runs, and others who look or copy, at the same ledger at the same time: one sends,
//! and whatever the others do, nobody is mailed twice.
//!
//! `ACCESS_INVITE_RUNS` says how many runs begin at the same instant (12 unless told otherwise).

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::Duration;

use crate::support::chance::number;
use crate::support::smtp::gate::Keeper;
use crate::support::smtp::{Server, Stage};
use crate::support::{Output, Running, Workplace, oracle};
use mail_parser::MessageParser;

/// A run that the relay holds at the reply to its first dot.
struct Held {
    server: Server,
    workplace: Workplace,
    run: Running,
    keeper: Keeper,
}

impl Held {
    fn new(partners: usize) -> Self {
        let (server, keeper) = Server::holding(Stage::Dot, 0);
        let mut workplace = Workplace::new(server.port());
        workplace.smtp("connections = 1");
        workplace.crowd(partners);
        let run = workplace.start(&["send"]);
        keeper.wait();
        Self {
            server,
            workplace,
            run,
            keeper,
        }
    }

    fn let_go(self) -> (Server, Workplace, Output) {
        self.keeper.release();
        let ended = self.run.wait();
        (self.server, self.workplace, ended)
    }
}

#[test]
fn c1_c5_of_many_runs_at_the_same_instant_each_sends_what_no_other_has() {
    let runs = number("ACCESS_INVITE_RUNS").map_or(12, |it| usize::try_from(it).unwrap());
    let server = Server::obliging();
    let workplace = Workplace::new(server.port());
    workplace.crowd(30);
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
    assert!(ended.iter().any(|it| it.code == 0), "nobody has sent");
    oracle::check_settled(&workplace, &server, 30, 0);
}

#[test]
fn c3_a_run_that_is_stopped_keeps_the_lock_however_long_it_takes() {
    let held = Held::new(3);
    held.run.signal("STOP");
    // A lock that somebody gives up for its age would be older than this.
    std::thread::sleep(Duration::from_millis(700));

    let second = held.workplace.run(&["send"]);

    assert_eq!(second.code, 75, "{second:?}");
    assert!(
        second
            .stderr
            .contains(&format!("(process {})", held.run.id()))
    );
    held.run.signal("CONT");
    let (server, workplace, ended) = held.let_go();
    assert_eq!(ended.code, 0, "{ended:?}");
    oracle::check_settled(&workplace, &server, 3, 0);
}

#[test]
fn c4_where_somebody_removes_the_lock_file_each_invitation_is_still_armed_once() {
    let held = Held::new(20);
    std::fs::remove_file(held.workplace.file("ledger.sqlite3.lock")).unwrap();

    // It takes what is armed for the remains of a dead run, which costs a doubt and no more.
    let second = held.workplace.run(&["send"]);
    let (server, workplace, first) = held.let_go();

    assert!(matches!(second.code, 3 | 75), "{second:?}");
    // It stops, because its lock is no longer one.
    assert!(matches!(first.code, 0 | 74), "{first:?}");
    oracle::check(&workplace, &server, 20, 1);
    assert!(matches!(workplace.run(&["send"]).code, 0 | 3));
    oracle::check_settled(&workplace, &server, 20, 1);
}

#[test]
fn c6_a_lock_file_that_names_a_living_process_is_no_lock() {
    let server = Server::obliging();
    let workplace = Workplace::new(server.port());
    workplace.partners(&["ada@a.example"]);
    // As a killed run left it, whose number another process has now.
    let myself = std::process::id().to_string();
    workplace.write("ledger.sqlite3.lock", &myself);

    assert_eq!(workplace.run(&["send"]).code, 0);

    oracle::check_settled(&workplace, &server, 1, 0);
}

#[test]
fn c7_who_looks_or_copies_during_a_run_sees_it_whole_and_who_writes_is_sent_away() {
    let held = Held::new(5);
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

    let (server, workplace, ended) = held.let_go();
    assert_eq!(ended.code, 0, "{ended:?}");
    oracle::check_settled(&workplace, &server, 5, 0);
    assert!(!workplace.file("ledger.sqlite3-wal").exists());
}

#[test]
fn c8_a_ledger_copied_to_a_second_machine_gives_the_same_message_ids() {
    let ids = |server: &Server| -> BTreeSet<String> {
        let id = |data: &[u8]| {
            let mail = MessageParser::default().parse(data).unwrap();
            mail.message_id().unwrap().to_owned()
        };
        server.accepted().iter().map(|it| id(&it.data)).collect()
    };
    let (here, there) = (Server::obliging(), Server::obliging());
    let (first, second) = (Workplace::new(here.port()), Workplace::new(there.port()));
    for workplace in [&first, &second] {
        workplace.crowd(5);
    }
    let ledger = "ledger.sqlite3";
    std::fs::copy(first.file(ledger), second.file(ledger)).unwrap();

    for workplace in [&first, &second] {
        assert_eq!(workplace.run(&["send"]).code, 0);
    }

    // Nobody can tell from here; a mailbox that has both can.
    assert_eq!(ids(&here), ids(&there));
    assert_eq!(ids(&here).len(), 5);
}

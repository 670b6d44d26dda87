//! Repeated kills at random moments: the invariants hold after each kill, and a clean run
//! afterwards completes the job without inviting anybody twice.
//!
//! `ACCESS_INVITE_KILLS` sets the number of trials (default 8).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on fails"
)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::support::chance::{Random, number};
use crate::support::smtp::{Action, Call, Server, Stage};
use crate::support::{Workplace, oracle, parallel};

const PARTNERS: usize = 50;
const CONNECTIONS: usize = 4;

/// A slow relay, so that kills fall into every phase.
fn slow_relay() -> Server {
    Server::start(|call: &Call| match call.stage {
        Stage::Rcpt | Stage::Dot => {
            Action::Delay(Duration::from_millis(2), Box::new(Action::Normal))
        }
        _ => Action::Normal,
    })
}

fn job(server: &Server) -> Workplace {
    let mut workplace = Workplace::english(server.port());
    workplace.smtp(&format!("connections = {CONNECTIONS}"));
    workplace.many_partners(PARTNERS);
    workplace
}

#[test]
fn a2_a_kill_at_any_moment_keeps_all_invariants() {
    let trials = number("ACCESS_INVITE_KILLS").unwrap_or(8);
    let mut random = Random::seeded();

    let server = slow_relay();
    let workplace = job(&server);
    let start = Instant::now();
    assert_eq!(workplace.run(&["send"]).code, 0);
    let whole = start.elapsed().as_micros() as u64;
    oracle::check_settled(&workplace, &server, PARTNERS, 0);

    // Every third trial also kills the run that would have cleaned up.
    let trials: Vec<(u64, Vec<Duration>)> = (0..trials)
        .map(|trial| {
            let kills = 1 + usize::from(trial % 3 == 0);
            let moments = (0..kills).map(|_| Duration::from_micros(random.below(whole)));
            (trial, moments.collect())
        })
        .collect();
    let undecided = AtomicUsize::new(0);

    parallel::for_each(2, &trials, |(trial, moments)| {
        let server = slow_relay();
        let workplace = job(&server);
        for (before, moment) in moments.iter().enumerate() {
            let run = workplace.start(&["send"]);
            std::thread::sleep(*moment);
            run.kill();
            println!("trial {trial}, kill {} after {moment:?}", before + 1);
            oracle::check(&workplace, &server, PARTNERS, (before + 1) * CONNECTIONS);
        }

        let clean = workplace.run(&["send"]);

        let unknowns = moments.len() * CONNECTIONS;
        assert!(matches!(clean.code, 0 | 3), "trial {trial}: {clean:?}");
        oracle::check_settled(&workplace, &server, PARTNERS, unknowns);
        let again = workplace.run(&["send"]);
        assert_eq!(again.code, clean.code, "trial {trial}: {again:?}");
        oracle::check_settled(&workplace, &server, PARTNERS, unknowns);
        let states = workplace.states();
        let unknown = states.iter().filter(|(_, state)| state == "unknown");
        undecided.fetch_add(unknown.count(), Ordering::Relaxed);
        assert!(server.violations().is_empty(), "{:?}", server.violations());
        assert!(!workplace.file("ledger.sqlite3-wal").exists());
    });
    let undecided = undecided.into_inner();
    println!("{undecided} unknown over {} trials", trials.len());
}

#[test]
fn a4_a_kill_while_waiting_for_the_reply_is_unknown() {
    for taken in [true, false] {
        let (reached, waiting) = mpsc::channel();
        let reached = Mutex::new(reached);
        let server = Server::start(move |call: &Call| {
            if call.stage != Stage::Dot || call.nth > 0 {
                return Action::Normal;
            }
            reached.lock().unwrap().send(()).unwrap();
            if taken {
                Action::AcceptThen(Box::new(Action::Stall))
            } else {
                Action::Stall
            }
        });
        let workplace = Workplace::english(server.port());
        workplace.partners(&["ada@a.example"]);
        let run = workplace.start(&["send"]);
        waiting.recv().unwrap();

        run.kill();

        assert_eq!(workplace.state(), "armed");
        let next = workplace.run(&["send"]);
        assert_eq!(next.code, 3, "{next:?}");
        assert!(next.stderr.contains("unknown: ada@a.example"), "{next:?}");
        let later = workplace.run(&["send"]);
        assert_eq!((later.code, later.stderr.as_str()), (3, ""), "named once");
        oracle::check_settled(&workplace, &server, 1, 1);
        assert_eq!(server.accepted().len(), usize::from(taken));
    }
}

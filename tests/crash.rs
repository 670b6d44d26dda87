//! Killed at random moments, again and again: the invariants hold after each kill, and a
//! clean run afterwards finishes the job without inviting anybody twice.
//!
//! `ACCESS_INVITE_KILLS` says how many trials (25 unless told otherwise), and
//! `ACCESS_INVITE_SEED` repeats those of a run that failed.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on fails"
)]

mod support;

use std::time::{Duration, Instant, SystemTime};

use support::smtp::{Action, Call, Server, Stage};
use support::{Workplace, oracle};

const PARTNERS: usize = 50;
const CONNECTIONS: usize = 4;

/// A small generator of numbers, so that a seed repeats a run (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// A relay that takes its time, so that kills fall into every phase.
fn slow_relay() -> Server {
    Server::start(|call: &Call| match call.stage {
        Stage::Rcpt | Stage::Dot => {
            Action::Delay(Duration::from_millis(2), Box::new(Action::Normal))
        }
        _ => Action::Normal,
    })
}

fn job(server: &Server) -> Workplace {
    let mut workplace = Workplace::new(server.port());
    workplace.smtp = format!("{}\nconnections = {CONNECTIONS}", workplace.smtp);
    workplace.configure();
    let addresses: Vec<_> = (0..PARTNERS)
        .map(|it| format!("p{it}@a{}.example", it % 5))
        .collect();
    workplace.partners(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
    workplace
}

#[test]
fn killed_at_any_moment_nobody_is_invited_twice_or_forgotten() {
    let trials = number("ACCESS_INVITE_KILLS").unwrap_or(25);
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let seed = number("ACCESS_INVITE_SEED").unwrap_or(now.as_nanos() as u64);
    println!("seed {seed}");
    let mut random = Random(seed);

    let server = slow_relay();
    let workplace = job(&server);
    let start = Instant::now();
    assert_eq!(workplace.run(&["send"]).code, 0);
    let whole = start.elapsed().as_micros() as u64;
    oracle::check_settled(&workplace, &server, PARTNERS, 0);

    let mut doubtful = 0;
    for trial in 0..trials {
        let server = slow_relay();
        let workplace = job(&server);
        // Every third trial kills the run that was to clean up, too.
        let kills = 1 + usize::from(trial % 3 == 0);
        for kill in 1..=kills {
            let moment = Duration::from_micros(random.below(whole));
            let run = workplace.start(&["send"]);
            std::thread::sleep(moment);
            run.kill();
            println!("trial {trial}, kill {kill} after {moment:?}");
            oracle::check(&workplace, &server, PARTNERS, kill * CONNECTIONS);
        }

        let clean = workplace.run(&["send"]);

        assert!(
            matches!(clean.code, 0 | 3),
            "seed {seed}, trial {trial}: {clean:?}"
        );
        oracle::check_settled(&workplace, &server, PARTNERS, kills * CONNECTIONS);
        let again = workplace.run(&["send"]);
        assert_eq!(
            again.code, clean.code,
            "seed {seed}, trial {trial}: {again:?}"
        );
        oracle::check_settled(&workplace, &server, PARTNERS, kills * CONNECTIONS);
        doubtful += workplace
            .states()
            .iter()
            .filter(|(_, state)| state == "unknown")
            .count();
        assert!(server.violations().is_empty(), "{:?}", server.violations());
        assert!(!workplace.file("ledger.sqlite3-wal").exists());
    }
    println!("{doubtful} in doubt over {trials} trials");
}

//! SIGKILL of one of several runs, at random moments.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::cluster::{CONNECTIONS, Cluster, SHARED, ended_well, slow_relay, trials};
use crate::support::chance::Random;
use crate::support::parallel;

const MACHINES: usize = 3;
/// More than one run claims at once.
const PARTNERS: usize = 200;

fn cluster() -> Cluster {
    Cluster::new(MACHINES, PARTNERS, slow_relay(Duration::from_millis(20)))
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_killed_run_leaves_at_most_one_unknown_for_each_connection() {
    let mut random = Random::seeded();
    let trials: Vec<(u64, u64)> = (0..trials(20))
        .map(|it| (it, random.below(PARTNERS as u64)))
        .collect();
    let undecided = AtomicUsize::new(0);
    parallel::for_each(4, &trials, |&(trial, messages)| {
        let cluster = cluster();
        let mut runs = cluster.start_all();
        cluster.wait_for_messages(messages as usize, &mut runs);
        // Also between two messages, and before the first one.
        std::thread::sleep(Duration::from_millis(trial * 7 % 23));
        println!("trial {trial}: killed after {messages} messages");
        runs.remove(trial as usize % MACHINES).kill();
        cluster.check_live(MACHINES * CONNECTIONS);
        for run in runs {
            ended_well(&run.wait());
        }
        let left = cluster.finish(CONNECTIONS);
        undecided.fetch_add(left, Ordering::Relaxed);
    });
    println!(
        "{} unknown over {} trials",
        undecided.into_inner(),
        trials.len()
    );
    assert!(!SHARED.log().contains("PANIC"), "{}", SHARED.log());
}

/// All of them at once, as if the power of the room failed, but not that of the server.
#[test]
#[ignore = "needs PostgreSQL"]
fn when_all_runs_are_killed_the_next_one_finishes() {
    let mut random = Random::seeded();
    let moments: Vec<u64> = (0..trials(20).div_ceil(4))
        .map(|_| random.below(PARTNERS as u64))
        .collect();
    parallel::for_each(4, &moments, |&messages| {
        let cluster = cluster();
        let mut runs = cluster.start_all();
        cluster.wait_for_messages(messages as usize, &mut runs);
        for run in runs {
            run.kill();
        }
        cluster.check(MACHINES * CONNECTIONS);
        // A run that begins before the leases have ended leaves what they hold, and says so.
        let early = cluster.machines[1].run(&["send"]);
        ended_well(&early);
        cluster.finish(MACHINES * CONNECTIONS);
    });
}

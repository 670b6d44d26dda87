//! SIGKILL of one of several runs, at random moments.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::cluster::{CONNECTIONS, Cluster, SHARED, ended_well, slow_relay, trials};
use crate::support::chance::Random;
use crate::support::parallel;

const MACHINES: usize = 3;
const PARTNERS: usize = 60;

fn cluster() -> Cluster {
    Cluster::new(MACHINES, PARTNERS, slow_relay(Duration::from_millis(20)))
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_killed_run_leaves_at_most_one_unknown_for_each_connection() {
    let mut random = Random::seeded();
    let measured = cluster();
    let start = Instant::now();
    for run in measured.start_all() {
        ended_well(&run.wait());
    }
    let whole = start.elapsed().as_micros() as u64;
    measured.finish(0);

    let trials: Vec<(u64, Duration)> = (0..trials(20))
        .map(|it| (it, Duration::from_micros(random.below(whole))))
        .collect();
    let undecided = AtomicUsize::new(0);
    parallel::for_each(4, &trials, |(trial, moment)| {
        let cluster = cluster();
        let mut runs = cluster.start_all();
        std::thread::sleep(*moment);
        println!("trial {trial}: killed after {moment:?} of {whole} µs");
        runs.remove(*trial as usize % MACHINES).kill();
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
    let moments: Vec<Duration> = (0..trials(20) / 4)
        .map(|_| Duration::from_millis(200 + random.below(500)))
        .collect();
    parallel::for_each(4, &moments, |moment| {
        let cluster = cluster();
        let runs = cluster.start_all();
        std::thread::sleep(*moment);
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

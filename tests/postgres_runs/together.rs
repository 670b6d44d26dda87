//! Several runs of one campaign at once, without faults.

use std::time::{Duration, Instant};

use super::cluster::{Cluster, ended_well, slow_relay};
use crate::support::smtp::Server;
use crate::support::{Output, Workplace};

#[test]
#[ignore = "needs PostgreSQL"]
fn simultaneous_runs_mail_each_partner_once() {
    for machines in [2, 4, 8] {
        let cluster = Cluster::new(machines, 300, slow_relay(Duration::from_millis(10)));
        let runs = cluster.start_all();
        let ended: Vec<Output> = runs.into_iter().map(|it| it.wait()).collect();
        for run in &ended {
            ended_well(run);
            assert_ne!(run.code, 3, "{run:?}");
        }
        assert!(ended.iter().any(|it| it.code == 0), "{ended:?}");
        cluster.finish(0);
        let senders = cluster.sql(
            "SELECT count(DISTINCT run) FROM access_invite.history WHERE to_state = 'accepted'",
        );
        assert!(
            senders.parse::<usize>().unwrap() > 1,
            "one of {machines} runs did everything"
        );
    }
}

/// As a container that an orchestrator starts twice: empty folders but for configuration and list.
#[test]
#[ignore = "needs PostgreSQL"]
fn a_container_that_is_started_twice_mails_each_partner_once() {
    for pause in [0, 150, 400] {
        let cluster = Cluster::new(3, 60, slow_relay(Duration::from_millis(10)));
        for machine in &cluster.machines {
            remove_witness(machine);
        }
        let first = cluster.machines[0].start(&["send"]);
        std::thread::sleep(Duration::from_millis(pause));
        let second = cluster.machines[1].start(&["send"]);
        for run in [first, second] {
            let ended = run.wait();
            assert!(matches!(ended.code, 0 | 75), "{ended:?}");
        }
        cluster.finish(0);
    }
}

fn remove_witness(machine: &Workplace) {
    for (path, _) in machine.bytes() {
        if path.extension().is_some_and(|it| it == "witness") {
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// The lists of the machines are in another order, and both record them at once.
#[test]
#[ignore = "needs PostgreSQL"]
fn the_same_list_may_be_recorded_by_several_runs_at_once() {
    let mut cluster = Cluster::new(4, 0, Server::accepting());
    let addresses: Vec<String> = (0..1_500)
        .map(|it| format!("p{it}@a{}.example", it % 7))
        .collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    for (machine, turn) in cluster.machines.iter().zip([0, 700, 1_100, 300]) {
        let list = [&addresses[turn..], &addresses[..turn]].concat();
        machine.partners(&list);
    }
    cluster.partners = addresses.len();
    let start = Instant::now();
    let runs = cluster.start_all();
    for run in runs {
        ended_well(&run.wait());
    }
    println!("{:?} for four runs and 1,500 partners", start.elapsed());
    cluster.finish(0);
}

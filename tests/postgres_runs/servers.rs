//! The database server is killed, restarted, or ends connections during runs.

use std::sync::Arc;
use std::time::Duration;

use super::cluster::{CONNECTIONS, Cluster, SHARED, slow_relay, trials};
use crate::support::chance::Random;
use crate::support::postgres_server::PostgresServer;

/// With a restart within the time for which a run tries to reach the server, and without one.
#[test]
#[ignore = "needs PostgreSQL"]
fn a_server_that_is_killed_and_started_again_loses_and_doubles_nothing() {
    let server = Arc::new(PostgresServer::start());
    let mut random = Random::seeded();
    for trial in 0..trials(6).min(40) {
        let cluster = Cluster::on(&server, 2, 150, slow_relay(Duration::from_millis(20)));
        let mut runs = cluster.start_all();
        let messages = random.below(120);
        let pause = Duration::from_millis(random.below(1_500));
        println!("trial {trial}: killed after {messages} messages, started {pause:?} later");
        cluster.wait_for_messages(messages as usize, &mut runs);
        server.kill();
        std::thread::sleep(pause);
        server.start_again();
        for run in runs {
            let ended = run.wait();
            assert!(matches!(ended.code, 0 | 3 | 74 | 75), "{ended:?}");
        }
        cluster.finish(2 * CONNECTIONS);
    }
}

#[test]
#[ignore = "needs PostgreSQL"]
fn connections_that_the_server_ends_are_opened_again() {
    let mut random = Random::seeded();
    for trial in 0..trials(3).min(20) {
        let cluster = Cluster::new(1, 150, slow_relay(Duration::from_millis(40)));
        let mut runs = cluster.start_all();
        cluster.wait_for_messages(1, &mut runs);
        let mut run = runs.remove(0);
        let mut ended = 0;
        while ended < 30 && run.is_running() {
            std::thread::sleep(Duration::from_millis(10 + random.below(80)));
            // Any of its connections: those of the writer, the reader and the lease.
            let terminated = cluster.sql(&format!(
                "SELECT count(pg_terminate_backend(pid)) FROM (
                    SELECT pid FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()
                    ORDER BY random() LIMIT 1) AS one",
                cluster.database
            ));
            ended += terminated.parse::<u32>().unwrap();
        }
        let result = run.wait();
        println!("trial {trial}: {ended} connections ended");
        assert_eq!(result.code, 0, "{result:?}");
        assert!(ended >= 10, "the run was too short: {ended}");
        cluster.finish(0);
    }
    assert!(!SHARED.log().contains("PANIC"), "{}", SHARED.log());
}

/// Without a server at all: nothing is sent, and the next run continues.
#[test]
#[ignore = "needs PostgreSQL"]
fn without_a_server_nothing_is_sent() {
    let server = Arc::new(PostgresServer::start());
    let cluster = Cluster::on(&server, 1, 5, slow_relay(Duration::ZERO));
    server.stop();
    let ended = cluster.machines[0].run(&["send"]);
    server.start_again();
    assert_eq!(ended.code, 75, "{ended:?}");
    assert_eq!(cluster.relay.connections(), 0);
    cluster.finish(0);
}

//! The primary server dies during runs, and a standby is promoted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::cluster::{CONNECTIONS, Cluster, slow_relay, sql, trials, wait_until};
use crate::support::chance::Random;
use crate::support::postgres_server::PostgresServer;

/// A primary server and its standby.
struct Pair {
    primary: Arc<PostgresServer>,
    standby: Arc<PostgresServer>,
}

impl Pair {
    fn start(is_synchronous: bool) -> Self {
        let primary = PostgresServer::start();
        let standby = primary.standby("other");
        let expected = if is_synchronous {
            primary.configure("synchronous_standby_names = '*'");
            primary.reload();
            "sync"
        } else {
            "async"
        };
        let state = "SELECT sync_state FROM pg_stat_replication";
        wait_until("the standby follows", || {
            sql(&primary, "postgres", state) == expected
        });
        Self {
            primary: Arc::new(primary),
            standby: Arc::new(standby),
        }
    }

    /// Machines that know both servers.
    fn cluster(&self, machines: usize, partners: usize) -> Cluster {
        let relay = slow_relay(Duration::from_millis(20));
        let mut cluster = Cluster::on(&self.primary, 0, partners, relay);
        let url = self.url(&cluster.database);
        for _ in 0..machines {
            cluster.add_machine(&url);
        }
        cluster
    }

    fn url(&self, database: &str) -> String {
        format!(
            "postgres://invite@127.0.0.1:{},127.0.0.1:{}/{database}?target_session_attrs=read-write&connect_timeout=2",
            self.primary.port(),
            self.standby.port()
        )
    }

    fn fail_over(&self) {
        self.primary.kill();
        self.standby.promote();
    }
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_failover_to_a_synchronous_standby_loses_and_doubles_nothing() {
    let mut random = Random::seeded();
    for trial in 0..trials(3).min(20) {
        let pair = Pair::start(true);
        let mut cluster = pair.cluster(2, 150);
        let mut runs = cluster.start_all();
        let messages = random.below(120);
        cluster.wait_for_messages(messages as usize, &mut runs);
        pair.fail_over();
        cluster.postgres = pair.standby.clone();
        for run in runs {
            let ended = run.wait();
            println!(
                "trial {trial}, after {messages} messages: {} {}",
                ended.code, ended.stderr
            );
            assert!(matches!(ended.code, 0 | 3 | 74 | 75), "{ended:?}");
        }
        cluster.finish(2 * CONNECTIONS);
    }
}

/// A standby may lack what was acknowledged: nobody is mailed, until that is accepted.
#[test]
#[ignore = "needs PostgreSQL"]
fn a_standby_without_synchronous_replication_is_refused_or_accepted() {
    let pair = Pair::start(false);
    let mut cluster = pair.cluster(1, 120);

    let refused = cluster.machines[0].run(&["send"]);
    assert_eq!(refused.code, 78, "{refused:?}");
    assert!(
        refused.stderr.contains("accept_failover_loss"),
        "{refused:?}"
    );
    assert_eq!(cluster.relay.connections(), 0);

    let machine = &mut cluster.machines[0];
    machine.ledger.push_str("\naccept_failover_loss = true");
    machine.configure();
    let mut run = machine.start(&["send"]);
    while cluster.relay.accepted().len() < 15 {
        assert!(run.is_running(), "{:?}", run.wait());
        std::thread::sleep(Duration::from_millis(10));
    }
    // The standby gets nothing more, and the run goes on.
    sql(
        &pair.standby,
        "postgres",
        "ALTER SYSTEM SET primary_conninfo = ''",
    );
    pair.standby.reload();
    let replicas = "SELECT count(*) FROM pg_stat_replication";
    wait_until("the standby is cut off", || {
        sql(&pair.primary, "postgres", replicas) == "0"
    });
    std::thread::sleep(Duration::from_millis(300));
    pair.fail_over();
    cluster.postgres = pair.standby.clone();
    let ended = run.wait();
    println!("{} {}", ended.code, ended.stderr);
    assert!(matches!(ended.code, 74 | 75), "{ended:?}");

    let known = cluster.sql("SELECT address, state FROM access_invite.invitation");
    let known: BTreeMap<&str, &str> = known.lines().filter_map(|it| it.split_once('|')).collect();
    let mailed = cluster.relay.synced().concat();
    assert!(mailed.len() < cluster.partners, "the run was not stopped");
    for address in &mailed {
        let state = known.get(address.as_str()).copied();
        let recorded = matches!(state, Some("accepted" | "unknown" | "armed"));
        assert!(
            recorded || ended.stderr.contains(address.as_str()),
            "{address} was mailed, is {state:?}, and is not listed: {ended:?}"
        );
    }
}

/// The primary has been replaced before the run begins.
#[test]
#[ignore = "needs PostgreSQL"]
fn a_run_after_a_failover_continues() {
    let pair = Pair::start(true);
    let mut cluster = pair.cluster(2, 40);
    let first = cluster.machines[0].run(&["send", "--limit", "15"]);
    assert_eq!(first.code, 0, "{first:?}");
    pair.fail_over();
    cluster.postgres = pair.standby.clone();
    cluster.finish(0);
    assert_eq!(cluster.relay.accepted().len(), 40);
}

/// Only the standby is named: the ledger cannot be written.
#[test]
#[ignore = "needs PostgreSQL"]
fn a_ledger_on_a_standby_is_refused() {
    let pair = Pair::start(true);
    let mut cluster = pair.cluster(1, 3);
    assert_eq!(cluster.machines[0].run(&["send", "--limit", "1"]).code, 0);
    let url = pair.standby.url(&cluster.database);
    let machine = &mut cluster.machines[0];
    let before = std::mem::replace(&mut machine.ledger, super::cluster::ledger(&url));
    machine.configure();
    let refused = machine.run(&["send"]);
    assert_eq!(refused.code, 78, "{refused:?}");
    assert!(refused.stderr.contains("standby"), "{refused:?}");
    machine.ledger = before;
    machine.configure();
    cluster.finish(0);
}

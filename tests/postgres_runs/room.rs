//! The server has no connection left, or no disk space.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::cluster::{CONNECTIONS, Cluster, SHARED, ledger, slow_relay, wait_until};
use crate::support::postgres_server::{PostgresServer, Setup};

/// Uses up connections of a role until it is dropped.
struct Sessions<'a>(&'a Cluster, Vec<Child>);

impl<'a> Sessions<'a> {
    /// Waits until the role holds so many connections. The server counts one that has just been
    /// closed until its process has ended, so it may refuse a session at first: it is opened again.
    fn of(cluster: &'a Cluster, role: &str, count: usize) -> Self {
        let open = || {
            Command::new("psql")
                .args(["-X", "-q", "-d"])
                .arg(cluster.url().replace("invite@", &format!("{role}@")))
                .args(["-c", "SELECT pg_sleep(60)"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        let mut sessions = Self(cluster, (0..count).map(|_| open()).collect());
        wait_until("the connections are used", || {
            for session in &mut sessions.1 {
                if session.try_wait().unwrap().is_some() {
                    *session = open();
                }
            }
            sessions.sleeping() == count
        });
        sessions
    }

    fn sleeping(&self) -> usize {
        let count = format!("SELECT count(*) FROM pg_stat_activity WHERE {SLEEPING}");
        self.0.sql(&count).parse().unwrap()
    }
}

impl Drop for Sessions<'_> {
    /// The server does not notice that a client is gone which waits for an answer.
    /// Returns when the connections are free.
    fn drop(&mut self) {
        self.0.sql(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {SLEEPING}"
        ));
        for child in &mut self.1 {
            let _ = child.kill();
            let _ = child.wait();
        }
        if !std::thread::panicking() {
            wait_until("the connections are free", || self.sleeping() == 0);
        }
    }
}

/// The sessions of [`Sessions`].
const SLEEPING: &str = "query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()";

/// A role that may send and has no other rights, with so many connections.
fn sender(cluster: &Cluster, connections: u32) -> String {
    let role = format!("sender_{}", cluster.database);
    cluster.sql(&format!(
        "CREATE ROLE {role} LOGIN CONNECTION LIMIT {connections};
         GRANT USAGE ON SCHEMA access_invite TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA access_invite TO {role};
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA access_invite TO {role};"
    ));
    role
}

/// However few connections a role may have, a run either has enough of them or sends nothing.
#[test]
#[ignore = "needs PostgreSQL"]
fn a_role_with_few_connections_sends_or_says_why_not() {
    let mut codes = Vec::new();
    for connections in 1..=6 {
        let mut cluster = Cluster::new(1, 10, slow_relay(Duration::ZERO));
        let role = sender(&cluster, connections);
        let url = cluster.url().replace("invite@", &format!("{role}@"));
        let before = std::mem::replace(&mut cluster.machines[0].ledger, ledger(&url));
        cluster.machines[0].configure();
        let ended = cluster.machines[0].run(&["send"]);
        println!("{connections} connections: {} {}", ended.code, ended.stderr);
        assert!(matches!(ended.code, 0 | 75), "{connections}: {ended:?}");
        if ended.code == 75 {
            assert!(ended.stderr.contains("too many connections"), "{ended:?}");
            assert_eq!(cluster.relay.accepted().len(), 0, "{ended:?}");
        }
        codes.push(ended.code);
        cluster.machines[0].ledger = before;
        cluster.machines[0].configure();
        cluster.finish(0);
    }
    assert_eq!((codes[0], codes[5]), (75, 0), "{codes:?}");
}

/// All connections are used by others while a run lasts, and it loses its own.
#[test]
#[ignore = "needs PostgreSQL"]
fn a_run_that_finds_no_connection_again_waits_or_stops() {
    for others_stay in [false, true] {
        let mut cluster = Cluster::new(1, 100, slow_relay(Duration::from_millis(40)));
        let role = sender(&cluster, 6);
        let url = cluster.url().replace("invite@", &format!("{role}@"));
        let before = std::mem::replace(&mut cluster.machines[0].ledger, ledger(&url));
        cluster.machines[0].configure();
        let mut run = cluster.machines[0].start(&["send"]);
        while cluster.relay.accepted().len() < 10 {
            assert!(run.is_running(), "{:?}", run.wait());
            std::thread::sleep(Duration::from_millis(10));
        }
        cluster.sql(&format!("ALTER ROLE {role} CONNECTION LIMIT 0"));
        cluster.sql(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
        ));
        if !others_stay {
            std::thread::sleep(Duration::from_millis(700));
            cluster.sql(&format!("ALTER ROLE {role} CONNECTION LIMIT 6"));
        }
        let ended = run.wait();
        let expected: &[i32] = if others_stay { &[74, 75] } else { &[0, 3] };
        assert!(expected.contains(&ended.code), "{others_stay}: {ended:?}");
        cluster.machines[0].ledger = before;
        cluster.machines[0].configure();
        cluster.finish(CONNECTIONS);
    }
}

/// `max_connections` of the whole server.
#[test]
#[ignore = "needs PostgreSQL"]
fn a_server_without_a_free_connection_is_75_and_sends_nothing() {
    let server = Arc::new(PostgresServer::set_up(&Setup {
        settings: "max_connections = 10\nsuperuser_reserved_connections = 3".into(),
        ..Setup::default()
    }));
    let mut cluster = Cluster::on(&server, 1, 5, slow_relay(Duration::ZERO));
    let role = sender(&cluster, 100);
    let url = cluster.url().replace("invite@", &format!("{role}@"));
    cluster.machines[0].ledger = ledger(&url);
    cluster.machines[0].configure();
    let others = Sessions::of(&cluster, &role, 7);
    let ended = cluster.machines[0].run(&["send"]);
    assert_eq!(ended.code, 75, "{ended:?}");
    assert_eq!(cluster.relay.connections(), 0);
    drop(others);
    cluster.finish(0);
}

/// A file system in memory with this many MiB, mounted in a folder until it is dropped.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn new(mebibytes: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={mebibytes}m,mode=777"),
                "tmpfs",
            ])
            .arg(folder.path())
            .status();
        assert!(mounted.unwrap().success());
        Self { folder }
    }

    /// Fills it but for this many KiB.
    fn fill(&self, kibibytes: u64) {
        let ballast = self.folder.path().join("ballast");
        let mut file = std::fs::File::create(ballast).unwrap();
        while file.write_all(&[0; 4_096]).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(kibibytes * 1_024))
            .unwrap();
    }

    fn free(&self) {
        std::fs::remove_file(self.folder.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.folder.path())
            .status();
    }
}

/// The disk is full, a little later each time: in the middle of a table, an index, or the log of the server, which
/// then stops.
#[test]
#[ignore = "needs PostgreSQL"]
fn a_server_without_disk_space_loses_and_doubles_nothing() {
    let disk = SmallDisk::new(160);
    let server = Arc::new(PostgresServer::set_up(&Setup {
        settings: "max_wal_size = '48MB'\nmin_wal_size = '32MB'\nwal_recycle = off\nrestart_after_crash = on".into(),
        within: disk.folder.path().to_owned(),
        ..Setup::default()
    }));
    for kibibytes in [0, 40, 200] {
        let cluster = Cluster::on(&server, 1, 400, slow_relay(Duration::from_millis(3)));
        let mut run = cluster.machines[0].start(&["send"]);
        while cluster.relay.accepted().len() < 20 {
            assert!(run.is_running(), "{:?}", run.wait());
            std::thread::sleep(Duration::from_millis(5));
        }
        disk.fill(kibibytes);
        // The log of the server may have room for very much; then this uses it up.
        let ballast =
            "CREATE TABLE ballast AS SELECT repeat('x', 1000) FROM generate_series(1, 40000)";
        let _ = Command::new("psql")
            .args(["-X", "-q", "-d", &cluster.url(), "-c", ballast])
            .output();
        let ended = run.wait();
        println!("{kibibytes} KiB free: {} {}", ended.code, ended.stderr);
        assert!(matches!(ended.code, 0 | 3 | 74 | 75), "{ended:?}");
        disk.free();
        if server.log().ends_with("shut down\n") || !is_up(&cluster) {
            server.start_again();
        }
        cluster.finish(CONNECTIONS);
        let _ = cluster.sql("DROP TABLE IF EXISTS ballast; CHECKPOINT");
    }
    assert!(!SHARED.log().contains("PANIC"));
}

/// Whether the server answers, perhaps after it has recovered.
fn is_up(cluster: &Cluster) -> bool {
    (0..20).any(|_| {
        let asked = Command::new("psql")
            .args(["-X", "-q", "-d", &cluster.url(), "-c", "SELECT 1"])
            .output();
        let up = asked.unwrap().status.success();
        if !up {
            std::thread::sleep(Duration::from_millis(200));
        }
        up
    })
}

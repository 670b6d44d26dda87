//! Machines that share a ledger: each has a folder of its own with the configuration and the list; the relay and the
//! server are the same.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::support::chance::number;
use crate::support::postgres_server::{PostgresServer, USER};
use crate::support::smtp::{Action, Call, Server, Stage};
use crate::support::{Output, Running, Workplace, oracle};

/// The lease of the runs.
pub const LEASE: Duration = Duration::from_secs(2);
/// The connections of a run to the relay.
pub const CONNECTIONS: usize = 2;

/// The server of all tests that do not need one of their own. It is stopped after the last test.
pub static SHARED: LazyLock<Arc<PostgresServer>> =
    LazyLock::new(|| Arc::new(PostgresServer::start()));

/// The number of trials.
pub fn trials(usual: u64) -> u64 {
    number("ACCESS_INVITE_KILLS").unwrap_or(usual)
}

/// A relay that takes this long to accept a message, so that faults fall into every phase.
pub fn slow_relay(time: Duration) -> Server {
    Server::start(move |call: &Call| match call.stage {
        Stage::Dot => Action::Delay(time, Box::new(Action::Normal)),
        Stage::Rcpt => Action::Delay(time / 4, Box::new(Action::Normal)),
        _ => Action::Normal,
    })
}

pub struct Cluster {
    pub postgres: Arc<PostgresServer>,
    pub database: String,
    pub relay: Server,
    pub machines: Vec<Workplace>,
    pub partners: usize,
}

/// The lines of `[ledger]` for this URL.
pub fn ledger(url: &str) -> String {
    format!("url = \"{url}\"\nlease = \"{}s\"", LEASE.as_secs())
}

impl Cluster {
    /// Machines on an empty ledger in a new database of the shared server, with this many partners.
    pub fn new(machines: usize, partners: usize, relay: Server) -> Self {
        Self::on(&SHARED, machines, partners, relay)
    }

    /// As [`Cluster::new`], on another server.
    pub fn on(
        postgres: &Arc<PostgresServer>,
        machines: usize,
        partners: usize,
        relay: Server,
    ) -> Self {
        let mut cluster = Self {
            postgres: postgres.clone(),
            database: new_database(postgres),
            relay,
            machines: Vec::new(),
            partners,
        };
        for _ in 0..machines {
            let url = cluster.url();
            cluster.add_machine(&url);
        }
        cluster
    }

    pub fn url(&self) -> String {
        self.postgres.url(&self.database)
    }

    /// Another machine, which reaches the ledger at this URL.
    pub fn add_machine(&mut self, url: &str) -> &mut Workplace {
        let mut machine = Workplace::with_ledger(self.relay.port(), &ledger(url));
        machine.short_templates();
        machine.retry = "first_after = \"1s\"\nmax_after = \"1s\"".into();
        machine.smtp(&format!("connections = {CONNECTIONS}"));
        machine.many_partners(self.partners);
        self.machines.push(machine);
        self.machines.last_mut().unwrap()
    }

    /// Starts `send` on every machine.
    pub fn start_all(&self) -> Vec<Running> {
        self.machines.iter().map(|it| it.start(&["send"])).collect()
    }

    /// Waits until the relay has accepted so many messages, or all of these runs have ended.
    pub fn wait_for_messages(&self, count: usize, runs: &mut [Running]) {
        while self.relay.accepted().len() < count && runs.iter_mut().any(Running::is_running) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Runs statements in the database; gives the values of the rows, one row a line, separated by `|`.
    pub fn sql(&self, statements: &str) -> String {
        sql(&self.postgres, &self.database, statements)
    }

    /// What holds at any time; gives how many invitations are `unknown` or `armed`.
    #[track_caller]
    pub fn check(&self, unknowns: usize) -> usize {
        let states = oracle::check(&self.machines[0], &self.relay, self.partners, unknowns);
        self.check_histories();
        let undecided = states
            .values()
            .filter(|it| matches!(it.as_str(), "unknown" | "armed"));
        undecided.count()
    }

    /// As [`Cluster::check`], while runs send.
    #[track_caller]
    pub fn check_live(&self, unknowns: usize) {
        oracle::check_live(&self.machines[0], &self.relay, self.partners, unknowns);
        self.check_histories();
    }

    /// Each event of an invitation begins in the state in which the one before ended, and the last one gives its
    /// state: no change has overwritten another.
    #[track_caller]
    fn check_histories(&self) {
        let broken = self.sql(
            "SELECT h.invitation, h.id, h.from_state, h.before FROM (
                SELECT *, lag(to_state) OVER (PARTITION BY invitation ORDER BY id) AS before
                FROM access_invite.history) AS h
             WHERE h.from_state IS DISTINCT FROM h.before",
        );
        assert_eq!(broken, "", "events that do not follow each other");
        let other = self.sql(
            "SELECT i.address, i.state, h.to_state FROM access_invite.invitation AS i
             LEFT JOIN access_invite.history AS h ON h.id = (
                SELECT max(id) FROM access_invite.history WHERE invitation = i.id)
             WHERE h.to_state IS DISTINCT FROM i.state",
        );
        assert_eq!(other, "", "states that are not those of the last event");
    }

    /// Waits until no run has a lease, as the next run from a timer would.
    #[track_caller]
    pub fn wait_for_leases(&self) {
        let live =
            "SELECT count(*) FROM access_invite.run WHERE ended_at IS NULL AND lost_at IS NULL
            AND lease_until > extract(epoch FROM clock_timestamp()) * 1000";
        wait_until("the leases end", || self.sql(live) == "0");
    }

    /// Lets runs without faults finish the job, one after the other on all machines, and checks all invariants.
    /// Gives how many invitations are `unknown`.
    #[track_caller]
    pub fn finish(&self, unknowns: usize) -> usize {
        self.wait_for_leases();
        let mut code = 75;
        let mut said = String::new();
        // What was deferred is due after a second.
        for _ in 0..5 {
            let run = self.machines[0].run(&["send"]);
            code = run.code;
            said = format!("{run:?}");
            if code != 75 {
                break;
            }
            std::thread::sleep(Duration::from_millis(1_100));
        }
        oracle::check_settled(&self.machines[0], &self.relay, self.partners, unknowns);
        let undecided = self.check(unknowns);
        let expected = if undecided > 0 { 3 } else { 0 };
        assert_eq!(code, expected, "{said}");
        self.check_idle(expected);
        undecided
    }

    /// Every machine finds nothing to do: no connection to the relay, and no claim is left.
    #[track_caller]
    pub fn check_idle(&self, expected: i32) {
        let before = self.relay.connections();
        for machine in &self.machines {
            let again = machine.run(&["send"]);
            assert_eq!(again.code, expected, "{again:?}");
        }
        assert_eq!(
            self.relay.connections(),
            before,
            "a run with nothing to do connected to the relay"
        );
        let claimed = "SELECT count(*) FROM access_invite.invitation WHERE claimed_by IS NOT NULL";
        assert_eq!(self.sql(claimed), "0", "claims of runs that have ended");
        let violations = self.relay.violations();
        assert!(violations.is_empty(), "{violations:?}");
    }

    /// What is recorded, to understand a failure.
    fn dump(&self) -> String {
        let parts = [
            (
                "runs",
                "SELECT number, verb, started_at, ended_at, lease_until, lost_at, exit_code, counts
                 FROM access_invite.run ORDER BY number",
            ),
            (
                "invitations that are not accepted",
                "SELECT id, address, state, claimed_by, armed_by, attempts, deferrals, next_attempt_at
                 FROM access_invite.invitation WHERE state <> 'accepted' ORDER BY id LIMIT 50",
            ),
            (
                "their last events",
                "SELECT h.* FROM access_invite.history AS h JOIN access_invite.invitation AS i ON i.id = h.invitation
                 WHERE i.state <> 'accepted' ORDER BY h.id DESC LIMIT 100",
            ),
            (
                "events by cause",
                "SELECT run, cause, to_state, count(*) FROM access_invite.history GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            ),
        ];
        let parts = parts.map(|(title, query)| format!("{title}:\n{}", self.sql(query)));
        format!(
            "{}\nserver log:\n{}",
            parts.join("\n"),
            tail(&self.postgres.log())
        )
    }
}

/// The last lines of a text.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let dump = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.dump()));
            eprintln!(
                "{}",
                dump.unwrap_or_else(|_| "the ledger cannot be read".into())
            );
        }
    }
}

/// A run beside others may leave the rest to them.
#[track_caller]
pub fn ended_well(ended: &Output) {
    assert!(matches!(ended.code, 0 | 3 | 75), "{ended:?}");
}

/// A database that no other test has.
pub fn new_database(postgres: &PostgresServer) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("ledger{}", NUMBER.fetch_add(1, Ordering::SeqCst));
    sql(postgres, "postgres", &format!("CREATE DATABASE {name}"));
    name
}

/// Runs statements by `psql`. Several threads may do so at once.
#[track_caller]
pub fn sql(postgres: &PostgresServer, database: &str, statements: &str) -> String {
    let output = Command::new("psql")
        .args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-h"])
        .arg(postgres.folder())
        .args(["-p", &postgres.port().to_string(), "-U", USER])
        .args(["-d", database, "-c", statements])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{statements}: {stderr}");
    String::from_utf8(output.stdout).unwrap().trim_end().into()
}

/// Waits until something is so; fails after half a minute.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < until, "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

//! An empty ledger in either store, so that both pass the same tests.

#[path = "../../../tests/support/ports.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod ports;
#[path = "../../../tests/support/postgres_server.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod postgres_server;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use self::postgres_server::PostgresServer;
use super::*;
use crate::config::LedgerServer;

/// Runs each test on a ledger in a file, and on one in a database: `postgres_store::…`, if it is asked for.
macro_rules! on_both_stores {
    ($($test:ident),* $(,)?) => {
        mod file {
            use crate::ledger::tests::stores::Store;
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(Store::file()).await;
                }
            )*
        }
        mod postgres_store {
            use crate::ledger::tests::stores::Store;
            $(
                #[tokio::test]
                #[ignore = "needs PostgreSQL"]
                async fn $test() {
                    super::$test(Store::postgres()).await;
                }
            )*
        }
    };
}
pub(super) use on_both_stores;

/// The server of this process. It is stopped, and its folder removed, when the process ends.
static SERVER: LazyLock<PostgresServer> = LazyLock::new(PostgresServer::start);

/// A ledger that is empty at first.
pub enum Store {
    File(LedgerFolder),
    Postgres(Database),
}

/// A ledger in a database of its own.
pub struct Database {
    name: String,
    server: Box<LedgerServer>,
    _folder: tempfile::TempDir,
}

impl Store {
    pub fn file() -> Self {
        Self::File(LedgerFolder::new())
    }

    pub fn postgres() -> Self {
        static DATABASES: AtomicU32 = AtomicU32::new(0);
        let name = format!("ledger{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        SERVER.create_database(&name);
        let folder = tempfile::tempdir().unwrap();
        let server = LedgerServer {
            url: SERVER.url(&name),
            password: None,
            ca_file: None,
            lease: Duration::from_secs(30),
            accept_failover_loss: false,
            witness: folder.path().join("witness"),
        };
        let database = Database {
            name,
            server: Box::new(server),
            _folder: folder,
        };
        let store = Self::Postgres(database);
        assert!(Ledger::create_if_missing(&store.location()).unwrap());
        store
    }

    /// Another one of the same kind.
    pub fn another(&self) -> Self {
        match self {
            Self::File(_) => Self::file(),
            Self::Postgres(_) => Self::postgres(),
        }
    }

    /// The time at which changes are recorded now: that of the tests, or that of the server.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::File(_) => now(),
            Self::Postgres(_) => Timestamp::now(),
        }
    }

    pub fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    pub fn location(&self) -> LedgerLocation {
        match self {
            Self::File(folder) => folder.files(),
            Self::Postgres(database) => LedgerLocation::Server(database.server.clone()),
        }
    }

    /// The ledger, open for a run that starts now.
    pub fn open(&self) -> Ledger {
        self.open_for(&start())
    }

    pub fn open_for(&self, start: &RunStart) -> Ledger {
        Ledger::open(&self.location(), start).unwrap()
    }

    pub fn reader(&self) -> Reader {
        Reader::open(&self.location(), None).unwrap()
    }

    /// What remains after the process of a run was killed.
    pub fn killed(self, ledger: Ledger) -> Self {
        match &self {
            Self::File(folder) => {
                let after = LedgerFolder(tempfile::tempdir().unwrap());
                for name in folder.names() {
                    if !name.ends_with("-shm") && !name.ends_with(".lock") {
                        std::fs::copy(folder.0.path().join(&name), after.0.path().join(&name))
                            .unwrap();
                    }
                }
                drop(ledger);
                Self::File(after)
            }
            Self::Postgres(_) => {
                drop(ledger);
                self.sql("UPDATE run SET lease_until = 0 WHERE ended_at IS NULL");
                self
            }
        }
    }

    /// Runs a statement, if the ledger is in a database.
    pub fn sql(&self, statement: &str) -> String {
        let Self::Postgres(database) = self else {
            return String::new();
        };
        SERVER.sql(
            &database.name,
            &format!("SET search_path = access_invite; {statement}"),
        )
    }

    /// Ends all connections to the ledger, if it is in a database.
    pub fn cut_connections(&self) {
        self.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
    }

    /// Checks a recorded time. A file keeps the given one; a server records its own.
    #[track_caller]
    pub fn assert_time(&self, recorded: Option<Timestamp>, given: Timestamp) {
        self.assert_due(recorded, given, SignedDuration::ZERO);
    }

    /// Checks a time that is recorded as so long after the given one.
    #[track_caller]
    pub fn assert_due(&self, recorded: Option<Timestamp>, given: Timestamp, after: SignedDuration) {
        match self {
            Self::File(_) => assert_eq!(recorded, Some(given + after)),
            Self::Postgres(_) => {
                let recorded = recorded.expect("it is recorded");
                let apart = recorded.duration_since(Timestamp::now() + after).abs();
                assert!(apart < SignedDuration::from_mins(2), "{recorded}");
            }
        }
    }
}

//! A ledger for the simulation: the same tables, transitions and statements, in memory and on
//! no thread of its own, and with a hand on it that fails or stops it at a chosen commit.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::{Notify, oneshot};

use super::desk::Desk;
use super::writer::{Request, Writer};
use super::{Ledger, Reader, Verdicts, read, schema};
use crate::exit::{self, Exit, OrExit};
use crate::invitation::{MessageIdKey, Standing};

/// What becomes of the process, or of the disk, at a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The process dies just before.
    DiesBefore,
    /// The process dies when it is durable, before anybody hears of it.
    DiesAfter,
    /// It fails, and so does every one behind it.
    Fails,
}

/// What outlives a process: the database, and the hand on it.
#[derive(Clone)]
pub struct Disk {
    desk: Arc<Mutex<Desk>>,
    key: MessageIdKey,
}

/// The desk in the process that is at work now.
pub struct Stage {
    disk: Disk,
    /// After how many more commits which fate comes.
    fate: Mutex<Option<(u32, Fate)>>,
    /// Told when the process has died.
    died: Arc<Notify>,
    /// Whoever will never have an answer.
    limbo: Mutex<Vec<Unanswered>>,
}

type Unanswered = oneshot::Sender<exit::Result<Verdicts>>;

impl Disk {
    /// An empty ledger.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(key: MessageIdKey) -> exit::Result<Self> {
        let connection = schema::in_memory(&key).or_exit(Exit::CannotWrite)?;
        Ok(Self {
            desk: Arc::new(Mutex::new(Desk::new(
                Path::new("ledger"),
                connection,
                key.clone(),
                None,
            ))),
            key,
        })
    }

    /// Opens it as a process does whose fate is known, and tells when that has died.
    ///
    /// # Errors
    /// When there is no memory for its reader.
    pub fn open(&self, fate: Option<(u32, Fate)>) -> exit::Result<(Ledger, Arc<Notify>)> {
        self.desk().repair();
        let died = Arc::new(Notify::new());
        let stage = Stage {
            disk: self.clone(),
            fate: Mutex::new(fate),
            died: died.clone(),
            limbo: Mutex::default(),
        };
        let ledger = Ledger {
            path: Path::new("ledger").to_owned(),
            writer: Writer::Here(stage),
            reader: Reader::empty()?,
            _lock: None,
        };
        Ok((ledger, died))
    }

    /// Where each invitation stands, by its canonical address.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn standings(&self) -> rusqlite::Result<Vec<(String, Standing)>> {
        let desk = self.desk();
        let connection: &Connection = desk.connection();
        let mut statement = connection.prepare_cached(&format!(
            "SELECT i.address, {} FROM invitation AS i ORDER BY i.id",
            read::STANDING
        ))?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, read::standing(row, 1)?)))?;
        rows.collect()
    }

    /// The key of its Message-IDs.
    #[must_use]
    pub fn key(&self) -> &MessageIdKey {
        &self.key
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stage {
    /// Does what is asked, unless the process dies over it: then nobody ever hears of it.
    pub fn take(&self, request: Request) {
        let mut desk = self.disk.desk();
        match request {
            Request::Apply(changes, answer) => match self.fate() {
                None => desk.obey(Request::Apply(changes, answer)),
                Some(Fate::Fails) => {
                    desk.fail_for_good();
                    desk.obey(Request::Apply(changes, answer));
                }
                Some(fate) => {
                    if fate == Fate::DiesAfter && !self.is_dead() {
                        desk.obey(Request::Apply(changes, oneshot::channel().0));
                    }
                    self.limbo().push(answer);
                    self.died.notify_one();
                }
            },
            other => desk.obey(other),
        }
    }

    /// What comes of the commit that is asked for now.
    fn fate(&self) -> Option<Fate> {
        let mut fate = self.fate.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *fate {
            Some((0, what)) => Some(*what),
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        }
    }

    fn is_dead(&self) -> bool {
        !self.limbo().is_empty()
    }

    fn limbo(&self) -> MutexGuard<'_, Vec<Unanswered>> {
        self.limbo.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

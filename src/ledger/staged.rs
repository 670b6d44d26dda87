//! A ledger for the simulation: the same tables, transitions and statements, in memory and on
//! no thread of its own, and with a hand on it that fails or stops it at a chosen commit.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::Notify;

use super::writer::{Desk, Request, Writer};
use super::{Ledger, Reader, read, schema};
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
}

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
        };
        let ledger = Ledger {
            path: Path::new("ledger").to_owned(),
            writer: Writer::Here(stage),
            reader: Reader::empty()?,
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
        let mut statement = connection.prepare_cached(
            "SELECT state, message_id, attempts, deferrals, deferred_since, next_attempt_at,
                updated_at, message_date, message_sha256, repeat, address
             FROM invitation ORDER BY id",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(10)?, read::standing(row, 0)?)))?;
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
    /// Does what is asked, unless the process dies over it: then nothing ever comes back.
    pub async fn take(&self, request: Request) {
        let fate = {
            let mut fate = self.fate.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *fate {
                Some((0, what)) => Some(*what),
                Some((left, _)) => {
                    *left -= 1;
                    None
                }
                None => None,
            }
        };
        match fate {
            None => {}
            Some(Fate::Fails) => self.disk.desk().fail_for_good(),
            Some(Fate::DiesBefore) => return self.die().await,
            Some(Fate::DiesAfter) => {
                self.disk.desk().obey(request);
                return self.die().await;
            }
        }
        if let Request::CommitEnrolment(_, answer) = request {
            let committed = self.disk.desk().commit_in_memory();
            let _ = answer.send(committed);
        } else {
            self.disk.desk().obey(request);
        }
    }

    async fn die(&self) {
        self.died.notify_one();
        std::future::pending::<()>().await;
    }
}

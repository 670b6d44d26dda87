//! How far the ledger was written to the events file: a file beside it, which is also the lock of all who write there.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::files::{beside, open_own};

/// How long another program that writes is waited for.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(10);
/// A position with all runs that may be going on fits into it.
const LENGTH: usize = 8 * 1024;

/// How far the ledger was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The ledger's id.
    pub ledger: String,
    /// The number of the last change that was written.
    pub change: i64,
    /// The number of the last run whose beginning was written.
    pub run: i64,
    /// The runs whose end was not written.
    pub open: Vec<i64>,
}

/// The file with the position, locked until it is dropped.
pub struct PositionFile(File);

impl PositionFile {
    /// The file beside the events.
    pub fn path(events: &Path) -> PathBuf {
        beside(events, ".position")
    }

    /// Opens and locks it, when others have released it.
    pub async fn lock(events: &Path) -> io::Result<Self> {
        let file = open_own(&Self::path(events))?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => {
                    return Err(io::Error::other("another program is writing it"));
                }
                Err(TryLockError::WouldBlock) => sleep(PAUSE).await,
            }
        }
    }

    /// The position; none if nothing was written yet, or it is damaged.
    pub fn read(&self) -> io::Result<Option<Position>> {
        let mut bytes = vec![0; LENGTH];
        let mut length = 0;
        loop {
            match self.0.read_at(&mut bytes[length..], length as u64)? {
                0 => break,
                read => length += read,
            }
        }
        Ok(serde_json::from_slice(&bytes[..length]).ok())
    }

    pub fn write(&self, position: &Position) -> io::Result<()> {
        let text = serde_json::to_vec(position).expect("texts and numbers are JSON");
        self.0.write_all_at(&text, 0)?;
        self.0.set_len(text.len() as u64)
    }
}

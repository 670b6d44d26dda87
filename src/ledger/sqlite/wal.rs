//! The write-ahead log, and the space that is reserved before a message is armed, so that its outcome can
//! be recorded although the disk is full: a log that was grown in advance, so that commits overwrite blocks
//! that the disk has already allocated, and free pages in the file.
//!
//! When the ledger is closed, the log is written into the file and removed.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use rusqlite::Connection;

use crate::files::beside;

/// The bytes of a page, and of the header that the log writes before each.
const PAGE: u64 = 4096;
const FRAME_HEADER: u64 = 24;
/// The log is grown to at most this many pages: twice what it holds before it is reused.
const MAX_PAGES: u64 = 2048;
/// The bytes of the largest log.
pub const MAX_BYTES: u64 = MAX_PAGES * (PAGE + FRAME_HEADER);
/// The most free pages to reserve at a time.
const MAX_FREE_PAGES: u64 = 256;

/// Whether the file's header requires a log, as it does until a writer has closed it.
/// To be called before this process opens the ledger, because closing any descriptor of a file releases
/// the locks that the process holds on it. <https://sqlite.org/fileformat.html#file_format_version_numbers>
pub fn is_expected(path: &Path) -> io::Result<bool> {
    let mut header = [0; 20];
    let read = File::open(path)?.read(&mut header)?;
    Ok(read == header.len() && header[18] == 2)
}

/// Whether the log is missing that the header requires.
pub fn is_missing(path: &Path) -> io::Result<bool> {
    Ok(is_expected(path)? && !beside(path, "-wal").exists())
}

/// Removes an empty log and its index.
pub fn remove_if_empty(path: &Path) {
    let log = beside(path, "-wal");
    if std::fs::metadata(&log).is_ok_and(|it| it.len() == 0) {
        for file in [log, beside(path, "-shm")] {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Writes the log into the file. Gives how many pages the log must keep because a reader still
/// uses them.
pub fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<u64> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let busy: bool = row.get(0)?;
        let pages: i64 = row.get(1)?;
        Ok(if busy { pages.unsigned_abs() } else { 0 })
    })
}

/// What to reserve, and how far that suffices.
#[derive(Default)]
pub struct Reserve {
    free_pages: u64,
    log_pages: u64,
    /// How many changes fit for certain before the free pages are counted again.
    changes_left: usize,
}

impl Reserve {
    /// For this many attempts.
    pub fn for_attempts(attempts: u64) -> Self {
        Self {
            free_pages: (attempts / 8 + 16).min(MAX_FREE_PAGES),
            // If each change has its own commit, a message takes up to twelve frames.
            log_pages: (attempts * 16 + 64).min(MAX_PAGES),
            changes_left: 0,
        }
    }

    /// Writes zeros to the end of the log until it has its size beyond the pages that it must keep.
    pub fn grow_log(&self, path: &Path, kept: u64) -> io::Result<()> {
        let file = OpenOptions::new().append(true).open(beside(path, "-wal"))?;
        let size = (kept + self.log_pages) * (PAGE + FRAME_HEADER);
        let missing = size.saturating_sub(file.metadata()?.len());
        let mut writer = BufWriter::with_capacity(64 * 1024, file);
        io::copy(&mut io::repeat(0).take(missing), &mut writer)?;
        writer.flush()?;
        writer.get_ref().sync_all()
    }

    /// Whether this many changes fit; reserves pages if that is not certain.
    pub fn has_room_for(&mut self, changes: usize, connection: &Connection) -> bool {
        let left = self.changes_left.checked_sub(changes);
        self.changes_left = left.unwrap_or(0);
        left.is_some() || self.reserve_pages(connection).is_ok()
    }

    /// Ensures that the file has free pages for the outcomes of the messages that are armed next.
    pub fn reserve_pages(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let free: i64 = connection
            .prepare_cached("PRAGMA freelist_count")?
            .query_row([], |row| row.get(0))?;
        if free.unsigned_abs() >= self.free_pages / 4 {
            // A change needs at most a page in each of four trees.
            self.changes_left = usize::try_from(self.free_pages / 4 / 8).unwrap_or(0);
            return Ok(());
        }
        let bytes = i64::try_from(self.free_pages * PAGE).unwrap_or(i64::MAX);
        connection.execute("INSERT INTO spare (filling) VALUES (zeroblob(?1))", [bytes])?;
        connection.execute("DELETE FROM spare", [])?;
        // Only the checkpoint makes the file itself grow.
        checkpoint(connection, "PASSIVE").map(drop)
    }
}

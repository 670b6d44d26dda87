//! Space that is reserved before a message is armed, so that its outcome can be recorded although the
//! disk is full: free pages in the file, and a log that was grown in advance.

use std::path::Path;

use rusqlite::Connection;

use super::wal;

/// The most free pages to reserve at a time.
const MAX_FREE_PAGES: u64 = 256;

/// What to reserve, and how far that suffices.
#[derive(Default)]
pub struct Reserve {
    free_pages: u64,
    log_pages: u64,
    /// How many changes surely fit before the free pages are counted again.
    changes_left: usize,
}

impl Reserve {
    /// For this many attempts.
    pub fn for_attempts(attempts: u64) -> Self {
        Self {
            free_pages: (attempts / 8 + 16).min(MAX_FREE_PAGES),
            // If each change has its own commit, a message takes up to twelve frames.
            log_pages: (attempts * 16 + 64).min(wal::MAX_PAGES),
            changes_left: 0,
        }
    }

    /// Grows the log, behind the pages that it must keep.
    pub fn grow_log(&self, path: &Path, kept: u64) -> std::io::Result<()> {
        wal::grow(path, kept + self.log_pages)
    }

    /// Whether this many changes surely fit; if not known, it is attempted to make room.
    pub fn has_room_for(&mut self, changes: usize, connection: &Connection) -> bool {
        let left = self.changes_left.checked_sub(changes);
        self.changes_left = left.unwrap_or(0);
        left.is_some() || self.reserve_pages(connection).is_ok()
    }

    /// Makes sure that the file has free pages for the outcomes of what is armed next.
    pub fn reserve_pages(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let free: i64 = connection
            .prepare_cached("PRAGMA freelist_count")?
            .query_row([], |row| row.get(0))?;
        if free.unsigned_abs() >= self.free_pages / 4 {
            // A change needs at most a page in each of four trees.
            self.changes_left = usize::try_from(self.free_pages / 4 / 8).unwrap_or(0);
            return Ok(());
        }
        let bytes = i64::try_from(self.free_pages * wal::PAGE).unwrap_or(i64::MAX);
        connection.execute("INSERT INTO spare (filling) VALUES (zeroblob(?1))", [bytes])?;
        connection.execute("DELETE FROM spare", [])?;
        // Only the checkpoint makes the file itself grow.
        wal::checkpoint(connection, "PASSIVE").map(drop)
    }
}

//! The write-ahead log: its size, its checkpoints, and whether it is missing.
//!
//! It is grown before the first final dot, so that commits overwrite blocks that the disk has already
//! allocated. When the ledger is closed, the log is written into the file and removed.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use rusqlite::Connection;

use crate::ledger::sidecar::sidecar;

/// The bytes of a page, and of the header that the log writes before each.
pub const PAGE: u64 = 4096;
const FRAME_HEADER: u64 = 24;
/// The log is grown to at most this many pages: twice what it holds before it is reused.
pub const MAX_PAGES: u64 = 2048;
/// The bytes of the largest log.
pub const MAX_BYTES: u64 = MAX_PAGES * (PAGE + FRAME_HEADER);

/// Whether the header says that the file has a log, as it does until a writer has closed it.
/// To be called before this process opens the ledger, because closing any descriptor of a file gives
/// up the locks that the process holds on it. <https://sqlite.org/fileformat.html#file_format_version_numbers>
pub fn is_expected(path: &Path) -> io::Result<bool> {
    let mut header = [0; 20];
    let read = File::open(path)?.read(&mut header)?;
    Ok(read == header.len() && header[18] == 2)
}

/// Whether the log is missing that the header requires.
pub fn is_missing(path: &Path) -> io::Result<bool> {
    Ok(is_expected(path)? && !sidecar(path, "-wal").exists())
}

/// Removes a log that nothing was written to, with its index.
pub fn remove_if_empty(path: &Path) {
    let log = sidecar(path, "-wal");
    if std::fs::metadata(&log).is_ok_and(|it| it.len() == 0) {
        for file in [log, sidecar(path, "-shm")] {
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

/// Writes zeros behind the log until it has `pages` pages.
pub fn grow(path: &Path, pages: u64) -> io::Result<()> {
    let file = OpenOptions::new()
        .append(true)
        .open(sidecar(path, "-wal"))?;
    let size = pages * (PAGE + FRAME_HEADER);
    let missing = size.saturating_sub(file.metadata()?.len());
    let mut writer = BufWriter::with_capacity(64 * 1024, file);
    io::copy(&mut io::repeat(0).take(missing), &mut writer)?;
    writer.flush()?;
    writer.get_ref().sync_all()
}

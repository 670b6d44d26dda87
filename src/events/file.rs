//! The events file itself: complete lines only, readable by its owner only.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::Value;

use crate::files::open_own;

/// How much of the end is read to find the last change.
const END: u64 = 64 * 1024;

/// The events file, open for appending.
pub struct EventsFile(File);

impl EventsFile {
    /// Opens or creates it, and removes a line that a kill has cut off; what it was about is written again.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = open_own(path)?;
        let length = file.metadata()?.len();
        let end = end_of(&file, length)?;
        if end.last().is_some_and(|it| *it != b'\n') {
            let complete = end.iter().rposition(|it| *it == b'\n');
            let cut_off = end.len() - complete.map_or(0, |it| it + 1);
            file.set_len(length - cut_off as u64)?;
        }
        Ok(Self(file))
    }

    /// The number of the last change in it, if its end has one.
    pub fn last_change(&self) -> io::Result<Option<i64>> {
        let end = end_of(&self.0, self.0.metadata()?.len())?;
        let lines = end.rsplit(|it| *it == b'\n');
        let mut changes = lines.filter_map(|it| {
            let line: Value = serde_json::from_slice(it).ok()?;
            line.get("change")?.as_i64()
        });
        Ok(changes.next())
    }

    /// Appends complete lines.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        // `copytruncate` of logrotate may have made it shorter.
        self.0.seek(SeekFrom::End(0))?;
        self.0.write_all(lines)
    }

    /// Makes what was appended durable.
    pub fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

fn end_of(file: &File, length: u64) -> io::Result<Vec<u8>> {
    let start = length.saturating_sub(END);
    let mut end = vec![0; usize::try_from(length - start).expect("at most 64 KiB")];
    file.read_exact_at(&mut end, start)?;
    Ok(end)
}

//! Files without a name that hold the copy of the list, as it came and as UTF-8.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use crate::exit::{self, Exit, OrExit};

/// How much is read at once.
pub const CHUNK: usize = 64 * 1024;

/// Creates a file in `scratch` that disappears when it is closed.
pub fn nameless(scratch: &Path) -> exit::Result<File> {
    tempfile::tempfile_in(scratch)
        .with_context(|| format!("cannot copy the partner file into `{}`", scratch.display()))
        .or_exit(Exit::CannotWrite)
}

/// Writes to such a file.
pub fn write(copy: &mut File, bytes: &[u8]) -> exit::Result<()> {
    copy.write_all(bytes)
        .context("cannot copy the partner file")
        .or_exit(Exit::CannotWrite)
}

/// Fills as much of `buffer` as the copy has from `offset` on.
pub fn read_at(raw: &File, buffer: &mut [u8], offset: u64) -> exit::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        let read = raw
            .read_at(&mut buffer[filled..], offset + filled as u64)
            .context("cannot read the copy of the partner file")
            .or_exit(Exit::CannotWrite)?;
        if read == 0 {
            break;
        }
        filled += read;
    }
    Ok(filled)
}

/// One reading of the copy, with a place of its own, so that readings never disturb each other.
#[derive(Debug)]
pub struct CopyReader {
    /// The copy.
    pub copy: Arc<File>,
    /// Where the next byte is read.
    pub place: u64,
}

impl Read for CopyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.copy.read_at(buffer, self.place)?;
        self.place += read as u64;
        Ok(read)
    }
}

//! Reading the temporary copy of the list.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// How many bytes are read at once.
pub const CHUNK: usize = 64 * 1024;

/// Reads the copy from an offset on. Each reader has an offset of its own.
#[derive(Debug)]
pub struct CopyReader {
    /// The copy.
    pub copy: Arc<File>,
    /// The offset of the next byte.
    pub offset: u64,
}

impl CopyReader {
    /// Reads from `offset` on.
    pub fn new(copy: &Arc<File>, offset: u64) -> Self {
        let copy = copy.clone();
        Self { copy, offset }
    }

    /// At most `length` bytes; fewer only at the end of the copy.
    pub fn bytes(self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length);
        self.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Read for CopyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.copy.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

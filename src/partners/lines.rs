//! Counts lines as an editor does.

/// Counts lines that end with LF, CRLF or CR.
pub struct LineCount {
    /// The line of the next byte.
    pub line: u64,
    after_cr: bool,
}

impl LineCount {
    /// Counts from the beginning of a line.
    pub fn from(line: u64) -> Self {
        Self {
            line,
            after_cr: false,
        }
    }

    /// Passes over the next bytes.
    pub fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let ends_line = *byte == b'\r' || (*byte == b'\n' && !self.after_cr);
            self.line += u64::from(ends_line);
            self.after_cr = *byte == b'\r';
        }
    }
}

//! A writer that remembers why writing failed.
//!
//! A command may print through many functions; at its end, one question decides whether all
//! of its output has arrived. A reader that has gone away, as `head` does, is no failure.

use std::io::{self, ErrorKind, Write};

use rustix::io::Errno;

/// Passes everything on, and keeps the first error.
#[derive(Debug)]
pub struct Output<W> {
    inner: W,
    /// Whether it is a terminal, which may be closed like a pipe.
    terminal: bool,
    failure: Option<io::Error>,
}

impl<W: Write> Output<W> {
    /// A writer on top of this one, which may be a terminal.
    pub fn new(inner: W, terminal: bool) -> Self {
        Self {
            inner,
            terminal,
            failure: None,
        }
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// The first error since the beginning, unless the reader has gone away.
    pub fn finish(mut self) -> io::Result<()> {
        let _ = self.flush();
        self.failure.map_or(Ok(()), Err)
    }

    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        let is_failure = |error: &io::Error| {
            let closed = self.terminal && error.raw_os_error() == Some(Errno::IO.raw_os_error());
            !closed && !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted)
        };
        if let Err(error) = &result
            && is_failure(error)
            && self.failure.is_none()
        {
            self.failure = Some(match error.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(error.kind(), error.to_string()),
            });
        }
        result
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes);
        self.note(written)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.inner.write_all(bytes);
        self.note(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.inner.flush();
        self.note(flushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails with this error when it is flushed.
    struct Failing(Errno);

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn only_a_reader_that_has_gone_away_is_no_failure() {
        let finish = |error, terminal| {
            let mut output = Output::new(Failing(error), terminal);
            writeln!(output, "text").unwrap();
            output.finish()
        };

        assert!(finish(Errno::PIPE, false).is_ok());
        let error = finish(Errno::NOSPC, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        // A terminal that was closed is a reader that has gone away; a disk is not.
        assert!(finish(Errno::IO, true).is_ok());
        assert!(finish(Errno::IO, false).is_err());
        assert!(Output::new(Vec::new(), false).finish().is_ok());
    }

    #[test]
    fn an_error_that_a_caller_ignores_is_kept() {
        let mut output = Output::new(Failing(Errno::NOSPC), false);
        let _ = output.flush();
        output.inner.0 = Errno::PIPE;

        assert!(output.finish().is_err());
    }
}

//! A writer that keeps its first error.
//!
//! A command prints through many functions; at its end, one check decides whether all output was written.
//! A reader that has closed the pipe, as `head` does, is not an error.

use std::io::{self, ErrorKind, Write};

use rustix::io::Errno;

/// Passes everything on, and keeps the first error.
#[derive(Debug)]
pub struct Output<W> {
    inner: W,
    /// Whether it is a terminal, which can be closed like a pipe.
    terminal: bool,
    failure: Option<io::Error>,
}

impl<W: Write> Output<W> {
    /// Wraps a writer, which may be a terminal.
    pub fn new(inner: W, terminal: bool) -> Self {
        Self {
            inner,
            terminal,
            failure: None,
        }
    }

    /// Flushes what is buffered.
    ///
    /// # Errors
    /// The first error of all writes, unless the reader has closed the pipe.
    pub fn finish(mut self) -> io::Result<()> {
        let _ = self.flush();
        self.failure.map_or(Ok(()), Err)
    }

    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            let code = error.raw_os_error();
            let closed = self.terminal && code == Some(Errno::IO.raw_os_error());
            let ignored = matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted);
            if !closed && !ignored && self.failure.is_none() {
                let copy = || io::Error::new(error.kind(), error.to_string());
                self.failure = Some(code.map_or_else(copy, io::Error::from_raw_os_error));
            }
        }
        result
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes);
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
    fn a_closed_pipe_or_terminal_is_not_an_error() {
        let finish = |error, terminal| {
            let mut output = Output::new(Failing(error), terminal);
            writeln!(output, "text").unwrap();
            output.finish()
        };

        assert!(finish(Errno::PIPE, false).is_ok());
        let error = finish(Errno::NOSPC, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        // EIO means a closed terminal, or a broken disk.
        assert!(finish(Errno::IO, true).is_ok());
        assert!(finish(Errno::IO, false).is_err());
        assert!(Output::new(Vec::new(), false).finish().is_ok());
    }

    #[test]
    fn an_ignored_error_is_kept() {
        let mut output = Output::new(Failing(Errno::NOSPC), false);
        let _ = output.flush();
        output.inner.0 = Errno::PIPE;

        assert!(output.finish().is_err());
    }
}

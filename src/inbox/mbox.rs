//! An mbox file, mail by mail (RFC 4155, in the form `mboxrd`).

use std::io::{BufRead, Read};

/// The longest line that is compared; a longer one cannot begin a mail.
const LINE_LIMIT: u64 = 64 * 1024;

/// The mails of an mbox file. Each is cut at a limit, so that memory stays bounded.
pub(super) struct Mbox<R> {
    reader: R,
    limit: usize,
    line: Vec<u8>,
    /// Whether `line` is the `From ` line of the next mail.
    begun: bool,
}

impl<R: BufRead> Mbox<R> {
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self {
            reader,
            limit,
            line: Vec::new(),
            begun: false,
        }
    }

    /// Reads the next line, or a part of a line that is very long.
    fn next_line(&mut self) -> std::io::Result<bool> {
        self.line.clear();
        let mut bounded = self.reader.by_ref().take(LINE_LIMIT);
        bounded.read_until(b'\n', &mut self.line)?;
        Ok(!self.line.is_empty())
    }
}

impl<R: BufRead> Iterator for Mbox<R> {
    type Item = std::io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut mail = Vec::new();
        let mut started = std::mem::take(&mut self.begun);
        let mut after_blank = true;
        loop {
            match self.next_line() {
                Ok(true) => {}
                Ok(false) => return started.then_some(Ok(mail)),
                Err(error) => return Some(Err(error)),
            }
            if after_blank && is_separator(&self.line) {
                if started {
                    self.begun = true;
                    return Some(Ok(mail));
                }
                started = true;
                continue;
            }
            after_blank = matches!(self.line.as_slice(), b"\n" | b"\r\n");
            let room = self.limit.saturating_sub(mail.len());
            let line = unquoted(&self.line);
            mail.extend_from_slice(&line[..line.len().min(room)]);
        }
    }
}

/// Whether a line begins a mail: `From ADDRESS DAY MONTH … HH:MM:SS YEAR`. A sentence that begins with
/// "From " has no time in it.
fn is_separator(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"From ") else {
        return false;
    };
    let text = String::from_utf8_lossy(rest);
    let is_time = |it: &str| {
        let mut parts = it.split(':');
        let number = |it: &str| it.len() == 2 && it.bytes().all(|it| it.is_ascii_digit());
        parts.clone().count() >= 2 && parts.all(number)
    };
    text.split_whitespace().any(is_time)
}

/// A line `>From `, `>>From ` … without its first mark.
fn unquoted(line: &[u8]) -> &[u8] {
    let marks = line.iter().take_while(|it| **it == b'>').count();
    if marks > 0 && line[marks..].starts_with(b"From ") {
        &line[1..]
    } else {
        line
    }
}

//! Quotes and cells of a record, by RFC 4180 §2.5 to §2.7.
//!
//! A CSV library reads any text without an error: text after a closing quote becomes part of the
//! cell, and a quote that is never closed takes the rest of the file. Here such a record is
//! malformed, because it may contain rows that would otherwise disappear.
//!
//! Two deviations from the RFC are accepted. A quote inside an unquoted cell (`19" screen`) opens
//! nothing, so it cannot hide a row; only after a quoted line break in the same record is it an error,
//! because there it shows that an earlier quote was paired with the wrong one. Blanks after a closing
//! quote, as people write them, are trimmed like those around any cell.

/// Why the quotes of a record are malformed. Lines are counted as an editor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteFault {
    /// The file ends inside a quoted cell.
    #[error("the quote (\") opened on line {opened} is never closed; {REMEDY}")]
    Unclosed {
        /// Where the cell begins.
        opened: u64,
    },
    /// A closing quote is followed by text in place of a delimiter or the end of the line.
    #[error(
        "the quoted cell that begins on line {opened} ends on line {closed}, but text follows its closing quote (\"); {REMEDY}"
    )]
    TextAfterClosing {
        /// Where the cell begins.
        opened: u64,
        /// The line of its closing quote.
        closed: u64,
    },
    /// A quote inside an unquoted cell, after a quoted line break.
    #[error(
        "the quoted cell that begins on line {opened} has several lines, and line {line} has a quote (\") inside an unquoted cell, so the quotes are paired wrongly; {REMEDY}"
    )]
    InsideCell {
        /// Where the cell with the line break begins.
        opened: u64,
        /// The line of the quote.
        line: u64,
    },
}

/// How to correct a stray quote.
pub const REMEDY: &str =
    "remove a stray quote, or put the whole cell in quotes and write each quote in it twice (\"\")";

/// Follows the quotes of a record.
pub struct Quoting {
    delimiter: u8,
    at: Position,
    /// The line of the last opening quote.
    opened: u64,
    /// The line of the last closing quote.
    closed: u64,
    /// The line of the first quote with a line break after it.
    multi_line: Option<u64>,
    fault: Option<QuoteFault>,
}

/// The position of the next byte within a cell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Begin,
    Unquoted,
    Quoted,
    /// After a quote that ends the cell, unless another one follows.
    AfterQuote,
    /// After blanks after such a quote.
    AfterBlank,
}

impl Quoting {
    /// Begins a record.
    pub fn new(delimiter: u8) -> Self {
        Self {
            delimiter,
            at: Position::Begin,
            opened: 0,
            closed: 0,
            multi_line: None,
            fault: None,
        }
    }

    /// Passes over the next bytes of the record, all of them on one line.
    pub fn pass(&mut self, bytes: &[u8], line: u64) {
        let unquoted = matches!(self.at, Position::Begin | Position::Unquoted);
        match bytes.last() {
            // Fast path: most lines have no quote.
            Some(last) if unquoted && memchr::memchr(b'"', bytes).is_none() => {
                self.at = self.outside(*last);
            }
            _ => bytes.iter().for_each(|it| self.step(*it, line)),
        }
    }

    fn step(&mut self, byte: u8, line: u64) {
        self.at = match (self.at, byte) {
            (Position::Begin, b'"') => {
                self.opened = line;
                Position::Quoted
            }
            (Position::AfterQuote, b'"') => Position::Quoted,
            (Position::Quoted, b'"') => {
                self.closed = line;
                Position::AfterQuote
            }
            (Position::Quoted, _) => {
                if is_line_end(byte) {
                    self.multi_line.get_or_insert(self.opened);
                }
                Position::Quoted
            }
            (Position::AfterQuote | Position::AfterBlank, b' ' | b'\t')
                if byte != self.delimiter =>
            {
                Position::AfterBlank
            }
            (at, _) => {
                let next = self.outside(byte);
                if next == Position::Unquoted {
                    self.check_text(at, byte, line);
                }
                next
            }
        };
    }

    fn outside(&self, byte: u8) -> Position {
        if byte == self.delimiter || is_line_end(byte) {
            Position::Begin
        } else {
            Position::Unquoted
        }
    }

    /// Checks a byte of an unquoted cell, or one after a closing quote.
    fn check_text(&mut self, at: Position, byte: u8, line: u64) {
        let fault = match (at, self.multi_line) {
            (Position::AfterQuote | Position::AfterBlank, _) => QuoteFault::TextAfterClosing {
                opened: self.opened,
                closed: self.closed,
            },
            (_, Some(opened)) if byte == b'"' => QuoteFault::InsideCell { opened, line },
            _ => return,
        };
        self.fault.get_or_insert(fault);
    }

    /// Whether the next byte belongs to a quoted cell.
    pub fn is_open(&self) -> bool {
        self.at == Position::Quoted
    }

    /// The line of the first quote of this record with a line break after it.
    pub fn multi_line(&self) -> Option<u64> {
        self.multi_line
    }

    /// The first fault of the record, which ends here.
    pub fn fault(&self) -> Option<QuoteFault> {
        let unclosed = QuoteFault::Unclosed {
            opened: self.opened,
        };
        self.fault.or(self.is_open().then_some(unclosed))
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// The cells of a record as they are written; delimiters in quoted cells divide nothing.
pub fn cells(record: &str, delimiter: u8) -> Vec<&str> {
    if !record.contains('"') {
        return record.split(char::from(delimiter)).collect();
    }
    let mut quoting = Quoting::new(delimiter);
    let mut cells = Vec::new();
    let mut start = 0;
    for (index, byte) in record.bytes().enumerate() {
        if byte == delimiter && !quoting.is_open() {
            cells.push(&record[start..index]);
            start = index + 1;
        }
        quoting.step(byte, 0);
    }
    cells.push(&record[start..]);
    cells
}

/// A cell as it is written, in quotes if it needs them (RFC 4180 §2.5–2.7).
#[must_use]
pub fn quoted(cell: &str, delimiter: char) -> String {
    if cell.contains([delimiter, '"', '\r', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

/// The text of a cell of a well-formed record, without its quotes.
pub fn unquoted(cell: &str) -> String {
    let quoted = cell.strip_prefix('"').and_then(|it| it.rsplit_once('"'));
    match quoted {
        Some((text, blanks)) => text.replace("\"\"", "\"") + blanks,
        None => cell.to_owned(),
    }
}

//! Records of a CSV file (RFC 4180), each with its lines and its place in the file.
//!
//! A record is bounded, so that a quote that is never closed does not read the whole file into
//! memory. Lines are counted as an editor counts them, blank ones included. The place serves to
//! write a record again as it was.

use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;

use super::lines::LineCount;
use super::quoting::{QuoteFault, Quoting, cells, unquoted};

/// The longest record, quotes and delimiters included.
const ROW_LIMIT: usize = 64 * 1024;
/// The most cells in a record.
const CELL_LIMIT: usize = 4096;

/// One record.
#[derive(Debug)]
pub struct CsvRecord {
    /// The line it begins on.
    pub line: u64,
    /// The line it ends on; a later one if a quoted cell has line breaks.
    pub last_line: u64,
    /// Its place in the copy, without the end of its line.
    pub place: Range<u64>,
    /// Its cells, or why they cannot be separated.
    pub cells: Result<Vec<String>, RecordFault>,
    /// The text of a record with a line break in a quoted cell, which may contain rows.
    pub multi_line: Option<String>,
}

/// Why the cells of a record cannot be separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// Its quotes are malformed.
    #[error(transparent)]
    Quotes(#[from] QuoteFault),
    /// It is longer than [`ROW_LIMIT`], with the line of a quote that may be a stray one.
    #[error("the row is longer than 64 KiB{}", suspect(*.0))]
    TooLong(Option<u64>),
    /// It has more than [`CELL_LIMIT`] cells.
    #[error("the row has more than 4096 cells")]
    TooManyCells,
}

fn suspect(opened: Option<u64>) -> String {
    let hint = |line| format!("; perhaps the quote (\") opened on line {line} is a stray one");
    opened.map_or_else(String::new, hint)
}

/// The records of `input`, from a place between two of them.
pub struct Records<R> {
    input: BufReader<R>,
    delimiter: u8,
    lines: LineCount,
    offset: u64,
    /// Whether a record is one line, whatever line breaks its cells have: the copy of a workbook has a line for
    /// each row.
    pub rows_are_lines: bool,
}

impl<R: Read> Records<R> {
    /// Reads `input`, which begins with line `line` at `offset` of the copy.
    pub fn new(input: R, delimiter: u8, (line, offset): (u64, u64)) -> Self {
        Self {
            input: BufReader::with_capacity(ROW_LIMIT, input),
            delimiter,
            lines: LineCount::from(line),
            offset,
            rows_are_lines: false,
        }
    }

    /// The line on which the next record begins, and its offset in the copy.
    pub fn position(&mut self) -> io::Result<(u64, u64)> {
        loop {
            let input = self.input.fill_buf()?;
            let line_end = |it: &&u8| matches!(it, b'\r' | b'\n');
            match input.iter().take_while(line_end).count() {
                0 => return Ok((self.lines.line, self.offset)),
                blank => self.pass(blank),
            }
        }
    }

    /// The next record that is not a blank line.
    pub fn next_record(&mut self) -> io::Result<Option<CsvRecord>> {
        let (line, start) = self.position()?;
        let mut quoting = Quoting::new(self.delimiter);
        let mut text = Vec::new();
        let mut at_line_end = false;
        while !at_line_end || quoting.is_open() {
            let input = self.input.fill_buf()?;
            let end = memchr::memchr2(b'\r', b'\n', input);
            let piece = &input[..end.map_or(input.len(), |it| it + 1)];
            if piece.is_empty() {
                break;
            }
            at_line_end = end.is_some();
            quoting.pass(piece, self.lines.line);
            if text.len() <= ROW_LIMIT {
                text.extend_from_slice(piece);
            }
            let length = piece.len();
            self.pass(length);
            if self.rows_are_lines && at_line_end && quoting.is_open() {
                self.lines.line -= 1;
            }
        }
        if self.offset == start {
            return Ok(None);
        }
        // The LF of a CRLF is skipped as a blank line.
        let ended = at_line_end && !quoting.is_open();
        let place = start..self.offset - u64::from(ended);
        text.truncate(text.len() - usize::from(ended));
        let text = String::from_utf8_lossy(&text);
        let (cells, multi_line) = match (quoting.fault(), quoting.multi_line()) {
            (Some(fault), _) => (Err(fault.into()), None),
            (None, opened) if self.offset - start > ROW_LIMIT as u64 => {
                (Err(RecordFault::TooLong(opened)), None)
            }
            (None, opened) => match cells(&text, self.delimiter) {
                cells if cells.len() > CELL_LIMIT => (Err(RecordFault::TooManyCells), None),
                cells => (
                    Ok(cells.into_iter().map(unquoted).collect()),
                    // The cells of a workbook are not found by their quotes.
                    opened
                        .filter(|_| !self.rows_are_lines)
                        .map(|_| text.into_owned()),
                ),
            },
        };
        Ok(Some(CsvRecord {
            line,
            last_line: self.lines.line - u64::from(at_line_end),
            place,
            cells,
            multi_line,
        }))
    }

    /// Passes over bytes of the buffer.
    fn pass(&mut self, length: usize) {
        self.lines.pass(&self.input.buffer()[..length]);
        self.input.consume(length);
        self.offset += length as u64;
    }
}

//! Records of a CSV file (RFC 4180), each with the number of the line it begins on.
//!
//! `csv-core` does the parsing. What it leaves to its caller is done here: quotes are
//! checked, a row is bounded, so that a quote which is never closed cannot read the whole file
//! into memory, lines are counted as an editor counts them, blank ones included, and each
//! record knows where it stands, so that it can be written again as it was.

use std::io::{BufRead, BufReader, Read};
use std::ops::Range;

use super::lines::LineCount;
use super::quoting::{QuoteFault, Quoting};

/// The longest row, quotes and delimiters included.
pub const ROW_LIMIT: usize = 64 * 1024;
/// The most cells in a row.
const CELL_LIMIT: usize = 4096;

/// One record.
#[derive(Debug)]
pub struct Row {
    /// The line it begins on.
    pub line: u64,
    /// The line it ends on; a later one where a quoted cell has line breaks.
    pub last_line: u64,
    /// Where it stands in the whole, without the end of its line.
    pub place: Range<u64>,
    /// Its cells as they stand, or why they cannot be told apart.
    pub cells: Result<Vec<String>, RowFault>,
    /// The text of a record with a line break in a quoted cell, which may hold rows.
    pub multi_line: Option<String>,
}

/// Why the cells of a record cannot be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowFault {
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
pub struct Rows<R> {
    input: BufReader<R>,
    csv: csv_core::Reader,
    lines: LineCount,
    quoting: Quoting,
    offset: u64,
    text: Vec<u8>,
    ends: Vec<usize>,
    /// The record as it stands, if it was read in several pieces or has several lines.
    raw: Vec<u8>,
}

impl<R: Read> Rows<R> {
    /// Reads on from `input`, which begins with line `line` at `offset` of the whole.
    pub fn new(input: R, delimiter: u8, (line, offset): (u64, u64)) -> Self {
        Self {
            input: BufReader::with_capacity(ROW_LIMIT, input),
            csv: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            lines: LineCount::from(line),
            quoting: Quoting::new(delimiter),
            offset,
            text: vec![0; ROW_LIMIT],
            ends: vec![0; CELL_LIMIT],
            raw: Vec::new(),
        }
    }

    /// The line on which the next record begins, and its offset in the whole.
    pub fn place(&mut self) -> std::io::Result<(u64, u64)> {
        self.skip_blank_lines()?;
        Ok((self.lines.line, self.offset))
    }

    /// The next record that is not a blank line.
    pub fn next_row(&mut self) -> std::io::Result<Option<Row>> {
        use csv_core::ReadRecordResult as Read;

        self.skip_blank_lines()?;
        let (line, start) = (self.lines.line, self.offset);
        let (mut text, mut ends, mut length, mut last) = (0, 0, 0, 0);
        let mut too_many_cells = false;
        self.quoting.begin();
        self.raw.clear();
        loop {
            let input = self.input.fill_buf()?;
            let (result, read, written, ended) =
                self.csv
                    .read_record(input, &mut self.text[text..], &mut self.ends[ends..]);
            let piece = &input[..read];
            self.quoting.pass(piece, &mut self.lines);
            last = piece.last().copied().unwrap_or(last);
            length += read;
            text += written;
            ends += ended;
            let whole = matches!(result, Read::Record) && self.raw.is_empty();
            if length <= ROW_LIMIT && (!whole || self.quoting.multi_line().is_some()) {
                self.raw.extend_from_slice(piece);
            }
            self.input.consume(read);
            self.offset += read as u64;
            match result {
                Read::InputEmpty => {}
                // Too long; what is written over is not used any more.
                Read::OutputFull => {
                    length = length.max(ROW_LIMIT + 1);
                    text = 0;
                }
                Read::OutputEndsFull => {
                    too_many_cells = true;
                    ends = 0;
                }
                Read::End => return Ok(None),
                Read::Record => {
                    let fault = match self.quoting.fault() {
                        Some(fault) => Some(fault.into()),
                        None if length > ROW_LIMIT => {
                            Some(RowFault::TooLong(self.quoting.multi_line()))
                        }
                        None if too_many_cells => Some(RowFault::TooManyCells),
                        None => None,
                    };
                    let at_line_end = matches!(last, b'\r' | b'\n');
                    // The parser takes one byte of the line's end, and leaves the LF of a CRLF.
                    let ended = at_line_end && !self.quoting.is_open();
                    return Ok(Some(Row {
                        line,
                        last_line: self.lines.line - u64::from(at_line_end),
                        place: start..self.offset - u64::from(ended),
                        multi_line: fault.is_none().then(|| self.multi_line()).flatten(),
                        cells: fault.map_or_else(|| Ok(self.cells(ends)), Err),
                    }));
                }
            }
        }
    }

    /// The text of the record that has just ended, if a quoted cell in it has a line break.
    fn multi_line(&mut self) -> Option<String> {
        self.quoting.multi_line()?;
        let mut record = std::mem::take(&mut self.raw);
        for line_end in [b'\n', b'\r'] {
            record.pop_if(|it| *it == line_end);
        }
        let record = String::from_utf8(record);
        Some(record.expect("the copy is UTF-8, and a record ends with a character"))
    }

    /// The copy is UTF-8 and delimiters are ASCII, so every cell is UTF-8 too.
    fn cells(&self, count: usize) -> Vec<String> {
        let mut start = 0;
        self.ends[..count]
            .iter()
            .map(|end| {
                let cell = String::from_utf8_lossy(&self.text[start..*end]);
                start = *end;
                cell.into_owned()
            })
            .collect()
    }

    fn skip_blank_lines(&mut self) -> std::io::Result<()> {
        loop {
            let input = self.input.fill_buf()?;
            let blank = input
                .iter()
                .take_while(|it| matches!(it, b'\r' | b'\n'))
                .count();
            if blank == 0 {
                return Ok(());
            }
            self.lines.pass(&input[..blank]);
            self.input.consume(blank);
            self.offset += blank as u64;
        }
    }
}

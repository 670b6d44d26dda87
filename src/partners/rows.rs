//! Records of a CSV file (RFC 4180), each with the number of the line it begins on.
//!
//! `csv-core` does the parsing. What it leaves to its caller is done here: a row is
//! bounded, so that a quote which is never closed cannot swallow the file into
//! memory, lines are counted as an editor counts them, blank ones included, and each
//! record knows where it stands, so that it can be written again as it was.

use std::io::{BufRead, BufReader, Read};
use std::ops::Range;

/// The longest row, quotes and delimiters included.
pub const ROW_LIMIT: usize = 64 * 1024;
/// The most cells in a row.
const CELL_LIMIT: usize = 4096;

/// One record.
#[derive(Debug)]
pub struct Row {
    /// The line it begins on.
    pub line: u64,
    /// Where it stands in the whole, without the end of its line.
    pub place: Range<u64>,
    /// Its cells as they stand, or why they cannot be told apart.
    pub cells: Result<Vec<String>, &'static str>,
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
        self.quoting.begin();
        let mut fault = None;
        loop {
            let input = self.input.fill_buf()?;
            let at_end = input.is_empty();
            let (result, read, written, ended) =
                self.csv
                    .read_record(input, &mut self.text[text..], &mut self.ends[ends..]);
            self.lines.pass(&input[..read]);
            self.quoting.pass(&input[..read]);
            last = input[..read].last().copied().unwrap_or(last);
            self.input.consume(read);
            self.offset += read as u64;
            length += read;
            text += written;
            ends += ended;
            if length > ROW_LIMIT {
                fault = Some("the row is longer than 64 KiB; perhaps a quote (\") is never closed");
            }
            match result {
                Read::InputEmpty => {}
                Read::OutputFull => {
                    fault =
                        Some("the row is longer than 64 KiB; perhaps a quote (\") is never closed");
                    text = 0;
                }
                Read::OutputEndsFull => {
                    fault = Some("the row has more than 4096 cells");
                    ends = 0;
                }
                Read::End => return Ok(None),
                Read::Record => {
                    if at_end && self.quoting.is_open() {
                        fault = Some("a quote (\") is opened in this row and never closed");
                    }
                    let cells = match fault {
                        Some(fault) => Err(fault),
                        None => Ok(self.cells(ends)),
                    };
                    // The parser takes one byte of the line's end, and leaves the LF of a CRLF.
                    let ended = matches!(last, b'\r' | b'\n') && !self.quoting.is_open();
                    let place = start..self.offset - u64::from(ended);
                    return Ok(Some(Row { line, place, cells }));
                }
            }
        }
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

/// Follows quotes through a record, by the same rules as the parser, which does not tell.
struct Quoting {
    delimiter: u8,
    at: Place,
}

/// Where in a cell the next byte stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Begin,
    Bare,
    Quoted,
    /// A quote that ends the cell, unless another one follows.
    AfterQuote,
}

impl Quoting {
    fn new(delimiter: u8) -> Self {
        let at = Place::Begin;
        Self { delimiter, at }
    }

    fn begin(&mut self) {
        self.at = Place::Begin;
    }

    fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.at = match (self.at, *byte) {
                (Place::Begin | Place::AfterQuote, b'"') => Place::Quoted,
                (Place::Quoted, b'"') => Place::AfterQuote,
                (Place::Quoted, _) => Place::Quoted,
                (_, b'\r' | b'\n') => Place::Begin,
                (_, byte) if byte == self.delimiter => Place::Begin,
                _ => Place::Bare,
            };
        }
    }

    /// Whether a quote was opened and not closed.
    fn is_open(&self) -> bool {
        self.at == Place::Quoted
    }
}

/// Counts lines that end with LF, CRLF or CR.
pub struct LineCount {
    /// The line that the next byte stands on.
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

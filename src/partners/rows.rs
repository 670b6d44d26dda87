//! Records of a CSV file (RFC 4180), each with the number of the line it begins on.
//!
//! `csv-core` does the parsing. What it leaves to its caller is done here: a row is
//! bounded, so that a quote which is never closed cannot swallow the file into
//! memory, and lines are counted as an editor counts them, blank ones included.

use std::io::{BufRead, BufReader, Read};

/// The longest row, quotes and delimiters included.
pub const ROW_LIMIT: usize = 64 * 1024;
/// The most cells in a row.
const CELL_LIMIT: usize = 4096;

/// One record.
#[derive(Debug)]
pub struct Row {
    /// The line it begins on.
    pub line: u64,
    /// Its cells as they stand, or why they cannot be told apart.
    pub cells: Result<Vec<String>, &'static str>,
}

/// The records of `input`, from a place between two of them.
pub struct Rows<R> {
    input: BufReader<R>,
    csv: csv_core::Reader,
    lines: LineCount,
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
        let line = self.lines.line;
        let (mut text, mut ends, mut length, mut quotes) = (0, 0, 0, 0);
        let mut fault = None;
        loop {
            let input = self.input.fill_buf()?;
            let at_end = input.is_empty();
            let (result, read, written, ended) =
                self.csv
                    .read_record(input, &mut self.text[text..], &mut self.ends[ends..]);
            self.lines.pass(&input[..read]);
            quotes += input[..read].iter().filter(|it| **it == b'"').count();
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
                    if at_end && quotes % 2 == 1 {
                        fault = Some("a quote (\") is opened in this row and never closed");
                    }
                    let cells = match fault {
                        Some(fault) => Err(fault),
                        None => Ok(self.cells(ends)),
                    };
                    return Ok(Some(Row { line, cells }));
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

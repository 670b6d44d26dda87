//! The rows as they stand, each with our cells behind its write_original.
//!
//! A row that is sound and harmless is copied letter by letter. One with a cell that could
//! run, or with result columns of old, is written from its cells; one whose cells cannot be
//! told apart becomes a cell, so that write_generated stand under their names in every row.

use std::ops::Range;

use super::atomic_file::AtomicFile;
use super::encoding_writer::{EncodingWriter, WriteError};
use super::outcome_columns::COLUMNS;
use crate::partners::{CsvFormat, Partners, SourceRow};
use crate::report::may_be_formula;

/// The new file while it grows, beside the text that it follows.
pub struct CsvWriter<'a> {
    partners: &'a Partners,
    out: EncodingWriter<'a>,
    delimiter: char,
    /// The columns that are the reader's write_original: all, unless the list was a results file once.
    write_original: Vec<usize>,
    /// How far the text is written.
    at: u64,
}

impl<'a> CsvWriter<'a> {
    /// Begins with everything down to the header.
    pub fn begin(
        partners: &'a Partners,
        replacement: &'a mut AtomicFile,
        form: CsvFormat,
    ) -> Result<Self, WriteError> {
        let headers = partners.headers();
        let write_original = (0..headers.len())
            .filter(|it| !COLUMNS.contains(&headers[*it].as_str()))
            .collect();
        let mut sheet = Self {
            partners,
            out: EncodingWriter::begin(replacement.file(), form.encoding, form.has_bom)?,
            delimiter: char::from(form.delimiter),
            write_original,
            at: partners.text_place()?.start,
        };
        let header = partners.header_place();
        sheet.between(header.start)?;
        sheet.write_original(Some(headers), header)?;
        sheet.write_generated(COLUMNS.map(str::to_owned))?;
        Ok(sheet)
    }

    /// A row, and what is said of it.
    pub fn row(
        &mut self,
        row: &SourceRow,
        said: [String; COLUMNS.len()],
    ) -> Result<(), WriteError> {
        self.between(row.place.start)?;
        self.write_original(row.cells.as_deref(), row.place.clone())?;
        self.write_generated(said)
    }

    /// Ends with what follows the last row.
    pub fn finish(mut self) -> Result<(), WriteError> {
        self.between(self.partners.text_place()?.end)?;
        self.out.finish()
    }

    /// Line ends, blank lines and a `sep=` line, as they are.
    fn between(&mut self, next: u64) -> Result<(), WriteError> {
        for piece in self.partners.text(self.at..next) {
            self.out.write_original(&piece?)?;
        }
        self.at = next;
        Ok(())
    }

    /// The cells that are the reader's write_original, one for each of their columns.
    fn write_original(
        &mut self,
        cells: Option<&[String]>,
        place: Range<u64>,
    ) -> Result<(), WriteError> {
        self.at = place.end;
        let Some(cells) = cells else {
            return self.as_one_cell(place);
        };
        let columns = self.partners.headers().len();
        if self.write_original.len() == columns && !cells.iter().any(|it| is_dangerous(it)) {
            for piece in self.partners.text(place) {
                self.out.write_original(&piece?)?;
            }
            return self.pad(columns - cells.len());
        }
        let mut text = String::new();
        for (nth, column) in self.write_original.iter().enumerate() {
            let cell = cells.get(*column).map_or("", String::as_str);
            if nth > 0 {
                text.push(self.delimiter);
            }
            let mark = if is_dangerous(cell) { "'" } else { "" };
            text.push_str(&self.quoted(&format!("{mark}{cell}")));
        }
        self.out.write_original(&text)
    }

    /// A row whose cells cannot be told apart keeps its text, in the first column.
    fn as_one_cell(&mut self, place: Range<u64>) -> Result<(), WriteError> {
        self.out.write_original("\"")?;
        for (nth, piece) in self.partners.text(place).enumerate() {
            let piece = piece?.replace('"', "\"\"");
            let mark = if nth == 0 && is_dangerous(&piece) {
                "'"
            } else {
                ""
            };
            self.out.write_original(&format!("{mark}{piece}"))?;
        }
        self.out.write_original("\"")?;
        self.pad(self.write_original.len().saturating_sub(1))
    }

    fn pad(&mut self, cells: usize) -> Result<(), WriteError> {
        self.out
            .write_original(&self.delimiter.to_string().repeat(cells))
    }

    fn write_generated(&mut self, cells: [String; COLUMNS.len()]) -> Result<(), WriteError> {
        let mut text = String::new();
        for cell in cells {
            text.push(self.delimiter);
            text.push_str(&self.quoted(&cell));
        }
        self.out.write_generated(&text)
    }

    /// A cell in quotes where it needs them (RFC 4180 §2.5–2.7).
    fn quoted(&self, cell: &str) -> String {
        if cell.contains([self.delimiter, '"', '\r', '\n']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.to_owned()
        }
    }
}

/// Whether one of your cells could run: it may be a formula, and is neither a telephone number
/// nor an amount.
pub fn is_dangerous(cell: &str) -> bool {
    let number = |it: char| it.is_ascii_digit() || " +-.,/()".contains(it);
    may_be_formula(cell) && !(cell.starts_with(['+', '-']) && cell.chars().all(number))
}

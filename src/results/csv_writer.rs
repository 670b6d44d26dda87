//! The rows of the list, each followed by the outcome columns.
//!
//! A row is copied character by character unless a cell could be a formula or the list has outcome columns
//! of an earlier run: then it is written from its cells. A row that has no cells because its quotes do not
//! match becomes one cell, so that the outcome is in its columns in every row.

use std::fs::File;
use std::io;
use std::ops::Range;

use super::encoding_writer::EncodingWriter;
use super::outcome_columns::COLUMNS;
use crate::partners::{CsvFormat, Partners, SourceRow, is_guarded_in_results, quoted};

/// Writes the file while the text of the list is read.
pub struct CsvWriter<'a> {
    partners: &'a Partners,
    out: EncodingWriter<'a>,
    delimiter: char,
    /// The columns of the list, without outcome columns of an earlier run.
    original: Vec<usize>,
    /// Up to which offset the text is written.
    at: u64,
}

impl<'a> CsvWriter<'a> {
    /// Writes everything up to the header, and the header.
    pub fn begin(partners: &'a Partners, file: &'a File, form: CsvFormat) -> io::Result<Self> {
        let headers = partners.headers();
        let original = (0..headers.len())
            .filter(|it| !COLUMNS.contains(&headers[*it].as_str()))
            .collect();
        let mut writer = Self {
            partners,
            out: EncodingWriter::begin(file, form.encoding, form.has_bom)?,
            delimiter: char::from(form.delimiter),
            original,
            at: partners.text_place()?.start,
        };
        let header = partners.header_place();
        writer.between(header.start)?;
        writer.write_original(Some(headers), header)?;
        writer.write_generated(COLUMNS.map(str::to_owned))?;
        Ok(writer)
    }

    /// Writes a row and its outcome.
    pub fn row(&mut self, row: &SourceRow, outcome: [String; COLUMNS.len()]) -> io::Result<()> {
        self.between(row.place.start)?;
        if row.has_surplus {
            self.at = row.place.end;
            self.write_cells(row.cells.as_deref().unwrap_or_default())?;
        } else {
            self.write_original(row.cells.as_deref(), row.place.clone())?;
        }
        self.write_generated(outcome)
    }

    /// Writes what follows the last row.
    pub fn finish(mut self) -> io::Result<()> {
        self.between(self.partners.text_place()?.end)?;
        self.out.finish()
    }

    /// Copies line ends, blank lines and a `sep=` line.
    fn between(&mut self, next: u64) -> io::Result<()> {
        for piece in self.partners.text(self.at..next) {
            self.out.write_original(&piece?)?;
        }
        self.at = next;
        Ok(())
    }

    /// Writes the cells of the list, one for each of its columns.
    fn write_original(&mut self, cells: Option<&[String]>, place: Range<u64>) -> io::Result<()> {
        self.at = place.end;
        let Some(cells) = cells else {
            return self.as_one_cell(place);
        };
        let columns = self.partners.headers().len();
        if self.original.len() == columns && !cells.iter().any(|it| is_guarded_in_results(it)) {
            for piece in self.partners.text(place) {
                self.out.write_original(&piece?)?;
            }
            return self.pad(columns - cells.len());
        }
        self.write_cells(cells)
    }

    /// Writes cells anew, without outcome columns of an earlier run.
    fn write_cells(&mut self, cells: &[String]) -> io::Result<()> {
        let mut text = String::new();
        for (nth, column) in self.original.iter().enumerate() {
            let cell = cells.get(*column).map_or("", String::as_str);
            if nth > 0 {
                text.push(self.delimiter);
            }
            let mark = if is_guarded_in_results(cell) { "'" } else { "" };
            text.push_str(&quoted(&format!("{mark}{cell}"), self.delimiter));
        }
        self.out.write_original(&text)
    }

    /// Writes the text of a row without cells into the first column.
    fn as_one_cell(&mut self, place: Range<u64>) -> io::Result<()> {
        self.out.write_original("\"")?;
        for (nth, piece) in self.partners.text(place).enumerate() {
            let piece = piece?.replace('"', "\"\"");
            let mark = if nth == 0 && is_guarded_in_results(&piece) {
                "'"
            } else {
                ""
            };
            self.out.write_original(&format!("{mark}{piece}"))?;
        }
        self.out.write_original("\"")?;
        self.pad(self.original.len().saturating_sub(1))
    }

    fn pad(&mut self, cells: usize) -> io::Result<()> {
        self.out
            .write_original(&self.delimiter.to_string().repeat(cells))
    }

    fn write_generated(&mut self, cells: [String; COLUMNS.len()]) -> io::Result<()> {
        let cells = cells.map(|it| format!("{}{}", self.delimiter, quoted(&it, self.delimiter)));
        self.out.write_generated(&cells.concat())
    }
}

//! Later readings of the copy: rows, good, bad and empty ones, and the text as it was written.
//!
//! Rows are parsed again at each reading, by the same rules, so that memory does not grow with
//! the list.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::error::ListError;
use super::finding::RowFinding;
use super::list::{Partners, line_of};
use super::partner::Partner;
use super::records::Records;
use super::row::{self, LanguageCache};
use super::temp_copy::{CHUNK, CopyReader};

/// A row of the file.
#[derive(Debug)]
pub struct SourceRow {
    /// The line that it begins on, as an editor counts.
    pub line: u64,
    /// The place of its text, see [`Partners::text`].
    pub place: Range<u64>,
    /// Its cells; none if they cannot be separated, or are more than the header has.
    pub cells: Option<Vec<String>>,
    /// Whether its text has more cells than the header; those are empty.
    pub has_surplus: bool,
    /// What it contains.
    pub kind: RowKind,
}

/// What a row contains.
#[derive(Debug)]
pub enum RowKind {
    /// All its cells are empty.
    Empty,
    /// A partner.
    Good(Box<Partner>),
    /// No partner, for these reasons.
    Bad(Vec<RowFinding>),
}

impl Partners {
    /// All rows below the header, in the order of the file.
    pub fn source_rows(
        self: &Arc<Self>,
    ) -> impl Iterator<Item = Result<SourceRow, ListError>> + Send + use<> {
        let partners = self.clone();
        let mut records = self.snapshot.records(self.layout.data_start);
        let mut languages = LanguageCache::new();
        std::iter::from_fn(move || {
            let row = match records.next_record() {
                Ok(row) => row?,
                Err(error) => return Some(Err(error.into())),
            };
            let parsed = row::parse(&partners.layout, &row, &partners.rules, &mut languages);
            let kind = match parsed {
                Ok(None) => RowKind::Empty,
                Ok(Some(partner)) if partners.bad_lines.contains(&row.line) => {
                    RowKind::Bad(vec![partners.duplicate_of(&partner)])
                }
                Ok(Some(partner)) => RowKind::Good(Box::new(partner)),
                Err(faults) => RowKind::Bad(faults),
            };
            let columns = partners.headers().len();
            let cells = row.cells.ok();
            let mut cells = cells.filter(|it| row::has_only_empty_surplus(it, columns));
            let has_surplus = cells.as_ref().is_some_and(|it| it.len() > columns);
            if let Some(cells) = &mut cells {
                cells.truncate(columns);
            }
            Some(Ok(SourceRow {
                line: row.line,
                place: row.place,
                has_surplus,
                cells,
                kind,
            }))
        })
    }

    /// The good rows, in the order of the file.
    pub fn iter(
        self: &Arc<Self>,
    ) -> impl Iterator<Item = Result<Partner, ListError>> + Send + use<> {
        self.source_rows().filter_map(|row| match row {
            Ok(SourceRow {
                kind: RowKind::Good(partner),
                ..
            }) => Some(Ok(*partner)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    }

    /// The finding about a partner whom an earlier row has already.
    fn duplicate_of(&self, partner: &Partner) -> RowFinding {
        // The first twelve bytes depend on package and address, not on the campaign.
        let key = partner.identity("").digest();
        let first = self.keys.partition_point(|it| it[..12] < key[..12]);
        let first = self.keys.get(first).map_or(partner.line, line_of);
        self.duplicate(partner.line, first)
    }

    /// The place of the header; the text before it belongs to no row.
    #[must_use]
    pub fn header_place(&self) -> Range<u64> {
        self.layout.place.clone()
    }

    /// The place of the whole text, without its byte-order mark.
    ///
    /// # Errors
    /// If the copy cannot be read.
    pub fn text_place(&self) -> io::Result<Range<u64>> {
        let text = &self.snapshot.text;
        Ok(text.begins..text.file.metadata()?.len())
    }

    /// The text at a place, piece by piece.
    pub fn text(&self, place: Range<u64>) -> impl Iterator<Item = io::Result<String>> {
        let mut at = place.start;
        std::iter::from_fn(move || {
            let length = usize::try_from(place.end - at).unwrap_or(CHUNK).min(CHUNK);
            let mut bytes = match CopyReader::new(&self.snapshot.text.file, at).bytes(length) {
                Ok(bytes) if bytes.is_empty() => return None,
                Ok(bytes) => bytes,
                Err(error) => return Some(Err(error)),
            };
            // A character that is cut at the end belongs to the next piece.
            if let Err(error) = std::str::from_utf8(&bytes)
                && error.valid_up_to() > 0
            {
                bytes.truncate(error.valid_up_to());
            }
            at += bytes.len() as u64;
            Some(String::from_utf8(bytes).map_err(io::Error::other))
        })
    }
}

/// Reads single rows by their place. Consecutive rows are read without seeking.
pub struct RowReader {
    partners: Arc<Partners>,
    records: Records<CopyReader>,
    languages: LanguageCache,
}

impl RowReader {
    /// A reader that starts below the header.
    #[must_use]
    pub fn new(partners: &Arc<Partners>) -> Self {
        Self {
            records: partners.snapshot.records(partners.layout.data_start),
            partners: partners.clone(),
            languages: LanguageCache::new(),
        }
    }

    /// The good row that begins on `line`, at `offset` of the copy.
    ///
    /// # Errors
    /// If the copy cannot be read, or no good row begins there.
    pub fn partner_at(&mut self, line: u64, offset: u64) -> Result<Partner, ListError> {
        if self.records.position()? != (line, offset) {
            self.records = self.partners.snapshot.records((line, offset));
        }
        let row = self.records.next_record()?;
        row.filter(|it| it.place.start == offset)
            .and_then(|it| {
                let Partners { layout, rules, .. } = &*self.partners;
                let parsed = row::parse(layout, &it, rules, &mut self.languages);
                parsed.ok().flatten()
            })
            .ok_or(ListError::RowChanged(line))
    }
}

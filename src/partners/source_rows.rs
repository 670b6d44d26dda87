//! The rows as they are written, good, bad and empty ones, so that the file can be written again
//! with the outcome of each.
//!
//! Rows are parsed again at each reading, by the same rules: what is wrong with a million rows
//! need not be remembered.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::finding::RowFinding;
use super::list::{Partners, line_of};
use super::partner::Partner;
use super::row;
use crate::exit::{self, Exit, OrExit};

/// A row of the file.
#[derive(Debug)]
pub struct SourceRow {
    /// The line that it begins on, as an editor counts.
    pub line: u64,
    /// Where its text stands, see [`Partners::text`].
    pub place: Range<u64>,
    /// Its cells; none where they cannot be told apart, or are more than the header names.
    pub cells: Option<Vec<String>>,
    /// What is in it.
    pub kind: RowKind,
}

/// What is in a row.
#[derive(Debug)]
pub enum RowKind {
    /// All its cells are empty.
    Empty,
    /// A partner.
    Good(Partner),
    /// No partner, for these reasons.
    Bad(Vec<RowFinding>),
}

impl Partners {
    /// All rows below the header, in the order of the file.
    pub fn source_rows(
        self: &Arc<Self>,
    ) -> impl Iterator<Item = exit::Result<SourceRow>> + Send + use<> {
        let partners = self.clone();
        let mut rows = self.rows();
        let mut locales = HashMap::new();
        std::iter::from_fn(move || {
            let row = match rows.next_row().or_exit(Exit::CannotWrite) {
                Ok(row) => row?,
                Err(failure) => return Some(Err(failure)),
            };
            let parsed = row::parse(&partners.layout, &row, &partners.rules, &mut locales);
            let kind = match parsed {
                Ok(None) => RowKind::Empty,
                Ok(Some(partner)) if partners.bad_lines.contains(&row.line) => {
                    RowKind::Bad(vec![partners.duplicate_of(&partner)])
                }
                Ok(Some(partner)) => RowKind::Good(partner),
                Err(faults) => RowKind::Bad(faults),
            };
            let columns = partners.layout.headers().len();
            Some(Ok(SourceRow {
                line: row.line,
                place: row.place,
                cells: row.cells.ok().filter(|it| it.len() <= columns),
                kind,
            }))
        })
    }

    /// The good rows, in the order of the file.
    pub fn iter(self: &Arc<Self>) -> impl Iterator<Item = exit::Result<Partner>> + Send + use<> {
        self.source_rows().filter_map(|row| match row {
            Ok(SourceRow {
                kind: RowKind::Good(partner),
                ..
            }) => Some(Ok(partner)),
            Ok(_) => None,
            Err(failure) => Some(Err(failure)),
        })
    }

    /// What is wrong with a partner whom an earlier row has already.
    fn duplicate_of(&self, partner: &Partner) -> RowFinding {
        // Package and address tell, whatever the campaign.
        let key = partner.identity("").short();
        let first = self.keys.partition_point(|it| it[..12] < key[..12]);
        let first = self.keys.get(first).map_or(partner.line, line_of);
        self.duplicate(partner.line, first)
    }
}

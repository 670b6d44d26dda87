//! The rows as they stand, good, bad and empty ones, so that the file can be written again
//! with a word about each.
//!
//! Rows are judged anew at each reading, by the same rules: what is wrong with a million
//! rows need not be remembered.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::{Finding, Form, Partner, Partners, line_of, rows};
use crate::exit::{self, Exit, OrExit};

/// How much text is read at once.
const PIECE: usize = 64 * 1024;

/// A row of the file.
#[derive(Debug)]
pub struct Listed {
    /// The line that it begins on, as an editor counts.
    pub line: u64,
    /// Where its text stands, see [`Partners::text`].
    pub place: Range<u64>,
    /// Its cells; none where they cannot be told apart, or are more than the header names.
    pub cells: Option<Vec<String>>,
    /// What it is good for.
    pub verdict: Verdict,
}

/// What a row is good for.
#[derive(Debug)]
pub enum Verdict {
    /// Nothing: all its cells are empty.
    Empty,
    /// It is a partner.
    Good(Partner),
    /// Nothing, for these reasons.
    Bad(Vec<Finding>),
}

impl Partners {
    /// All rows below the header, in the order of the file.
    pub fn listed(self: &Arc<Self>) -> impl Iterator<Item = exit::Result<Listed>> + Send + use<> {
        let partners = self.clone();
        let mut rows = rows(
            &self.copy,
            self.layout.delimiter(),
            self.layout.data_start(),
        );
        let mut locales = HashMap::new();
        std::iter::from_fn(move || {
            let row = match rows.next_row().or_exit(Exit::CannotWrite) {
                Ok(row) => row?,
                Err(failure) => return Some(Err(failure)),
            };
            let judged = partners.layout.partner(&row, &partners.rules, &mut locales);
            let verdict = match judged {
                Ok(None) => Verdict::Empty,
                Ok(Some(partner)) if partners.bad_lines.contains(&row.line) => {
                    Verdict::Bad(vec![partners.twin_of(&partner)])
                }
                Ok(Some(partner)) => Verdict::Good(partner),
                Err(faults) => Verdict::Bad(faults),
            };
            let columns = partners.layout.headers().len();
            Some(Ok(Listed {
                line: row.line,
                place: row.place,
                cells: row.cells.ok().filter(|it| it.len() <= columns),
                verdict,
            }))
        })
    }

    /// What is wrong with a partner whom an earlier row has already.
    fn twin_of(&self, partner: &Partner) -> Finding {
        // Package and address tell, whatever the campaign.
        let key = partner.identity("").short();
        let first = self.keys.partition_point(|it| it[..12] < key[..12]);
        let first = self.keys.get(first).map_or(partner.line, line_of);
        self.twin(partner.line, first)
    }

    /// How the file is written.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// The names of all columns, as they stand.
    #[must_use]
    pub fn headers(&self) -> &[String] {
        self.layout.headers()
    }

    /// Where the header's text stands; what is before it belongs to no row.
    #[must_use]
    pub fn header(&self) -> Range<u64> {
        self.layout.place()
    }

    /// Where the text as a whole stands, without its byte-order mark.
    ///
    /// # Errors
    /// When the copy cannot be asked.
    pub fn whole(&self) -> io::Result<Range<u64>> {
        Ok(self.begins..self.copy.metadata()?.len())
    }

    /// The text at a place, piece by piece.
    pub fn text(&self, place: Range<u64>) -> impl Iterator<Item = io::Result<String>> {
        let mut at = place.start;
        std::iter::from_fn(move || {
            let length = usize::try_from(place.end - at).unwrap_or(PIECE).min(PIECE);
            if length == 0 {
                return None;
            }
            let mut bytes = vec![0; length];
            if let Err(error) = self.copy.read_exact_at(&mut bytes, at) {
                return Some(Err(error));
            }
            // A character that is cut at the end waits for the next piece.
            let whole = match std::str::from_utf8(&bytes) {
                Ok(_) => length,
                Err(error) if error.valid_up_to() > 0 => error.valid_up_to(),
                Err(error) => return Some(Err(io::Error::other(error))),
            };
            bytes.truncate(whole);
            at += whole as u64;
            Some(String::from_utf8(bytes).map_err(io::Error::other))
        })
    }
}

//! Single rows of the copy, read again at the offsets that an earlier reading found.

use std::collections::HashMap;
use std::sync::Arc;

use super::list::Partners;
use super::partner::Partner;
use super::row;
use super::rows::Rows;
use super::scratch::CopyReader;
use crate::exit::{self, CommandError, Exit, OrExit};
use crate::locale::Locale;

/// Reads rows by their place. Rows that follow one another are read without seeking.
pub struct RowReader {
    partners: Arc<Partners>,
    rows: Rows<CopyReader>,
    locales: HashMap<String, Option<Locale>>,
}

impl RowReader {
    /// A reader that starts below the header.
    #[must_use]
    pub fn new(partners: &Arc<Partners>) -> Self {
        Self {
            rows: partners.rows(),
            partners: partners.clone(),
            locales: HashMap::new(),
        }
    }

    /// The good row that begins on `line`, at `offset` of the copy.
    ///
    /// # Errors
    /// When the copy cannot be read (74), or when no good row begins there (70).
    pub fn partner_at(&mut self, line: u64, offset: u64) -> exit::Result<Partner> {
        if self.rows.place().or_exit(Exit::CannotWrite)? != (line, offset) {
            self.rows = self.partners.rows_from((line, offset));
        }
        let row = self.rows.next_row().or_exit(Exit::CannotWrite)?;
        let row = row.filter(|it| it.place.start == offset);
        row.and_then(|it| {
            let Partners { layout, rules, .. } = &*self.partners;
            let parsed = row::parse(layout, &it, rules, &mut self.locales);
            parsed.ok().flatten()
        })
        .ok_or_else(|| {
            let message = format!(
                "line {line}: the row is not the one that was verified; nothing more is sent"
            );
            CommandError::new(Exit::InternalError, message)
        })
    }
}

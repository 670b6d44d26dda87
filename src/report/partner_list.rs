//! Invitations as a list of partners, to be corrected and sent to again.

use std::io::{self, Write};

use super::formats::reply_text;
use super::harmless::{generated_cell, one_line};
use super::status::StatusRow;
use crate::partners::is_guarded_in_results;

/// The headers: those that a list has without a mapping of columns, then why the row is here. By the last two, the
/// list reader recognises that apostrophes guard cells.
const HEADERS: [&str; 7] = [
    "email",
    "name",
    "organization",
    "locale",
    "package",
    "invitation_state",
    "invitation_reply",
];

/// Writes a list of partners as CSV.
pub struct ListWriter<'a> {
    csv: csv::Writer<&'a mut dyn Write>,
}

impl<'a> ListWriter<'a> {
    /// Writes the header, after a byte-order mark, without which Excel takes UTF-8 for the encoding of its language.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn begin(out: &'a mut dyn Write) -> io::Result<Self> {
        write!(out, "\u{feff}")?;
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(HEADERS)?;
        csv.flush()?;
        Ok(Self { csv })
    }

    /// Writes a page of invitations.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn page(&mut self, page: &[StatusRow]) -> io::Result<()> {
        for row in page {
            let record = &row.record;
            let invitee = &record.invitee;
            let optional = |it: &Option<String>| listed_cell(it.as_deref().unwrap_or_default());
            self.csv.write_record([
                listed_cell(&invitee.email),
                optional(&invitee.name),
                optional(&invitee.organization),
                optional(&invitee.locale),
                listed_cell(&invitee.package),
                record.standing.state.to_string(),
                generated_cell(&reply_text(&record.latest)),
            ])?;
        }
        self.csv.flush()
    }
}

/// A cell that came from a list, with an apostrophe if a spreadsheet could take it for a formula.
fn listed_cell(text: &str) -> String {
    let text = one_line(text);
    if is_guarded_in_results(&text) {
        format!("'{text}")
    } else {
        text
    }
}

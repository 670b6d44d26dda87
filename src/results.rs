//! The list written again with the outcome of each row: `results.csv`.
//!
//! Rows and columns of the list keep their order, delimiter, line ends and encoding; blank lines stay, so
//! that line 14 of the results is line 14 of the list. The columns of this program follow. The file is
//! replaced as a whole or not at all, from what the ledger holds, so writing it again loses nothing.
//!
//! No cell is a formula to a spreadsheet: one that could be gets an apostrophe before it. Nothing else in
//! the cells of the list changes.

mod csv_writer;
mod encoding_writer;
mod outcome_columns;

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use encoding_rs::UTF_8;
use jiff::civil::Date;

use self::csv_writer::CsvWriter;
use self::encoding_writer::Unmappable;
use self::outcome_columns::{COLUMNS, OutcomeColumns};
use crate::atomic_file::{AtomicFile, beginning_of};
use crate::finding::Finding;
use crate::ledger::{LedgerError, Reader};
use crate::partners::{CsvFormat, Partners, RowKind, SourceRow};

/// How many rows are looked up in the ledger at once.
const PAGE: usize = 256;

/// An error of the results file, with what failed, where, why, and how to fix it.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The file cannot take results: name another one.
    #[error("{0}")]
    NotUsable(String),
    /// The file could not be written, or the copy of the list not be read.
    #[error("cannot write the results `{path}` ({NOTHING_LOST}): {1}", path = .0.display())]
    Write(PathBuf, io::Error),
    /// The ledger could not be read.
    #[error("cannot write the results `{path}` ({NOTHING_LOST}): {1}", path = .0.display())]
    Ledger(PathBuf, LedgerError),
}

const NOTHING_LOST: &str =
    "nothing is lost: the ledger has everything, and the next run writes them again";

/// What the results return.
pub type Result<T> = std::result::Result<T, ResultsError>;

/// Checks, before anything is sent, that the file can be written and replaces only results.
///
/// # Errors
/// If it cannot be written, or another file has this name.
pub fn prepare(path: &Path) -> Result<()> {
    check(path)?;
    AtomicFile::begin(path)
        .map(drop)
        .map_err(|error| unusable(path, &error))
}

/// Removes the file, and what a killed run has left of it; gives whether there was one. Nothing is lost, because
/// the next run writes it again.
///
/// # Errors
/// If it cannot be removed, or another file has this name.
pub fn remove(path: &Path) -> Result<bool> {
    check(path)?;
    let removed = AtomicFile::begin(path).and_then(|_| match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true),
    });
    removed.map_err(|error| ResultsError::Write(path.to_owned(), error))
}

/// As [`prepare`], without writing anything.
///
/// # Errors
/// If a file that is not a results file has this name.
pub fn check(path: &Path) -> Result<()> {
    let mut bytes = beginning_of(path).map_err(|error| unusable(path, &error))?;
    // Also in UTF-16, which has zeros between the letters.
    bytes.retain(|it| *it != 0);
    let ours = COLUMNS[0].as_bytes();
    if bytes.is_empty() || bytes.windows(ours.len()).any(|it| it == ours) {
        return Ok(());
    }
    Err(ResultsError::NotUsable(format!(
        "`{}` exists and is not a results file, so it is not overwritten; move it away, or name another file in `results.csv`",
        path.display()
    )))
}

fn unusable(path: &Path, error: &io::Error) -> ResultsError {
    ResultsError::NotUsable(format!(
        "cannot write the results `{}`: {error}; name another file in `results.csv`",
        path.display()
    ))
}

/// What the file is made of.
pub struct Results<'a> {
    /// The list.
    pub partners: &'a Arc<Partners>,
    /// The campaign.
    pub campaign: &'a str,
    /// The ledger.
    pub reader: &'a Reader,
    /// The date on which packages are open or closed.
    pub today: Date,
}

impl Results<'_> {
    /// Writes the file. The finding says if it had to be written in another encoding than the list.
    ///
    /// # Errors
    /// If the file cannot be written, or the list or the ledger cannot be read; the old file stays then.
    pub async fn write(&self, path: &Path) -> Result<Option<Finding>> {
        let form = self.partners.format();
        let is_unmappable = <dyn Error + Send + Sync>::is::<Unmappable>;
        match self.write_as(form, path).await {
            Err(ResultsError::Write(_, error)) if error.get_ref().is_some_and(is_unmappable) => {}
            written => return written.map(|()| None),
        }
        let unicode = CsvFormat {
            encoding: UTF_8,
            has_bom: true,
            ..form
        };
        self.write_as(unicode, path).await?;
        let message = format!(
            "`{}` is written in UTF-8, because {} lacks characters of the list",
            path.display(),
            form.encoding.name()
        );
        Ok(Some(Finding::warning("results", path.display(), message)))
    }

    async fn write_as(&self, form: CsvFormat, path: &Path) -> Result<()> {
        let failed = |error| ResultsError::Write(path.to_owned(), error);
        let file = AtomicFile::begin(path).map_err(failed)?;
        let mut csv = CsvWriter::begin(self.partners, file.file(), form).map_err(failed)?;
        let mut rows = self.partners.source_rows();
        loop {
            let page = rows.by_ref().take(PAGE);
            let page: std::result::Result<Vec<SourceRow>, _> = page.collect();
            let page = page.map_err(|it| failed(io::Error::other(it.to_string())))?;
            if page.is_empty() {
                break;
            }
            let identity = |row: &SourceRow| match &row.kind {
                RowKind::Good(partner) => Some(partner.identity(self.campaign)),
                RowKind::Empty | RowKind::Bad(_) => None,
            };
            let identities: Vec<_> = page.iter().filter_map(identity).collect();
            let unreadable = |it| ResultsError::Ledger(path.to_owned(), it);
            let records = self.reader.records(identities.clone()).await;
            let access = self.reader.access_of(identities.clone()).await;
            let erasures = self.reader.erasures(identities).await;
            let found = records.map_err(unreadable)?.into_iter();
            let found = found.zip(access.map_err(unreadable)?);
            let mut found = found.zip(erasures.map_err(unreadable)?);
            for row in page {
                let outcome = match &row.kind {
                    RowKind::Empty => OutcomeColumns::default(),
                    RowKind::Bad(reasons) => OutcomeColumns::of_bad(reasons),
                    RowKind::Good(partner) => {
                        let ((record, access), erasure) = found.next().unwrap_or_default();
                        let erasure = erasure.filter(|_| record.is_none());
                        OutcomeColumns::of(partner, record, access, erasure, self.today)
                    }
                };
                csv.row(&row, outcome.cells()).map_err(failed)?;
            }
        }
        csv.finish().map_err(failed)?;
        let owned = self.reader.give_to_owner(file.file());
        owned.and_then(|()| file.commit()).map_err(failed)
    }
}

#[cfg(test)]
mod tests;

//! The list written again with the outcome of each row: `results.csv`.
//!
//! Rows and columns of the list keep their order, delimiter, line ends and encoding; blank lines stay, so
//! that line 14 of the results is line 14 of the list. The columns of this program follow. The file is
//! replaced as a whole or not at all, from what the ledger holds, so writing it again loses nothing.
//!
//! No cell is a formula to a spreadsheet: one that could be gets an apostrophe before it. Nothing else in
//! the cells of the list changes.

mod atomic_file;
mod csv_writer;
mod encoding_writer;
mod error;
mod outcome_columns;

use std::io;
use std::path::Path;
use std::sync::Arc;

use encoding_rs::UTF_8;
use jiff::civil::Date;

use self::atomic_file::AtomicFile;
use self::csv_writer::CsvWriter;
use self::error::WriteError;
pub use self::error::{Result, ResultsError};
use self::outcome_columns::{COLUMNS, OutcomeColumns};
use crate::finding::Finding;
use crate::ledger::Reader;
use crate::partners::{CsvFormat, Partners, RowKind, SourceRow};

/// How many rows are looked up in the ledger at once.
const PAGE: usize = 256;

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

/// As [`prepare`], without writing anything.
///
/// # Errors
/// If a file that is not a results file has this name.
pub fn check(path: &Path) -> Result<()> {
    let mut bytes = atomic_file::beginning_of(path).map_err(|error| unusable(path, &error))?;
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

/// Writes the file. The finding says if it had to be written in another encoding than the list.
///
/// # Errors
/// If the file cannot be written, or the list or the ledger cannot be read; the old file stays then.
pub async fn write(
    path: &Path,
    partners: &Arc<Partners>,
    campaign: &str,
    reader: &Reader,
    today: Date,
) -> Result<Option<Finding>> {
    let form = partners.format();
    let table = Table {
        partners,
        campaign,
        reader,
        today,
    };
    let cannot_write = |error: WriteError| error.at(path);
    match table.write(path, form).await {
        Err(WriteError::Unmappable) => {}
        written => return written.map(|()| None).map_err(cannot_write),
    }
    let unicode = CsvFormat {
        encoding: UTF_8,
        has_bom: true,
        ..form
    };
    table.write(path, unicode).await.map_err(cannot_write)?;
    let message = format!(
        "`{}` is written in UTF-8, because {} lacks characters of the list",
        path.display(),
        form.encoding.name()
    );
    Ok(Some(Finding::warning("results", path.display(), message)))
}

/// What the file is made of.
struct Table<'a> {
    partners: &'a Arc<Partners>,
    campaign: &'a str,
    reader: &'a Reader,
    today: Date,
}

impl Table<'_> {
    async fn write(&self, path: &Path, form: CsvFormat) -> std::result::Result<(), WriteError> {
        let file = AtomicFile::begin(path)?;
        let csv = CsvWriter::begin(self.partners, file.file(), form)?;
        self.write_rows(csv).await?;
        self.reader.give_to_owner(file.file())?;
        Ok(file.commit()?)
    }

    async fn write_rows(&self, mut csv: CsvWriter<'_>) -> std::result::Result<(), WriteError> {
        let mut rows = self.partners.source_rows();
        loop {
            let page = rows
                .by_ref()
                .take(PAGE)
                .map(|it| it.map_err(WriteError::list));
            let page: Vec<SourceRow> = page.collect::<std::result::Result<_, _>>()?;
            if page.is_empty() {
                return csv.finish();
            }
            let identity = |row: &SourceRow| match &row.kind {
                RowKind::Good(partner) => Some(partner.identity(self.campaign)),
                RowKind::Empty | RowKind::Bad(_) => None,
            };
            let identities = page.iter().filter_map(identity).collect();
            let mut records = self.reader.records(identities).await?.into_iter();
            for row in page {
                let outcome = match &row.kind {
                    RowKind::Empty => OutcomeColumns::default(),
                    RowKind::Bad(reasons) => OutcomeColumns::of_bad(reasons),
                    RowKind::Good(partner) => {
                        OutcomeColumns::of(partner, records.next().flatten(), self.today)
                    }
                };
                csv.row(&row, outcome.cells())?;
            }
        }
    }
}

#[cfg(test)]
mod tests;

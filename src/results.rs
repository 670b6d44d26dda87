//! The list written again, with what became of each row: `results.csv`.
//!
//! Your rows and columns stay as they are, in their order, with their delimiter, line ends
//! and encoding; blank lines stay, so that line 14 there is line 14 here. Behind them stand
//! columns of ours. The file is replaced as a whole or not at all, and is made of what the
//! ledger says now, so writing it again never loses anything.
//!
//! Nothing in it is a formula to a spreadsheet: in our columns and in yours, a cell that
//! could be one gets an apostrophe before it. Of your cells that is all that ever changes.

mod atomic_file;
mod csv_writer;
mod encoding_writer;
mod outcome_columns;

use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use encoding_rs::UTF_8;
use jiff::civil::Date;

use self::atomic_file::AtomicFile;
use self::csv_writer::CsvWriter;
use self::encoding_writer::WriteError;
use self::outcome_columns::{COLUMNS, OutcomeColumns};
use crate::exit::{self, CommandError, Exit};
use crate::ledger::Reader;
use crate::partners::{CsvFormat, ListError, Partners, RowKind, SourceRow};

/// How many rows are looked up in the ledger at once.
const PAGE: usize = 256;

/// Proves, before anything is sent, that the file can be written and that nothing else stands there.
///
/// # Errors
/// When it cannot, or when a file that no run has written would be lost (74).
pub fn prepare(path: &Path) -> exit::Result<()> {
    look(path)?;
    AtomicFile::begin(path)
        .map(drop)
        .map_err(|error| unusable(path, &format!("{}; ", exit::without_os_code(error))))
}

/// As [`prepare`], for a verb that writes nothing.
///
/// # Errors
/// When a file stands there that no run has written (74).
pub fn look(path: &Path) -> exit::Result<()> {
    let bytes = match atomic_file::beginning_of(path) {
        Ok(bytes) => bytes.unwrap_or_default(),
        Err(error) => {
            return Err(unusable(
                path,
                &format!("{}; ", exit::without_os_code(error)),
            ));
        }
    };
    // Without the zeros between the letters of UTF-16.
    let bytes: Vec<u8> = bytes.into_iter().filter(|it| *it != 0).collect();
    let ours = COLUMNS[0].as_bytes();
    if bytes.is_empty() || bytes.windows(ours.len()).any(|it| it == ours) {
        return Ok(());
    }
    let why =
        "the file that stands there was written by no run and would be lost; move it away, or ";
    Err(unusable(path, why))
}

fn unusable(path: &Path, why: &str) -> CommandError {
    let message = format!(
        "the results cannot be written to `{}`: {why}name another file in `results.csv`",
        path.display()
    );
    CommandError::new(Exit::CannotWrite, message)
}

/// Writes the file; says so where it had to be written in another encoding than the list.
///
/// # Errors
/// When it cannot be written (74) or the ledger cannot be read; the file is as it was then.
pub async fn write(
    path: &Path,
    partners: &Arc<Partners>,
    campaign: &str,
    reader: &Reader,
    today: Date,
) -> exit::Result<Option<String>> {
    let own = partners.format();
    let unicode = CsvFormat {
        encoding: UTF_8,
        has_bom: true,
        ..own
    };
    let job = Job {
        partners,
        campaign,
        reader,
        today,
    };
    match job.write(path, own).await {
        Err(WriteError::Unmappable) => job
            .write(path, unicode)
            .await
            .map_err(|fault| fault.told(path))
            .map(|()| {
                Some(format!(
                    "`{}` is written in UTF-8, because some of your cells can be read in {}, but not written in it",
                    path.display(),
                    own.encoding.name()
                ))
            }),
        written => written.map(|()| None).map_err(|fault| fault.told(path)),
    }
}

impl WriteError {
    fn told(self, path: &Path) -> CommandError {
        match self {
            Self::Failed(failure) => failure.context(cannot_write(path)),
            Self::Io(error) => CommandError {
                exit: Exit::CannotWrite,
                error: anyhow!(error).context(cannot_write(path)),
            },
            // UTF-8 has them all.
            Self::Unmappable => CommandError::new(Exit::CannotWrite, cannot_write(path)),
        }
    }
}

fn cannot_write(path: &Path) -> String {
    format!(
        "cannot write the results `{}` (nothing is lost: the ledger has everything, and the next run writes them again)",
        path.display()
    )
}

/// What the file is made of.
struct Job<'a> {
    partners: &'a Arc<Partners>,
    campaign: &'a str,
    reader: &'a Reader,
    today: Date,
}

impl Job<'_> {
    async fn write(&self, path: &Path, form: CsvFormat) -> Result<(), WriteError> {
        let mut replacement = AtomicFile::begin(path)?;
        let sheet = CsvWriter::begin(self.partners, &mut replacement, form)?;
        self.fill(sheet).await?;
        self.reader.give_to_owner(replacement.as_file())?;
        replacement.commit()?;
        Ok(())
    }

    async fn fill(&self, mut sheet: CsvWriter<'_>) -> Result<(), WriteError> {
        let mut rows = self.partners.source_rows();
        loop {
            let page: Vec<SourceRow> = rows
                .by_ref()
                .take(PAGE)
                .collect::<Result<_, _>>()
                .map_err(|error: ListError| WriteError::Failed(error.into()))?;
            if page.is_empty() {
                return sheet.finish();
            }
            let identities = page
                .iter()
                .filter_map(|row| match &row.kind {
                    RowKind::Good(partner) => Some(partner.identity(self.campaign)),
                    RowKind::Empty | RowKind::Bad(_) => None,
                })
                .collect();
            let records = self.reader.records(identities).await;
            let mut records = records
                .map_err(|error| WriteError::Failed(error.into()))?
                .into_iter();
            for row in page {
                let said = match &row.kind {
                    RowKind::Empty => OutcomeColumns::default(),
                    RowKind::Bad(reasons) => OutcomeColumns::of_bad(reasons),
                    RowKind::Good(partner) => {
                        OutcomeColumns::of(partner, records.next().flatten(), self.today)
                    }
                };
                sheet.row(&row, said.cells())?;
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! `status`: the state of every invitation, or the whole history of one address.

use std::fmt::Display;
use std::io::Seek;
use std::path::Path;

use clap::Args;
use tempfile::SpooledTempFile;

use super::job;
use super::records::{Selection, label, package_name};
use crate::address::Address;
use crate::config::Config;
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::finding::Finding;
use crate::invitation::State;
use crate::ledger::{Ledger, Reader};
use crate::partners::Partners;
use crate::report::{StatusFormat, StatusRow, StatusWriter};

/// How many bytes of a report are kept in memory.
const IN_MEMORY: usize = 1 << 20;

/// The arguments of `status`.
#[derive(Args, Clone, Debug, Default)]
pub struct StatusOptions {
    /// Show the history of this address
    #[arg(value_parser = Address::parse)]
    pub address: Option<Address>,
    /// The format of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: StatusFormat,
    /// Show only invitations in this state
    #[arg(long, value_enum)]
    pub state: Option<State>,
    /// Show only invitations to this package, by its name in the configuration or its id
    #[arg(long, value_name = "NAME|ID")]
    pub package: Option<String>,
}

/// Writes the state of the campaign to stdout.
///
/// # Errors
/// If there is no ledger (78), or the address or package is not in it (65).
pub async fn run(path: &Path, options: &StatusOptions, console: &mut Console<'_>) -> Result<Exit> {
    let config = Config::load(path)?;
    Ledger::check(&config.ledger)?;
    let reader = Reader::open(&config.ledger, None)?;
    if let Some(doubt) = reader.staleness {
        let files = &config.ledger;
        let doubt = doubt.describe(files);
        console.report([&Finding::warning("ledger", files.file.display(), doubt)]);
    }
    let list = job::current_list(&config);
    // Written to a temporary file first, so that a slow reader of stdout does not hold the snapshot.
    let mut written = SpooledTempFile::new(IN_MEMORY);
    reader.begin_snapshot().await?;
    write(&mut written, &config, options, &reader, list, console).await?;
    reader.end_snapshot().await?;
    written.rewind().map_err(no_room)?;
    // A closed pipe is not an error, see `Output`.
    let _ = std::io::copy(&mut written, console.out);
    Ok(Exit::Done)
}

fn no_room(error: impl Display) -> CommandError {
    let message = format!(
        "cannot write the report to a temporary file: {error}; make room in the folder for temporary files, or set TMPDIR"
    );
    CommandError::new(Exit::CannotWrite, message)
}

/// Writes the report from one snapshot of the ledger.
async fn write(
    out: &mut SpooledTempFile,
    config: &Config,
    options: &StatusOptions,
    reader: &Reader,
    list: Option<Partners>,
    console: &Console<'_>,
) -> Result<()> {
    let selection = Selection {
        address: options.address.as_ref(),
        state: options.state,
        package: options.package.as_deref(),
    };
    let filter = selection.filter(config, reader).await?;
    let campaign = &config.campaign;
    let mut page = reader.page(campaign, &filter, 0).await?;
    if let (Some(address), true) = (selection.address, page.is_empty()) {
        return Err(selection.not_recorded(address, config, reader).await?);
    }
    let counts = reader.counts(campaign).await?;
    let (format, terminal) = (options.format, console.out_is_terminal);
    let writer = StatusWriter::begin(out, format, terminal, campaign, &counts);
    let mut writer = writer.map_err(no_room)?;
    while let Some(last) = page.last().map(|it| it.id) {
        let mut rows = Vec::with_capacity(page.len());
        for mut record in page {
            record.invitee.package = match format {
                StatusFormat::Text => label(config, &record),
                StatusFormat::Json | StatusFormat::Csv => package_name(config, &record).to_owned(),
            };
            let history = match options.address {
                Some(_) => Some(reader.history(record.id).await?),
                None => None,
            };
            let listed = list.as_ref().map(|it| it.contains(&record.identity));
            rows.push(StatusRow {
                record,
                listed,
                history,
            });
        }
        writer.page(&rows).map_err(no_room)?;
        page = reader.page(campaign, &filter, last).await?;
    }
    writer.finish().map_err(no_room)
}

//! `status`: where every invitation stands, or the whole history of one address.

use std::io::Seek;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tempfile::SpooledTempFile;

use super::{Console, package};
use crate::address::Address;
use crate::config::Config;
use crate::exit::{self, CommandError, Exit, OrExit};
use crate::invitation::State;
use crate::ledger::{Ledger, Reader, RecordFilter};
use crate::partners::Partners;
use crate::report::{Format, StatusRow, StatusWriter};
use crate::templates::Templates;

/// How many bytes of a report are kept in memory.
const IN_MEMORY: usize = 1 << 20;

/// What `status` was asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// The history of this one.
    pub address: Option<Address>,
    /// How to write it.
    pub format: Format,
    /// Only this state.
    pub state: Option<State>,
    /// Only this package, by its key or its id.
    pub package: Option<String>,
}

/// Writes the standing of the campaign to stdout.
///
/// # Errors
/// When there is no ledger (78), or the address or package is not in it (65).
pub async fn run(path: &Path, options: &Options, console: &mut Console<'_>) -> exit::Result<Exit> {
    let config = Config::load(path)?;
    Ledger::check(&config.ledger)?;
    let reader = Reader::open(&config.ledger, None)?;
    if let Some(doubt) = reader.staleness() {
        console.warn(&doubt.describe(&config.ledger));
    }
    let listed = todays_partners(&config);
    // Written to a file first, so that a slow reader of the output does not hold the snapshot.
    let mut written = SpooledTempFile::new(IN_MEMORY);
    reader.begin_snapshot().await?;
    write(&mut written, &config, options, &reader, listed, console).await?;
    reader.end_snapshot().await?;
    written
        .rewind()
        .context("cannot read back the temporary file of the report")
        .or_exit(Exit::CannotWrite)?;
    // A reader who went away, as `head` does, has seen enough.
    let _ = std::io::copy(&mut written, console.out);
    Ok(Exit::Done)
}

/// The report, from one state of the ledger.
async fn write(
    out: &mut SpooledTempFile,
    config: &Config,
    options: &Options,
    reader: &Reader,
    listed: Option<Arc<Partners>>,
    console: &Console<'_>,
) -> exit::Result<()> {
    let package_id = match &options.package {
        Some(text) => Some(package::id_of(config, text, reader).await?),
        None => None,
    };
    let selection = RecordFilter {
        state: options.state,
        package_id,
        address: options.address.as_ref().map(Address::canonical),
    };
    let campaign = &config.campaign;
    let mut page = reader.page(campaign, &selection, 0).await?;
    if let (Some(address), true) = (&options.address, page.is_empty()) {
        let package = options.package.as_deref().zip(package_id);
        return Err(package::not_recorded(config, address, package, reader).await?);
    }
    let counts = reader.counts(campaign).await?;
    let full = |error: std::io::Error| {
        let message = format!("cannot write the report to a temporary file: {error}");
        CommandError::new(Exit::CannotWrite, message)
    };
    let mut writer = StatusWriter::begin(
        out,
        options.format,
        console.out_is_terminal,
        campaign,
        &counts,
    )
    .map_err(full)?;
    while let Some(last) = page.last().map(|it| it.id) {
        let mut rows = Vec::with_capacity(page.len());
        for mut record in page {
            record.invitee.package = match options.format {
                Format::Text => package::label(config, &record),
                Format::Json | Format::Csv => package::name(config, &record).to_owned(),
            };
            let history = match options.address {
                Some(_) => Some(reader.history(record.id).await?),
                None => None,
            };
            let listed = listed.as_ref().map(|it| it.contains(&record.identity));
            rows.push(StatusRow {
                record,
                listed,
                history,
            });
        }
        writer.page(&rows).map_err(full)?;
        page = reader.page(campaign, &selection, last).await?;
    }
    writer.finish().map_err(full)
}

/// Today's file, where it can be read; `status` does not depend on it.
fn todays_partners(config: &Config) -> Option<Arc<Partners>> {
    let templates = Templates::load(&config.templates);
    let locales = templates.as_ref().map_or(&[][..], |it| it.locales());
    let partners = Partners::read(config, locales, &std::env::temp_dir());
    partners.ok().map(Arc::new)
}

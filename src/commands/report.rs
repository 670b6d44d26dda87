//! `report`: a campaign with every partner, run, approval and text, as a page, JSON or CSV.
//!
//! It only reads the ledger, and works during a run. The list and the templates are needed for the text of the
//! messages only: without them, the report says why that is missing.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::records::label;
use super::report_texts::Texts;
use super::runs;
use crate::atomic_file::{AtomicFile, beginning_of};
use crate::config::Config;
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::files::folder_of;
use crate::invitation::{Access, Record};
use crate::ledger::{Ledger, Reader, RecordFilter};
use crate::report::campaign::{
    AboutReport, CampaignFormat, CampaignReport, InvitationRow, MailRow, Parts, is_report,
};
use crate::report::count;

/// The arguments of `report`.
#[derive(Args, Clone, Debug, Default)]
pub struct ReportOptions {
    /// The format of the report
    #[arg(long, value_enum, default_value_t)]
    pub format: CampaignFormat,
    /// The file to write [default: report.html, report.json or report.csv]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Writes the report.
///
/// # Errors
/// If there is no ledger (78), it cannot be read, or the file cannot be written or is no report (74).
pub async fn run(path: &Path, options: &ReportOptions, console: &mut Console<'_>) -> Result<Exit> {
    let format = options.format;
    let out = options.out.clone().unwrap_or_else(|| default_file(format));
    let config = Arc::new(Config::load(path)?);
    Ledger::check(&config.ledger)?;
    refuse_other_files(&out)?;
    let not_written = |error| cannot_write(&out, &error);
    let file = AtomicFile::begin(&out).map_err(not_written)?;
    let scratch = tempfile::tempfile_in(folder_of(&out)).map_err(not_written)?;
    let reader = Reader::open(&config.ledger, None)?;
    let mut warnings = Vec::new();
    warnings.extend(reader.doubt(&config.ledger));
    let mut texts = Texts::load(&config, &mut warnings);

    reader.begin_snapshot().await?;
    let mut report = CampaignReport::begin(format, &config.campaign, scratch);
    let mut after = 0;
    loop {
        let filter = RecordFilter::default();
        let records = reader.page(&config.campaign, &filter, after).await?;
        let Some(last) = records.last() else { break };
        after = last.id;
        let identities: Vec<_> = records.iter().map(|it| it.identity.clone()).collect();
        let access = reader.access_of(identities.clone()).await?;
        let reminded = reader.with_reminders(identities).await?;
        for (records, access) in reminded.into_iter().zip(access) {
            let row = row(&config, &reader, &mut texts, records, access).await?;
            if let Some(row) = row {
                report.add(&row).map_err(not_written)?;
            }
        }
    }
    let (runs, approvals) = runs::all(&reader, &config.campaign).await?;
    let ledger = reader.id().await?;
    reader.end_snapshot().await?;

    for warning in &warnings {
        console.eprint(&format!("warning: {warning}"));
    }
    let parts = Parts {
        about: AboutReport {
            campaign: config.campaign.clone(),
            organization: config.sender.organization.clone(),
            sender: config.sender.address.wire(),
            made: console.now(),
            ledger: ledger.map(|it| format!("{:032x}", u128::from_be_bytes(it))),
            warnings,
        },
        runs,
        approvals,
        messages: texts.messages(console.now()),
    };
    let summary = format!(
        "{}: {}, {}, {}, {}",
        out.display(),
        count(report.total(), "invitation"),
        count(parts.runs.len() as u64, "run"),
        count(parts.approvals.len() as u64, "approval"),
        count(parts.messages.len() as u64, "text")
    );
    report.finish(&parts, file.file()).map_err(not_written)?;
    let owned = reader.give_to_owner(file.file());
    owned.and_then(|()| file.commit()).map_err(not_written)?;
    console.print(&summary);
    Ok(Exit::Done)
}

/// An invitation with its reminders, whose `records` these are, the invitation's first.
async fn row(
    config: &Config,
    reader: &Reader,
    texts: &mut Texts,
    records: Vec<Record>,
    access: Option<Access>,
) -> Result<Option<InvitationRow>> {
    let Some(invitation) = records.first() else {
        return Ok(None);
    };
    let package = label(config, invitation);
    let listed = texts.is_listed(&invitation.identity);
    let invited = invitation.invited();
    let mut mails = Vec::with_capacity(records.len());
    for record in records {
        let history = reader.history(record.id).await?;
        let is_reminder = record.identity.occasion.is_reminder();
        let reminds_of = is_reminder.then_some(&invited);
        mails.push(MailRow {
            text_verified: texts.verify((&record, &history), reminds_of, &package),
            record,
            history,
        });
    }
    let mut mails = mails.into_iter();
    Ok(mails.next().map(|mail| InvitationRow {
        mail,
        reminders: mails.collect(),
        package,
        listed,
        access,
    }))
}

/// The report of a format, if no other file is named.
fn default_file(format: CampaignFormat) -> PathBuf {
    format!("report.{}", format.ending()).into()
}

/// The reports of all formats, if no other files are named.
pub fn default_files() -> impl Iterator<Item = PathBuf> {
    let formats = CampaignFormat::value_variants().iter().copied();
    formats.map(default_file)
}

/// Removes a report; gives whether there was one. A file that is no report stays.
///
/// # Errors
/// If it cannot be read or removed.
pub fn remove(report: &Path) -> Result<bool> {
    let failed = |error: std::io::Error| {
        let message = format!("cannot remove the report `{}`: {error}", report.display());
        CommandError::new(Exit::CannotWrite, message)
    };
    match beginning_of(report) {
        Ok(beginning) if is_report(&beginning) => {}
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    }
    std::fs::remove_file(report).map_err(failed)?;
    Ok(true)
}

/// Refuses to replace a file that is no report.
fn refuse_other_files(out: &Path) -> Result<()> {
    let found = out.symlink_metadata();
    if found.is_err() {
        return Ok(());
    }
    let beginning = beginning_of(out).map_err(|error| cannot_write(out, &error))?;
    if is_report(&beginning) {
        return Ok(());
    }
    let message = format!(
        "`{}` exists and is not a report, so it is not overwritten; move it away, or name another file with `--out`",
        out.display()
    );
    Err(CommandError::new(Exit::CannotWrite, message))
}

fn cannot_write(out: &Path, error: &std::io::Error) -> CommandError {
    let message = format!(
        "cannot write the report `{}`: {error}; make room, or name another file with `--out`",
        out.display()
    );
    CommandError::new(Exit::CannotWrite, message)
}

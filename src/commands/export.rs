//! `export`: the invitations that are due, as drafts or as texts, for partners who are reached in another way than
//! by the relay. It plans, composes and verifies as `send` does, sends nothing, and records nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::export_folder::{ExportFolder, LIST, file_name};
use super::guards::{last_approval, require_approval, warnings_of_send};
use super::job::{Job, PartnerFilter};
use super::open_ledger;
use super::review_entries::cannot_repeat;
use crate::config::Config;
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::invitation::State;
use crate::message::{draft, subject_and_text};
use crate::partners::Partner;
use crate::plan::Skip;
use crate::report::{count, generated_cell};

/// The beginning of the list; by the mark, spreadsheets read UTF-8.
const LIST_HEAD: &str = "\u{feff}file,email,name,organization,package,locale,subject,link\n";
/// How many partners without a file are named.
const NAMED: usize = 20;

/// The arguments of `export`.
#[derive(Args, Clone, Debug)]
pub struct ExportOptions {
    /// The folder to write: new, empty, or that of an earlier export
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t)]
    pub format: ExportFormat,
    /// Which partners.
    #[command(flatten)]
    pub filter: PartnerFilter,
}

/// What an export writes for each partner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A draft (.eml) that Outlook opens for sending
    #[default]
    Drafts,
    /// A text, and a list of all as CSV
    Text,
}

/// Writes the files.
///
/// # Errors
/// Whatever would stop a `preview`.
pub async fn run(path: &Path, options: &ExportOptions, console: &mut Console<'_>) -> Result<Exit> {
    let config = Arc::new(Config::load(path)?);
    let folder = ExportFolder::prepare(&options.folder)?;
    let scratch = open_ledger::scratch_folder(&std::env::temp_dir())?;
    let job = Job::load(config.clone(), scratch.path())?;
    job.partners.refuse_bad_rows(config.partners.bad_rows)?;
    let (reader, missing) = open_ledger::read_only(&config, Some(scratch.path())).await?;
    console.report(&missing);
    let now = console.now();
    let mut plan = job.plan(&options.filter, now);
    let (summary, changed) = job.verify_all(&mut plan, &reader, now).await?;
    let mut warnings = job.warnings();
    warnings.extend(job.skipped_rows());
    let recorded = last_approval(&job, &reader).await?;
    let approved = require_approval(&job, None, recorded.as_ref());
    let error = approved.as_ref().err();
    warnings.extend(warnings_of_send(&job, &summary, &reader, error, now).await?);
    warnings.extend(changed.iter().map(|it| cannot_repeat(&job, it)));
    console.report(&warnings);

    folder.clear()?;
    let mut export = Export::new(folder, options.format);
    let by_name = !options.filter.only.is_empty();
    let mut pages = plan.pages();
    while let Some(page) = pages.next_page(&reader).await? {
        for entry in page {
            let partner = &entry.partner;
            if let Some(skip) = &entry.skip
                && !(by_name && is_not_reached(skip))
            {
                export.skip(partner, skip);
                continue;
            }
            let id = entry.message_id(&reader.key, job.composer.sender_domain());
            let composed = job
                .composer
                .draft(partner, &id, None)
                .compose_and_verify(now);
            let (message, _) = composed.map_err(|it| CommandError::new(Exit::Config, it))?;
            let locale = job.composer.locale_for(partner).to_string();
            export.add(partner, &locale, &message.bytes)?;
        }
    }
    export.finish(&options.folder, console)?;
    Ok(Exit::Done)
}

/// Whether mail did not reach the partner, so that the export is for exactly this case if it names the partner.
fn is_not_reached(skip: &Skip) -> bool {
    use State::{Abandoned, Bounced, Expired, Rejected};
    let states = [Abandoned, Bounced, Expired, Rejected];
    states.iter().any(|it| *skip == Skip::State(*it)) || matches!(skip, Skip::Waiting(_))
}

/// The files of an export.
struct Export {
    folder: ExportFolder,
    format: ExportFormat,
    written: u64,
    list: csv::Writer<Vec<u8>>,
    /// Partners without a file, the first with the reason.
    skipped: u64,
    first_skipped: Vec<String>,
}

impl Export {
    fn new(folder: ExportFolder, format: ExportFormat) -> Self {
        Self {
            folder,
            format,
            written: 0,
            list: csv::Writer::from_writer(Vec::new()),
            skipped: 0,
            first_skipped: Vec::new(),
        }
    }

    /// Writes the file of a partner.
    fn add(&mut self, partner: &Partner, locale: &str, message: &[u8]) -> Result<()> {
        self.written += 1;
        let address = partner.address.as_written();
        if self.format == ExportFormat::Drafts {
            let name = file_name(self.written, address, "eml");
            return self.folder.write(&name, &draft(message));
        }
        let parts = subject_and_text(message);
        let (subject, text) = parts.expect("the message was verified");
        let name = file_name(self.written, address, "txt");
        self.folder.write(&name, text.as_bytes())?;
        let row = [
            &name,
            address,
            partner.name.as_deref().unwrap_or_default(),
            partner.organization.as_deref().unwrap_or_default(),
            &partner.package.key,
            locale,
            &subject,
            partner.package.link.as_str(),
        ];
        let written = self.list.write_record(row.map(generated_cell));
        written.map_err(|error| CommandError::new(Exit::InternalError, error))
    }

    fn skip(&mut self, partner: &Partner, skip: &Skip) {
        self.skipped += 1;
        if self.first_skipped.len() < NAMED {
            let line = format!("not exported: {} ({skip})", partner.address);
            self.first_skipped.push(line);
        }
    }

    /// Writes the list, and prints what was done and what comes next.
    fn finish(self, folder: &Path, console: &mut Console<'_>) -> Result<()> {
        if self.format == ExportFormat::Text && self.written > 0 {
            let list = self.list.into_inner();
            let list = list.map_err(|it| CommandError::new(Exit::InternalError, it))?;
            self.folder
                .write(LIST, &[LIST_HEAD.as_bytes(), &list].concat())?;
        }
        for line in &self.first_skipped {
            console.print(line);
        }
        let more = self.skipped - self.first_skipped.len() as u64;
        if more > 0 {
            console.print(&format!("not exported: {more} more"));
        }
        let what = match self.format {
            ExportFormat::Drafts => "draft",
            ExportFormat::Text => "text",
        };
        let written = count(self.written, what);
        let folder = folder.display();
        console.print(&match self.written {
            0 => format!("nothing is due, so `{folder}` is empty"),
            _ => format!(
                "{written} written to `{folder}`, nothing sent, nothing recorded; record each that you have delivered: access-invite resolve ADDRESS --as accepted --note \"how\""
            ),
        });
        Ok(())
    }
}

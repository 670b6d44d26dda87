//! `preview`, which is `send --dry-run`: writes what would be sent as files.
//!
//! It plans, composes and verifies as `send` does, but opens no connection, reads no secret, and writes
//! nothing outside its folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::guards::{
    self, PREVIEW, last_approval, listed_although_forgotten, require_approval, warnings_of_send,
};
use super::job::{Job, PartnerFilter, describe};
use super::open_ledger;
use super::preflight::cached_findings;
use super::review_entries::{cannot_repeat, fill, preview_entry};
use crate::approval::{self, Digest};
use crate::config::Config;
use crate::console::Console;
use crate::exit::{Exit, Result, failed};
use crate::plan::PlannedInvitation;
use crate::review::{APPROVAL, About, AboutApproval, Access, Folder, Review};

/// The arguments of `preview`, and those of `send --dry-run` and `send --sandbox`.
#[derive(Args, Clone, Debug, Default)]
pub struct PreviewOptions {
    /// Which partners.
    #[command(flatten)]
    pub filter: PartnerFilter,
    /// Where to write the review
    #[arg(long, value_name = "DIR", default_value = PREVIEW)]
    pub out: PathBuf,
    /// Let the group of the folder read the review
    #[arg(long)]
    pub shared: bool,
}

/// Writes a review of what a `send` would do.
///
/// # Errors
/// Whatever would stop a `send`, except for approval and guards, which are warnings here.
pub async fn run(path: &Path, options: &PreviewOptions, console: &mut Console<'_>) -> Result<Exit> {
    let PreviewOptions {
        filter,
        out,
        shared,
    } = options;
    let config = Arc::new(Config::load(path)?);
    let folder = Folder::prepare(out, Access::shared(*shared))?;
    let job = Job::load(config.clone(), folder.path())?;
    job.partners.refuse_bad_rows(config.partners.bad_rows)?;
    let (reader, missing) = open_ledger::read_only(&config, Some(folder.path())).await?;
    console.report(&missing);
    let mut plan = job.plan_with_reminders(filter, console.now());
    let (summary, changed) = job.verify_all(&mut plan, &reader, console.now()).await?;
    let recorded = last_approval(&job, &reader).await?;
    let approved = require_approval(&job, None, recorded.as_ref());
    let mut warnings = job.warnings();
    warnings.extend(job.skipped_rows());
    let now = console.now();
    let error = approved.as_ref().err();
    warnings.extend(warnings_of_send(&job, &summary, &reader, error, now).await?);
    warnings.extend(listed_although_forgotten(&job, &summary));
    warnings.extend(cached_findings(&config, now));
    warnings.extend(changed.iter().map(|it| cannot_repeat(&job, it)));
    console.report(&warnings);

    let proposal = out.join(APPROVAL);
    // A partial review does not show everything that an approval would cover.
    let inputs = (!filter.is_partial()).then(|| job.inputs());
    let given = config.approval.apply() && approved.is_ok();
    let approval = match &inputs {
        Some(inputs) => {
            let rules = &config.approval;
            let command = approval::exact_command(inputs.digest(), &proposal, rules, path);
            let command = command.map_err(failed(Exit::CannotWrite, "no current folder"))?;
            Some(AboutApproval { command, given })
        }
        None => None,
    };
    let titles = ("Preview of invitations", "What a send would mail now");
    let about = About {
        approval,
        ..job.about(titles, &warnings, filter, now)
    };
    let mut review = Review::begin(folder, about)?;
    let entry = async |it: &PlannedInvitation| preview_entry(&job, &reader, it, now).await;
    let skipped = fill(&mut review, &job, &plan, (&reader, true), entry).await?;
    if let Some(inputs) = &inputs {
        inputs.write(&proposal, now)?;
        review.adopt_approval()?;
    }
    let (index, _) = review.finish()?;
    skipped.print(console);
    console.print(&format!(
        "{} would be sent, {}; open {}",
        describe(&summary),
        skipped.describe(),
        index.display()
    ));
    let digest = inputs.map(|it| it.digest());
    print_approval(digest, given, &config, (path, &proposal), console);
    Ok(Exit::Done)
}

/// Prints the digest, and how to approve it from the current folder.
fn print_approval(
    digest: Option<Digest>,
    given: bool,
    config: &Config,
    (path, proposal): (&Path, &Path),
    console: &mut Console<'_>,
) {
    let text = match digest {
        Some(digest) if given => format!("digest of the inputs: {digest}, already approved"),
        Some(digest) => {
            let command = match &config.approval.file {
                _ if config.approval.required => {
                    let digest = if proposal == guards::proposal() {
                        String::new()
                    } else {
                        format!(" {digest}")
                    };
                    format!("access-invite approve{digest}{}", option(path))
                }
                Some(file) => approval::command(proposal, file),
                None => format!("access-invite send --approved {digest}{}", option(path)),
            };
            format!("digest of the inputs: {digest}\nto approve it: {command}")
        }
        None if config.approval.apply() => {
            "a partial preview cannot be approved; run it without --only and --limit".into()
        }
        None => return,
    };
    console.print(&text);
}

/// The option for a configuration that is not the default one.
fn option(config: &Path) -> String {
    if config == Path::new("config.toml") {
        return String::new();
    }
    format!(" --config {}", approval::quoted(config))
}

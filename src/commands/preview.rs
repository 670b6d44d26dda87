//! `preview`, which is `send --dry-run`: writes what would be sent as files.
//!
//! It plans, composes and verifies as `send` does, but opens no connection, reads no secret, and writes
//! nothing outside its folder.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::guards::{PREVIEW, require_approval, warnings_of_send};
use super::job::{Job, PartnerFilter, describe};
use super::open_ledger;
use super::preflight::cached_findings;
use super::review_entries::{cannot_repeat, fill, leave_out, preview_entry};
use crate::approval;
use crate::config::Config;
use crate::console::Console;
use crate::exit::{Exit, Result};
use crate::plan::PlannedInvitation;
use crate::report::count;
use crate::review::{APPROVAL, About, AboutApproval, Folder, Review};

/// The arguments of `preview`.
#[derive(Args, Clone, Debug, Default)]
pub struct PreviewOptions {
    /// Which partners.
    #[command(flatten)]
    pub filter: PartnerFilter,
    /// Where to write the review
    #[arg(long, value_name = "DIR", default_value = PREVIEW)]
    pub out: PathBuf,
}

/// Writes a review of what a `send` would do.
///
/// # Errors
/// Whatever would stop a `send`, except for approval and guards, which are warnings here.
pub async fn run(
    path: &Path,
    out: &Path,
    filter: &PartnerFilter,
    console: &mut Console<'_>,
) -> Result<Exit> {
    let config = Arc::new(Config::load(path)?);
    let folder = Folder::prepare(out)?;
    let job = Job::load(config.clone(), folder.path())?;
    job.partners.refuse_bad_rows(config.partners.bad_rows)?;
    let reader = open_ledger::read_only(&config, Some(folder.path()), console).await?;
    let plan = job.plan(filter, console.now());
    let mut summary = job.summarize(&plan, &reader).await?;
    let changed = job.verify(&plan, &reader, console.now()).await?.changed;
    let approved = require_approval(&job, None);
    let mut warnings = job.warnings();
    warnings.extend(job.skipped_rows());
    let now = console.now();
    let error = approved.as_ref().err();
    warnings.extend(warnings_of_send(&job, &summary, &reader, error, now).await?);
    warnings.extend(cached_findings(&config, now));
    warnings.extend(changed.iter().map(|it| cannot_repeat(&job, it)));
    leave_out(&job, &changed, &mut summary);
    console.report(&warnings);

    let proposal = out.join(APPROVAL);
    // A partial review does not show everything that an approval would cover.
    let inputs = (!filter.is_partial()).then(|| job.inputs());
    let approval = inputs.as_ref().map(|it| AboutApproval {
        digest: it.digest().to_string(),
        command: match &config.approval {
            Some(file) => approval::command(&proposal, file),
            None => format!("access-invite send --approved {}", it.digest()),
        },
        given: config.approval.is_some() && approved.is_ok(),
    });
    let titles = ("Preview of invitations", "What a send would mail now");
    let about = About {
        approval: approval.clone(),
        ..job.about(titles, &warnings, filter, now)
    };
    let mut review = Review::begin(folder, about)?;
    let changed: HashSet<u64> = changed.iter().map(|it| it.partner.line).collect();
    let entry = |it: &PlannedInvitation| preview_entry(&job, &reader, &changed, it, now);
    let skipped = fill(&mut review, &plan, &reader, entry).await?;
    if let Some(inputs) = &inputs {
        inputs.write(&proposal, now)?;
    }
    let (index, _) = review.finish()?;
    skipped.print(console);
    console.print(&format!(
        "{} would be sent, {} not mailed; open {}",
        describe(&summary),
        count(skipped.total, "partner"),
        index.display()
    ));
    print_approval(approval, &config, console);
    Ok(Exit::Done)
}

/// Prints the digest, and how to approve it.
fn print_approval(approval: Option<AboutApproval>, config: &Config, console: &mut Console<'_>) {
    let text = match approval {
        Some(it) if it.given => format!("digest of the inputs: {}, already approved", it.digest),
        Some(it) => format!(
            "digest of the inputs: {}\nto approve it: {}",
            it.digest, it.command
        ),
        None if config.approval.is_some() => {
            "a partial preview cannot be approved; run it without --only and --limit".into()
        }
        None => return,
    };
    console.print(&text);
}

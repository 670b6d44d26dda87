//! `preview`, which is `send --dry-run`: what a send would send now, as files to open.
//!
//! The same plan, the same composing, the same verification; no socket, no secret, and
//! nothing written outside the folder.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::guards::{approval_error, guards};
use super::{Console, Job, PartnerFilter, about, describe, open_read_only};
use crate::approval;
use crate::config::Config;
use crate::exit::{self, Exit, OrExit};
use crate::ledger::Reader;
use crate::plan::{Plan, PlannedInvitation};
use crate::report::count;
use crate::review::{self, About, AboutApproval, Folder, Note, Review, ReviewedMessage};

/// How many partners who are not mailed are named on stdout.
const NAMED: u64 = 20;

/// Writes the review of what a send would do into `out`.
///
/// # Errors
/// Whatever would keep a send from sending, but for guards, which are warnings here.
pub async fn run(
    path: &Path,
    out: &Path,
    choice: &PartnerFilter,
    console: &mut Console<'_>,
) -> exit::Result<Exit> {
    let config = Arc::new(Config::load(path)?);
    let folder = Folder::prepare(out).or_exit(Exit::CannotWrite)?;
    let job = Job::load(config.clone(), folder.path())?;
    job.partners.refuse_bad_rows(config.partners.bad_rows)?;
    let reader = open_read_only(&config, Some(folder.path()), console).await?;
    let plan = job.plan(choice, (console.clock)());
    let mut summary = job.summarize(&plan, &reader).await?;
    let mut warnings = job.warnings();
    warnings.extend(skipped_rows(&job));
    // An approval that cannot be read stops a send, but nobody from looking.
    let approval_error = approval_error(&job, None).unwrap_or_else(|it| Some(it.to_string()));
    let doubt = reader.staleness().map(|it| it.describe(&config.ledger));
    let guards = guards(&job, &summary, &reader, false, (console.clock)()).await?;
    let stopping = doubt.iter().chain(&approval_error).chain(&guards);
    warnings.extend(stopping.map(|it| format!("a real send would stop: {it}")));
    let changed = job.verify(&plan, &reader, (console.clock)()).await?.changed;
    for entry in &changed {
        warnings.push(format!(
            "{}: the message to be repeated has changed since, so a send would put it back to unknown",
            entry.partner.address
        ));
        let locale = job.composer.locale_for(&entry.partner).to_string();
        summary.due -= 1;
        if let Some(count) = summary.locales.get_mut(&locale) {
            *count -= 1;
        }
    }
    summary.locales.retain(|_, count| *count > 0);
    let changed: HashSet<u64> = changed.iter().map(|it| it.partner.line).collect();
    for warning in &warnings {
        console.warn(warning);
    }
    let (title, lead) = ("Preview of invitations", "What a send would mail now");
    let made = (console.clock)();
    // Whoever has seen a part of what will be sent has not seen what they would approve.
    let inputs = (!choice.is_partial()).then(|| job.inputs());
    let proposal = out.join(review::APPROVAL);
    let approval = inputs.as_ref().map(|it| {
        let given = config.approval.is_some() && approval_error.is_none();
        about_approval(&config, &it.digest().to_string(), &proposal, given)
    });
    let about = About {
        warnings,
        partial: choice.is_partial(),
        approval: approval.clone(),
        ..about(&config, title, lead, made)
    };
    let mut review = Review::begin(folder, about)
        .context("cannot write the review")
        .or_exit(Exit::CannotWrite)?;
    let left_out = write(&job, &plan, &reader, &changed, &mut review, console).await?;
    if let Some(inputs) = &inputs {
        inputs.write(&proposal, made)?;
    }
    review
        .finish()
        .context("cannot write the review")
        .or_exit(Exit::CannotWrite)?;
    console.print(&format!(
        "{} would be sent, {} not mailed; look at {}",
        describe(&summary),
        count(left_out, "partner"),
        out.join("index.html").display()
    ));
    match approval {
        Some(it) if it.given => {
            console.print(&format!(
                "digest of the inputs: {}, approved already",
                it.digest
            ));
        }
        Some(it) => {
            console.print(&format!("digest of the inputs: {}", it.digest));
            console.print(&format!("when all is right, approve it: {}", it.command));
        }
        None if config.approval.is_some() => {
            console.print("a preview of a part cannot be approved; leave out --only and --limit");
        }
        None => {}
    }
    Ok(Exit::Done)
}

/// The bad rows that the configuration says to go without.
fn skipped_rows(job: &Job) -> Option<String> {
    let rows = count(job.partners.bad(), "bad row");
    let described = job.partners.describe_bad_rows();
    (job.partners.bad() > 0).then(|| format!("{rows} left out:\n{described}"))
}

/// How what a review shows is approved.
fn about_approval(config: &Config, digest: &str, proposal: &Path, given: bool) -> AboutApproval {
    let command = match &config.approval {
        Some(file) => approval::command(proposal, file),
        None => format!("access-invite send --approved {digest}"),
    };
    AboutApproval {
        digest: digest.to_owned(),
        command,
        given,
    }
}

async fn write(
    job: &Job,
    plan: &Plan,
    reader: &Reader,
    changed: &HashSet<u64>,
    review: &mut Review,
    console: &mut Console<'_>,
) -> exit::Result<u64> {
    let now = (console.clock)();
    let mut left_out = 0;
    let mut pages = plan.pages();
    while let Some(page) = pages.next_page(reader).await? {
        for entry in page {
            let why = match &entry.skip {
                Some(skip) => Some((skip.kind(), skip.to_string())),
                None if changed.contains(&entry.partner.line) => {
                    let why = "the message to be repeated has changed since";
                    Some((why.to_owned(), why.to_owned()))
                }
                None => None,
            };
            let partner = &entry.partner;
            let written = match why {
                None => {
                    let id = entry.message_id(reader.key(), job.config.sender.address.domain());
                    let (message, verification) = job
                        .composer
                        .compose_and_verify(partner, &id, entry.date(now))
                        .or_exit(Exit::InternalError)?;
                    review.add(&ReviewedMessage {
                        message: &message.bytes,
                        partner,
                        verification,
                        notes: notes(job, &entry),
                    })
                }
                Some((kind, why)) => {
                    left_out += 1;
                    if left_out <= NAMED {
                        console.print(&format!("not mailed: {} ({why})", partner.address));
                    }
                    review.leave_out(partner, &kind, &why)
                }
            };
            written
                .context("cannot write the review")
                .or_exit(Exit::CannotWrite)?;
        }
    }
    if left_out > NAMED {
        console.print(&format!(
            "not mailed: and {} more, listed in the review",
            left_out - NAMED
        ));
    }
    Ok(left_out)
}

/// What deserves a second look about a message, or makes it another try.
fn notes(job: &Job, entry: &PlannedInvitation) -> Vec<Note> {
    let mut notes = job.notes(&entry.partner);
    if !job.config.limits.allow(&entry.partner.address) {
        notes.push(Note {
            kind: "not in only_to",
            text: "`limits.only_to` does not allow this address, so a send would stop".into(),
        });
    }
    let attempts = entry.standing.as_ref().map_or(0, |it| it.attempts);
    if attempts > 0 {
        notes.push(Note {
            kind: "tried before",
            text: format!("after {}", count(u64::from(attempts), "attempt")),
        });
    }
    notes
}

//! Filling a review with a plan: messages, and partners who are not mailed.

use std::collections::HashSet;

use jiff::Timestamp;

use super::job::Job;
use crate::address::Address;
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::finding::Finding;
use crate::ledger::Reader;
use crate::plan::{Plan, PlanSummary, PlannedInvitation, Skip};
use crate::report::count;
use crate::review::{Note, Review, ReviewedMessage};

/// How many partners who are not mailed are kept by name.
const NAMED: usize = 20;

/// What a review shows of a planned invitation.
pub enum ReviewEntry {
    /// A finished message.
    Message(ReviewedMessage),
    /// None: the kind of reason, and the reason.
    Skipped(String, String),
}

impl ReviewEntry {
    /// No message, because the plan skips the partner.
    pub fn skipped(skip: &Skip) -> Self {
        Self::Skipped(skip.kind(), skip.to_string())
    }
}

/// The partners who are not mailed.
#[derive(Default)]
pub struct SkippedPartners {
    /// How many there are.
    pub total: u64,
    /// The first of them, with the reason.
    pub first: Vec<(Address, String)>,
}

/// Adds every invitation of the plan to the review.
///
/// # Errors
/// If the list or the ledger cannot be read, an entry fails, or the review cannot be written.
pub async fn fill(
    review: &mut Review,
    plan: &Plan,
    reader: &Reader,
    entry_of: impl Fn(&PlannedInvitation) -> Result<ReviewEntry>,
) -> Result<SkippedPartners> {
    let mut skipped = SkippedPartners::default();
    let mut pages = plan.pages();
    while let Some(page) = pages.next_page(reader).await? {
        for invitation in page {
            let partner = &invitation.partner;
            match entry_of(&invitation)? {
                ReviewEntry::Message(message) => review.add(partner, &message)?,
                ReviewEntry::Skipped(kind, reason) => {
                    review.skip(partner, &kind, &reason)?;
                    skipped.total += 1;
                    if skipped.first.len() < NAMED {
                        skipped.first.push((partner.address.clone(), reason));
                    }
                }
            }
        }
    }
    Ok(skipped)
}

impl SkippedPartners {
    /// Prints the first ones, and how many more there are.
    pub fn print(&self, console: &mut Console<'_>) {
        for (address, reason) in &self.first {
            console.print(&format!("not mailed: {address} ({reason})"));
        }
        let more = self.total - self.first.len() as u64;
        if more > 0 {
            console.print(&format!(
                "not mailed: and {more} more, listed in the review"
            ));
        }
    }
}

/// The entry of a preview: the message composed anew, or why there is none. `changed` are the lines of
/// messages that could not be repeated.
///
/// # Errors
/// If a message that was verified fails now.
pub fn preview_entry(
    job: &Job,
    reader: &Reader,
    changed: &HashSet<u64>,
    invitation: &PlannedInvitation,
    now: Timestamp,
) -> Result<ReviewEntry> {
    let partner = &invitation.partner;
    if let Some(skip) = &invitation.skip {
        return Ok(ReviewEntry::skipped(skip));
    }
    if changed.contains(&partner.line) {
        let reason = "the message has changed since it was sent";
        return Ok(ReviewEntry::Skipped(reason.into(), reason.into()));
    }
    let id = invitation.message_id(&reader.key, job.config.sender.address.domain());
    let date = invitation.date(now);
    let composed = job.composer.compose_and_verify(partner, &id, date);
    let (message, verification) =
        composed.map_err(|it| CommandError::new(Exit::InternalError, it))?;
    let mut notes = job.notes(partner);
    if !job.config.limits.allow(&partner.address) {
        let text = "`limits.only_to` does not allow this address, so a send would stop".into();
        let kind = "not in only_to";
        notes.push(Note { kind, text });
    }
    let attempts = invitation.standing.as_ref().map_or(0, |it| it.attempts);
    if attempts > 0 {
        let text = format!("after {}", count(u64::from(attempts), "attempt"));
        let kind = "tried before";
        notes.push(Note { kind, text });
    }
    Ok(ReviewEntry::Message(ReviewedMessage {
        bytes: message.bytes,
        verification,
        notes,
    }))
}

/// The warning about a resend that could no longer repeat the same bytes.
pub fn cannot_repeat(job: &Job, invitation: &PlannedInvitation) -> Finding {
    let partner = &invitation.partner;
    let at = format!("{}:{}", job.config.partners.path.display(), partner.line);
    let message = format!(
        "{}: the message has changed since it was sent, so a send could not repeat it and would make it unknown; `resolve --as resend --changed` sends it as it is now",
        partner.address
    );
    Finding::warning("resend", at, message)
}

/// Subtracts messages that could not be repeated from the counts.
pub fn leave_out(job: &Job, changed: &[PlannedInvitation], summary: &mut PlanSummary) {
    for invitation in changed {
        let locale = job.composer.locale_for(&invitation.partner).to_string();
        summary.due -= 1;
        summary.locales.entry(locale).and_modify(|it| *it -= 1);
    }
    summary.locales.retain(|_, count| *count > 0);
}

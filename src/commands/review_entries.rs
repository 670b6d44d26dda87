//! Filling a review with a plan: messages, and partners who are not mailed.

use jiff::Timestamp;

use super::job::Job;
use crate::address::Address;
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::finding::Finding;
use crate::invitation::{Event, Occasion, RoadStep, State, road};
use crate::ledger::Reader;
use crate::partners::{RowFinding, RowKind};
use crate::plan::{Plan, PlannedInvitation, Skip};
use crate::report::count;
use crate::review::{Earlier, Note, Review, ReviewedMessage, Skipped};

/// How many partners who are not mailed are kept by name.
const NAMED: usize = 20;

/// What a review shows of a planned invitation.
pub enum ReviewEntry {
    /// A finished message.
    Message(ReviewedMessage),
    /// None: the kind of reason, the reason, and earlier messages.
    Skipped(String, String, Option<Earlier>),
}

impl ReviewEntry {
    /// No message, because the plan skips the partner.
    pub fn skipped(skip: &Skip, earlier: Option<Earlier>) -> Self {
        Self::Skipped(skip.kind(), skip.to_string(), earlier)
    }
}

/// The partners who are not mailed.
#[derive(Default)]
pub struct SkippedPartners {
    /// How many there are, without bad rows.
    pub total: u64,
    /// How many rows are bad.
    pub bad_rows: u64,
    /// How many of them were mailed before, and need no attention.
    mailed: u64,
    /// The first of those, with the reason.
    first_mailed: Vec<(Address, String)>,
    /// The first of the others, with the reason.
    first: Vec<(Address, String)>,
}

/// Adds every invitation of the plan, and the bad rows, to the review; with `recorded`, also what the ledger says has
/// happened to each partner so far.
///
/// # Errors
/// If the list or the ledger cannot be read, an entry fails, or the review cannot be written.
pub async fn fill(
    review: &mut Review,
    job: &Job,
    plan: &Plan,
    (reader, recorded): (&Reader, bool),
    entry_of: impl AsyncFn(&PlannedInvitation) -> Result<ReviewEntry>,
) -> Result<SkippedPartners> {
    let mut skipped = SkippedPartners::default();
    let mut pages = plan.pages();
    while let Some(page) = pages.next_page(reader).await? {
        let roads = if recorded {
            roads(&page, reader).await?
        } else {
            vec![Vec::new(); page.len()]
        };
        for (invitation, road) in page.into_iter().zip(roads) {
            let partner = &invitation.partner;
            match entry_of(&invitation).await? {
                ReviewEntry::Message(message) => review.add(partner, &message, &road)?,
                ReviewEntry::Skipped(kind, reason, earlier) => {
                    review.skip(&Skipped {
                        name: partner.name.as_deref().unwrap_or_default(),
                        address: &partner.address.wire(),
                        organization: partner.organization.as_deref().unwrap_or_default(),
                        package: &partner.package.key,
                        line: partner.line,
                        kind: &kind,
                        why: &reason,
                        earlier,
                        road: &road,
                    })?;
                    skipped.add(&partner.address, &kind, reason);
                }
            }
        }
    }
    skipped.bad_rows = job.partners.bad();
    if skipped.bad_rows > 0 {
        add_bad_rows(review, job)?;
    }
    Ok(skipped)
}

/// What has happened to each of these partners so far.
async fn roads(page: &[PlannedInvitation], reader: &Reader) -> Result<Vec<Vec<RoadStep>>> {
    let invitation = |it: &PlannedInvitation| it.identity.on(Occasion::Invitation);
    let identities: Vec<_> = page.iter().map(invitation).collect();
    let access = reader.access_of(identities.clone()).await?;
    let records = reader.with_reminders(identities).await?;
    let roads = records.iter().zip(&access).map(|(records, access)| {
        let (invitation, reminders) = match records.as_slice() {
            [invitation, reminders @ ..] => (Some(invitation), reminders),
            [] => (None, &[][..]),
        };
        road(invitation, reminders, access.as_ref())
    });
    Ok(roads.collect())
}

/// Adds every bad row, with all that is wrong with it.
fn add_bad_rows(review: &mut Review, job: &Job) -> Result<()> {
    for row in job.partners.source_rows() {
        let row = row?;
        let RowKind::Bad(findings) = row.kind else {
            continue;
        };
        let reasons: Vec<_> = findings.iter().map(RowFinding::without_line).collect();
        review.skip(&Skipped {
            address: &format!("line {}", row.line),
            line: row.line,
            kind: "bad row",
            why: &reasons.join("; "),
            ..Skipped::default()
        })?;
    }
    Ok(())
}

impl SkippedPartners {
    fn add(&mut self, address: &Address, kind: &str, reason: String) {
        self.total += 1;
        let was_mailed = [State::Accepted, State::Delivered]
            .iter()
            .any(|it| Skip::State(*it).kind() == kind);
        self.mailed += u64::from(was_mailed);
        let first = if was_mailed {
            &mut self.first_mailed
        } else {
            &mut self.first
        };
        if first.len() < NAMED {
            first.push((address.clone(), reason));
        }
    }

    /// `3 partners not mailed`, and the bad rows if there are any.
    pub fn describe(&self) -> String {
        let partners = count(self.total, "partner");
        let bad = match self.bad_rows {
            0 => String::new(),
            rows => format!(", {} skipped", count(rows, "bad row")),
        };
        format!("{partners} not mailed{bad}")
    }

    /// Prints the first ones, and how many more there are. If there are many, partners who were mailed before
    /// are only counted.
    pub fn print(&self, console: &mut Console<'_>) {
        let name_all = self.total <= NAMED as u64;
        let mailed = self.first_mailed.iter().filter(|_| name_all);
        for (address, reason) in self.first.iter().chain(mailed) {
            console.print(&format!("not mailed: {address} ({reason})"));
        }
        let more = self.total - self.mailed - self.first.len() as u64;
        if more > 0 {
            console.print(&format!(
                "not mailed: and {more} more, listed in the review"
            ));
        }
        if self.mailed > 0 && !name_all {
            let partners = count(self.mailed, "partner");
            console.print(&format!(
                "not mailed: {partners} accepted or delivered already"
            ));
        }
    }
}

/// The entry of a preview: the message composed anew, or why there is none.
///
/// # Errors
/// If the ledger cannot be read, or a message that was verified fails now.
pub async fn preview_entry(
    job: &Job,
    reader: &Reader,
    invitation: &PlannedInvitation,
    now: Timestamp,
) -> Result<ReviewEntry> {
    let partner = &invitation.partner;
    if let Some(skip) = &invitation.skip {
        return Ok(ReviewEntry::skipped(skip, recorded(invitation)));
    }
    let id = invitation.message_id(&reader.key, job.config.sender.address.domain());
    let date = invitation.date(now);
    let reminds_of = invitation.reminds_of.as_ref();
    let draft = job.composer.draft(partner, &id, reminds_of);
    let composed = draft.compose_and_verify(date);
    let (message, verification) =
        composed.map_err(|it| CommandError::new(Exit::InternalError, it))?;
    let mut notes = job.notes(partner);
    if !job.config.limits.allow(&partner.address) {
        let text = "`limits.only_to` does not allow this address, so a send would stop".into();
        let kind = "not in only_to";
        notes.push(Note { kind, text });
    }
    let mut earlier = recorded(invitation);
    if let Some(earlier) = &mut earlier
        && let Some(event) = last_message(reader, invitation).await?
    {
        earlier.at = event.at;
        earlier.state = event.to.to_string();
        earlier.message_id = event.message_id;
    }
    Ok(ReviewEntry::Message(ReviewedMessage {
        bytes: message.bytes,
        verification,
        notes,
        earlier,
        occasion: invitation.identity.occasion,
    }))
}

/// What the ledger records about an invitation of which a delivery was attempted.
fn recorded(invitation: &PlannedInvitation) -> Option<Earlier> {
    let standing = invitation.standing.as_ref()?;
    let mailed = standing.message.map(|it| it.0);
    (standing.attempts > 0).then(|| Earlier {
        attempts: standing.attempts,
        at: mailed.unwrap_or(standing.updated_at),
        state: standing.state.to_string(),
        message_id: standing.message_id.clone(),
        repeats: standing.repeat,
    })
}

/// The last message of an invitation that is due again: one that was handed over, or else the last attempt. A
/// new message has another Message-ID, so the history is read.
async fn last_message(reader: &Reader, invitation: &PlannedInvitation) -> Result<Option<Event>> {
    let identities = vec![invitation.identity.clone()];
    let Some(Some(record)) = reader.records(identities).await?.into_iter().next() else {
        return Ok(None);
    };
    let mut history = reader.history(record.id).await?;
    let was_handed_over = |it: &Event| {
        let may_have_arrived = matches!(
            it.to,
            State::Accepted | State::Delivered | State::Bounced | State::Unknown
        );
        it.from == Some(State::Armed) && may_have_arrived
    };
    let last = history.iter().rposition(was_handed_over);
    let last = last.or_else(|| history.iter().rposition(|it| it.phase.is_some()));
    Ok(last.map(|it| history.swap_remove(it)))
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

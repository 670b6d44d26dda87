//! Composing and verifying every due message, on all cores, before the first connection.
//!
//! Batches of the plan are verified in parallel and collected in the order of the plan, which becomes the
//! order of sending.

use std::collections::VecDeque;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::debug;

use super::guards::{guards, nothing_was_sent};
use super::job::Job;
use super::preflight::Preflight;
use super::reminders::refresh_for_reminders;
use super::requests::refresh_requests;
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::invitation::{Cause, MessageIdKey};
use crate::ledger::{Change, Ledger, Reader};
use crate::log::Level;
use crate::message::Composer;
use crate::outbox::PlannedSend;
use crate::plan::{Plan, PlanSummary, PlannedInvitation};
use crate::report::count;

/// How many messages one task verifies: enough to make the cost of a task small, few enough to keep all cores
/// busy at the end.
const BATCH: usize = 64;
/// How many messages that fail are shown.
const SHOWN: usize = 20;

/// What all messages have in common.
struct MessageVerifier {
    composer: Arc<Composer>,
    key: MessageIdKey,
    domain: String,
    now: Timestamp,
    list: PathBuf,
}

/// All messages of a plan that are due.
#[derive(Default)]
pub struct VerifiedPlan {
    /// The messages, in the order of the plan.
    pub sends: Vec<PlannedSend>,
    /// The bytes of the largest.
    pub largest: usize,
    /// Those that had to repeat an earlier message, and differ.
    pub changed: Vec<PlannedInvitation>,
    /// The first that failed, with their lines.
    faults: Vec<String>,
    failed: u64,
}

/// A verified message.
struct VerifiedMessage {
    send: PlannedSend,
    /// Its bytes.
    size: usize,
    /// The invitation, if the message differs from the one that it had to repeat.
    changed: Option<PlannedInvitation>,
}

/// A verified message, or why it failed.
type Verified = std::result::Result<VerifiedMessage, String>;

impl MessageVerifier {
    fn verify(&self, entry: PlannedInvitation) -> Verified {
        let partner = &entry.partner;
        let id = entry.message_id(&self.key, &self.domain);
        let date = entry.date(self.now);
        let draft = self.composer.draft(partner, &id, entry.reminds_of.as_ref());
        let composed = draft.compose_and_verify(date);
        let place = || format!("{}:{}", self.list.display(), partner.line);
        let (message, _) = composed.map_err(|it| format!("{}: {it}", place()))?;
        let send = PlannedSend {
            line: partner.line,
            offset: partner.offset,
            fingerprint: message.fingerprint(),
            occasion: entry.identity.occasion,
            recorded: entry.standing.is_some(),
        };
        let changed = entry.must_repeat().is_some_and(|it| it != message.sha256());
        Ok(VerifiedMessage {
            send,
            size: message.bytes.len(),
            changed: changed.then_some(entry),
        })
    }

    fn start(self: &Arc<Self>, batch: Vec<PlannedInvitation>) -> JoinHandle<Vec<Verified>> {
        let verifier = self.clone();
        spawn_blocking(move || batch.into_iter().map(|it| verifier.verify(it)).collect())
    }
}

impl Job {
    /// Counts and verifies what is due, as `send` does: what cannot be repeated is skipped, which may admit others
    /// under `--limit`. Returns the counts and what is skipped.
    ///
    /// # Errors
    /// As [`Job::summarize`] and [`Job::verify`].
    pub async fn verify_all(
        &self,
        plan: &mut Plan,
        reader: &Reader,
        now: Timestamp,
    ) -> Result<(PlanSummary, Vec<PlannedInvitation>)> {
        let mut changed = Vec::new();
        loop {
            let summary = self.summarize(plan, reader).await?;
            let found = self.verify(plan, reader, now).await?.changed;
            if found.is_empty() {
                return Ok((summary, changed));
            }
            plan.changed.extend(found.iter().map(|it| it.partner.line));
            changed.extend(found);
        }
    }

    /// Composes and verifies every due message.
    ///
    /// # Errors
    /// Every message that fails (78), the first twenty shown.
    pub async fn verify(
        &self,
        plan: &Plan,
        reader: &Reader,
        now: Timestamp,
    ) -> Result<VerifiedPlan> {
        let verifier = Arc::new(MessageVerifier {
            composer: self.composer.clone(),
            key: reader.key.clone(),
            domain: self.config.sender.address.domain().to_owned(),
            now,
            list: self.config.partners.path.clone(),
        });
        let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut collected = VerifiedPlan::default();
        let mut under_way = VecDeque::new();
        let mut pages = plan.pages();
        while let Some(page) = pages.next_page(reader).await? {
            let mut due = page.into_iter().filter(|it| it.skip.is_none()).peekable();
            while due.peek().is_some() {
                under_way.push_back(verifier.start(due.by_ref().take(BATCH).collect()));
            }
            while under_way.len() > 2 * at_once
                && let Some(batch) = under_way.pop_front()
            {
                collected.add(batch).await?;
            }
        }
        for batch in under_way {
            collected.add(batch).await?;
        }
        collected.result()
    }
}

/// Counts, guards and verifies what is due. Between guards and verification, reads from Microsoft Entra who has
/// asked for access, if the plan depends on it, and the packages that are due, if `preflight` asks for it. A resend
/// that can no longer repeat the same bytes becomes `unknown` again; that may admit others under `--limit`, so
/// everything is repeated.
pub async fn guard_and_verify(
    job: &Job,
    plan: &mut Plan,
    ledger: &Ledger,
    new_campaign: bool,
    mut preflight: Option<Preflight>,
    console: &mut Console<'_>,
) -> Result<(PlanSummary, Vec<PlannedSend>)> {
    let mut read_requests = plan.skip_if_requested;
    let mut asked_for_reminders = false;
    loop {
        let reader = ledger.reader();
        let summary = job.summarize(plan, reader).await?;
        let now = console.now();
        let stopping = guards(job, &summary, reader, new_campaign, now).await?;
        if !stopping.is_empty() {
            let stopping: Vec<String> = stopping.iter().map(ToString::to_string).collect();
            let error = CommandError::new(Exit::BadInput, stopping.join("\n"));
            return Err(nothing_was_sent(error));
        }
        if std::mem::take(&mut read_requests) {
            let names = summary.packages.keys();
            let refreshed = refresh_requests(&job.config, ledger, names, console).await?;
            if let Some(error) = refreshed.error() {
                return Err(nothing_was_sent(error));
            }
            if refreshed.recorded {
                continue;
            }
        }
        if !asked_for_reminders && !summary.reminders.is_empty() && job.config.entra.is_some() {
            asked_for_reminders = true;
            if refresh_for_reminders(job, plan, &summary, ledger, console).await? {
                continue;
            }
        }
        if let Some(preflight) = &mut preflight {
            preflight.run(&summary.packages, console).await?;
        }
        let verified = job.verify(plan, reader, now).await?;
        if verified.changed.is_empty() {
            debug!(
                due = summary.due,
                new = summary.new,
                waiting = summary.waiting,
                "all messages verified"
            );
            return Ok((summary, verified.sends));
        }
        for entry in verified.changed {
            let note = "the message has changed since it was sent, so it cannot be repeated; `resolve --as resend --changed` sends it as it is now";
            let message = format!("{}: {note}", entry.partner.address);
            console.eprint_as(Level::Warning, &message);
            let change = Change {
                note: Some(note.into()),
                ..Change::new(&entry.identity, console.now(), Cause::ResendMismatch)
            };
            ledger.apply(change).await?;
        }
    }
}

impl VerifiedPlan {
    async fn add(&mut self, batch: JoinHandle<Vec<Verified>>) -> Result<()> {
        let ended = |it| CommandError::new(Exit::InternalError, it);
        for verified in batch.await.map_err(ended)? {
            match verified {
                Ok(message) => {
                    self.largest = self.largest.max(message.size);
                    self.sends.push(message.send);
                    self.changed.extend(message.changed);
                }
                Err(error) => {
                    self.failed += 1;
                    self.faults.push(error);
                    self.faults.truncate(SHOWN);
                }
            }
        }
        Ok(())
    }

    fn result(mut self) -> Result<Self> {
        if self.failed == 0 {
            return Ok(self);
        }
        let failed = count(self.failed, "message");
        self.faults.push(format!("{failed} failed the verification, so nothing is sent; correct the template, the row or the configuration"));
        Err(CommandError::new(Exit::Config, self.faults.join("\n")))
    }
}

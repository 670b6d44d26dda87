//! Every message that is due is composed and verified, on all cores, before the first connection.
//!
//! Batches of the plan are verified side by side and taken in their order, which becomes the order of
//! sending.

use std::collections::VecDeque;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::{JoinHandle, spawn_blocking};

use super::Job;
use crate::exit::{self, CommandError, Exit, OrExit};
use crate::invitation::MessageIdKey;
use crate::ledger::Reader;
use crate::message::Composer;
use crate::outbox::PlannedSend;
use crate::plan::{Plan, PlannedInvitation};
use crate::report::count;

/// How many messages are verified by one task: enough for its cost not to matter, few enough
/// for no core to be left waiting at the end.
const BATCH: usize = 64;
/// How many messages that fail are shown.
const SHOWN: usize = 20;

/// What is the same for all messages.
struct Verifier {
    composer: Arc<Composer>,
    key: MessageIdKey,
    domain: String,
    now: Timestamp,
}

/// A message that is right.
struct Verified {
    send: PlannedSend,
    /// Whether it was to repeat other bytes.
    changed: bool,
}

/// All messages of a plan that are due.
#[derive(Default)]
pub struct VerifiedPlan {
    /// The messages, in the order of the plan.
    pub sends: Vec<PlannedSend>,
    /// Those that were to repeat what was sent before and no longer can.
    pub changed: Vec<PlannedInvitation>,
}

type Batch = Vec<(PlannedInvitation, anyhow::Result<Verified>)>;

impl Verifier {
    fn verify(&self, entry: &PlannedInvitation) -> anyhow::Result<Verified> {
        let partner = &entry.partner;
        let id = entry.message_id(&self.key, &self.domain);
        let date = entry.date(self.now);
        let (message, _) = self.composer.compose_and_verify(partner, &id, date)?;
        let send = PlannedSend {
            line: partner.line,
            offset: partner.offset,
            fingerprint: message.fingerprint(),
            recorded: entry.standing.is_some(),
        };
        let changed = entry.must_repeat().is_some_and(|it| it != message.sha256());
        Ok(Verified { send, changed })
    }

    fn start(self: &Arc<Self>, batch: Vec<PlannedInvitation>) -> JoinHandle<Batch> {
        let verifier = self.clone();
        spawn_blocking(move || {
            let verify = |entry: PlannedInvitation| {
                let result = verifier.verify(&entry);
                (entry, result)
            };
            batch.into_iter().map(verify).collect()
        })
    }
}

impl Job {
    /// Composes and verifies every due message.
    ///
    /// # Errors
    /// Every message that fails (78), the first twenty shown.
    pub async fn verify(
        &self,
        plan: &Plan,
        reader: &Reader,
        now: Timestamp,
    ) -> exit::Result<VerifiedPlan> {
        let verifier = Arc::new(Verifier {
            composer: self.composer.clone(),
            key: reader.key().clone(),
            domain: self.config.sender.address.domain().to_owned(),
            now,
        });
        let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut summary = VerifySummary::default();
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
                summary.add(batch).await?;
            }
        }
        for batch in under_way {
            summary.add(batch).await?;
        }
        summary.result(&self.config.partners.path)
    }
}

/// What verification has found so far.
#[derive(Default)]
struct VerifySummary {
    plan: VerifiedPlan,
    /// The first that failed, by their lines.
    faults: Vec<(u64, anyhow::Error)>,
    failed: u64,
}

impl VerifySummary {
    async fn add(&mut self, batch: JoinHandle<Batch>) -> exit::Result<()> {
        for (entry, verified) in batch.await.or_exit(Exit::InternalError)? {
            match verified {
                Ok(Verified { send, changed }) => {
                    self.plan.sends.push(send);
                    self.plan.changed.extend(changed.then_some(entry));
                }
                Err(error) => {
                    self.failed += 1;
                    if self.faults.len() < SHOWN {
                        self.faults.push((entry.partner.line, error));
                    }
                }
            }
        }
        Ok(())
    }

    fn result(self, list: &Path) -> exit::Result<VerifiedPlan> {
        if self.failed == 0 {
            return Ok(self.plan);
        }
        let path = list.display();
        let faults = self.faults.iter();
        let mut lines: Vec<String> = faults
            .map(|(line, error)| format!("{path}:{line}: {error:#}"))
            .collect();
        lines.push(format!(
            "{} cannot be sent as it must be, so nobody is mailed",
            count(self.failed, "message")
        ));
        Err(CommandError::new(Exit::Config, lines.join("\n")))
    }
}

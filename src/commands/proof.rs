//! Everything before anything: every message that is due is composed and proven, on all
//! cores, before the first connection.
//!
//! Batches of the plan are proven side by side and taken in their order, so what is held is
//! the same sequence that sending goes through. Who is new is enrolled meanwhile, and recorded
//! only when everything holds.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::{JoinHandle, spawn_blocking};

use super::Job;
use crate::exit::{self, Exit, Failure, OrExit};
use crate::invitation::MessageIdKey;
use crate::ledger::{Enrolment, Ledger, Reader};
use crate::message::{Composer, Proven, Room};
use crate::plan::{Entry, Plan};
use crate::report::count;

/// How many messages are proven by one task: enough for its cost not to matter, few enough
/// for no core to be left waiting at the end.
const BATCH: usize = 64;
/// How many messages that fail are shown.
const SHOWN: usize = 20;

/// What proves messages: the same for all of them.
struct Bench {
    composer: Arc<Composer>,
    key: MessageIdKey,
    domain: String,
    now: Timestamp,
    /// For what is to be sent; none where that is only looked at.
    room: Option<Room>,
}

/// A message that holds.
struct Holds {
    /// Where it is to be sent.
    proven: Option<Proven>,
    /// Where it is to be sent and no run has recorded the invitation.
    new: Option<Enrolment>,
    /// It was to repeat other bytes.
    changed: bool,
}

type ProvenBatch = Vec<(Entry, anyhow::Result<Holds>)>;

impl Bench {
    fn prove(&self, entry: &Entry) -> anyhow::Result<Holds> {
        let partner = &entry.partner;
        let id = entry.message_id(&self.key, &self.domain);
        let date = entry.date(self.now);
        let message = self.composer.compose_and_prove(partner, &id, date)?;
        let room = self.room.as_ref();
        let is_new = room.is_some() && entry.standing.is_none();
        Ok(Holds {
            proven: room.map(|room| self.composer.hold(partner, &message, room)),
            changed: entry.must_repeat().is_some_and(|it| it != message.sha256()),
            new: is_new.then(|| Enrolment {
                identity: entry.identity.clone(),
                invitee: self.composer.invitee(partner),
                message_id: id,
            }),
        })
    }

    fn begin(self: &Arc<Self>, batch: Vec<Entry>) -> JoinHandle<ProvenBatch> {
        let bench = self.clone();
        spawn_blocking(move || {
            let prove = |entry: Entry| {
                let proven = bench.prove(&entry);
                (entry, proven)
            };
            batch.into_iter().map(prove).collect()
        })
    }
}

impl Job {
    /// Composes and proves every due message; gives those that were to repeat what was sent
    /// before and no longer can.
    ///
    /// # Errors
    /// Every message that fails (78), the first twenty shown.
    pub async fn prove(
        &self,
        plan: &Plan,
        reader: &Reader,
        now: Timestamp,
    ) -> exit::Result<Vec<Entry>> {
        let (_, changed) = self.prove_each(plan, reader, None, now).await?;
        Ok(changed)
    }

    /// As [`Job::prove`], for sending: gives the messages as well, in order, and enrols who is
    /// new of those that are due, so many; to commit that is for the caller.
    ///
    /// # Errors
    /// As [`Job::prove`], and when the ledger cannot take those who are new (74).
    pub async fn prove_and_enrol(
        &self,
        plan: &Plan,
        due: u64,
        ledger: &Ledger,
        now: Timestamp,
    ) -> exit::Result<(Vec<Proven>, Vec<Entry>)> {
        if due > 0 {
            ledger.begin_enrolment(due);
        }
        self.prove_each(plan, ledger.reader(), Some(ledger), now)
            .await
    }

    async fn prove_each(
        &self,
        plan: &Plan,
        reader: &Reader,
        ledger: Option<&Ledger>,
        now: Timestamp,
    ) -> exit::Result<(Vec<Proven>, Vec<Entry>)> {
        let bench = Arc::new(Bench {
            composer: self.composer.clone(),
            key: reader.key().clone(),
            domain: self.config.sender.address.domain().to_owned(),
            now,
            room: ledger.map(|_| Room::default()),
        });
        let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut found = Found::default();
        let mut under_way = VecDeque::new();
        let mut drain = plan.drain();
        while let Some(page) = drain.next_page(reader).await? {
            let mut due = page.into_iter().filter(|it| it.skip.is_none()).peekable();
            while due.peek().is_some() {
                under_way.push_back(bench.begin(due.by_ref().take(BATCH).collect()));
            }
            while under_way.len() > 2 * at_once
                && let Some(batch) = under_way.pop_front()
            {
                found.take(batch, ledger, now).await?;
            }
        }
        for batch in under_way {
            found.take(batch, ledger, now).await?;
        }
        if found.failed == 0 {
            return Ok((found.proven, found.changed));
        }
        let path = self.config.partners.path.display();
        let mut lines: Vec<String> = found
            .faults
            .iter()
            .map(|(line, error)| format!("{path}:{line}: {error:#}"))
            .collect();
        lines.push(format!(
            "{} cannot be sent as it must be, so nobody is mailed",
            count(found.failed, "message")
        ));
        Err(Failure::new(Exit::Config, lines.join("\n")))
    }
}

/// What the proofs have found so far.
#[derive(Default)]
struct Found {
    proven: Vec<Proven>,
    changed: Vec<Entry>,
    /// The first that failed, by their lines.
    faults: Vec<(u64, anyhow::Error)>,
    failed: u64,
}

impl Found {
    async fn take(
        &mut self,
        batch: JoinHandle<ProvenBatch>,
        ledger: Option<&Ledger>,
        now: Timestamp,
    ) -> exit::Result<()> {
        let mut new = Vec::new();
        for (entry, proven) in batch.await.or_exit(Exit::Contradiction)? {
            match proven {
                Ok(holds) => {
                    self.proven.extend(holds.proven);
                    new.extend(holds.new);
                    if holds.changed {
                        self.changed.push(entry);
                    }
                }
                Err(error) => {
                    self.failed += 1;
                    if self.faults.len() < SHOWN {
                        self.faults.push((entry.partner.line, error));
                    }
                }
            }
        }
        // Where one fails nobody is mailed, and the others are proven only to tell of all.
        if let Some(ledger) = ledger
            && self.failed == 0
        {
            ledger.enrol(new, now).await?;
        }
        Ok(())
    }
}

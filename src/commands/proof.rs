//! Everything before anything: every message that is due is composed and proven, on all
//! cores, before the first connection.
//!
//! Batches of the plan are proven side by side and taken in their order, so what is held is
//! the same sequence that sending goes through.

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
        Ok(Holds {
            proven: room.map(|room| self.composer.hold(partner, &message, room)),
            changed: entry.must_repeat().is_some_and(|it| it != message.sha256()),
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

    /// As [`Job::prove`], for sending: gives the messages as well, in order.
    ///
    /// # Errors
    /// As [`Job::prove`].
    pub async fn prove_for_sending(
        &self,
        plan: &Plan,
        reader: &Reader,
        now: Timestamp,
    ) -> exit::Result<(Vec<Proven>, Vec<Entry>)> {
        self.prove_each(plan, reader, Some(Room::default()), now)
            .await
    }

    /// Records who is new as `pending`, in one transaction: all or nobody.
    ///
    /// # Errors
    /// When they cannot be recorded, or there is no room for the results of `due` attempts (74).
    pub async fn record_new(
        &self,
        plan: &Plan,
        due: u64,
        ledger: &Ledger,
        now: Timestamp,
    ) -> exit::Result<()> {
        let reader = ledger.reader();
        let domain = self.config.sender.address.domain();
        let campaign = &self.config.campaign;
        ledger.begin_enrolment(due, campaign, now).await?;
        let mut drain = plan.drain();
        while let Some(page) = drain.next_page(reader).await? {
            let new = page
                .iter()
                .filter(|it| it.skip.is_none() && it.standing.is_none());
            let enrolment = |entry: &Entry| Enrolment {
                identity: entry.identity.clone(),
                invitee: self.composer.invitee(&entry.partner),
                message_id: entry.message_id(reader.key(), domain),
            };
            let new: Vec<_> = new.map(enrolment).collect();
            if !new.is_empty() {
                ledger.enrol(new, now).await?;
            }
        }
        Ok(ledger.commit_enrolment().await?)
    }

    async fn prove_each(
        &self,
        plan: &Plan,
        reader: &Reader,
        room: Option<Room>,
        now: Timestamp,
    ) -> exit::Result<(Vec<Proven>, Vec<Entry>)> {
        let bench = Arc::new(Bench {
            composer: self.composer.clone(),
            key: reader.key().clone(),
            domain: self.config.sender.address.domain().to_owned(),
            now,
            room,
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
                found.take(batch).await?;
            }
        }
        for batch in under_way {
            found.take(batch).await?;
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
    async fn take(&mut self, batch: JoinHandle<ProvenBatch>) -> exit::Result<()> {
        for (entry, proven) in batch.await.or_exit(Exit::Contradiction)? {
            match proven {
                Ok(holds) => {
                    self.proven.extend(holds.proven);
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
        Ok(())
    }
}

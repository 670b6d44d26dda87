//! Everything before anything: every message that is due is composed and proven, on all
//! cores, before the first connection.
//!
//! Pages of the plan are proven side by side and taken in their order, so what is held is
//! the same sequence that sending goes through.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::{JoinHandle, spawn_blocking};

use super::Job;
use crate::exit::{self, Exit, Failure, OrExit};
use crate::invitation::MessageIdKey;
use crate::ledger::Reader;
use crate::message::{Composer, Proven, Room};
use crate::plan::{Entry, Plan};
use crate::report::count;

/// How many messages that fail are shown.
const SHOWN: usize = 20;

/// What proves a page: the same for all pages.
struct Bench {
    composer: Arc<Composer>,
    key: MessageIdKey,
    domain: String,
    now: Timestamp,
    room: Room,
}

/// A message that holds, and whether it is to repeat other bytes.
struct Holds {
    proven: Proven,
    changed: bool,
}

type ProvenPage = Vec<(Entry, anyhow::Result<Holds>)>;

impl Bench {
    fn prove(&self, entry: &Entry) -> anyhow::Result<Holds> {
        let id = entry.message_id(&self.key, &self.domain);
        let date = entry.date(self.now);
        let message = self.composer.compose_and_prove(&entry.partner, &id, date)?;
        Ok(Holds {
            proven: self.composer.hold(&entry.partner, &message, &self.room),
            changed: entry.must_repeat().is_some_and(|it| it != message.sha256()),
        })
    }

    /// Begins to prove what is due of a page.
    fn begin(self: &Arc<Self>, page: Vec<Entry>) -> JoinHandle<ProvenPage> {
        let bench = self.clone();
        spawn_blocking(move || {
            page.into_iter()
                .filter(|it| it.skip.is_none())
                .map(|entry| {
                    let proven = bench.prove(&entry);
                    (entry, proven)
                })
                .collect()
        })
    }
}

impl Job {
    /// Composes and proves every due message; gives them in order, and those
    /// that were to repeat what was sent before and no longer can.
    ///
    /// # Errors
    /// Every message that fails (78), the first twenty shown.
    pub async fn prove(
        &self,
        plan: &Plan,
        reader: &Reader,
        now: Timestamp,
    ) -> exit::Result<(Vec<Proven>, Vec<Entry>)> {
        let bench = Arc::new(Bench {
            composer: self.composer.clone(),
            key: reader.key().clone(),
            domain: self.config.sender.address.domain().to_owned(),
            now,
            room: Room::default(),
        });
        let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut found = Found::default();
        let mut under_way = VecDeque::with_capacity(at_once + 1);
        let mut drain = plan.drain();
        while let Some(page) = drain.next_page(reader).await? {
            under_way.push_back(bench.begin(page));
            if under_way.len() > at_once
                && let Some(page) = under_way.pop_front()
            {
                found.take(page.await.or_exit(Exit::Contradiction)?);
            }
        }
        for page in under_way {
            found.take(page.await.or_exit(Exit::Contradiction)?);
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
    fn take(&mut self, page: ProvenPage) {
        for (entry, proven) in page {
            match proven {
                Ok(holds) => {
                    self.proven.push(holds.proven);
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
    }
}

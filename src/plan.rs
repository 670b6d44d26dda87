//! The plan: row × standing → due, or skipped with a reason.
//!
//! It is a function of the copied list, the ledger and the start time, and gives the same sequence each
//! time. It is read page by page and never held, so that memory use does not depend on the list's length.
//!
//! Rows that were never refused come first, in the order of the list; then those that are tried again,
//! starting behind the one that was refused last. So a few bad rows never delay the others, even if the
//! limits let only a few through.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::address::Address;
use crate::config::{Limits, Package};
use crate::invitation::{Erasure, Identity, MessageIdKey, Standing, State};
use crate::ledger::{LedgerError, Reader};
use crate::partners::{ListError, Partner, Partners, RowReader};

/// How many partners are looked up in the ledger at once.
const PAGE: usize = 256;

/// Why the plan cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The copy of the list cannot be read.
    #[error(transparent)]
    List(#[from] ListError),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Who is invited in this run.
#[derive(Clone)]
pub struct Plan {
    partners: Arc<Partners>,
    campaign: String,
    now: Timestamp,
    today: Date,
    /// The canonical addresses to which it is restricted.
    pub only: Option<HashSet<String>>,
    /// The lines to which it is restricted.
    pub lines: Option<HashSet<u64>>,
    /// Lines whose message can no longer be repeated, byte for byte; they are skipped.
    pub changed: HashSet<u64>,
    /// The number of due rows to which it is restricted.
    pub limit: Option<u64>,
    /// A longer wait, which only a clock that was ahead can have recorded, is ignored.
    pub longest_pause: SignedDuration,
}

/// One partner of the plan.
#[derive(Clone, Debug)]
pub struct PlannedInvitation {
    /// The row.
    pub partner: Partner,
    /// The invitation.
    pub identity: Identity,
    /// What the ledger records about it; none if no run has recorded it.
    pub standing: Option<Standing>,
    /// Why it is not due; none if it is.
    pub skip: Option<Skip>,
}

impl PlannedInvitation {
    /// Whether no delivery of this invitation was ever attempted.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.standing.as_ref().is_none_or(|it| it.attempts == 0)
    }

    /// Whether nothing shows that the partner was invited: no record, and no trace of an erased one.
    #[must_use]
    pub fn is_unrecorded(&self) -> bool {
        self.standing.is_none() && !matches!(self.skip, Some(Skip::Erased(_)))
    }

    /// Its Message-ID without brackets: the recorded one, else a new one at `domain`.
    #[must_use]
    pub fn message_id(&self, key: &MessageIdKey, domain: &str) -> String {
        match &self.standing {
            Some(standing) => standing.message_id.clone(),
            None => self.identity.message_id(key, 0, domain),
        }
    }

    /// The Date of its message: that of the message to repeat, else `now`.
    #[must_use]
    pub fn date(&self, now: Timestamp) -> Timestamp {
        self.standing.as_ref().map_or(now, |it| it.date(now))
    }

    /// The SHA-256 of the message, if exactly the same bytes must be sent again.
    #[must_use]
    pub fn must_repeat(&self) -> Option<[u8; 32]> {
        let standing = self.standing.as_ref().filter(|it| it.repeat)?;
        standing.message.map(|(_, sha256)| sha256)
    }
}

/// Why a partner is skipped in this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skip {
    /// The recorded state forbids it.
    State(State),
    /// Deferred, and not due before then.
    Waiting(Timestamp),
    /// The last day to respond has passed.
    Closed(Date),
    /// The record was erased.
    Erased(Erasure),
    /// The message to be repeated has changed.
    Changed,
    /// `--limit` was reached.
    Limit,
}

impl Skip {
    /// The reason without what differs between partners, for counting.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Waiting(_) => "deferred, not due yet".into(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(State::Accepted) => write!(f, "accepted already"),
            Self::State(State::Delivered) => write!(f, "delivered already"),
            Self::State(State::Unknown) => {
                write!(
                    f,
                    "not known whether it was accepted; decide with `resolve`"
                )
            }
            Self::State(State::Armed) => {
                write!(f, "being sent, or left armed by a run that was killed")
            }
            Self::State(state) => write!(f, "{state}"),
            Self::Waiting(until) => {
                let until = until.to_zoned_datetime(TimeZone::system());
                write!(
                    f,
                    "deferred, due again {}",
                    until.strftime("%Y-%m-%d %H:%M")
                )
            }
            Self::Closed(date) => write!(f, "closed: the last day to respond was {date}"),
            Self::Erased(Erasure::Forgotten) => {
                write!(f, "forgotten: the address was erased and is never mailed")
            }
            Self::Erased(Erasure::Retention) => {
                write!(
                    f,
                    "invited before; the record was erased after `privacy.retain`"
                )
            }
            Self::Changed => write!(f, "the message has changed since it was sent"),
            Self::Limit => write!(f, "beyond --limit"),
        }
    }
}

/// The counts of a plan.
#[derive(Debug, Default)]
pub struct PlanSummary {
    /// How many are due.
    pub due: u64,
    /// How many of those were never attempted.
    pub new: u64,
    /// Deferred rows of open packages that this plan skips.
    pub waiting: u64,
    /// The due ones by locale, as the caller names it.
    pub locales: BTreeMap<String, u64>,
    /// The due ones by the key of their package.
    pub packages: BTreeMap<String, u64>,
    /// The skipped ones by the kind of the reason.
    pub skipped: BTreeMap<String, u64>,
    /// The first due partners that `limits.only_to` does not allow, with their lines.
    pub not_allowed: Vec<(u64, Address)>,
    /// How many of those there are.
    pub not_allowed_total: u64,
    /// The first lines whose address was forgotten.
    pub forgotten: Vec<u64>,
    /// How many of those there are.
    pub forgotten_total: u64,
    /// Addresses of `--only` that the list lacks.
    pub not_found: Vec<String>,
}

impl Plan {
    /// The plan for all good rows, at `now`.
    #[must_use]
    pub fn new(partners: Arc<Partners>, campaign: &str, now: Timestamp) -> Self {
        Self {
            partners,
            campaign: campaign.to_owned(),
            now,
            today: now.to_zoned_datetime(TimeZone::system()).date(),
            only: None,
            lines: None,
            changed: HashSet::new(),
            limit: None,
            longest_pause: SignedDuration::MAX,
        }
    }

    /// Starts to read the plan.
    #[must_use]
    pub fn pages(&self) -> PlanPages {
        PlanPages {
            rows: Box::new(self.partners.iter()),
            again: RowReader::new(&self.partners),
            plan: self.clone(),
            due: 0,
            refused: Vec::new(),
            last_refused: None,
            first_pass: true,
        }
    }

    /// Counts what is due and what the guards need.
    ///
    /// # Errors
    /// If the copy or the ledger cannot be read.
    pub async fn summarize(
        &self,
        reader: &Reader,
        limits: &Limits,
        locale_of: impl Fn(&Partner) -> String,
    ) -> Result<PlanSummary, PlanError> {
        const SHOWN: usize = 20;
        let mut summary = PlanSummary::default();
        let mut missing = self.only.clone().unwrap_or_default();
        let mut pages = self.pages();
        while let Some(page) = pages.next_page(reader).await? {
            for entry in page {
                missing.remove(&entry.identity.address);
                let deferred = entry
                    .standing
                    .as_ref()
                    .is_some_and(|it| it.state == State::Deferred);
                if entry.skip == Some(Skip::Erased(Erasure::Forgotten)) {
                    summary.forgotten_total += 1;
                    if summary.forgotten.len() < SHOWN {
                        summary.forgotten.push(entry.partner.line);
                    }
                }
                if let Some(skip) = entry.skip {
                    *summary.skipped.entry(skip.kind()).or_default() += 1;
                    summary.waiting += u64::from(deferred && !matches!(skip, Skip::Closed(_)));
                    continue;
                }
                summary.due += 1;
                summary.new += u64::from(entry.is_new());
                *summary
                    .locales
                    .entry(locale_of(&entry.partner))
                    .or_default() += 1;
                let package = &entry.partner.package.key;
                match summary.packages.get_mut(package) {
                    Some(number) => *number += 1,
                    None => drop(summary.packages.insert(package.clone(), 1)),
                }
                if !limits.allow(&entry.partner.address) {
                    summary.not_allowed_total += 1;
                    if summary.not_allowed.len() < SHOWN {
                        let Partner { line, address, .. } = entry.partner;
                        summary.not_allowed.push((line, address));
                    }
                }
            }
        }
        summary.not_found = missing.into_iter().collect();
        summary.not_found.sort();
        Ok(summary)
    }

    fn skip(&self, package: &Package, standing: Option<&Standing>) -> Option<Skip> {
        let closed = package.respond_by.filter(|it| *it < self.today);
        match standing.map(|it| (it.state, it.next_attempt_at)) {
            None | Some((State::Pending, _)) => closed.map(Skip::Closed),
            Some((State::Deferred, next)) => closed.map(Skip::Closed).or_else(|| {
                let pause = next?.duration_since(self.now);
                let waits = pause.is_positive() && pause <= self.longest_pause;
                waits.then_some(Skip::Waiting(next?))
            }),
            Some((state, _)) => Some(Skip::State(state)),
        }
    }
}

/// Reads the plan once, page by page.
pub struct PlanPages {
    plan: Plan,
    /// All good rows.
    rows: Box<dyn Iterator<Item = Result<Partner, ListError>> + Send>,
    /// Reads rows for the second pass.
    again: RowReader,
    due: u64,
    /// Lines and offsets of the rows that are due and were refused before: the second pass.
    refused: Vec<(u64, u64)>,
    /// When a row was refused last, its line and offset.
    last_refused: Option<(Timestamp, (u64, u64))>,
    first_pass: bool,
}

impl PlanPages {
    /// The next entries, at most a page; `None` at the end.
    ///
    /// # Errors
    /// If the copy or the ledger cannot be read.
    pub async fn next_page(
        &mut self,
        reader: &Reader,
    ) -> Result<Option<Vec<PlannedInvitation>>, PlanError> {
        loop {
            let rows = if self.first_pass {
                self.next_rows()?
            } else {
                self.next_refused()?
            };
            if rows.is_empty() {
                if !self.first_pass {
                    return Ok(None);
                }
                self.first_pass = false;
                begin_behind(&mut self.refused, self.last_refused.map(|it| it.1));
                // Taken from the end.
                self.refused.reverse();
                continue;
            }
            let entries = self.entries(rows, reader).await?;
            if !entries.is_empty() {
                return Ok(Some(entries));
            }
        }
    }

    /// The next rows that are wanted, at most a page; none at the end of the list.
    fn next_rows(&mut self) -> Result<Vec<Partner>, ListError> {
        let Plan { only, lines, .. } = &self.plan;
        let wanted = |it: &Partner| {
            only.as_ref()
                .is_none_or(|only| only.contains(&it.address.canonical()))
                && lines.as_ref().is_none_or(|lines| lines.contains(&it.line))
        };
        let rows = self
            .rows
            .by_ref()
            .filter(|row| row.as_ref().map_or(true, wanted));
        rows.take(PAGE).collect()
    }

    /// The next rows of the second pass, at most a page.
    fn next_refused(&mut self) -> Result<Vec<Partner>, ListError> {
        let start = self.refused.len().saturating_sub(PAGE);
        let page = self.refused.drain(start..).rev();
        page.map(|(line, offset)| self.again.partner_at(line, offset))
            .collect()
    }

    /// The rows with their standings. The first pass leaves out those that are due and were refused before.
    async fn entries(
        &mut self,
        rows: Vec<Partner>,
        reader: &Reader,
    ) -> Result<Vec<PlannedInvitation>, PlanError> {
        let identity = |it: &Partner| it.identity(&self.plan.campaign);
        let identities: Vec<_> = rows.iter().map(identity).collect();
        let standings = reader.standings(identities.clone()).await?;
        let erasures = erasures(&identities, &standings, reader).await?;
        let mut erasures = erasures.into_iter();
        let mut entries = Vec::with_capacity(rows.len());
        for ((partner, identity), standing) in rows.into_iter().zip(identities).zip(standings) {
            let mut skip = self.plan.skip(&partner.package, standing.as_ref());
            if standing.is_none()
                && let Some(erasure) = erasures.next().flatten()
            {
                skip = Some(Skip::Erased(erasure));
            }
            if self.first_pass
                && let Some(refused) = standing.as_ref().filter(|it| it.refused)
            {
                let place = (partner.line, partner.offset);
                let last = Some((refused.updated_at, place));
                self.last_refused = self.last_refused.max(last);
                if skip.is_none() {
                    self.refused.push(place);
                    continue;
                }
            }
            if skip.is_none() && self.plan.changed.contains(&partner.line) {
                skip = Some(Skip::Changed);
            }
            if skip.is_none() {
                if self.plan.limit.is_some_and(|limit| self.due >= limit) {
                    skip = Some(Skip::Limit);
                } else {
                    self.due += 1;
                }
            }
            entries.push(PlannedInvitation {
                partner,
                identity,
                standing,
                skip,
            });
        }
        Ok(entries)
    }
}

/// For each invitation without a standing, whether its record was erased.
async fn erasures(
    identities: &[Identity],
    standings: &[Option<Standing>],
    reader: &Reader,
) -> Result<Vec<Option<Erasure>>, LedgerError> {
    let without = identities.iter().zip(standings);
    let without = without.filter(|(_, standing)| standing.is_none());
    let without: Vec<_> = without.map(|it| it.0.clone()).collect();
    if without.is_empty() {
        return Ok(Vec::new());
    }
    reader.erasures(without).await
}

/// Rotates ascending rows so that they begin behind the one that was refused last.
pub(crate) fn begin_behind<T: Copy + Ord>(rows: &mut [T], last_refused: Option<T>) {
    let behind = rows.partition_point(|it| Some(*it) <= last_refused);
    rows.rotate_left(behind);
}

#[cfg(test)]
mod tests {
    use super::begin_behind;

    #[test]
    fn refused_rows_start_behind_the_last_refused_one() {
        let begin = |mut rows: Vec<u64>, last| {
            begin_behind(&mut rows, last);
            rows
        };

        assert_eq!(begin(vec![2, 5, 9], None), [2, 5, 9]);
        assert_eq!(begin(vec![2, 5, 9], Some(1)), [2, 5, 9]);
        assert_eq!(begin(vec![2, 5, 9], Some(5)), [9, 2, 5]);
        assert_eq!(begin(vec![2, 5, 9], Some(9)), [2, 5, 9]);
        assert!(begin(Vec::new(), Some(9)).is_empty());
    }
}

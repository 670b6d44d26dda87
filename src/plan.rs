//! The plan: row × standing → due, or skipped and why.
//!
//! It is a function of the copied file, the ledger's standing and the start time,
//! and gives the same sequence each time it is asked for. So it is never held: it
//! is drained once to be counted, once to be proven, once to be sent, and memory
//! stays flat however long the list is.
//!
//! Rows that no relay has refused come first, in the order of the list; then those that are tried again,
//! beginning behind the one that was refused last. So a few bad rows never keep the others waiting,
//! however few a run or the relay lets through.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::address::Address;
use crate::config::{Limits, Package};
use crate::exit;
use crate::invitation::{Identity, MessageIdKey, Standing, State};
use crate::ledger::Reader;
use crate::partners::{ListError, Partner, Partners};

/// How many partners are looked up in the ledger at once.
const PAGE: usize = 256;

/// Who is invited in this run.
#[derive(Clone)]
pub struct Plan {
    partners: Arc<Partners>,
    campaign: String,
    now: Timestamp,
    today: Date,
    /// Canonical addresses, where only these are asked for.
    only: Option<HashSet<String>>,
    /// Lines of the file, where only these are asked for.
    lines: Option<HashSet<u64>>,
    limit: Option<u64>,
    /// What is said to be due later than so long from now was deferred by a wrong clock.
    longest_pause: SignedDuration,
}

/// One partner of the plan.
#[derive(Clone, Debug)]
pub struct PlannedInvitation {
    /// The row.
    pub partner: Partner,
    /// The invitation.
    pub identity: Identity,
    /// Where it stands; none where no run has recorded it.
    pub standing: Option<Standing>,
    /// Why it is not due; none where it is.
    pub skip: Option<Skip>,
}

impl PlannedInvitation {
    /// Whether nobody has ever tried to deliver this invitation.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.standing.as_ref().is_none_or(|it| it.attempts == 0)
    }

    /// Its Message-ID without brackets: the one recorded, else the one to be, at `domain`.
    #[must_use]
    pub fn message_id(&self, key: &MessageIdKey, domain: &str) -> String {
        match &self.standing {
            Some(standing) => standing.message_id.clone(),
            None => self.identity.message_id(key, 0, domain),
        }
    }

    /// The Date to compose with: that of the message to be repeated, else `now`.
    #[must_use]
    pub fn date(&self, now: Timestamp) -> Timestamp {
        self.standing.as_ref().map_or(now, |it| it.date(now))
    }

    /// The SHA-256 that the message must have, where just these bytes must go again.
    #[must_use]
    pub fn must_repeat(&self) -> Option<[u8; 32]> {
        let standing = self.standing.as_ref().filter(|it| it.repeat)?;
        standing.message.map(|(_, sha256)| sha256)
    }
}

/// Why a partner is not mailed in this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skip {
    /// What is recorded forbids it, for the time being or for good.
    State(State),
    /// Deferred, and not due before then.
    Waiting(Timestamp),
    /// The last day to respond has passed.
    Closed(Date),
    /// `--limit` was reached before.
    Limit,
}

impl Skip {
    /// The same without what differs from partner to partner, to count them by.
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
                write!(f, "unknown whether it was accepted; decide with `resolve`")
            }
            Self::State(State::Armed) => write!(f, "being sent, or left so by a run that died"),
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
            Self::Limit => write!(f, "beyond --limit"),
        }
    }
}

/// What the plan amounts to.
#[derive(Debug, Default)]
pub struct PlanSummary {
    /// How many are due.
    pub due: u64,
    /// How many of those were never tried.
    pub new: u64,
    /// Deferred ones of open packages that this plan leaves out.
    pub waiting: u64,
    /// The due ones by the locale asked for, as counted by the caller's naming.
    pub locales: BTreeMap<String, u64>,
    /// The first due partners that `only_to` does not allow, with their lines.
    pub not_allowed: Vec<(u64, Address)>,
    /// How many of those there are.
    pub not_allowed_total: u64,
    /// Addresses asked for by `--only` that the file has not.
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
            limit: None,
            longest_pause: SignedDuration::MAX,
        }
    }

    /// Restricts it to these addresses, where there are any.
    #[must_use]
    pub fn only(mut self, addresses: &[Address]) -> Self {
        self.only =
            (!addresses.is_empty()).then(|| addresses.iter().map(Address::canonical).collect());
        self
    }

    /// Restricts it to the rows on these lines.
    #[must_use]
    pub fn lines(mut self, lines: HashSet<u64>) -> Self {
        self.lines = Some(lines);
        self
    }

    /// Restricts it to the first so many that are due.
    #[must_use]
    pub fn limit(mut self, limit: Option<u64>) -> Self {
        self.limit = limit;
        self
    }

    /// Lets nobody wait for longer, which only a clock that was ahead could have meant.
    #[must_use]
    pub fn longest_pause(mut self, pause: SignedDuration) -> Self {
        self.longest_pause = pause;
        self
    }

    /// Begins to go through it.
    #[must_use]
    pub fn pages(&self) -> PlanPages {
        PlanPages {
            rows: numbered(&self.partners),
            plan: self.clone(),
            due: 0,
            again: Vec::new(),
            last_refused: None,
            first_pass: true,
            passes: Vec::new(),
        }
    }

    /// Counts what is due and what the guards ask about.
    ///
    /// # Errors
    /// When the copy or the ledger cannot be read.
    pub async fn summarize(
        &self,
        reader: &Reader,
        limits: &Limits,
        locale_of: impl Fn(&Partner) -> String,
    ) -> exit::Result<PlanSummary> {
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
                if let Some(skip) = entry.skip {
                    summary.waiting += u64::from(deferred && !matches!(skip, Skip::Closed(_)));
                    continue;
                }
                summary.due += 1;
                summary.new += u64::from(entry.is_new());
                *summary
                    .locales
                    .entry(locale_of(&entry.partner))
                    .or_default() += 1;
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

/// The rows with their places in the list.
type Rows = Box<dyn Iterator<Item = (u64, Result<Partner, ListError>)> + Send>;

fn numbered(partners: &Arc<Partners>) -> Rows {
    Box::new((0..).zip(partners.iter()))
}

/// One passage through the plan.
pub struct PlanPages {
    plan: Plan,
    rows: Rows,
    due: u64,
    /// The places of rows that are due and were refused before, ascending.
    again: Vec<u64>,
    /// When and at which place a row was refused last.
    last_refused: Option<(Timestamp, u64)>,
    /// Whether the rows that were refused before are still left out.
    first_pass: bool,
    /// The places that are still to be gone through, the next ones last.
    passes: Vec<Vec<u64>>,
}

impl PlanPages {
    /// The next entries, at most a page of them; `None` at the end.
    ///
    /// # Errors
    /// When the copy or the ledger cannot be read.
    pub async fn next_page(
        &mut self,
        reader: &Reader,
    ) -> exit::Result<Option<Vec<PlannedInvitation>>> {
        loop {
            let rows = self.next_rows()?;
            if rows.is_empty() {
                if !self.begin_next_pass() {
                    return Ok(None);
                }
                continue;
            }
            let entries = self.entries(rows, reader).await?;
            if !entries.is_empty() {
                return Ok(Some(entries));
            }
        }
    }

    /// At most a page of rows that were asked for; none at the end of a pass.
    fn next_rows(&mut self) -> exit::Result<Vec<(u64, Partner)>> {
        let mut rows = Vec::with_capacity(PAGE);
        for (place, row) in self.rows.by_ref() {
            let partner = row?;
            let wanted = if self.first_pass {
                let only = self.plan.only.as_ref();
                let lines = self.plan.lines.as_ref();
                only.is_none_or(|it| it.contains(&partner.address.canonical()))
                    && lines.is_none_or(|it| it.contains(&partner.line))
            } else {
                self.again.binary_search(&place).is_ok()
            };
            if wanted {
                rows.push((place, partner));
            }
            if rows.len() == PAGE {
                break;
            }
        }
        Ok(rows)
    }

    /// Begins again with rows that were refused before; false where there are none left.
    fn begin_next_pass(&mut self) -> bool {
        if self.first_pass {
            self.first_pass = false;
            let again = std::mem::take(&mut self.again);
            let [first, then] = in_turn(again, self.last_refused.map(|it| it.1));
            self.passes = vec![then, first];
        }
        while let Some(places) = self.passes.pop() {
            if !places.is_empty() {
                self.again = places;
                self.rows = numbered(&self.plan.partners);
                return true;
            }
        }
        false
    }

    /// The rows with where they stand. In the first pass those that are due and were refused before are left out.
    async fn entries(
        &mut self,
        rows: Vec<(u64, Partner)>,
        reader: &Reader,
    ) -> exit::Result<Vec<PlannedInvitation>> {
        let identities: Vec<_> = rows
            .iter()
            .map(|(_, it)| it.identity(&self.plan.campaign))
            .collect();
        let standings = reader.standings(identities.clone()).await?;
        let mut entries = Vec::with_capacity(rows.len());
        for (((place, partner), identity), standing) in
            rows.into_iter().zip(identities).zip(standings)
        {
            let mut skip = self.plan.skip(&partner.package, standing.as_ref());
            if self.first_pass
                && let Some(refused) = standing.as_ref().filter(|it| it.refused)
            {
                self.last_refused = self.last_refused.max(Some((refused.updated_at, place)));
                if skip.is_none() {
                    self.again.push(place);
                    continue;
                }
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

/// Ascending places in the order of their turn: first those behind the one that was refused last, then
/// the others.
pub(crate) fn in_turn(places: Vec<u64>, last_refused: Option<u64>) -> [Vec<u64>; 2] {
    let last = last_refused.unwrap_or(u64::MAX);
    let (before, behind) = places.into_iter().partition(|it| *it <= last);
    [behind, before]
}

#[cfg(test)]
mod tests {
    use super::in_turn;

    #[test]
    fn what_was_refused_begins_behind_the_one_that_was_refused_last() {
        let places = || vec![2, 5, 9];
        let none = Vec::new;

        assert_eq!(in_turn(places(), None), [none(), places()]);
        assert_eq!(in_turn(places(), Some(1)), [places(), none()]);
        assert_eq!(in_turn(places(), Some(5)), [vec![9], vec![2, 5]]);
        assert_eq!(in_turn(places(), Some(9)), [none(), places()]);
        assert_eq!(in_turn(none(), Some(9)), [none(), none()]);
    }
}

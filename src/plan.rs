//! The plan: row × standing → due, or skipped and why.
//!
//! It is a function of the copied file, the ledger's standing and the start time,
//! and gives the same sequence each time it is asked for. So it is never held: it
//! is drained once to be counted, once to be proven, once to be sent, and memory
//! stays flat however long the list is.

use std::collections::{BTreeMap, BTreeSet, HashSet};
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
use crate::partners::{Partner, Partners};

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
pub struct Entry {
    /// The row.
    pub partner: Partner,
    /// The invitation.
    pub identity: Identity,
    /// Where it stands; none where no run has recorded it.
    pub standing: Option<Standing>,
    /// Why it is not due; none where it is.
    pub skip: Option<Skip>,
}

impl Entry {
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
        match &self.standing {
            Some(Standing {
                repeat: true,
                message: Some((date, _)),
                ..
            }) => *date,
            _ => now,
        }
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
pub struct Survey {
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
    /// Domains of due partners, the first three of them.
    pub domains: BTreeSet<String>,
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
    pub fn drain(&self) -> Drain {
        Drain {
            rows: Box::new(self.partners.iter()),
            plan: self.clone(),
            due: 0,
        }
    }

    /// Counts what is due and what the guards ask about.
    ///
    /// # Errors
    /// When the copy or the ledger cannot be read.
    pub async fn survey(
        &self,
        reader: &Reader,
        limits: &Limits,
        locale_of: impl Fn(&Partner) -> String,
    ) -> exit::Result<Survey> {
        const SHOWN: usize = 20;
        let mut survey = Survey::default();
        let mut missing = self.only.clone().unwrap_or_default();
        let mut drain = self.drain();
        while let Some(page) = drain.next_page(reader).await? {
            for entry in page {
                missing.remove(&entry.identity.address);
                let deferred = entry
                    .standing
                    .as_ref()
                    .is_some_and(|it| it.state == State::Deferred);
                if let Some(skip) = entry.skip {
                    survey.waiting += u64::from(deferred && !matches!(skip, Skip::Closed(_)));
                    continue;
                }
                survey.due += 1;
                survey.new += u64::from(entry.is_new());
                if survey.domains.len() < 3 {
                    let domain = entry.partner.address.domain();
                    survey.domains.insert(domain.to_owned());
                }
                *survey.locales.entry(locale_of(&entry.partner)).or_default() += 1;
                if !limits.allow(&entry.partner.address) {
                    survey.not_allowed_total += 1;
                    if survey.not_allowed.len() < SHOWN {
                        let Partner { line, address, .. } = entry.partner;
                        survey.not_allowed.push((line, address));
                    }
                }
            }
        }
        survey.not_found = missing.into_iter().collect();
        survey.not_found.sort();
        Ok(survey)
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

/// One passage through the plan.
pub struct Drain {
    plan: Plan,
    rows: Box<dyn Iterator<Item = exit::Result<Partner>> + Send>,
    due: u64,
}

impl Drain {
    /// The next entries, at most a page of them; `None` at the end.
    ///
    /// # Errors
    /// When the copy or the ledger cannot be read.
    pub async fn next_page(&mut self, reader: &Reader) -> exit::Result<Option<Vec<Entry>>> {
        let mut partners = Vec::with_capacity(PAGE);
        for row in self.rows.by_ref() {
            let partner = row?;
            let only = self.plan.only.as_ref();
            let lines = self.plan.lines.as_ref();
            if only.is_none_or(|it| it.contains(&partner.address.canonical()))
                && lines.is_none_or(|it| it.contains(&partner.line))
            {
                partners.push(partner);
            }
            if partners.len() == PAGE {
                break;
            }
        }
        if partners.is_empty() {
            return Ok(None);
        }
        let identities: Vec<_> = partners
            .iter()
            .map(|it| it.identity(&self.plan.campaign))
            .collect();
        let standings = reader.standings(identities.clone()).await?;
        let entries = partners
            .into_iter()
            .zip(identities)
            .zip(standings)
            .map(|((partner, identity), standing)| {
                let mut skip = self.plan.skip(&partner.package, standing.as_ref());
                if skip.is_none() {
                    if self.plan.limit.is_some_and(|limit| self.due >= limit) {
                        skip = Some(Skip::Limit);
                    } else {
                        self.due += 1;
                    }
                }
                Entry {
                    partner,
                    identity,
                    standing,
                    skip,
                }
            })
            .collect();
        Ok(Some(entries))
    }
}

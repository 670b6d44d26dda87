//! The plan: row × standing → due, or skipped with a reason.
//!
//! It is a function of the copied list, the ledger and the start time, and gives the same sequence each
//! time. It is read page by page and never held, so that memory use does not depend on the list's length.
//!
//! Rows that were never refused come first, in the order of the list; then those that are tried again,
//! starting behind the one that was refused last. So a few bad rows never delay the others, even if the
//! limits let only a few through. Reminders follow the invitations that were never refused: a reminder is
//! planned in place of its invitation, which was accepted.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::address::Address;
use crate::config::{Limits, Package};
use crate::invitation::{
    AccessBy, AccessState, Erasure, Identity, Invited, MessageIdKey, NextReminder, Occasion,
    Record, ReminderSchedule, Standing, State,
};
use crate::ledger::{LedgerError, Reader};
use crate::link::PackageId;
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
    /// When partners are reminded; `None` plans no reminders.
    pub reminders: Option<ReminderSchedule>,
    /// Whether invitations of partners who have asked for access are skipped.
    pub skip_if_requested: bool,
    /// The packages whose reminders must wait, because it is not known who has requested access.
    pub requests_unread: BTreeSet<PackageId>,
    /// A longer wait, which only a clock that was ahead can have recorded, is ignored.
    pub longest_pause: SignedDuration,
}

/// One partner of the plan.
#[derive(Clone, Debug)]
pub struct PlannedInvitation {
    /// The row.
    pub partner: Partner,
    /// The invitation or the reminder.
    pub identity: Identity,
    /// What the ledger records about it; none if no run has recorded it.
    pub standing: Option<Standing>,
    /// Of a reminder: the invitation.
    pub reminds_of: Option<Invited>,
    /// Why it is not due; none if it is.
    pub skip: Option<Skip>,
}

impl PlannedInvitation {
    /// Whether it is an invitation of which no delivery was ever attempted.
    #[must_use]
    pub fn is_new(&self) -> bool {
        let attempted = self.standing.as_ref().is_some_and(|it| it.attempts > 0);
        self.reminds_of.is_none() && !attempted
    }

    /// Whether its address is suppressed and no run has recorded it.
    #[must_use]
    pub fn is_newly_suppressed(&self) -> bool {
        self.standing.is_none() && self.skip == Some(Skip::State(State::Suppressed))
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
    /// The partner has asked for access.
    Requested(AccessState),
    /// The record was erased.
    Erased(Erasure),
    /// The message to be repeated has changed.
    Changed,
    /// The reminder must wait, because it is not known who has requested access.
    RequestsUnread,
    /// The next reminder must wait, because this one may have been accepted.
    Reminded(Occasion),
    /// `--limit` was reached.
    Limit,
}

impl Skip {
    /// The reason without what differs between partners, for counting.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Waiting(_) => "deferred, not due yet".into(),
            Self::Requested(_) => "has asked for access".into(),
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
            Self::Requested(access) => write!(f, "has asked for access ({access})"),
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
            Self::RequestsUnread => {
                write!(
                    f,
                    "not reminded, because the requests for access were not read"
                )
            }
            Self::Reminded(occasion) => write!(
                f,
                "not known whether {occasion} was accepted; decide with `resolve --occasion {occasion}`"
            ),
            Self::Limit => write!(f, "beyond --limit"),
        }
    }
}

/// The counts of a plan.
#[derive(Debug, Default)]
pub struct PlanSummary {
    /// How many are due.
    pub due: u64,
    /// How many of those are invitations that were never attempted.
    pub new: u64,
    /// The reminders among the due ones, by the key of their package.
    pub reminders: BTreeMap<String, u64>,
    /// Deferred rows of open packages that this plan skips, and reminders that must wait.
    pub waiting: u64,
    /// Rows of suppressed addresses that no run has recorded.
    pub newly_suppressed: u64,
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

impl PlanSummary {
    /// How many of the due messages are reminders.
    #[must_use]
    pub fn reminders(&self) -> u64 {
        self.reminders.values().sum()
    }
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
            reminders: None,
            skip_if_requested: false,
            requests_unread: BTreeSet::new(),
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
            reminders: Vec::new(),
            refused: Vec::new(),
            last_refused: None,
            later: None,
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
                summary.newly_suppressed += u64::from(entry.is_newly_suppressed());
                if entry.skip == Some(Skip::Erased(Erasure::Forgotten)) {
                    summary.forgotten_total += 1;
                    if summary.forgotten.len() < SHOWN {
                        summary.forgotten.push(entry.partner.line);
                    }
                }
                if let Some(skip) = entry.skip {
                    *summary.skipped.entry(skip.kind()).or_default() += 1;
                    let waits = deferred && !matches!(skip, Skip::Closed(_) | Skip::Requested(_));
                    summary.waiting += u64::from(waits || skip == Skip::RequestsUnread);
                    continue;
                }
                summary.due += 1;
                summary.new += u64::from(entry.is_new());
                let locale = locale_of(&entry.partner);
                *summary.locales.entry(locale).or_default() += 1;
                let package = &entry.partner.package.key;
                *summary.packages.entry(package.clone()).or_default() += 1;
                if entry.reminds_of.is_some() {
                    *summary.reminders.entry(package.clone()).or_default() += 1;
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

    /// Replaces accepted invitations by their reminders that are due.
    async fn plan_reminders(
        &self,
        schedule: &ReminderSchedule,
        planned: &mut [PlannedInvitation],
        reader: &Reader,
    ) -> Result<(), PlanError> {
        let is_accepted = |it: &&mut PlannedInvitation| {
            let state = it.standing.as_ref().map(|it| it.state);
            matches!(state, Some(State::Accepted | State::Delivered))
        };
        let accepted: Vec<_> = planned.iter_mut().filter(is_accepted).collect();
        if accepted.is_empty() {
            return Ok(());
        }
        let identities: Vec<_> = accepted.iter().map(|it| it.identity.clone()).collect();
        let addresses = identities.iter().map(|it| it.address.clone()).collect();
        let suppressions = reader.suppressions_of(addresses).await?;
        let access = reader.access_of(identities.clone()).await?;
        let records = reader.with_reminders(identities).await?;
        let found = access.into_iter().zip(records).zip(suppressions);
        for (entry, ((access, records), suppression)) in accepted.into_iter().zip(found) {
            if suppression.is_some() {
                continue;
            }
            let mailed: Vec<_> = records.iter().map(Record::mailed).collect();
            let [invitation, reminders @ ..] = mailed.as_slice() else {
                continue;
            };
            match schedule.next(invitation, reminders, access.as_ref()) {
                NextReminder::Due(occasion, at) if at <= self.now => {
                    self.plan_reminder(entry, occasion, records);
                }
                NextReminder::Blocked(occasion, _) => entry.skip = Some(Skip::Reminded(occasion)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Replaces an accepted invitation by its reminder, unless the package is closed.
    fn plan_reminder(
        &self,
        entry: &mut PlannedInvitation,
        occasion: Occasion,
        mut records: Vec<Record>,
    ) {
        let place = records
            .iter()
            .position(|it| it.identity.occasion == occasion);
        let invited = records[0].invited();
        let standing = place.map(|it| records.swap_remove(it).standing);
        let mut skip = self.skip(&entry.partner.package, standing.as_ref());
        if matches!(skip, Some(Skip::Closed(_))) {
            return;
        }
        if self.requests_unread.contains(&entry.identity.package_id) {
            skip = Some(Skip::RequestsUnread);
        }
        *entry = PlannedInvitation {
            partner: entry.partner.clone(),
            identity: entry.identity.on(occasion),
            standing,
            reminds_of: Some(invited),
            skip,
        };
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
    /// Lines and offsets of the rows with a reminder that is due and was never refused.
    reminders: Vec<(u64, u64)>,
    /// Those of the rows that are due and were refused before.
    refused: Vec<(u64, u64)>,
    /// When a row was refused last, its line and offset.
    last_refused: Option<(Timestamp, (u64, u64))>,
    /// The rows of the second pass, taken from the end; `None` during the first.
    later: Option<Vec<(u64, u64)>>,
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
            let rows = match &self.later {
                None => self.next_rows()?,
                Some(_) => self.next_later()?,
            };
            if rows.is_empty() {
                if self.later.is_some() {
                    return Ok(None);
                }
                begin_behind(&mut self.refused, self.last_refused.map(|it| it.1));
                let mut later = std::mem::take(&mut self.reminders);
                later.append(&mut self.refused);
                later.reverse();
                self.later = Some(later);
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
    fn next_later(&mut self) -> Result<Vec<Partner>, ListError> {
        let later = self.later.get_or_insert_default();
        let page = later.drain(later.len().saturating_sub(PAGE)..).rev();
        page.map(|(line, offset)| self.again.partner_at(line, offset))
            .collect()
    }

    /// The rows with their standings. The first pass leaves out reminders, and what was refused before.
    async fn entries(
        &mut self,
        rows: Vec<Partner>,
        reader: &Reader,
    ) -> Result<Vec<PlannedInvitation>, PlanError> {
        let identity = |it: &Partner| it.identity(&self.plan.campaign);
        let identities: Vec<_> = rows.iter().map(identity).collect();
        let standings = reader.standings(identities.clone()).await?;
        let rows = rows.into_iter().zip(identities).zip(standings);
        let planned = rows.map(|((partner, identity), standing)| PlannedInvitation {
            skip: self.plan.skip(&partner.package, standing.as_ref()),
            partner,
            identity,
            standing,
            reminds_of: None,
        });
        let mut planned: Vec<_> = planned.collect();
        skip_unrecorded(&mut planned, reader).await?;
        if self.plan.skip_if_requested {
            skip_requested(&mut planned, reader).await?;
        }
        if let Some(schedule) = self.plan.reminders {
            self.plan
                .plan_reminders(&schedule, &mut planned, reader)
                .await?;
        }
        let mut entries = Vec::with_capacity(planned.len());
        for mut entry in planned {
            let PlannedInvitation {
                partner, standing, ..
            } = &entry;
            let place = (partner.line, partner.offset);
            if self.later.is_none() {
                let refused = standing.as_ref().filter(|it| it.refused);
                let last = refused.map(|it| (it.updated_at, place));
                self.last_refused = self.last_refused.max(last);
                let wait = match (&entry.reminds_of, refused) {
                    _ if entry.skip.is_some() => None,
                    (_, Some(_)) => Some(&mut self.refused),
                    (Some(_), None) => Some(&mut self.reminders),
                    (None, None) => None,
                };
                if let Some(wait) = wait {
                    wait.push(place);
                    continue;
                }
            }
            if entry.skip.is_none() && self.plan.changed.contains(&partner.line) {
                entry.skip = Some(Skip::Changed);
            }
            if entry.skip.is_none() {
                if self.plan.limit.is_some_and(|limit| self.due >= limit) {
                    entry.skip = Some(Skip::Limit);
                } else {
                    self.due += 1;
                }
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

/// Skips what no run has recorded, if its record was erased or its address is suppressed. The ledger keeps recorded
/// invitations to suppressed addresses in the state `suppressed`.
async fn skip_unrecorded(
    planned: &mut [PlannedInvitation],
    reader: &Reader,
) -> Result<(), LedgerError> {
    let unrecorded = planned.iter_mut().filter(|it| it.standing.is_none());
    let unrecorded: Vec<_> = unrecorded.collect();
    if unrecorded.is_empty() {
        return Ok(());
    }
    let identities: Vec<_> = unrecorded.iter().map(|it| it.identity.clone()).collect();
    let addresses = identities.iter().map(|it| it.address.clone()).collect();
    let suppressions = reader.suppressions_of(addresses).await?;
    let erasures = reader.erasures(identities).await?;
    for ((entry, erasure), suppression) in unrecorded.into_iter().zip(erasures).zip(suppressions) {
        // A forgotten address is suppressed, too, and must not be recorded again.
        let suppressed = suppression.map(|_| Skip::State(State::Suppressed));
        let skip = erasure.map(Skip::Erased).or(suppressed);
        entry.skip = skip.or(entry.skip.take());
    }
    Ok(())
}

/// Skips the invitations that would be sent, now or later, to partners who have asked for access themselves. A
/// colleague's request is not theirs.
async fn skip_requested(
    planned: &mut [PlannedInvitation],
    reader: &Reader,
) -> Result<(), LedgerError> {
    let is_open = |it: &&mut PlannedInvitation| matches!(it.skip, None | Some(Skip::Waiting(_)));
    let open: Vec<_> = planned.iter_mut().filter(is_open).collect();
    let identities = open.iter().map(|it| it.identity.clone()).collect();
    for (entry, access) in open.into_iter().zip(reader.access_of(identities).await?) {
        if let Some(access) = access.filter(|it| it.by == Some(AccessBy::Address)) {
            entry.skip = Some(Skip::Requested(access.state));
        }
    }
    Ok(())
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

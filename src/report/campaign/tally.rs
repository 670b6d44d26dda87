//! The sums of a report: by state, package and language, and what happened in the course of time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use strum::VariantArray;

use super::model::InvitationRow;
use super::steps::{Group, changed_to};
use crate::invitation::{AccessBy, AccessState, State};

/// What is counted in the course of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Milestone {
    /// It was recorded in the ledger.
    Recorded,
    /// The relay accepted its message.
    Accepted,
    /// The partner has asked for access.
    Requested,
    /// The partner has got access.
    Granted,
    /// It is rejected, bounced or expired.
    Failed,
}

impl Milestone {
    /// Its name in the style sheet and in JSON.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Its name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Recorded => "recorded in the ledger",
            Self::Accepted => "accepted by the relay",
            Self::Requested => "access requested",
            Self::Granted => "access granted",
            Self::Failed => "failed",
        }
    }
}

/// How many invitations are in each group.
pub type GroupCounts = [u64; Group::VARIANTS.len()];
/// How many invitations have reached each milestone.
pub type MilestoneCounts = [u64; Milestone::VARIANTS.len()];

/// The sums.
#[derive(Debug, Default)]
pub struct Tally {
    states: BTreeMap<&'static str, u64>,
    /// By the name of the package.
    pub packages: BTreeMap<String, GroupCounts>,
    /// By the locale of the template.
    pub locales: BTreeMap<String, GroupCounts>,
    /// By minute since 1970.
    minutes: BTreeMap<i64, MilestoneCounts>,
    total: u64,
    /// By the state of access, and whether it is a colleague's; empty if requests were never read.
    pub access: BTreeMap<&'static str, [u64; 2]>,
    /// How many partners were reminded.
    pub reminded: u64,
    /// How many messages were composed again, and how many of them are the ones that were sent.
    pub composed: (u64, u64),
}

/// The sums at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The end of a minute, or of a longer time.
    pub at: Timestamp,
    /// The sums.
    pub sums: MilestoneCounts,
}

impl Tally {
    /// Counts an invitation.
    pub fn add(&mut self, row: &InvitationRow) {
        let InvitationRow {
            mail, reminders, ..
        } = row;
        let record = &mail.record;
        let state = record.standing.state;
        let group = Group::of(state);
        self.total += 1;
        *self.states.entry(state.as_str()).or_default() += 1;
        let package = self.packages.entry(row.package.clone()).or_default();
        package[group as usize] += 1;
        let locale = record.invitee.template_locale.clone();
        self.locales.entry(locale).or_default()[group as usize] += 1;
        let verified = reminders
            .iter()
            .chain([mail])
            .filter_map(|it| it.text_verified);
        for is_same in verified {
            self.composed.0 += 1;
            self.composed.1 += u64::from(is_same);
        }
        self.reminded += u64::from(reminders.iter().any(|it| it.record.accepted_at.is_some()));
        self.reach(Milestone::Recorded, Some(record.created_at));
        self.reach(Milestone::Accepted, record.accepted_at);
        if group == Group::Failed {
            self.reach(Milestone::Failed, changed_to(&mail.history, state));
        }
        if let Some(access) = row.access {
            let is_colleague = access.by == Some(AccessBy::Colleague);
            let counts = self.access.entry(access.state.as_str()).or_default();
            counts[usize::from(is_colleague)] += 1;
            if !is_colleague {
                self.reach(Milestone::Requested, access.requested_at);
                let granted = access.at.filter(|_| access.state == AccessState::Granted);
                self.reach(Milestone::Granted, granted);
            }
        }
    }

    fn reach(&mut self, milestone: Milestone, at: Option<Timestamp>) {
        if let Some(at) = at {
            let minute = at.as_second().div_euclid(60);
            self.minutes.entry(minute).or_default()[milestone as usize] += 1;
        }
    }

    /// How many invitations there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many are in a state.
    pub fn in_state(&self, state: State) -> u64 {
        self.states.get(state.as_str()).copied().unwrap_or_default()
    }

    /// How many are in each group.
    pub fn groups(&self) -> GroupCounts {
        let mut groups = GroupCounts::default();
        for state in State::ALL {
            groups[Group::of(*state) as usize] += self.in_state(*state);
        }
        groups
    }

    /// How many have reached each milestone.
    pub fn milestones(&self) -> MilestoneCounts {
        self.points(1, 0)
            .last()
            .map_or_else(Default::default, |it| it.sums)
    }

    /// The sums after each time of `minutes` minutes in which something happened. These times begin `shift` minutes
    /// before they do in UTC, so that a day is a local one.
    pub fn points(&self, minutes: i64, shift: i64) -> Vec<Point> {
        let mut points: Vec<Point> = Vec::new();
        let mut sums = MilestoneCounts::default();
        for (minute, counts) in &self.minutes {
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
            let end = ((minute + shift).div_euclid(minutes) + 1) * minutes - shift;
            let at = Timestamp::from_second(end * 60).unwrap_or(Timestamp::MAX);
            match points.last_mut() {
                Some(last) if last.at == at => last.sums = sums,
                _ => points.push(Point { at, sums }),
            }
        }
        points
    }

    /// From the first to the last minute in which something happened.
    pub fn span(&self) -> Option<(Timestamp, SignedDuration)> {
        let (first, last) = (self.minutes.keys().next()?, self.minutes.keys().last()?);
        let begin = Timestamp::from_second(first * 60).ok()?;
        Some((begin, SignedDuration::from_mins(last + 1 - first)))
    }
}

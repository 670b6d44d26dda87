//! Recording who has asked for access to a package.

use jiff::Timestamp;

use super::Ledger;
use super::error::Result;
use crate::invitation::{Access, AccessBy, AccessState, PersonHash};
use crate::link::PackageId;

/// How many people are recorded in one transaction, which takes a few milliseconds.
const BATCH: u32 = 500;

/// The access of one person, or the best of a domain, to a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PersonAccess {
    /// Whose.
    pub person: PersonHash,
    /// How far the request has come; never [`AccessState::None`].
    pub state: AccessState,
    /// Since when.
    pub at: Option<Timestamp>,
    /// When it was requested.
    pub requested_at: Option<Timestamp>,
}

impl PersonAccess {
    /// The access of an invited partner who was found `by` this.
    #[must_use]
    pub fn access(&self, by: AccessBy) -> Access {
        Access {
            state: self.state,
            at: self.at,
            by: Some(by),
            requested_at: self.requested_at,
        }
    }
}

/// What a reading has changed for one person, or one domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessChange {
    /// Whose access.
    pub person: PersonHash,
    /// What was recorded.
    pub from: AccessState,
    /// What is recorded now.
    pub to: AccessState,
}

impl Ledger {
    /// Replaces what is recorded about a package by a complete reading of its requests, which began at `at`, in
    /// short transactions. `people` has the order of the hashes, each of them once. Whoever is missing has no
    /// request any more. Gives whose state has changed.
    ///
    /// # Errors
    /// If it cannot be recorded. Some of it may be recorded then; the time of the reading is not.
    pub async fn record_access(
        &self,
        package: PackageId,
        people: &[PersonAccess],
        at: Timestamp,
    ) -> Result<Vec<AccessChange>> {
        debug_assert!(people.is_sorted_by(|a, b| a.person < b.person));
        let mut changes = Vec::new();
        for batch in people.chunks(BATCH as usize) {
            let batch = batch.to_vec();
            let record = self
                .writer
                .run(move |it| it.record_access(package, &batch))
                .await?;
            changes.extend(record);
        }
        let mut after = None;
        loop {
            let recorded = self.reader.people(package, after, BATCH).await?;
            let Some((last, _)) = recorded.last() else {
                break;
            };
            after = Some(*last);
            let is_read = |person| people.binary_search_by_key(&person, |it| it.person).is_ok();
            let mut gone = recorded;
            gone.retain(|(person, _)| !is_read(*person));
            if gone.is_empty() {
                continue;
            }
            let gone_now = gone.iter().map(|it| it.0).collect::<Vec<_>>();
            self.writer
                .run(move |it| it.forget_access(package, &gone_now))
                .await?;
            changes.extend(gone.into_iter().map(|(person, from)| AccessChange {
                person,
                from,
                to: AccessState::None,
            }));
        }
        self.writer
            .run(move |it| it.record_reading(package, at))
            .await?;
        Ok(changes)
    }
}

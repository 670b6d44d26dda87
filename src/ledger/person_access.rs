//! The access of people to packages, as the ledger keeps and changes it.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::invitation::{Access, AccessBy, AccessCounts, AccessState, PersonHash};

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

/// The people with a request for a package, and domains.
pub struct People {
    /// How far the request of each has come.
    pub states: HashMap<PersonHash, AccessState>,
    /// When the requests were read.
    pub read_at: Timestamp,
}

impl People {
    /// Counts an invitation, by the hashes of its person and domain.
    pub fn count(&self, [person, domain]: [PersonHash; 2], counts: &mut AccessCounts) {
        let oldest = counts
            .read_at
            .map_or(self.read_at, |it| it.min(self.read_at));
        counts.read_at = Some(oldest);
        let (state, by_colleague) = match (self.states.get(&person), self.states.get(&domain)) {
            (Some(state), _) => (*state, false),
            (None, Some(state)) => (*state, true),
            (None, None) => (AccessState::None, false),
        };
        *counts.states.entry(state).or_default() += 1;
        counts.by_colleague += u64::from(by_colleague);
    }
}

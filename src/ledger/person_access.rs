//! The access of people to packages, as the ledger keeps and changes it.

use jiff::Timestamp;

use crate::invitation::{Access, AccessBy, AccessState, PersonHash};

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

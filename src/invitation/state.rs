//! The states of an invitation.

use std::fmt;

/// Where an invitation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// To be mailed; no relay has accepted it.
    Pending,
    /// The final dot is about to be written, or was written.
    Armed,
    /// The relay took responsibility.
    Accepted,
    /// Refused for now; due again later.
    Deferred,
    /// Refused for good.
    Rejected,
    /// Whether it was accepted is not known; a person decides.
    Unknown,
    /// Closed by a person.
    Abandoned,
    /// Deferred for too long.
    Expired,
    /// Not to be mailed at all.
    Suppressed,
    /// A notification confirmed delivery.
    Delivered,
    /// A notification reported failure.
    Bounced,
}

impl State {
    /// All states, in the order in which reports list them.
    pub const ALL: [Self; 11] = [
        Self::Pending,
        Self::Armed,
        Self::Accepted,
        Self::Deferred,
        Self::Rejected,
        Self::Unknown,
        Self::Abandoned,
        Self::Expired,
        Self::Suppressed,
        Self::Delivered,
        Self::Bounced,
    ];

    /// The name in the ledger and in every report.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Armed => "armed",
            Self::Accepted => "accepted",
            Self::Deferred => "deferred",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::Abandoned => "abandoned",
            Self::Expired => "expired",
            Self::Suppressed => "suppressed",
            Self::Delivered => "delivered",
            Self::Bounced => "bounced",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_states_read_back() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.as_str()), Some(state));
        }
        assert_eq!(State::from_name("sent"), None);
    }
}

//! The states of an invitation.

use strum::VariantArray;

/// The state of an invitation.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    clap::ValueEnum,
    serde::Serialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum State {
    /// Due; no relay has accepted it.
    #[default]
    Pending,
    /// The final dot is about to be written, or was written without a recorded outcome.
    Armed,
    /// The relay accepted it.
    Accepted,
    /// Refused temporarily; due again later.
    Deferred,
    /// Refused permanently, with evidence about the recipient.
    Rejected,
    /// The relay may have accepted it; a person decides.
    Unknown,
    /// Closed by a person.
    Abandoned,
    /// Deferred for too long.
    Expired,
    /// On the suppression list; never mailed.
    Suppressed,
    /// A delivery report confirmed delivery.
    Delivered,
    /// A delivery report reported a failure.
    Bounced,
}

impl State {
    /// All states, in the order in which reports list them.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The name in the ledger and in every report.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_states_read_back() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
        assert!("sent".parse::<State>().is_err());
    }
}

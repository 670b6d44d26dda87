//! Arguments that verbs share, and parsers of their values.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::address::Address;
use crate::invitation::{Decision, State};

/// Which partners a verb is restricted to.
#[derive(Args, Clone, Debug, Default)]
pub struct PartnerFilter {
    /// Mail at most N partners, the first that are due
    #[arg(long, value_name = "N", value_parser = whole_number)]
    pub limit: Option<u64>,
    /// Mail only these addresses
    #[arg(long, value_name = "ADDRESS", num_args = 1.., value_parser = Address::parse)]
    pub only: Vec<Address>,
}

fn whole_number(text: &str) -> std::result::Result<u64, &'static str> {
    text.parse()
        .map_err(|_| "it must be a whole number, such as 5")
}

impl PartnerFilter {
    /// Whether it restricts anything.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.only.is_empty() || self.limit.is_some()
    }
}

/// Parses the name of a state.
pub fn state(name: &str) -> std::result::Result<State, String> {
    name.parse().map_err(|_| {
        let names: Vec<&str> = State::ALL.iter().map(|it| it.as_str()).collect();
        format!("the states are {}", names.join(", "))
    })
}

/// Parses a state whose invitations can be decided about together.
pub fn decidable_state(name: &str) -> std::result::Result<State, String> {
    match state(name) {
        Ok(it @ (State::Expired | State::Rejected | State::Bounced)) => Ok(it),
        _ => Err("it must be expired, rejected or bounced".to_owned()),
    }
}

/// The decisions with their names on the command line.
const DECISIONS: [(&str, &str, Decision); 3] = [
    ("accepted", "The message arrived", Decision::Accepted),
    ("resend", "Send it again", Decision::Resend),
    (
        "abandoned",
        "Close the invitation without sending",
        Decision::Abandoned,
    ),
];

/// Parses a decision.
pub fn decision_parser() -> impl TypedValueParser<Value = Decision> {
    let values = DECISIONS.map(|(name, help, _)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(values).map(|name| {
        let chosen = DECISIONS.iter().find(|it| it.0 == name);
        chosen.expect("the parser accepts no other names").2
    })
}

//! `[limits]` and `[retry]`: how much, how fast, to whom, and when again.

use std::time::Duration;

use jiff::SignedDuration;

use super::key::Kind;
use super::reader::Section;
use super::values::{Value, duration, list, number, one_line};
use crate::address::Address;
use crate::invitation::RetrySchedule;

/// How much, how fast, to whom.
#[derive(Debug)]
pub struct Limits {
    /// Dots in any 60 seconds, over all connections and runs.
    pub per_minute: u32,
    /// Dots in any 24 hours.
    pub per_day: u32,
    /// Never-attempted invitations in one run, above which nothing is sent.
    pub new_per_run: u32,
    /// How long a run may take; then it begins no more messages.
    pub max_runtime: Option<Duration>,
    /// The only recipients allowed; `None` means all.
    pub only_to: Option<Vec<RecipientPattern>>,
}

/// One entry of `only_to`.
#[derive(Debug, PartialEq, Eq)]
pub enum RecipientPattern {
    /// `@contoso.example`: everybody of a domain.
    Domain(String),
    /// One address, in its canonical form.
    Address(String),
}

impl Limits {
    /// Whether `only_to` lets this address through.
    #[must_use]
    pub fn allow(&self, address: &Address) -> bool {
        self.only_to.as_ref().is_none_or(|allowed| {
            allowed.iter().any(|it| match it {
                RecipientPattern::Domain(domain) => domain == address.domain(),
                RecipientPattern::Address(canonical) => *canonical == address.canonical(),
            })
        })
    }

    pub(super) fn read(mut section: Section<'_>) -> Self {
        let limits = Self {
            per_minute: section
                .key("per_minute", "messages in any 60 seconds")
                .or("30", number(1..=1_000_000)),
            per_day: section
                .key("per_day", "messages in any 24 hours")
                .or("10000", number(1..=100_000_000)),
            new_per_run: section
                .key("new_per_run", "more new partners than this stop the run")
                .or("500", number(0..=100_000_000)),
            only_to: section
                .key("only_to", "any other recipient stops the run")
                .optional(list(recipient_pattern())),
            max_runtime: section
                .key("max_runtime", "after that no more messages are begun")
                .optional(duration().map(SignedDuration::unsigned_abs)),
        };
        section.finish();
        limits
    }
}

/// `@domain` or an address.
fn recipient_pattern<'r>() -> Value<'r, RecipientPattern> {
    Value::new(Kind::Text("an address or \"@domain\""), |value| {
        let written = one_line(value)?;
        let error = |error| format!("must list addresses or \"@domain\": {error}");
        match written.strip_prefix('@') {
            Some(domain) => Address::parse(&format!("a@{domain}"))
                .map(|it| RecipientPattern::Domain(it.domain().to_owned()))
                .map_err(error),
            None => Address::parse(&written)
                .map(|it| RecipientPattern::Address(it.canonical()))
                .map_err(error),
        }
    })
}

/// Reads when a deferred invitation is tried again.
pub fn read_retry(mut section: Section<'_>) -> RetrySchedule {
    let schedule = RetrySchedule {
        first_after: section
            .key("first_after", "the pause after a first deferral")
            .or("\"30m\"", duration()),
        max_after: section
            .key("max_after", "the longest pause")
            .or("\"8h\"", duration()),
        give_up_after: section
            .key("give_up_after", "from the first deferral to the last")
            .or("\"5d\"", duration()),
    };
    if schedule.max_after < schedule.first_after {
        let message = "`retry.max_after` must not be shorter than `retry.first_after`";
        section.problem("max_after", message);
    }
    section.finish();
    schedule
}

//! `[limits]` and `[retry]`: how many messages, how fast, to whom, and when deferred ones are retried.

use std::time::Duration;

use jiff::SignedDuration;

use super::key::Kind;
use super::providers::Provider;
use super::reader::Section;
use super::values::{Value, duration, list, number, one_line};
use crate::address::Address;
use crate::invitation::RetrySchedule;

/// How many messages, how fast, to whom.
#[derive(Debug)]
pub struct Limits {
    /// Messages in any 60 seconds, over all connections and runs.
    pub per_minute: u32,
    /// Messages in any 24 hours.
    pub per_day: u32,
    /// The most new invitations in a run; with more, nothing is sent.
    pub new_per_run: u32,
    /// How long a run may begin new messages.
    pub max_runtime: Option<Duration>,
    /// The allowed recipients, as canonical addresses and `@domain`; `None` means all.
    pub only_to: Option<Vec<String>>,
}

impl Limits {
    /// Whether `only_to` allows this address.
    #[must_use]
    pub fn allow(&self, address: &Address) -> bool {
        let domain = format!("@{}", address.domain());
        let allows = |it: &String| *it == domain || *it == address.canonical();
        self.only_to.as_ref().is_none_or(|it| it.iter().any(allows))
    }

    pub(super) fn read(section: &mut Section<'_>, provider: Option<&Provider>) -> Self {
        Self {
            per_minute: section
                .key("per_minute", "messages in any 60 seconds")
                .or_set(
                    "30",
                    provider.and_then(|it| it.per_minute),
                    number(1..=1_000_000),
                ),
            per_day: section.key("per_day", "messages in any 24 hours").or_set(
                "10000",
                provider.and_then(|it| it.per_day),
                number(1..=100_000_000),
            ),
            new_per_run: section
                .key("new_per_run", "a run with more new partners sends nothing")
                .or("500", number(0..=100_000_000)),
            only_to: section
                .key("only_to", "a run with any other recipient sends nothing")
                .optional(list(recipient_pattern())),
            max_runtime: section
                .key(
                    "max_runtime",
                    "after this time, no further message is started",
                )
                .optional(duration().map(SignedDuration::unsigned_abs)),
        }
    }
}

/// An address, or `@domain` for all addresses of a domain, in canonical form.
fn recipient_pattern<'r>() -> Value<'r, String> {
    Value::new(Kind::Text("an address or \"@domain\""), |value| {
        let written = one_line(value)?;
        let parsed = match written.strip_prefix('@') {
            Some(domain) => {
                Address::parse(&format!("a@{domain}")).map(|it| format!("@{}", it.domain()))
            }
            None => Address::parse(&written).map(|it| it.canonical()),
        };
        parsed.map_err(|error| format!("must list addresses or \"@domain\": {error}"))
    })
}

/// Reads when a deferred invitation is retried.
pub fn read_retry(section: &mut Section<'_>) -> RetrySchedule {
    let schedule = RetrySchedule {
        first_after: section
            .key("first_after", "the pause after a first deferral")
            .or("\"30m\"", duration()),
        max_after: section
            .key("max_after", "the longest pause")
            .or("\"8h\"", duration()),
        give_up_after: section
            .key(
                "give_up_after",
                "the longest time from the first deferral to the last",
            )
            .or("\"5d\"", duration()),
    };
    if schedule.max_after < schedule.first_after {
        let message = "`retry.max_after` must not be shorter than `retry.first_after`";
        section.problem("max_after", message);
    }
    schedule
}

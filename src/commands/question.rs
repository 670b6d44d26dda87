//! The question of `send`: everything that a person decides about, and how long it will take.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::guards::proposal;
use super::job::Job;
use crate::address::Address;
use crate::approval::{self, Digest};
use crate::delivery::Forecast;
use crate::ledger::Approval;
use crate::plan::PlanSummary;
use crate::report::{count, joined_counts, local, one_line, rough_duration, shortest_duration};

/// How many packages are named.
const NAMED: usize = 5;

/// What a `send` is about to do.
pub struct SendQuestion<'a> {
    /// What was loaded.
    pub job: &'a Job,
    /// What is due.
    pub summary: &'a PlanSummary,
    /// The relay.
    pub relay: String,
    /// What the rate limits allow.
    pub forecast: Forecast,
    /// The digest on the command line.
    pub approved: Option<Digest>,
    /// The last approval on record, if one is required.
    pub recorded: Option<&'a Approval>,
    /// The current time.
    pub now: Timestamp,
}

impl SendQuestion<'_> {
    /// The facts, one for each line behind a label.
    pub fn text(&self) -> String {
        let sender = &self.job.config.sender;
        let from = mailbox(sender.name.as_deref(), &sender.address);
        let mut lines = vec![("from", from)];
        if let Some((name, address)) = &sender.reply_to {
            lines.push(("reply to", mailbox(name.as_deref(), address)));
        }
        lines.push(("campaign", one_line(&self.job.config.campaign)));
        lines.push(("packages", self.packages()));
        lines.push(("languages", joined_counts(&self.summary.locales)));
        lines.push(("partners", self.partners()));
        lines.push(("approval", self.approval()));
        lines.push(("relay", self.relay.clone()));
        let labels = ["duration", "", ""];
        lines.extend(labels.into_iter().zip(self.duration()));
        let lines = lines
            .iter()
            .map(|(label, text)| format!("  {label:<10}  {text}"));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn packages(&self) -> String {
        let config = &self.job.config;
        let default = &config.templates.default_locale;
        let mut packages: Vec<_> = self.summary.packages.iter().collect();
        packages.sort_by_key(|it| std::cmp::Reverse(it.1));
        let described = packages.iter().take(NAMED).map(|(key, number)| {
            let package = config.package(key);
            let name = package.and_then(|it| it.name.in_locale(default, default));
            format!("{number} {key} ({})", name.unwrap_or_default())
        });
        let mut described: Vec<String> = described.collect();
        let more = packages.len().saturating_sub(NAMED);
        if more > 0 {
            described.push(format!("and {}", count(more as u64, "more package")));
        }
        described.join(", ")
    }

    fn partners(&self) -> String {
        let PlanSummary { due, new, .. } = *self.summary;
        let reminders = self.summary.reminders();
        let mut parts = vec![format!("{new} new")];
        let again = due.saturating_sub(new + reminders);
        if again > 0 {
            parts.push(format!("{again} tried before"));
        }
        if reminders > 0 {
            parts.push(count(reminders, "reminder"));
        }
        let skipped = &self.summary.skipped;
        let number: u64 = skipped.values().sum();
        if number > 0 {
            parts.push(format!("{number} skipped ({})", joined_counts(skipped)));
        }
        parts.join(", ")
    }

    /// What approves the inputs, their digest, and whether the last preview shows them.
    fn approval(&self) -> String {
        let digest = self.job.inputs().digest();
        let recorded = self.recorded.filter(|it| it.digest == digest.to_string());
        let by = match (self.approved, recorded, &self.job.config.approval.file) {
            (Some(_), ..) => "by --approved".to_owned(),
            (None, Some(recorded), _) => {
                format!("by {}, {}", one_line(&recorded.by), local(recorded.at))
            }
            (None, None, Some(file)) => format!("by {}", file.display()),
            (None, None, None) => "not required".to_owned(),
        };
        let shown = match approval::digest_in(&proposal()) {
            Ok(Some(it)) if it == digest => "the same as in preview/",
            Ok(Some(_)) => "preview/ shows other inputs",
            Ok(None) | Err(_) => "preview/ shows none",
        };
        let groups = digest.0.map(|it| format!("{it:016x}")[..4].to_owned());
        format!("{by}; inputs {}…, {shown}", groups.join("…-"))
    }

    /// How long it takes, and what ends it early.
    fn duration(&self) -> Vec<String> {
        let Forecast {
            today,
            at_least,
            next_in,
            ..
        } = self.forecast;
        let (limits, smtp) = (&self.job.config.limits, &self.job.config.smtp);
        let connections = count(smtp.connections.into(), "connection");
        let duration = shortest_duration(at_least);
        let mut lines = vec![if at_least.is_zero() {
            format!("{duration}, over {connections}")
        } else {
            let limit = limits.per_minute;
            format!("{duration}, by the limit of {limit} a minute; {connections}")
        }];
        if let Some(max) = limits.max_runtime.filter(|it| *it < at_least) {
            lines.push(format!(
                "`limits.max_runtime` ends the run after {}",
                rough_duration(max)
            ));
        }
        if let Some(wait) = next_in {
            let rest = self.summary.due - today;
            let next = self.time_in(wait);
            lines.push(format!(
                "the daily limit ends the run after {}; the other {rest} can follow from {next}",
                count(today, "message")
            ));
        }
        lines
    }

    fn time_in(&self, wait: Duration) -> String {
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        local(self.now.saturating_add(wait).unwrap_or(Timestamp::MAX))
    }
}

fn mailbox(name: Option<&str>, address: &Address) -> String {
    match name {
        Some(name) => format!("{} <{address}>", one_line(name)),
        None => address.to_string(),
    }
}

//! The result of `sync`, as text and as JSON.

use std::io::Write;

use serde::Serialize;

use super::formats::count;
use super::harmless::{one_line, write_json};
use super::requests::RequestsReport;
use crate::invitation::{Occasion, State};

/// What was read and what it changed. The names are an interface.
#[derive(Debug, Default, Serialize)]
pub struct SyncReport {
    /// Each source.
    pub sources: Vec<SourceRow>,
    /// The invitations whose state has changed.
    pub changes: Vec<StateChange>,
    /// Reports about our messages.
    pub reports: u64,
    /// Those that were recorded before.
    pub known: u64,
    /// Those that were added to a history without changing a state.
    pub noted: u64,
    /// Those by which an address was suppressed.
    pub suppressed: u64,
    /// Those about messages that are being sent; the next `sync` reads them again.
    pub waiting: u64,
    /// Reports about messages that this ledger has not sent.
    pub foreign: u64,
    /// Automatic replies, such as out-of-office notes.
    pub automatic_replies: u64,
    /// Requests for access.
    pub requests: RequestsReport,
}

/// One source.
#[derive(Debug, Serialize)]
pub struct SourceRow {
    /// Its path or host.
    pub name: String,
    /// How many mails were read.
    pub mails: u64,
    /// How many entries of the message trace were read.
    pub traces: u64,
    /// Why it was not read to its end.
    pub error: Option<String>,
}

/// One changed invitation.
#[derive(Debug, Serialize)]
pub struct StateChange {
    /// Its campaign.
    pub campaign: String,
    /// The partner's address.
    pub email: String,
    /// The access package.
    pub package_id: String,
    /// Whether it is the invitation or a reminder.
    pub occasion: Occasion,
    /// The state before.
    pub from: State,
    /// The state now.
    pub to: State,
    /// What the last server replied.
    pub reply: Option<String>,
    /// Which report says so.
    pub origin: String,
}

impl StateChange {
    /// One line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let reply = self.reply.as_ref().map(|it| format!(": {it}"));
        let Self {
            email,
            campaign,
            occasion,
            from,
            to,
            ..
        } = self;
        let reminder = occasion.is_reminder().then(|| format!(", {occasion}"));
        let reminder = reminder.unwrap_or_default();
        let line = format!("{email} ({campaign}{reminder}): {from} → {to}");
        one_line(&(line + &reply.unwrap_or_default()))
    }
}

impl SyncReport {
    /// Adds an error to a source.
    pub fn fail(&mut self, name: &str, error: String) {
        let mut sources = self.sources.iter_mut();
        if let Some(source) = sources.find(|it| it.name == name) {
            source.error = Some(error);
        }
    }

    /// The last line for people.
    #[must_use]
    pub fn conclusion(&self) -> String {
        let mails = self.sources.iter().map(|it| it.mails).sum();
        let traces: u64 = self.sources.iter().map(|it| it.traces).sum();
        let new = self.reports - self.known;
        let mut parts = vec![format!(
            "{} about these invitations ({new} new)",
            count(self.reports, "report")
        )];
        for state in [State::Bounced, State::Delivered, State::Accepted] {
            let changed = self.changes.iter().filter(|it| it.to == state).count();
            if changed > 0 {
                parts.push(format!("{changed} {state}"));
            }
        }
        for (number, what) in [
            (self.noted, "noted"),
            (self.suppressed, "suppressed"),
            (self.waiting, "left for the next sync"),
            (self.foreign, "about other messages"),
        ] {
            if number > 0 {
                parts.push(format!("{number} {what}"));
            }
        }
        if self.automatic_replies > 0 {
            let replies = self.automatic_replies;
            let plural = if replies == 1 { "reply" } else { "replies" };
            parts.push(format!("{replies} automatic {plural}"));
        }
        let read = match traces {
            0 => count(mails, "mail"),
            1 => format!("{} and 1 entry of the message trace", count(mails, "mail")),
            _ => format!(
                "{} and {traces} entries of the message trace",
                count(mails, "mail")
            ),
        };
        format!("{read} read: {}", parts.join(", "))
    }

    /// Writes everything as one object.
    pub fn write_json(&self, out: &mut dyn Write) {
        let _ = write_json(out, self);
    }
}

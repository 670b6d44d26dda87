//! One line of the events file. The names of the fields are an interface.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::invitation::State;
use crate::ledger::{RecordedChange, RunRecord};

/// The version of the fields. It is raised if one changes its meaning or is removed.
pub const VERSION: u32 = 1;

/// A line.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    version: u32,
    event: &'static str,
    #[serde(serialize_with = "milliseconds")]
    at: Timestamp,
    #[serde(flatten)]
    details: Details<'a>,
}

/// What the line is about.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Details<'a> {
    /// The state of an invitation changed, or something was noted about it.
    Change {
        change: i64,
        run: Option<i64>,
        campaign: &'a str,
        package_id: String,
        package: &'a str,
        address: &'a str,
        occasion: String,
        from: Option<State>,
        to: State,
        cause: &'a str,
        phase: Option<&'a str>,
        smtp_code: Option<u16>,
        enhanced_code: Option<&'a str>,
        reply: Option<&'a str>,
        relay: Option<&'a str>,
        message_id: &'a str,
        note: Option<&'a str>,
    },
    /// A run began.
    RunStarted {
        run: i64,
        campaign: &'a str,
        verb: &'a str,
        program: &'a str,
        host: &'a str,
        os_user: &'a str,
    },
    /// A run ended.
    RunEnded {
        run: i64,
        campaign: &'a str,
        verb: &'a str,
        exit_code: Option<u8>,
        counts: Option<serde_json::Value>,
    },
    /// Invitations were erased from the ledger.
    Erased {
        campaign: &'a str,
        cause: &'a str,
        invitations: u64,
    },
}

impl<'a> Line<'a> {
    fn new(event: &'static str, at: Timestamp, details: Details<'a>) -> Self {
        Self {
            version: VERSION,
            event,
            at,
            details,
        }
    }

    pub fn change(change: &'a RecordedChange) -> Self {
        let RecordedChange {
            identity, event, ..
        } = change;
        let details = Details::Change {
            change: change.number,
            run: change.run,
            campaign: &identity.campaign,
            package_id: identity.package_id.to_string(),
            package: &change.package,
            address: &identity.address,
            occasion: identity.occasion.to_string(),
            from: event.from,
            to: event.to,
            cause: &change.cause,
            phase: event.phase.as_deref(),
            smtp_code: event.smtp_code,
            enhanced_code: event.enhanced_code.as_deref(),
            reply: event.reply.as_deref(),
            relay: event.relay.as_deref(),
            message_id: &event.message_id,
            note: event.note.as_deref(),
        };
        Self::new("change", event.at, details)
    }

    pub fn run_started(run: &'a RunRecord) -> Self {
        let details = Details::RunStarted {
            run: run.number,
            campaign: &run.campaign,
            verb: &run.verb,
            program: &run.version,
            host: &run.host,
            os_user: &run.os_user,
        };
        Self::new("run_started", run.started_at, details)
    }

    /// The end of a run, at this time.
    pub fn run_ended(run: &'a RunRecord, at: Timestamp) -> Self {
        let counts = run.counts.as_deref();
        let details = Details::RunEnded {
            run: run.number,
            campaign: &run.campaign,
            verb: &run.verb,
            exit_code: run.exit_code,
            counts: counts.and_then(|it| serde_json::from_str(it).ok()),
        };
        Self::new("run_ended", at, details)
    }

    pub fn erased(campaign: &'a str, cause: &'a str, invitations: u64, at: Timestamp) -> Self {
        let details = Details::Erased {
            campaign,
            cause,
            invitations,
        };
        Self::new("erased", at, details)
    }

    /// Appends it to `lines` as JSON.
    pub fn write(&self, lines: &mut Vec<u8>) {
        serde_json::to_writer(&mut *lines, self).expect("texts and numbers are JSON");
        lines.push(b'\n');
    }
}

fn milliseconds<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{at:.3}"))
}

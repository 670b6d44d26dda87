//! The report as JSON and CSV. The names are an interface.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use strum::VariantArray;

use super::super::csv_rows::{csv_header, csv_rows};
use super::super::formats::utc;
use super::super::harmless::{compact_json, generated_cell};
use super::super::runs::RunRow;
use super::model::{InvitationRow, MailRow, Parts};
use super::steps::{changed_to, first_attempt};
use super::tally::{Milestone, Tally};
use crate::invitation::{AccessBy, AccessState, Event, Occasion, State};

/// How every JSON report begins.
pub const JSON_MARK: &str = "{\"report\":\"access-invite\",";
/// How every CSV report begins.
pub const CSV_MARK: &str = "\u{feff}campaign,recorded_at,";

/// An invitation.
#[derive(Debug, Default, Serialize)]
struct Fields<'a> {
    /// Only in CSV.
    #[serde(skip_serializing_if = "Option::is_none")]
    campaign: Option<Cow<'a, str>>,
    recorded_at: String,
    package: Cow<'a, str>,
    package_id: String,
    email: Cow<'a, str>,
    name: Option<Cow<'a, str>>,
    organization: Option<Cow<'a, str>>,
    locale: Option<Cow<'a, str>>,
    template_locale: Cow<'a, str>,
    state: &'static str,
    listed: Option<bool>,
    attempts: u32,
    first_attempt_at: Option<String>,
    accepted_at: Option<String>,
    delivered_at: Option<String>,
    bounced_at: Option<String>,
    updated_at: String,
    next_attempt_at: Option<String>,
    smtp_code: Option<u16>,
    enhanced_code: Option<Cow<'a, str>>,
    reply: Option<Cow<'a, str>>,
    relay: Option<Cow<'a, str>>,
    note: Option<Cow<'a, str>>,
    message_id: Cow<'a, str>,
    text_verified: Option<bool>,
    access: Option<AccessState>,
    access_at: Option<String>,
    access_by: Option<AccessBy>,
    access_requested_at: Option<String>,
    /// How many reminders a relay accepted, and when it accepted the last one.
    reminded: u64,
    reminded_at: Option<String>,
    /// Only in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<&'a [Event]>,
    /// Only in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    reminders: Option<Vec<ReminderFields<'a>>>,
}

/// A reminder in JSON.
#[derive(Debug, Serialize)]
struct ReminderFields<'a> {
    occasion: Occasion,
    state: State,
    recorded_at: String,
    accepted_at: Option<String>,
    message_id: &'a str,
    text_verified: Option<bool>,
    history: &'a [Event],
}

impl<'a> ReminderFields<'a> {
    fn of(mail: &'a MailRow) -> Self {
        let record = &mail.record;
        Self {
            occasion: record.identity.occasion,
            state: record.standing.state,
            recorded_at: utc(record.created_at),
            accepted_at: record.accepted_at.map(utc),
            message_id: &record.standing.message_id,
            text_verified: mail.text_verified,
            history: &mail.history,
        }
    }
}

/// The fields of an invitation; `text` makes its texts safe for the format.
fn fields<'a>(row: &'a InvitationRow, text: impl Fn(&'a str) -> Cow<'a, str>) -> Fields<'a> {
    let MailRow {
        record,
        history,
        text_verified,
    } = &row.mail;
    let (invitee, standing, latest) = (&record.invitee, &record.standing, &record.latest);
    let optional = |it: &'a Option<String>| it.as_deref().map(&text);
    let at = |it: Option<Timestamp>| it.map(utc);
    let reminded = row.reminders.iter().filter_map(|it| it.record.accepted_at);
    Fields {
        campaign: None,
        recorded_at: utc(record.created_at),
        package: text(&row.package),
        package_id: record.identity.package_id.to_string(),
        email: text(&invitee.email),
        name: optional(&invitee.name),
        organization: optional(&invitee.organization),
        locale: optional(&invitee.locale),
        template_locale: text(&invitee.template_locale),
        state: standing.state.as_str(),
        listed: row.listed,
        attempts: standing.attempts,
        first_attempt_at: at(first_attempt(history)),
        accepted_at: at(record.accepted_at),
        delivered_at: at(changed_to(history, State::Delivered)),
        bounced_at: at(changed_to(history, State::Bounced)),
        updated_at: utc(standing.updated_at),
        next_attempt_at: at(standing.next_attempt_at),
        smtp_code: latest.smtp_code,
        enhanced_code: optional(&latest.enhanced_code),
        reply: optional(&latest.reply),
        relay: optional(&latest.relay),
        note: optional(&latest.note),
        message_id: text(&standing.message_id),
        text_verified: *text_verified,
        access: row.access.map(|it| it.state),
        access_at: at(row.access.and_then(|it| it.at)),
        access_by: row.access.and_then(|it| it.by),
        access_requested_at: at(row.access.and_then(|it| it.requested_at)),
        reminded: reminded.clone().count() as u64,
        reminded_at: at(reminded.max()),
        history: None,
        reminders: None,
    }
}

/// Writes an invitation as JSON; `number` others were written before it.
pub fn write_json(out: &mut dyn Write, number: u64, row: &InvitationRow) -> io::Result<()> {
    let fields = Fields {
        history: Some(&row.mail.history),
        reminders: Some(row.reminders.iter().map(ReminderFields::of).collect()),
        ..fields(row, Cow::Borrowed)
    };
    let comma = if number == 0 { "\n" } else { ",\n" };
    write!(out, "{comma}{}", compact_json(&fields)?)
}

/// Writes the object; `rows` are the invitations.
pub fn write_object(
    out: &mut dyn Write,
    parts: &Parts,
    tally: &Tally,
    rows: &mut File,
) -> io::Result<()> {
    let about = &parts.about;
    let counts: Map<String, Value> = State::ALL
        .iter()
        .map(|it| (it.to_string(), tally.in_state(*it).into()))
        .collect();
    let access = tally.access.iter();
    let access = access.map(|it| (it.0.to_string(), it.1.iter().sum::<u64>().into()));
    let access: Map<String, Value> = access.collect();
    let members = [
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("campaign", json!(about.campaign)),
        ("organization", json!(about.organization)),
        ("sender", json!(about.sender)),
        ("made_at", json!(utc(about.made))),
        ("ledger_id", json!(about.ledger)),
        ("warnings", json!(about.warnings)),
        ("counts", Value::Object(counts)),
        ("access", Value::Object(access)),
        ("progress", Value::Array(progress(tally))),
        ("runs", parts.runs.iter().map(run).collect()),
        ("approvals", approvals(parts)),
        ("messages", json!(parts.messages)),
    ];
    // The beginning of the file says what it is.
    write!(out, "{JSON_MARK}")?;
    for (name, value) in members {
        write!(out, "\n\"{name}\":{},", compact_json(&value)?)?;
    }
    write!(out, "\n\"invitations\":[")?;
    io::copy(rows, out)?;
    writeln!(out, "\n]}}")
}

/// The sums at the end of each minute in which something happened.
fn progress(tally: &Tally) -> Vec<Value> {
    let points = tally.points(1, 0).into_iter();
    let point = points.map(|point| {
        let mut fields = Map::from_iter([("at".to_owned(), utc(point.at).into())]);
        for milestone in Milestone::VARIANTS {
            let sum = point.sums[*milestone as usize];
            fields.insert(milestone.name().to_owned(), sum.into());
        }
        Value::Object(fields)
    });
    point.collect()
}

fn run(run: &RunRow) -> Value {
    let approval = run.approval.as_ref();
    json!({
        "number": run.number,
        "verb": run.verb,
        "started_at": utc(run.started_at),
        "ended_at": run.ended_at.map(utc),
        "version": run.version,
        "host": run.host,
        "os_user": run.os_user,
        "digest": run.digest,
        "counts": run.counts,
        "exit_code": run.exit_code,
        "approval": approval.map(|it| json!({"by": it.by, "at": utc(it.at)})),
    })
}

fn approvals(parts: &Parts) -> Value {
    let approvals = parts.approvals.iter();
    let approvals = approvals.map(|it| {
        json!({
            "digest": it.digest, "by": it.by, "at": utc(it.at), "note": it.note,
        })
    });
    approvals.collect()
}

/// Writes an invitation as a line of CSV.
pub fn write_csv(out: &mut dyn Write, campaign: &str, row: &InvitationRow) -> io::Result<()> {
    let safe = |it: &str| Cow::Owned(generated_cell(it));
    let fields = Fields {
        campaign: Some(safe(campaign)),
        ..fields(row, safe)
    };
    out.write_all(&csv_rows([fields])?)
}

/// Writes the header, and `rows`, the invitations.
pub fn write_table(out: &mut dyn Write, rows: &mut File) -> io::Result<()> {
    let row = Fields {
        campaign: Some("".into()),
        ..Fields::default()
    };
    out.write_all(&csv_header(&row)?)?;
    io::copy(rows, out).map(drop)
}

//! The result of `status` as JSON and CSV.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

use super::csv_rows::{csv_header, csv_rows};
use super::formats::utc;
use super::harmless::{compact_json, generated_cell};
use crate::invitation::{Access, AccessBy, Event, Occasion, Record, State, Suppression};

/// How `status` writes invitations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum StatusFormat {
    /// Human-readable
    #[default]
    Text,
    /// One JSON object
    Json,
    /// One line per invitation
    Csv,
}

/// An invitation in JSON and CSV. The names are an interface.
#[derive(Debug, Default, Serialize)]
struct InvitationFields<'a> {
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
    message_id: Cow<'a, str>,
    smtp_code: Option<u16>,
    enhanced_code: Option<Cow<'a, str>>,
    reply: Option<Cow<'a, str>>,
    relay: Option<Cow<'a, str>>,
    created_at: String,
    updated_at: String,
    accepted_at: Option<String>,
    next_attempt_at: Option<String>,
    note: Option<Cow<'a, str>>,
    access: Option<&'static str>,
    access_at: Option<String>,
    access_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suppressed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    campaign: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<&'a [Event]>,
    /// Only in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    reminders: Option<Vec<ReminderFields<'a>>>,
}

/// A reminder in JSON. The names are an interface.
#[derive(Debug, Serialize)]
struct ReminderFields<'a> {
    occasion: Occasion,
    state: State,
    attempts: u32,
    message_id: &'a str,
    smtp_code: Option<u16>,
    enhanced_code: Option<&'a str>,
    reply: Option<&'a str>,
    relay: Option<&'a str>,
    created_at: String,
    updated_at: String,
    accepted_at: Option<String>,
    next_attempt_at: Option<String>,
    note: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<&'a [Event]>,
}

impl<'a> ReminderFields<'a> {
    fn of(row: &'a StatusRow) -> Self {
        let record = &row.record;
        let (standing, latest) = (&record.standing, &record.latest);
        Self {
            occasion: record.identity.occasion,
            state: standing.state,
            attempts: standing.attempts,
            message_id: &standing.message_id,
            smtp_code: latest.smtp_code,
            enhanced_code: latest.enhanced_code.as_deref(),
            reply: latest.reply.as_deref(),
            relay: latest.relay.as_deref(),
            created_at: utc(record.created_at),
            updated_at: utc(standing.updated_at),
            accepted_at: record.accepted_at.map(utc),
            next_attempt_at: standing.next_attempt_at.map(utc),
            note: latest.note.as_deref(),
            history: row.history.as_deref(),
        }
    }
}

/// An invitation to be written.
#[derive(Debug)]
pub struct StatusRow {
    /// The record.
    pub record: Record,
    /// Whether the list has it now; `None` if the list cannot be read.
    pub listed: Option<bool>,
    /// Whether the partner has asked for access; `None` if requests were never read.
    pub access: Option<Access>,
    /// The history, if it was asked for.
    pub history: Option<Vec<Event>>,
    /// The entry of the suppression list that covers the address.
    pub suppression: Option<Suppression>,
    /// Its reminders, if they were asked for.
    pub reminders: Vec<StatusRow>,
}

/// How a script reads invitations: a format other than text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataFormat {
    /// One JSON object.
    Json,
    /// One line per invitation.
    Csv,
}

/// Writes invitations page by page, for scripts and spreadsheets.
pub struct StatusWriter<'a> {
    out: &'a mut dyn Write,
    format: DataFormat,
    /// Whether each invitation names its campaign.
    with_campaign: bool,
    written: u64,
    /// Further fields of the JSON object, each behind a comma.
    further: String,
}

impl<'a> StatusWriter<'a> {
    /// Writes the campaign, none for all of them, and its counts. With `with_campaign`, each invitation names its
    /// own.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn begin(
        out: &'a mut dyn Write,
        format: DataFormat,
        campaign: Option<&str>,
        with_campaign: bool,
        counts: &[(State, u64)],
    ) -> io::Result<Self> {
        match format {
            DataFormat::Json => {
                let counts = counts.iter();
                let counts = counts.map(|(state, count)| format!("\"{state}\":{count}"));
                let counts = counts.collect::<Vec<_>>().join(",");
                let campaign = compact_json(&campaign)?;
                write!(
                    out,
                    "{{\"campaign\":{campaign},\"counts\":{{{counts}}},\"invitations\":["
                )?;
            }
            DataFormat::Csv => {
                let row = InvitationFields {
                    campaign: with_campaign.then_some(Cow::Borrowed("")),
                    ..InvitationFields::default()
                };
                out.write_all(&csv_header(&row)?)?;
            }
        }
        Ok(Self {
            out,
            format,
            with_campaign,
            written: 0,
            further: String::new(),
        })
    }

    /// Adds a field to the JSON object.
    ///
    /// # Errors
    /// If the value cannot be written as JSON.
    pub fn add(&mut self, name: &str, value: &impl Serialize) -> io::Result<()> {
        let json = compact_json(value)?;
        self.further.push_str(&[",\"", name, "\":", &json].concat());
        Ok(())
    }

    /// Writes a page of invitations.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn page(&mut self, page: &[StatusRow]) -> io::Result<()> {
        match self.format {
            DataFormat::Json => {
                for row in page {
                    let comma = if self.written == 0 { "\n" } else { ",\n" };
                    self.out.write_all(comma.as_bytes())?;
                    let fields = InvitationFields {
                        suppressed: Some(row.suppression.is_some()),
                        history: row.history.as_deref(),
                        reminders: Some(row.reminders.iter().map(ReminderFields::of).collect()),
                        ..self.fields(row, Cow::Borrowed)
                    };
                    self.out.write_all(compact_json(&fields)?.as_bytes())?;
                    self.written += 1;
                }
                Ok(())
            }
            DataFormat::Csv => {
                let safe = |it: &str| Cow::Owned(generated_cell(it));
                let rows = page.iter().map(|row| self.fields(row, safe));
                self.out.write_all(&csv_rows(rows)?)
            }
        }
    }

    /// The fields of an invitation; `text` makes its texts safe for the format.
    fn fields<'r>(
        &self,
        row: &'r StatusRow,
        text: impl Fn(&'r str) -> Cow<'r, str>,
    ) -> InvitationFields<'r> {
        let record = &row.record;
        let (invitee, standing, latest) = (&record.invitee, &record.standing, &record.latest);
        let optional = |it: &'r Option<String>| it.as_deref().map(&text);
        InvitationFields {
            package: text(&invitee.package),
            package_id: record.identity.package_id.to_string(),
            email: text(&invitee.email),
            name: optional(&invitee.name),
            organization: optional(&invitee.organization),
            locale: optional(&invitee.locale),
            template_locale: text(&invitee.template_locale),
            state: standing.state.as_str(),
            listed: row.listed,
            attempts: standing.attempts,
            message_id: text(&standing.message_id),
            smtp_code: latest.smtp_code,
            enhanced_code: optional(&latest.enhanced_code),
            reply: optional(&latest.reply),
            relay: optional(&latest.relay),
            created_at: utc(record.created_at),
            updated_at: utc(standing.updated_at),
            accepted_at: record.accepted_at.map(utc),
            next_attempt_at: standing.next_attempt_at.map(utc),
            note: optional(&latest.note),
            suppressed: None,
            access: row.access.map(|it| it.state.as_str()),
            access_at: row.access.and_then(|it| it.at).map(utc),
            access_by: row.access.and_then(|it| it.by).map(AccessBy::as_str),
            campaign: self.with_campaign.then(|| text(&record.identity.campaign)),
            history: None,
            reminders: None,
        }
    }

    /// Completes the document.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn finish(self) -> io::Result<()> {
        if self.format == DataFormat::Json {
            writeln!(self.out, "\n]{}}}", self.further)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_of_the_csv_are_an_interface() {
        let mut out = Vec::new();
        StatusWriter::begin(&mut out, DataFormat::Csv, Some("spring"), false, &[]).unwrap();
        let mut of_all = Vec::new();
        StatusWriter::begin(&mut of_all, DataFormat::Csv, None, true, &[]).unwrap();

        let header = String::from_utf8(out).unwrap();
        let of_all = String::from_utf8(of_all).unwrap();
        assert_eq!(of_all, format!("{},campaign\n", header.trim_end()));
        assert_eq!(
            header,
            "\u{feff}package,package_id,email,name,organization,locale,template_locale,state,listed,attempts,message_id,smtp_code,enhanced_code,reply,relay,created_at,updated_at,accepted_at,next_attempt_at,note,access,access_at,access_by\n"
        );
    }
}

//! The result of `status` as a table, JSON and CSV.

use std::borrow::Cow;
use std::io::{self, Write};

use comfy_table::{ColumnConstraint, Table};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::formats::{count, empty_table, reply_text, utc};
use super::harmless::{generated_cell, harmless_json, one_line};
use crate::invitation::{Event, Record, State};

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
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<&'a [Event]>,
}

/// The fields of an invitation; `text` makes its texts safe for the format.
fn fields<'a>(row: &'a StatusRow, text: impl Fn(&'a str) -> Cow<'a, str>) -> InvitationFields<'a> {
    let record = &row.record;
    let (invitee, standing, latest) = (&record.invitee, &record.standing, &record.latest);
    let optional = |it: &'a Option<String>| it.as_deref().map(&text);
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
        history: None,
    }
}

/// An invitation to be written.
#[derive(Debug)]
pub struct StatusRow {
    /// The record.
    pub record: Record,
    /// Whether the list has it now; `None` if the list cannot be read.
    pub listed: Option<bool>,
    /// The history, if it was asked for.
    pub history: Option<Vec<Event>>,
}

/// Writes invitations page by page.
pub struct StatusWriter<'a> {
    out: &'a mut dyn Write,
    format: StatusFormat,
    /// Whether `out` is a terminal, whose width limits tables.
    terminal: bool,
    written: u64,
}

impl<'a> StatusWriter<'a> {
    /// Writes the campaign and its counts.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn begin(
        out: &'a mut dyn Write,
        format: StatusFormat,
        terminal: bool,
        campaign: &str,
        counts: &[(State, u64)],
    ) -> io::Result<Self> {
        match format {
            StatusFormat::Json => {
                let counts = counts.iter();
                let counts = counts.map(|(state, count)| format!("\"{state}\":{count}"));
                let counts = counts.collect::<Vec<_>>().join(",");
                let campaign = harmless_json(&serde_json::to_string(campaign)?);
                write!(
                    out,
                    "{{\"campaign\":{campaign},\"counts\":{{{counts}}},\"invitations\":["
                )?;
            }
            StatusFormat::Csv => {
                let csv = csv_lines(true, [InvitationFields::default()])?;
                let header = csv.split_inclusive(|it| *it == b'\n').next();
                // Without it, Excel takes UTF-8 for the encoding of its language.
                write!(out, "\u{feff}")?;
                out.write_all(header.unwrap_or_default())?;
            }
            StatusFormat::Text => {
                let total: u64 = counts.iter().map(|(_, count)| count).sum();
                let invitations = count(total, "invitation");
                write!(out, "campaign {}: {invitations}", one_line(campaign))?;
                let some = counts.iter().filter(|(_, count)| *count > 0);
                for (nth, (state, count)) in some.enumerate() {
                    let before = if nth == 0 { ":" } else { "," };
                    write!(out, "{before} {count} {state}")?;
                }
                writeln!(out)?;
            }
        }
        Ok(Self {
            out,
            format,
            terminal,
            written: 0,
        })
    }

    /// Writes a page of invitations.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn page(&mut self, page: &[StatusRow]) -> io::Result<()> {
        match self.format {
            StatusFormat::Json => {
                for row in page {
                    let comma = if self.written == 0 { "\n" } else { ",\n" };
                    self.out.write_all(comma.as_bytes())?;
                    let fields = InvitationFields {
                        history: row.history.as_deref(),
                        ..fields(row, Cow::Borrowed)
                    };
                    let json = harmless_json(&serde_json::to_string(&fields)?);
                    self.out.write_all(json.as_bytes())?;
                    self.written += 1;
                }
                Ok(())
            }
            StatusFormat::Csv => {
                let safe = |it: &str| Cow::Owned(generated_cell(it));
                let rows = page.iter().map(|row| fields(row, safe));
                self.out.write_all(&csv_lines(false, rows)?)
            }
            StatusFormat::Text => self.table(page),
        }
    }

    fn table(&mut self, page: &[StatusRow]) -> io::Result<()> {
        if page.is_empty() {
            return Ok(());
        }
        let mut table = self.empty_table(&["state", "address", "package", "since", "reason"]);
        for StatusRow { record, listed, .. } in page {
            let standing = &record.standing;
            let mut reason = reason(&record.latest);
            if let Some(next) = standing.next_attempt_at {
                reason = format!("{reason}; due again {}", local(next));
            }
            if *listed == Some(false) {
                reason = format!("{reason} (no longer in the list)");
            }
            table.add_row([
                standing.state.to_string(),
                one_line(&record.invitee.email),
                one_line(&record.invitee.package),
                local(standing.updated_at),
                one_line(&reason),
            ]);
        }
        writeln!(self.out, "\n{}", table.trim_fmt())?;
        for row in page {
            let Some(history) = &row.history else {
                continue;
            };
            let invitee = &row.record.invitee;
            let (email, package) = (one_line(&invitee.email), one_line(&invitee.package));
            writeln!(self.out, "\nhistory of {email} ({package})")?;
            let mut table = self.empty_table(&["at", "state", "phase", "reason"]);
            for event in history {
                let phase = event.phase.as_deref().unwrap_or_default();
                table.add_row([
                    local(event.at),
                    event.to.to_string(),
                    one_line(phase),
                    one_line(&reason(event)),
                ]);
            }
            writeln!(self.out, "{}", table.trim_fmt())?;
        }
        Ok(())
    }

    fn empty_table(&self, header: &[&str]) -> Table {
        let mut table = empty_table(header, self.terminal);
        // Only the last column is wrapped: an address on two lines could not be copied.
        let columns = table.column_iter_mut().rev().skip(1);
        columns.for_each(|it| {
            it.set_constraint(ColumnConstraint::ContentWidth);
        });
        table
    }

    /// Completes the document.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn finish(self) -> io::Result<()> {
        if self.format == StatusFormat::Json {
            writeln!(self.out, "\n]}}")?;
        }
        Ok(())
    }
}

/// The reply and the note of an event.
fn reason(event: &Event) -> String {
    let reply = reply_text(event);
    match &event.note {
        None => reply,
        // The note of a refusal that is retried quotes the reply.
        Some(note) if note.ends_with(&reply) => note.clone(),
        Some(note) => format!("{reply} ({note})"),
    }
}

fn local(at: Timestamp) -> String {
    let at = at.to_zoned_datetime(TimeZone::system());
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// Rows as CSV.
fn csv_lines<'a>(
    header: bool,
    rows: impl IntoIterator<Item = InvitationFields<'a>>,
) -> io::Result<Vec<u8>> {
    let mut csv = csv::WriterBuilder::new();
    let mut csv = csv.has_headers(header).from_writer(Vec::new());
    for row in rows {
        csv.serialize(row)?;
    }
    csv.into_inner()
        .map_err(|it| io::Error::other(it.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_of_the_csv_are_an_interface() {
        let mut out = Vec::new();
        StatusWriter::begin(&mut out, StatusFormat::Csv, false, "spring", &[]).unwrap();

        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\u{feff}package,package_id,email,name,organization,locale,template_locale,state,listed,attempts,message_id,smtp_code,enhanced_code,reply,relay,created_at,updated_at,accepted_at,next_attempt_at,note\n"
        );
    }
}

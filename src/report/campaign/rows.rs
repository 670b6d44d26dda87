//! The invitations of the page, each a row with all its steps.
//!
//! The browser lays out only the tables in sight, so that ten thousand invitations open at once; they are therefore
//! split into tables of equal columns. On paper they are one table again, see `page/report.css`.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::markup::time;
use super::model::{InvitationRow, MailRow};
use super::steps::{Group, Step, steps};
use crate::address::Address;
use crate::html::escape;
use crate::invitation::{Access, AccessBy, Occasion};

/// How many rows a table has.
const TABLE: u64 = 50;
/// The heads of the columns.
const HEAD: &str = "<tr><th scope=\"col\">Partner</th><th scope=\"col\">Package, language</th><th scope=\"col\">State</th><th scope=\"col\">What happened</th></tr>";

/// Writes an invitation; `number` others were written before it.
pub fn write(out: &mut dyn Write, number: u64, row: &InvitationRow) -> io::Result<()> {
    if number.is_multiple_of(TABLE) {
        close(out, number)?;
        // Seen once; the others tell it to screen readers.
        let class = if number == 0 { "" } else { " class=\"unseen\"" };
        writeln!(
            out,
            "<div class=\"chunk\"><table><thead{class}>{HEAD}</thead><tbody>"
        )?;
    }
    let record = &row.mail.record;
    let (invitee, standing) = (&record.invitee, &record.standing);
    let group = Group::of(standing.state);
    write!(
        out,
        "<tr data-state=\"{}\" data-package=\"{}\" data-locale=\"{}\" data-access=\"{}\"><th scope=\"row\">",
        standing.state,
        escape(&row.package),
        escape(&invitee.template_locale),
        row.access.map_or("", |it| it.state.as_str())
    )?;
    let unicode = Address::parse(&invitee.email).ok();
    let unicode = unicode.and_then(|it| it.unicode());
    for (class, direction, text) in [
        ("who", "auto", invitee.name.as_ref()),
        ("address", "ltr", Some(&invitee.email)),
        ("address quiet", "ltr", unicode.as_ref()),
        ("quiet", "auto", invitee.organization.as_ref()),
    ] {
        if let Some(text) = text.filter(|it| !it.is_empty()) {
            let text = escape(text);
            write!(
                out,
                "<bdi class=\"{class}\" dir=\"{direction}\">{text}</bdi>"
            )?;
        }
    }
    write!(
        out,
        "</th><td><bdi>{}</bdi><span class=\"quiet\">{}</span></td><td><span class=\"pill {}\">{}</span>{}</td><td><ol class=\"road\">",
        escape(&row.package),
        escape(&language(
            invitee.locale.as_deref(),
            &invitee.template_locale
        )),
        group.class(),
        standing.state,
        under_state(row)
    )?;
    for step in steps(row) {
        write_step(out, &step)?;
    }
    write!(out, "</ol>")?;
    for mail in std::iter::once(&row.mail).chain(&row.reminders) {
        write_message(out, mail)?;
    }
    writeln!(out, "</td></tr>")
}

/// Ends the table of the last of `number` invitations.
pub fn close(out: &mut dyn Write, number: u64) -> io::Result<()> {
    if number > 0 {
        writeln!(out, "</tbody></table></div>")?;
    }
    Ok(())
}

/// What is said below the state.
fn under_state(row: &InvitationRow) -> String {
    let quiet = |text: String| format!("<span class=\"quiet\">{text}</span>");
    let mut said = String::new();
    if let Some(at) = row.mail.record.standing.next_attempt_at {
        said.push_str(&quiet(format!("due again {}", time(at))));
    }
    if let Some(access) = row.access.filter(Access::is_known) {
        let class = Group::of_access(access.state).class();
        let state = access.state;
        let _ = write!(said, "<span class=\"pill {class}\">access {state}</span>");
        if access.by == Some(AccessBy::Colleague) {
            said.push_str(&quiet("by a colleague".into()));
        }
    }
    if row.listed == Some(false) {
        said.push_str(&quiet("no longer in the list".into()));
    }
    said
}

/// The locale of the template, and the one of the list if it differs.
fn language(asked: Option<&str>, template: &str) -> String {
    match asked {
        Some(asked) if asked != template => format!("{template}, asked for {asked}"),
        _ => template.to_owned(),
    }
}

fn write_step(out: &mut dyn Write, step: &Step) -> io::Result<()> {
    let class = step.group.map_or("note", Group::class);
    write!(
        out,
        "<li class=\"{class}\">{} <b>{}</b>",
        time(step.at),
        step.what
    )?;
    if !step.reply.is_empty() {
        write!(out, " <bdi>{}</bdi>", escape(&step.reply))?;
    }
    if !step.note.is_empty() {
        let dot = if step.reply.is_empty() { "" } else { "·" };
        write!(out, " {dot} <bdi>{}</bdi>", escape(&step.note))?;
    }
    write!(out, "</li>")
}

/// The Message-ID, and whether the message is known to the byte.
fn write_message(out: &mut dyn Write, mail: &MailRow) -> io::Result<()> {
    let record = &mail.record;
    let about = match record.identity.occasion {
        Occasion::Invitation => String::new(),
        Occasion::Reminder(number) => format!(" of reminder {number}"),
    };
    let id = escape(&record.standing.message_id);
    write!(
        out,
        "<p class=\"id\">Message-ID{about} <bdi dir=\"ltr\" class=\"address\">{id}</bdi>"
    )?;
    let verified = match mail.text_verified {
        Some(true) => " · <b>text verified</b>",
        Some(false) => " · <b>sent with another text</b>",
        None => "",
    };
    write!(out, "{verified}")?;
    if let Some(relay) = &record.latest.relay {
        write!(out, " · relay <bdi dir=\"ltr\">{}</bdi>", escape(relay))?;
    }
    write!(out, "</p>")
}

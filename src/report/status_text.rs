//! The result of `status` as text: what needs a person first, then a line for each invitation.
//!
//! On a terminal, no line is longer than it is wide: columns give way in a fixed order, and texts are cut with
//! `…`. Elsewhere nothing is cut.

use std::io::{self, Write};

use super::formats::{count, joined_counts, local, reply_text};
use super::harmless::one_line;
use super::layout::{columns, fitted, truncated, wrapped};
use super::status::StatusRow;
use super::suppression::not_mailed_since;
use crate::invitation::{
    Access, AccessBy, AccessCounts, AccessState, Event, Occasion, Record, RoadStep, State, road,
};

/// The columns between two cells.
const GAP: usize = 2;
/// The least width of a reason or a package that is worth a column.
const SHORTEST: usize = 12;
/// The least width of a reason beside a package: that of the time when a deferred invitation is due.
const REASON_BESIDE_PACKAGE: usize = 20;
/// An address of this width is shown whole before a reason is.
const USUAL_ADDRESS: usize = 30;
/// How many reminders that wait for a decision are named.
const REMINDERS: usize = 5;
/// The width of a time, if the zone's abbreviation has three letters.
const TIME: usize = 20;

/// What `status` says before its rows.
#[derive(Debug)]
pub struct StatusSummary<'a> {
    /// The campaign.
    pub campaign: &'a str,
    /// How many invitations are in each state.
    pub counts: &'a [(State, u64)],
    /// How many have which access; `None` if requests were never read.
    pub access: Option<AccessCounts>,
    /// The other campaigns of the ledger.
    pub others: &'a [String],
    /// The reminders that wait for a decision.
    pub reminders: &'a [Record],
    /// Whether to say what to do: not for another campaign than the configured one, to which `resolve` and
    /// `send` do not apply.
    pub with_advice: bool,
}

impl StatusSummary<'_> {
    /// Writes the counts, what needs a person, and what the next run will do.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let total: u64 = self.counts.iter().map(|(_, count)| count).sum();
        let invitations = count(total, "invitation");
        write!(out, "campaign {}: {invitations}", one_line(self.campaign))?;
        match self.numbers(State::ALL) {
            numbers if numbers.is_empty() => writeln!(out)?,
            numbers => writeln!(out, ": {numbers}")?,
        }
        if let Some(access) = &self.access {
            writeln!(out, "{}", access_line(access))?;
        }
        if !self.others.is_empty() {
            let names: Vec<String> = self.others.iter().map(|it| one_line(it)).collect();
            writeln!(
                out,
                "other campaigns: {} (--campaign NAME|all)",
                names.join(", ")
            )?;
        }
        if self.with_advice {
            self.write_advice(out)?;
        }
        Ok(())
    }

    fn write_advice(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut heading = "\nneeds a decision:\n";
        for state in BY_URGENCY {
            let number = self.counts.iter().find(|it| it.0 == state);
            let number = number.map_or(0, |it| it.1);
            if let Some((cause, command)) = decision(state).filter(|_| number > 0) {
                writeln!(out, "{heading}  {number} {state}: {cause}\n    {command}")?;
                heading = "";
            }
        }
        for reminder in self.reminders.iter().take(REMINDERS) {
            let (occasion, state) = (reminder.identity.occasion, reminder.standing.state);
            let email = one_line(&reminder.invitee.email);
            let decisions = match state {
                State::Unknown => "accepted|resend|abandoned",
                _ => "resend|abandoned",
            };
            writeln!(
                out,
                "{heading}  {occasion} to {email} is {state}:\n    access-invite resolve {email} --occasion {occasion} --as {decisions} --note TEXT"
            )?;
            heading = "";
        }
        if self.reminders.len() > REMINDERS {
            let rest = count((self.reminders.len() - REMINDERS) as u64, "reminder");
            writeln!(out, "  and {rest} more, which --format json lists")?;
        }
        let waiting = self.numbers(&[State::Pending, State::Deferred, State::Armed]);
        if !waiting.is_empty() {
            writeln!(out, "\nleft for the next `access-invite send`: {waiting}")?;
        }
        Ok(())
    }

    /// `1 pending, 2 armed`: these states, as far as there are any.
    fn numbers(&self, states: &[State]) -> String {
        let some = self.counts.iter().filter(|it| it.1 > 0);
        joined_counts(some.filter(|it| states.contains(&it.0)).copied())
    }
}

/// `access: 3 requested, 12 granted, 40 none (2 by a colleague), read 2026-11-30 10:00 CET`.
fn access_line(access: &AccessCounts) -> String {
    let known = access.states.iter().filter(|it| *it.0 != AccessState::None);
    let none = access.states.iter().filter(|it| *it.0 == AccessState::None);
    let states = joined_counts(known.chain(none));
    let colleagues = match access.by_colleague {
        0 => String::new(),
        number => format!(" ({number} by a colleague)"),
    };
    let read_at = access
        .read_at
        .map_or_else(String::new, |it| format!(", read {}", local(it)));
    format!("access: {states}{colleagues}{read_at}")
}

/// Why invitations in this state wait for a person, and the command that decides.
#[must_use]
pub fn decision(state: State) -> Option<(&'static str, &'static str)> {
    match state {
        State::Unknown => Some((
            "perhaps accepted; find the Message-ID in the relay's log, then",
            "access-invite resolve ADDRESS --as accepted|resend|abandoned --note TEXT",
        )),
        State::Expired => Some((
            "refused until `retry.give_up_after`; remove the cause, then",
            "access-invite resolve --state expired --as resend|abandoned --note TEXT",
        )),
        State::Rejected => Some((
            "the mailbox was refused; correct the list and abandon, or resend:",
            "access-invite resolve ADDRESS --as resend|abandoned --note TEXT",
        )),
        State::Bounced => Some((
            "the message came back; correct the list and abandon, or resend:",
            "access-invite resolve ADDRESS --as resend|abandoned --note TEXT",
        )),
        _ => None,
    }
}

/// The states in the order in which a person wants to see them.
pub const BY_URGENCY: [State; 11] = [
    State::Unknown,
    State::Expired,
    State::Bounced,
    State::Rejected,
    State::Armed,
    State::Deferred,
    State::Pending,
    State::Suppressed,
    State::Abandoned,
    State::Accepted,
    State::Delivered,
];

/// Writes invitations, a line for each.
pub struct StatusTable<'a> {
    out: &'a mut dyn Write,
    /// The width of the terminal, if `out` will be shown on one.
    width: Option<usize>,
    began: bool,
}

impl<'a> StatusTable<'a> {
    /// A table that will be shown on a terminal of this width, if there is one.
    pub fn new(out: &'a mut dyn Write, width: Option<usize>) -> Self {
        Self {
            out,
            width,
            began: false,
        }
    }

    /// Writes rows, the first ones below a header.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn page(&mut self, rows: &[StatusRow]) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let header = ["state", "address", "package", "since", "reason"].map(str::to_owned);
        let cells: Vec<[String; 5]> = rows.iter().map(cells).collect();
        let widths = widths(&header, &cells, self.width);
        if !self.began {
            self.began = true;
            writeln!(self.out)?;
            write_cells(self.out, &header, &widths)?;
        }
        cells
            .iter()
            .try_for_each(|it| write_cells(self.out, it, &widths))
    }

    /// Writes how many rows are left out.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn left_out(&mut self, number: u64) -> io::Result<()> {
        writeln!(self.out, "and {number} more, which --all shows")
    }

    /// Writes all that happened to an invitation.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn history(&mut self, row: &StatusRow) -> io::Result<()> {
        let [state, email, package, since, reason] = cells(row);
        match row.record.identity.occasion {
            Occasion::Invitation => writeln!(self.out, "\nhistory of {email} ({package})")?,
            reminder @ Occasion::Reminder(_) => {
                writeln!(self.out, "\nhistory of {reminder} to {email} ({package})")?;
            }
        }
        let id = one_line(&row.record.standing.message_id);
        writeln!(self.out, "  Message-ID {id}")?;
        let now = format!("  {state} since {since}");
        self.write_event(&now, &reason)?;
        if let Some(entry) = &row.suppression {
            let note = entry.note.as_deref().unwrap_or_default();
            let since = not_mailed_since(entry);
            self.write_event(&format!("  {since}"), &one_line(note))?;
        }
        self.write_road(row)?;
        for event in row.history.iter().flatten() {
            let phase = event.phase.as_deref().unwrap_or_default();
            let start = format!(
                "  {}  {:8}  {}",
                local(event.at),
                event.to.as_str(),
                fitted(&one_line(phase), 5)
            );
            self.write_event(&start, &one_line(&reason_of(event)))?;
        }
        row.reminders.iter().try_for_each(|it| self.history(it))
    }

    /// Writes what has happened to the partner, if that is more than the state.
    fn write_road(&mut self, row: &StatusRow) -> io::Result<()> {
        let reminders: Vec<_> = row.reminders.iter().map(|it| it.record.clone()).collect();
        let steps = road(Some(&row.record), &reminders, row.access.as_ref());
        let step = |it: &RoadStep| match it.at {
            Some(at) => format!("{} {}", it.what, local(at)),
            None => it.what.clone(),
        };
        let steps: Vec<String> = steps.iter().map(step).collect();
        match steps.len() {
            0 | 1 => Ok(()),
            _ => self.write_event("  so far", &steps.join(", ")),
        }
    }

    /// Writes a reason behind the start of its line, or below if the line would be too long.
    fn write_event(&mut self, start: &str, reason: &str) -> io::Result<()> {
        let line = format!("{start}  {reason}");
        let line = line.trim_end();
        match self.width {
            Some(width) if columns(line) > width => {
                let reason = wrapped(&format!("    {reason}"), width);
                writeln!(self.out, "{}\n{reason}", start.trim_end())
            }
            _ => writeln!(self.out, "{line}"),
        }
    }
}

/// State, address, package, time and reason.
fn cells(row: &StatusRow) -> [String; 5] {
    let (record, standing) = (&row.record, &row.record.standing);
    let mut reasons = Vec::new();
    if let Some(next) = standing.next_attempt_at {
        reasons.push(format!("due {}", local(next)));
    }
    if let Some(access) = row.access.filter(Access::is_known) {
        let whose = match access.by {
            Some(AccessBy::Colleague) => " (a colleague)",
            _ => "",
        };
        reasons.push(format!("access {}{whose}", access.state));
    }
    if row.listed == Some(false) {
        reasons.push("no longer in the list".into());
    }
    reasons.extend(Some(one_line(&reason_of(&record.latest))).filter(|it| !it.is_empty()));
    [
        standing.state.to_string(),
        one_line(&record.invitee.email),
        one_line(&record.invitee.package),
        local(standing.updated_at),
        reasons.join("; "),
    ]
}

/// The widths of the columns; none for one that has no room. Without a limit, only the last one varies.
///
/// On a terminal, a package that all rows share is left out. If there is too little room, the package is cut,
/// then left out; then addresses are cut that are much longer than the others; then the reason is left out.
fn widths(header: &[String; 5], rows: &[[String; 5]], limit: Option<usize>) -> [Option<usize>; 5] {
    let sorted = |at: usize| {
        let cells = std::iter::once(header).chain(rows);
        let mut widths: Vec<usize> = cells.map(|it| columns(&it[at])).collect();
        widths.sort_unstable();
        widths
    };
    let widest = |at: usize| sorted(at).last().copied().unwrap_or_default();
    let [state, address, package, since] = [0, 1, 2, 3].map(widest);
    let Some(limit) = limit else {
        let whole = [state, address, package, since.max(TIME), usize::MAX];
        return whole.map(Some);
    };
    let room = limit.saturating_sub(state + GAP + since + GAP);
    let rest = |used: &[usize]| {
        let gaps = GAP * used.len();
        room.saturating_sub(used.iter().sum::<usize>() + gaps)
    };
    let most = sorted(1)[rows.len() * 3 / 4].max(address.min(USUAL_ADDRESS));
    let first = rows.first().map(|it| &it[2]);
    let differ = rows.iter().any(|it| Some(&it[2]) != first);
    let (address, package, reason) =
        if differ && rest(&[address, SHORTEST.min(package)]) >= REASON_BESIDE_PACKAGE {
            let package = package.min(rest(&[address, REASON_BESIDE_PACKAGE]));
            (address, Some(package), Some(rest(&[address, package])))
        } else if rest(&[address]) >= SHORTEST {
            (address, None, Some(rest(&[address])))
        } else if rest(&[most]) >= SHORTEST {
            (most, None, Some(rest(&[most])))
        } else {
            (address.min(room), None, None)
        };
    [Some(state), Some(address), package, Some(since), reason]
}

fn write_cells(
    out: &mut dyn Write,
    [state, address, package, since, reason]: &[String; 5],
    widths: &[Option<usize>; 5],
) -> io::Result<()> {
    let filled = [state, address, package, since].into_iter().zip(widths);
    let filled = filled.filter_map(|(cell, width)| Some(fitted(cell, (*width)?)));
    // The last column is not filled up.
    let last = widths[4].map(|width| truncated(reason, width).into_owned());
    let line: Vec<String> = filled.chain(last).collect();
    writeln!(out, "{}", line.join(&" ".repeat(GAP)).trim_end())
}

/// The reply and the note of an event.
fn reason_of(event: &Event) -> String {
    let reply = reply_text(event);
    match &event.note {
        None => reply,
        // The note of a refusal that is retried quotes the reply.
        Some(note) if note.ends_with(&reply) => note.clone(),
        Some(note) => format!("{reply} ({note})"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::address::Address;
    use crate::invitation::{Identity, Invitee, Record, Standing};
    use crate::link::PackageId;

    fn row(email: &str, package: &str, state: State, reply: &str) -> StatusRow {
        let id = PackageId::parse("8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11").unwrap();
        let latest = Event {
            at: Timestamp::UNIX_EPOCH,
            from: None,
            to: state,
            phase: Some("rcpt".into()),
            smtp_code: Some(451),
            enhanced_code: None,
            reply: Some(reply.into()),
            relay: None,
            message_id: "id@a.example".into(),
            note: None,
        };
        StatusRow {
            record: Record {
                id: 1,
                identity: Identity::new("spring", id, &Address::parse("a@a.example").unwrap()),
                invitee: Invitee {
                    package: package.into(),
                    email: email.into(),
                    name: None,
                    organization: None,
                    locale: None,
                    template_locale: "en".into(),
                },
                created_at: Timestamp::UNIX_EPOCH,
                accepted_at: None,
                standing: Standing {
                    state,
                    message_id: "id@a.example".into(),
                    ..Standing::default()
                },
                latest: latest.clone(),
            },
            listed: Some(true),
            access: None,
            history: Some(vec![latest]),
            suppression: None,
            reminders: Vec::new(),
        }
    }

    fn table(rows: &[StatusRow], width: Option<usize>) -> String {
        let mut out = Vec::new();
        let mut table = StatusTable::new(&mut out, width);
        table.page(rows).unwrap();
        for row in rows {
            table.history(row).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    fn rows() -> [StatusRow; 4] {
        let long = "Greylisting in action, please come back in some minutes, not earlier";
        [
            row("k.lang@bücher.example", "plans", State::Deferred, long),
            row(
                "taro@港湾設計株式会社.example",
                "港湾プロジェクト",
                State::Unknown,
                "返信なし、接続が閉じられました、後でもう一度お試しください",
            ),
            row(
                "anne-cecile.vandenbroeck-desmedt@havenbedrijf-antwerpen.example",
                "plans",
                State::Rejected,
                "🚢👩\u{200d}👩\u{200d}👧 no such user e\u{301}\u{301}",
            ),
            row("m@مثال.example", "plans", State::Accepted, "queued"),
        ]
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in 60..=130 {
            let shown = table(&rows(), Some(width));
            let lines = shown.lines().filter(|it| !it.starts_with("history of"));
            for line in lines {
                assert!(columns(line) <= width, "{width}: {line}");
            }
            assert!(shown.contains("taro@港湾"), "{shown}");
        }
    }

    #[test]
    fn elsewhere_nothing_is_cut() {
        let shown = table(&rows(), None);

        for row in rows() {
            for text in cells(&row) {
                assert!(shown.contains(&text), "{text}: {shown}");
            }
        }
        assert!(!shown.contains('…'), "{shown}");
    }

    #[test]
    fn a_package_that_all_rows_share_gives_way_to_the_reason() {
        let shared = table(&rows()[..1], Some(80));
        let header = shared.lines().nth(1).unwrap();
        assert!(
            !header.contains("package") && header.contains("reason"),
            "{shared}"
        );

        let different = table(&rows()[..2], Some(120));
        assert!(different.contains("package"), "{different}");
    }

    #[test]
    fn a_package_is_left_out_if_the_reason_would_have_no_room() {
        let rows = [
            row("grey20@cantiere.example", "quality", State::Deferred, "x"),
            row("grey21@werft.example", "plans", State::Deferred, "x"),
        ];
        let header = |width| table(&rows, Some(width)).lines().nth(1).unwrap().to_owned();

        assert!(!header(80).contains("package"), "{}", header(80));
        assert!(header(100).contains("package"), "{}", header(100));
    }

    #[test]
    fn the_summary_says_what_waits_for_a_person() {
        let counts = [
            (State::Pending, 2),
            (State::Accepted, 5),
            (State::Rejected, 0),
            (State::Unknown, 1),
        ];
        let summary = |with_advice| {
            let mut out = Vec::new();
            let summary = StatusSummary {
                campaign: "spring",
                counts: &counts,
                access: None,
                others: &["autumn".to_owned()],
                reminders: &[],
                with_advice,
            };
            summary.write(&mut out).unwrap();
            String::from_utf8(out).unwrap()
        };

        let without = "campaign spring: 8 invitations: 2 pending, 5 accepted, 1 unknown\nother campaigns: autumn (--campaign NAME|all)\n";
        assert_eq!(summary(false), without);
        assert_eq!(
            summary(true),
            format!(
                "{without}\nneeds a decision:\n  1 unknown: perhaps accepted; find the Message-ID in the relay's log, then\n    access-invite resolve ADDRESS --as accepted|resend|abandoned --note TEXT\n\nleft for the next `access-invite send`: 2 pending\n"
            )
        );
    }
}

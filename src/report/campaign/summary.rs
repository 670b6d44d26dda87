//! The beginning and the end of the page: what is most important, and what the words mean.

use std::fmt::Write as _;
use std::io::{self, Write};

use jiff::tz::TimeZone;

use super::markup::{figure, time};
use super::model::Parts;
use super::steps::Group;
use super::tally::Tally;
use crate::html::escape;
use crate::invitation::{AccessState, State};

/// Writes what is most important, and what the report is about.
pub fn write(out: &mut dyn Write, parts: &Parts, tally: &Tally) -> io::Result<()> {
    let about = &parts.about;
    writeln!(
        out,
        "<section id=\"summary\" aria-label=\"Summary\"><p class=\"lead\">{}</p><p>{}</p>\n<ul class=\"tiles\">",
        lead(tally),
        more(tally)
    )?;
    for state in State::ALL {
        let count = tally.in_state(*state);
        if count > 0 {
            writeln!(
                out,
                "<li><a class=\"tile {}\" href=\"#partners\" data-state=\"{state}\"><b>{}</b><span>{state}</span></a></li>",
                Group::of(*state).class(),
                figure(count)
            )?;
        }
    }
    writeln!(out, "</ul>")?;
    for warning in &about.warnings {
        writeln!(out, "<p class=\"warning\">{}</p>", escape(warning))?;
    }
    let zone = TimeZone::system();
    let zone = zone.iana_name().unwrap_or("the local time of the machine");
    write!(out, "<dl class=\"facts\">")?;
    for (name, value) in [
        ("Campaign", escape(&about.campaign)),
        ("Organisation", escape(&about.organization)),
        ("Sender", escape(&about.sender)),
        ("Made", time(about.made)),
        (
            "Made by",
            format!("access-invite {}", env!("CARGO_PKG_VERSION")),
        ),
        (
            "Ledger",
            escape(about.ledger.as_deref().unwrap_or("no id, version 1")),
        ),
        ("Times in", escape(zone)),
    ] {
        write!(out, "<div><dt>{name}</dt><dd><bdi>{value}</bdi></dd></div>")?;
    }
    writeln!(out, "</dl></section>")
}

/// The state of the campaign in one sentence.
fn lead(tally: &Tally) -> String {
    let total = tally.total();
    if total == 0 {
        return "No partner has been invited yet.".into();
    }
    let reached = tally.groups()[Group::Reached as usize];
    let of_all = match reached {
        all if all == total => format!("All {} invitations", figure(total)),
        some => format!("{} of {} invitations", figure(some), figure(total)),
    };
    format!("{of_all} have reached the relay and did not come back.")
}

/// What else is known, in a few sentences.
fn more(tally: &Tally) -> String {
    let mut said = String::new();
    let own = |state: AccessState| tally.access.get(state.as_str()).map_or(0, |it| it[0]);
    let granted = own(AccessState::Granted);
    let all = AccessState::ALL.iter().copied();
    let asked: u64 = all.filter(|it| *it != AccessState::None).map(own).sum();
    if asked > 0 {
        let asked = partners_have(asked);
        let _ = write!(
            said,
            "{asked} asked for access, and {} got it. ",
            figure(granted)
        );
    }
    if tally.reminded > 0 {
        let _ = write!(said, "{} been reminded. ", partners_have(tally.reminded));
    }
    match tally.composed {
        (0, _) => {}
        (all, same) if all == same => said.push_str(
            "Every message that was sent could be composed again for this report, byte for byte.",
        ),
        (all, same) => {
            let _ = write!(
                said,
                "Of {} messages that were composed again for this report, {} are the ones that were sent, byte for byte.",
                figure(all),
                figure(same)
            );
        }
    }
    said
}

fn partners_have(number: u64) -> String {
    match number {
        1 => "1 partner has".into(),
        number => format!("{} partners have", figure(number)),
    }
}

/// Writes what the states mean that occur.
pub fn words(out: &mut dyn Write, tally: &Tally) -> io::Result<()> {
    writeln!(
        out,
        "<section id=\"words\"><h2>What the words mean</h2><dl class=\"words\">"
    )?;
    for state in State::ALL {
        if tally.in_state(*state) > 0 {
            let meaning = meaning(*state);
            writeln!(out, "<div><dt>{state}</dt><dd>{meaning}</dd></div>")?;
        }
    }
    writeln!(
        out,
        "<div><dt>text verified</dt><dd>The message was composed again for this report, with its Date and Message-ID, and is the one that was sent, byte for byte: its SHA-256 is the one in the ledger.</dd></div>\n</dl><p class=\"quiet\">This page is a copy of what the ledger holds at the time above. The ledger is the record.</p></section>"
    )
}

fn meaning(state: State) -> &'static str {
    match state {
        State::Pending => "To be sent; no relay has accepted it.",
        State::Armed => "Handed over to the relay; its reply is not recorded yet.",
        State::Accepted => {
            "The relay took responsibility for the message. This is not yet delivery to the mailbox."
        }
        State::Deferred => "Refused temporarily; a later run tries again.",
        State::Rejected => {
            "Refused permanently, with evidence that the mailbox does not exist or takes no mail."
        }
        State::Unknown => {
            "The relay may have accepted it; its reply was lost or unclear. A person decides."
        }
        State::Abandoned => "Closed by a person, without another mail.",
        State::Expired => "Refused temporarily for too long. A person decides.",
        State::Suppressed => "The address is on the suppression list, and is not mailed.",
        State::Delivered => "A delivery report says that the message is in the mailbox.",
        State::Bounced => "A delivery report says that the message could not be delivered.",
    }
}

//! The page: one file with style sheet, script and data, which loads nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use strum::VariantArray;

use super::bars::{self, Part};
use super::chart;
use super::markup::{figure, time};
use super::model::Parts;
use super::sections;
use super::steps::Group;
use super::summary;
use super::tally::{GroupCounts, Tally};
use crate::html::escape;
use crate::invitation::State;

/// How every page begins.
pub const MARK: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"generator\" content=\"access-invite report ";

const STYLE: &str = concat!(
    include_str!("../../html/palette.css"),
    include_str!("page/report.css")
);
const SCRIPT: &str = include_str!("page/report.js");

/// Writes the page; `rows` are the invitations.
pub fn write(out: &mut dyn Write, parts: &Parts, tally: &Tally, rows: &mut File) -> io::Result<()> {
    head(out, parts)?;
    summary::write(out, parts, tally)?;
    writeln!(
        out,
        "<section id=\"progress\"><h2>Progress</h2><div class=\"card\">"
    )?;
    chart::progress(out, tally)?;
    writeln!(
        out,
        "</div></section>\n<section id=\"groups\"><h2>States</h2>"
    )?;
    breakdown(out, tally)?;
    writeln!(
        out,
        "</section>\n<section id=\"partners\"><h2>Partners</h2>"
    )?;
    filters(out, tally)?;
    writeln!(out, "<div class=\"partners\">")?;
    io::copy(rows, out)?;
    if tally.total() == 0 {
        writeln!(out, "<p class=\"quiet\">No invitation is recorded.</p>")?;
    }
    writeln!(
        out,
        "</div><p id=\"nothing\" class=\"quiet\" hidden>No partner matches.</p></section>\n<section id=\"runs\"><h2>Runs</h2>"
    )?;
    sections::runs(out, &parts.runs)?;
    writeln!(
        out,
        "</section>\n<section id=\"approvals\"><h2>Approvals</h2>"
    )?;
    sections::approvals(out, &parts.approvals)?;
    writeln!(
        out,
        "</section>\n<section id=\"messages\"><h2>Text of the messages</h2>"
    )?;
    sections::messages(out, &parts.messages)?;
    writeln!(out, "</section>")?;
    summary::words(out, tally)?;
    writeln!(out, "</main>\n<script>{SCRIPT}</script>\n</body>\n</html>")
}

/// Everything up to the first section. Styles also stand in the frames of the mails, so they are allowed; of
/// scripts, only the one of this page.
fn head(out: &mut dyn Write, parts: &Parts) -> io::Result<()> {
    let about = &parts.about;
    let script = STANDARD.encode(Sha256::digest(SCRIPT));
    let campaign = escape(&about.campaign);
    let version = env!("CARGO_PKG_VERSION");
    writeln!(
        out,
        "{MARK}{version}\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<title>{campaign}: report of invitations</title>\n<style>{STYLE}</style>\n</head>\n<body>"
    )?;
    writeln!(
        out,
        "<header class=\"top\"><p class=\"kicker\">Report of invitations</p><h1><bdi>{campaign}</bdi></h1><p class=\"quiet\"><bdi>{}</bdi> · {}</p>\n<nav aria-label=\"Sections\"><ul class=\"jump\"><li><a href=\"#progress\">Progress</a></li><li><a href=\"#groups\">States</a></li><li><a href=\"#partners\">Partners</a></li><li><a href=\"#runs\">Runs</a></li><li><a href=\"#approvals\">Approvals</a></li><li><a href=\"#messages\">Messages</a></li></ul></nav></header>\n<main>",
        escape(&about.organization),
        time(about.made)
    )
}

/// Bars by state, package and language.
fn breakdown(out: &mut dyn Write, tally: &Tally) -> io::Result<()> {
    write!(out, "<ul class=\"legend\" aria-hidden=\"true\">")?;
    for (group, count) in Group::VARIANTS.iter().zip(tally.groups()) {
        if count > 0 {
            write!(
                out,
                "<li><span class=\"swatch {}\"></span>{}</li>",
                group.class(),
                group.label()
            )?;
        }
    }
    writeln!(out, "</ul><div class=\"columns\"><div class=\"card\">")?;
    let states = State::ALL.iter().map(|state| {
        let part = Part {
            group: Group::of(*state),
            label: state.as_str(),
            count: tally.in_state(*state),
        };
        (state.as_str(), vec![part])
    });
    bars::write(out, "State", states)?;
    if !tally.access.is_empty() {
        writeln!(out, "</div><div class=\"card\">")?;
        bars::write(out, "Access", tally.access.iter().map(access_bar))?;
    }
    for (what, counts) in [("Package", &tally.packages), ("Language", &tally.locales)] {
        writeln!(out, "</div><div class=\"card\">")?;
        let rows = counts.iter();
        let rows = rows.map(|it| (it.0.as_str(), bars::parts(*it.1)));
        bars::write(out, what, rows)?;
    }
    writeln!(out, "</div></div>")
}

/// The bar of a state of access, and how many of those are colleagues.
fn access_bar((state, [own, colleagues]): (&&'static str, &[u64; 2])) -> (&'static str, Vec<Part>) {
    let group = state.parse().map(Group::of_access);
    let group = group.unwrap_or(Group::Closed);
    let part = |label, count| Part {
        group,
        label,
        count,
    };
    let name = match *state {
        "none" => "no access requested",
        "requested" => "access requested",
        "granted" => "access granted",
        "denied" => "access denied",
        "failed" => "assignment failed",
        _ => "access removed",
    };
    let whose = if *colleagues > 0 { "of partners" } else { name };
    (
        name,
        vec![part(whose, *own), part("of colleagues", *colleagues)],
    )
}

/// Search and filters, which the script shows.
fn filters(out: &mut dyn Write, tally: &Tally) -> io::Result<()> {
    writeln!(
        out,
        "<form id=\"filters\" role=\"search\" aria-label=\"Find partners\" hidden><input type=\"search\" id=\"search\" aria-label=\"Search all that stands in the rows\" placeholder=\"Search name, address, reply, Message-ID\" autocomplete=\"off\" spellcheck=\"false\">"
    )?;
    let states = State::ALL
        .iter()
        .map(|it| (it.as_str(), tally.in_state(*it)));
    let access = tally.access.iter();
    let access = access.map(|it| (*it.0, it.1.iter().sum()));
    for (name, all, options) in [
        ("state", "All states", states.collect()),
        ("package", "All packages", sums(&tally.packages)),
        ("locale", "All languages", sums(&tally.locales)),
        ("access", "Any access", access.collect()),
    ] {
        if options.iter().all(|it| it.1 == 0) {
            continue;
        }
        write!(
            out,
            "<select name=\"{name}\" aria-label=\"{all}\"><option value=\"\">{all}</option>"
        )?;
        for (value, count) in options.into_iter().filter(|it| it.1 > 0) {
            let value = escape(value);
            let count = figure(count);
            write!(out, "<option value=\"{value}\">{value} ({count})</option>")?;
        }
        writeln!(out, "</select>")?;
    }
    writeln!(
        out,
        "<button type=\"reset\" class=\"link\">Clear</button><p id=\"found\" role=\"status\"></p></form>"
    )
}

fn sums(counts: &BTreeMap<String, GroupCounts>) -> Vec<(&str, u64)> {
    let counts = counts.iter();
    counts
        .map(|it| (it.0.as_str(), it.1.iter().sum()))
        .collect()
}

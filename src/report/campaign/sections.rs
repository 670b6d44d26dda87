//! The sections about runs, approvals and the text of the messages.

use std::io::{self, Write};

use super::super::formats::count;
use super::super::runs::{ApprovalRow, RunRow, counts_text};
use super::markup::{figure, time};
use super::model::MessageText;
use crate::html::{escape, escape_lines};

/// How many runs the page shows; JSON has all.
const RUNS: usize = 500;

/// Precedes the HTML of a message in its frame: no link leads anywhere, and colours are printed. Browsers ignore the
/// second DOCTYPE.
const GUARD: &str = "<!DOCTYPE html><meta charset=\"utf-8\"><base target=\"_blank\"><style>:root{print-color-adjust:exact}</style>";

/// Writes the runs.
pub fn runs(out: &mut dyn Write, runs: &[RunRow]) -> io::Result<()> {
    if runs.is_empty() {
        return writeln!(out, "<p class=\"quiet\">No run is on record.</p>");
    }
    let earlier = runs.len().saturating_sub(RUNS);
    if earlier > 0 {
        let runs = figure(earlier as u64);
        writeln!(
            out,
            "<p class=\"quiet\">The last {RUNS} runs. <code>report --format json</code> also lists the {runs} earlier ones.</p>"
        )?;
    }
    writeln!(
        out,
        "<div class=\"card\"><table class=\"list runs\"><thead><tr><th scope=\"col\">Run</th><th scope=\"col\">Start and end</th><th scope=\"col\">By</th><th scope=\"col\">Result</th><th scope=\"col\">Approval</th></tr></thead><tbody>"
    )?;
    for run in &runs[earlier..] {
        let end = match run.ended_at {
            Some(end) => format!("to {}", time(end)),
            None => "no end on record: running, or killed".into(),
        };
        let exit = match run.exit_code {
            Some(code) => format!("exit code {code}"),
            None => "no result on record".into(),
        };
        write!(
            out,
            "<tr><th scope=\"row\"><b>{}</b> {}</th><td>{}<br><span class=\"quiet\">{end}</span></td><td><bdi>{}</bdi>@<bdi>{}</bdi><br><span class=\"quiet whole\">version {}</span></td><td>{exit}<br><span class=\"quiet\">{}</span></td><td>",
            run.number,
            escape(&run.verb),
            time(run.started_at),
            escape(&run.os_user),
            escape(&run.host),
            escape(&run.version),
            escape(&run.counts.as_ref().map_or_else(String::new, counts_text)),
        )?;
        match &run.approval {
            Some(it) => write!(out, "<bdi>{}</bdi>, {}", escape(&it.by), time(it.at))?,
            None => write!(out, "<span class=\"quiet\">none on record</span>")?,
        }
        if let Some(digest) = &run.digest {
            write!(out, "<br><code class=\"digest\">{}</code>", escape(digest))?;
        }
        writeln!(out, "</td></tr>")?;
    }
    writeln!(out, "</tbody></table></div>")
}

/// Writes the approvals.
pub fn approvals(out: &mut dyn Write, approvals: &[ApprovalRow]) -> io::Result<()> {
    if approvals.is_empty() {
        return writeln!(
            out,
            "<p class=\"quiet\">No approval is on record. Approvals by <code>[approval] file</code> or <code>--approved</code> are not recorded.</p>"
        );
    }
    writeln!(
        out,
        "<div class=\"card\"><table class=\"list\"><thead><tr><th scope=\"col\">Approved by</th><th scope=\"col\">When</th><th scope=\"col\">Digest of the inputs</th><th scope=\"col\">Note</th></tr></thead><tbody>"
    )?;
    for approval in approvals {
        writeln!(
            out,
            "<tr><th scope=\"row\"><bdi>{}</bdi></th><td>{}</td><td><code class=\"digest\">{}</code></td><td><bdi>{}</bdi></td></tr>",
            escape(&approval.by),
            time(approval.at),
            escape(&approval.digest),
            escape(approval.note.as_deref().unwrap_or_default()),
        )?;
    }
    writeln!(out, "</tbody></table></div>")
}

/// Writes the text of each kind of message.
pub fn messages(out: &mut dyn Write, messages: &[MessageText]) -> io::Result<()> {
    if messages.is_empty() {
        return writeln!(out, "<p class=\"quiet\">No message.</p>");
    }
    if messages.len() > 1 {
        write!(out, "<nav aria-label=\"Messages\"><ul class=\"jump\">")?;
        for (nth, it) in messages.iter().enumerate() {
            let title = title(it);
            write!(out, "<li><a href=\"#message-{nth}\">{title}</a></li>")?;
        }
        writeln!(out, "</ul></nav>")?;
    }
    for (nth, it) in messages.iter().enumerate() {
        message(out, nth, it)?;
    }
    Ok(())
}

/// `plans · fr · invitation`, as HTML.
fn title(message: &MessageText) -> String {
    let parts = [&message.package, &message.locale, &message.occasion];
    let parts = parts.map(|it| format!("<bdi>{}</bdi>", escape(it)));
    parts.join(" · ")
}

fn message(out: &mut dyn Write, nth: usize, message: &MessageText) -> io::Result<()> {
    writeln!(
        out,
        "<article class=\"message\" id=\"message-{nth}\"><h3>{}</h3><p class=\"quiet\">{}</p>",
        title(message),
        sent(message)
    )?;
    let Some(sample) = &message.sample else {
        return writeln!(
            out,
            "<p class=\"warning\">The text cannot be composed any more: its package or template is gone, or it needs columns that the list no longer has.</p></article>"
        );
    };
    if !sample.is_sent {
        let why = if message.sent > 0 {
            "This text is composed now. It is not the one that was sent: the configuration, the templates or the list have changed since."
        } else {
            "None was sent yet. This is the text as a run would compose it now."
        };
        writeln!(out, "<p class=\"warning\">{why}</p>")?;
    }
    write!(out, "<dl class=\"facts\">")?;
    let date = if sample.is_sent { "Date" } else { "Composed" };
    for (name, value) in [
        ("To", escape(&sample.to)),
        ("From", escape(&sample.from)),
        ("Subject", escape(&sample.subject)),
        (date, time(sample.date)),
        ("Message-ID", escape(&sample.message_id)),
    ] {
        write!(out, "<div><dt>{name}</dt><dd><bdi>{value}</bdi></dd></div>")?;
    }
    writeln!(
        out,
        "</dl>\n<div class=\"parts\"><figure><figcaption>Text part</figcaption><pre class=\"letter\" dir=\"auto\" tabindex=\"0\" aria-label=\"Text part\">{}</pre></figure>",
        escape_lines(&sample.text)
    )?;
    writeln!(
        out,
        "<figure><figcaption>HTML part</figcaption><div class=\"mail\"><iframe sandbox=\"allow-same-origin\" title=\"HTML part\" srcdoc=\"{}\"></iframe></div></figure></div></article>",
        escape_lines(&format!("{GUARD}{}", sample.html))
    )
}

/// How many were sent, and how many of them are known to the byte.
fn sent(message: &MessageText) -> String {
    if message.sent == 0 {
        return "Not sent yet.".into();
    }
    let sent = count(message.sent, "message");
    match message.verified {
        0 => format!("{sent} handed over to the relay."),
        all if all == message.sent => format!(
            "{sent} handed over to the relay. Composed again, {} as sent, byte for byte.",
            if all == 1 { "it is" } else { "all are" }
        ),
        some => format!(
            "{sent} handed over to the relay. Composed again, {} as sent, byte for byte; the others were sent with another text.",
            if some == 1 {
                "1 is".into()
            } else {
                format!("{} are", figure(some))
            }
        ),
    }
}

//! The verification: the finished bytes, read back by a stranger, say what they must.
//!
//! `mail-parser` reads the MIME and `html5gum` the HTML, neither of which built
//! them. What is verified is what a partner's mail system will see: the whole link
//! in both parts, nothing else linked, exactly our headers, and bytes that no
//! relay has a reason to change.

use anyhow::{Context, Result, bail, ensure};
use mail_parser::{MessageParser, MimeHeaders, PartType};
use memchr::{memchr, memchr_iter};

use super::html_scan;
use crate::address::Address;
use crate::link::AccessPackageLink;

/// Gmail shows no more of a mail's HTML, and puts the rest behind a link.
const SHOWN_BY_GMAIL: usize = 102 * 1024;

/// A name, where there is one, and an address.
type Named<'a> = (Option<&'a str>, &'a Address);

/// What a message must say.
#[derive(Debug)]
pub struct Expected<'a> {
    /// The whole link.
    pub link: &'a AccessPackageLink,
    /// The From header.
    pub from: Named<'a>,
    /// The To header, the one recipient.
    pub to: Named<'a>,
    /// The Reply-To header, where there is to be one.
    pub reply_to: Option<Named<'a>>,
    /// The only address that a `mailto:` may lead to.
    pub reply_address: &'a Address,
    /// The subject, decoded.
    pub subject: &'a str,
    /// The Message-ID with its brackets.
    pub message_id: &'a str,
    /// The Content-Language.
    pub language: &'a str,
}

/// What the verification measured, for those who look a message over. That there is one says the rest:
/// the whole link in both parts, nothing else linked or loaded, nothing but ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verification {
    /// How many headers there are, all of them ours.
    pub headers: usize,
    /// How many lines.
    pub lines: usize,
    /// The octets of the longest, without its CRLF.
    pub longest_line: usize,
}

/// Holds the finished bytes against what they must say.
///
/// # Errors
/// The first thing that is not as it must be.
pub fn verify(bytes: &[u8], expected: &Expected<'_>) -> Result<Verification> {
    let (lines, longest_line) = verify_wire(bytes)?;
    let message = MessageParser::default()
        .parse(bytes)
        .context("the message cannot be parsed")?;
    let headers = verify_headers(&message, expected)?;
    let [root, text, html] = message.parts.as_slice() else {
        bail!(
            "the message has {} parts, not two alternatives",
            message.parts.len()
        );
    };
    ensure!(
        root.is_content_type("multipart", "alternative")
            && text.is_content_type("text", "plain")
            && html.is_content_type("text", "html"),
        "the message is not text and HTML as alternatives"
    );
    let (PartType::Text(text), PartType::Html(html)) = (&text.body, &html.body) else {
        bail!("the message is not text and HTML as alternatives");
    };
    verify_text(text, expected.link.as_str()).context("in the text part")?;
    verify_html(html, expected).context("in the HTML part")?;
    Ok(Verification {
        headers,
        lines,
        longest_line,
    })
}

/// Pure ASCII, lines of at most 998 octets (RFC 5322 §2.1.1), ended by CRLF and nothing else.
/// Gives how many lines there are, and how long the longest is.
fn verify_wire(bytes: &[u8]) -> Result<(usize, usize)> {
    if !bytes.is_ascii() || memchr(0, bytes).is_some() {
        let place = bytes.iter().position(|it| !it.is_ascii() || *it == 0);
        let place = place.unwrap_or_default();
        bail!("the byte at offset {place} is not ASCII text");
    }
    ensure!(
        bytes.ends_with(b"\r\n"),
        "the last line does not end with CRLF"
    );
    let (mut lines, mut longest, mut start) = (0, 0, 0);
    for end in memchr_iter(b'\n', bytes) {
        let line = &bytes[start..end];
        let Some(line) = line.strip_suffix(b"\r") else {
            bail!("a line ends without CR");
        };
        ensure!(memchr(b'\r', line).is_none(), "a CR stands without LF");
        ensure!(line.len() <= 998, "a line is longer than 998 octets");
        lines += 1;
        longest = longest.max(line.len());
        start = end + 1;
    }
    Ok((lines, longest))
}

/// Gives how many headers there are.
fn verify_headers(message: &mail_parser::Message<'_>, expected: &Expected<'_>) -> Result<usize> {
    let mut names: Vec<String> = message
        .headers_raw()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.sort();
    let mut ours = vec![
        "auto-submitted",
        "content-language",
        "content-type",
        "date",
        "from",
        "message-id",
        "mime-version",
        "subject",
        "to",
        "x-auto-response-suppress",
    ];
    if expected.reply_to.is_some() {
        ours.push("reply-to");
        ours.sort_unstable();
    }
    ensure!(
        names == ours,
        "the headers are {}, not exactly ours",
        names.join(", ")
    );
    verify_mailbox("From", message.from(), expected.from)?;
    verify_mailbox("To", message.to(), expected.to)?;
    if let Some(reply_to) = expected.reply_to {
        verify_mailbox("Reply-To", message.reply_to(), reply_to)?;
    }
    ensure!(message.date().is_some(), "the Date header cannot be read");
    ensure!(
        message.subject() == Some(expected.subject),
        "the subject reads \"{}\", not \"{}\"",
        message.subject().unwrap_or_default().escape_debug(),
        expected.subject
    );
    let plain = [
        ("Message-ID", expected.message_id),
        ("Content-Language", expected.language),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "OOF, AutoReply"),
    ];
    for (name, value) in plain {
        let found = message.header_raw(name).unwrap_or_default().trim();
        ensure!(
            found == value,
            "the header {name} reads \"{found}\", not \"{value}\""
        );
    }
    Ok(names.len())
}

fn verify_mailbox(
    header: &str,
    found: Option<&mail_parser::Address<'_>>,
    (name, address): Named<'_>,
) -> Result<()> {
    let Some(mail_parser::Address::List(list)) = found else {
        bail!("the header {header} cannot be read");
    };
    let [found] = list.as_slice() else {
        bail!(
            "the header {header} holds {} addresses, not one",
            list.len()
        );
    };
    ensure!(
        found.address() == Some(address.wire().as_str()),
        "the header {header} leads to `{}`, not to `{address}`",
        found.address().unwrap_or_default().escape_debug()
    );
    ensure!(
        found.name() == name,
        "the header {header} names \"{}\", not \"{}\"",
        found.name().unwrap_or_default().escape_debug(),
        name.unwrap_or_default()
    );
    Ok(())
}

/// The link stands once, alone on its line, where every client finds and copies it whole.
fn verify_text(text: &str, link: &str) -> Result<()> {
    let alone = text.lines().filter(|line| *line == link).count();
    let anywhere = text.matches(link).count();
    ensure!(
        anywhere > 0,
        "the link is missing; write `{{{{ link }}}}` on a line of its own"
    );
    ensure!(
        anywhere == 1,
        "the link stands there {anywhere} times; write `{{{{ link }}}}` once"
    );
    ensure!(
        alone == 1,
        "the link does not stand alone on its line; write nothing before or behind `{{{{ link }}}}`"
    );
    Ok(())
}

/// Holds the HTML against the link and the address that it may lead to.
fn verify_html(html: &str, expected: &Expected<'_>) -> Result<()> {
    let page = html_scan::read(html);
    let link = expected.link.as_str();
    ensure!(
        html.len() <= SHOWN_BY_GMAIL,
        "it has {} bytes, and Gmail hides what comes after {SHOWN_BY_GMAIL}; shorten the template or the values",
        html.len()
    );
    if let Some(forbidden) = page.forbidden.first() {
        bail!(
            "{forbidden} must not be there, for the mail loads, runs and submits nothing; remove it"
        );
    }
    ensure!(
        page.buttons == [link],
        "there must be one `<a class=\"button\">`, and it must lead to the link"
    );
    let mailto = format!("mailto:{}", expected.reply_address.wire());
    if let Some(other) = page.targets.iter().find(|it| *it != link && **it != mailto) {
        bail!(
            "`{}` is linked, which is neither the link nor `{mailto}`; remove it",
            other.escape_debug()
        );
    }
    let text = html_scan::lossy(&page.text);
    let Some((before, behind)) = text.split_once(link) else {
        bail!("the link is not shown as text; write `{{{{ link }}}}` once where it is read");
    };
    let alone = !before.ends_with(|it: char| !it.is_whitespace())
        && !behind.starts_with(|it: char| !it.is_whitespace());
    ensure!(
        alone && !behind.contains(link),
        "the link must be shown once as text, with nothing attached to it"
    );
    Ok(())
}

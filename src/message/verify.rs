//! The verification: the finished bytes, read by other libraries than those that built them, say what they
//! must.
//!
//! `mail-parser` reads the MIME and `html5gum` the HTML. The verification sees what a partner's mail system
//! will see: the complete link in both parts, no other links, exactly the expected headers, and bytes that no
//! relay needs to change.

use anyhow::{Context, Result, bail, ensure};
use mail_parser::{ContentType, MessageParser, MessagePart, MimeHeaders, PartType};
use memchr::{memchr, memchr_iter};

use super::allowed::AllowedLinks;
use super::body;
use super::html_scan;
use super::logo::Logo;
use crate::address::Address;
use crate::invitation::invite_id;

/// Gmail shows no more of a mail's HTML, and puts the rest behind a link.
const SHOWN_BY_GMAIL: usize = 102 * 1024;
/// The headers, `reply-to` and `list-unsubscribe` only if they are configured, `in-reply-to` and `references` only in a
/// reminder.
const HEADERS: &str = "auto-submitted content-language content-type date from in-reply-to list-unsubscribe message-id mime-version references reply-to subject to x-access-invite-id x-auto-response-suppress";

/// A name, if there is one, and an address.
type Named<'a> = (Option<&'a str>, &'a Address);

/// What a message must contain.
#[derive(Debug)]
pub struct Expected<'a> {
    /// The whole link, and what else may be linked.
    pub links: AllowedLinks<'a>,
    /// The logos; those that the HTML shows must be parts of the message, and no others.
    pub logos: &'a [Logo],
    /// The From header.
    pub from: Named<'a>,
    /// The To header, the one recipient.
    pub to: Named<'a>,
    /// The Reply-To header, if there must be one.
    pub reply_to: Option<Named<'a>>,
    /// The subject, decoded.
    pub subject: &'a str,
    /// The Message-ID with its brackets.
    pub message_id: &'a str,
    /// The Content-Language.
    pub language: &'a str,
    /// The Message-ID of the message that a reminder refers to, without its brackets.
    pub in_reply_to: Option<&'a str>,
}

/// What the verification measured, for the review. It exists only for a message that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verification {
    /// The number of headers.
    pub headers: usize,
    /// The number of lines.
    pub lines: usize,
    /// The length of the longest line in octets, without its CRLF.
    pub longest_line: usize,
}

/// Compares the finished bytes with what they must contain.
///
/// # Errors
/// At the first difference.
pub fn verify(bytes: &[u8], expected: &Expected<'_>) -> Result<Verification> {
    let (lines, longest_line) = verify_wire(bytes)?;
    let message = MessageParser::default()
        .parse(bytes)
        .context("the message cannot be parsed")?;
    let headers = verify_headers(&message, expected)?;
    let (root, text, html, images) = match message.parts.as_slice() {
        [root, text, html] => (root, text, html, &[][..]),
        [root, text, related, html, images @ ..] if !images.is_empty() => {
            ensure!(
                related.is_content_type("multipart", "related"),
                "the logos are not related to the HTML part"
            );
            (root, text, html, images)
        }
        _ => bail!("the message does not have two alternative parts"),
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
    verify_text(text, &expected.links).context("in the text part")?;
    verify_html(html, expected).context("in the HTML part")?;
    verify_logos(images, body::shown(html, expected.logos))?;
    Ok(Verification {
        headers,
        lines,
        longest_line,
    })
}

/// Requires ASCII and lines of at most 998 octets (RFC 5322 §2.1.1), ended by CRLF. Returns their number and
/// the length of the longest.
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
        ensure!(
            memchr(b'\r', line).is_none(),
            "a line contains a CR without LF"
        );
        ensure!(line.len() <= 998, "a line is longer than 998 octets");
        lines += 1;
        longest = longest.max(line.len());
        start = end + 1;
    }
    Ok((lines, longest))
}

/// Returns the number of headers.
fn verify_headers(message: &mail_parser::Message<'_>, expected: &Expected<'_>) -> Result<usize> {
    let names = message.headers_raw();
    let mut names: Vec<_> = names.map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    let wanted = |it: &&str| match *it {
        "reply-to" => expected.reply_to.is_some(),
        "in-reply-to" | "references" => expected.in_reply_to.is_some(),
        "list-unsubscribe" => expected.links.unsubscribe.is_some(),
        _ => true,
    };
    ensure!(
        names.iter().eq(HEADERS.split(' ').filter(wanted)),
        "the headers are {}, which differs from the expected ones",
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
    let invite_id = invite_id(expected.message_id.trim_matches(['<', '>']));
    let in_reply_to = expected.in_reply_to.map(|it| format!("<{it}>"));
    let in_reply_to = in_reply_to.iter().map(String::as_str);
    let thread = ["In-Reply-To", "References"].into_iter();
    let thread = thread.flat_map(|header| in_reply_to.clone().map(move |it| (header, it)));
    let unsubscribe = expected.links.unsubscribe.map(|it| format!("<{it}>"));
    let unsubscribe = unsubscribe
        .iter()
        .map(|it| ("List-Unsubscribe", it.as_str()));
    let plain = [
        ("Message-ID", expected.message_id),
        ("Content-Language", expected.language),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "OOF, AutoReply"),
        ("X-Access-Invite-Id", &invite_id),
    ];
    for (name, value) in unsubscribe.chain(thread).chain(plain) {
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
            "the header {header} contains {} addresses instead of one",
            list.len()
        );
    };
    ensure!(
        found.address() == Some(address.wire().as_str()),
        "the header {header} contains the address `{}` instead of `{address}`",
        found.address().unwrap_or_default().escape_debug()
    );
    ensure!(
        found.name() == name,
        "the header {header} contains the name \"{}\" instead of \"{}\"",
        found.name().unwrap_or_default().escape_debug(),
        name.unwrap_or_default()
    );
    Ok(())
}

/// Requires the link once, alone on its line, where every client recognises and copies it as a whole, and no other
/// links than those that are allowed.
fn verify_text(text: &str, links: &AllowedLinks<'_>) -> Result<()> {
    let link = links.link;
    let alone = text.lines().filter(|line| *line == link).count();
    let anywhere = text.matches(link).count();
    ensure!(
        anywhere > 0,
        "the link is missing; write `{{{{ link }}}}` on a line of its own"
    );
    ensure!(
        anywhere == 1,
        "the link occurs {anywhere} times; write `{{{{ link }}}}` once"
    );
    ensure!(
        alone == 1,
        "the link is not alone on its line; write nothing before or after `{{{{ link }}}}`"
    );
    links.verify_text(text)
}

/// Requires the link as the only button and once as text, and no other links and images than those that are allowed.
fn verify_html(html: &str, expected: &Expected<'_>) -> Result<()> {
    let page = html_scan::read(html);
    let link = expected.links.link;
    ensure!(
        html.len() <= SHOWN_BY_GMAIL,
        "it has {} bytes, and Gmail hides everything after {SHOWN_BY_GMAIL}; shorten the template or the values",
        html.len()
    );
    if let Some(forbidden) = page.forbidden.first() {
        bail!(
            "{forbidden} is not allowed, because a mail must not load, run or submit anything; remove it"
        );
    }
    ensure!(
        page.buttons == [link],
        "there must be exactly one `<a class=\"button\">`, with `{{{{ link }}}}` as its `href`"
    );
    expected.links.verify_targets(&page.targets)?;
    let is_logo = |image: &String| expected.logos.iter().any(|it| it.url == *image);
    ensure!(
        page.images.iter().all(is_logo),
        "`<img>` is not allowed, because a mail must not load anything, except for a logo that is sent with it; remove it, or set `brand.logo` and write `{{% if brand.logo %}}<img src=\"{{{{ brand.logo }}}}\" alt=\"{{{{ sender.organization }}}}\">{{% endif %}}`"
    );
    let text = html_scan::lossy(&page.text);
    let Some((before, behind)) = text.split_once(link) else {
        bail!("the link is not visible as text; write `{{{{ link }}}}` once in the text");
    };
    let alone = !before.ends_with(|it: char| !it.is_whitespace())
        && !behind.starts_with(|it: char| !it.is_whitespace());
    ensure!(
        alone && !behind.contains(link),
        "the link must be visible as text once, with spaces or tags around it"
    );
    expected.links.verify_text(&text)
}

/// Requires exactly these logos as parts beside the HTML, each as its file is.
fn verify_logos<'a>(
    parts: &[MessagePart<'_>],
    logos: impl Iterator<Item = &'a Logo>,
) -> Result<()> {
    let mut parts = parts.iter();
    for logo in logos {
        let key = logo.key;
        let Some(part) = parts.next() else {
            bail!("the logo `{key}` is missing");
        };
        let is_inline = part
            .content_disposition()
            .is_some_and(ContentType::is_inline);
        ensure!(
            part.content_id() == Some(&logo.id)
                && is_inline
                && part.is_content_type("image", logo.image.kind.into())
                && part.contents() == logo.image.bytes,
            "the logo `{key}` differs from its file"
        );
    }
    ensure!(
        parts.next().is_none(),
        "the message has more parts than text, HTML and its logos"
    );
    Ok(())
}

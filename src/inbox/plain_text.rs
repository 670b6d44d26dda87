//! Reports of the older forms: text for people, with the header of the message quoted below.
//!
//! Exim, qmail, the older Gmail, Yahoo, GMX and mail.ru write them; no standard describes them. A
//! failure is reported only if the text says so: by a permanent status, by the header that
//! Exim and Gmail add for failures, or by one of the sentences that these programs use.

use mail_parser::Message;

use super::delivery_status::is_status;
use super::report::{Action, Original, RecipientReport};
use super::text::{MAX_RECIPIENTS, line_of};
use crate::address::Address;

/// Where the quoted message begins.
const QUOTATION: [&str; 9] = [
    "this is a copy of",
    "below this line is a copy of the message",
    "original message",
    "message header follows",
    "message headers follow",
    "included message",
    "the following is a copy",
    "copy of the original",
    "headers of the original",
];
/// Sentences of servers that will try again.
const DELAY: [&str; 12] = [
    "warning message only",
    "do not need to resend",
    "no action is required",
    "will continue to try",
    "will be retried",
    "will keep trying",
    "still trying",
    "not yet been delivered",
    "has been delayed",
    "message delayed",
    "(delay)",
    "delivery delayed",
];
/// Sentences of servers that have given up.
const FAILURE: [&str; 14] = [
    "this is a permanent error",
    "failed permanently",
    "i've given up",
    "permanent fatal error",
    "permanent failure",
    "could not be delivered",
    "couldn't be delivered",
    "was not delivered",
    "wasn't delivered",
    "undeliverable",
    "delivery failed",
    "delivery failure",
    "delivery has failed",
    "returned to sender",
];

/// Reads a report of an older form.
pub(super) fn read(report: &Message<'_>, original: &mut Original) -> Vec<RecipientReport> {
    let text = report.body_text(0).unwrap_or_default();
    let (words, quoted) = split(&text);
    original.add_quoted(quoted);
    let named = report.header_raw("X-Failed-Recipients");
    let subject = report.subject().unwrap_or_default();
    let action = action(named.is_some(), subject, words);
    let diagnostic = line_of(&diagnostic(words));
    let status = first_status(&diagnostic);
    let addresses = match named {
        Some(list) => list
            .split(',')
            .map(str::trim)
            .filter_map(|it| Address::parse(it).ok())
            .collect(),
        None => addresses(words),
    };
    addresses
        .into_iter()
        .take(MAX_RECIPIENTS)
        .map(|address| RecipientReport {
            address: Some(address),
            action,
            status: status.clone(),
            diagnostic: diagnostic.clone(),
        })
        .collect()
}

/// The server's words, and the quoted message.
fn split(text: &str) -> (&str, &str) {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let lower = line.to_lowercase();
        let is_rule = line.trim_start().starts_with(['-', '=', '_', '*']);
        let begins = is_rule && QUOTATION.iter().any(|it| lower.contains(it));
        if begins || lower.starts_with("return-path:") || lower.starts_with("received:") {
            return text.split_at(start);
        }
        start += line.len();
    }
    // Without a mark, the header's lines may stand anywhere below.
    (text, text)
}

fn action(named: bool, subject: &str, words: &str) -> Action {
    let text = format!("{subject}\n{words}").to_lowercase();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let says = |sentences: &[&str]| sentences.iter().any(|it| text.contains(it));
    if says(&DELAY) {
        return Action::Delayed;
    }
    let permanent = statuses(&text).any(|it| it.starts_with('5'));
    if permanent || says(&FAILURE) || named {
        return Action::Failed;
    }
    match statuses(&text).next() {
        Some(_) => Action::Delayed,
        None => Action::Unclear,
    }
}

/// Addresses at the beginning of a line, which is how a server names whom it could not reach. An
/// address in parentheses is the one that forwarded the message.
fn addresses(words: &str) -> Vec<Address> {
    let mut addresses: Vec<Address> = Vec::new();
    for line in words.lines() {
        // Each is compared with those before it.
        if addresses.len() == MAX_RECIPIENTS {
            break;
        }
        let line = line.trim_start_matches([' ', '\t', '<', '*', '-', '"']);
        let end = line.find([' ', '\t', '>', ':', ';', ',', '"', '(']);
        let word = &line[..end.unwrap_or(line.len())];
        if let Ok(address) = Address::parse(word.trim_end_matches(['.', '>']))
            && addresses
                .iter()
                .all(|it| it.canonical() != address.canonical())
        {
            addresses.push(address);
        }
    }
    addresses
}

/// The lines from the first with a reply code or a status on; without one, what follows the address.
fn diagnostic(words: &str) -> String {
    let lines: Vec<_> = words
        .lines()
        .map(str::trim)
        .filter(|it| !it.is_empty())
        .collect();
    let telling = lines.iter().position(|it| statuses(it).next().is_some());
    let telling = telling.or_else(|| {
        let of_address = |it: &&str| {
            it.trim_start_matches('<')
                .split(['>', ':', ' '])
                .next()
                .is_some_and(|it| Address::parse(it).is_ok())
        };
        lines.iter().position(of_address)
    });
    let start = telling.unwrap_or(0);
    lines[start..]
        .iter()
        .take(4)
        .copied()
        .collect::<Vec<_>>()
        .join(" ")
}

/// The first enhanced status code in a text.
#[must_use]
pub fn first_status(text: &str) -> Option<String> {
    let words = text.split(|it: char| it.is_whitespace() || "<>()[]#,;:".contains(it));
    words
        .map(|it| it.trim_end_matches('.'))
        .find(|it| is_status(it))
        .map(str::to_owned)
}

/// Reply codes (4yz, 5yz) and status codes (4.x.x, 5.x.x).
fn statuses(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|it: char| it.is_whitespace() || "<>()[]#,;:-".contains(it));
    words.map(|it| it.trim_end_matches('.')).filter(|it| {
        let code = it.len() == 3 && it.bytes().all(|it| it.is_ascii_digit());
        let refusal = it.starts_with(['4', '5']);
        refusal && (is_status(it) || code)
    })
}

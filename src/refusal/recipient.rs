//! Direct evidence that a recipient's mailbox is unknown, disabled or full.
//!
//! To reject a partner by mistake costs an invitation; to retry a dead address costs a few days. So
//! words that could also be about the sender decide against the evidence.

use super::text::find;
use super::words::{self, LANGUAGES, NOT_THE_RECIPIENT};
use crate::outcome::{Phase, Reply};

/// X.1.1 and X.1.10 name a bad mailbox, X.1.3 bad syntax, X.1.6 a mailbox that has moved, X.2.1 a disabled one
/// (RFC 3463, RFC 7505).
const CODES: [&str; 5] = ["1.1", "1.3", "1.6", "1.10", "2.1"];
/// A full mailbox, which the relay knows before it has the message. Behind that the code
/// is also used for a full mailbox of the sender.
const FULL: &str = "2.2";

/// Whether the refusal is direct evidence about the recipient, whose address was cut from `text`.
pub fn is_evident(phase: Phase, reply: &Reply, text: &str) -> bool {
    // `<address>: Recipient address rejected: REASON` (Postfix) stands for every cause there is.
    let reason = match text.split_once("recipient address rejected:") {
        Some((_, reason)) => reason,
        None => text,
    };
    if NOT_THE_RECIPIENT
        .iter()
        .any(|it| find(reason, it).is_some())
    {
        return false;
    }
    let at_rcpt = phase == Phase::Rcpt;
    let code = reply
        .enhanced
        .as_deref()
        .or_else(|| code_in(text))
        .and_then(|it| it.strip_prefix("5."));
    if code.is_some_and(|it| CODES.contains(&it) || (at_rcpt && it == FULL)) {
        return true;
    }
    LANGUAGES.iter().any(|language| {
        let full: &[words::Phrase] = if at_rcpt { language.full } else { &[] };
        let phrases = language.unknown.iter().chain(language.disabled).chain(full);
        phrases
            .copied()
            .any(|phrase| phrase.iter().all(|it| find(reason, it).is_some()))
    })
}

/// The code in qmail's form: `sorry, no mailbox here by that name. (#5.1.1)`.
fn code_in(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("(#")?;
    rest.split_once(')').map(|it| it.0)
}

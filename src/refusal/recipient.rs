//! Direct evidence that a recipient's mailbox is unknown, disabled or full.
//!
//! A partner who is rejected by mistake loses an invitation; an invalid address that is retried costs a
//! few days. So words that could also be about the sender decide against the evidence.

use super::text::{find, matches};
use super::words::{DISABLED, FULL, NOT_THE_RECIPIENT, UNKNOWN};
use crate::outcome::{Phase, Reply};

/// X.1.1 and X.1.10 are for a bad mailbox, X.1.3 for bad syntax, X.1.6 for a mailbox that has moved, X.2.1
/// for a disabled one (RFC 3463, RFC 7505).
const CODES: [&str; 5] = ["1.1", "1.3", "1.6", "1.10", "2.1"];
/// A full mailbox, at RCPT. After the body, relays also use it for a full mailbox of the sender.
const FULL_CODE: &str = "2.2";

/// Whether the refusal is direct evidence about the recipient, whose address was removed from `text`.
pub fn is_evident(phase: Phase, reply: &Reply, text: &str) -> bool {
    // Postfix writes `<address>: Recipient address rejected: REASON` for every cause.
    let reason = match text.split_once("recipient address rejected:") {
        Some((_, reason)) => reason,
        None => text,
    };
    let says = |phrases: &str| matches(phrases, |it| find(reason, it).is_some());
    if says(NOT_THE_RECIPIENT) {
        return false;
    }
    let at_rcpt = phase == Phase::Rcpt;
    let code = reply
        .enhanced
        .as_deref()
        .or_else(|| qmail_code(text))
        .and_then(|it| it.strip_prefix("5."));
    code.is_some_and(|it| CODES.contains(&it) || (at_rcpt && it == FULL_CODE))
        || UNKNOWN.into_iter().chain(DISABLED).any(says)
        || (at_rcpt && FULL.into_iter().any(says))
}

/// The code in qmail's form: `sorry, no mailbox here by that name. (#5.1.1)`.
fn qmail_code(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("(#")?;
    rest.split_once(')').map(|it| it.0)
}

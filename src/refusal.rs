//! Refusals that are not about the recipient: what the relay says about us, and when it
//! asks us to slow down.
//!
//! A relay answers RCPT or the dot with 550 for a dead address, but also for an account
//! that was locked, a quota that is used up, or a sender that may not send. To mark the
//! recipient for that would lose ten thousand partners in one night. So these are known by
//! code and text, as the large relays write them, and each has its cure. A refusal that
//! is not known here is the recipient's, until three in a row say otherwise (see
//! the delivery's breaker).

use crate::outcome::Reply;

/// How a refusal is recognised, and what its reader can do about it.
struct Known {
    /// The beginning of the enhanced status code; empty means any.
    enhanced: &'static str,
    /// Words in the text, in lower case, all of which must be there.
    words: &'static [&'static str],
    cure: &'static str,
}

/// An entry for a refusal with this enhanced code, whatever its text.
const fn by_code(enhanced: &'static str, cure: &'static str) -> Known {
    Known {
        enhanced,
        words: &[],
        cure,
    }
}

/// An entry for a refusal with these words, whatever its code.
const fn by_words(words: &'static [&'static str], cure: &'static str) -> Known {
    Known {
        enhanced: "",
        words,
        cure,
    }
}

const LOGIN: &str = "the relay wants a login, or another one: set `username` and its proof under `[smtp]`, and let the mailbox use SMTP AUTH";
const OAUTH: &str = "this tenant takes no password any more: use `token_command`, which prints an access token for SMTP.SendAsApp";
const SENDER: &str = "the relay does not let this login send as `sender.from`: let the mailbox send as that address, or set `sender.from` to the mailbox's own";
const QUOTA: &str = "the relay's quota for today is used up: the rest goes with a later run; `limits.per_day` keeps below it";
const MAILBOX: &str =
    "the sending mailbox is full, perhaps of sent items: empty it, or set a retention policy";
const BLOCKED: &str = "the relay's operator has blocked this sender, tenant or address: ask the administrator to lift it before sending more";
const DOMAIN: &str = "the sender's domain is not authenticated as the receiver demands: see to SPF, DKIM and DMARC of `sender.from`'s domain";
const IDENTITY: &str = "the sender is not verified with the relay: verify `sender.from`, or its domain, there, and leave the sandbox of the relay if it has one";

/// The refusals that the large relays give to a sender, the more special ones first.
/// Sources: Microsoft Learn, "SMTP submission improvements" and "Email non-delivery reports in
/// Exchange Online"; Google Workspace Admin Help 3726730; Amazon SES Developer Guide,
/// "Troubleshooting" and "Quota errors"; Postfix smtpd(8).
const ABOUT_US: [Known; 26] = [
    by_code("5.7.30", OAUTH),
    by_code("5.7.139", LOGIN),
    by_code("5.7.57", LOGIN),
    by_code("5.7.60", SENDER),
    by_code("5.7.233", QUOTA),
    by_code("5.2.252", SENDER),
    by_code("5.7.515", DOMAIN),
    by_code("5.7.26", DOMAIN),
    by_code("5.7.27", DOMAIN),
    by_code("5.7.32", DOMAIN),
    by_code("5.7.700", BLOCKED),
    by_code("5.7.701", BLOCKED),
    by_code("5.7.702", BLOCKED),
    by_code("5.7.704", BLOCKED),
    by_code("5.7.705", BLOCKED),
    by_code("5.7.706", BLOCKED),
    by_code("5.7.707", BLOCKED),
    by_code("5.7.708", BLOCKED),
    by_code("5.7.709", BLOCKED),
    by_words(&["sendasdenied"], SENDER),
    by_words(&["submissionquotaexceeded"], QUOTA),
    by_words(&["storedrv.submission", "quotaexceeded"], MAILBOX),
    by_words(&["bad outbound sender"], BLOCKED),
    by_words(&["daily", "limit exceeded"], QUOTA),
    by_words(&["email address is not verified"], IDENTITY),
    by_words(&["not authorized to perform", "ses:"], IDENTITY),
];

/// What to do about a refusal (5yz) that is about us; `None` where it is the recipient's.
///
/// 5.7.703 is not among them, although its neighbours are: it says that this recipient is
/// on the tenant's block list.
#[must_use]
pub fn about_us(reply: &Reply) -> Option<&'static str> {
    if reply.class() != 5 {
        return None;
    }
    // Neither is ever an answer to a recipient.
    if matches!(reply.code, 530 | 535) {
        let retired = reply.enhanced.as_deref() == Some("5.7.30");
        return Some(if retired { OAUTH } else { LOGIN });
    }
    let text = reply.text.to_lowercase();
    let enhanced = reply.enhanced.as_deref().unwrap_or_default();
    ABOUT_US
        .iter()
        .find(|it| {
            (it.enhanced.is_empty() || it.enhanced == enhanced)
                && it.words.iter().all(|word| text.contains(word))
        })
        .map(|it| it.cure)
}

/// Whether the relay asks us, and not this recipient's sender in particular, to slow down.
///
/// Greylisting never does: it wants this one message again, later.
#[must_use]
pub fn is_throttle(reply: &Reply) -> bool {
    const WORDS: [&str; 8] = [
        "throttl",
        "server busy",
        "too many messages",
        "too many connections",
        "concurrent connections limit",
        "sending rate",
        "rate limit",
        "peak smtp relay limit",
    ];
    if reply.class() != 4 {
        return false;
    }
    let text = reply.text.to_lowercase();
    let grey = ["greylist", "graylist", "grey-list", "gray-list"];
    if grey.iter().any(|it| text.contains(it)) {
        return false;
    }
    matches!(reply.code, 432 | 454)
        || reply.enhanced.as_deref() == Some("4.7.500")
        || WORDS.iter().any(|it| text.contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        let (code, text) = text.split_once(' ').unwrap();
        let (enhanced, text) = match text.split_once(' ') {
            Some((first, rest)) if first.split('.').count() == 3 => (Some(first), rest),
            _ => (None, text),
        };
        Reply {
            code: code.parse().unwrap(),
            enhanced: enhanced.map(str::to_owned),
            text: text.to_owned(),
        }
    }

    #[test]
    fn what_large_relays_say_about_us_is_known_with_its_cure() {
        let table = [
            (
                "530 5.7.57 Client not authenticated to send mail. [AM0PR04]",
                LOGIN,
            ),
            (
                "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
                LOGIN,
            ),
            ("535 5.7.3 Authentication unsuccessful", LOGIN),
            (
                "535 5.7.8 Error: authentication failed: authentication failure",
                LOGIN,
            ),
            (
                "550 5.7.30 Basic authentication is not supported for Client Submission.",
                OAUTH,
            ),
            ("535 5.7.30 Basic authentication is not supported", OAUTH),
            (
                "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
                SENDER,
            ),
            (
                "554 5.2.252 SendAsDenied; a@x.example not allowed to send as b@x.example",
                SENDER,
            ),
            (
                "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed",
                SENDER,
            ),
            (
                "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message",
                QUOTA,
            ),
            (
                "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded",
                MAILBOX,
            ),
            (
                "550 5.1.8 Access denied, bad outbound sender AS(42004)",
                BLOCKED,
            ),
            (
                "550 5.7.705 Access denied, tenant has exceeded threshold",
                BLOCKED,
            ),
            (
                "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP",
                BLOCKED,
            ),
            (
                "550 5.7.233 Your message can't be sent because your tenant exceeded its daily limit",
                QUOTA,
            ),
            (
                "550 5.7.515 Access denied, sending domain contoso.example does not meet the required authentication level",
                DOMAIN,
            ),
            (
                "550 5.7.26 Unauthenticated email from contoso.example is not accepted",
                DOMAIN,
            ),
            ("550 5.4.5 Daily SMTP relay limit exceeded for user.", QUOTA),
            (
                "550 5.7.1 Daily SMTP relay limit exceeded for customer.",
                QUOTA,
            ),
            (
                "554 Message rejected: Email address is not verified. The following identities failed the check",
                IDENTITY,
            ),
            (
                "554 Access denied: User `arn` is not authorized to perform `ses:SendRawEmail' on resource",
                IDENTITY,
            ),
        ];

        for (text, cure) in table {
            assert_eq!(about_us(&reply(text)), Some(cure), "{text}");
        }
    }

    #[test]
    fn what_is_said_about_a_recipient_stays_with_the_recipient() {
        for text in [
            "550 5.1.1 <x@y.example>: Recipient address rejected: User unknown in virtual mailbox table",
            "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
            "550 5.7.703 Your message can't be delivered because messages to the recipient are blocked by your organization",
            "552 5.2.2 The email account that you tried to reach is over quota",
            "554 5.7.1 <x@y.example>: Relay access denied",
            "550 5.7.1 message content rejected",
            "552 5.3.4 Message size exceeds fixed limit",
            "450 4.7.1 try later",
            "451 4.7.500 Server busy",
        ] {
            assert_eq!(about_us(&reply(text)), None, "{text}");
        }
    }

    #[test]
    fn a_throttle_is_told_from_greylisting_and_from_a_full_mailbox() {
        for text in [
            "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending",
            "454 Throttling failure: Maximum sending rate exceeded.",
            "454 4.7.0 Throttling failure: Daily message quota exceeded",
            "451 4.7.500 Server busy. Please try again later from [192.0.2.1]",
            "450 4.2.1 Peak SMTP relay limit exceeded for customer.",
            "421 4.7.0 Too many messages in this session",
            "450 4.7.1 Error: too much mail, rate limit 30 exceeded",
        ] {
            assert!(is_throttle(&reply(text)), "{text}");
        }
        for text in [
            "450 4.2.0 <x@y.example>: Recipient address rejected: Greylisted, see http://postgrey.example/",
            "451 4.7.1 Greylisting in action, please come back later; server busy",
            "452 4.2.2 The recipient's mailbox is full",
            "450 4.1.1 unverified address",
            "550 5.7.1 rate limit",
        ] {
            assert!(!is_throttle(&reply(text)), "{text}");
        }
    }
}

//! Permanent refusals that are known to be about the sender, each with its remedy.
//!
//! The text is looked at before the code, because relays use one code for many causes: 530 may
//! ask for a login or for TLS.
//!
//! Sources: Microsoft Learn, "SMTP submission improvements" and "Email non-delivery reports in
//! Exchange Online"; Google Workspace Admin Help 3726730; Amazon SES Developer Guide, "Troubleshooting"
//! and "Quota errors"; Postfix smtpd(8), postconf(5); Exim specification, "Access control lists".

use crate::outcome::Reply;

pub const TLS: &str = "the relay takes mail only over TLS: set `tls = \"starttls\"` under `[smtp]` (or `\"implicit\"` with port 465)";
pub const LOGIN: &str = "the relay wants a login, or another one: set `username` and its proof under `[smtp]`, and let the mailbox use SMTP AUTH";
pub const OAUTH: &str = "this tenant takes no password any more: use `token_command`, which prints an access token for SMTP.SendAsApp";
pub const RELAYING: &str = "the relay does not pass on mail for this machine or login to other organisations: set `username` and its proof under `[smtp]`, or let the relay's operator allow this machine";
pub const SENDER: &str = "the relay does not let this login send as `sender.from`: let the mailbox send as that address, or set `sender.from` to the mailbox's own";
pub const UNKNOWN_SENDER: &str = "the relay does not accept the address in `sender.from`: see whether it is right, the mailbox exists, and its domain has an MX or A record in public DNS";
pub const HELLO: &str = "the relay does not accept this machine's name: set `smtp.hello` to a full host name that resolves to this machine";
pub const CLIENT: &str = "the relay takes no mail from this machine's address: let its operator allow the address, or use the port for submission with a login";
pub const QUOTA: &str = "the relay's quota for today is used up: the rest goes with a later run; `limits.per_day` keeps below it";
pub const MAILBOX: &str =
    "the sending mailbox is full, perhaps of sent items: empty it, or set a retention policy";
pub const BLOCKED: &str = "the relay's operator has blocked this sender, tenant or address: ask the administrator to lift it before sending more";
pub const DOMAIN: &str = "the sender's domain is not authenticated as the receiver demands: see to SPF, DKIM and DMARC of `sender.from`'s domain";
pub const IDENTITY: &str = "the sender is not verified with the relay: verify `sender.from`, or its domain, there, and leave the sandbox of the relay if it has one";

/// Words that must all be in the text, in lower case, and the remedy. The first match wins.
const BY_TEXT: [(&[&str], &str); 66] = [
    (&["must issue a starttls"], TLS),
    (&["starttls", "required"], TLS),
    (&["starttls", "first"], TLS),
    (&["encryption required"], TLS),
    (&["encryption is required"], TLS),
    (&["encryption needed"], TLS),
    (&["tls required"], TLS),
    (&["tls is required"], TLS),
    (&["requires tls"], TLS),
    (&["secure connection is required"], TLS),
    (&["basic authentication is not supported"], OAUTH),
    (&["basic authentication is disabled"], OAUTH),
    (&["sendasdenied"], SENDER),
    (&["submissionquotaexceeded"], QUOTA),
    (&["storedrv.submission", "quotaexceeded"], MAILBOX),
    (&["outboundspamexception"], BLOCKED),
    (&["bad outbound sender"], BLOCKED),
    (&["storedrv.submission"], SENDER),
    (&["permissions to send as"], SENDER),
    (&["not allowed to send as"], SENDER),
    (&["not owned by user"], SENDER),
    (&["not owned by authenticated user"], SENDER),
    (&["sender address must match"], SENDER),
    (&["email address is not verified"], IDENTITY),
    (&["not authorized to perform", "ses:"], IDENTITY),
    (&["verified sender identity"], IDENTITY),
    (&["sender identity", "not verified"], IDENTITY),
    (&["sender verify failed"], UNKNOWN_SENDER),
    (&["sender verification failed"], UNKNOWN_SENDER),
    (&["verification failed for <"], UNKNOWN_SENDER),
    (&["sender address rejected"], UNKNOWN_SENDER),
    (&["sender rejected"], UNKNOWN_SENDER),
    (&["sender denied"], UNKNOWN_SENDER),
    (&["domain of sender address"], UNKNOWN_SENDER),
    (&["relay access denied"], RELAYING),
    (&["relaying denied"], RELAYING),
    (&["relay denied"], RELAYING),
    (&["relay not permitted"], RELAYING),
    (&["relaying not permitted"], RELAYING),
    (&["relaying is not permitted"], RELAYING),
    (&["relaying not allowed"], RELAYING),
    (&["relaying is prohibited"], RELAYING),
    (&["not permitted to relay"], RELAYING),
    (&["not allowed to relay"], RELAYING),
    (&["unable to relay"], RELAYING),
    (&["do not relay"], RELAYING),
    (&["allowed rcpthosts"], RELAYING),
    (&["tenantattribution"], RELAYING),
    (&["not authenticated to send"], LOGIN),
    (&["authentication required"], LOGIN),
    (&["authentication is required"], LOGIN),
    (&["auth required"], LOGIN),
    (&["must authenticate"], LOGIN),
    (&["must be authenticated"], LOGIN),
    (&["please authenticate"], LOGIN),
    (&["smtpclientauthentication is disabled"], LOGIN),
    (&["helo command rejected"], HELLO),
    (&["ehlo command rejected"], HELLO),
    (&["client host rejected"], CLIENT),
    (&["daily", "limit"], QUOTA),
    (&["daily", "quota"], QUOTA),
    (&["sending", "limit"], QUOTA),
    (&["sending", "quota"], QUOTA),
    (&["max emails per hour"], QUOTA),
    (&["data command rejected", "limit"], QUOTA),
    (&["exceeded", "per hour"], QUOTA),
];

/// Enhanced codes and the remedy; an `x` at the end stands for any one digit.
const BY_CODE: [(&str, &str); 18] = [
    ("5.1.7", UNKNOWN_SENDER),
    ("5.1.8", UNKNOWN_SENDER),
    ("5.1.90", QUOTA),
    ("5.2.252", SENDER),
    ("5.7.26", DOMAIN),
    ("5.7.27", DOMAIN),
    ("5.7.30", OAUTH),
    ("5.7.32", DOMAIN),
    ("5.7.57", LOGIN),
    ("5.7.60", SENDER),
    ("5.7.64", RELAYING),
    ("5.7.139", LOGIN),
    ("5.7.232", QUOTA),
    ("5.7.233", QUOTA),
    ("5.7.236", QUOTA),
    ("5.7.23x", BLOCKED),
    ("5.7.515", DOMAIN),
    ("5.7.70x", BLOCKED),
];

/// What to do about a permanent refusal with this text, in lower case; `None` for one that is not
/// known to be about the sender.
pub fn remedy(reply: &Reply, text: &str) -> Option<&'static str> {
    // A group of Exchange that takes mail from colleagues only: its own restriction, not the relay's.
    if text.contains("resolver.rst") {
        return None;
    }
    let by_text = BY_TEXT
        .iter()
        .find(|(words, _)| words.iter().all(|it| text.contains(it)));
    if let Some((_, remedy)) = by_text {
        return Some(remedy);
    }
    let enhanced = reply.enhanced.as_deref().unwrap_or_default();
    // 5.7.703, among codes for a blocked tenant, says that the recipient is on a block list.
    let by_code = BY_CODE
        .iter()
        .find(|(code, _)| covers(code, enhanced) && enhanced != "5.7.703");
    if let Some((_, remedy)) = by_code {
        return Some(remedy);
    }
    // Neither is ever an answer to a recipient.
    matches!(reply.code, 530 | 535).then_some(LOGIN)
}

fn covers(pattern: &str, code: &str) -> bool {
    match pattern.strip_suffix('x') {
        None => pattern == code,
        Some(beginning) => code
            .strip_prefix(beginning)
            .is_some_and(|it| it.len() == 1 && it.bytes().all(|it| it.is_ascii_digit())),
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_code_pattern_covers_exactly_one_more_digit() {
        assert!(covers("5.7.23x", "5.7.230"));
        assert!(covers("5.7.57", "5.7.57"));
        for code in ["5.7.23", "5.7.2345", "5.7.23x", "5.7.23.", "5.7.240"] {
            assert!(!covers("5.7.23x", code), "{code}");
        }
        assert!(!covers("5.7.57", "5.7.571"));
    }
}

//! Permanent refusals that are known to be about the sender, each with its remedy.
//!
//! The text is matched before the code, because relays use one code for many causes: 530 may ask for a
//! login or for TLS.
//!
//! Sources: Microsoft Learn, "SMTP submission improvements" and "Email non-delivery reports in
//! Exchange Online"; Google Workspace Admin Help 3726730; Amazon SES Developer Guide, "Troubleshooting"
//! and "Quota errors"; Twilio, "SMTP Errors and Troubleshooting"; IONOS, "Important change for sending
//! emails with different sender addresses"; Postmark's API errors; texts of Brevo, Mailgun and OVH as
//! their users quote them (2015 to 2026); Postfix smtpd(8), postconf(5); Exim specification, "Access
//! control lists".

use super::text::matches;
use crate::outcome::Reply;

pub const TLS: &str = "the relay requires TLS: set `tls = \"starttls\"` under `[smtp]` (or `\"implicit\"` with port 465)";
pub const LOGIN: &str = "the relay requires a login, or a different one: set `username` and its password or token under `[smtp]`, and allow SMTP AUTH for the mailbox";
pub const OAUTH: &str = "this tenant no longer accepts passwords: use the table `[microsoft]` (docs/microsoft365.md), or `token_command`, which prints an access token for SMTP.SendAsApp";
pub const APP_PASSWORD: &str = "the relay does not accept this account's own password: create an app password for the account and use it as the password, or log in with an access token";
pub const RELAYING: &str = "the relay does not forward mail from this machine or login to other organisations: set `username` and its password or token under `[smtp]`, or ask the relay's operator to allow this machine";
pub const SENDER: &str = "the relay does not let this login send as `sender.from`: allow the mailbox to send as that address, or set `sender.from` to the mailbox's own";
pub const UNKNOWN_SENDER: &str = "the relay does not accept the address in `sender.from`: check the address, that its mailbox exists, and that its domain has an MX or A record in public DNS";
pub const HELLO: &str = "the relay does not accept this machine's name: set `smtp.hello` to a full host name that resolves to this machine";
pub const CLIENT: &str = "the relay accepts no mail from this machine's address: ask its operator to allow the address, or use the submission port with a login";
pub const QUOTA: &str = "the relay's quota is used up: a later run sends the remaining messages; set `limits.per_day` below the quota";
pub const MAILBOX: &str =
    "the sending mailbox is full, perhaps of sent items: empty it, or set a retention policy";
pub const BLOCKED: &str = "the relay's operator has blocked this sender, tenant or address: ask the administrator to lift the block before sending more";
pub const ACCOUNT: &str = "the account at the relay may not send: it is new, paused, or not subscribed; sign in there to see what it needs";
pub const DOMAIN: &str = "the sender's domain is not authenticated as the receiver requires: check SPF, DKIM and DMARC of the domain in `sender.from`";
pub const IDENTITY: &str = "the sender is not verified with the relay: verify `sender.from` or its domain there, and move the relay's account out of the sandbox if it is in one";

/// Phrases in lower case (see [`matches()`]) and the remedy. The first match wins.
const BY_TEXT: [(&str, &str); 16] = [
    (
        "must issue a starttls|starttls+required|starttls+first|encryption required|\
         encryption is required|encryption needed|tls required|tls is required|requires tls|\
         secure connection is required",
        TLS,
    ),
    (
        "basic authentication is not supported|basic authentication is disabled",
        OAUTH,
    ),
    ("sendasdenied", SENDER),
    ("submissionquotaexceeded", QUOTA),
    ("storedrv.submission+quotaexceeded", MAILBOX),
    ("outboundspamexception|bad outbound sender", BLOCKED),
    (
        "storedrv.submission|permissions to send as|not allowed to send as|not owned by user|\
         not owned by authenticated user|sender address must match|sender address is not allowed",
        SENDER,
    ),
    (
        "email address is not verified|mail from domain is not verified|\
         not authorized to perform+ses:|verified sender identity|sender identity+not verified|\
         is not a sender signature|verified sender signature|sender signature not confirmed|\
         sandbox subdomains are for test purposes",
        IDENTITY,
    ),
    (
        "account not subscribed to ses|account is paused|account is pending approval|\
         account is not approved to send",
        ACCOUNT,
    ),
    ("application-specific password required", APP_PASSWORD),
    (
        "sender verify failed|sender verification failed|verification failed for <|\
         sender address rejected|sender rejected|sender denied|domain of sender address",
        UNKNOWN_SENDER,
    ),
    (
        "relay access denied|relaying denied|relay denied|relay not permitted|\
         relaying not permitted|relaying is not permitted|relaying not allowed|\
         relaying is prohibited|not permitted to relay|not allowed to relay|unable to relay|\
         do not relay|allowed rcpthosts|tenantattribution|invalid credentials for relay",
        RELAYING,
    ),
    (
        "not authenticated to send|authentication required|authentication is required|\
         auth required|must authenticate|must be authenticated|please authenticate|\
         unauthenticated senders not allowed|smtpclientauthentication is disabled",
        LOGIN,
    ),
    ("helo command rejected|ehlo command rejected", HELLO),
    ("client host rejected|unauthorized ip address", CLIENT),
    (
        "daily+limit|daily+quota|sending+limit|sending+quota|max emails per hour|too many emails|\
         data command rejected+limit|exceeded+per hour",
        QUOTA,
    ),
];

/// The remedy for a permanent refusal with this text, in lower case; `None` if it is not known to be
/// about the sender.
pub fn remedy(reply: &Reply, text: &str) -> Option<&'static str> {
    // An Exchange group that accepts mail from colleagues only: its restriction, not the relay's.
    if text.contains("resolver.rst") {
        return None;
    }
    BY_TEXT
        .iter()
        .find(|(phrases, _)| matches(phrases, |it| text.contains(it)))
        .map(|(_, remedy)| *remedy)
        .or_else(|| by_code(reply.enhanced.as_deref()?))
        // Neither is ever a reply about a recipient.
        .or_else(|| matches!(reply.code, 530 | 535).then_some(LOGIN))
}

fn by_code(enhanced: &str) -> Option<&'static str> {
    let in_group = |prefix| (enhanced.strip_prefix(prefix)).is_some_and(|it: &str| it.len() == 1);
    Some(match enhanced {
        "5.1.7" | "5.1.8" => UNKNOWN_SENDER,
        "5.1.90" | "5.7.232" | "5.7.233" | "5.7.236" => QUOTA,
        "5.2.252" | "5.7.60" => SENDER,
        "5.7.26" | "5.7.27" | "5.7.32" | "5.7.515" => DOMAIN,
        "5.7.30" => OAUTH,
        "5.7.57" | "5.7.139" => LOGIN,
        "5.7.64" => RELAYING,
        // Among codes for a blocked tenant, this one says that the recipient is on a block list.
        "5.7.703" => return None,
        _ if in_group("5.7.23") || in_group("5.7.70") => BLOCKED,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{BLOCKED, LOGIN, by_code};

    #[test]
    fn a_group_of_codes_has_exactly_one_more_digit() {
        assert_eq!(by_code("5.7.234"), Some(BLOCKED));
        assert_eq!(by_code("5.7.57"), Some(LOGIN));
        for code in ["5.7.23", "5.7.2345", "5.7.240", "5.7.571", "5.7.703"] {
            assert_eq!(by_code(code), None, "{code}");
        }
    }
}

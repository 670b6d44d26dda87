//! What a refusal is about: the recipient, the sender, or neither for certain.
//!
//! A relay replies 550 at RCPT or to the final dot for an unknown user, but also for a blocked account, an
//! exhausted quota or a sender without permission, and no list of such texts is complete. So a permanent
//! refusal rejects a recipient only with direct evidence (the code or the words of an unknown, disabled
//! or full mailbox); every other one is retried like a temporary refusal. Known refusals of the sender
//! end the run at once, with a remedy.
//!
//! All functions are pure.

mod recipient;
mod sender_side;
mod text;
mod words;

use std::net::IpAddr;

use self::text::{find, matches, normalized, without};
use crate::address::Address;
use crate::outcome::{Phase, Reply};

/// What a refusal (4yz or 5yz) at RCPT, DATA, the body or the final dot is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The relay asks to slow down.
    Throttle,
    /// The sender: the run ends, no recipient is marked, and this is the remedy.
    SenderSide(&'static str),
    /// The recipient: there is direct evidence of an unknown, disabled or full mailbox.
    Recipient,
    /// Not known: try again later.
    Undetermined,
}

/// The names by which a relay may refer to the sender. A refusal that contains one of them is no
/// evidence about a recipient.
#[derive(Clone, Debug, Default)]
pub struct SenderIdentity {
    /// In lower case.
    names: Vec<String>,
}

impl SenderIdentity {
    /// The sender's address and domain, the login, the EHLO name if it has a dot, and the local IP
    /// address.
    #[must_use]
    pub fn new(
        sender: &Address,
        login: Option<&str>,
        hello: Option<&str>,
        ip: Option<IpAddr>,
    ) -> Self {
        let written = sender.as_written().rsplit_once('@').map(|it| it.1);
        let hello = hello.filter(|it| it.contains('.') && !it.starts_with('['));
        let names = [Some(sender.domain()), written, login, hello];
        let mut names: Vec<String> = names
            .into_iter()
            .flatten()
            .filter(|it| !it.is_empty())
            .map(str::to_lowercase)
            .collect();
        names.extend([sender.canonical(), sender.as_written().to_lowercase()]);
        names.extend(ip.map(|it| it.to_string()));
        Self { names }
    }

    /// Whether `text`, in lower case, contains one of the names.
    fn is_named_in(&self, text: &str) -> bool {
        self.names.iter().any(|it| find(text, it).is_some())
    }
}

/// Classifies a refusal of a message to `recipient`.
#[must_use]
pub fn classify(
    phase: Phase,
    reply: &Reply,
    sender: &SenderIdentity,
    recipient: &Address,
) -> Refusal {
    let text = without(recipient, &reply.text);
    if throttles(reply, &text) {
        return Refusal::Throttle;
    }
    if reply.class() != 5 {
        return Refusal::Undetermined;
    }
    if let Some(remedy) = sender_side::remedy(reply, &text) {
        return Refusal::SenderSide(remedy);
    }
    if !sender.is_named_in(&text) && recipient::is_evident(phase, reply, &text) {
        return Refusal::Recipient;
    }
    Refusal::Undetermined
}

/// The remedy for a permanent refusal (5yz) that is known to be about the sender, at any phase; `None`
/// for every other reply.
#[must_use]
pub fn sender_side_remedy(reply: &Reply) -> Option<&'static str> {
    if reply.class() != 5 {
        return None;
    }
    sender_side::remedy(reply, &normalized(&reply.text))
}

/// Whether the relay asks to slow down.
///
/// Greylisting does not: it defers only this message. Nor does a mailbox that receives too much mail
/// from everybody.
#[must_use]
pub fn is_throttle(reply: &Reply) -> bool {
    throttles(reply, &normalized(&reply.text))
}

fn throttles(reply: &Reply, text: &str) -> bool {
    const WORDS: &str = "throttling|throttled|server busy|too many messages|too many connections|\
        too many concurrent|too many requests|too many login|too many logins|too many auth|\
        too many authentication|too many emails|too many mails|too much mail|\
        concurrent connections limit|slow down|rate|rate-limit|rate-limited|ratelimit|\
        peak smtp relay limit|send limit exceeded|recipient limit exceeded|\
        maximum credits exceeded|too frequent connects";
    /// About this message or this mailbox only.
    const ONE_RECIPIENT: &str = "greylist|graylist|grey-list|gray-list|grey list|gray list|\
        receiving mail|storedrv.deliver|recipient thread limit";
    if reply.class() != 4 || matches(ONE_RECIPIENT, |it| text.contains(it)) {
        return false;
    }
    matches!(reply.code, 432 | 454)
        || reply.enhanced.as_deref() == Some("4.7.500")
        || matches(WORDS, |it| find(text, it).is_some())
}

#[cfg(test)]
mod tests;

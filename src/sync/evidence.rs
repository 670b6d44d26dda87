//! Whether a bounce is evidence that the mailbox is unknown or disabled.

use crate::address::Address;
use crate::invitation::{AddressPattern, Proof, Suppression, SuppressionSource};
use crate::ledger::Notification;
use crate::outcome::{Phase, Reply};
use crate::refusal::{Refusal, SenderIdentity, classify};

/// Adds to a notification of a bounce with direct evidence that its address is to be suppressed. Causes of the sender,
/// full mailboxes, and everything that is not clear suppress nobody.
pub fn suppress_unknown_mailbox(notification: &mut Notification, sender: &SenderIdentity) {
    if notification.proof != Proof::Failed {
        return;
    }
    let Ok(address) = Address::parse(&notification.identity.address) else {
        return;
    };
    let reply = notification
        .reply
        .clone()
        .unwrap_or_else(|| quoted(&notification.text));
    let is_evident = classify(Phase::Dot, &reply, sender, &address) == Refusal::Recipient;
    notification.suppress = is_evident.then(|| {
        let suppression = Suppression {
            address: Some(address.canonical()),
            at: notification.at,
            source: SuppressionSource::Bounce,
            note: Some(format!("{}: {reply}", notification.origin)),
        };
        (AddressPattern::from(&address), suppression)
    });
}

/// A report without an SMTP reply, as the permanent refusal that it describes: action, status and words.
fn quoted(text: &str) -> Reply {
    let mut words = text.split(' ').skip(1);
    let first = words.next().unwrap_or_default();
    let is_status = first.split('.').count() == 3 && first.starts_with('5');
    let rest = words.collect::<Vec<_>>().join(" ");
    Reply {
        code: 550,
        enhanced: is_status.then(|| first.to_owned()),
        text: if is_status {
            rest
        } else {
            format!("{first} {rest}")
        },
    }
}

//! The message trace of Exchange Online as a source: what failed, and that an `unknown` message was accepted.
//!
//! Each `sync` reads the trace again from the oldest accepted or unknown message on, up to 90 days back, because an
//! entry may appear a day late and its status changes. An entry is recorded once for each status. A message that is
//! not in the trace proves nothing.

use std::collections::HashSet;

use jiff::Timestamp;

use super::collect::{Collected, built};
use super::index::MessageIndex;
use super::matching::reply_of;
use crate::address::Address;
use crate::entra::{
    Graph, GraphError, MessageTrace, MessageTraces, TRACE_REACH, TraceDetail, trace_windows,
};
use crate::inbox::{Action, RecipientReport, first_status, line_of};
use crate::invitation::Proof;
use crate::ledger::{LedgerError, Notification, Reader};

/// How many failures are looked up, a request each. Further ones are recorded without their reasons.
const DETAILS: usize = 50;

/// Why the trace was not read to its end, or a failure of the ledger.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The trace.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Reads the trace of this sender's messages. `read` is called with the number of entries of each page.
///
/// # Errors
/// If the trace or the ledger cannot be read. What was collected until then is kept.
pub async fn read_trace(
    graph: &Graph,
    sender: &Address,
    (collected, index): (&mut Collected, &mut Option<MessageIndex>),
    reader: &Reader,
    now: Timestamp,
    read: &dyn Fn(u64),
) -> Result<(), TraceError> {
    let unsettled = reader.unsettled(now - TRACE_REACH).await?;
    if unsettled.is_empty() {
        return Ok(());
    }
    let unknown = unsettled.iter().filter(|it| it.is_unknown);
    let unknown: HashSet<i64> = unknown.map(|it| it.invitation).collect();
    let sent: Vec<Timestamp> = unsettled.iter().map(|it| it.at).collect();
    let index = built(index, reader).await?;
    let mut traces = MessageTraces::new(graph);
    let mut details = DETAILS;
    for window in trace_windows(&sent, now) {
        let mut pages = traces.pages(sender, &window);
        while let Some(page) = traces.next(&mut pages).await? {
            collected.traces += page.len() as u64;
            read(page.len() as u64);
            for trace in &page {
                let Some(mut found) = matched(trace, index, &unknown, reader, now).await? else {
                    continue;
                };
                let is_known = reader.is_reported(found.invitation, &found.origin).await?;
                if trace.is_failed() && !is_known && details > 0 {
                    details -= 1;
                    // Without details, the failure is recorded without its reason.
                    if let Ok(events) = traces.details(trace).await {
                        found = with_reason(found, trace, &events);
                    }
                }
                collected.add_notifications(vec![found], reader).await?;
            }
        }
    }
    Ok(())
}

/// What an entry says, if it is about the recipient of one of our messages, and can change its state.
async fn matched(
    trace: &MessageTrace,
    index: &MessageIndex,
    unknown: &HashSet<i64>,
    reader: &Reader,
    at: Timestamp,
) -> Result<Option<Notification>, LedgerError> {
    if !trace.is_failed() && unknown.is_empty() {
        return Ok(None);
    }
    let id = trace.message_id.trim().trim_matches(['<', '>']);
    let Some(message) = index.find(id, reader).await? else {
        return Ok(None);
    };
    let invitation = &message.invitation;
    let is_recipient = Address::parse(trace.recipient_address.trim())
        .is_ok_and(|it| it.canonical() == invitation.identity.address);
    if !is_recipient || !(trace.is_failed() || unknown.contains(&invitation.id)) {
        return Ok(None);
    }
    let status = match line_of(&trace.status) {
        status if status.is_empty() => "without a status".to_owned(),
        status => status,
    };
    // The status belongs to the origin: a later one of the same message is recorded, too.
    let received = line_of(&trace.received_date_time);
    let (proof, text) = if trace.is_failed() {
        (
            Proof::Failed,
            "Exchange Online could not deliver the message",
        )
    } else {
        (Proof::Accepted, "Exchange Online had accepted the message")
    };
    Ok(Some(Notification {
        invitation: invitation.id,
        identity: invitation.identity.clone(),
        message_id: message.message_id,
        about_recipient: true,
        proof,
        reply: None,
        origin: format!("message trace of {received}, {status}"),
        text: text.to_owned(),
        at,
        suppress: None,
    }))
}

/// Adds the last server's reply, or what Exchange says in its place.
fn with_reason(found: Notification, trace: &MessageTrace, events: &[TraceDetail]) -> Notification {
    let Some(reason) = reason(events) else {
        return found;
    };
    let recipient = RecipientReport {
        address: Address::parse(trace.recipient_address.trim()).ok(),
        action: Action::Failed,
        status: first_status(&reason),
        diagnostic: reason,
    };
    match reply_of(&recipient) {
        None => Notification {
            text: format!("{}: {}", found.text, recipient.diagnostic),
            ..found
        },
        reply => Notification { reply, ..found },
    }
}

/// The words of the last failure: `550 5.1.10 RESOLVER…` in `Reason: [{LED=550 5.1.10 RESOLVER…};{MSG=};…]`.
fn reason(events: &[TraceDetail]) -> Option<String> {
    let failed = |it: &&TraceDetail| it.event.to_ascii_lowercase().contains("fail");
    let event = events.iter().rev().find(failed)?;
    let words = match event.description.split_once("{LED=") {
        Some((_, reply)) => reply.split('}').next().unwrap_or_default(),
        None => &event.description,
    };
    let words = line_of(words);
    (!words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event: &str, description: &str) -> TraceDetail {
        TraceDetail {
            event: event.to_owned(),
            description: description.to_owned(),
        }
    }

    #[test]
    fn the_reason_is_the_last_servers_reply_or_the_words_of_exchange() {
        let receive = event("Receive", "Message received by: X.prod.outlook.com");
        let led = "Reason: [{LED=550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found};{MSG=};{FQDN=};{IP=};{LRT=}]";
        for (events, expected) in [
            (vec![], None),
            (vec![receive.clone()], None),
            (
                vec![receive.clone(), event("Fail", led)],
                Some("550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found"),
            ),
            (
                vec![
                    event("Fail", "old"),
                    event("FAIL", "The mailbox\u{1b}[31m is full.\n"),
                ],
                Some("The mailbox[31m is full."),
            ),
            (vec![event("Fail", " ")], None),
            (vec![event("Fail", "{LED=")], None),
        ] {
            assert_eq!(reason(&events).as_deref(), expected, "{events:?}");
        }
    }
}

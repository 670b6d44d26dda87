//! Whether the application may read what `sync` reads from Exchange Online.

use jiff::Timestamp;

use super::graph::Graph;
use super::mailbox::check_mailbox;
use super::message_trace::check_message_trace;
use super::wording::Findings;
use crate::address::Address;
use crate::finding::Finding;

/// Reads one mail of the mailbox and one entry of the sender's message trace, each if it is configured.
pub async fn source_findings(
    graph: &Graph,
    mailbox: Option<&Address>,
    traced: Option<&Address>,
    now: Timestamp,
) -> Vec<Finding> {
    let mut all = Vec::new();
    if let Some(mailbox) = mailbox {
        let mut findings = Findings::at("bounces.graph_mailbox");
        match check_mailbox(graph, mailbox).await {
            Ok(()) => findings.ok(format!("the application can read the inbox of {mailbox}")),
            Err(error) => findings.not_checked("the mailbox that `sync` reads", &error),
        }
        all.extend(findings.list);
    }
    if let Some(sender) = traced {
        let mut findings = Findings::at("entra.message_trace");
        match check_message_trace(graph, sender, now).await {
            Ok(()) => findings.ok(format!(
                "the application can read the message trace of {sender}"
            )),
            Err(error) => findings.not_checked("the message trace that `sync` reads", &error),
        }
        all.extend(findings.list);
    }
    all
}

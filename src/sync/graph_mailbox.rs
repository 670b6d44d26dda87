//! A mailbox in Exchange Online, through Microsoft Graph, as a source of reports. It is only read.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::mailbox::MARGIN;
use crate::address::Address;
use crate::entra::{Graph, GraphError, list_mails, read_each, read_mail};
use crate::inbox::{MAIL_LIMIT, Mail};

/// How many mails are read at once, which is how many requests for one mailbox Exchange serves at the same time.
const BATCH: usize = 4;
/// Reports come within days. Older mail is not read again by each `sync`.
const REACH: SignedDuration = SignedDuration::from_hours(90 * 24);
/// After this many mails in a row that cannot be read, the rest is not tried.
const PATIENCE: usize = 2 * BATCH;

/// A mailbox whose mails are listed.
pub struct GraphMailbox {
    graph: Arc<Graph>,
    address: Address,
    /// The ids of the mails that are still to be read, the newest first.
    ids: VecDeque<String>,
    /// Why some mails are left out of the list.
    more: Option<GraphError>,
    /// How many mails in a row could not be read.
    failed: usize,
}

impl GraphMailbox {
    /// Lists the mails that can be about our messages, of which the first was sent at `first_sent`.
    ///
    /// # Errors
    /// If the mailbox cannot be read.
    pub async fn open(
        graph: Arc<Graph>,
        address: &Address,
        first_sent: Timestamp,
        now: Timestamp,
    ) -> Result<Self, GraphError> {
        let since = (first_sent - MARGIN).max(now - REACH);
        let listed = list_mails(&graph, address, since).await?;
        Ok(Self {
            graph,
            address: address.clone(),
            ids: listed.ids.into(),
            more: listed.more,
            failed: 0,
        })
    }

    /// The next mails, and why some of them cannot be read; `None` at the end.
    pub async fn next(&mut self) -> Option<Vec<Result<Mail, GraphError>>> {
        let number = self.ids.len().min(BATCH);
        if number == 0 {
            return self.more.take().map(|it| vec![Err(it)]);
        }
        let ids: Vec<String> = self.ids.drain(..number).collect();
        let read = |id: String| {
            let (graph, address) = (self.graph.clone(), self.address.clone());
            async move { read_mail(&graph, &address, &id, MAIL_LIMIT).await }
        };
        // One mail that cannot be read says nothing about the others.
        let results = read_each(ids, read, |_| false, &mut || {}).await;
        let mut mails = Vec::new();
        for result in results {
            match result {
                Ok(mail) => {
                    self.failed = 0;
                    // A mail that was deleted meanwhile is left out.
                    mails.extend(mail.map(|bytes| Ok(self.mail(bytes))));
                }
                Err(error) => {
                    self.failed += 1;
                    mails.push(Err(error));
                }
            }
        }
        if self.failed >= PATIENCE {
            self.ids.clear();
        }
        Some(mails)
    }

    fn mail(&self, bytes: Vec<u8>) -> Mail {
        let origin = graph_mailbox_name(&self.address);
        Mail { origin, bytes }
    }
}

/// What the mailbox is called in messages.
#[must_use]
pub fn graph_mailbox_name(address: &Address) -> String {
    format!("the mailbox {address}")
}

//! Reads a source and collects what it says about our messages.

use std::collections::HashSet;
use std::hash::BuildHasher;

use jiff::Timestamp;

use super::index::MessageIndex;
use super::matching::{matched, unsubscribed};
use crate::inbox::{Inbound, Mail, read};
use crate::ledger::{LedgerError, Notification, Reader};

/// What was read, and what of it is not recorded yet.
#[derive(Debug, Default)]
pub struct Collected {
    /// What is new about our messages.
    pub notifications: Vec<Notification>,
    /// Hashes of the invitations and origins of these, because the same report may be read twice.
    seen: HashSet<u64>,
    /// How many mails were read.
    pub mails: u64,
    /// How many entries of the message trace were read.
    pub traces: u64,
    /// How many of these were reports about our messages.
    pub reports: u64,
    /// How many of those were recorded before.
    pub known: u64,
    /// How many were reports about messages that this ledger has not sent.
    pub foreign: u64,
    /// How many were automatic replies.
    pub automatic_replies: u64,
}

impl Collected {
    /// Reads one mail; gives whether it is a report about one of our messages. The index is built for the first
    /// report.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn add(
        &mut self,
        mail: &Mail,
        index: &mut Option<MessageIndex>,
        reader: &Reader,
        at: Timestamp,
    ) -> Result<bool, LedgerError> {
        self.mails += 1;
        let notifications = match read(&mail.bytes) {
            Inbound::Report(report) => {
                let index = built(index, reader).await?;
                let found = matched(&report, index, reader, at).await?;
                self.foreign += u64::from(found.is_empty());
                found
            }
            Inbound::Unsubscribe { id, mail } => {
                let index = built(index, reader).await?;
                let found = unsubscribed(&id, &mail, index, reader, at).await?;
                found.into_iter().collect()
            }
            Inbound::AutomaticReply => {
                self.automatic_replies += 1;
                return Ok(false);
            }
            Inbound::Other => return Ok(false),
        };
        if notifications.is_empty() {
            return Ok(false);
        }
        self.add_notifications(notifications, reader).await?;
        Ok(true)
    }

    /// Keeps what a report says and is not recorded yet.
    pub(super) async fn add_notifications(
        &mut self,
        notifications: Vec<Notification>,
        reader: &Reader,
    ) -> Result<(), LedgerError> {
        self.reports += 1;
        let mut new = 0;
        for notification in notifications {
            let Notification {
                invitation, origin, ..
            } = &notification;
            let is_new = !reader.is_reported(*invitation, origin).await?;
            let hash = self.seen.hasher().hash_one((invitation, origin));
            if is_new && self.seen.insert(hash) {
                self.notifications.push(notification);
                new += 1;
            }
        }
        self.known += u64::from(new == 0);
        Ok(())
    }
}

/// The index, which is built when it is needed first.
pub(super) async fn built<'i>(
    index: &'i mut Option<MessageIndex>,
    reader: &Reader,
) -> Result<&'i MessageIndex, LedgerError> {
    Ok(match index {
        Some(index) => index,
        None => index.insert(MessageIndex::build(reader).await?),
    })
}

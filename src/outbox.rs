//! From a planned send to the message that is sent.
//!
//! Verification keeps where the row of each due message is and a fingerprint of the message, not the
//! message itself, so memory stays flat. Here the row is read and the message composed again; one whose
//! fingerprint differs is never sent.

use std::sync::Arc;

use jiff::Timestamp;

use crate::address::Address;
use crate::exit::{self, CommandError, Exit};
use crate::invitation::{Identity, Standing};
use crate::ledger::Ledger;
use crate::message::{Composer, Message};
use crate::partners::{Partner, Partners, RowReader};

/// A message that was verified and is due. The fingerprint covers the Message-ID and with it the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedSend {
    /// The line of the row.
    pub line: u64,
    /// The offset of the row in the copy of the list.
    pub offset: u64,
    /// The [`Message::fingerprint`] of the verified message.
    pub fingerprint: u64,
}

/// A message that is ready to be sent.
#[derive(Debug)]
pub struct Prepared {
    /// Which invitation it is.
    pub identity: Identity,
    /// The envelope's recipient.
    pub recipient: Address,
    /// The verified message, with the Date of this attempt.
    pub message: Message,
    /// Where the invitation stands.
    pub standing: Standing,
}

/// Prepares the messages of planned sends. All of them must be enrolled.
pub struct Outbox {
    rows: RowReader,
    campaign: String,
    composer: Arc<Composer>,
    ledger: Arc<Ledger>,
}

/// A planned send with all that its message is composed from.
pub struct Draft {
    partner: Partner,
    identity: Identity,
    standing: Standing,
    fingerprint: u64,
    composer: Arc<Composer>,
}

impl Outbox {
    /// Prepares messages for rows of `partners`.
    #[must_use]
    pub fn new(
        partners: &Arc<Partners>,
        campaign: &str,
        composer: &Arc<Composer>,
        ledger: &Arc<Ledger>,
    ) -> Self {
        Self {
            rows: RowReader::new(partners),
            campaign: campaign.to_owned(),
            composer: composer.clone(),
            ledger: ledger.clone(),
        }
    }

    /// Reads the rows and records of a few planned sends. Composing is left to [`Draft::compose`], which
    /// other threads can call.
    ///
    /// # Errors
    /// When list or ledger cannot be read (74), or do not have what was verified (70).
    pub async fn read(&mut self, sends: &[PlannedSend]) -> exit::Result<Vec<Draft>> {
        let partners = sends
            .iter()
            .map(|it| self.rows.partner_at(it.line, it.offset));
        let partners = partners.collect::<Result<Vec<_>, _>>()?;
        let identities: Vec<_> = partners
            .iter()
            .map(|it| it.identity(&self.campaign))
            .collect();
        let standings = self.ledger.reader().standings(identities.clone()).await;
        let standings = standings
            .map_err(|failure| CommandError::new(Exit::CannotWrite, failure.to_string()))?;
        let mut drafts = Vec::with_capacity(sends.len());
        let found = partners.into_iter().zip(identities).zip(standings);
        for (send, ((partner, identity), standing)) in sends.iter().zip(found) {
            let Some(standing) = standing else {
                let Partner { line, address, .. } = partner;
                let message =
                    format!("line {line}: {address} is not recorded; nothing more is sent");
                return Err(CommandError::new(Exit::InternalError, message));
            };
            drafts.push(Draft {
                partner,
                identity,
                standing,
                fingerprint: send.fingerprint,
                composer: self.composer.clone(),
            });
        }
        Ok(drafts)
    }
}

impl Draft {
    /// Composes the message at `now`.
    ///
    /// # Errors
    /// When it is not the message that was verified (70).
    pub fn compose(self, now: Timestamp) -> exit::Result<Prepared> {
        let Self {
            partner,
            identity,
            standing,
            fingerprint,
            composer,
        } = self;
        let date = standing.date(now);
        let message = composer.compose_verified(&partner, &standing.message_id, date, fingerprint);
        let message = message.map_err(|why| {
            let Partner { line, address, .. } = &partner;
            let message = format!("line {line}: the message to {address} {why:#}");
            CommandError::new(Exit::InternalError, message)
        })?;
        Ok(Prepared {
            recipient: composer.recipient(&partner).clone(),
            identity,
            message,
            standing,
        })
    }
}

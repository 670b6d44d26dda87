//! From a planned send to the message that is sent.
//!
//! Verification keeps the place of each row and a fingerprint of its message, not the message, so that
//! memory use does not depend on the messages' size. The outbox enrols new invitations, then reads each row
//! and composes its message again. A message whose fingerprint differs is never sent.

use std::sync::Arc;

use jiff::Timestamp;

use crate::address::Address;
use crate::invitation::{Identity, Invited, Occasion, Record, Standing, invite_id};
use crate::ledger::{Enrolment, Ledger, LedgerError};
use crate::message::{Composer, Message};
use crate::partners::{ListError, Partner, Partners, RowReader};

/// Why planned sends cannot be enrolled or become messages.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The list cannot be read, or a row is not as it was verified.
    #[error(transparent)]
    List(#[from] ListError),
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The list, the ledger or the message is not as it was verified.
    #[error("{0}")]
    NotVerified(String),
}

/// A due message that was verified. The fingerprint covers the Message-ID and with it the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedSend {
    /// The line of the row.
    pub line: u64,
    /// The offset of the row in the copy of the list.
    pub offset: u64,
    /// The [`Message::fingerprint`] of the verified message.
    pub fingerprint: u64,
    /// Whether it is the invitation or a reminder.
    pub occasion: Occasion,
    /// Whether the ledger recorded it before this run.
    pub recorded: bool,
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
    /// By which delivery reports name the message (ENVID).
    pub envelope_id: String,
    /// What the ledger records about the invitation.
    pub standing: Standing,
}

/// Enrols the invitations of planned sends, and prepares their messages.
pub struct Outbox {
    partners: Arc<Partners>,
    rows: RowReader,
    campaign: String,
    composer: Arc<Composer>,
    ledger: Arc<Ledger>,
    /// What was read and another run has claimed or sent.
    pub elsewhere: Vec<PlannedSend>,
}

/// A planned send with everything that its message is composed from.
pub struct Draft {
    partner: Partner,
    identity: Identity,
    standing: Standing,
    /// Of a reminder: the invitation.
    reminds_of: Option<Invited>,
    fingerprint: u64,
    composer: Arc<Composer>,
}

impl Outbox {
    /// An outbox for rows of `partners`.
    #[must_use]
    pub fn new(
        partners: &Arc<Partners>,
        campaign: &str,
        composer: &Arc<Composer>,
        ledger: &Arc<Ledger>,
    ) -> Self {
        Self {
            partners: partners.clone(),
            rows: RowReader::new(partners),
            campaign: campaign.to_owned(),
            composer: composer.clone(),
            ledger: ledger.clone(),
            elsewhere: Vec::new(),
        }
    }

    /// Records the invitations that are new as `pending`, in one transaction.
    ///
    /// # Errors
    /// If the list cannot be read, or the ledger has no room for the invitations or the results.
    pub async fn enrol(&self, sends: &[PlannedSend], now: Timestamp) -> Result<(), OutboxError> {
        let new = sends.iter().copied().filter(|it| !it.recorded);
        let new: Vec<PlannedSend> = new.collect();
        let mut outbox = Self::new(&self.partners, &self.campaign, &self.composer, &self.ledger);
        let invitations = new.into_iter().map(move |send| {
            let partner = outbox.rows.partner_at(send.line, send.offset)?;
            Ok(outbox.enrolment(&partner, send.occasion))
        });
        let enrolled = self
            .ledger
            .enrol(sends.len() as u64, &self.campaign, invitations, now);
        enrolled.await
    }

    /// Records these partners without sending anything: those of suppressed addresses as `suppressed`.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub async fn enrol_unsent(
        &self,
        partners: &[Partner],
        now: Timestamp,
    ) -> Result<(), OutboxError> {
        let enrolment = |it| Ok(self.enrolment(it, Occasion::Invitation));
        let new: Vec<_> = partners.iter().map(enrolment).collect();
        let enrolled = self.ledger.enrol(0, &self.campaign, new.into_iter(), now);
        enrolled.await
    }

    fn enrolment(&self, partner: &Partner, occasion: Occasion) -> Enrolment {
        let identity = partner.identity(&self.campaign).on(occasion);
        Enrolment {
            message_id: self.new_message_id(&identity),
            invitee: self.composer.invitee(partner),
            identity,
        }
    }

    /// Reads the rows and standings of a few planned sends. [`Draft::compose`] is left to the workers, so
    /// that all cores compose.
    ///
    /// From a ledger that other runs use as well, only those are read that this run could claim.
    ///
    /// # Errors
    /// If the list or the ledger cannot be read, or lacks what was verified.
    pub async fn read(&mut self, sends: &[PlannedSend]) -> Result<Vec<Draft>, OutboxError> {
        let mut rows = Vec::with_capacity(sends.len());
        for send in sends {
            let partner = self.rows.partner_at(send.line, send.offset)?;
            let identity = partner.identity(&self.campaign).on(send.occasion);
            rows.push((send, partner, identity));
        }
        let reminders = rows.iter().filter(|it| it.0.occasion.is_reminder());
        let reminders: Vec<_> = reminders.map(|it| it.2.on(Occasion::Invitation)).collect();
        let mut invitations = Vec::new();
        if !reminders.is_empty() {
            invitations = self.ledger.reader().records(reminders).await?;
        }
        let mut invitations = invitations.into_iter();
        let all: Vec<_> = rows.iter().map(|it| it.2.clone()).collect();
        let claimed = self.ledger.claim(&all).await?;
        let is_shared = claimed.is_some();
        let standings = match claimed {
            Some(claimed) => claimed,
            None => self.standings(&rows).await?,
        };
        let mut drafts = Vec::with_capacity(sends.len());
        for ((send, partner, identity), standing) in rows.into_iter().zip(standings) {
            let not_recorded = || {
                let Partner { line, address, .. } = &partner;
                OutboxError::NotVerified(format!(
                    "line {line}: {address} is not recorded in the ledger; nothing more is sent"
                ))
            };
            if is_shared && standing.is_none() {
                self.elsewhere.push(*send);
                if send.occasion.is_reminder() {
                    invitations.next();
                }
                continue;
            }
            let reminds_of = match send.occasion {
                Occasion::Invitation => None,
                Occasion::Reminder(_) => {
                    let invitation = invitations.next().flatten();
                    let invitation = invitation.as_ref().map(Record::invited);
                    Some(invitation.ok_or_else(not_recorded)?)
                }
            };
            let standing = standing.ok_or_else(not_recorded)?;
            drafts.push(Draft {
                partner,
                identity,
                standing,
                reminds_of,
                fingerprint: send.fingerprint,
                composer: self.composer.clone(),
            });
        }
        Ok(drafts)
    }

    /// What the ledger records about these rows. A new invitation has the standing that [`Outbox::enrol`] gave it, so
    /// the ledger is not asked for it.
    async fn standings(
        &self,
        rows: &[(&PlannedSend, Partner, Identity)],
    ) -> Result<Vec<Option<Standing>>, OutboxError> {
        let recorded = rows.iter().filter(|it| it.0.recorded);
        let recorded: Vec<_> = recorded.map(|it| it.2.clone()).collect();
        let mut standings = Vec::new();
        if !recorded.is_empty() {
            standings = self.ledger.reader().standings(recorded).await?;
        }
        let mut standings = standings.into_iter();
        let standing = |(send, _, identity): &(&PlannedSend, Partner, Identity)| {
            if send.recorded {
                return standings.next().flatten();
            }
            Some(Standing {
                message_id: self.new_message_id(identity),
                ..Standing::default()
            })
        };
        Ok(rows.iter().map(standing).collect())
    }

    fn new_message_id(&self, identity: &Identity) -> String {
        identity.message_id(&self.ledger.reader().key, 0, self.composer.sender_domain())
    }
}

impl Draft {
    /// Composes the message at `now`.
    ///
    /// # Errors
    /// If it is not the message that was verified.
    pub fn compose(self, now: Timestamp) -> Result<Prepared, OutboxError> {
        let (id, date) = (&self.standing.message_id, self.standing.date(now));
        let message = self
            .composer
            .draft(&self.partner, id, self.reminds_of.as_ref())
            .compose_verified(date, self.fingerprint)
            .map_err(|why| {
                let Partner { line, address, .. } = &self.partner;
                OutboxError::NotVerified(format!("line {line}: the message to {address} {why}"))
            })?;
        Ok(Prepared {
            recipient: self.composer.recipient(&self.partner).clone(),
            identity: self.identity,
            message,
            envelope_id: invite_id(&self.standing.message_id),
            standing: self.standing,
        })
    }
}

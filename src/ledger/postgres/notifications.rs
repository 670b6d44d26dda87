//! Reports about invitations: what they change, and what they add to the history.

use super::connection::Session;
use super::errors::{ApplyError, Failure, ensure_one_row};
use super::reader::Reader;
use super::rows;
use super::transaction::Transaction;
use super::writer::{Lock, Writer};
use crate::invitation::{Cause, Effect, State};
use crate::ledger::columns::Columns;
use crate::ledger::error::Result;
use crate::ledger::records::{Notification, Notified, note_begin};
use crate::outcome::Phase;

impl Writer {
    /// Records reports, all or none.
    pub async fn notify(&mut self, notifications: &[Notification]) -> Result<Vec<Notified>> {
        let lock = if notifications.iter().any(|it| it.suppress.is_some()) {
            Lock::Exclusive
        } else {
            Lock::Shared
        };
        // In this order, so that two runs that read the same mailbox wait for each other.
        let ids: Vec<i64> = notifications.iter().map(|it| it.invitation).collect();
        self.write(lock, async |it| {
            it.session
                .query(
                    "SELECT id FROM invitation WHERE id = ANY ($1) ORDER BY id FOR UPDATE",
                    &[&ids],
                )
                .await?;
            let mut done = Vec::with_capacity(notifications.len());
            for notification in notifications {
                done.push(it.notify(notification).await?);
            }
            Ok(done)
        })
        .await
    }
}

impl Transaction<'_> {
    /// Records a report, once.
    async fn notify(
        &self,
        notification: &Notification,
    ) -> std::result::Result<Notified, ApplyError> {
        let id = notification.invitation;
        let found = self
            .session
            .query_opt(
                "SELECT campaign, package_id, address, occasion, state, message_id FROM invitation WHERE id = $1",
                &[&id],
            )
            .await?;
        // Otherwise it was erased since the report was matched.
        let Some(found) = found else {
            return Ok(Notified::Known);
        };
        if !found.identity(0)?.is_same_partner(&notification.identity)
            || is_recorded(self.session, id, &notification.origin).await?
        {
            return Ok(Notified::Known);
        }
        let state = found.parsed(4)?;
        let notified = match notification.effect(state, found.text(5)?) {
            Effect::Wait => return Ok(Notified::Waiting),
            Effect::Change(cause) => {
                let changed = self.apply(&notification.change(cause)).await?;
                Notified::Changed(state, changed)
            }
            Effect::Note => {
                self.note(notification, state).await?;
                Notified::Noted
            }
        };
        if let Some((pattern, entry)) = &notification.suppress
            && notification.suppresses(notified)
        {
            self.suppress(pattern, entry).await?;
        }
        Ok(notified)
    }

    /// Adds a line to the history. The latest event stays, because reports and plans read the relay's reply
    /// there.
    async fn note(
        &self,
        notification: &Notification,
        state: State,
    ) -> std::result::Result<(), Failure> {
        let noted = notification.change(Cause::Notification(notification.proof));
        let reply = noted.reply.as_ref();
        let written = self
            .session
            .execute(
                "INSERT INTO history (invitation, at, from_state, to_state, cause, phase, smtp_code, enhanced_code,
                    reply, message_id, note, run)
                 VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                &[
                    &notification.invitation,
                    &self.now.as_millisecond(),
                    &state.as_str(),
                    &noted.cause.as_str(),
                    &noted.phase.map(Phase::as_str),
                    &reply.map(|it| i32::from(it.code)),
                    &reply.and_then(|it| it.enhanced.as_deref()),
                    &reply.map(|it| it.text.as_str()),
                    &notification.message_id,
                    &noted.note,
                    &self.run,
                ],
            )
            .await?;
        ensure_one_row(written)
    }
}

impl Reader {
    /// Whether a report is recorded with an invitation.
    pub async fn is_reported(&self, invitation: i64, origin: &str) -> Result<bool> {
        let origin = origin.to_owned();
        self.query(async move |session: &Session| is_recorded(session, invitation, &origin).await)
            .await
    }
}

/// Whether the report of this origin is in the invitation's history.
async fn is_recorded(
    session: &Session,
    invitation: i64,
    origin: &str,
) -> std::result::Result<bool, Failure> {
    let row = session
        .query_one(
            "SELECT EXISTS (SELECT 1 FROM history WHERE invitation = $1
                AND cause = 'notification' AND starts_with(note, $2))",
            &[&invitation, &note_begin(origin)],
        )
        .await?;
    rows::value(&row, 0)
}

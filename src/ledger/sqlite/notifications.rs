//! Reports about invitations: what they change, and what they add to the history.

use rusqlite::{Connection, OptionalExtension};

use super::errors::ApplyError;
use super::transitions::Transitions;
use crate::invitation::{Cause, Effect, State};
use crate::ledger::columns::Columns;
use crate::ledger::records::{Notification, Notified, note_begin};

impl Transitions<'_> {
    /// Records a report, once.
    pub fn notify(&self, notification: &Notification) -> Result<Notified, ApplyError> {
        let found = self
            .connection
            .prepare_cached(
                "SELECT campaign, package_id, address, occasion, state, message_id FROM invitation
                 WHERE id = ?1",
            )?
            .query_row([notification.invitation], |row| {
                Ok((row.identity(0)?, row.parsed(4)?, row.string(5)?))
            })
            .optional()?
            .filter(|(found, ..)| found.is_same_partner(&notification.identity));
        // It was erased since the report was matched, and its number may be that of another one by now.
        let Some((_, state, current)) = found else {
            return Ok(Notified::Known);
        };
        if is_recorded(
            self.connection,
            notification.invitation,
            &notification.origin,
        )? {
            return Ok(Notified::Known);
        }
        let notified = match notification.effect(state, &current) {
            Effect::Wait => return Ok(Notified::Waiting),
            Effect::Change(cause) => {
                let changed = self.apply(&notification.change(cause))?;
                Notified::Changed(state, changed)
            }
            Effect::Note => {
                self.note(notification, state)?;
                Notified::Noted
            }
        };
        if let Some((pattern, entry)) = &notification.suppress
            && notification.suppresses(notified)
        {
            self.suppress(pattern, entry)?;
        }
        Ok(notified)
    }

    /// Adds a line to the history. The latest event stays, because reports and plans read the relay's reply
    /// there.
    fn note(&self, notification: &Notification, state: State) -> rusqlite::Result<()> {
        let noted = notification.change(Cause::Notification(notification.proof));
        let (id, message_id) = (notification.invitation, &notification.message_id);
        self.write_history(id, &noted, Some(state), state, message_id)?;
        Ok(())
    }
}

/// Whether the report of this origin is in the invitation's history.
pub fn is_recorded(
    connection: &Connection,
    invitation: i64,
    origin: &str,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM history WHERE invitation = ?1
                AND cause = 'notification' AND substr(note, 1, length(?2)) = ?2)",
        )?
        .query_row((invitation, note_begin(origin)), |row| row.get(0))
}

//! Reports about invitations: what they change, and what they add to the history.

use rusqlite::{Connection, OptionalExtension};

use super::rows;
use super::transitions::{ApplyError, Transitions};
use crate::invitation::{Cause, Effect, State, effect};
use crate::ledger::records::{Change, Notification, Notified};

impl Transitions<'_> {
    /// Records a report, once.
    pub fn notify(&self, notification: &Notification) -> Result<Notified, ApplyError> {
        let (state, current) = self
            .connection
            .prepare_cached("SELECT state, message_id FROM invitation WHERE id = ?1")?
            .query_row([notification.invitation], |row| {
                Ok((rows::state(row, 0)?, row.get::<_, String>(1)?))
            })
            .optional()?
            .ok_or(ApplyError::Missing)?;
        let Notification {
            invitation, origin, ..
        } = notification;
        if is_recorded(self.connection, *invitation, origin)? {
            return Ok(Notified::Known);
        }
        let about_current = notification.about_recipient && current == notification.message_id;
        let notified = match effect(state, notification.proof, about_current) {
            Effect::Wait => return Ok(Notified::Waiting),
            Effect::Change(cause) => {
                let changed = self.apply(&change(notification, cause))?;
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
        let noted = change(notification, Cause::Notification(notification.proof));
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
        .query_row((invitation, begin(origin)), |row| row.get(0))
}

/// How the note of a report begins. The colon ends the origin, so that it is not the beginning of another.
fn begin(origin: &str) -> String {
    format!("{origin}: ")
}

fn change(notification: &Notification, cause: Cause) -> Change {
    Change {
        reply: notification.reply.clone(),
        note: Some(begin(&notification.origin) + &notification.text),
        ..Change::new(&notification.identity, notification.at, cause)
    }
}

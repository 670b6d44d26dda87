//! Enrolment as SQL: new invitations.

use jiff::Timestamp;
use rusqlite::named_params;

use super::transitions::{ApplyError, Transitions};
use crate::invitation::{Cause, OCCASION, next};
use crate::ledger::records::{Change, Enrolment};

/// The padding of a new row: as much as it grows by when it is armed and settled.
const PADDING_AT_ENROLMENT: i64 = 112;

impl Transitions<'_> {
    /// Inserts an invitation; one that is recorded already stays unchanged. Its latest event is the next row
    /// of the history, which SQLite numbers one above the last.
    pub fn enrol(&self, enrolment: &Enrolment, at: Timestamp) -> Result<(), ApplyError> {
        let Enrolment {
            identity,
            invitee,
            message_id,
        } = enrolment;
        let state = next(None, Cause::Enrol)?;
        let inserted = self
            .connection
            .prepare_cached(
                "INSERT INTO invitation (campaign, package_id, address, occasion, package, email,
                    name, organization, locale, template_locale, state, generation, message_id,
                    attempts, deferrals, repeat, created_at, updated_at, latest, room)
                 VALUES (:campaign, :package_id, :address, :occasion, :package, :email,
                    :name, :organization, :locale, :template_locale, :state, 0, :message_id, 0, 0, 0,
                    :at, :at, (SELECT coalesce(max(id), 0) + 1 FROM history), zeroblob(:padding))
                 ON CONFLICT (campaign, package_id, address, occasion) DO NOTHING",
            )?
            .execute(named_params! {
                ":campaign": identity.campaign,
                ":package_id": identity.package_id.to_string(),
                ":address": identity.address,
                ":occasion": OCCASION,
                ":package": invitee.package,
                ":email": invitee.email,
                ":name": invitee.name,
                ":organization": invitee.organization,
                ":locale": invitee.locale,
                ":template_locale": invitee.template_locale,
                ":message_id": message_id,
                ":at": at.as_millisecond(),
                ":padding": PADDING_AT_ENROLMENT,
                ":state": state.as_str(),
            })?;
        if inserted == 1 {
            let id = self.connection.last_insert_rowid();
            let change = Change::new(identity, at, Cause::Enrol);
            self.write_history(id, &change, None, state, message_id)?;
        }
        Ok(())
    }
}

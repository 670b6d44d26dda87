//! Enrolment as SQL: invitations that no run has recorded yet.

use jiff::Timestamp;
use rusqlite::{Connection, named_params};

use super::errors::without_effect;
use super::transitions::ApplyError;
use crate::invitation::{Cause, OCCASION, next};
use crate::ledger::records::Enrolment;

/// The padding of a new row: as much as it grows by when it is armed and settled.
const PADDING_AT_ENROLMENT: i64 = 112;

/// Inserts an invitation; one that is recorded already stays as it is. Its latest event is the next row
/// of the history, which SQLite numbers one above the last.
pub fn enrol(
    connection: &Connection,
    enrolment: &Enrolment,
    at: Timestamp,
    run: Option<i64>,
) -> Result<(), ApplyError> {
    let cause = Cause::Enrol;
    let state = next(None, cause)?.as_str();
    let Enrolment {
        identity, invitee, ..
    } = enrolment;
    let message_id = &enrolment.message_id;
    let inserted = connection
        .prepare_cached(
            "INSERT INTO invitation (campaign, package_id, address, occasion, package, email,
                name, organization, locale, template_locale, state, generation, message_id,
                attempts, deferrals, repeat, created_at, updated_at, latest, room)
             VALUES (:campaign, :package_id, :address, :occasion, :package, :email,
                :name, :organization, :locale, :template_locale, :state, 0, :message_id,
                0, 0, 0, :at, :at, (SELECT coalesce(max(id), 0) + 1 FROM history), zeroblob(:padding))
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
            ":state": state,
        })?;
    if inserted == 1 {
        let written = connection
            .prepare_cached(
                "INSERT INTO history (invitation, at, to_state, cause, message_id, run)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((
                connection.last_insert_rowid(),
                at.as_millisecond(),
                state,
                cause.as_str(),
                message_id,
                run,
            ))?;
        if written != 1 {
            return Err(without_effect().into());
        }
    }
    Ok(())
}

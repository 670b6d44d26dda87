//! Enrolment as SQL: invitations that no run has recorded yet.

use jiff::Timestamp;
use rusqlite::{Connection, named_params};

use super::errors::without_effect;
use super::transitions::ApplyError;
use crate::invitation::{Cause, OCCASION, next};
use crate::ledger::records::Enrolment;

/// The padding of a new row: as much as it grows by when it is armed and settled.
const PADDING_AT_ENROLMENT: i64 = 112;

/// The ids of the rows that an enrolment inserts next.
#[derive(Debug)]
pub struct NextIds {
    invitation: i64,
    history: i64,
}

impl NextIds {
    /// To be read in the transaction that enrols.
    pub fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let last = "SELECT coalesce((SELECT max(id) FROM invitation), 0),
            coalesce((SELECT max(id) FROM history), 0)";
        connection.query_row(last, [], |row| {
            Ok(Self {
                invitation: row.get::<_, i64>(0)? + 1,
                history: row.get::<_, i64>(1)? + 1,
            })
        })
    }
}

/// Inserts an invitation; one that is recorded already stays as it is.
pub fn enrol(
    connection: &Connection,
    enrolment: &Enrolment,
    at: Timestamp,
    run: Option<i64>,
    ids: &mut NextIds,
) -> Result<(), ApplyError> {
    let cause = Cause::Enrol;
    let state = next(None, cause)?.as_str();
    let Enrolment {
        identity, invitee, ..
    } = enrolment;
    let message_id = &enrolment.message_id;
    let inserted = connection
        .prepare_cached(
            "INSERT INTO invitation (id, campaign, package_id, address, occasion, package, email,
                name, organization, locale, template_locale, state, generation, message_id,
                attempts, deferrals, repeat, created_at, updated_at, latest, room)
             VALUES (:id, :campaign, :package_id, :address, :occasion, :package, :email,
                :name, :organization, :locale, :template_locale, :state, 0, :message_id,
                0, 0, 0, :at, :at, :latest, zeroblob(:padding))
             ON CONFLICT (campaign, package_id, address, occasion) DO NOTHING",
        )?
        .execute(named_params! {
            ":id": ids.invitation,
            ":latest": ids.history,
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
                "INSERT INTO history (id, invitation, at, to_state, cause, message_id, run)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute((
                ids.history,
                ids.invitation,
                at.as_millisecond(),
                state,
                cause.as_str(),
                message_id,
                run,
            ))?;
        if written != 1 {
            return Err(without_effect().into());
        }
        ids.invitation += 1;
        ids.history += 1;
    }
    Ok(())
}

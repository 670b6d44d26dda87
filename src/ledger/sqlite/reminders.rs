//! Reminders: reading them with their invitation, and the last check before one is sent.

use rusqlite::Connection;

use super::access::access_of;
use super::reader::{PAGE, Reader};
use super::rows::{self, RECORD, STANDING};
use super::transitions::{ApplyError, Transitions};
use crate::invitation::{
    Cause, Identity, Mailed, Occasion, PersonHasher, Record, State, not_needed,
};
use crate::ledger::error::Result;
use crate::ledger::records::Change;

impl Reader {
    /// For each of these invitations, its record and those of its reminders, in the order of their occasions.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn with_reminders(
        &self,
        identities: Vec<Identity>,
    ) -> impl Future<Output = Result<Vec<Vec<Record>>>> {
        self.query(move |connection| {
            let records = |it: &Identity| records(connection, it);
            identities.iter().map(records).collect()
        })
    }

    /// The next page of a campaign's reminders that are to be sent, in the order of their enrolment, after
    /// `after`.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn open_reminders(&self, campaign: &str, after: i64) -> Result<Vec<Record>> {
        let campaign = campaign.to_owned();
        self.query(move |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {STANDING}, {RECORD}
                 WHERE i.id > ?1 AND +i.campaign = ?2 AND i.occasion <> 'invitation'
                    AND (i.state = 'pending' OR i.state = 'deferred')
                 ORDER BY i.id LIMIT ?3"
            ))?;
            let records = statement.query_map((after, campaign, PAGE), rows::record)?;
            records.collect()
        })
        .await
    }
}

/// The record of an invitation and those of its reminders, in the order of their occasions.
fn records(connection: &Connection, invitation: &Identity) -> rusqlite::Result<Vec<Record>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {STANDING}, {RECORD}
         WHERE i.campaign = ?1 AND i.package_id = ?2 AND i.address = ?3"
    ))?;
    let package_id = invitation.package_id.to_string();
    let key = (&invitation.campaign, package_id, &invitation.address);
    let records = statement.query_map(key, rows::record)?;
    let mut records: Vec<Record> = records.collect::<rusqlite::Result<_>>()?;
    records.sort_by_key(|it| it.identity.occasion);
    Ok(records)
}

impl Transitions<'_> {
    /// Abandons the reminder that a change is about to arm, if access was requested or a message came back since
    /// it was planned. Gives its new state then.
    pub fn withdraw_reminder(
        &self,
        arm: &Change,
    ) -> std::result::Result<Option<State>, ApplyError> {
        let reminder = &arm.identity;
        let recorded = records(self.connection, reminder)?;
        let mailed: Vec<Mailed> = recorded.iter().map(Record::mailed).collect();
        let [invitation, reminders @ ..] = mailed.as_slice() else {
            return Err(ApplyError::Missing);
        };
        if invitation.occasion != Occasion::Invitation {
            return Err(ApplyError::Missing);
        }
        let place = reminders
            .iter()
            .position(|it| it.occasion == reminder.occasion);
        let earlier = &reminders[..place.ok_or(ApplyError::Missing)?];
        let hasher = PersonHasher::new(self.key);
        let access = access_of(self.connection, &hasher, reminder)?;
        let requested = access.is_some_and(|it| arm.unless.applies(&it));
        let Some(why) = not_needed(invitation, earlier, requested) else {
            return Ok(None);
        };
        let change = Change {
            note: Some(why.to_string()),
            ..Change::new(reminder, arm.at, Cause::ReminderNotNeeded)
        };
        self.apply(&change).map(Some)
    }
}

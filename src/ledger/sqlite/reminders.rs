//! Reminders: reading them with their invitation, and the last check before one is sent.

use rusqlite::Connection;

use super::access::access_of;
use super::errors::ApplyError;
use super::reader::{PAGE, Reader};
use super::rows::RECORDS;
use super::transitions::Transitions;
use crate::invitation::{Identity, PersonHasher, Record, State};
use crate::ledger::columns::Columns;
use crate::ledger::error::Result;
use crate::ledger::records::Change;
use crate::ledger::withdrawal::withdrawal;

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
                "{RECORDS}
                 WHERE i.id > ?1 AND +i.campaign = ?2 AND i.occasion <> 'invitation'
                    AND (i.state = 'pending' OR i.state = 'deferred')
                 ORDER BY i.id LIMIT ?3"
            ))?;
            let records = statement.query_map((after, campaign, PAGE), |row| row.record())?;
            records.collect()
        })
        .await
    }
}

/// The record of an invitation and those of its reminders, in the order of their occasions.
fn records(connection: &Connection, invitation: &Identity) -> rusqlite::Result<Vec<Record>> {
    let mut statement = connection.prepare_cached(&format!(
        "{RECORDS}
         WHERE i.campaign = ?1 AND i.package_id = ?2 AND i.address = ?3"
    ))?;
    let package_id = invitation.package_id.to_string();
    let key = (&invitation.campaign, package_id, &invitation.address);
    let records = statement.query_map(key, |row| row.record())?;
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
        let recorded = records(self.connection, &arm.identity)?;
        let hasher = PersonHasher::new(self.key);
        let access = access_of(self.connection, &hasher, &arm.identity)?;
        match withdrawal(arm, &recorded, access.as_ref())? {
            Some(withdrawal) => self.apply(&withdrawal).map(Some),
            None => Ok(None),
        }
    }
}

//! Reminders: reading them with their invitation, and the last check before one is sent.

use std::collections::HashMap;

use super::access::access_of;
use super::connection::Session;
use super::errors::{ApplyError, Failure};
use super::keys::Keys;
use super::reader::{PAGE, Reader};
use super::transaction::Transaction;
use crate::invitation::{Identity, PersonHasher, Record, State};
use crate::ledger::columns::{Columns, record_columns};
use crate::ledger::error::Result;
use crate::ledger::records::Change;
use crate::ledger::withdrawal::withdrawal;

impl Reader {
    /// For each of these invitations, its record and those of its reminders, in the order of their occasions.
    pub async fn with_reminders(&self, identities: Vec<Identity>) -> Result<Vec<Vec<Record>>> {
        self.query(async move |session: &Session| records(session, &identities).await)
            .await
    }

    /// The next page of a campaign's reminders that are to be sent, in the order of their enrolment, after
    /// `after`.
    pub async fn open_reminders(&self, campaign: &str, after: i64) -> Result<Vec<Record>> {
        let campaign = campaign.to_owned();
        self.query(async move |session: &Session| {
            let rows = session
                .query(
                    concat!(
                        "SELECT ",
                        record_columns!(),
                        " FROM invitation AS i LEFT JOIN history AS h ON h.id = i.latest
                         WHERE i.id > $1 AND i.campaign = $2 AND i.occasion <> 'invitation'
                            AND i.state IN ('pending', 'deferred')
                         ORDER BY i.id LIMIT $3"
                    ),
                    &[&after, &campaign, &PAGE],
                )
                .await?;
            rows.iter().map(Columns::record).collect()
        })
        .await
    }
}

/// For each of these invitations, its record and those of its reminders, in the order of their occasions.
async fn records(
    session: &Session,
    invitations: &[Identity],
) -> std::result::Result<Vec<Vec<Record>>, Failure> {
    let keys = Keys::of(invitations.iter());
    let rows = session
        .query(
            concat!(
                "SELECT ",
                record_columns!(),
                ", k.place FROM unnest($1::text[], $2::text[], $3::text[])
                    WITH ORDINALITY AS k (campaign, package_id, address, place)
                 JOIN invitation AS i USING (campaign, package_id, address)
                 LEFT JOIN history AS h ON h.id = i.latest"
            ),
            &keys.values()[..3],
        )
        .await?;
    let mut found: HashMap<i64, Vec<Record>> = HashMap::new();
    for row in &rows {
        let place: i64 = row.number(35)?;
        found.entry(place).or_default().push(row.record()?);
    }
    let mut of_place = |place| {
        let mut records = found.remove(&place).unwrap_or_default();
        records.sort_by_key(|it| it.identity.occasion);
        records
    };
    Ok((1..).take(invitations.len()).map(&mut of_place).collect())
}

impl Transaction<'_> {
    /// Abandons the reminder that a change is about to arm, if access was requested or a message came back since
    /// it was planned. Gives its new state then.
    pub async fn withdraw_reminder(
        &self,
        arm: &Change,
    ) -> std::result::Result<Option<State>, ApplyError> {
        let reminder = std::slice::from_ref(&arm.identity);
        let recorded = records(self.session, reminder).await?;
        let access = access_of(self.session, &PersonHasher::new(self.key), reminder).await?;
        let access = access.iter().flatten().next();
        match withdrawal(arm, &recorded.concat(), access)? {
            Some(withdrawal) => self.apply(&withdrawal).await.map(Some),
            None => Ok(None),
        }
    }
}

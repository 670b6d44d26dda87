//! The questions that a reader answers: standings for the plan, pages for reports.
//!
//! Each is one short statement that is read to its end, and long answers come in pages, because an
//! open snapshot prevents the reuse of the log.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row};

use super::reader::Reader;
use super::rows::{self, RECORD, STANDING};
use super::runs;
use crate::invitation::{Event, Identity, OCCASION, Record, Standing, State};
use crate::ledger::error::Result;
use crate::ledger::records::{CampaignStanding, RecordFilter};
use crate::link::PackageId;

/// How many records a page has.
const PAGE: u32 = 500;

impl Reader {
    /// The standings of these invitations, in their order; none for one that is not recorded.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn standings(
        &self,
        identities: Vec<Identity>,
    ) -> impl Future<Output = Result<Vec<Option<Standing>>>> {
        let columns = format!("{STANDING} FROM invitation AS i");
        self.find(identities, columns, |row| rows::standing(row, 0))
    }

    /// The records of these invitations, in their order; none for one that is not recorded.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn records(
        &self,
        identities: Vec<Identity>,
    ) -> impl Future<Output = Result<Vec<Option<Record>>>> {
        let columns = format!("{STANDING}, {RECORD}");
        self.find(identities, columns, rows::record)
    }

    fn find<T: Send + 'static>(
        &self,
        identities: Vec<Identity>,
        columns: String,
        decode: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> impl Future<Output = Result<Vec<Option<T>>>> {
        self.query(move |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {columns}
                 WHERE i.campaign = ?1 AND i.package_id = ?2 AND i.address = ?3 AND i.occasion = ?4"
            ))?;
            let find = |it: &Identity| {
                let package_id = it.package_id.to_string();
                let key = (&it.campaign, package_id, &it.address, OCCASION);
                statement.query_row(key, decode).optional()
            };
            identities.iter().map(find).collect()
        })
    }

    /// How many invitations of the campaign are in each state, in the order of [`State::ALL`].
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn counts(&self, campaign: &str) -> Result<Vec<(State, u64)>> {
        let campaign = campaign.to_owned();
        self.query(move |connection| {
            let counts: Vec<(State, i64)> = connection
                .prepare(
                    "SELECT state, count(*) FROM invitation WHERE campaign = ?1 GROUP BY state",
                )?
                .query_map([campaign], |row| Ok((rows::state(row, 0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let count_of = |state| counts.iter().find(|it| it.0 == state).map_or(0, |it| it.1);
            let all = State::ALL.into_iter();
            Ok(all.map(|it| (it, count_of(it).unsigned_abs())).collect())
        })
        .await
    }

    /// The next page of a campaign's records, in the order of their enrolment, after `after`.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn page(
        &self,
        campaign: &str,
        selection: &RecordFilter,
        after: i64,
    ) -> Result<Vec<Record>> {
        let campaign = campaign.to_owned();
        let selection = selection.clone();
        self.query(move |connection| {
            // In the order of the primary key; the `+` keeps SQLite from using the index on campaigns,
            // which would sort all records for each page.
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {STANDING}, {RECORD}
                 WHERE i.id > ?1 AND +i.campaign = ?2
                    AND (?3 IS NULL OR i.state = ?3)
                    AND (?4 IS NULL OR i.package_id = ?4)
                    AND (?5 IS NULL OR i.address = ?5)
                 ORDER BY i.id LIMIT ?6"
            ))?;
            let records = statement.query_map(
                (
                    after,
                    campaign,
                    selection.state.map(State::as_str),
                    selection.package_id.map(|it| it.to_string()),
                    selection.address,
                    PAGE,
                ),
                rows::record,
            )?;
            records.collect()
        })
        .await
    }

    /// The packages that the campaign's invitations are recorded for, each with the keys it had then.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn packages(&self, campaign: &str) -> Result<Vec<(PackageId, String)>> {
        let campaign = campaign.to_owned();
        self.query(move |connection| {
            let mut statement = connection.prepare(
                "SELECT package_id, package FROM invitation WHERE campaign = ?1
                 GROUP BY package_id, package ORDER BY min(id)",
            )?;
            let packages = statement.query_map([campaign], |row| {
                Ok((rows::package_id(row, 0)?, row.get(1)?))
            })?;
            packages.collect()
        })
        .await
    }

    /// The history of an invitation, the oldest event first.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn history(&self, id: i64) -> Result<Vec<Event>> {
        self.query(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT at, from_state, to_state, phase, smtp_code, enhanced_code, reply, relay,
                    message_id, note
                 FROM history WHERE invitation = ?1 ORDER BY id",
            )?;
            statement
                .query_map([id], |row| rows::event(row, 0))?
                .collect()
        })
        .await
    }

    /// When final dots were written since `since`, over all campaigns, the oldest first.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn dots_since(&self, since: Timestamp) -> Result<Vec<Timestamp>> {
        self.query(move |connection| {
            let mut statement = connection.prepare(
                "SELECT at FROM history WHERE to_state = 'armed' AND at > ?1 ORDER BY at",
            )?;
            statement
                .query_map([since.as_millisecond()], |row| rows::timestamp(row, 0))?
                .collect()
        })
        .await
    }

    /// What the guards need to know about a campaign.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn campaign(&self, campaign: &str) -> Result<CampaignStanding> {
        let campaign = campaign.to_owned();
        self.query(move |connection| runs::campaign_standing(connection, &campaign))
            .await
    }
}

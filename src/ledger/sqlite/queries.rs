//! The questions that a reader answers: standings for the plan, pages for reports.
//!
//! Each is one short statement that is read to its end, and long answers come in pages, because an
//! open snapshot prevents the reuse of the log.

use jiff::Timestamp;
use rusqlite::OptionalExtension;

use super::reader::Reader;
use super::rows::{self, RECORD, STANDING};
use super::runs;
use crate::invitation::{Event, Identity, OCCASION, Record, Standing, State};
use crate::ledger::error::Result;
use crate::ledger::records::{CampaignStanding, Selection};
use crate::link::PackageId;

/// How many records a page has.
const PAGE: u32 = 500;

impl Reader {
    /// The standings of these invitations, in their order; none for one that is not recorded.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn standings(&self, identities: Vec<Identity>) -> Result<Vec<Option<Standing>>> {
        self.query(move |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {STANDING} FROM invitation AS i
                 WHERE i.campaign = ?1 AND i.package_id = ?2 AND i.address = ?3 AND i.occasion = ?4"
            ))?;
            identities
                .iter()
                .map(|it| {
                    let package_id = it.package_id.to_string();
                    let key = (&it.campaign, package_id, &it.address, OCCASION);
                    statement
                        .query_row(key, |row| rows::standing(row, 0))
                        .optional()
                })
                .collect()
        })
        .await
    }

    /// The records of these invitations, in their order; none for one that is not recorded.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn records(&self, identities: Vec<Identity>) -> Result<Vec<Option<Record>>> {
        self.query(move |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {STANDING}, {RECORD}
                 WHERE i.campaign = ?1 AND i.package_id = ?2 AND i.address = ?3 AND i.occasion = ?4"
            ))?;
            identities
                .iter()
                .map(|it| {
                    let package_id = it.package_id.to_string();
                    let key = (&it.campaign, package_id, &it.address, OCCASION);
                    statement.query_row(key, rows::record).optional()
                })
                .collect()
        })
        .await
    }

    /// How many invitations of the campaign are in each state, in the order of [`State::ALL`].
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn counts(&self, campaign: &str) -> Result<Vec<(State, u64)>> {
        let campaign = campaign.to_owned();
        self.query(move |connection| {
            let mut counts: Vec<_> = State::ALL.into_iter().map(|it| (it, 0)).collect();
            let mut statement = connection.prepare(
                "SELECT state, count(*) FROM invitation WHERE campaign = ?1 GROUP BY state",
            )?;
            let mut groups = statement.query([campaign])?;
            while let Some(row) = groups.next()? {
                let found = rows::state(row, 0)?;
                for (state, count) in &mut counts {
                    if *state == found {
                        *count = row.get::<_, i64>(1)?.unsigned_abs();
                    }
                }
            }
            Ok(counts)
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
        selection: &Selection,
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

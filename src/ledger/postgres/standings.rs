//! Reading invitations, with their standing and their history.

use std::collections::HashMap;

use jiff::Timestamp;
use tokio_postgres::Row;

use super::connection::Session;
use super::errors::Failure;
use super::keys::Keys;
use super::reader::{PAGE, Reader};
use super::rows;
use crate::invitation::{Event, Identity, Record, Standing, State};
use crate::ledger::columns::{Columns, record_columns, standing_columns};
use crate::ledger::error::Result;
use crate::ledger::records::{RecordFilter, SentInvitation, Unsettled};
use crate::link::PackageId;

/// The standings of these invitations, by their numbers.
pub async fn standings_of(
    session: &Session,
    ids: &[i64],
) -> std::result::Result<HashMap<i64, Standing>, Failure> {
    let rows = session
        .query(
            concat!(
                "SELECT ",
                standing_columns!(),
                ", i.id FROM unnest($1::bigint[]) AS k (id) JOIN invitation AS i USING (id)"
            ),
            &[&ids],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((rows::value(row, 12)?, row.standing(0)?)))
        .collect()
}

impl Reader {
    /// The standings of these invitations, in their order.
    pub async fn standings(&self, identities: Vec<Identity>) -> Result<Vec<Option<Standing>>> {
        const FIND: &str = concat!(
            "SELECT ",
            standing_columns!(),
            ", k.place FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
                WITH ORDINALITY AS k (campaign, package_id, address, occasion, place)
             JOIN invitation AS i USING (campaign, package_id, address, occasion)"
        );
        self.find(FIND, identities, 12, |row| row.standing(0)).await
    }

    /// The records of these invitations, in their order.
    pub async fn records(&self, identities: Vec<Identity>) -> Result<Vec<Option<Record>>> {
        const FIND: &str = concat!(
            "SELECT ",
            record_columns!(),
            ", k.place FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
                WITH ORDINALITY AS k (campaign, package_id, address, occasion, place)
             JOIN invitation AS i USING (campaign, package_id, address, occasion)
             LEFT JOIN history AS h ON h.id = i.latest"
        );
        self.find(FIND, identities, 35, Columns::record).await
    }

    /// What is found, in the order of the identities. The last column is the place among them, from 1.
    async fn find<T: Send + 'static>(
        &self,
        statement: &'static str,
        identities: Vec<Identity>,
        place: usize,
        decode: fn(&Row) -> std::result::Result<T, Failure>,
    ) -> Result<Vec<Option<T>>> {
        let keys = Keys::of(identities.iter());
        self.query(async move |session: &Session| {
            let mut found: Vec<Option<T>> = Vec::new();
            found.resize_with(keys.campaigns.len(), || None);
            for row in &session.query(statement, &keys.values()).await? {
                let place: i64 = rows::value(row, place)?;
                let place = usize::try_from(place - 1).unwrap_or_default();
                found[place] = Some(decode(row)?);
            }
            Ok(found)
        })
        .await
    }

    /// How many invitations of the campaign are in each state that one of them has; only of those to this package if one
    /// is given.
    pub async fn counts_of(
        &self,
        campaign: &str,
        package: Option<PackageId>,
    ) -> Result<HashMap<State, u64>> {
        let campaign = campaign.to_owned();
        let package = package.map(|it| it.to_string());
        self.query(async move |session: &Session| {
            let rows = session.query(
                "SELECT state, count(*) FROM invitation
                 WHERE campaign = $1 AND ($2::text IS NULL OR package_id = $2) AND occasion = 'invitation'
                 GROUP BY state",
                &[&campaign, &package],
            ).await?;
            rows.iter()
                .map(|row| Ok((row.parsed(0)?, row.number(1)?)))
                .collect()
        })
        .await
    }

    /// The next page of a campaign's records, in the order of their enrolment, after `after`.
    pub async fn page(
        &self,
        campaign: &str,
        filter: &RecordFilter,
        after: i64,
    ) -> Result<Vec<Record>> {
        const ANY: &str = concat!(
            "SELECT ",
            record_columns!(),
            " FROM invitation AS i LEFT JOIN history AS h ON h.id = i.latest
             WHERE i.id > $1 AND i.campaign = $2
                AND ($3::text IS NULL OR i.state = $3)
                AND ($4::text IS NULL OR i.package_id = $4)
                AND ($5::text IS NULL OR i.occasion = $5)
                AND $6::text IS NULL
             ORDER BY i.id LIMIT $7"
        );
        // By the index on addresses. An address has few invitations, which are sorted.
        const OF_ADDRESS: &str = concat!(
            "WITH i AS MATERIALIZED (SELECT * FROM invitation WHERE address = $6)
             SELECT ",
            record_columns!(),
            " FROM i LEFT JOIN history AS h ON h.id = i.latest
             WHERE i.id > $1 AND i.campaign = $2
                AND ($3::text IS NULL OR i.state = $3)
                AND ($4::text IS NULL OR i.package_id = $4)
                AND ($5::text IS NULL OR i.occasion = $5)
             ORDER BY i.id LIMIT $7"
        );
        let campaign = campaign.to_owned();
        let filter = filter.clone();
        self.query(async move |session: &Session| {
            let statement = if filter.address.is_some() {
                OF_ADDRESS
            } else {
                ANY
            };
            let rows = session
                .query(
                    statement,
                    &[
                        &after,
                        &campaign,
                        &filter.state.map(State::as_str),
                        &filter.package_id.map(|it| it.to_string()),
                        &filter.occasion.map(|it| it.to_string()),
                        &filter.address,
                        &PAGE,
                    ],
                )
                .await?;
            rows.iter().map(Columns::record).collect()
        })
        .await
    }

    /// The packages that the campaign's invitations are recorded for, each with the keys it had then.
    pub async fn packages(&self, campaign: &str) -> Result<Vec<(PackageId, String)>> {
        let campaign = campaign.to_owned();
        self.query(async move |session: &Session| {
            let rows = session
                .query(
                    "SELECT package_id, package FROM invitation WHERE campaign = $1
                     GROUP BY package_id, package ORDER BY min(id)",
                    &[&campaign],
                )
                .await?;
            rows.iter()
                .map(|row| Ok((row.package_id(0)?, rows::value(row, 1)?)))
                .collect()
        })
        .await
    }

    /// The history of an invitation, the oldest event first.
    pub async fn history(&self, id: i64) -> Result<Vec<Event>> {
        self.query(async move |session: &Session| {
            let rows = session
                .query(
                    "SELECT at, from_state, to_state, phase, smtp_code, enhanced_code, reply, relay, message_id, note
                     FROM history WHERE invitation = $1 ORDER BY id",
                    &[&id],
                )
                .await?;
            rows.iter().map(|row| row.event(0)).collect()
        })
        .await
    }

    /// When the first message was sent, over all campaigns.
    pub async fn first_sent(&self) -> Result<Option<Timestamp>> {
        self.query(async |session: &Session| {
            let row = session
                .query_one("SELECT min(at) FROM history WHERE to_state = 'armed'", &[])
                .await?;
            row.optional_timestamp(0)
        })
        .await
    }

    /// How many invitations of all campaigns were sent at least once.
    pub async fn count_sent(&self) -> Result<usize> {
        self.query(async |session: &Session| {
            let row = session
                .query_one(
                    "SELECT count(*) FROM invitation WHERE attempts > 0 OR generation > 0",
                    &[],
                )
                .await?;
            row.number(0)
        })
        .await
    }

    /// The next page of all campaigns' invitations that were sent at least once, after `after`.
    pub async fn sent(&self, after: i64) -> Result<Vec<SentInvitation>> {
        self.sent_within(after.saturating_add(1), i64::MAX, PAGE)
            .await
    }

    /// The invitation of this number, if it was sent at least once.
    pub async fn sent_invitation(&self, id: i64) -> Result<Option<SentInvitation>> {
        self.sent_within(id, id, 1).await.map(|mut it| it.pop())
    }

    async fn sent_within(&self, first: i64, last: i64, limit: i64) -> Result<Vec<SentInvitation>> {
        self.query(async move |session: &Session| {
            let rows = session
                .query(
                    "SELECT campaign, package_id, address, occasion, id, message_id, generation FROM invitation
                     WHERE id BETWEEN $1 AND $2 AND (attempts > 0 OR generation > 0) ORDER BY id LIMIT $3",
                    &[&first, &last, &limit],
                )
                .await?;
            rows.iter().map(Columns::sent_invitation).collect()
        })
        .await
    }

    /// When final dots were written since `since`, over all campaigns, the oldest first.
    pub async fn dots_since(&self, since: Timestamp) -> Result<Vec<Timestamp>> {
        self.query(async move |session: &Session| {
            let rows = session
                .query(
                    "SELECT at FROM history WHERE to_state = 'armed' AND at > $1 ORDER BY at",
                    &[&since.as_millisecond()],
                )
                .await?;
            rows.iter().map(|row| row.timestamp(0)).collect()
        })
        .await
    }

    /// The messages sent since `since` that a relay has accepted or may have accepted, over all campaigns, the
    /// oldest first.
    pub async fn unsettled(&self, since: Timestamp) -> Result<Vec<Unsettled>> {
        self.query(async move |session: &Session| {
            let rows = session
                .query(
                    "SELECT h.at, i.id, i.state = 'unknown' FROM history AS h
                     JOIN invitation AS i ON i.id = h.invitation
                     WHERE h.to_state = 'armed' AND h.at > $1 AND i.state IN ('accepted', 'unknown')
                     ORDER BY h.at",
                    &[&since.as_millisecond()],
                )
                .await?;
            rows.iter().map(Columns::unsettled).collect()
        })
        .await
    }
}

//! A view of the ledger, on a connection and a thread of its own, so that reading never delays a final dot.
//!
//! Each query is one short statement that is read to its end, and long results come in pages, because an
//! open snapshot prevents the reuse of the log.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::errors::{damaged, translate};
use super::rows::RECORDS;
use super::{connection, notifications, runs, schema, suppressions};
use crate::invitation::{Event, Identity, MessageIdKey, Record, Standing, State, Suppression};
use crate::ledger::columns::{Columns, standing_columns};
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::opened::Opened;
use crate::ledger::records::{CampaignStanding, RecordFilter, SentInvitation, Unsettled};
use crate::ledger::sidecar;
use crate::ledger::witness::Id;
use crate::link::PackageId;

/// How often a ledger is tried that another program has locked. SQLite waits for some seconds each time.
pub(super) const BUSY_TRIES: u32 = 3;
/// How many records a page has.
pub(super) const PAGE: u32 = 500;

type Query = Box<dyn FnOnce(&Connection) + Send>;

/// A view of a ledger.
pub struct Reader {
    path: PathBuf,
    queries: Option<mpsc::Sender<Query>>,
    thread: Option<JoinHandle<()>>,
    /// What was found out when it was opened.
    pub opened: Opened,
    /// The copy that is read in place of the ledger.
    pub(super) copy: Option<TempDir>,
}

impl Reader {
    /// An empty view in place of a ledger that does not exist yet, with a key for this run.
    ///
    /// # Errors
    /// If the system has no memory or no random numbers.
    pub fn empty() -> Result<Self> {
        let path = Path::new("(no ledger)");
        let connection = connection::in_memory(&MessageIdKey::random()?);
        Self::start(path, connection.map_err(|error| translate(path, &error))?)
    }

    /// The view beside a writer.
    pub(super) fn beside_writer(path: &Path) -> Result<Self> {
        Self::start(
            path,
            connection::open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
        )
    }

    /// Starts the thread.
    pub(super) fn start(path: &Path, connection: Connection) -> Result<Self> {
        let key = schema::key(&connection).map_err(|error| translate(path, &error))?;
        let (queries, queue) = mpsc::channel::<Query>();
        let thread = std::thread::Builder::new()
            .name("ledger-reader".into())
            .spawn(move || queue.into_iter().for_each(|query| query(&connection)))
            .map_err(|error| LedgerError::CannotWrite(format!("cannot start a thread: {error}")))?;
        Ok(Self {
            path: path.to_owned(),
            queries: Some(queries),
            thread: Some(thread),
            opened: Opened {
                key,
                live: false,
                staleness: None,
                moved_to: None,
            },
            copy: None,
        })
    }

    /// Gives a file that root created to the ledger's owner, who usually runs the job.
    ///
    /// # Errors
    /// If the file cannot be examined or its owner cannot be changed.
    pub fn give_to_owner(&self, file: &File) -> std::io::Result<()> {
        sidecar::give_to_owner(file, &self.path)
    }

    /// Begins a snapshot: until [`Reader::end_snapshot`], all queries see the same state of the ledger. It
    /// should be short, because a run cannot reuse its log meanwhile.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn begin_snapshot(&self) -> Result<()> {
        let begin = |connection: &Connection| {
            connection.execute_batch("BEGIN")?;
            let read = connection.query_row("SELECT count(*) FROM secret", [], |_| Ok(()));
            read.inspect_err(|_| drop(connection.execute_batch("ROLLBACK")))
        };
        // A run that begins or ends may hold its lock for longer than SQLite waits.
        for _ in 1..BUSY_TRIES {
            match self.query(begin).await {
                Err(LedgerError::Busy(_)) => {}
                done => return done,
            }
        }
        self.query(begin).await
    }

    /// Ends the snapshot.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn end_snapshot(&self) -> Result<()> {
        self.query(|connection| connection.execute_batch("COMMIT"))
            .await
    }

    /// Refuses a damaged ledger, as a writing verb does.
    ///
    /// # Errors
    /// If it is damaged or cannot be read.
    pub async fn examine(&self) -> Result<()> {
        match self.query(connection::examine).await? {
            None => Ok(()),
            Some(fault) => Err(damaged(&self.path, &fault)),
        }
    }

    /// The ledger's id; none before version 2.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn id(&self) -> Result<Option<Id>> {
        self.query(schema::id).await
    }

    pub(super) fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> {
        let (answer, waiting) = oneshot::channel();
        let query = move |connection: &Connection| drop(answer.send(query(connection)));
        // If the thread has ended, the query is dropped, and the caller gets an error.
        if let Some(queries) = &self.queries {
            let _ = queries.send(Box::new(query));
        }
        async move {
            let stopped = |_| LedgerError::CannotWrite("the ledger's reader has stopped".into());
            let answer = waiting.await.map_err(stopped)?;
            answer.map_err(|error| translate(&self.path, &error))
        }
    }

    /// The standings of these invitations, in their order; none for one that is not recorded.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn standings(
        &self,
        identities: Vec<Identity>,
    ) -> impl Future<Output = Result<Vec<Option<Standing>>>> {
        let select = concat!("SELECT ", standing_columns!(), " FROM invitation AS i");
        self.find(identities, select, |row| row.standing(0))
    }

    /// The records of these invitations, in their order; none for one that is not recorded.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn records(
        &self,
        identities: Vec<Identity>,
    ) -> impl Future<Output = Result<Vec<Option<Record>>>> {
        self.find(identities, RECORDS, |row| row.record())
    }

    fn find<T: Send + 'static>(
        &self,
        identities: Vec<Identity>,
        select: &'static str,
        decode: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> impl Future<Output = Result<Vec<Option<T>>>> {
        self.query(move |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "{select}
                 WHERE i.campaign = ?1 AND i.package_id = ?2 AND i.address = ?3 AND i.occasion = ?4"
            ))?;
            let find = |it: &Identity| {
                let package_id = it.package_id.to_string();
                let occasion = it.occasion.to_string();
                let key = (&it.campaign, package_id, &it.address, occasion);
                statement.query_row(key, decode).optional()
            };
            identities.iter().map(find).collect()
        })
    }

    /// How many invitations of the campaign are in each state that one of them has; only of the invitations to this
    /// package if one is given.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn counts_of(
        &self,
        campaign: &str,
        package: Option<PackageId>,
    ) -> Result<HashMap<State, u64>> {
        let campaign = campaign.to_owned();
        let package = package.map(|it| it.to_string());
        self.query(move |connection| {
            let mut statement = connection.prepare(
                "SELECT state, count(*) FROM invitation
                 WHERE campaign = ?1 AND (?2 IS NULL OR package_id = ?2)
                    AND occasion = 'invitation' GROUP BY state",
            )?;
            let counts = statement.query_map((campaign, package), |row| {
                Ok((row.parsed(0)?, row.number(1)?))
            })?;
            counts.collect()
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
        filter: &RecordFilter,
        after: i64,
    ) -> Result<Vec<Record>> {
        let campaign = campaign.to_owned();
        let filter = filter.clone();
        self.query(move |connection| {
            // In the order of the primary key; the `+` keeps SQLite from using the index on campaigns,
            // which would sort all records for each page.
            let mut statement = connection.prepare_cached(&format!(
                "{RECORDS}
                 WHERE i.id > ?1 AND +i.campaign = ?2
                    AND (?3 IS NULL OR i.state = ?3)
                    AND (?4 IS NULL OR i.package_id = ?4)
                    AND (?5 IS NULL OR i.address = ?5)
                    AND (?6 IS NULL OR i.occasion = ?6)
                 ORDER BY i.id LIMIT ?7"
            ))?;
            let records = statement.query_map(
                (
                    after,
                    campaign,
                    filter.state.map(State::as_str),
                    filter.package_id.map(|it| it.to_string()),
                    filter.address,
                    filter.occasion.map(|it| it.to_string()),
                    PAGE,
                ),
                |row| row.record(),
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
            let packages =
                statement.query_map([campaign], |row| Ok((row.package_id(0)?, row.get(1)?)))?;
            packages.collect()
        })
        .await
    }

    /// When the first message was sent, over all campaigns.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn first_sent(&self) -> Result<Option<Timestamp>> {
        self.query(|connection| {
            let first = "SELECT min(at) FROM history WHERE to_state = 'armed'";
            connection.query_row(first, [], |row| row.optional_timestamp(0))
        })
        .await
    }

    /// Whether a report is recorded with an invitation.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn is_reported(&self, invitation: i64, origin: &str) -> Result<bool> {
        let origin = origin.to_owned();
        self.query(move |connection| notifications::is_recorded(connection, invitation, &origin))
            .await
    }

    /// For each of these canonical addresses, the entry of the suppression list that covers it.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn suppressions_of(
        &self,
        addresses: Vec<String>,
    ) -> Result<Vec<Option<Suppression>>> {
        let key = self.opened.key.clone();
        self.query(move |connection| suppressions::covering_each(connection, &key, &addresses))
            .await
    }

    /// The suppression list.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn suppressions(&self) -> Result<Vec<Suppression>> {
        self.query(suppressions::list).await
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
            statement.query_map([id], |row| row.event(0))?.collect()
        })
        .await
    }

    /// How many invitations of all campaigns were sent at least once.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn count_sent(&self) -> Result<usize> {
        let count = self.query(|connection| {
            let query = "SELECT count(*) FROM invitation WHERE attempts > 0 OR generation > 0";
            connection.query_row(query, [], |row| row.get::<_, i64>(0))
        });
        Ok(usize::try_from(count.await?).unwrap_or_default())
    }

    /// The next page of all campaigns' invitations that were sent at least once, after `after`.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn sent(&self, after: i64) -> Result<Vec<SentInvitation>> {
        self.sent_within(after + 1, i64::MAX, PAGE).await
    }

    /// The invitation of this number, if it was sent at least once.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn sent_invitation(&self, id: i64) -> Result<Option<SentInvitation>> {
        self.sent_within(id, id, 1).await.map(|mut it| it.pop())
    }

    async fn sent_within(&self, first: i64, last: i64, limit: u32) -> Result<Vec<SentInvitation>> {
        self.query(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT campaign, package_id, address, occasion, id, message_id, generation
                 FROM invitation
                 WHERE id BETWEEN ?1 AND ?2 AND (attempts > 0 OR generation > 0)
                 ORDER BY id LIMIT ?3",
            )?;
            let sent = statement.query_map((first, last, limit), |row| row.sent_invitation())?;
            sent.collect()
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
                .query_map([since.as_millisecond()], |row| row.timestamp(0))?
                .collect()
        })
        .await
    }

    /// The messages sent since `since` that a relay has accepted or may have accepted, over all campaigns, the
    /// oldest first.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn unsettled(&self, since: Timestamp) -> Result<Vec<Unsettled>> {
        self.query(move |connection| {
            let mut statement = connection.prepare(
                "SELECT h.at, i.id, i.state = 'unknown' FROM history AS h
                 JOIN invitation AS i ON i.id = h.invitation
                 WHERE h.to_state = 'armed' AND h.at > ?1
                    AND (i.state = 'accepted' OR i.state = 'unknown')
                 ORDER BY h.at",
            )?;
            let unsettled = statement.query_map([since.as_millisecond()], |row| row.unsettled())?;
            unsettled.collect()
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

impl Drop for Reader {
    /// Waits until the connection is closed, because an open one prevents a writer from closing the file.
    fn drop(&mut self) {
        drop(self.queries.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

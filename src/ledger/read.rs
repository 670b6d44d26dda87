//! Looking: standings for the plan, pages for reports, never a long transaction.
//!
//! A snapshot that is held stops the log's reuse, so every question is one short
//! statement that is read to its end, and long answers come in pages.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::freshness::{self, Doubt, Surroundings};
use super::runs::{self, CampaignStanding};
use super::{lock, place, schema};
use crate::config::LedgerFiles;
use crate::exit::{self, Exit, Failure, OrExit};
use crate::invitation::{
    Event, Identity, Invitee, MessageIdKey, OCCASION, Record, Standing, State,
};
use crate::link::PackageId;

/// How many records a page has.
const PAGE: u32 = 500;

/// Which records of a campaign are asked for.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those to the package with this id.
    pub package_id: Option<PackageId>,
    /// Only those of this canonical address.
    pub address: Option<String>,
}

/// The columns that [`standing`] reads, in its order, of an invitation `i`.
pub(super) const STANDING: &str =
    "i.state, i.message_id, i.attempts, i.deferrals, i.deferred_since,
    i.next_attempt_at, i.updated_at, i.message_date, i.message_sha256, i.repeat,
    (SELECT smtp_code FROM history WHERE id = i.latest),
    i.deferrals > 0 AND EXISTS (
        SELECT 1 FROM history
        WHERE invitation = i.id AND cause = 'breaker' AND from_state = 'expired' AND id > coalesce(
            (SELECT max(id) FROM history WHERE invitation = i.id AND cause = 'person'), 0))";

/// The columns that [`record`] reads behind those of [`STANDING`], in its order.
const RECORD: &str = "i.id, i.campaign, i.package_id, i.address, i.package, i.email, i.name,
    i.organization, i.locale, i.template_locale, i.created_at, i.accepted_at,
    h.at, h.from_state, h.to_state, h.phase, h.smtp_code, h.enhanced_code,
    h.reply, h.relay, h.message_id, h.note
    FROM invitation AS i LEFT JOIN history AS h ON h.id = i.latest";

type Question = Box<dyn FnOnce(&Connection) + Send>;

/// A view of a ledger. Its connection lives on a thread of its own.
pub struct Reader {
    path: PathBuf,
    questions: Option<mpsc::Sender<Question>>,
    thread: Option<JoinHandle<()>>,
    key: MessageIdKey,
    version: i32,
    /// Whether a run was at work when it was opened.
    live: bool,
    doubt: Option<Doubt>,
    _copy: Option<TempDir>,
}

/// How often, and after which pause, a ledger is opened that a run is changing.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);

impl Reader {
    /// A view for a verb that only looks. It changes nothing, and leaves nothing, in the
    /// ledger's folder.
    ///
    /// Where no run is at work and a killed run has left its log, a private copy under `scratch`
    /// is read, or one in the system's temporary folder. If a run begins or ends meanwhile, it is
    /// tried again.
    ///
    /// # Errors
    /// As [`super::Ledger::open`]; a ledger that runs keep changing is 75.
    pub fn open(files: &LedgerFiles, scratch: Option<&Path>) -> exit::Result<Self> {
        let path = &files.file;
        place::check(path)?;
        for _ in 0..TRIES {
            match Self::try_open(files, scratch)? {
                Some(reader) => return Ok(reader),
                None => std::thread::sleep(PAUSE),
            }
        }
        let message = format!(
            "the ledger `{}` is being changed by a run that begins or ends; try again in a moment",
            path.display()
        );
        Err(Failure::new(Exit::TryLater, message))
    }

    /// One attempt; none if a run has begun or ended meanwhile.
    fn try_open(files: &LedgerFiles, scratch: Option<&Path>) -> exit::Result<Option<Self>> {
        let path = &files.file;
        let live = lock::is_held(path);
        let surroundings = Surroundings::look(files)?;
        let left_over = ["-wal", "-journal"].map(|suffix| schema::companion(path, suffix));
        // A file whose header says so would be given a log again by the mere reading.
        let log_mode = schema::expects_log(path)?;
        let (connection, copy) = if live || !(log_mode || left_over.iter().any(|it| it.exists())) {
            match schema::open_for_reading(path) {
                Ok(connection) => (connection, None),
                // A run that ends, or that was killed while it ended, leaves a journal which only
                // a writer may roll back.
                Err(failure) if failure.exit == Exit::NoPermission => return Ok(None),
                Err(failure) => return Err(failure),
            }
        } else {
            let folder = copy_with_log(path, &left_over, scratch)?;
            if lock::is_held(path) {
                return Ok(None);
            }
            let connection = schema::open_for_recovery(&folder.path().join("ledger"))?;
            (connection, Some(folder))
        };
        // During a run its log is there, or it is about to be.
        let surroundings = Surroundings {
            log_missing: surroundings.log_missing && !live,
            ..surroundings
        };
        let doubt = freshness::doubt(&connection, &surroundings)
            .map_err(|error| schema::failure(path, &error))?;
        let mut reader = Self::start(path, connection, copy)?;
        reader.doubt = doubt;
        reader.live = live;
        Ok(Some(reader))
    }

    /// A view of a ledger that does not exist yet: empty, with a key for this run.
    ///
    /// # Errors
    /// When the system has no memory or no random numbers.
    pub fn empty() -> exit::Result<Self> {
        let key = MessageIdKey::random().or_exit(Exit::CannotWrite)?;
        let connection = schema::in_memory(&key).or_exit(Exit::CannotWrite)?;
        Self::start(Path::new("(no ledger)"), connection, None)
    }

    /// The view of the one who writes.
    pub(super) fn beside_writer(path: &Path) -> exit::Result<Self> {
        Self::start(path, schema::open_for_reading(path)?, None)
    }

    fn start(path: &Path, connection: Connection, copy: Option<TempDir>) -> exit::Result<Self> {
        let key = schema::key(&connection).map_err(|error| schema::failure(path, &error))?;
        let version =
            schema::version(&connection).map_err(|error| schema::failure(path, &error))?;
        let (questions, queue) = mpsc::channel::<Question>();
        let thread = std::thread::Builder::new()
            .name("ledger-reader".into())
            .spawn(move || {
                for question in queue {
                    question(&connection);
                }
            })
            .context("cannot start a thread")
            .or_exit(Exit::CannotWrite)?;
        Ok(Self {
            path: path.to_owned(),
            questions: Some(questions),
            thread: Some(thread),
            key,
            version,
            live: false,
            doubt: None,
            _copy: copy,
        })
    }

    /// The ledger's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key behind the Message-IDs.
    #[must_use]
    pub fn key(&self) -> &MessageIdKey {
        &self.key
    }

    /// Why the ledger may lack what later runs have recorded.
    #[must_use]
    pub fn doubt(&self) -> Option<Doubt> {
        self.doubt
    }

    /// Whether a run was at work on the ledger when it was opened.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Everything that is asked until [`Reader::end_snapshot`] is answered from one state of the
    /// ledger. To be kept short, because a run cannot reuse its log meanwhile.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn begin_snapshot(&self) -> exit::Result<()> {
        self.ask(|connection| {
            connection.execute_batch("BEGIN")?;
            connection.query_row("SELECT count(*) FROM secret", [], |_| Ok(()))
        })
        .await
    }

    /// Ends what [`Reader::begin_snapshot`] has begun.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn end_snapshot(&self) -> exit::Result<()> {
        self.ask(|connection| connection.execute_batch("COMMIT"))
            .await
    }

    /// Refuses a ledger whose tables and indexes do not fit together, as a writing verb does.
    ///
    /// # Errors
    /// When it is damaged (65), or cannot be read.
    pub async fn examine(&self) -> exit::Result<()> {
        match self.ask(schema::examine).await? {
            None => Ok(()),
            Some(verdict) => Err(schema::damaged(&self.path, &verdict)),
        }
    }

    /// Where these invitations stand, each in its place; none for those not recorded.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn standings(
        &self,
        identities: Vec<Identity>,
    ) -> exit::Result<Vec<Option<Standing>>> {
        self.ask(move |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {STANDING} FROM invitation AS i
                 WHERE i.campaign = ?1 AND i.package_id = ?2 AND i.address = ?3 AND i.occasion = ?4"
            ))?;
            identities
                .iter()
                .map(|it| {
                    let package_id = it.package_id.to_string();
                    let key = (&it.campaign, package_id, &it.address, OCCASION);
                    statement.query_row(key, |row| standing(row, 0)).optional()
                })
                .collect()
        })
        .await
    }

    /// All that is recorded of these invitations, each in its place; none for those not recorded.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn records(&self, identities: Vec<Identity>) -> exit::Result<Vec<Option<Record>>> {
        self.ask(move |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {STANDING}, {RECORD}
                 WHERE i.campaign = ?1 AND i.package_id = ?2 AND i.address = ?3 AND i.occasion = ?4"
            ))?;
            identities
                .iter()
                .map(|it| {
                    let package_id = it.package_id.to_string();
                    let key = (&it.campaign, package_id, &it.address, OCCASION);
                    statement.query_row(key, record).optional()
                })
                .collect()
        })
        .await
    }

    /// How many invitations of the campaign are in each state, in the order of [`State::ALL`].
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn counts(&self, campaign: &str) -> exit::Result<Vec<(State, u64)>> {
        let campaign = campaign.to_owned();
        self.ask(move |connection| {
            let mut counts: Vec<_> = State::ALL.into_iter().map(|it| (it, 0)).collect();
            let mut statement = connection.prepare(
                "SELECT state, count(*) FROM invitation WHERE campaign = ?1 GROUP BY state",
            )?;
            let mut rows = statement.query([campaign])?;
            while let Some(row) = rows.next()? {
                let found = state(row, 0)?;
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
    /// When the ledger cannot be read.
    pub async fn page(
        &self,
        campaign: &str,
        selection: &Selection,
        after: i64,
    ) -> exit::Result<Vec<Record>> {
        let campaign = campaign.to_owned();
        let selection = selection.clone();
        self.ask(move |connection| {
            // By the row's number, page after page; the `+` keeps SQLite from sorting them all
            // by way of the index on campaigns.
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {STANDING}, {RECORD}
                 WHERE i.id > ?1 AND +i.campaign = ?2
                    AND (?3 IS NULL OR i.state = ?3)
                    AND (?4 IS NULL OR i.package_id = ?4)
                    AND (?5 IS NULL OR i.address = ?5)
                 ORDER BY i.id LIMIT ?6"
            ))?;
            let rows = statement.query_map(
                (
                    after,
                    campaign,
                    selection.state.map(State::as_str),
                    selection.package_id.map(|it| it.to_string()),
                    selection.address,
                    PAGE,
                ),
                record,
            )?;
            rows.collect()
        })
        .await
    }

    /// The packages that the campaign's invitations are recorded for, each with the keys it had then.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn packages(&self, campaign: &str) -> exit::Result<Vec<(PackageId, String)>> {
        let campaign = campaign.to_owned();
        self.ask(move |connection| {
            let mut statement = connection.prepare(
                "SELECT package_id, package FROM invitation WHERE campaign = ?1
                 GROUP BY package_id, package ORDER BY min(id)",
            )?;
            let rows = statement.query_map([campaign], |row| {
                let id = PackageId::parse(row.get_ref(0)?.as_str()?);
                Ok((id.ok_or(rusqlite::Error::InvalidQuery)?, row.get(1)?))
            })?;
            rows.collect()
        })
        .await
    }

    /// All that ever happened to an invitation, the oldest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn history(&self, id: i64) -> exit::Result<Vec<Event>> {
        self.ask(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT at, from_state, to_state, phase, smtp_code, enhanced_code, reply, relay,
                    message_id, note
                 FROM history WHERE invitation = ?1 ORDER BY id",
            )?;
            statement.query_map([id], |row| event(row, 0))?.collect()
        })
        .await
    }

    /// When dots were attempted since `since`, over all campaigns, the oldest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn dots_since(&self, since: Timestamp) -> exit::Result<Vec<Timestamp>> {
        self.ask(move |connection| {
            let mut statement = connection.prepare(
                "SELECT at FROM history WHERE to_state = 'armed' AND at > ?1 ORDER BY at",
            )?;
            statement
                .query_map([since.as_millisecond()], |row| timestamp(row, 0))?
                .collect()
        })
        .await
    }

    /// What the guards ask about a campaign.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn campaign(&self, campaign: &str) -> exit::Result<CampaignStanding> {
        let campaign = campaign.to_owned();
        let version = self.version;
        self.ask(move |connection| {
            if version >= 2 {
                return runs::campaign_standing(connection, &campaign);
            }
            let all: Vec<String> = connection
                .prepare("SELECT DISTINCT campaign FROM invitation")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(CampaignStanding {
                confirmed: all.contains(&campaign),
                gap: None,
                others: all.into_iter().filter(|it| *it != campaign).collect(),
            })
        })
        .await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> exit::Result<T> {
        let (answer, waiting) = oneshot::channel();
        let asked = self.questions.as_ref().is_some_and(|it| {
            it.send(Box::new(move |connection| {
                let _ = answer.send(question(connection));
            }))
            .is_ok()
        });
        let gone = || Failure::new(Exit::CannotWrite, "the ledger's reader has stopped");
        if !asked {
            return Err(gone());
        }
        waiting
            .await
            .map_err(|_| gone())?
            .map_err(|error| schema::failure(&self.path, &error))
    }
}

/// Copies a ledger together with the log or journal that a killed run has left.
fn copy_with_log(
    path: &Path,
    left_over: &[PathBuf; 2],
    scratch: Option<&Path>,
) -> exit::Result<TempDir> {
    let folder = match scratch {
        Some(scratch) => tempfile::tempdir_in(scratch),
        None => tempfile::tempdir(),
    };
    let folder = folder
        .context("cannot create a folder for a copy of the ledger")
        .or_exit(Exit::CannotWrite)?;
    let copy = folder.path().join("ledger");
    for (from, suffix) in [path, &left_over[0], &left_over[1]]
        .into_iter()
        .zip(["", "-wal", "-journal"])
    {
        let to = schema::companion(&copy, suffix);
        match std::fs::copy(from, &to) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            result => {
                result
                    .with_context(|| format!("cannot copy the ledger `{}`", from.display()))
                    .or_exit(Exit::CannotWrite)?;
            }
        }
    }
    Ok(folder)
}

impl Drop for Reader {
    /// Waits until the connection is closed: an open one would keep the file from coming to rest.
    fn drop(&mut self) {
        drop(self.questions.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A state by its name in a column.
pub fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<State> {
    optional_state(row, column)?.ok_or(rusqlite::Error::InvalidQuery)
}

fn optional_state(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<State>> {
    let name: Option<String> = row.get(column)?;
    Ok(name.and_then(|it| State::from_name(&it)))
}

fn timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    optional_timestamp(row, column)?.ok_or(rusqlite::Error::InvalidQuery)
}

fn optional_timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let milliseconds: Option<i64> = row.get(column)?;
    Ok(milliseconds.and_then(|it| Timestamp::from_millisecond(it).ok()))
}

pub(super) fn standing(row: &Row<'_>, first: usize) -> rusqlite::Result<Standing> {
    let date: Option<i64> = row.get(first + 7)?;
    let sha256: Option<[u8; 32]> = row.get(first + 8)?;
    let deferrals: u32 = row.get(first + 3)?;
    let latest_code: Option<u16> = row.get(first + 10)?;
    Ok(Standing {
        state: state(row, first)?,
        message_id: row.get(first + 1)?,
        attempts: row.get(first + 2)?,
        deferrals,
        deferred_since: optional_timestamp(row, first + 4)?,
        next_attempt_at: optional_timestamp(row, first + 5)?,
        updated_at: timestamp(row, first + 6)?,
        message: date
            .and_then(|it| Timestamp::from_second(it).ok())
            .zip(sha256),
        repeat: row.get(first + 9)?,
        refused: deferrals > 0 || latest_code.is_some_and(|it| it >= 400),
        put_back: row.get(first + 11)?,
    })
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let package_id: String = row.get(14)?;
    let package_id = PackageId::parse(&package_id);
    Ok(Record {
        id: row.get(12)?,
        identity: Identity {
            campaign: row.get(13)?,
            package_id: package_id.ok_or(rusqlite::Error::InvalidQuery)?,
            address: row.get(15)?,
        },
        invitee: Invitee {
            package: row.get(16)?,
            email: row.get(17)?,
            name: row.get(18)?,
            organization: row.get(19)?,
            locale: row.get(20)?,
            template_locale: row.get(21)?,
        },
        created_at: timestamp(row, 22)?,
        accepted_at: optional_timestamp(row, 23)?,
        standing: standing(row, 0)?,
        latest: event(row, 24)?,
    })
}

fn event(row: &Row<'_>, first: usize) -> rusqlite::Result<Event> {
    Ok(Event {
        at: timestamp(row, first)?,
        from: optional_state(row, first + 1)?,
        to: state(row, first + 2)?,
        phase: row.get(first + 3)?,
        smtp_code: row.get(first + 4)?,
        enhanced_code: row.get(first + 5)?,
        reply: row.get(first + 6)?,
        relay: row.get(first + 7)?,
        message_id: row.get(first + 8)?,
        note: row.get(first + 9)?,
    })
}

//! The ledger: all invitations, and every attempt with its reply.
//!
//! Changes are expressed in terms of [`crate::invitation`], checked by its transition function, and durable
//! when the call returns. Callers see neither rows nor transactions. SQL is confined to `sqlite`, which
//! guarantees:
//!
//! - During a run: WAL with `synchronous=FULL`, so that no acknowledged change is lost in a power failure, and
//!   readers never wait.
//! - Before the first final dot: the log is grown, free pages are reserved and rows are padded, so that the
//!   outcomes of armed messages can be recorded on a full disk.
//! - Between runs: no `-wal` and no `-shm`, so that a copy of the file is complete. If a reader prevents
//!   that, the next writer tries again.

mod access;
mod columns;
mod copy;
mod copy_tables;
mod error;
mod freshness;
mod invitation_row;
mod lock;
mod opened;
mod pending;
mod person_access;
mod postgres;
mod reader;
mod records;
mod refusal;
mod sidecar;
mod sqlite;
mod store;
mod verified;
mod withdrawal;
mod witness;

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

pub use self::copy::{Copied, copy};
pub use self::error::LedgerError;
use self::error::Result;
pub use self::freshness::Staleness;
use self::lock::RunLock;
pub use self::pending::PendingCommit;
pub use self::person_access::{AccessChange, PersonAccess};
pub use self::reader::Reader;
pub use self::records::{
    Approval, CampaignStanding, Change, ChangeResults, Enrolment, Forgotten, Gap, Notification,
    Notified, RateLimits, RecordFilter, RecordedChange, RunEnd, RunRecord, RunStart,
    SentInvitation, Suppressed, Unsettled,
};
#[cfg(test)]
pub use self::sqlite::fault_injection;
use self::sqlite::{Examined, WriterThread};
use self::store::{Store, on_writer};
pub use self::verified::Verified;
use self::witness::{Witness, WitnessMark};
use crate::address::Address;
use crate::config::{LedgerFiles, LedgerLocation};
use crate::files::folder_of;
use crate::finding::Finding;
use crate::invitation::{AddressPattern, Identity, Standing, State, Suppression};
use crate::link::PackageId;
use crate::outcome::{Phase, Reply};

/// How often the ledger is opened beside a run that begins or ends.
const TRIES: u32 = 20;
/// How long a report is not repeated.
const NOTICE_INTERVAL: SignedDuration = SignedDuration::from_hours(24);

/// The ledger, open for a verb that writes.
pub struct Ledger {
    store: Store,
    reader: Reader,
    scratch_folder: PathBuf,
    /// Released after everything else is closed; none for a scratch ledger, beside another run, and in a database.
    _lock: Option<RunLock>,
    /// Removed at the end: the scratch folder of a ledger in a database.
    _scratch: Option<TempDir>,
}

impl Ledger {
    /// Creates an empty ledger, unless there is one; returns whether it was created.
    ///
    /// # Errors
    /// If there is a witness of a ledger that is missing, or it cannot be written.
    pub fn create_if_missing(location: &LedgerLocation) -> Result<bool> {
        match location {
            LedgerLocation::File(files) if files.file.exists() => Ok(false),
            LedgerLocation::File(files) => {
                freshness::refuse_witness_without_ledger(location)?;
                sqlite::create(&files.file).map(|()| true)
            }
            LedgerLocation::Server(server) => postgres::create_if_missing(server),
        }
    }

    /// Creates an empty scratch ledger, which is deleted with its folder.
    ///
    /// # Errors
    /// If the file exists or cannot be written.
    pub fn create_scratch(path: &Path) -> Result<()> {
        sqlite::create(path)
    }

    /// Checks that there is a usable ledger, before anything is created beside it. A database is checked when it is
    /// opened.
    ///
    /// # Errors
    /// If it is missing, not a regular file, open to everyone, or has a second name.
    pub fn check(location: &LedgerLocation) -> Result<()> {
        match location {
            LedgerLocation::File(files) => sqlite::check(&files.file),
            LedgerLocation::Server(_) => Ok(()),
        }
    }

    /// Checks that this user can write it, before anything is created beside it.
    ///
    /// # Errors
    /// As [`Ledger::check`], and if the file or its folder cannot be written.
    pub fn check_writable(location: &LedgerLocation) -> Result<()> {
        match location {
            LedgerLocation::File(files) => {
                sqlite::check(&files.file)?;
                sqlite::check_writable(&files.file)
            }
            LedgerLocation::Server(_) => Ok(()),
        }
    }

    /// What works, but is unsafe, about its location: a network file system, a folder that everyone may
    /// write, another user's file, a witness that cannot be written.
    #[must_use]
    pub fn warnings(location: &LedgerLocation) -> Vec<Finding> {
        match location {
            LedgerLocation::File(files) => sqlite::warnings(&files.file),
            LedgerLocation::Server(server) => postgres::warnings(server),
        }
    }

    /// What `check` finds at the server of a ledger in a database; nothing about a file.
    #[must_use]
    pub fn server_findings(location: &LedgerLocation) -> Vec<Finding> {
        match location {
            LedgerLocation::File(_) => Vec::new(),
            LedgerLocation::Server(server) => postgres::server_findings(server),
        }
    }

    /// Opens a scratch ledger: without lock, witness and recorded run.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open_scratch(path: &Path) -> Result<Self> {
        let (writer, reader) = sqlite::open_scratch(path)?;
        Ok(Self {
            store: Store::Sqlite(writer),
            reader: Reader::of_file(reader),
            scratch_folder: folder_of(path).to_owned(),
            _lock: None,
            _scratch: None,
        })
    }

    /// A ledger of the simulation.
    #[cfg(test)]
    fn simulated(writer: sqlite::WriterHandle) -> Result<Self> {
        Ok(Self {
            store: Store::Sqlite(writer),
            reader: Reader::empty()?,
            scratch_folder: PathBuf::new(),
            _lock: None,
            _scratch: None,
        })
    }

    /// Opens the ledger for a run, and records the run. Nothing is changed unless the witness attests that
    /// this is the newest copy.
    ///
    /// # Errors
    /// If it is missing, not usable, damaged, open to everyone or older than its witness; if another
    /// run or program holds it; or if it cannot be written.
    pub fn open(location: &LedgerLocation, start: &RunStart) -> Result<Self> {
        Self::open_checked(location, start, false)
    }

    /// As [`Ledger::open`], for a copy that a person accepts although it may be older.
    ///
    /// # Errors
    /// As [`Ledger::open`], except for the witness.
    pub fn open_although_older(location: &LedgerLocation, start: &RunStart) -> Result<Self> {
        Self::open_checked(location, start, true)
    }

    /// Opens the ledger for a few short transactions: alone, and runs that begin meanwhile wait; or beside
    /// the run that is using it, which then waits for each of them.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open_briefly(location: &LedgerLocation, start: &RunStart) -> Result<Self> {
        let files = match location {
            LedgerLocation::File(files) => files,
            LedgerLocation::Server(_) => return Self::open(location, start),
        };
        Self::check_writable(location)?;
        for attempt in 1.. {
            let (lock, examined) = match RunLock::take_briefly(&files.file) {
                Ok(lock) => (Some(lock), Examined::open(files)),
                Err(LedgerError::Busy(_)) => (None, Examined::open_beside_run(files)),
                Err(error) => return Err(error),
            };
            match examined {
                // The other run begins or ends at this moment. Trying the lock takes a tenth of a second.
                Err(LedgerError::Busy(_)) if lock.is_none() && attempt < TRIES => {}
                examined => return Self::begin_run(files, start, lock, examined?, false),
            }
        }
        unreachable!("the last attempt returns")
    }

    fn open_checked(
        location: &LedgerLocation,
        start: &RunStart,
        accept_older: bool,
    ) -> Result<Self> {
        let files = match location {
            LedgerLocation::File(files) => files,
            LedgerLocation::Server(server) => {
                let (writer, reader) = postgres::open(server, start, accept_older)?;
                let scratch = TempDir::new().map_err(|error| {
                    LedgerError::CannotWrite(format!("cannot create a temporary folder: {error}"))
                })?;
                return Ok(Self {
                    store: Store::Postgres(writer),
                    reader: Reader::of_database(reader),
                    scratch_folder: scratch.path().to_owned(),
                    _lock: None,
                    _scratch: Some(scratch),
                });
            }
        };
        Self::check_writable(location)?;
        let lock = RunLock::take(&files.file)?;
        Self::begin_run(
            files,
            start,
            Some(lock),
            Examined::open(files)?,
            accept_older,
        )
    }

    fn begin_run(
        files: &LedgerFiles,
        start: &RunStart,
        lock: Option<RunLock>,
        examined: Examined,
        accept_older: bool,
    ) -> Result<Self> {
        let witness = match examined.staleness {
            // Created before the ledger is changed, so that the ledger does not seem older if this
            // run fails here.
            None => {
                let mark = WitnessMark::unwritten(examined.id);
                Some(Witness::open_or_create(&files.witness, mark, &files.file)?)
            }
            // The witness stays as it is until the older ledger is accepted.
            Some(_) if accept_older => None,
            Some(staleness) => {
                examined.close();
                return Err(staleness.error(&LedgerLocation::File(files.clone())));
            }
        };
        let (writer, reader) = examined.begin_run(files, witness, start)?;
        Ok(Self {
            store: Store::Sqlite(writer),
            reader: Reader::of_file(reader),
            scratch_folder: folder_of(&files.file).to_owned(),
            _lock: lock,
            _scratch: None,
        })
    }

    /// A folder for temporary files that only this user can read.
    #[must_use]
    pub fn scratch_folder(&self) -> &Path {
        &self.scratch_folder
    }

    /// A view of the ledger.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Turns every `armed` invitation of a killed run into `unknown`; gives how many there were.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn recover(&self, at: Timestamp) -> Result<u64> {
        on_writer!(self.store, it => it.recover(at))
    }

    /// Claims invitations for this run: gives the standing of each that it may send, in their order. `None` if no
    /// other run can send from this ledger at the same time, so that there is nothing to claim.
    ///
    /// # Errors
    /// If that cannot be recorded, or other runs count this one as lost.
    pub async fn claim(&self, identities: &[Identity]) -> Result<Option<Vec<Option<Standing>>>> {
        match &self.store {
            Store::Sqlite(_) => Ok(None),
            Store::Postgres(writer) => {
                let identities = identities.to_vec();
                let claim = async move |it: &mut postgres::Writer| it.claim(&identities).await;
                writer.run(claim).await.map(Some)
            }
        }
    }

    /// Announces what this run sends, before it sends: a digest of its inputs. `None` if no other run can send from this
    /// ledger, or none sends the same campaign from other inputs; otherwise a description of that run.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn announce(&self, inputs: &str) -> Result<Option<String>> {
        let inputs = inputs.to_owned();
        match &self.store {
            Store::Sqlite(_) => Ok(None),
            Store::Postgres(writer) => {
                let announce = async move |it: &mut postgres::Writer| it.announce(&inputs).await;
                writer.run(announce).await
            }
        }
    }

    /// Limits the rate of what all runs together send from this ledger. In a file, there is only one run, which keeps
    /// its limits itself.
    ///
    /// # Errors
    /// If the writer has stopped.
    pub async fn limit_rates(&self, limits: RateLimits) -> Result<()> {
        match &self.store {
            Store::Sqlite(_) => Ok(()),
            Store::Postgres(writer) => {
                let limit = async move |it: &mut postgres::Writer| {
                    it.limit_rates(limits);
                    Ok(())
                };
                writer.run(limit).await
            }
        }
    }

    /// The canonical addresses that the relay has refused like this since it last accepted a message, in all runs.
    /// `None` if no other run can send from this ledger.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn refused_alike(
        &self,
        relay: &str,
        phase: Phase,
        reply: &Reply,
    ) -> Result<Option<Vec<String>>> {
        match &self.store {
            Store::Sqlite(_) => Ok(None),
            Store::Postgres(writer) => {
                let (relay, reply) = (relay.to_owned(), reply.clone());
                let read = async move |it: &mut postgres::Writer| {
                    it.refused_alike(&relay, phase, &reply).await
                };
                writer.run(read).await.map(Some)
            }
        }
    }

    /// Whether other runs can send from this ledger at the same time.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.store, Store::Postgres(_))
    }

    /// Whether a final dot may be written now: no other run can have taken over what this one has armed.
    #[must_use]
    pub fn may_send(&self) -> bool {
        match &self.store {
            Store::Sqlite(_) => true,
            Store::Postgres(writer) => writer.lease.holds(),
        }
    }

    /// Why no final dot may be written.
    #[must_use]
    pub fn lease_error(&self) -> LedgerError {
        match &self.store {
            Store::Sqlite(_) => LedgerError::run_lost(),
            Store::Postgres(writer) => writer.lease.error(),
        }
    }

    /// Records new invitations, all or none, and confirms the campaign, in one transaction. Reserves disk
    /// space for so many attempts. The invitations are read within the transaction, so that they need not
    /// fit into memory.
    ///
    /// # Errors
    /// If an invitation cannot be read, or it cannot be recorded, or there is no space for the attempts,
    /// for instance on a full disk.
    pub async fn enrol<E: From<LedgerError> + Send + 'static>(
        &self,
        attempts: u64,
        campaign: &str,
        invitations: impl Iterator<Item = std::result::Result<Enrolment, E>> + Send + 'static,
        at: Timestamp,
    ) -> std::result::Result<(), E> {
        let campaign = campaign.to_owned();
        match &self.store {
            Store::Sqlite(writer) => {
                let enrol =
                    move |it: &mut WriterThread| Ok(it.enrol(attempts, &campaign, invitations, at));
                writer.run(enrol).await?
            }
            Store::Postgres(writer) => {
                let enrol = async move |it: &mut postgres::Writer| {
                    Ok(it.enrol(&campaign, invitations, at).await)
                };
                writer.run(enrol).await?
            }
        }
    }

    /// Records a person's decision about an invitation that no run has recorded. Gives the new state.
    ///
    /// # Errors
    /// If the decision is not allowed, or cannot be recorded.
    pub async fn decide_unrecorded(&self, enrolment: Enrolment, change: Change) -> Result<State> {
        on_writer!(self.store, it => it.decide_unrecorded(&enrolment, &change))
    }

    /// Accepts an older copy: what unrecorded runs may have mailed becomes `unknown`, and no campaign remains
    /// confirmed. Gives how many invitations became `unknown`.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn accept_older(&self, gap: Gap) -> Result<u64> {
        on_writer!(self.store, it => it.accept_older(&gap))
    }

    /// Erases everything about an address in all campaigns, in the whole file. A tombstone remains, so that it is
    /// never mailed again.
    ///
    /// # Errors
    /// If a message to it is being sent (an internal error), another program is reading the ledger, or it cannot
    /// be written. The file may still have the address then.
    pub async fn forget(&self, address: &Address, at: Timestamp) -> Result<Forgotten> {
        let address = address.clone();
        on_writer!(self.store, it => it.forget(&address, at))
    }

    /// Erases the invitations of all campaigns that are closed and have not changed since `until`; gives how
    /// many. A tombstone of each remains, so that it is never sent again.
    ///
    /// # Errors
    /// As [`Ledger::forget`].
    pub async fn erase_closed(&self, until: Timestamp, at: Timestamp) -> Result<u64> {
        on_writer!(self.store, it => it.erase_closed(until, at))
    }

    /// Records how the run ended.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn end_run(&self, end: RunEnd) -> Result<()> {
        on_writer!(self.store, it => it.end_run(&end))
    }

    /// Records an approval.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn approve(&self, approval: Approval) -> Result<()> {
        on_writer!(self.store, it => it.approve(&approval))
    }

    /// Records reports, all or none, each of them once. Gives what each of them did.
    ///
    /// # Errors
    /// If they cannot be recorded.
    pub async fn notify(&self, notifications: Vec<Notification>) -> Result<Vec<Notified>> {
        on_writer!(self.store, it => it.notify(&notifications))
    }

    /// Adds entries to the suppression list, all or none, and suppresses what is due to them. Gives what each
    /// did.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn suppress(
        &self,
        entries: Vec<(AddressPattern, Suppression)>,
    ) -> Result<Vec<Suppressed>> {
        on_writer!(self.store, it => it.suppress(&entries))
    }

    /// Removes entries from the suppression list, all of them or, if one is missing, none. Gives how many invitations
    /// of each became pending; none for a missing entry.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn unsuppress(
        &self,
        patterns: Vec<AddressPattern>,
        at: Timestamp,
        note: Option<String>,
    ) -> Result<Vec<Option<u64>>> {
        on_writer!(self.store, it => it.unsuppress(&patterns, at, note.as_deref()))
    }

    /// Replaces what is recorded about a package by a complete reading of its requests, which began at `at`, in
    /// short transactions. `people` has the order of the hashes, each of them once. A person who is missing has no
    /// request any more. Gives whose state has changed.
    ///
    /// # Errors
    /// If it cannot be recorded. Some of it may be recorded then; the time of the reading is not.
    pub async fn record_access(
        &self,
        package: PackageId,
        people: &[PersonAccess],
        at: Timestamp,
    ) -> Result<Vec<AccessChange>> {
        access::record(&self.store, &self.reader, package, people, at).await
    }

    /// Applies a change; it is durable when this returns. Gives the new state.
    ///
    /// # Errors
    /// If the transition is not allowed (an internal error) or cannot be recorded.
    pub fn apply(&self, change: Change) -> impl Future<Output = Result<State>> {
        let results = self.submit(vec![change]).results();
        async {
            results
                .await
                .pop()
                .expect("there is a result for each change")
        }
    }

    /// Submits changes for one commit; [`PendingCommit::results`] waits until they are durable.
    /// One that is refused does not prevent the others.
    #[must_use]
    pub fn submit(&self, changes: Vec<Change>) -> PendingCommit {
        match &self.store {
            Store::Sqlite(writer) => writer.submit(changes),
            Store::Postgres(writer) => writer.submit(changes),
        }
    }

    /// Whether the report of this name is due: once, and then once a day. If so, it is noted as reported.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn notice_due(&self, name: &str, now: Timestamp) -> Result<bool> {
        // A time in the future was set by a wrong clock.
        let is_recent = |at: Timestamp| at <= now && now.duration_since(at) < NOTICE_INTERVAL;
        if self.notice(name).await?.is_some_and(is_recent) {
            return Ok(false);
        }
        self.set_notice(name, Some(now)).await.map(|()| true)
    }

    /// When this notice was set; none if it was not, or was removed.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn notice(&self, name: &str) -> Result<Option<Timestamp>> {
        let name = name.to_owned();
        on_writer!(self.store, it => it.notice(&name))
    }

    /// Sets a notice for later runs, or removes it.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn set_notice(&self, name: &str, at: Option<Timestamp>) -> Result<()> {
        let name = name.to_owned();
        on_writer!(self.store, it => it.set_notice(&name, at))
    }

    /// Closes the ledger.
    ///
    /// # Errors
    /// If the log cannot be written into the file; nothing is lost then.
    pub async fn close(self) -> Result<()> {
        drop(self.reader);
        match self.store {
            Store::Sqlite(writer) => writer.close().await,
            Store::Postgres(writer) => writer.close().await,
        }
    }
}

#[cfg(test)]
mod tests;

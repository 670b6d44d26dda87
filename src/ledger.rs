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
mod error;
mod freshness;
mod lock;
mod person_access;
mod records;
mod sidecar;
mod sqlite;
mod witness;

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

pub use self::error::LedgerError;
use self::error::Result;
pub use self::freshness::Staleness;
use self::lock::RunLock;
pub use self::person_access::{AccessChange, PersonAccess};
pub use self::records::{
    Approval, CampaignStanding, Change, ChangeResults, Enrolment, Forgotten, Gap, Notification,
    Notified, RecordFilter, RecordedChange, RunEnd, RunRecord, RunStart, SentInvitation,
    Suppressed, Unsettled,
};
#[cfg(test)]
pub use self::sqlite::fault_injection;
use self::sqlite::{Examined, WriterHandle, WriterThread};
pub use self::sqlite::{PendingCommit, Reader, Verified};
use self::witness::{Witness, WitnessMark};
use crate::address::Address;
use crate::config::LedgerFiles;
use crate::files::folder_of;
use crate::finding::Finding;
use crate::invitation::{AddressPattern, State, Suppression};
use crate::link::PackageId;

/// How often the ledger is opened beside a run that begins or ends.
const TRIES: u32 = 20;
/// How long a report is not repeated.
const NOTICE_INTERVAL: SignedDuration = SignedDuration::from_hours(24);

/// The ledger, open for a verb that writes.
pub struct Ledger {
    writer: WriterHandle,
    reader: Reader,
    scratch_folder: PathBuf,
    /// Released after everything else is closed; none for a scratch ledger, and beside another run.
    _lock: Option<RunLock>,
}

impl Ledger {
    /// Creates an empty ledger.
    ///
    /// # Errors
    /// If there is one, if there is a witness of one, or if it cannot be written.
    pub fn create(files: &LedgerFiles) -> Result<()> {
        freshness::refuse_witness_without_ledger(files)?;
        sqlite::create(&files.file)
    }

    /// Creates an empty scratch ledger, which is deleted with its folder.
    ///
    /// # Errors
    /// If the file exists or cannot be written.
    pub fn create_scratch(path: &Path) -> Result<()> {
        sqlite::create(path)
    }

    /// Checks that there is a usable ledger, before anything is created beside it.
    ///
    /// # Errors
    /// If it is missing, not a regular file, open to everyone, or has a second name.
    pub fn check(files: &LedgerFiles) -> Result<()> {
        sqlite::check(&files.file)
    }

    /// Checks that this user can write it, before anything is created beside it.
    ///
    /// # Errors
    /// As [`Ledger::check`], and if the file or its folder cannot be written.
    pub fn check_writable(files: &LedgerFiles) -> Result<()> {
        sqlite::check(&files.file)?;
        sqlite::check_writable(&files.file)
    }

    /// What works, but is unsafe, about its location: a network file system, a folder that everyone may
    /// write, another user's file.
    #[must_use]
    pub fn warnings(files: &LedgerFiles) -> Vec<Finding> {
        sqlite::warnings(&files.file)
    }

    /// Opens a scratch ledger: without lock, witness and recorded run.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open_scratch(path: &Path) -> Result<Self> {
        let (writer, reader) = sqlite::open_scratch(path)?;
        Ok(Self {
            writer,
            reader,
            scratch_folder: folder_of(path).to_owned(),
            _lock: None,
        })
    }

    /// Opens the ledger for a run, and records the run. Nothing is changed unless the witness attests that
    /// this is the newest copy.
    ///
    /// # Errors
    /// If it is missing, not usable, damaged, open to everyone or older than its witness; if another
    /// run or program holds it; or if it cannot be written.
    pub fn open(files: &LedgerFiles, start: &RunStart) -> Result<Self> {
        Self::open_checked(files, start, false)
    }

    /// As [`Ledger::open`], for a copy that a person accepts although it may be older.
    ///
    /// # Errors
    /// As [`Ledger::open`], except for the witness.
    pub fn open_although_older(files: &LedgerFiles, start: &RunStart) -> Result<Self> {
        Self::open_checked(files, start, true)
    }

    /// Opens the ledger for a few short transactions: alone, and runs that begin meanwhile wait; or beside
    /// the run that is using it, which then waits for each of them.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open_briefly(files: &LedgerFiles, start: &RunStart) -> Result<Self> {
        Self::check_writable(files)?;
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

    fn open_checked(files: &LedgerFiles, start: &RunStart, accept_older: bool) -> Result<Self> {
        Self::check_writable(files)?;
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
                return Err(staleness.error(files));
            }
        };
        let (writer, reader) = examined.begin_run(files, witness, start)?;
        Ok(Self {
            writer,
            reader,
            scratch_folder: folder_of(&files.file).to_owned(),
            _lock: lock,
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
        self.writer.run(move |it| it.recover(at)).await
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
        let enrol = move |it: &mut WriterThread| Ok(it.enrol(attempts, &campaign, invitations, at));
        self.writer.run(enrol).await?
    }

    /// Records a person's decision about an invitation that no run has recorded. Gives the new state.
    ///
    /// # Errors
    /// If the decision is not allowed, or cannot be recorded.
    pub async fn decide_unrecorded(&self, enrolment: Enrolment, change: Change) -> Result<State> {
        let decide = move |it: &mut WriterThread| it.decide_unrecorded(&enrolment, &change);
        self.writer.run(decide).await
    }

    /// Accepts an older copy: what unrecorded runs may have mailed becomes `unknown`, and no campaign remains
    /// confirmed. Gives how many invitations became `unknown`.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn accept_older(&self, gap: Gap) -> Result<u64> {
        self.writer.run(move |it| it.accept_older(&gap)).await
    }

    /// Erases everything about an address in all campaigns, in the whole file. A tombstone remains, so that it is
    /// never mailed again.
    ///
    /// # Errors
    /// If a message to it is being sent (an internal error), another program is reading the ledger, or it cannot
    /// be written. The file may still have the address then.
    pub async fn forget(&self, address: &Address, at: Timestamp) -> Result<Forgotten> {
        let address = address.clone();
        self.writer.run(move |it| it.forget(&address, at)).await
    }

    /// Erases the invitations of all campaigns that are closed and have not changed since `until`; gives how
    /// many. A tombstone of each remains, so that it is never sent again.
    ///
    /// # Errors
    /// As [`Ledger::forget`].
    pub async fn erase_closed(&self, until: Timestamp, at: Timestamp) -> Result<u64> {
        self.writer.run(move |it| it.erase_closed(until, at)).await
    }

    /// Records how the run ended.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn end_run(&self, end: RunEnd) -> Result<()> {
        self.writer.run(move |it| it.end_run(&end)).await
    }

    /// Records an approval.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn approve(&self, approval: Approval) -> Result<()> {
        self.writer.run(move |it| it.approve(&approval)).await
    }

    /// Records reports, all or none, each of them once. Gives what each of them did.
    ///
    /// # Errors
    /// If they cannot be recorded.
    pub async fn notify(&self, notifications: Vec<Notification>) -> Result<Vec<Notified>> {
        self.writer.run(move |it| it.notify(&notifications)).await
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
        self.writer.run(move |it| it.suppress(&entries)).await
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
        let unsuppress = move |it: &mut WriterThread| it.unsuppress(&patterns, at, note.as_deref());
        self.writer.run(unsuppress).await
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
        access::record(&self.writer, &self.reader, package, people, at).await
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
        self.writer.submit(changes)
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
        self.writer.run(move |it| it.notice(&name)).await
    }

    /// Sets a notice for later runs, or removes it.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn set_notice(&self, name: &str, at: Option<Timestamp>) -> Result<()> {
        let name = name.to_owned();
        self.writer.run(move |it| it.set_notice(&name, at)).await
    }

    /// Closes the ledger.
    ///
    /// # Errors
    /// If the log cannot be written into the file; nothing is lost then.
    pub async fn close(self) -> Result<()> {
        drop(self.reader);
        self.writer.close().await
    }
}

#[cfg(test)]
mod tests;

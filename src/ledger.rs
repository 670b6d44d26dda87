//! The ledger: which invitations exist, and every attempt with its reply.
//!
//! A change of state is requested in terms of [`crate::invitation`], checked by its transition
//! function, and durable when the call returns. The callers see neither rows nor transactions.
//! Everything that knows SQL is in `sqlite`; what it promises:
//!
//! - WAL with `synchronous=FULL` during a run: one fsync a commit, no acknowledged change is lost in a
//!   power failure, and readers wait for nobody.
//! - Before the first final dot the log is grown, free pages are reserved and rows are padded, so that
//!   the outcomes of armed messages fit on a full disk.
//! - Between runs the file has no `-wal` and no `-shm`, so a copy of it is complete. If a reader prevents
//!   that, the next writer tries again.

mod error;
mod freshness;
mod lock;
mod records;
mod sidecar;
mod sqlite;
mod witness;

use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub use self::error::LedgerError;
use self::error::Result;
pub use self::freshness::Staleness;
use self::lock::RunLock;
pub use self::records::{
    CampaignStanding, Change, ChangeResults, Enrolment, Gap, RecordFilter, RunEnd, RunStart,
};
#[cfg(test)]
pub use self::sqlite::fault_injection;
use self::sqlite::{Action, Examined, WriterHandle, WriterThread};
pub use self::sqlite::{PendingCommit, Reader};
use self::witness::Mark;
use crate::config::LedgerFiles;
use crate::finding::Finding;
use crate::invitation::State;

/// The ledger, open for a verb that writes.
pub struct Ledger {
    writer: WriterHandle,
    reader: Reader,
    scratch_folder: PathBuf,
    /// Released after everything else is closed; none for a ledger that is thrown away.
    _lock: Option<RunLock>,
}

impl Ledger {
    /// Creates an empty ledger.
    ///
    /// # Errors
    /// If there is one, if a witness says that there was one, or if it cannot be written.
    pub fn create(files: &LedgerFiles) -> Result<()> {
        freshness::refuse_witness_without_ledger(files)?;
        sqlite::create(&files.file)
    }

    /// Creates an empty ledger that is thrown away with its folder.
    ///
    /// # Errors
    /// If the file exists or cannot be written.
    pub fn create_scratch(path: &Path) -> Result<()> {
        sqlite::create(path)
    }

    /// Whether there is a ledger that may be used, before anything is created beside it.
    ///
    /// # Errors
    /// If it is missing, no file, open to everyone, or has a second name.
    pub fn check(files: &LedgerFiles) -> Result<()> {
        sqlite::check(&files.file)
    }

    /// Whether this user can write into it, before anything is created beside it.
    ///
    /// # Errors
    /// As [`Ledger::check`], and if the file or its folder cannot be written.
    pub fn check_writable(files: &LedgerFiles) -> Result<()> {
        sqlite::check(&files.file)?;
        sqlite::check_writable(&files.file)
    }

    /// What works, but is unwise, about its place: a network file system, a folder that everyone may
    /// write, another user's file.
    #[must_use]
    pub fn warnings(files: &LedgerFiles) -> Vec<Finding> {
        sqlite::warnings(&files.file)
    }

    /// Opens a ledger that is thrown away: without a lock, a witness, and a run on record.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open_scratch(path: &Path) -> Result<Self> {
        let (writer, reader) = sqlite::open_scratch(path)?;
        Ok(Self {
            writer,
            reader,
            scratch_folder: sidecar::folder_of(path).to_owned(),
            _lock: None,
        })
    }

    /// Opens the ledger for a run, and records the run. Nothing is changed unless the witness shows that
    /// this is the newest copy.
    ///
    /// # Errors
    /// If it is missing, not usable, damaged, open to everyone or older than its witness; if another
    /// run or program holds it; or if it cannot be written.
    pub fn open(files: &LedgerFiles, start: &RunStart) -> Result<Self> {
        Self::open_if(files, start, |doubt| Err(doubt.error(files)))
    }

    /// As [`Ledger::open`], for a copy that a person is about to accept although it may be older.
    ///
    /// # Errors
    /// As [`Ledger::open`], except for the witness.
    pub fn open_although_older(files: &LedgerFiles, start: &RunStart) -> Result<Self> {
        Self::open_if(files, start, |_| Ok(()))
    }

    fn open_if(
        files: &LedgerFiles,
        start: &RunStart,
        accept: impl Fn(Staleness) -> Result<()>,
    ) -> Result<Self> {
        Self::check_writable(files)?;
        let lock = RunLock::take(&files.file)?;
        let examined = Examined::open(files)?;
        if let Some(Err(refused)) = examined.doubt.map(accept) {
            examined.close();
            return Err(refused);
        }
        // Created before the ledger is changed, so that a run which fails here raises no doubt in
        // the next. If there is a doubt already, it remains until a person has accepted the ledger.
        let witness = if examined.doubt.is_some() {
            None
        } else {
            let mark = Mark::unwritten(examined.id);
            Some(freshness::open_witness(&files.witness, mark, &files.file)?)
        };
        let (writer, reader) = examined.begin_run(files, witness, start)?;
        Ok(Self {
            writer,
            reader,
            scratch_folder: sidecar::folder_of(&files.file).to_owned(),
            _lock: Some(lock),
        })
    }

    /// A folder for temporary files that only this user can read.
    #[must_use]
    pub fn scratch_folder(&self) -> &Path {
        &self.scratch_folder
    }

    /// The reading side.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Turns every `armed` invitation, left by a run that was killed, into `unknown`; gives how many.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn recover(&self, at: Timestamp) -> Result<u64> {
        self.writer.run(move |it| it.recover(at)).await
    }

    /// Begins the transaction that enrols, and reserves space on the disk for so many attempts. Its
    /// commit also confirms the campaign.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn begin_enrolment(
        &self,
        attempts: u64,
        campaign: &str,
        at: Timestamp,
    ) -> Result<()> {
        let campaign = campaign.to_owned();
        let begin = self
            .writer
            .run(move |it| it.begin_enrolment(attempts, &campaign, at));
        begin.await
    }

    /// Records new invitations, all or none, once [`Ledger::commit_enrolment`] is called.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn enrol(&self, invitations: Vec<Enrolment>, at: Timestamp) -> Result<()> {
        self.writer.run(move |it| it.enrol(&invitations, at)).await
    }

    /// Makes the enrolment durable.
    ///
    /// # Errors
    /// If it cannot be recorded or there is no space for the attempts, for instance on a full disk.
    pub async fn commit_enrolment(&self) -> Result<()> {
        self.writer.run(WriterThread::commit_enrolment).await
    }

    /// Accepts an older copy: what unrecorded runs may have mailed becomes `unknown`, and no campaign
    /// is confirmed. Gives how many invitations that were.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn accept_older(&self, gap: Gap) -> Result<u64> {
        self.writer.run(move |it| it.accept_older(&gap)).await
    }

    /// Records how the run ended.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn end_run(&self, end: RunEnd) -> Result<()> {
        self.writer.run(move |it| it.end_run(&end)).await
    }

    /// Applies a change; it is durable when this returns. Gives the new state.
    ///
    /// # Errors
    /// If the transition is not allowed (a fault) or cannot be recorded.
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
        let set = self.act_on_notice(name, Action::SetIfDue(now)).await?;
        Ok(set.is_some())
    }

    /// When this notice was set; none if it was not, or was removed.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn notice(&self, name: &str) -> Result<Option<Timestamp>> {
        self.act_on_notice(name, Action::Read).await
    }

    /// Sets a notice for later runs.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn set_notice(&self, name: &str, now: Timestamp) -> Result<()> {
        let set = self.act_on_notice(name, Action::Set(now));
        set.await.map(drop)
    }

    /// Removes a notice.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub async fn remove_notice(&self, name: &str) -> Result<()> {
        let removed = self.act_on_notice(name, Action::Remove);
        removed.await.map(drop)
    }

    async fn act_on_notice(&self, name: &str, action: Action) -> Result<Option<Timestamp>> {
        let name = name.to_owned();
        self.writer.run(move |it| it.notice(&name, action)).await
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
impl fault_injection::SharedDb {
    /// Opens it as a process for which this fault is planned; gives what is notified when the process
    /// has died.
    ///
    /// # Errors
    /// If there is no memory for its reader.
    pub fn open(
        &self,
        fault: Option<(u32, fault_injection::CommitFault)>,
    ) -> Result<(Ledger, std::sync::Arc<tokio::sync::Notify>)> {
        let (writer, died) = self.start_writer(fault);
        let ledger = Ledger {
            writer: WriterHandle::Inline(writer),
            reader: Reader::empty()?,
            scratch_folder: PathBuf::new(),
            _lock: None,
        };
        Ok((ledger, died))
    }
}

#[cfg(test)]
mod tests;

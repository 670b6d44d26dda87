//! The memory of the job: which invitations exist, and every attempt with its reply.
//!
//! One SQLite file. A change of state is asked for in the words of
//! [`crate::invitation`], checked there, and durable when the call returns; nothing
//! above sees a row or a transaction. Two threads serve it: one writes and commits
//! whatever is queued together, one reads, so that looking never delays a dot.
//!
//! The settings and what each of them closes:
//! - WAL with `synchronous=FULL` during a run: one fsync a commit, nothing that was
//!   acknowledged is lost with the power, and readers wait for nobody.
//! - The log is grown, and free pages are put aside, before the first dot, and rows
//!   are padded: the outcomes of armed messages still fit on a full disk. What a long list
//!   takes of the log beyond that is given back once it is in the file.
//! - At rest the file is plain again, without `-wal` and `-shm`, so a copy of it is
//!   a copy of everything. A reader that prevents that leaves it to the next writer.

mod changes;
mod desk;
mod freshness;
mod lock;
mod notices;
mod place;
mod read;
mod runs;
mod schema;
#[cfg(test)]
pub mod staged;
mod witness;
mod writer;

use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub use self::desk::Gap;
use self::desk::Recorded;
pub use self::freshness::Doubt;
use self::freshness::Surroundings;
use self::lock::RunLock;
pub use self::lock::is_held;
use self::place::OpenFiles;
pub use self::place::{folder_of, give_to_owner, ownership_fix};
pub use self::read::{Reader, Selection};
pub use self::runs::{CampaignStanding, RunEnd, RunStart};
use self::witness::{Mark, Witness};
use self::writer::Writer;
pub use self::writer::{Asked, Verdicts};
use crate::config::LedgerFiles;
use crate::exit::{self, Exit, OrExit};
use crate::invitation::{Cause, Identity, Invitee, MessageIdKey, State};
use crate::outcome::{Phase, Reply};
use notices::Action;

/// An invitation that no run has recorded yet.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// Which invitation it is.
    pub identity: Identity,
    /// Who is invited.
    pub invitee: Invitee,
    /// The Message-ID, without its brackets.
    pub message_id: String,
}

/// A change of one invitation: what happened, when, and what was said.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which invitation.
    pub identity: Identity,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub cause: Cause,
    /// In which phase of the conversation.
    pub phase: Option<Phase>,
    /// What the relay said.
    pub reply: Option<Reply>,
    /// Which relay.
    pub relay: Option<String>,
    /// What a person or the program has to say about it.
    pub note: Option<String>,
    /// With [`Cause::Arm`]: the message's Date and SHA-256.
    pub message: Option<(Timestamp, [u8; 32])>,
    /// With a deferral: when to try again.
    pub next_attempt_at: Option<Timestamp>,
    /// With a resend: whether the very same bytes are to go again.
    pub repeat: bool,
}

impl Change {
    /// A change with nothing more to say about it.
    #[must_use]
    pub fn new(identity: &Identity, at: Timestamp, cause: Cause) -> Self {
        Self {
            identity: identity.clone(),
            at,
            cause,
            phase: None,
            reply: None,
            relay: None,
            note: None,
            message: None,
            next_attempt_at: None,
            repeat: false,
        }
    }
}

/// The ledger, open for a verb that writes.
pub struct Ledger {
    path: PathBuf,
    writer: Writer,
    reader: Reader,
    /// Released when everything else is closed; none for a ledger that is thrown away.
    _lock: Option<RunLock>,
}

impl Ledger {
    /// Creates an empty ledger where no file is.
    ///
    /// # Errors
    /// When there is one, when a witness says that there was one (65), or it cannot be written.
    pub fn create(files: &LedgerFiles) -> exit::Result<()> {
        freshness::refuse_witness_without_ledger(files)?;
        Self::create_scratch(&files.file)
    }

    /// Creates an empty ledger that is thrown away with its folder.
    ///
    /// # Errors
    /// When there is one, or it cannot be written.
    pub fn create_scratch(path: &Path) -> exit::Result<()> {
        let key = MessageIdKey::random().map_err(schema::cannot_write)?;
        schema::create(path, &key, random_id()?)
    }

    /// Whether there is a ledger that may be used, before anything is made beside it.
    ///
    /// # Errors
    /// When it is missing (78), no file (65), open to everyone, or has a second name (77).
    pub fn check(path: &Path) -> exit::Result<()> {
        place::check(path)
    }

    /// Whether this user can keep a record in it, before anything is made beside it.
    ///
    /// # Errors
    /// As [`Ledger::check`], and when the file or its folder cannot be written (77).
    pub fn check_writable(path: &Path) -> exit::Result<()> {
        place::check(path)?;
        place::check_writable(path)
    }

    /// What works, but is unwise, about where it stands: a network file system, a folder
    /// that everyone may write, another user's file.
    #[must_use]
    pub fn warnings(path: &Path) -> Vec<String> {
        place::warnings(path)
    }

    /// Opens a ledger that is thrown away: without lock, witness, and run on record.
    ///
    /// # Errors
    /// When it is missing (78), open to everyone (77), not ours, newer or damaged (65),
    /// held by another program (75), or cannot be written (74).
    pub fn open_scratch(path: &Path) -> exit::Result<Self> {
        let connection = schema::open_to_examine(path)?;
        schema::begin_writing(path, &connection, random_id()?)?;
        let reader = Reader::beside_writer(path)?;
        let writer = Writer::start(path, connection, reader.key().clone(), None);
        Ok(Self {
            path: path.to_owned(),
            writer,
            reader,
            _lock: None,
        })
    }

    /// Opens the ledger for a run, alone and on record. Nothing is changed unless the witness shows
    /// that this is the newest copy.
    ///
    /// # Errors
    /// As [`Ledger::open_scratch`], when another run holds the lock (75), and when the ledger is
    /// older than its witness (65).
    pub fn open(files: &LedgerFiles, start: &RunStart) -> exit::Result<Self> {
        Self::open_for(files, start, |doubt| Err(doubt.failure(files)))
    }

    /// As [`Ledger::open`], for a copy that a person is about to accept although it may be older.
    ///
    /// # Errors
    /// As [`Ledger::open`], but for the witness.
    pub fn open_although_older(files: &LedgerFiles, start: &RunStart) -> exit::Result<Self> {
        Self::open_for(files, start, |_| Ok(()))
    }

    fn open_for(
        files: &LedgerFiles,
        start: &RunStart,
        decide: impl Fn(Doubt) -> exit::Result<()>,
    ) -> exit::Result<Self> {
        let path = &files.file;
        Self::check_writable(path)?;
        let lock = RunLock::take(path)?;
        let surroundings = Surroundings::look(files)?;
        let mut watched = OpenFiles::of(path).map_err(|error| place::cannot_open(path, &error))?;
        let connection = schema::open_to_examine(path)?;
        let sqlite = |error: rusqlite::Error| schema::failure(path, &error);
        let doubt = freshness::doubt(&connection, &surroundings).map_err(sqlite)?;
        if let Some(Err(refused)) = doubt.map(decide) {
            drop(connection);
            if surroundings.log_missing {
                // SQLite has made an empty log, which must not pass for the missing one.
                schema::remove_empty_log(path);
            }
            return Err(refused);
        }
        let ledger = schema::id(&connection).map_err(sqlite)?;
        let ledger = ledger.map_or_else(random_id, Ok)?;
        let unusable = |error: std::io::Error| freshness::unreadable(&files.witness, &error);
        // Created before the ledger is changed, so that a run which fails here raises no doubt in
        // the next. Where there is a doubt already, it stays until a person has accepted the ledger.
        let witness = if doubt.is_some() {
            None
        } else {
            let unwritten = Mark::unwritten(ledger);
            let witness = Witness::open_or_create(&files.witness, unwritten).map_err(unusable)?;
            place::give_to_owner(witness.file(), path).map_err(unusable)?;
            Some(witness)
        };
        schema::begin_writing(path, &connection, ledger)?;
        watched
            .watch(schema::companion(path, "-wal"))
            .and_then(|()| watched.watch(lock::lock_file(path)))
            .or_exit(Exit::CannotWrite)?;
        let id = random_id()?;
        let (number, changes) = begin_run(&connection, files, id, start).map_err(sqlite)?;
        let run = Recorded {
            number,
            id,
            ledger,
            changes,
            files: watched,
            witness,
            witness_path: files.witness.clone(),
        };
        if let Some(witness) = &run.witness {
            witness.advance(run.mark(changes)).map_err(unusable)?;
        }
        let reader = Reader::beside_writer(path)?;
        let writer = Writer::start(path, connection, reader.key().clone(), Some(run));
        Ok(Self {
            path: path.clone(),
            writer,
            reader,
            _lock: Some(lock),
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What can be read.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Turns every `armed` invitation, left by a run that died, into `unknown`; says how many.
    ///
    /// # Errors
    /// When that cannot be recorded.
    pub async fn recover(&self, at: Timestamp) -> exit::Result<u64> {
        self.writer.recover(at).await
    }

    /// Begins the transaction that enrols, with room on the disk for so many attempts. The
    /// campaign counts as confirmed with its commit.
    ///
    /// # Errors
    /// When that cannot be recorded (74).
    pub async fn begin_enrolment(
        &self,
        attempts: u64,
        campaign: &str,
        at: Timestamp,
    ) -> exit::Result<()> {
        self.writer.begin_enrolment(attempts, campaign, at).await
    }

    /// Records new invitations as `pending`, all or none, once [`Ledger::commit_enrolment`] is called.
    ///
    /// # Errors
    /// When that cannot be recorded.
    pub async fn enrol(&self, invitations: Vec<Enrolment>, at: Timestamp) -> exit::Result<()> {
        self.writer.enrol(invitations, at).await
    }

    /// Makes the enrolled durable.
    ///
    /// # Errors
    /// When they cannot be recorded or there is no room for the attempts, for instance on a full disk.
    pub async fn commit_enrolment(&self) -> exit::Result<()> {
        self.writer.commit_enrolment().await
    }

    /// Accepts an older copy: what unrecorded runs may have mailed becomes `unknown`, and no campaign
    /// is confirmed. Gives how many invitations that were.
    ///
    /// # Errors
    /// When that cannot be recorded.
    pub async fn accept_older(&self, gap: Gap) -> exit::Result<u64> {
        self.writer.accept_older(gap).await
    }

    /// Records how the run ended.
    ///
    /// # Errors
    /// When that cannot be recorded.
    pub async fn end_run(&self, end: RunEnd) -> exit::Result<()> {
        self.writer.end_run(end).await
    }

    /// Applies a change; it is durable when this returns. Gives the state that follows.
    ///
    /// # Errors
    /// When the transition is not allowed (70) or cannot be recorded (74).
    pub async fn apply(&self, change: Change) -> exit::Result<State> {
        let mut verdicts = self.ask(vec![change]).verdicts().await;
        verdicts.pop().expect("there is a verdict for each change")
    }

    /// Asks for changes in one commit, at once; [`Asked::verdicts`] waits until they are durable.
    /// One that is refused does not keep the others from being recorded.
    #[must_use]
    pub fn ask(&self, changes: Vec<Change>) -> Asked {
        self.writer.apply(changes)
    }

    /// Whether to report what goes by this name now: once, and then once a day. What is due is noted
    /// as reported.
    ///
    /// # Errors
    /// When that cannot be recorded.
    pub async fn notice_due(&self, name: &str, now: Timestamp) -> exit::Result<bool> {
        let set = self.writer.notice(name, Action::SetIfDue(now)).await?;
        Ok(set.is_some())
    }

    /// When this notice was set; none where it was not, or was removed.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn notice(&self, name: &str) -> exit::Result<Option<Timestamp>> {
        self.writer.notice(name, Action::Read).await
    }

    /// Sets a notice for later runs.
    ///
    /// # Errors
    /// When that cannot be recorded.
    pub async fn set_notice(&self, name: &str, now: Timestamp) -> exit::Result<()> {
        let set = self.writer.notice(name, Action::Set(now));
        set.await.map(|_| ())
    }

    /// Removes a notice.
    ///
    /// # Errors
    /// When that cannot be recorded.
    pub async fn remove_notice(&self, name: &str) -> exit::Result<()> {
        let removed = self.writer.notice(name, Action::Remove);
        removed.await.map(|_| ())
    }

    /// Ends the work: the file is plain again, unless a reader prevents it.
    ///
    /// # Errors
    /// When the log cannot be brought into the file; nothing is lost then.
    pub async fn close(self) -> exit::Result<()> {
        drop(self.reader);
        self.writer.close().await
    }
}

/// Puts a run on record and notes where its witness is; gives its number and the change counter.
fn begin_run(
    connection: &rusqlite::Connection,
    files: &LedgerFiles,
    id: witness::Id,
    start: &RunStart,
) -> rusqlite::Result<(i64, u64)> {
    let os_user = whoami::username().unwrap_or_default();
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let witness = std::path::absolute(&files.witness).unwrap_or_else(|_| files.witness.clone());
    runs::record_witness(connection, &witness)?;
    let number = runs::begin(connection, id, start, &os_user)?;
    let changes = runs::count_change(connection, number)?.ok_or_else(schema::without_effect)?;
    connection.execute_batch("COMMIT")?;
    Ok((number, changes))
}

fn random_id() -> exit::Result<witness::Id> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|error| anyhow::anyhow!("no random numbers from the system: {error}"))
        .or_exit(Exit::CannotWrite)?;
    Ok(id)
}

#[cfg(test)]
mod tests;

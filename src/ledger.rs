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
mod notices;
mod place;
mod read;
mod schema;
#[cfg(test)]
pub mod staged;
mod writer;

use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub use self::place::folder_of;
pub use self::read::{Reader, Selection};
use self::writer::Writer;
pub use self::writer::{Asked, Verdicts};
use crate::exit;
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

/// The ledger, open for a verb that writes. Its user holds the run lock.
pub struct Ledger {
    path: PathBuf,
    writer: Writer,
    reader: Reader,
}

impl Ledger {
    /// Creates an empty ledger where no file is.
    ///
    /// # Errors
    /// When there is one, or it cannot be written.
    pub fn create(path: &Path) -> exit::Result<()> {
        schema::create(path, &MessageIdKey::random().map_err(schema::cannot_write)?)
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

    /// Opens the ledger, bringing back to order what a run that died has left.
    ///
    /// # Errors
    /// When it is missing (78), open to everyone (77), not ours, newer or damaged (65),
    /// held by another program (75), or cannot be written (74).
    pub fn open(path: &Path) -> exit::Result<Self> {
        let connection = schema::open_for_writing(path)?;
        let reader = Reader::beside_writer(path)?;
        let writer = Writer::start(path, connection, reader.key().clone());
        Ok(Self {
            path: path.to_owned(),
            writer,
            reader,
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

    /// Begins to enrol, and to make room on the disk for so many attempts, while its user goes on.
    /// What fails is told by what follows.
    pub fn begin_enrolment(&self, attempts: u64) {
        self.writer.begin_enrolment(attempts);
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

    /// Forgets what was enrolled and is not committed.
    ///
    /// # Errors
    /// When the ledger cannot be written any more.
    pub async fn abandon_enrolment(&self) -> exit::Result<()> {
        self.writer.abandon_enrolment().await
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

#[cfg(test)]
mod tests;

//! The one who writes: a thread that commits whatever is queued, together.
//!
//! Once a write has failed nothing more is written, because after a failed fsync nobody
//! knows what the disk holds: the run must end.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::changes::{self, Refused};
use super::place::{OpenFiles, Replaced};
use super::witness::{Id, Mark, Witness};
use super::writer::{Answer, Request, Verdicts};
use super::{Change, Enrolment, freshness, notices, place, runs, schema};
use crate::exit::{self, Exit, Failure};
use crate::invitation::{Cause, MessageIdKey, State};

/// The most requests in one commit; far above what connections can queue.
const GROUP: usize = 512;
/// The bytes of a page, and of the log's header before each.
const PAGE: u64 = 4096;
const FRAME_HEADER: u64 = 24;
/// The log is grown to at most this many pages; twice what it holds before it is reused.
const LOG_PAGES: u64 = 2048;
/// The bytes of so many.
pub const LONGEST_LOG: u64 = LOG_PAGES * (PAGE + FRAME_HEADER);
/// The most free pages put aside at a time.
const SPARE_PAGES: u64 = 256;

/// The run that writes, and what it checks before each commit and advances after it.
pub struct Recorded {
    /// The number of its row.
    pub number: i64,
    /// Its random id.
    pub id: Id,
    /// The ledger's id.
    pub ledger: Id,
    /// The change counter of its first commit.
    pub changes: u64,
    /// Ledger, log and lock, which must stay the files that were opened.
    pub files: OpenFiles,
    /// Where its commits are witnessed; none before an older ledger is accepted.
    pub witness: Option<Witness>,
    /// The witness' path.
    pub witness_path: PathBuf,
}

impl Recorded {
    /// What the witness says when this run has reached a counter.
    pub fn mark(&self, changes: u64) -> Mark {
        Mark {
            ledger: self.ledger,
            run: self.id,
            changes,
        }
    }
}

/// An older copy of the ledger that a person has accepted.
#[derive(Clone, Debug)]
pub struct Gap {
    /// When.
    pub at: Timestamp,
    /// What the witness had seen.
    pub witness: Option<Mark>,
    /// Why, for the record.
    pub note: String,
}

/// The writing side.
pub struct Desk {
    path: PathBuf,
    connection: Connection,
    key: MessageIdKey,
    /// The run on record; none for a ledger that is thrown away.
    run: Option<Recorded>,
    /// The change counter of the last commit.
    changes: u64,
    /// Why nothing more is written.
    failed: Option<String>,
    /// How many free pages there shall be before anything is armed.
    spare: u64,
    /// How many pages of the log there shall be then.
    log_pages: u64,
    /// How many changes are certain to find room before the free pages are counted again.
    certain: usize,
    /// Within the transaction that enrols: the rows that come next.
    enrolling: Option<changes::Numbers>,
}

impl Desk {
    pub fn new(
        path: &Path,
        connection: Connection,
        key: MessageIdKey,
        run: Option<Recorded>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            connection,
            key,
            changes: run.as_ref().map_or(0, |it| it.changes),
            run,
            failed: None,
            spare: 0,
            log_pages: 0,
            certain: 0,
            enrolling: None,
        }
    }

    pub fn serve(mut self, queue: &mpsc::Receiver<Request>) {
        let mut held = None;
        while let Some(request) = held.take().or_else(|| queue.recv().ok()) {
            let Request::Apply(changes, answer) = request else {
                // Whoever waits for the end finds the file closed.
                if let Request::Close(answer) = request {
                    let result = self.come_to_rest();
                    drop(self.connection);
                    let _ = answer.send(result);
                    return;
                }
                self.obey(request);
                continue;
            };
            let mut group = vec![(changes, answer)];
            while group.len() < GROUP {
                match queue.try_recv() {
                    Ok(Request::Apply(changes, answer)) => group.push((changes, answer)),
                    Ok(other) => {
                        held = Some(other);
                        break;
                    }
                    Err(_) => break,
                }
            }
            self.apply(group);
        }
    }

    /// Does one thing that is asked.
    pub fn obey(&mut self, request: Request) {
        match request {
            Request::Apply(changes, answer) => self.apply(vec![(changes, answer)]),
            Request::Recover(at, answer) => {
                let result =
                    self.write(|it| changes::recover(&it.connection, &it.key, at, it.number()));
                let _ = answer.send(result.and_then(|it| it));
            }
            Request::BeginEnrolment(attempts, campaign, at, answer) => {
                let result = self.begin_enrolment(attempts, &campaign, at);
                let _ = answer.send(result);
            }
            Request::Enrol(invitations, at, answer) => {
                let result = self.enrol(&invitations, at);
                let _ = answer.send(result);
            }
            Request::CommitEnrolment(answer) => {
                let result = self.commit_enrolment();
                let _ = answer.send(result);
            }
            Request::AcceptOlder(gap, answer) => {
                let result = self.accept_older(&gap);
                let _ = answer.send(result);
            }
            Request::EndRun(end, answer) => {
                let result = self.write(|it| match it.number() {
                    Some(number) => runs::end(&it.connection, number, &end),
                    None => Ok(()),
                });
                let _ = answer.send(result);
            }
            Request::Notice(name, action, answer) => {
                let result = self.write(|it| notices::apply(&it.connection, &name, action));
                let _ = answer.send(result);
            }
            Request::Close(answer) => {
                let result = self.come_to_rest();
                let _ = answer.send(result);
            }
        }
    }

    /// Runs `work` in a transaction of its own.
    fn write<T>(&mut self, work: impl FnOnce(&Self) -> rusqlite::Result<T>) -> exit::Result<T> {
        self.still_works()?;
        let result = self
            .execute("BEGIN IMMEDIATE")
            .and_then(|()| work(self))
            .and_then(|it| Ok((it, self.commit()?)));
        let (value, changes) = result.map_err(|error| self.fail(&error))?;
        self.bear_witness(changes);
        Ok(value)
    }

    /// Counts the change and commits; gives the counter.
    fn commit(&self) -> rusqlite::Result<u64> {
        let changes = match &self.run {
            None => 0,
            Some(run) => runs::count_change(&self.connection, run.number)?
                .ok_or_else(schema::without_effect)?,
        };
        self.execute("COMMIT").map(|()| changes)
    }

    /// Advances the witness to a commit that is durable. If that fails, this was the last commit.
    fn bear_witness(&mut self, changes: u64) {
        self.changes = changes;
        let Some(run) = &self.run else { return };
        let advanced = run.witness.as_ref().map(|it| it.advance(run.mark(changes)));
        if let Some(Err(error)) = advanced {
            let failure = freshness::unreadable(&run.witness_path, &error);
            self.failed = Some(failure.to_string());
        }
    }

    /// What was written over the ledger must not be mixed with its log, nor be trusted by the next
    /// run: the witness asks for a commit that no copy contains.
    fn disown(&mut self) {
        let _ = self
            .connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        self.bear_witness(self.changes + 1);
    }

    /// The number of the run on record.
    fn number(&self) -> Option<i64> {
        self.run.as_ref().map(|it| it.number)
    }

    /// A statement without values, parsed once.
    fn execute(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(statement)?
            .execute([])
            .map(|_| ())
    }

    /// Fails once a write has failed, or once a file of the ledger is no longer the one that is open.
    fn still_works(&mut self) -> exit::Result<()> {
        if self.failed.is_none()
            && let Some(run) = &self.run
            && let Some(replaced) = run.files.replaced()
        {
            let name = match &replaced {
                Replaced::Name(path) => path,
                Replaced::Content => &self.path,
            };
            self.failed = Some(format!(
                "`{}` was replaced or removed while this run was at work, so what it records would be lost; nothing more is sent; find out what did that, and put the newest ledger back before the next run",
                name.display()
            ));
            if replaced == Replaced::Content {
                self.disown();
            }
        }
        match &self.failed {
            None => Ok(()),
            Some(why) => Err(Failure::new(Exit::CannotWrite, why)),
        }
    }

    fn fail(&mut self, error: &rusqlite::Error) -> Failure {
        let _ = self.connection.execute_batch("ROLLBACK");
        self.enrolling = None;
        let failure = schema::failure(&self.path, error);
        self.failed = Some(failure.to_string());
        match failure.exit {
            Exit::Contradiction => failure,
            // Whatever SQLite calls it, in a run it means: the record cannot be written.
            _ => Failure {
                exit: Exit::CannotWrite,
                ..failure
            },
        }
    }

    /// Turns what may have been mailed by runs that this copy does not know into `unknown`.
    fn accept_older(&mut self, gap: &Gap) -> exit::Result<u64> {
        let done = self.write(|it| {
            let number = it.number().unwrap_or_default();
            runs::record_gap(&it.connection, number, gap.at, gap.witness, &gap.note)?;
            changes::accept_older(&it.connection, &it.key, gap, it.number())
        })??;
        if let Some(run) = &mut self.run {
            let mark = run.mark(self.changes);
            let witness = Witness::open_or_create(&run.witness_path, mark).and_then(|it| {
                it.reset(mark)?;
                place::give_to_owner(it.file(), &self.path)?;
                Ok(it)
            });
            let unusable = |error| freshness::unreadable(&run.witness_path, &error);
            run.witness = Some(witness.map_err(unusable)?);
        }
        Ok(done)
    }

    fn begin_enrolment(
        &mut self,
        attempts: u64,
        campaign: &str,
        at: Timestamp,
    ) -> exit::Result<()> {
        self.still_works()?;
        // In memory, where nothing is attempted, there is no log.
        if attempts > 0 {
            self.spare = (attempts / 8 + 16).min(SPARE_PAGES);
            // A commit of its own for each change takes up to twelve frames a message.
            self.log_pages = (attempts * 16 + 64).min(LOG_PAGES);
            self.grow_log(0)?;
        }
        let begun = self
            .execute("BEGIN IMMEDIATE")
            .and_then(|()| runs::confirm(&self.connection, campaign, at))
            .and_then(|()| changes::Numbers::of(&self.connection));
        self.enrolling = Some(begun.map_err(|error| self.fail(&error))?);
        Ok(())
    }

    fn enrol(&mut self, invitations: &[Enrolment], at: Timestamp) -> exit::Result<()> {
        self.still_works()?;
        let Some(numbers) = &mut self.enrolling else {
            let message = "nobody is enrolled before that has begun";
            return Err(Failure::new(Exit::Contradiction, message));
        };
        let run = self.run.as_ref().map(|it| it.number);
        let result = invitations
            .iter()
            .try_for_each(|it| changes::enrol(&self.connection, it, at, run, numbers));
        result.map_err(|error| self.fail(&error))
    }

    fn commit_enrolment(&mut self) -> exit::Result<()> {
        self.still_works()?;
        self.enrolling = None;
        let committed = self.commit().map_err(|error| self.fail(&error))?;
        self.bear_witness(committed);
        let result = self
            .put_pages_aside()
            .and_then(|()| checkpoint(&self.connection, "RESTART"));
        match result.map_err(|error| self.fail(&error))? {
            0 => Ok(()),
            kept => self.grow_log(kept),
        }
    }

    /// Makes room in the log behind so many pages that it keeps.
    fn grow_log(&mut self, kept: u64) -> exit::Result<()> {
        self.write_zeros(kept + self.log_pages).map_err(|error| {
            let message = format!(
                "cannot make room for the log of `{}`: {error}",
                self.path.display()
            );
            self.failed = Some(message.clone());
            Failure::new(Exit::CannotWrite, message)
        })
    }

    /// Writes zeros behind the log, so that commits overwrite blocks that it has already.
    fn write_zeros(&self, pages: u64) -> std::io::Result<()> {
        let log = schema::companion(&self.path, "-wal");
        let size = pages * (PAGE + FRAME_HEADER);
        let mut file = OpenOptions::new().append(true).open(log)?;
        let mut missing = size.saturating_sub(file.metadata()?.len());
        let zeros = vec![0; 64 * 1024];
        while missing > 0 {
            let part = missing.min(zeros.len() as u64);
            file.write_all(&zeros[..usize::try_from(part).unwrap_or(zeros.len())])?;
            missing -= part;
        }
        file.sync_all()
    }

    /// Sees to it that the file has free pages for the outcomes of what is armed next.
    fn put_pages_aside(&mut self) -> rusqlite::Result<()> {
        let free: i64 = self
            .connection
            .prepare_cached("PRAGMA freelist_count")?
            .query_row([], |row| row.get(0))?;
        if free.unsigned_abs() >= self.spare / 4 {
            // A change takes a page in each of four trees at the most.
            self.certain = usize::try_from(self.spare / 4 / 8).unwrap_or(0);
            return Ok(());
        }
        let bytes = i64::try_from(self.spare * PAGE).unwrap_or(i64::MAX);
        self.connection
            .execute("INSERT INTO spare (filling) VALUES (zeroblob(?1))", [bytes])?;
        self.connection.execute("DELETE FROM spare", [])?;
        // Only the checkpoint makes the file itself grow, which is what is wanted here.
        checkpoint(&self.connection, "PASSIVE").map(|_| ())
    }

    /// Outcomes are committed even where room for new attempts can no longer be had.
    fn apply(&mut self, group: Vec<(Vec<Change>, Answer<Verdicts>)>) {
        let changes: usize = group.iter().map(|(changes, _)| changes.len()).sum();
        let certain = self.certain.checked_sub(changes);
        self.certain = certain.unwrap_or(0);
        let room = certain.is_some() || self.failed.is_some() || self.put_pages_aside().is_ok();
        let written = self.write(|it| {
            let mut verdicts = Vec::with_capacity(group.len());
            for (changes, _) in &group {
                let each = changes.iter().map(|change| it.apply_one(change, room));
                verdicts.push(each.collect::<rusqlite::Result<Verdicts>>()?);
            }
            Ok(verdicts)
        });
        match written {
            Ok(verdicts) => {
                for ((_, answer), verdicts) in group.into_iter().zip(verdicts) {
                    let _ = answer.send(Ok(verdicts));
                }
            }
            Err(failure) => {
                for (_, answer) in group {
                    let _ = answer.send(Err(Failure::new(failure.exit, &failure)));
                }
            }
        }
    }

    /// One change within the transaction; only what SQLite says breaks that off.
    fn apply_one(&self, change: &Change, room: bool) -> rusqlite::Result<exit::Result<State>> {
        if change.cause == Cause::Arm && !room {
            let message = format!(
                "the disk has no room for the results of further messages in `{}`",
                self.path.display()
            );
            return Ok(Err(Failure::new(Exit::CannotWrite, message)));
        }
        match changes::apply(&self.connection, &self.key, change, self.number()) {
            Ok(state) => Ok(Ok(state)),
            Err(Refused::Sqlite(error)) => Err(error),
            Err(refused) => {
                let message = format!("{}: {refused}", change.identity.address);
                Ok(Err(Failure::new(Exit::Contradiction, message)))
            }
        }
    }

    /// As if the last write had failed.
    #[cfg(test)]
    pub fn fail_for_good(&mut self) {
        self.failed = Some("the disk has gone".into());
    }

    /// As a process finds it that begins anew.
    #[cfg(test)]
    pub fn repair(&mut self) {
        self.failed = None;
    }

    #[cfg(test)]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Brings the log into the file and leaves one plain file.
    fn come_to_rest(&mut self) -> exit::Result<()> {
        if self.enrolling.is_some() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        self.still_works()?;
        if let Some(run) = &self.run
            && let Some(witness) = &run.witness
        {
            witness
                .sync()
                .map_err(|error| freshness::unreadable(&run.witness_path, &error))?;
        }
        checkpoint(&self.connection, "TRUNCATE")
            .map_err(|error| schema::failure(&self.path, &error))?;
        // A reader may prevent this; the file and its log are whole then, and the next
        // writing verb tries again.
        let _ = self
            .connection
            .busy_timeout(std::time::Duration::from_millis(200));
        let _ = self
            .connection
            .pragma_update_and_check(None, "journal_mode", "DELETE", |row| {
                row.get::<_, String>(0)
            });
        Ok(())
    }
}

/// Brings the log into the file. Gives how many pages the log must keep all the same, because a
/// reader is not done with them.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<u64> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let held: bool = row.get(0)?;
        let pages: i64 = row.get(1)?;
        Ok(if held { pages.unsigned_abs() } else { 0 })
    })
}

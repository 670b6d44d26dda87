//! Whether a ledger is the newest one: what its witness says, and whether its log is there.
//!
//! An older or shortened copy does not know partners who have been mailed since, so nothing may be
//! sent from it until a person has accepted the gap. What cannot be noticed is a rollback that
//! restores ledger and witness together.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::witness::{Found, Mark};
use super::{place, runs, schema, witness};
use crate::config::LedgerFiles;
use crate::exit::{self, Exit, Failure};

/// What was found outside the database, before it was opened.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    /// The configured witness.
    pub witness: Found,
    /// The header demands a write-ahead log, and there is none.
    pub log_missing: bool,
}

impl Surroundings {
    /// Looks at witness and header. To be called before the ledger is opened.
    ///
    /// # Errors
    /// If a file exists and cannot be read.
    pub fn look(files: &LedgerFiles) -> exit::Result<Self> {
        let LedgerFiles { file, witness } = files;
        Ok(Self {
            witness: witness::read(witness).map_err(|error| unreadable(witness, &error))?,
            log_missing: schema::expects_log(file)? && !schema::companion(file, "-wal").exists(),
        })
    }
}

/// Why a ledger may lack what later runs have recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The witness names a run that the ledger does not contain, or not as far.
    Older(Mark),
    /// The witness belongs to another ledger.
    OtherLedger(Mark),
    /// The ledger records a witness, and there is none.
    WitnessMissing,
    /// The witness cannot be read.
    WitnessDamaged,
    /// The file is no witness.
    WitnessForeign,
    /// The write-ahead log is missing, and no witness says that nothing was in it.
    LogMissing,
}

impl Doubt {
    /// The mark that the ledger does not satisfy.
    #[must_use]
    pub fn mark(self) -> Option<Mark> {
        match self {
            Self::Older(mark) | Self::OtherLedger(mark) => Some(mark),
            _ => None,
        }
    }

    /// What is wrong, and what to do about it.
    #[must_use]
    pub fn describe(self, files: &LedgerFiles) -> String {
        const ACCEPT: &str =
            "`access-invite resolve --accept-older-ledger --note TEXT` goes on with this one";
        let (ledger, witness) = (files.file.display(), files.witness.display());
        let what = match self {
            Self::Older(_) => format!(
                "the ledger `{ledger}` is older than its witness `{witness}`: runs are missing from it, and whom they mailed would be mailed again"
            ),
            Self::OtherLedger(_) => format!(
                "the witness `{witness}` belongs to another ledger than `{ledger}`: somebody has put another file in its place"
            ),
            Self::WitnessMissing => format!(
                "the ledger `{ledger}` has a witness, but `{witness}` is missing, so nothing shows that this is the newest copy"
            ),
            Self::WitnessDamaged => format!(
                "the witness `{witness}` of the ledger `{ledger}` is damaged, so nothing shows that this is the newest copy"
            ),
            Self::WitnessForeign => {
                return format!(
                    "`{witness}` is not the witness of a ledger; name another file in `ledger.witness`, or move that one away"
                );
            }
            Self::LogMissing => format!(
                "the log `{ledger}-wal` of the ledger is missing, and with it what the last run recorded"
            ),
        };
        let lost = match self {
            Self::WitnessMissing | Self::WitnessDamaged => "witness",
            Self::LogMissing => "log",
            _ => "newest ledger",
        };
        format!("{what}; put the {lost} back, or, if it is lost, {ACCEPT}")
    }

    /// As the failure of a verb that writes.
    #[must_use]
    pub fn failure(self, files: &LedgerFiles) -> Failure {
        Failure::new(Exit::BadInput, self.describe(files))
    }
}

/// Why this ledger may lack what later runs have recorded; none if it is the newest.
///
/// # Errors
/// If the database cannot be read.
pub fn doubt(connection: &Connection, found: &Surroundings) -> rusqlite::Result<Option<Doubt>> {
    let recorded = if schema::version(connection)? < 2 {
        Vec::new()
    } else {
        runs::witnesses(connection)?
    };
    let unproven = found.log_missing.then_some(Doubt::LogMissing);
    match found.witness {
        // The first run has ended while it created the witness, before it changed the ledger.
        Found::Damaged if recorded.is_empty() => Ok(unproven),
        Found::Damaged => Ok(Some(Doubt::WitnessDamaged)),
        Found::Foreign => Ok(Some(Doubt::WitnessForeign)),
        Found::Mark(mark) if mark.names_a_run() => against(connection, mark),
        // The first run with this witness has ended before its first commit; nobody was mailed.
        Found::Mark(_) => elsewhere(connection, &recorded, None),
        Found::Missing if recorded.is_empty() => Ok(unproven),
        Found::Missing => elsewhere(connection, &recorded, Some(Doubt::WitnessMissing)),
    }
}

/// Asks the witnesses of other configurations of this ledger, or of this one before its witness
/// was moved; without any, `unknown` holds.
fn elsewhere(
    connection: &Connection,
    recorded: &[PathBuf],
    unknown: Option<Doubt>,
) -> rusqlite::Result<Option<Doubt>> {
    let mut doubt = unknown;
    for path in recorded {
        if let Ok(Found::Mark(mark)) = witness::read(path)
            && mark.names_a_run()
        {
            doubt = against(connection, mark)?.and(Some(Doubt::WitnessMissing));
            if doubt.is_some() {
                break;
            }
        }
    }
    Ok(doubt)
}

/// Holds the ledger against what a witness has seen.
fn against(connection: &Connection, mark: Mark) -> rusqlite::Result<Option<Doubt>> {
    if schema::version(connection)? < 2 {
        return Ok(Some(Doubt::Older(mark)));
    }
    if runs::ledger_id(connection)? != mark.ledger {
        return Ok(Some(Doubt::OtherLedger(mark)));
    }
    let reached = runs::changes_of(connection, mark.run)?;
    let satisfied = reached.is_some_and(|it| it >= mark.changes);
    Ok((!satisfied).then_some(Doubt::Older(mark)))
}

/// Refuses to create a ledger where a witness says that there was one.
///
/// # Errors
/// If a witness exists (65) or cannot be read.
pub fn refuse_witness_without_ledger(files: &LedgerFiles) -> exit::Result<()> {
    let LedgerFiles { file, witness } = files;
    match witness::read(witness).map_err(|error| unreadable(witness, &error))? {
        Found::Missing => Ok(()),
        _ => Err(Failure::new(
            Exit::BadInput,
            format!(
                "there is no ledger `{}`, but its witness `{}` exists, so there was one; put it back, or move the witness away if every partner may be invited again",
                file.display(),
                witness.display()
            ),
        )),
    }
}

/// The failure to read or write a witness.
pub fn unreadable(witness: &Path, error: &std::io::Error) -> Failure {
    let message = format!(
        "cannot read or write the witness `{}`: {error}{}",
        witness.display(),
        place::ownership_fix(witness)
    );
    let exit = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Exit::NoPermission,
        _ => Exit::CannotWrite,
    };
    Failure::new(exit, message)
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run = u128::from_be_bytes(self.run);
        write!(f, "run {run:032x} at change {}", self.changes)
    }
}

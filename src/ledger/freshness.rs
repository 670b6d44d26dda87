//! Whether a ledger is the newest copy, according to its witness and its log.
//!
//! An older or shortened copy lacks partners who were mailed since, so nothing may be sent from it until an
//! operator accepts the gap. A rollback that restores ledger and witness together is not detected.

use std::path::PathBuf;

use super::error::{LedgerError, Result};
use super::witness::{self, WitnessContent, WitnessMark};
use crate::config::LedgerLocation;

/// Why a ledger may lack what later runs have recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staleness {
    /// The ledger lacks the run or the changes that the witness names.
    Older(WitnessMark),
    /// The witness belongs to another ledger.
    OtherLedger(WitnessMark),
    /// The ledger records a witness, and there is none.
    WitnessMissing,
    /// The witness cannot be read.
    WitnessDamaged,
    /// The file is not a witness.
    WitnessForeign,
    /// The write-ahead log is missing, and no witness shows that it was empty.
    LogMissing,
}

impl Staleness {
    /// The mark that the ledger does not satisfy.
    #[must_use]
    pub fn mark(self) -> Option<WitnessMark> {
        match self {
            Self::Older(mark) | Self::OtherLedger(mark) => Some(mark),
            _ => None,
        }
    }

    /// What is wrong, and what to do about it.
    #[must_use]
    pub fn describe(self, ledger: &LedgerLocation) -> String {
        const ACCEPT: &str =
            "accept this one with `access-invite resolve --accept-older-ledger --note TEXT`";
        let witness = ledger.witness().display();
        let what = match self {
            Self::Older(_) => format!(
                "the ledger `{ledger}` is older than its witness `{witness}`: it lacks runs, and partners who were mailed in them would be mailed again"
            ),
            Self::OtherLedger(_) => format!(
                "the witness `{witness}` belongs to another ledger than `{ledger}`: the ledger was replaced by another file"
            ),
            Self::WitnessMissing => format!(
                "the ledger `{ledger}` has a witness, but `{witness}` is missing, so nothing shows that this is the newest copy"
            ),
            Self::WitnessDamaged => format!(
                "the witness `{witness}` of the ledger `{ledger}` is damaged, so nothing shows that this is the newest copy"
            ),
            Self::WitnessForeign => {
                return format!(
                    "`{witness}` is not the witness of a ledger; set `ledger.witness` to another file, or move this one away"
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
        format!("{what}; restore the {lost} or, if it is lost, {ACCEPT}")
    }

    /// The error of a verb that writes.
    #[must_use]
    pub fn error(self, ledger: &LedgerLocation) -> LedgerError {
        LedgerError::Unusable(self.describe(ledger))
    }
}

/// Why this ledger may lack what later runs have recorded; none if it is the newest copy.
/// `witness` and `log_missing` were found before it was opened: the configured witness, and whether its header
/// requires a write-ahead log that does not exist. `recorded` are the paths of its witnesses, and `compare`
/// compares the ledger with a mark.
///
/// # Errors
/// As `compare`.
pub fn staleness<E>(
    witness: WitnessContent,
    log_missing: bool,
    recorded: &[PathBuf],
    compare: impl Fn(WitnessMark) -> std::result::Result<Option<Staleness>, E>,
) -> std::result::Result<Option<Staleness>, E> {
    let log_missing = log_missing.then_some(Staleness::LogMissing);
    let unknown = match witness {
        // The first run was killed while it created the witness, before it changed the ledger.
        WitnessContent::Damaged | WitnessContent::Missing if recorded.is_empty() => {
            return Ok(log_missing);
        }
        WitnessContent::Damaged => return Ok(Some(Staleness::WitnessDamaged)),
        WitnessContent::Foreign => return Ok(Some(Staleness::WitnessForeign)),
        WitnessContent::Mark(mark) if mark.names_a_run() => return compare(mark),
        // The first run with this witness ended before its first commit; nobody was mailed.
        WitnessContent::Mark(_) => None,
        WitnessContent::Missing => Some(Staleness::WitnessMissing),
    };
    // The witnesses of other configurations of this ledger, or of this one before its witness was moved,
    // may be later.
    let mut staleness = unknown;
    for path in recorded {
        if let Ok(WitnessContent::Mark(mark)) = witness::read(path)
            && mark.names_a_run()
        {
            staleness = compare(mark)?.and(Some(Staleness::WitnessMissing));
            if staleness.is_some() {
                break;
            }
        }
    }
    Ok(staleness)
}

/// Refuses to create a ledger if a witness says that there was one.
///
/// # Errors
/// If a witness exists or cannot be read.
pub fn refuse_witness_without_ledger(ledger: &LedgerLocation) -> Result<()> {
    match witness::read(ledger.witness())? {
        WitnessContent::Missing => Ok(()),
        _ => Err(LedgerError::Unusable(format!(
            "there is no ledger `{ledger}`, but its witness `{}` exists, so a ledger was lost or moved; restore it, or move the witness away if every partner may be invited again",
            ledger.witness().display()
        ))),
    }
}

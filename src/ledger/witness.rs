//! The witness: a small file that records the latest change of a ledger, so that an older or shortened copy
//! of the ledger is detected before a partner is invited again.
//!
//! It contains the ledger's id, the random id of the last writing run, and that run's change counter. The
//! ledger must contain that run at that counter or later. Writers advance the witness after each commit,
//! so it is never ahead of the ledger. Each update overwrites the older of two slots with checksums, so
//! that one of them is always complete; an older counter never replaces a later one.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::{LedgerError, Result};
use super::sidecar::{give_to_owner, ownership_fix};
use crate::files::{self, folder_of};

/// The bytes of a slot: a sector, so that a torn write damages one slot only.
const SLOT: usize = 512;
/// How a slot begins. The fields that follow have fixed lengths.
const TITLE: &str = "access-invite witness 1";

/// A random id of a ledger or of a run.
pub type Id = [u8; 16];

/// A new id.
///
/// # Errors
/// If the system has no random numbers.
pub fn random_id() -> Result<Id> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)?;
    Ok(id)
}

/// The state of a ledger that a witness attests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WitnessMark {
    /// The ledger's id.
    pub ledger: Id,
    /// The last writing run; zero while no run has written.
    pub run: Id,
    /// The ledger's change counter at that run's last commit.
    pub changes: u64,
}

impl WitnessMark {
    /// The mark of a ledger that no run has changed yet.
    #[must_use]
    pub fn unwritten(ledger: Id) -> Self {
        Self {
            ledger,
            run: [0; 16],
            changes: 0,
        }
    }

    /// Whether a run has written since the witness was created.
    #[must_use]
    pub fn names_a_run(&self) -> bool {
        self.run != [0; 16]
    }

    fn to_slot(self) -> [u8; SLOT] {
        let text = format!(
            "{TITLE} ledger={} run={} changes={:020}",
            hex(self.ledger),
            hex(self.run),
            self.changes
        );
        let line = format!("{text} checksum={}\n", checksum(&text));
        let mut slot = [b' '; SLOT];
        slot[..line.len()].copy_from_slice(line.as_bytes());
        slot[SLOT - 1] = b'\n';
        slot
    }

    fn from_slot(slot: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(slot).ok()?.lines().next()?;
        let (text, sum) = line.rsplit_once(" checksum=")?;
        if sum != checksum(text) {
            return None;
        }
        let mut fields = text.strip_prefix(TITLE)?.split_ascii_whitespace();
        let mut field = |name: &str| fields.next()?.strip_prefix(name)?.strip_prefix('=');
        Some(Self {
            ledger: from_hex(field("ledger")?)?,
            run: from_hex(field("run")?)?,
            changes: field("changes")?.parse().ok()?,
        })
    }
}

/// What the path of the witness contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WitnessContent {
    /// No file.
    Missing,
    /// A witness without a complete slot.
    Damaged,
    /// A file that is not a witness.
    Foreign,
    /// A witness.
    Mark(WitnessMark),
}

/// Reads the witness. To be called before the ledger is read, because writers advance it after
/// they have committed.
///
/// # Errors
/// If the file exists and cannot be read.
pub fn read(path: &Path) -> Result<WitnessContent> {
    let content = match files::open(path) {
        Ok(file) => read_from(&file),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(WitnessContent::Missing),
        Err(error) => Err(error),
    };
    content.map_err(|error| unusable(path, &error))
}

fn read_from(mut file: &File) -> io::Result<WitnessContent> {
    let mut bytes = Vec::new();
    io::Seek::seek(&mut file, io::SeekFrom::Start(0))?;
    file.take(2 * SLOT as u64).read_to_end(&mut bytes)?;
    let title = TITLE.as_bytes();
    Ok(match latest(&bytes) {
        Some((_, mark)) => WitnessContent::Mark(mark),
        None if bytes.is_empty() || bytes.chunks(SLOT).any(|it| it.starts_with(title)) => {
            WitnessContent::Damaged
        }
        None => WitnessContent::Foreign,
    })
}

/// The slot with the highest counter, by its number.
fn latest(bytes: &[u8]) -> Option<(usize, WitnessMark)> {
    let slots = bytes.chunks(SLOT).take(2).enumerate();
    slots
        .filter_map(|(number, slot)| Some((number, WitnessMark::from_slot(slot)?)))
        .max_by_key(|(_, mark)| mark.changes)
}

/// The witness, open for a writer. Its methods fail if the file cannot be locked, read or written.
#[derive(Debug)]
pub struct Witness {
    file: File,
    path: PathBuf,
}

impl Witness {
    /// Opens the witness, or creates it durably with `mark`, readable only by the owner of the ledger. A
    /// damaged or incomplete one is written again.
    ///
    /// # Errors
    /// If it cannot be opened, created or written.
    pub fn open_or_create(path: &Path, mark: WitnessMark, ledger: &Path) -> Result<Self> {
        let open = || {
            let file = files::open_own(path)?;
            if read_from(&file)? == WitnessContent::Damaged {
                write_both(&file, mark)?;
                File::open(folder_of(path))?.sync_all()?;
            }
            give_to_owner(&file, ledger)?;
            Ok(file)
        };
        Ok(Self {
            file: open().map_err(|error| unusable(path, &error))?,
            path: path.to_owned(),
        })
    }

    /// Records `mark`, unless another writer has recorded a later one. Not synced to the disk.
    ///
    /// # Errors
    /// See [`Witness`].
    pub fn advance(&self, mark: WitnessMark) -> Result<()> {
        let advanced = locked(&self.file, || {
            let mut bytes = [0; 2 * SLOT];
            let read = self.file.read_at(&mut bytes, 0)?;
            let slot = match latest(&bytes[..read]) {
                Some((_, latest)) if latest.changes >= mark.changes => return Ok(()),
                Some((slot, _)) => 1 - slot,
                None => 0,
            };
            self.file
                .write_all_at(&mark.to_slot(), (slot * SLOT) as u64)
        });
        advanced.map_err(|error| unusable(&self.path, &error))
    }

    /// Replaces its content by `mark`.
    ///
    /// # Errors
    /// See [`Witness`].
    pub fn reset(&self, mark: WitnessMark) -> Result<()> {
        write_both(&self.file, mark).map_err(|error| unusable(&self.path, &error))
    }

    /// Syncs it to the disk.
    ///
    /// # Errors
    /// If the disk reports an error.
    pub fn sync(&self) -> Result<()> {
        let synced = self.file.sync_all();
        synced.map_err(|error| unusable(&self.path, &error))
    }
}

fn write_both(file: &File, mark: WitnessMark) -> io::Result<()> {
    let content = [mark.to_slot(), mark.to_slot()].concat();
    locked(file, || file.write_all_at(&content, 0))?;
    file.sync_all()
}

fn locked<T>(file: &File, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    file.lock()?;
    let done = work();
    file.unlock()?;
    done
}

/// The error of a witness that cannot be read or written.
fn unusable(witness: &Path, error: &io::Error) -> LedgerError {
    let message = format!(
        "cannot read or write the witness `{}`: {error}{}",
        witness.display(),
        ownership_fix(witness)
    );
    match error.kind() {
        ErrorKind::PermissionDenied => LedgerError::NoPermission(message),
        _ => LedgerError::CannotWrite(message),
    }
}

fn checksum(text: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(text).into();
    hex(*digest.first_chunk().expect("16 of 32 bytes"))
}

/// An id as it is printed.
pub fn hex(id: Id) -> String {
    format!("{:032x}", u128::from_be_bytes(id))
}

fn from_hex(text: &str) -> Option<Id> {
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: Id = [7; 16];

    fn mark(run: u8, changes: u64) -> WitnessMark {
        WitnessMark {
            ledger: LEDGER,
            run: [run; 16],
            changes,
        }
    }

    #[test]
    fn an_older_counter_never_replaces_a_later_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness");
        assert_eq!(read(&path).unwrap(), WitnessContent::Missing);
        let witness =
            Witness::open_or_create(&path, WitnessMark::unwritten(LEDGER), &path).unwrap();
        assert_eq!(
            read(&path).unwrap(),
            WitnessContent::Mark(WitnessMark::unwritten(LEDGER))
        );

        for (run, changes, latest) in [(1, 5, 5), (2, 7, 7), (1, 6, 7), (1, 7, 7), (3, 8, 8)] {
            witness.advance(mark(run, changes)).unwrap();
            match read(&path).unwrap() {
                WitnessContent::Mark(it) => {
                    assert_eq!(it.changes, latest, "after {run} at {changes}");
                }
                other => panic!("{other:?}"),
            }
        }
        witness.reset(mark(4, 2)).unwrap();
        assert_eq!(read(&path).unwrap(), WitnessContent::Mark(mark(4, 2)));
        assert_eq!(path.metadata().unwrap().len(), 2 * SLOT as u64);
    }

    #[test]
    fn b14_a_torn_write_of_a_slot_leaves_the_other_readable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness");
        let witness =
            Witness::open_or_create(&path, WitnessMark::unwritten(LEDGER), &path).unwrap();
        witness.advance(mark(1, 5)).unwrap();
        let before = std::fs::read(&path).unwrap();
        witness.advance(mark(1, 6)).unwrap();
        let after = std::fs::read(&path).unwrap();

        for length in 0..=before.len() {
            let torn = [&after[..length], &before[length..]].concat();
            let expected = [mark(1, 5), mark(1, 6)];
            let (_, found) = latest(&torn).unwrap();
            assert!(expected.contains(&found), "torn at {length}: {found:?}");
        }
        std::fs::write(&path, b"anything else").unwrap();
        assert_eq!(read(&path).unwrap(), WitnessContent::Foreign);
        std::fs::write(&path, &before[..100]).unwrap();
        assert_eq!(read(&path).unwrap(), WitnessContent::Damaged);
    }

    #[test]
    fn a_slot_with_any_changed_byte_is_not_read() {
        let slot = mark(3, 123_456).to_slot();
        let line = slot.iter().position(|it| *it == b'\n').unwrap();
        assert_eq!(WitnessMark::from_slot(&slot), Some(mark(3, 123_456)));
        for at in 0..line {
            let mut changed = slot;
            changed[at] ^= 1;
            assert_eq!(WitnessMark::from_slot(&changed), None, "byte {at}");
        }
    }
}

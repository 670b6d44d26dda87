//! What the previous review showed, so that the next one can mark what was added or has changed.
//!
//! Sixteen bytes an invitation: a hash of package and address, and a hash of all that the recipient reads.
//! No address is kept. A file that cannot be read counts as missing; then nothing is marked.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;

use jiff::Timestamp;

use super::access::ReviewFiles;
use crate::files;

/// The file, beside the index.
const FILE: &str = ".reviewed";
/// Its first line, before the time.
const HEAD: &str = "access-invite review 1 ";

/// The largest file: four million invitations.
const LIMIT: u64 = 64 * 1024 * 1024;

/// How a message compares with the previous review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It is the same, or there is no previous review.
    Same = 0,
    /// The invitation was not in it.
    Added = 1,
    /// Its content has changed.
    Changed = 2,
}

/// The digest of each message, by the hash of package and address.
type Messages = BTreeMap<[u8; 8], [u8; 8]>;

/// The previous review, and what the new one has so far.
#[derive(Debug, Default)]
pub struct PreviousReview {
    /// When it was made.
    pub made: Option<Timestamp>,
    /// Its messages that the new review does not have.
    missing: Messages,
    now: Messages,
}

impl PreviousReview {
    /// Reads the file in the folder of the review.
    pub fn read(folder: &Path) -> Self {
        let bytes = files::read(&folder.join(FILE), LIMIT).ok();
        bytes.and_then(|it| Self::parse(&it)).unwrap_or_default()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (head, rows) = bytes.split_at(bytes.iter().position(|it| *it == b'\n')?);
        let made = std::str::from_utf8(head).ok()?.strip_prefix(HEAD)?;
        let (halves, []) = rows[1..].as_chunks::<8>() else {
            return None;
        };
        let (rows, []) = halves.as_chunks::<2>() else {
            return None;
        };
        Some(Self {
            made: Some(made.parse().ok()?),
            missing: rows.iter().map(|[key, digest]| (*key, *digest)).collect(),
            now: Messages::new(),
        })
    }

    /// Compares a message with the previous review, and adds it to the new one.
    pub fn mark(&mut self, key: [u8; 8], digest: [u8; 8]) -> Mark {
        self.now.insert(key, digest);
        match self.missing.remove(&key) {
            None if self.made.is_some() => Mark::Added,
            Some(before) if before != digest => Mark::Changed,
            _ => Mark::Same,
        }
    }

    /// How many messages of the previous review are missing from this one.
    pub fn missing(&self) -> u64 {
        self.missing.len() as u64
    }

    /// Writes the file for the next review. A partial review keeps what it did not show.
    pub fn write(
        mut self,
        files: &ReviewFiles,
        made: Timestamp,
        partial: bool,
    ) -> std::io::Result<()> {
        if partial {
            self.now.append(&mut self.missing);
        }
        let mut file = BufWriter::new(tempfile::NamedTempFile::new_in(files.folder())?);
        writeln!(file, "{HEAD}{made}")?;
        for (key, digest) in self.now {
            file.write_all(&[key, digest].concat())?;
        }
        files.persist(file.into_inner()?, FILE)
    }
}

#[cfg(test)]
mod tests {
    use super::Mark::{Added, Changed, Same};
    use super::*;
    use crate::review::access::Access;

    const A: [u8; 8] = [1; 8];
    const B: [u8; 8] = [2; 8];
    const C: [u8; 8] = [3; 8];

    /// A review of these, and the mark of each.
    fn review(folder: &Path, rows: &[([u8; 8], [u8; 8])], partial: bool) -> (Vec<Mark>, u64) {
        let files = ReviewFiles::new(folder, Access::Owner);
        let mut before = PreviousReview::read(folder);
        let marks = rows.iter().map(|it| before.mark(it.0, it.1)).collect();
        let gone = before.missing();
        before
            .write(&files, Timestamp::UNIX_EPOCH, partial)
            .unwrap();
        (marks, gone)
    }

    #[test]
    fn a_review_is_compared_with_the_previous_one() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();

        assert_eq!(review(folder, &[(B, A), (A, A)], false).0, [Same, Same]);
        let (marks, gone) = review(folder, &[(C, A), (A, B)], false);
        assert_eq!((marks.as_slice(), gone), ([Added, Changed].as_slice(), 1));

        assert_eq!(review(folder, &[(C, B)], true).0, [Changed]);
        let (marks, gone) = review(folder, &[(C, B), (A, B)], false);
        assert_eq!((marks.as_slice(), gone), ([Same, Same].as_slice(), 0));

        std::fs::write(folder.join(FILE), "nonsense").unwrap();
        assert_eq!(review(folder, &[(A, B)], false), (vec![Same], 0));
    }
}

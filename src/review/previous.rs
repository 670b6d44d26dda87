//! What the previous review showed, so that the next one can mark what is new or changed.
//!
//! Sixteen bytes an invitation: a hash of package and address, and a hash of all that the recipient reads.
//! No address is kept. A file that cannot be read counts as missing; then nothing is marked.

use std::io::Write;
use std::path::Path;

use jiff::Timestamp;

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
    New = 1,
    /// Its content has changed.
    Changed = 2,
}

/// The previous review, and what the new one has so far.
#[derive(Debug, Default)]
pub struct PreviousReview {
    /// When it was made.
    pub made: Option<Timestamp>,
    previous: Vec<[u8; 16]>,
    seen: u64,
    now: Vec<[u8; 16]>,
}

impl PreviousReview {
    /// Reads the file in the folder of the review.
    pub fn read(folder: &Path) -> Self {
        let Ok(bytes) = files::read(&folder.join(FILE), LIMIT) else {
            return Self::default();
        };
        let line = bytes.iter().position(|it| *it == b'\n');
        let made = line
            .and_then(|end| std::str::from_utf8(&bytes[..end]).ok())
            .and_then(|it| it.strip_prefix(HEAD)?.parse().ok());
        let (rows, rest) = bytes[line.map_or(0, |it| it + 1)..].as_chunks::<16>();
        if made.is_none() || !rest.is_empty() {
            return Self::default();
        }
        Self {
            made,
            previous: rows.to_vec(),
            ..Self::default()
        }
    }

    /// Compares a message with the previous review, and adds it to the new one.
    pub fn mark(&mut self, key: [u8; 8], content: [u8; 8]) -> Mark {
        let row = [key, content].concat();
        self.now.push(row.try_into().expect("twice eight bytes"));
        if self.made.is_none() {
            return Mark::Same;
        }
        match self.previous.binary_search_by(|it| it[..8].cmp(&key)) {
            Err(_) => Mark::New,
            Ok(place) => {
                self.seen += 1;
                if self.previous[place][8..] == content {
                    Mark::Same
                } else {
                    Mark::Changed
                }
            }
        }
    }

    /// How many messages of the previous review are missing from this one.
    pub fn missing(&self) -> u64 {
        (self.previous.len() as u64).saturating_sub(self.seen)
    }

    /// Writes the file for the next review. A partial review keeps what it did not show.
    pub fn write(mut self, folder: &Path, made: Timestamp, partial: bool) -> std::io::Result<()> {
        self.now.sort_unstable();
        if partial {
            let is_included = |row: &[u8; 16]| {
                let found = self.now.binary_search_by(|it| it[..8].cmp(&row[..8]));
                found.is_ok()
            };
            let mut kept = self.previous;
            kept.retain(|it| !is_included(it));
            self.now.extend(kept);
            self.now.sort_unstable();
        }
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "{HEAD}{made}")?;
        file.write_all(self.now.as_flattened())?;
        file.persist(folder.join(FILE))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Mark::{Changed, New, Same};
    use super::*;

    const A: [u8; 8] = [1; 8];
    const B: [u8; 8] = [2; 8];
    const C: [u8; 8] = [3; 8];

    /// A review of these, and the mark of each.
    fn review(folder: &Path, rows: &[([u8; 8], [u8; 8])], partial: bool) -> (Vec<Mark>, u64) {
        let mut before = PreviousReview::read(folder);
        let marks = rows.iter().map(|it| before.mark(it.0, it.1)).collect();
        let gone = before.missing();
        before
            .write(folder, Timestamp::UNIX_EPOCH, partial)
            .unwrap();
        (marks, gone)
    }

    #[test]
    fn a_review_is_compared_with_the_previous_one() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();

        assert_eq!(review(folder, &[(B, A), (A, A)], false).0, [Same, Same]);
        let (marks, gone) = review(folder, &[(C, A), (A, B)], false);
        assert_eq!((marks.as_slice(), gone), ([New, Changed].as_slice(), 1));

        assert_eq!(review(folder, &[(C, B)], true).0, [Changed]);
        let (marks, gone) = review(folder, &[(C, B), (A, B)], false);
        assert_eq!((marks.as_slice(), gone), ([Same, Same].as_slice(), 0));

        std::fs::write(folder.join(FILE), "nonsense").unwrap();
        assert_eq!(review(folder, &[(A, B)], false), (vec![Same], 0));
    }
}

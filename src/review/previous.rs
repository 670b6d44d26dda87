//! What the review before said, so that the next one can tell what is new in it or changed.
//!
//! Sixteen bytes an invitation: eight that stand for package and address, eight for all that
//! its partner would read. No address is kept. A file that cannot be read counts as none: it
//! only makes the reader look at more.

use std::io::Write;
use std::path::Path;

use jiff::Timestamp;

use crate::files;

/// The file, beside the index.
const FILE: &str = ".reviewed";
/// The first line of it, before the time.
const HEAD: &str = "access-invite review 1 ";

/// More than this, four million invitations, no review has.
const LIMIT: u64 = 64 * 1024 * 1024;

/// How a message stands to the review before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It says the same, or there is no review before.
    Same = 0,
    /// The invitation was not in it.
    New = 1,
    /// It would read otherwise now.
    Changed = 2,
}

/// The review before, and what the one in the making has so far.
#[derive(Debug, Default)]
pub struct PreviousReview {
    /// When it was made.
    pub made: Option<Timestamp>,
    earlier: Vec<[u8; 16]>,
    seen: u64,
    now: Vec<[u8; 16]>,
}

impl PreviousReview {
    /// Reads what the review before has left in its folder.
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
            earlier: rows.to_vec(),
            ..Self::default()
        }
    }

    /// How a message stands to the review before; it is remembered for the next.
    pub fn mark(&mut self, key: [u8; 8], says: [u8; 8]) -> Mark {
        self.now.push(join(key, says));
        if self.made.is_none() {
            return Mark::Same;
        }
        match self.earlier.binary_search_by(|it| it[..8].cmp(&key)) {
            Err(_) => Mark::New,
            Ok(place) => {
                self.seen += 1;
                if self.earlier[place][8..] == says {
                    Mark::Same
                } else {
                    Mark::Changed
                }
            }
        }
    }

    /// How many of the review before are not in this one.
    pub fn gone(&self) -> u64 {
        (self.earlier.len() as u64).saturating_sub(self.seen)
    }

    /// Leaves what the next review will ask for. A review of a part keeps what it did not look at.
    pub fn write(mut self, folder: &Path, made: Timestamp, partial: bool) -> std::io::Result<()> {
        self.now.sort_unstable();
        if partial {
            let is_included = |row: &[u8; 16]| {
                let found = self.now.binary_search_by(|it| it[..8].cmp(&row[..8]));
                found.is_ok()
            };
            let mut kept = self.earlier;
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

fn join(key: [u8; 8], says: [u8; 8]) -> [u8; 16] {
    let mut row = [0; 16];
    row[..8].copy_from_slice(&key);
    row[8..].copy_from_slice(&says);
    row
}

#[cfg(test)]
mod tests {
    use super::Mark::{Changed, New, Same};
    use super::*;

    const A: [u8; 8] = [1; 8];
    const B: [u8; 8] = [2; 8];
    const C: [u8; 8] = [3; 8];

    /// A review of these, and how each of them stood.
    fn review(folder: &Path, rows: &[([u8; 8], [u8; 8])], partial: bool) -> (Vec<Mark>, u64) {
        let mut before = PreviousReview::read(folder);
        let marks = rows.iter().map(|it| before.mark(it.0, it.1)).collect();
        let gone = before.gone();
        before
            .write(folder, Timestamp::UNIX_EPOCH, partial)
            .unwrap();
        (marks, gone)
    }

    #[test]
    fn each_review_is_held_against_the_one_before_and_a_part_forgets_nothing_else() {
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

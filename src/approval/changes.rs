//! What has changed since an approval, group by group.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context;

use super::digest::{Digest, GROUPS, parse};
use super::inputs::{Inputs, WORDS, row};
use crate::exit::{self, Exit, OrExit};
use crate::files;

/// The largest approval: three million rows.
const LIMIT: u64 = 128 * 1024 * 1024;
/// How many names or lines of a kind are shown; the rest are counted.
const SHOWN: usize = 20;

/// What was approved, as far as its file tells.
#[derive(Default)]
struct Approved {
    named: [BTreeMap<String, u64>; 3],
    /// Whose row, and what it said, sorted.
    rows: Vec<(u64, u64)>,
}

/// A line for each group that has changed; `manifest` is the file of the approval, if it is at hand.
pub fn describe(
    given: Digest,
    manifest: Option<&Path>,
    inputs: &Inputs,
) -> exit::Result<Vec<String>> {
    let approved = manifest.map(read).transpose()?.unwrap_or_default();
    let today = inputs.digest();
    let mut lines = Vec::new();
    for (group, name) in GROUPS.iter().enumerate() {
        if given.0[group] == today.0[group] {
            continue;
        }
        let how = match approved.named.get(group) {
            _ if approved.is_empty() => {
                "changed; how cannot be told, because only the digest is at hand".into()
            }
            Some(before) => names(before, &inputs.named[group]),
            None => rows(&approved.rows, inputs)?,
        };
        lines.push(format!("{name}: {how}"));
    }
    Ok(lines)
}

impl Approved {
    /// Whether the file had nothing but its digest.
    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.named.iter().all(BTreeMap::is_empty)
    }
}

fn read(path: &Path) -> exit::Result<Approved> {
    let context = || format!("cannot read the approval `{}`", path.display());
    let file = files::open(path)
        .and_then(|file| match file.metadata()?.len() {
            length if length > LIMIT => Err(files::too_large(LIMIT)),
            _ => Ok(file),
        })
        .with_context(context)
        .or_exit(Exit::BadInput)?;
    let mut approved = Approved::default();
    for line in BufReader::new(file.take(LIMIT)).split(b'\n') {
        let line = line.with_context(context).or_exit(Exit::BadInput)?;
        let line = String::from_utf8_lossy(&line);
        let (word, rest) = line.split_once(' ').unwrap_or_default();
        if let ("row", Some((whose, what))) = (word, rest.split_at_checked(16)) {
            approved.rows.extend(parse(whose).zip(parse(what)));
        } else if let Some(group) = WORDS.iter().position(|it| *it == word)
            && let Some((digest, name)) = rest.split_once(' ')
            && let Some(digest) = parse(digest)
        {
            approved.named[group].insert(name.to_owned(), digest);
        }
    }
    approved.rows.sort_unstable();
    Ok(approved)
}

/// Which names were added, removed and changed.
fn names(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> String {
    let now: BTreeMap<String, u64> = now
        .iter()
        .map(|(name, digest)| (name.escape_debug().to_string(), *digest))
        .collect();
    let (mut added, mut removed, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for (name, digest) in &now {
        match before.get(name) {
            None => added.push(name),
            Some(was) if was != digest => changed.push(name),
            Some(_) => {}
        }
    }
    removed.extend(before.keys().filter(|it| !now.contains_key(*it)));
    let parts = [(added, "added"), (removed, "removed"), (changed, "changed")];
    let parts = parts.into_iter().filter(|(names, _)| !names.is_empty());
    let parts: Vec<String> = parts
        .map(|(names, what)| {
            let shown = names.iter().take(SHOWN).map(|it| format!("`{it}`"));
            let shown: Vec<String> = shown.collect();
            let rest = names.len() - shown.len();
            let more = if rest > 0 {
                format!(" and {rest} more")
            } else {
                String::new()
            };
            format!("{}{more} {what}", shown.join(", "))
        })
        .collect();
    if parts.is_empty() {
        return "changed; the names in the approval do not tell how".into();
    }
    parts.join("; ")
}

/// How many rows were added, removed and changed, and where.
fn rows(before: &[(u64, u64)], inputs: &Inputs) -> exit::Result<String> {
    let mut seen = vec![false; before.len()];
    let (mut added, mut changed) = (Lines::default(), Lines::default());
    for partner in inputs.partners.iter() {
        let partner = partner?;
        let (whose, what) = row(&partner);
        match before.binary_search_by_key(&whose, |it| it.0) {
            Err(_) => added.add(partner.line),
            Ok(place) => {
                seen[place] = true;
                if before[place].1 != what {
                    changed.add(partner.line);
                }
            }
        }
    }
    let removed = seen.iter().filter(|it| !**it).count();
    let path = inputs.partners.path().display();
    let mut parts = Vec::new();
    if added.total > 0 {
        parts.push(format!("{} added ({path}:{})", added.total, added.shown()));
    }
    if removed > 0 {
        parts.push(format!("{removed} removed"));
    }
    if changed.total > 0 {
        let (total, shown) = (changed.total, changed.shown());
        parts.push(format!("{total} changed ({path}:{shown})"));
    }
    Ok(if parts.is_empty() {
        format!(
            "`{path}` has other bytes, but the same good rows: their order, the way they are written, or a bad row has changed"
        )
    } else {
        format!("rows: {}", parts.join(", "))
    })
}

/// The first lines of a kind, and how many there are.
#[derive(Default)]
struct Lines {
    first: Vec<u64>,
    total: u64,
}

impl Lines {
    fn add(&mut self, line: u64) {
        self.total += 1;
        if self.first.len() < SHOWN {
            self.first.push(line);
        }
    }

    fn shown(&self) -> String {
        let lines: Vec<String> = self.first.iter().map(u64::to_string).collect();
        let more = if self.total > self.first.len() as u64 {
            " …"
        } else {
            ""
        };
        format!("{}{more}", lines.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_by_what_became_of_them_and_not_without_end() {
        let named = |names: &[(&str, u64)]| {
            let named = names
                .iter()
                .map(|(name, digest)| ((*name).to_owned(), *digest));
            named.collect::<BTreeMap<String, u64>>()
        };
        let before = named(&[("a", 1), ("b", 1), ("c", 1)]);
        let now = named(&[("a", 1), ("b", 2), ("d", 1)]);

        assert_eq!(names(&before, &now), "`d` added; `c` removed; `b` changed");
        assert!(names(&now, &now).contains("do not tell how"));
        let many = (0..25).map(|it| (format!("{it:02}"), 1)).collect();
        let told = names(&BTreeMap::new(), &many);
        assert!(told.ends_with("`19` and 5 more added"), "{told}");
    }
}

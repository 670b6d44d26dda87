//! What has changed since an approval, by group of inputs.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Error, Read};
use std::path::Path;

use super::digest::{Digest, GROUPS, parse};
use super::inputs::{ApprovalError, Inputs, KEYWORDS, Result, row};
use crate::files;

/// The largest approval: three million rows.
const LIMIT: u64 = 128 * 1024 * 1024;
/// How many names or lines of each kind are shown; the rest are counted.
const SHOWN: usize = 20;

/// What was approved, as far as its file tells.
#[derive(Default)]
struct Manifest {
    named: [BTreeMap<String, u64>; 3],
    /// The digests of each row's identity and content, sorted.
    rows: Vec<(u64, u64)>,
}

/// A line for each group that has changed; `manifest` is the file of the approval, if it is at hand.
pub fn describe(approved: Digest, manifest: Option<&Path>, inputs: &Inputs) -> Result<Vec<String>> {
    let manifest = manifest.map(read).transpose()?.unwrap_or_default();
    let is_empty = manifest.rows.is_empty() && manifest.named.iter().all(BTreeMap::is_empty);
    let today = inputs.digest();
    let mut lines = Vec::new();
    for (group, name) in GROUPS.iter().enumerate() {
        if approved.0[group] == today.0[group] {
            continue;
        }
        let how = match manifest.named.get(group) {
            _ if is_empty => "changed (only the digest is at hand, so it is unknown how)".into(),
            Some(before) => names(before, &inputs.named[group]),
            None => rows(&manifest.rows, inputs)?,
        };
        lines.push(format!("{name}: {how}"));
    }
    Ok(lines)
}

fn read(path: &Path) -> Result<Manifest> {
    let unreadable = |error: Error| {
        ApprovalError::NotUsable(format!(
            "cannot read the approval `{}`: {error}; copy it again",
            path.display()
        ))
    };
    let file = files::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.len() > LIMIT {
        return Err(unreadable(files::too_large(LIMIT)));
    }
    let mut manifest = Manifest::default();
    for line in BufReader::new(file.take(LIMIT)).split(b'\n') {
        let line = line.map_err(unreadable)?;
        let line = String::from_utf8_lossy(&line);
        let (keyword, rest) = line.split_once(' ').unwrap_or_default();
        if let ("row", Some((identity, content))) = (keyword, rest.split_at_checked(16)) {
            manifest.rows.extend(parse(identity).zip(parse(content)));
        } else if let Some(group) = KEYWORDS.iter().position(|it| *it == keyword)
            && let Some((digest, name)) = rest.split_once(' ')
            && let Some(digest) = parse(digest)
        {
            manifest.named[group].insert(name.to_owned(), digest);
        }
    }
    manifest.rows.sort_unstable();
    Ok(manifest)
}

/// Which names were added, removed and changed.
fn names(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> String {
    let escaped = |(name, digest): (&String, &u64)| (name.escape_debug().to_string(), *digest);
    let now: BTreeMap<String, u64> = now.iter().map(escaped).collect();
    let is_new = |it: &&String| !before.contains_key(*it);
    let is_gone = |it: &&String| !now.contains_key(*it);
    let is_other = |it: &&String| before.get(*it).is_some_and(|was| *was != now[*it]);
    let parts: Vec<String> = [
        (now.keys().filter(is_new).collect(), "added"),
        (before.keys().filter(is_gone).collect(), "removed"),
        (now.keys().filter(is_other).collect(), "changed"),
    ]
    .into_iter()
    .filter(|(names, _): &(Vec<_>, _)| !names.is_empty())
    .map(|(names, change)| {
        let shown = names.iter().take(SHOWN).map(|it| format!("`{it}`"));
        let shown = shown.collect::<Vec<_>>().join(", ");
        match names.len().saturating_sub(SHOWN) {
            0 => format!("{shown} {change}"),
            more => format!("{shown} and {more} more {change}"),
        }
    })
    .collect();
    if parts.is_empty() {
        return "changed (the names in the approval are the same, so it is unknown how)".into();
    }
    parts.join("; ")
}

/// How many rows were added, removed and changed, and on which lines.
fn rows(before: &[(u64, u64)], inputs: &Inputs) -> Result<String> {
    let mut seen = vec![false; before.len()];
    let (mut added, mut changed) = (Vec::new(), Vec::new());
    for partner in inputs.partners.iter() {
        let partner = partner.map_err(|error| ApprovalError::Io(error.to_string()))?;
        let (identity, content) = row(&partner);
        match before.binary_search_by_key(&identity, |it| it.0) {
            Err(_) => added.push(partner.line),
            Ok(index) => {
                seen[index] = true;
                if before[index].1 != content {
                    changed.push(partner.line);
                }
            }
        }
    }
    let removed = seen.iter().filter(|it| !**it).count();
    let path = inputs.partners.path().display();
    let located = |lines: &[u64], change: &str| {
        let shown = lines.iter().take(SHOWN).map(u64::to_string);
        let shown = shown.collect::<Vec<_>>().join(", ");
        let more = if lines.len() > SHOWN { " …" } else { "" };
        let total = lines.len();
        (total > 0).then(|| format!("{total} {change} ({path}:{shown}{more})"))
    };
    let parts: Vec<String> = [
        located(&added, "added"),
        (removed > 0).then(|| format!("{removed} removed")),
        located(&changed, "changed"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() {
        return Ok(format!(
            "the good rows of `{path}` are the same, but their order, their notation or a bad row has changed"
        ));
    }
    Ok(format!("rows: {}", parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_by_kind_of_change_at_most_twenty() {
        let named = |names: &[(&str, u64)]| {
            let named = names
                .iter()
                .map(|(name, digest)| ((*name).to_owned(), *digest));
            named.collect::<BTreeMap<String, u64>>()
        };
        let before = named(&[("a", 1), ("b", 1), ("c", 1)]);
        let now = named(&[("a", 1), ("b", 2), ("d", 1)]);

        assert_eq!(names(&before, &now), "`d` added; `c` removed; `b` changed");
        assert!(names(&now, &now).contains("unknown how"));
        let many = (0..25).map(|it| (format!("{it:02}"), 1)).collect();
        let told = names(&BTreeMap::new(), &many);
        assert!(told.ends_with("`19` and 5 more added"), "{told}");
    }
}

//! What has changed since an approval, by group of inputs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;

use super::digest::{Digest, GROUPS, parse};
use super::inputs::{ApprovalError, Inputs, KEYWORDS, Result, row};

/// How many names or lines of each kind are shown; the rest are counted.
const SHOWN: usize = 20;

/// What was approved, as far as its file tells.
#[derive(Default)]
struct Manifest {
    named: [BTreeMap<String, u64>; 3],
    /// The digest of each row's content, by that of its identity.
    rows: HashMap<u64, u64>,
}

/// A line for each group that has changed; `manifest` is the approval, empty if only the digest is at hand.
pub fn describe(approved: Digest, manifest: &[u8], inputs: &Inputs) -> Result<Vec<String>> {
    let mut manifest = Manifest::parse(manifest);
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
            None => rows(mem::take(&mut manifest.rows), inputs)?,
        };
        lines.push(format!("{name}: {how}"));
    }
    Ok(lines)
}

impl Manifest {
    fn parse(approval: &[u8]) -> Self {
        let mut manifest = Self::default();
        for line in approval.split(|it| *it == b'\n') {
            let line = String::from_utf8_lossy(line);
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
        manifest
    }
}

/// Which names were added, removed and changed.
fn names(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> String {
    let escaped = |(name, digest): (&String, &u64)| (name.escape_debug().to_string(), *digest);
    let now: BTreeMap<String, u64> = now.iter().map(escaped).collect();
    let (mut added, mut removed, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for name in before.keys().chain(now.keys()).collect::<BTreeSet<_>>() {
        match (before.get(name), now.get(name)) {
            (None, _) => added.push(name),
            (_, None) => removed.push(name),
            (was, is) if was != is => changed.push(name),
            _ => {}
        }
    }
    let listed = |names: &[&String], change: &str| {
        let shown = names.iter().take(SHOWN).map(|it| format!("`{it}`"));
        let shown = shown.collect::<Vec<_>>().join(", ");
        match names.len().saturating_sub(SHOWN) {
            _ if names.is_empty() => None,
            0 => Some(format!("{shown} {change}")),
            more => Some(format!("{shown} and {more} more {change}")),
        }
    };
    let parts = [
        listed(&added, "added"),
        listed(&removed, "removed"),
        listed(&changed, "changed"),
    ];
    match join(parts, "; ").as_str() {
        "" => "changed (the names in the approval are the same, so it is unknown how)".into(),
        parts => parts.into(),
    }
}

fn join(parts: [Option<String>; 3], separator: &str) -> String {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(separator)
}

/// How many rows were added, removed and changed, and on which lines.
fn rows(mut before: HashMap<u64, u64>, inputs: &Inputs) -> Result<String> {
    let (mut added, mut changed) = (Vec::new(), Vec::new());
    for partner in inputs.partners.iter() {
        let partner = partner.map_err(|error| ApprovalError::Io(error.to_string()))?;
        let (identity, content) = row(&partner);
        match before.remove(&identity) {
            None => added.push(partner.line),
            Some(was) if was != content => changed.push(partner.line),
            Some(_) => {}
        }
    }
    let removed = before.len();
    let path = inputs.partners.path().display();
    let located = |lines: &[u64], change: &str| {
        let shown = lines.iter().take(SHOWN).map(u64::to_string);
        let shown = shown.collect::<Vec<_>>().join(", ");
        let more = if lines.len() > SHOWN { " …" } else { "" };
        let total = lines.len();
        (total > 0).then(|| format!("{total} {change} ({path}:{shown}{more})"))
    };
    let parts = [
        located(&added, "added"),
        (removed > 0).then(|| format!("{removed} removed")),
        located(&changed, "changed"),
    ];
    Ok(match join(parts, ", ").as_str() {
        "" => format!(
            "the good rows of `{path}` are the same, but their order, their notation or a bad row has changed"
        ),
        parts => format!("rows: {parts}"),
    })
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

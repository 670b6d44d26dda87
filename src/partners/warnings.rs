//! Warnings about good rows. They never stop a run.
//!
//! One warning for each kind, with its rows below it, so that a thousand consumer addresses do
//! not hide one look-alike domain.

use std::path::Path;

use super::domains::{is_consumer, look_alike};
use super::finding::{self, RowFinding, excerpt};
use super::layout::Layout;
use super::mojibake::repaired;
use super::partner::Partner;
use crate::finding::Finding;

/// How many rows of a kind are kept for messages; the rest are counted.
const SHOWN: usize = 20;

/// The kinds of warnings, the gravest first, as their texts begin.
const KINDS: [&str; 4] = [
    "addresses whose domain looks like another one; check who owns them",
    "garbled cells, as if UTF-8 had been read as another encoding and saved again; correct them at their source, or the mails show them as they are here",
    "addresses of your own organisation; colleagues need no invitation",
    "addresses at consumer mail services; a personal account can request a package only if a policy of the package allows it",
];
/// The short name of each kind.
const NAMES: [&str; KINDS.len()] = [
    "look-alike domain",
    "garbled text",
    "own organisation",
    "consumer mail service",
];
const LOOK_ALIKE: usize = 0;
const GARBLED: usize = 1;
const OWN: usize = 2;
const CONSUMER: usize = 3;

/// The warnings about one file.
#[derive(Debug)]
pub struct Warnings {
    own_domain: String,
    guess: Option<String>,
    shown: [Vec<RowFinding>; KINDS.len()],
    totals: [u64; KINDS.len()],
}

impl Warnings {
    /// Begins with the warning about a guessed encoding; `own_domain` is the sender's.
    pub fn new(own_domain: &str, guess: Option<String>) -> Self {
        Self {
            own_domain: own_domain.to_owned(),
            guess,
            shown: Default::default(),
            totals: Default::default(),
        }
    }

    /// Adds the warnings about a good row.
    pub fn inspect(&mut self, partner: &Partner, layout: &Layout) {
        for (kind, finding) in self.of_row(partner, layout) {
            self.totals[kind] += 1;
            if self.shown[kind].len() < SHOWN {
                self.shown[kind].push(finding);
            }
        }
    }

    /// The warnings about one row, each with the short name of its kind.
    pub fn about(&self, partner: &Partner, layout: &Layout) -> Vec<(&'static str, RowFinding)> {
        let found = self.of_row(partner, layout).into_iter();
        found.map(|(kind, it)| (NAMES[kind], it)).collect()
    }

    fn of_row(&self, partner: &Partner, layout: &Layout) -> Vec<(usize, RowFinding)> {
        let domain = partner.address.domain();
        let hint = partner.package.link.directory_hint();
        let own = if hint.eq_ignore_ascii_case(domain) {
            Some(format!("`{hint}` is the tenant of the link"))
        } else if self.own_domain == domain {
            Some(format!("`{domain}` is the domain of `sender.from`"))
        } else {
            None
        };
        let consumer = is_consumer(domain).then(|| format!("`{domain}` is open to everyone"));
        let finding = |header: &str, value: &str, reason| RowFinding {
            line: partner.line,
            last_line: partner.line,
            column: Some(header.escape_debug().to_string()),
            value: Some(excerpt(value)),
            reason,
        };
        let mut found = Vec::new();
        for (kind, reason) in [
            (LOOK_ALIKE, look_alike(domain)),
            (OWN, own),
            (CONSUMER, consumer),
        ] {
            if let Some(reason) = reason {
                let address = partner.address.as_written();
                found.push((kind, finding(layout.email_header(), address, reason)));
            }
        }
        for (header, cell) in layout.texts(partner) {
            if let Some(was) = repaired(cell) {
                let reason = format!("it probably was \"{}\"", excerpt(&was));
                found.push((GARBLED, finding(header, cell, reason)));
            }
        }
        found
    }

    /// One finding for each kind of warning about the file, with its rows.
    pub fn describe(&self, path: &Path) -> Vec<Finding> {
        let warning = |message: &str| Finding::warning("partners", path.display(), message);
        let mut found: Vec<Finding> = self.guess.as_deref().map(warning).into_iter().collect();
        for ((kind, shown), total) in KINDS.iter().zip(&self.shown).zip(self.totals) {
            if total > 0 {
                let rows = finding::listed(path, shown, total);
                let mut finding = warning(kind);
                finding.what = format!("{}:\n{}", finding.what, rows.join("\n"));
                found.push(finding);
            }
        }
        found
    }
}

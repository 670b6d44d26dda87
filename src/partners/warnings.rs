//! What works in the list, but deserves a second look: never an error, never in the way.
//!
//! One warning for each kind of doubt, with the rows below it, so that a thousand private
//! addresses do not hide the one that passes for somebody else's.

use std::path::Path;

use super::domains::{is_consumer, look_alike};
use super::finding::{RowFinding, excerpt};
use super::layout::Layout;
use super::mojibake::repaired;
use super::partner::Partner;
use crate::finding::Finding;

/// How many rows of a kind are kept for people to read; the rest are counted.
const SHOWN: usize = 20;

/// The kinds of doubt, gravest first, as the warning begins that tells them.
const KINDS: [&str; 4] = [
    "addresses whose domain could be taken for another; make sure who is behind them",
    "cells that are garbled, as if UTF-8 had been read as another encoding and saved again; mend them where the list comes from, or the mails show them like this",
    "addresses of your own organisation; colleagues need no invitation from outside",
    "addresses at consumer mail services; a personal account can only request a package whose policy is open to it",
];
/// What a single one of each kind is called.
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

/// The doubts about one file.
#[derive(Debug)]
pub struct Warnings {
    own_domain: String,
    guess: Option<String>,
    shown: [Vec<RowFinding>; KINDS.len()],
    totals: [u64; KINDS.len()],
}

impl Warnings {
    /// None yet, but for what was guessed about the encoding; `own_domain` is the sender's.
    pub fn new(own_domain: &str, guess: Option<String>) -> Self {
        Self {
            own_domain: own_domain.to_owned(),
            guess,
            shown: Default::default(),
            totals: Default::default(),
        }
    }

    /// Looks a good row over.
    pub fn look_at(&mut self, partner: &Partner, layout: &Layout) {
        for (kind, finding) in self.doubts(partner, layout) {
            self.totals[kind] += 1;
            if self.shown[kind].len() < SHOWN {
                self.shown[kind].push(finding);
            }
        }
    }

    /// The doubts about one row, each with what it is called in short.
    pub fn about(&self, partner: &Partner, layout: &Layout) -> Vec<(&'static str, RowFinding)> {
        let doubts = self.doubts(partner, layout).into_iter();
        doubts.map(|(kind, it)| (NAMES[kind], it)).collect()
    }

    fn doubts(&self, partner: &Partner, layout: &Layout) -> Vec<(usize, RowFinding)> {
        let domain = partner.address.domain();
        let hint = partner.package.link.directory_hint();
        let own = if hint.eq_ignore_ascii_case(domain) {
            Some(format!("`{hint}` is the tenant that the link leads to"))
        } else if self.own_domain == domain {
            Some(format!("`{domain}` is the domain of `sender.from`"))
        } else {
            None
        };
        let consumer =
            is_consumer(domain).then(|| format!("`{domain}` gives mailboxes to anybody"));
        let finding = |header: &str, value: &str, reason| RowFinding {
            line: partner.line,
            last_line: partner.line,
            column: Some(header.escape_debug().to_string()),
            value: Some(excerpt(value)),
            reason,
        };
        let mut doubts = Vec::new();
        for (kind, doubt) in [
            (LOOK_ALIKE, look_alike(domain)),
            (OWN, own),
            (CONSUMER, consumer),
        ] {
            if let Some(reason) = doubt {
                let address = partner.address.as_written();
                doubts.push((kind, finding(layout.email_header(), address, reason)));
            }
        }
        for (header, cell) in layout.texts(partner) {
            if let Some(was) = repaired(cell) {
                let reason = format!("it was probably \"{}\"", excerpt(&was));
                doubts.push((GARBLED, finding(header, cell, reason)));
            }
        }
        doubts
    }

    /// One finding for each kind of doubt that there is about the file, with its rows.
    pub fn describe(&self, path: &Path) -> Vec<Finding> {
        let path = path.display();
        let warning = |message: &str| Finding::warning("partners", &path, message);
        let mut found: Vec<Finding> = self.guess.as_deref().map(&warning).into_iter().collect();
        for ((kind, shown), total) in KINDS.iter().zip(&self.shown).zip(self.totals) {
            if total == 0 {
                continue;
            }
            let mut finding = warning(kind);
            let mut rows: Vec<String> = shown.iter().map(|it| format!("{path}:{it}")).collect();
            let rest = total - shown.len() as u64;
            if rest > 0 {
                rows.push(format!("{path}: and {rest} more like these"));
            }
            finding.what = format!("{}:\n{}", finding.what, rows.join("\n"));
            found.push(finding);
        }
        found
    }
}

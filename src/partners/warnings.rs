//! Warnings about good rows. They never stop a run.
//!
//! One warning for each kind, with its rows below it, so that a thousand consumer addresses do
//! not hide one look-alike domain.

use std::path::Path;

use strum::EnumCount;

use super::domains::{is_consumer, look_alike};
use super::finding::{Findings, RowFinding, WarningKind, excerpt};
use super::layout::Layout;
use super::mojibake::repaired;
use super::partner::Partner;
use super::placeholders::{Placeholder, placeholder};
use crate::config::Field;
use crate::finding::Finding;

/// How many rows of a kind are kept for messages; the rest are counted.
const SHOWN: usize = 20;

/// How the text of each kind begins, in the order of [`WarningKind`].
const TEXTS: [&str; WarningKind::COUNT] = [
    "addresses whose domain looks like another one; check who owns them",
    "garbled cells, as if UTF-8 had been read as another encoding and saved again; correct them at their source, or the mails show them as they are here",
    "cells that hold a placeholder instead of a value; correct or empty them, or the mails show them as they are here",
    "language tags that are rarely meant",
    "invisible characters at the ends of cells",
    "addresses of your own organisation; colleagues need no invitation",
    "addresses at consumer mail services; a personal account can request a package only if a policy of the package allows it",
];
/// The warnings about one file.
#[derive(Debug)]
pub struct Warnings {
    own_domain: String,
    general: Vec<String>,
    found: [Findings; WarningKind::COUNT],
}

impl Warnings {
    /// Begins with the warnings about the file as a whole; `own_domain` is the sender's.
    pub fn new(own_domain: &str, general: Vec<String>) -> Self {
        Self {
            own_domain: own_domain.to_owned(),
            general,
            found: Default::default(),
        }
    }

    /// Adds a warning about the file as a whole.
    pub fn add(&mut self, warning: &str) {
        self.general.push(warning.to_owned());
    }

    /// Adds the warnings about a good row.
    pub fn inspect(&mut self, partner: &Partner, layout: &Layout) {
        for (kind, finding) in self.of_row(partner, layout) {
            self.found[kind as usize].add(finding, SHOWN);
        }
    }

    /// The warnings about one row, each with the short name of its kind.
    pub fn about(&self, partner: &Partner, layout: &Layout) -> Vec<(&'static str, RowFinding)> {
        let found = self.of_row(partner, layout).into_iter();
        found.map(|(kind, it)| (kind.into(), it)).collect()
    }

    fn of_row(&self, partner: &Partner, layout: &Layout) -> Vec<(WarningKind, RowFinding)> {
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
            (WarningKind::LookAlike, look_alike(domain)),
            (WarningKind::OwnOrganisation, own),
            (WarningKind::Consumer, consumer),
        ] {
            if let Some(reason) = reason {
                let address = partner.address.as_written();
                found.push((kind, finding(layout.name(Field::Email), address, reason)));
            }
        }
        found.extend(partner.doubts.iter().cloned());
        for (field, header, cell) in layout.texts(partner) {
            // Exports write "-" or "none" in columns that no mail shows.
            if let Some(placeholder) = placeholder(cell)
                && (field.is_some() || placeholder != Placeholder::NoValue)
            {
                let finding = finding(header, cell, placeholder.to_string());
                found.push((WarningKind::Placeholder, finding));
            }
            if let Some(was) = repaired(cell) {
                let reason = format!("it probably was \"{}\"", excerpt(&was));
                found.push((WarningKind::Garbled, finding(header, cell, reason)));
            }
        }
        found
    }

    /// One finding for each kind of warning about the file, with its rows.
    pub fn describe(&self, path: &Path) -> Vec<Finding> {
        let warning = |message: &str| Finding::warning("partners", path.display(), message);
        let mut found: Vec<Finding> = self.general.iter().map(|it| warning(it)).collect();
        for (kind, rows) in TEXTS.iter().zip(&self.found) {
            if rows.total() > 0 {
                let mut finding = warning(kind);
                let rows = rows.lines(path, SHOWN).join("\n");
                finding.what = format!("{}:\n{rows}", finding.what);
                found.push(finding);
            }
        }
        found
    }
}

//! The whole list, validated once.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::csv_format::CsvFormat;
use super::error::ListError;
use super::finding::{Findings, RowFinding};
use super::layout::Layout;
use super::partner::Partner;
use super::records::Records;
use super::row::{self, LanguageCache, Rules};
use super::snapshot::{self, Snapshot};
use super::temp_copy::CopyReader;
use super::warnings::Warnings;
use crate::config::{BadRows, Config, Field};
use crate::finding::{Finding, Severity};
use crate::invitation::Identity;
use crate::locale::Locale;

/// How many distinct faults of rows are kept for messages; the rest are counted.
const KEPT: usize = 200;
/// How many of them are shown as text: a screen.
const SHOWN: usize = 20;
/// From how many partners on a list is expected to have names and languages.
const LARGE: usize = 5;
/// How many good rows are kept as examples.
const EXAMPLES: usize = 3;

/// The whole list, validated.
#[derive(Debug)]
pub struct Partners {
    path: PathBuf,
    pub(super) snapshot: Snapshot,
    pub(super) layout: Layout,
    pub(super) rules: Rules,
    /// Twelve bytes of identity and four of line number for each good row, sorted.
    pub(super) keys: Vec<[u8; 16]>,
    pub(super) bad_lines: HashSet<u64>,
    faults: Findings,
    examples: Vec<Partner>,
    warnings: Warnings,
}

impl Partners {
    /// Copies and validates the file that the configuration names.
    ///
    /// `folder` is for the copy, which has no name there; `templates` are the locales of the
    /// templates, and `shows_notes` is whether one of them shows the notes. If not, a column `note` may contain
    /// anything, because it may be an internal one of a list from before there were notes.
    ///
    /// # Errors
    /// If the file as a whole cannot be used. For bad rows see [`Partners::refuse_bad_rows`].
    pub fn read(
        config: &Config,
        templates: &[Locale],
        shows_notes: bool,
        folder: &Path,
    ) -> Result<Self, ListError> {
        let snapshot = snapshot::copy(&config.partners, folder)?;
        let (path, columns) = (&config.partners.path, &config.partners.columns);
        let mut records = snapshot.records(snapshot.header);
        let layout = Layout::read(&mut records, columns, snapshot.delimiter, path)?;
        let guess = snapshot.text.guess.clone().into_iter();
        let general = guess.chain(layout.warnings.iter().cloned()).collect();
        let mut partners = Self {
            path: path.clone(),
            rules: Rules::new(config, templates, shows_notes),
            snapshot,
            layout,
            keys: Vec::new(),
            bad_lines: HashSet::new(),
            faults: Findings::default(),
            examples: Vec::new(),
            warnings: Warnings::new(config.sender.address.domain(), general),
        };
        partners.validate(records, &config.campaign, templates.len() > 1)?;
        Ok(partners)
    }

    fn validate(
        &mut self,
        mut records: Records<CopyReader>,
        campaign: &str,
        has_several_languages: bool,
    ) -> Result<(), ListError> {
        let mut languages = LanguageCache::new();
        let (mut has_name, mut has_language) = (false, false);
        while let Some(row) = records.next_record()? {
            match row::parse(&self.layout, &row, &self.rules, &mut languages) {
                Ok(None) => {}
                Ok(Some(partner)) => {
                    self.keys
                        .push(key(&partner.identity(campaign), partner.line));
                    self.warnings.inspect(&partner, &self.layout);
                    has_name |= partner.name.is_some();
                    has_language |= partner.locale.is_some();
                    if self.examples.len() < EXAMPLES {
                        self.examples.push(partner);
                    }
                }
                Err(faults) => faults.into_iter().for_each(|it| self.report(it)),
            }
        }
        if self.keys.len() >= LARGE {
            if !has_name {
                self.warnings.add("no row has a name, so all are greeted without one; add a column `name`, or set `partners.columns.name`");
            }
            if !has_language && has_several_languages {
                self.warnings.add("no row has a language, so all get the default one; add a column `locale`, or set `partners.columns.locale`");
            }
        }
        self.keys.sort_unstable();
        let keys = std::mem::take(&mut self.keys);
        for same in keys.chunk_by(|a, b| a[..12] == b[..12]) {
            let first = line_of(&same[0]);
            for later in &same[1..] {
                self.report(self.duplicate(line_of(later), first));
            }
        }
        self.keys = keys;
        Ok(())
    }

    fn report(&mut self, fault: RowFinding) {
        self.bad_lines.insert(fault.line);
        // Duplicates are found last, but may be among the first rows.
        let is_duplicate = fault.value.is_none();
        let limit = if is_duplicate { 2 * KEPT } else { KEPT };
        self.faults.add(fault, limit);
    }

    /// The finding about a row whose address and package an earlier line has.
    pub(super) fn duplicate(&self, line: u64, first: u64) -> RowFinding {
        RowFinding {
            line,
            last_line: line,
            column: Some(self.layout.name(Field::Email).to_owned()),
            value: None,
            reason: format!(
                "line {first} has the same address for this package; remove one of the rows"
            ),
        }
    }

    /// Whether the list has a good row for this invitation.
    #[must_use]
    pub fn contains(&self, identity: &Identity) -> bool {
        let short = &identity.digest()[..12];
        self.keys
            .binary_search_by(|key| key[..12].cmp(short))
            .is_ok()
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 over its bytes.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.snapshot.digest
    }

    /// How it is written.
    #[must_use]
    pub fn format(&self) -> CsvFormat {
        CsvFormat {
            encoding: self.snapshot.text.encoding,
            has_bom: self.snapshot.text.has_bom,
            delimiter: self.snapshot.delimiter,
        }
    }

    /// The names of all columns, as written.
    #[must_use]
    pub fn headers(&self) -> &[String] {
        &self.layout.headers
    }

    /// How many good rows there are.
    #[must_use]
    pub fn good(&self) -> u64 {
        let distinct = self.keys.chunk_by(|a, b| a[..12] == b[..12]).count();
        distinct as u64
    }

    /// How many rows are bad.
    #[must_use]
    pub fn bad(&self) -> u64 {
        self.bad_lines.len() as u64
    }

    /// The names of the columns in `partner.extra` of the templates.
    #[must_use]
    pub fn extra_columns(&self) -> &Arc<[String]> {
        &self.layout.extra_columns
    }

    /// The first faults of rows, one a line, as `FILE:LINE, column …`; the empty text if all rows are good.
    #[must_use]
    pub fn describe_bad_rows(&self) -> String {
        self.faults.lines(&self.path, SHOWN).join("\n")
    }

    /// All faults of rows that are kept, each as a finding.
    #[must_use]
    pub fn bad_row_findings(&self, severity: Severity) -> Vec<Finding> {
        let path = self.path.display();
        let kept = self.faults.kept().into_iter();
        kept.map(|it| {
            let at = format!("{path}:{}", it.place());
            Finding::new("partners", severity, at, it.without_place())
        })
        .collect()
    }

    /// How many rows are bad, and what to do about it.
    #[must_use]
    pub fn summarize_bad_rows(&self) -> String {
        format!(
            "{} of {} rows are bad, so nothing is sent; correct them, or set `partners.bad_rows = \"skip\"`",
            self.bad(),
            self.bad() + self.good()
        )
    }

    /// Which column was taken for what.
    #[must_use]
    pub fn describe_columns(&self) -> String {
        self.layout.describe()
    }

    /// The first good rows.
    #[must_use]
    pub fn examples(&self) -> &[Partner] {
        &self.examples
    }

    /// The warnings about the list: a guessed encoding, garbled cells, look-alike domains,
    /// consumer mail services, and addresses of the sender's organisation.
    #[must_use]
    pub fn warnings(&self) -> Vec<Finding> {
        self.warnings.describe(&self.path)
    }

    /// The warnings about one good row, each with the short name of its kind.
    #[must_use]
    pub fn warnings_about(&self, partner: &Partner) -> Vec<(&'static str, RowFinding)> {
        self.warnings.about(partner, &self.layout)
    }

    /// Fails if there are bad rows and the configuration does not skip them.
    ///
    /// # Errors
    /// All bad rows.
    pub fn refuse_bad_rows(&self, bad_rows: BadRows) -> Result<(), ListError> {
        if self.faults.total() == 0 || bad_rows == BadRows::Skip {
            return Ok(());
        }
        let (rows, summary) = (self.describe_bad_rows(), self.summarize_bad_rows());
        Err(ListError::BadRows(format!("{rows}\n{summary}")))
    }
}

/// Twelve bytes of identity and four of line number.
fn key(identity: &Identity, line: u64) -> [u8; 16] {
    let mut key = identity.digest();
    let line = u32::try_from(line).unwrap_or(u32::MAX);
    key[12..].copy_from_slice(&line.to_be_bytes());
    key
}

/// The line of such a key.
pub fn line_of(key: &[u8; 16]) -> u64 {
    u64::from(u32::from_be_bytes([key[12], key[13], key[14], key[15]]))
}

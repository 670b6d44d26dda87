//! The whole list: validated once, with what later readings need to know.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finding::RowFinding;
use super::form::Form;
use super::layout::Layout;
use super::partner::Partner;
use super::row::{self, Rules};
use super::rows::Rows;
use super::scratch::CopyReader;
use super::snapshot::{self, Snapshot};
use super::warnings::Warnings;
use crate::config::{BadRows, Config};
use crate::exit::{self, CommandError, Exit, OrExit};
use crate::finding::Finding;
use crate::invitation::Identity;
use crate::locale::Locale;

/// How many bad rows are kept for people to read; the rest are counted.
const SHOWN: usize = 200;

/// The whole list, validated.
#[derive(Debug)]
pub struct Partners {
    path: PathBuf,
    pub(super) copy: Arc<File>,
    digest: [u8; 32],
    pub(super) form: Form,
    /// Where the text begins in the copy, after its byte-order mark.
    pub(super) begins: u64,
    pub(super) layout: Layout,
    pub(super) rules: Rules,
    /// Twelve bytes of identity and four of line number for each good row, sorted.
    pub(super) keys: Vec<[u8; 16]>,
    pub(super) bad_lines: HashSet<u64>,
    shown: Vec<RowFinding>,
    bad_total: u64,
    warnings: Warnings,
}

impl Partners {
    /// Copies and validates the file that the configuration names.
    ///
    /// `scratch` is the folder for the copy, which has no name there; `templates` are
    /// the locales that mails can be written in.
    ///
    /// # Errors
    /// When the file as a whole cannot be used. Bad rows are no error here, see
    /// [`Partners::refuse_bad_rows`].
    pub fn read(config: &Config, templates: &[Locale], scratch: &Path) -> exit::Result<Self> {
        let path = config.partners.path.clone();
        let Snapshot {
            text,
            digest,
            delimiter,
            start,
        } = snapshot::copy(&config.partners, scratch)?;
        let copy = Arc::new(text.file);
        let mut rows = Rows::new(reader(&copy, start), delimiter, start);
        let layout =
            Layout::read(&mut rows, &config.partners.columns, delimiter).map_err(|reason| {
                CommandError::new(Exit::BadInput, format!("{}{reason}", path.display()))
            })?;
        let mut partners = Self {
            rules: Rules::new(config, templates),
            path,
            copy,
            digest,
            form: Form {
                encoding: text.encoding,
                has_bom: text.has_bom,
                delimiter,
            },
            begins: text.begins,
            layout,
            keys: Vec::new(),
            bad_lines: HashSet::new(),
            shown: Vec::new(),
            bad_total: 0,
            warnings: Warnings::new(config.sender.address.domain(), text.guess),
        };
        partners.parse(rows, &config.campaign)?;
        Ok(partners)
    }

    fn parse(&mut self, mut rows: Rows<CopyReader>, campaign: &str) -> exit::Result<()> {
        let mut locales = HashMap::new();
        while let Some(row) = rows.next_row().or_exit(Exit::CannotWrite)? {
            match row::parse(&self.layout, &row, &self.rules, &mut locales) {
                Ok(None) => {}
                Ok(Some(partner)) => {
                    self.keys
                        .push(key(&partner.identity(campaign), partner.line));
                    self.warnings.look_at(&partner, &self.layout);
                }
                Err(faults) => {
                    for fault in faults {
                        self.report(fault);
                    }
                }
            }
        }
        self.keys.sort_unstable();
        // Taken out for a while, so that they can be walked while what is found is reported.
        let keys = std::mem::take(&mut self.keys);
        for same in keys.chunk_by(|a, b| a[..12] == b[..12]) {
            let first = line_of(&same[0]);
            for later in &same[1..] {
                self.report(self.duplicate(line_of(later), first));
            }
        }
        self.keys = keys;
        self.shown.sort_by_key(|it| it.line);
        self.shown.truncate(SHOWN);
        Ok(())
    }

    /// The records below the header.
    pub(super) fn rows(&self) -> Rows<CopyReader> {
        self.rows_from(self.layout.data_start())
    }

    /// The records from a line and its offset on.
    pub(super) fn rows_from(&self, start: (u64, u64)) -> Rows<CopyReader> {
        Rows::new(reader(&self.copy, start), self.layout.delimiter(), start)
    }

    fn report(&mut self, fault: RowFinding) {
        self.bad_lines.insert(fault.line);
        self.bad_total += 1;
        // Duplicates are found last although they may stand first, hence some room.
        if self.shown.len() < 2 * SHOWN {
            self.shown.push(fault);
        }
    }

    /// What is wrong with a row whose address and package stand on an earlier line.
    pub(super) fn duplicate(&self, line: u64, first: u64) -> RowFinding {
        RowFinding {
            line,
            last_line: line,
            column: Some(self.layout.email_header().to_owned()),
            value: None,
            reason: format!("the same address already stands on line {first} for this package"),
        }
    }

    /// Whether today's file has a good row for this invitation.
    #[must_use]
    pub fn lists(&self, identity: &Identity) -> bool {
        let short = &identity.short()[..12];
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
        &self.digest
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

    /// The names of the columns that reach the templates as `partner.extra`.
    #[must_use]
    pub fn extra_columns(&self) -> &Arc<[String]> {
        self.layout.extra_columns()
    }

    /// The bad rows for people, one a line, as `FILE:LINE, column …`; the empty text where all are good.
    #[must_use]
    pub fn describe_bad_rows(&self) -> String {
        let mut lines: Vec<_> = self
            .shown
            .iter()
            .map(|fault| format!("{}:{fault}", self.path.display()))
            .collect();
        let rest = self.bad_total - self.shown.len() as u64;
        if rest > 0 {
            lines.push(format!(
                "{}: and {rest} more like these",
                self.path.display()
            ));
        }
        lines.join("\n")
    }

    /// What deserves a second look, though it is no error: a guessed encoding, garbled cells,
    /// look-alike domains, consumer mail services, and the own organisation's addresses.
    #[must_use]
    pub fn warnings(&self) -> Vec<Finding> {
        self.warnings.describe(&self.path)
    }

    /// The same about one good row, each with what it is called in short.
    #[must_use]
    pub fn doubts(&self, partner: &Partner) -> Vec<(&'static str, RowFinding)> {
        self.warnings.about(partner, &self.layout)
    }

    /// Stops where there are bad rows and the configuration does not skip them.
    ///
    /// # Errors
    /// All bad rows.
    pub fn refuse_bad_rows(&self, bad_rows: BadRows) -> exit::Result<()> {
        if self.bad_total == 0 || bad_rows == BadRows::Skip {
            return Ok(());
        }
        Err(CommandError::new(
            Exit::BadInput,
            format!(
                "{}\n{} of {} rows are bad, so nobody is mailed; mend them, or set `partners.bad_rows = \"skip\"`",
                self.describe_bad_rows(),
                self.bad(),
                self.bad() + self.good()
            ),
        ))
    }
}

/// Twelve bytes of identity and four of line number.
fn key(identity: &Identity, line: u64) -> [u8; 16] {
    let mut key = identity.short();
    let line = u32::try_from(line).unwrap_or(u32::MAX);
    key[12..].copy_from_slice(&line.to_be_bytes());
    key
}

/// The line of such a key.
pub fn line_of(key: &[u8; 16]) -> u64 {
    u64::from(u32::from_be_bytes([key[12], key[13], key[14], key[15]]))
}

/// Reads the copy from a line and its offset on.
fn reader(copy: &Arc<File>, (_, place): (u64, u64)) -> CopyReader {
    let copy = copy.clone();
    CopyReader { copy, place }
}

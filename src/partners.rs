//! The partners: a CSV file as people export it, read whole before anybody is mailed.
//!
//! The file is copied once, and everything later reads the copy, so that an editor
//! saving in the middle of a run changes nothing. The first reading judges every
//! row and reports all bad ones; later readings give out the good rows, in the
//! order of the file, as often as they are asked for. Memory stays flat: sixteen
//! bytes a row tell duplicates and who is listed.

mod domains;
mod encoding;
mod guess;
mod languages;
mod lines;
mod listed;
mod mojibake;
mod quoting;
mod row;
mod row_reader;
mod rows;
mod source;
mod swallowed;
mod warnings;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use encoding_rs::Encoding;

pub use self::languages::Asked;
pub use self::listed::{Listed, Verdict};
use self::row::{Layout, Rules};
pub use self::row_reader::RowReader;
use self::rows::Rows;
use self::source::Source;
use self::warnings::Warnings;
use crate::address::Address;
use crate::config::{BadRows, Config, Package};
use crate::exit::{self, Exit, Failure, OrExit};
use crate::invitation::Identity;
use crate::locale::Locale;

/// How many bad rows are kept for people to read; the rest are counted.
const SHOWN: usize = 200;

/// A contact at a partner: one good row.
#[derive(Clone, Debug)]
pub struct Partner {
    /// The line of the file, as an editor counts.
    pub line: u64,
    /// The offset of the row in the copy of the file, see [`RowReader`].
    pub offset: u64,
    /// Where to write to.
    pub address: Address,
    /// The person's name.
    pub name: Option<String>,
    /// The partner's organisation.
    pub organization: Option<String>,
    /// The language asked for.
    pub locale: Option<Locale>,
    /// What the partner is invited to.
    pub package: Arc<Package>,
    /// The other columns' names, shared by all rows.
    pub extra_columns: Arc<[String]>,
    /// The cells of the other columns.
    pub extra: Vec<String>,
}

impl Partner {
    /// The invitation of this partner within a campaign.
    #[must_use]
    pub fn identity(&self, campaign: &str) -> Identity {
        Identity::new(campaign, self.package.link.package_id(), &self.address)
    }
}

/// What is found in a row: what makes it bad, or what deserves a second look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The line where the row begins, as an editor counts.
    pub line: u64,
    /// The line where it ends; a later one where a quoted cell has line breaks.
    pub last_line: u64,
    /// The header of the cell at fault.
    pub column: Option<String>,
    /// What stands there, shortened.
    pub value: Option<String>,
    /// Why it cannot be used, or what is odd.
    pub reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.line)?;
        if self.last_line > self.line {
            write!(f, "-{}", self.last_line)?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        if let Some(value) = &self.value {
            write!(f, ", \"{value}\"")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// How the file is written, so that another can be written like it.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// What its bytes mean.
    pub encoding: &'static Encoding,
    /// Whether it begins with a byte-order mark.
    pub marked: bool,
    /// The byte between cells.
    pub delimiter: u8,
}

/// The whole file, judged.
#[derive(Debug)]
pub struct Partners {
    path: PathBuf,
    copy: Arc<File>,
    digest: [u8; 32],
    form: Form,
    /// Where the text begins in the copy, after its byte-order mark.
    begins: u64,
    layout: Layout,
    rules: Rules,
    /// Twelve bytes of identity and four of line number for each good row, sorted.
    keys: Vec<[u8; 16]>,
    bad_lines: HashSet<u64>,
    shown: Vec<Finding>,
    bad_total: u64,
    warnings: Warnings,
}

impl Partners {
    /// Copies and judges the file that the configuration names.
    ///
    /// `scratch` is the folder for the copy, which has no name there; `templates` are
    /// the locales that mails can be written in.
    ///
    /// # Errors
    /// When the file as a whole cannot be used. Bad rows are no error here, see
    /// [`Partners::refuse_bad_rows`].
    pub fn read(config: &Config, templates: &[Locale], scratch: &Path) -> exit::Result<Self> {
        let path = config.partners.path.clone();
        let Source {
            copy,
            digest,
            delimiter,
            encoding,
            marked,
            begins,
            start,
            guess,
        } = source::copy(&config.partners, scratch)?;
        let copy = Arc::new(copy);
        let mut rows = rows(&copy, delimiter, start);
        let layout =
            Layout::read(&mut rows, &config.partners.columns, delimiter).map_err(|reason| {
                Failure::new(Exit::BadInput, format!("{}{reason}", path.display()))
            })?;
        let mut partners = Self {
            rules: Rules::new(config, templates),
            path,
            copy,
            digest,
            form: Form {
                encoding,
                marked,
                delimiter,
            },
            begins,
            layout,
            keys: Vec::new(),
            bad_lines: HashSet::new(),
            shown: Vec::new(),
            bad_total: 0,
            warnings: Warnings::new(config.sender.address.domain(), guess),
        };
        partners.judge(rows, &config.campaign)?;
        Ok(partners)
    }

    fn judge(&mut self, mut rows: Rows<Reading>, campaign: &str) -> exit::Result<()> {
        let mut locales = HashMap::new();
        while let Some(row) = rows.next_row().or_exit(Exit::CannotWrite)? {
            match self.layout.partner(&row, &self.rules, &mut locales) {
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
                self.report(self.twin(line_of(later), first));
            }
        }
        self.keys = keys;
        self.shown.sort_by_key(|it| it.line);
        self.shown.truncate(SHOWN);
        Ok(())
    }

    fn report(&mut self, fault: Finding) {
        self.bad_lines.insert(fault.line);
        self.bad_total += 1;
        // Twins are found last although they may stand first, hence some room.
        if self.shown.len() < 2 * SHOWN {
            self.shown.push(fault);
        }
    }

    /// What is wrong with a row whose address and package stand on an earlier line.
    fn twin(&self, line: u64, first: u64) -> Finding {
        Finding {
            line,
            last_line: line,
            column: Some(self.layout.email_header().to_owned()),
            value: None,
            reason: format!("the same address already stands on line {first} for this package"),
        }
    }

    /// The good rows, in the order of the file.
    pub fn iter(self: &Arc<Self>) -> impl Iterator<Item = exit::Result<Partner>> + Send + use<> {
        self.listed().filter_map(|row| match row {
            Ok(Listed {
                verdict: Verdict::Good(partner),
                ..
            }) => Some(Ok(partner)),
            Ok(_) => None,
            Err(failure) => Some(Err(failure)),
        })
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
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.describe(&self.path)
    }

    /// The same about one good row, each with what it is called in short.
    #[must_use]
    pub fn doubts(&self, partner: &Partner) -> Vec<(&'static str, Finding)> {
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
        Err(Failure::new(
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

fn key(identity: &Identity, line: u64) -> [u8; 16] {
    let mut key = identity.short();
    let line = u32::try_from(line).unwrap_or(u32::MAX);
    key[12..].copy_from_slice(&line.to_be_bytes());
    key
}

fn line_of(key: &[u8; 16]) -> u64 {
    u64::from(u32::from_be_bytes([key[12], key[13], key[14], key[15]]))
}

/// The records of the copy from a line and its offset on.
fn rows(copy: &Arc<File>, delimiter: u8, start: (u64, u64)) -> Rows<Reading> {
    let reading = Reading {
        copy: copy.clone(),
        place: start.1,
    };
    Rows::new(reading, delimiter, start)
}

/// One reading of the copy, with a place of its own, so that readings never disturb each other.
#[derive(Debug)]
struct Reading {
    copy: Arc<File>,
    place: u64,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.copy.read_at(buffer, self.place)?;
        self.place += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;

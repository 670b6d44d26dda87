//! The configuration: one TOML file, read once into final types.
//!
//! Whatever is wrong is told at once, with file, line and cure. What is read can
//! be trusted by everything above: links are whole, addresses deliverable, paths
//! relative to the file, every value in its range. The file holds no secret, and
//! a line that might is never printed.

mod keys;
mod problems;
mod reader;
mod secrets;
mod sections;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use encoding_rs::Encoding;
use jiff::civil::Date;
use toml::de::DeTable;

use self::problems::Problems;
use self::reader::Section;
use crate::address::Address;
use crate::exit::{self, Exit, Failure};
use crate::files::{self, writable_by_everyone};
use crate::invitation::RetrySchedule;
use crate::link::AccessPackageLink;
use crate::locale::Locale;
use crate::outcome::Phase;

/// The largest configuration; a thousand packages with texts in every locale fit.
const FILE_LIMIT: u64 = 4 * 1024 * 1024;

/// Everything that the file says.
#[derive(Debug)]
pub struct Config {
    /// What "once" means: a partner is invited once per campaign and package.
    pub campaign: String,
    /// Who invites.
    pub sender: Sender,
    /// What partners are invited to, in the order of the file.
    pub packages: Vec<Arc<Package>>,
    /// Where the partners stand.
    pub partners: PartnerFile,
    /// Where the words stand.
    pub templates: TemplateFolder,
    /// The relay.
    pub smtp: Smtp,
    /// How much, how fast, to whom.
    pub limits: Limits,
    /// When a deferred invitation is tried again.
    pub retry: RetrySchedule,
    /// The ledger and its witness.
    pub ledger: LedgerFiles,
    /// Where the list is written again after each run, with what became of each row.
    pub results: Option<PathBuf>,
    /// The file that holds the approval without which nothing is sent.
    pub approval: Option<PathBuf>,
    /// Every key that the file has, with its value in canonical form; of a secret, only its kind.
    pub keys: BTreeMap<String, String>,
    /// What works, but deserves a second look.
    pub warnings: Vec<String>,
}

/// Where the ledger is, and the witness that says how far its writers have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerFiles {
    /// The ledger, behind any symbolic link.
    pub file: PathBuf,
    /// The witness, beside the ledger unless the configuration names another place.
    pub witness: PathBuf,
}

/// Who invites.
#[derive(Debug)]
pub struct Sender {
    /// The name shown beside the address.
    pub name: Option<String>,
    /// The From header and the envelope's sender.
    pub address: Address,
    /// Where answers go, if not to `address`.
    pub reply_to: Option<(Option<String>, Address)>,
    /// The inviting organisation.
    pub organization: String,
    /// Whom to ask whether the mail is genuine.
    pub contact: Option<String>,
}

impl Sender {
    /// The address that answers go to.
    #[must_use]
    pub fn reply_address(&self) -> &Address {
        self.reply_to.as_ref().map_or(&self.address, |it| &it.1)
    }
}

/// An access package that partners are invited to.
#[derive(Debug)]
pub struct Package {
    /// Its name in the configuration and in the CSV's `package` column.
    pub key: String,
    /// The whole link.
    pub link: AccessPackageLink,
    /// Its name in the mail.
    pub name: Text,
    /// What it is for.
    pub description: Option<Text>,
    /// What to write in the request.
    pub justification: Option<Text>,
    /// The last day to respond, in local time.
    pub respond_by: Option<Date>,
}

/// The keys of packages, for a message: the first of them, and how many more there are.
#[must_use]
pub fn keys_of(packages: &[Arc<Package>]) -> String {
    const SHOWN: usize = 20;
    let keys = packages.iter().take(SHOWN).map(|it| it.key.as_str());
    let keys = keys.collect::<Vec<_>>().join(", ");
    match packages.len().saturating_sub(SHOWN) {
        0 => keys,
        more => format!("{keys} and {more} more"),
    }
}

/// A text for all locales, or one for each.
#[derive(Debug)]
pub enum Text {
    /// The same for everybody.
    Same(String),
    /// By locale.
    ByLocale(Vec<(Locale, String)>),
}

impl Text {
    /// The text for a mail in `locale`; where none comes near, the one for `default`.
    ///
    /// `None` only where not even `default` has one, which [`Config::load`] refuses.
    #[must_use]
    pub fn in_locale(&self, locale: &Locale, default: &Locale) -> Option<&str> {
        let texts = match self {
            Self::Same(text) => return Some(text),
            Self::ByLocale(texts) => texts,
        };
        let locales: Vec<_> = texts.iter().map(|(locale, _)| locale.clone()).collect();
        let (found, _) = locale
            .nearest(&locales)
            .or_else(|| default.nearest(&locales))?;
        texts
            .iter()
            .find(|(locale, _)| locale == found)
            .map(|(_, text)| text.as_str())
    }
}

/// Where the partners stand, and how to read them.
#[derive(Debug)]
pub struct PartnerFile {
    /// The CSV file.
    pub path: PathBuf,
    /// What its bytes mean; `None` means by what they look like.
    pub encoding: Option<&'static Encoding>,
    /// The byte between cells; `None` means by the header line.
    pub delimiter: Option<u8>,
    /// The header of each known column.
    pub columns: Columns,
    /// What to do when rows are bad.
    pub bad_rows: BadRows,
}

/// The headers under which the known columns stand.
#[derive(Debug)]
pub struct Columns {
    /// The address; required in the file.
    pub email: Column,
    /// The person's name.
    pub name: Column,
    /// The partner's organisation.
    pub organization: Column,
    /// The wanted language.
    pub locale: Column,
    /// The key of the access package.
    pub package: Column,
}

/// The header of a known column.
#[derive(Debug)]
pub struct Column {
    /// The column's own name, a key of `partners.columns`.
    pub key: &'static str,
    /// The header, by default the key.
    pub header: String,
    /// Whether the configuration names it; then the file must have it.
    pub configured: bool,
}

impl Columns {
    /// All known columns.
    #[must_use]
    pub fn all(&self) -> [&Column; 5] {
        [
            &self.email,
            &self.name,
            &self.organization,
            &self.locale,
            &self.package,
        ]
    }

    /// Whether the header of a column belongs to another one, because the configuration says so.
    #[must_use]
    pub fn is_taken(&self, column: &Column) -> bool {
        let mut others = self.all().into_iter().filter(|it| it.key != column.key);
        !column.configured && others.any(|it| it.configured && it.has_same_header(column))
    }
}

impl Column {
    /// Whether a header of the file is that of this column, in any case of its letters.
    #[must_use]
    pub fn matches(&self, header: &str) -> bool {
        self.header.to_lowercase() == header.to_lowercase()
    }

    /// Whether two columns have one header.
    #[must_use]
    pub fn has_same_header(&self, other: &Self) -> bool {
        self.matches(&other.header)
    }
}

/// What to do when rows are bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRows {
    /// Mail nobody.
    Refuse,
    /// Mail the good rows and report the bad ones.
    Skip,
}

/// Where the words stand.
#[derive(Debug)]
pub struct TemplateFolder {
    /// The folder with `layout.html` and one folder a locale.
    pub directory: PathBuf,
    /// For rows without a locale.
    pub default_locale: Locale,
    /// For locales without a template.
    pub missing_locale: MissingLocale,
}

/// What to do with a row whose locale has no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingLocale {
    /// Write in the default locale.
    Default,
    /// Treat the row as bad.
    Refuse,
}

/// The relay that takes responsibility for the mail (RFC 5321 §2.3.10).
#[derive(Clone, Debug)]
pub struct Smtp {
    /// Its name, which its certificate must show, or its IP address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// Certificates to trust beside the system's, in PEM.
    pub ca_file: Option<PathBuf>,
    /// How we log in; none where the relay knows us by our address.
    pub login: Option<Login>,
    /// How many connections at once.
    pub connections: u32,
    /// Whether commands are pipelined where the relay offers it.
    pub pipelining: bool,
    /// The name for EHLO, if not this host's.
    pub hello: Option<String>,
    /// How long to wait in each phase.
    pub deadlines: Deadlines,
}

/// How we log in (RFC 4954).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// As whom.
    pub username: String,
    /// What proves it.
    pub proof: Proof,
}

/// Where the proof of a login comes from. The configuration never holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A password in a file that not everyone may read.
    PasswordFile(PathBuf),
    /// A password in an environment variable.
    PasswordEnv(String),
    /// A password that systemd hands over (`LoadCredential=`).
    PasswordCredential(String),
    /// A program and its arguments, which prints an access token (XOAUTH2).
    TokenCommand(Vec<String>),
}

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// From the first byte (RFC 8314).
    Implicit,
    /// After STARTTLS, which the relay must offer (RFC 3207).
    StartTls,
    /// Not at all: only to this machine.
    None,
}

/// How long to wait in each phase (RFC 5321 §4.5.3.2).
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    connect: Duration,
    tls: Duration,
    banner: Duration,
    ehlo: Duration,
    starttls: Duration,
    auth: Duration,
    mail: Duration,
    rcpt: Duration,
    data: Duration,
    body: Duration,
    dot: Duration,
    rset: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let minutes = Duration::from_mins;
        Self {
            connect: Duration::from_secs(30),
            tls: minutes(1),
            banner: minutes(5),
            ehlo: minutes(5),
            starttls: minutes(5),
            auth: minutes(5),
            mail: minutes(5),
            rcpt: minutes(5),
            data: minutes(2),
            body: minutes(3),
            dot: minutes(10),
            rset: minutes(1),
        }
    }
}

impl Deadlines {
    /// How long the phase may take; for the body, how long each block may.
    #[must_use]
    pub fn of(&self, phase: Phase) -> Duration {
        match phase {
            Phase::Connect => self.connect,
            Phase::Tls => self.tls,
            Phase::Banner => self.banner,
            Phase::Ehlo => self.ehlo,
            Phase::StartTls => self.starttls,
            Phase::Auth => self.auth,
            Phase::Mail => self.mail,
            Phase::Rcpt => self.rcpt,
            Phase::Data => self.data,
            Phase::Body => self.body,
            Phase::Dot => self.dot,
            Phase::Rset => self.rset,
        }
    }
}

/// How much, how fast, to whom.
#[derive(Debug)]
pub struct Limits {
    /// Dots in any 60 seconds, over all connections and runs.
    pub per_minute: u32,
    /// Dots in any 24 hours.
    pub per_day: u32,
    /// Never-attempted invitations in one run, above which nothing is sent.
    pub new_per_run: u32,
    /// How long a run may take; then it begins no more messages.
    pub max_runtime: Option<Duration>,
    /// The only recipients allowed; `None` means all.
    pub only_to: Option<Vec<Recipients>>,
}

/// One entry of `only_to`.
#[derive(Debug, PartialEq, Eq)]
pub enum Recipients {
    /// `@contoso.example`: everybody of a domain.
    Domain(String),
    /// One address, in its canonical form.
    Address(String),
}

impl Limits {
    /// Whether `only_to` lets this address through.
    #[must_use]
    pub fn allow(&self, address: &Address) -> bool {
        self.only_to.as_ref().is_none_or(|allowed| {
            allowed.iter().any(|it| match it {
                Recipients::Domain(domain) => domain == address.domain(),
                Recipients::Address(canonical) => *canonical == address.canonical(),
            })
        })
    }
}

impl Config {
    /// Reads and proves the file.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with line, expectation and cure.
    pub fn load(path: &Path) -> exit::Result<Self> {
        let shown = path.display();
        let bytes = files::read(path, FILE_LIMIT).map_err(|error| {
            let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
            let exit = if denied { Exit::NoPermission } else { Exit::Config };
            let message = format!(
                "cannot read the configuration `{shown}`: {error}; `access-invite init` writes one, and `-c FILE` names another"
            );
            Failure::new(exit, message)
        })?;
        let source = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..valid].split(|it| *it == b'\n').count();
            let byte = error.as_bytes()[valid];
            let message = format!(
                "{shown}:{line}: the byte 0x{byte:02X} at offset {valid} is not UTF-8; save the file as UTF-8"
            );
            Failure::new(Exit::Config, message)
        })?;
        let (file, errors) = DeTable::parse_recoverable(&source);
        let problems = Problems::default();
        for error in errors {
            let cure =
                "texts stand in quotes, lists in brackets, and each key once (https://toml.io)";
            let span = error.span().unwrap_or(0..0);
            problems.add(span, error.message(), Some(cure.into()));
        }
        let config = sections::read(Section::root(&file, &problems), path);
        match (problems.render(path, &source), config) {
            (None, Some(config)) => Self {
                keys: keys::keys(file.get_ref()),
                ..config
            }
            .guarded(path),
            (found, _) => Err(Failure::new(
                Exit::Config,
                found.unwrap_or_else(|| "the configuration is not complete".into()),
            )),
        }
    }

    /// The same with a warning for each file that everyone can change.
    ///
    /// # Errors
    /// If the configuration is one of them and names a program to run (77).
    fn guarded(mut self, path: &Path) -> exit::Result<Self> {
        let proof = self.smtp.login.as_ref().map(|it| &it.proof);
        let open = writable_by_everyone("the configuration", path);
        if let (Some(open), Some(Proof::TokenCommand(_))) = (&open, proof) {
            let message =
                format!("{open}: its `smtp.token_command` would run a program of anyone's choice");
            return Err(Failure::new(Exit::NoPermission, message));
        }
        let others = [
            ("the partner file", Some(&self.partners.path)),
            ("the approval", self.approval.as_ref()),
            ("the file of `smtp.ca_file`", self.smtp.ca_file.as_ref()),
        ];
        let others = others
            .into_iter()
            .filter_map(|(what, path)| writable_by_everyone(what, path?));
        let found: Vec<String> = open.into_iter().chain(others).collect();
        self.warnings.extend(found);
        Ok(self)
    }

    /// The package with this key.
    #[must_use]
    pub fn package(&self, key: &str) -> Option<&Arc<Package>> {
        self.packages.iter().find(|it| it.key == key)
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

//! Loads the file. All errors are reported together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;
use tracing::debug;

use super::approval::ApprovalRules;
use super::bounces::Bounces;
use super::brand::Brand;
use super::entra::Entra;
use super::error::ConfigError;
use super::job_files::JobFiles;
use super::key::{Key, Kind};
use super::ledger_location::LedgerLocation;
use super::limits::{Limits, read_retry};
use super::login::{CredentialSource, TokenTable};
use super::microsoft::Microsoft;
use super::monitoring::Monitoring;
use super::oauth::OAuth;
use super::packages::{self, Package};
use super::partner_file::PartnerFile;
use super::privacy::Privacy;
use super::problems::Problems;
use super::reader::{ConfigReader, Section};
use super::secrets::SecretLines;
use super::sender::Sender;
use super::smtp::Smtp;
use super::template_folder::TemplateFolder;
use super::values::{path, text};
use super::{fingerprint, overlap, reminders};
use crate::files::{self, writable_by_everyone};
use crate::finding::Finding;
use crate::invitation::{ReminderSchedule, RetrySchedule};

/// The largest configuration; a thousand packages with texts in every locale fit.
const FILE_LIMIT: u64 = 4 * 1024 * 1024;

/// The configuration.
#[derive(Debug)]
pub struct Config {
    /// A partner is invited once per campaign and package.
    pub campaign: String,
    /// Who invites.
    pub sender: Sender,
    /// How the mail looks.
    pub brand: Brand,
    /// The access packages, in the order of the file.
    pub packages: Vec<Arc<Package>>,
    /// The list of partners.
    pub partners: PartnerFile,
    /// The templates.
    pub templates: TemplateFolder,
    /// The relay.
    pub smtp: Smtp,
    /// The app registration for SMTP and Microsoft Graph, if there is one.
    pub microsoft: Option<Microsoft>,
    /// What is asked of Microsoft Entra; `None` without the table.
    pub entra: Option<Entra>,
    /// How many messages, how fast, to whom.
    pub limits: Limits,
    /// When a deferred invitation is tried again.
    pub retry: RetrySchedule,
    /// When partners are reminded; `None` without the table.
    pub reminders: Option<ReminderSchedule>,
    /// The ledger and its witness.
    pub ledger: LedgerLocation,
    /// The results file: the list with the outcome of each row, written after each run.
    pub results: Option<PathBuf>,
    /// What must be approved before it is sent.
    pub approval: ApprovalRules,
    /// How long records about partners are kept.
    pub privacy: Privacy,
    /// Where delivery reports arrive.
    pub bounces: Bounces,
    /// How others learn what runs do.
    pub monitoring: Monitoring,
    /// All keys of the file with their values in canonical form; of a secret, only its presence.
    pub keys: BTreeMap<String, String>,
    /// Those of them that may differ between machines that do the same job: paths, and the sources of secrets.
    pub local_keys: BTreeSet<String>,
    /// Warnings.
    pub warnings: Vec<Finding>,
}

impl Config {
    /// Reads and validates the file.
    ///
    /// # Errors
    /// All errors of the file, each with its line, what was expected and a fix.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let content = read_file(path, |root| read(root, path))?;
        debug!(path = %path.display(), "configuration read");
        let (files, config) = content.value;
        match (content.problems, files, config) {
            (None, _, Some(mut config)) => {
                config.keys = content.keys;
                config.local_keys = content.local_keys;
                config.check_permissions(path)?;
                Ok(config)
            }
            (Some(problems), Some(files), _) if problems.total == 0 => {
                Err(ConfigError::NotFilledIn(Box::new(problems), files))
            }
            (problems, ..) => {
                let problems = problems.expect("each value that is missing was reported");
                Err(ConfigError::Invalid(Box::new(problems)))
            }
        }
    }

    /// Adds a warning for each file that everyone can change.
    ///
    /// # Errors
    /// If the configuration is one of them and names a program to run.
    fn check_permissions(&mut self, path: &Path) -> Result<(), ConfigError> {
        let source = self.smtp.login.as_ref().map(|it| &it.credential);
        let open = writable_by_everyone("the configuration", path);
        let token_command = matches!(source, Some(CredentialSource::TokenCommand(_)));
        if let Some(open) = &open
            && (token_command || self.monitoring.notify.command.is_some())
        {
            return Err(ConfigError::WritableByEveryone(open.clone()));
        }
        let oauth_ca_file = self.smtp.issuer().and_then(|it| it.ca_file.as_ref());
        let microsoft_ca_file = self.microsoft.as_ref().and_then(|it| it.ca_file.as_ref());
        let imap_ca_file = self.bounces.imap.as_ref();
        let imap_ca_file = imap_ca_file.and_then(|it| it.ca_file.as_ref());
        let ledger_ca_file = match &self.ledger {
            LedgerLocation::Server(server) => server.ca_file.as_ref(),
            LedgerLocation::File(_) => None,
        };
        let others = [
            ("the partner file", Some(&self.partners.path)),
            ("the approval", self.approval.file.as_ref()),
            ("the file of `smtp.ca_file`", self.smtp.ca_file.as_ref()),
            ("the file of `smtp.oauth.ca_file`", oauth_ca_file),
            ("the file of `microsoft.ca_file`", microsoft_ca_file),
            ("the file of `bounces.imap.ca_file`", imap_ca_file),
            ("the file of `ledger.ca_file`", ledger_ca_file),
        ];
        let others = others
            .into_iter()
            .filter_map(|(what, path)| writable_by_everyone(what, path?));
        let open = open.into_iter().chain(others);
        let warnings = open.map(|it| Finding::warning("permissions", "", it));
        self.warnings.extend(warnings);
        Ok(())
    }

    /// The files of the job.
    #[must_use]
    pub fn files(&self) -> JobFiles {
        JobFiles {
            partners: self.partners.path.clone(),
            templates: self.templates.directory.clone(),
            ledger: self.ledger.clone(),
        }
    }

    /// The package with this key.
    #[must_use]
    pub fn package(&self, key: &str) -> Option<&Arc<Package>> {
        self.packages.iter().find(|it| it.key == key)
    }
}

impl Microsoft {
    /// Reads only the table `[microsoft]` of the file, and nothing else but its syntax, for a verb that is of use
    /// before the rest is configured; `None` if there is no such table.
    ///
    /// # Errors
    /// All errors of the table and of the syntax.
    pub fn load(path: &Path) -> Result<Option<Self>, ConfigError> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let content = read_file(path, |root| {
            root.read("microsoft", |it| Self::read(it, folder))
        })?;
        match content.problems {
            Some(problems) => Err(ConfigError::Invalid(Box::new(problems))),
            None => Ok(content.value),
        }
    }
}

impl Monitoring {
    /// Reads only the tables about monitoring, and the campaign, for a run whose configuration may be wrong
    /// otherwise. `None` if the file cannot be read, or one of the tables or the syntax is wrong.
    #[must_use]
    pub fn load(path: &Path) -> Option<(Self, Option<String>)> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let content = read_file(path, |root| {
            let campaign = root.key("campaign", "").optional(text());
            (Self::read(root, folder), campaign)
        });
        let content = content.ok()?;
        content.problems.is_none().then_some(content.value)
    }
}

/// What was read from a file.
struct FileContent<T> {
    value: T,
    /// All keys with their values in canonical form.
    keys: BTreeMap<String, String>,
    /// Paths, and the sources of secrets.
    local_keys: BTreeSet<String>,
    /// All errors of the syntax and of the values.
    problems: Option<Problems>,
}

/// Parses the file and passes it to `read`.
///
/// # Errors
/// If the file cannot be read as text.
fn read_file<T>(
    path: &Path,
    read: impl FnOnce(&mut Section<'_>) -> T,
) -> Result<FileContent<T>, ConfigError> {
    let source = files::read(path, FILE_LIMIT);
    let source = source.map_err(|error| ConfigError::Unreadable {
        path: path.display().to_string(),
        error,
    })?;
    let source = String::from_utf8(source).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let (valid, rest) = error.as_bytes().split_at(offset);
        ConfigError::NotUtf8 {
            path: path.display().to_string(),
            line: valid.split(|it| *it == b'\n').count(),
            byte: rest[0],
            offset,
        }
    })?;
    let reader = ConfigReader::default();
    let (file, errors) = DeTable::parse_recoverable(&source);
    let secrets = SecretLines::of(&source, file.get_ref(), errors.is_empty());
    for error in errors {
        let fix = "write texts in quotes, lists in brackets, and each key once (https://toml.io)";
        let span = error.span().unwrap_or(0..0);
        reader.problems.add(span, error.message(), Some(fix.into()));
    }
    if let Some(offset) = secrets.hidden_from() {
        reader.problems.stop_reading_at(offset);
    }
    let value = read(&mut Section::root(&file, &reader));
    let ConfigReader { problems, keys } = reader;
    let problems = problems.finish(path, &source, &secrets);
    let keys = keys.into_inner();
    let local = keys.iter().filter(|it| it.secret || it.kind == Kind::Path);
    let local_keys = local.map(|it| it.path.clone()).collect();
    let secrets = keys.iter().filter(|it| it.secret);
    let secrets = secrets.map(|it| it.path.as_str());
    Ok(FileContent {
        value,
        keys: fingerprint::keys(file.get_ref(), secrets),
        local_keys,
        problems,
    })
}

/// All keys that a configuration may have; the package is called `NAME`.
#[must_use]
pub fn declared_keys() -> Vec<Key> {
    let (file, _) = DeTable::parse_recoverable("[packages.NAME]");
    let reader = ConfigReader::default();
    let mut root = Section::root(&file, &reader);
    read(&mut root, Path::new("config.toml"));
    reader.keys.into_inner()
}

/// Adds an error for each output that would overwrite another file of the job.
fn check_outputs(
    root: &mut Section<'_>,
    results: Option<&Path>,
    monitoring: &Monitoring,
    mut files: Vec<(&'static str, PathBuf)>,
    templates: &Path,
) {
    for (table, key, output) in [
        ("results", "csv", results),
        ("events", "file", monitoring.events.as_deref()),
        ("metrics", "textfile", monitoring.textfile.as_deref()),
    ] {
        let Some(output) = output else { continue };
        if let Some(what) = overlap::find(output, &files, templates) {
            let message = format!("`{table}.{key}` would overwrite {what}; name another file");
            root.section(table).problem(key, message);
        }
        files.push(("another output", output.to_owned()));
    }
}

/// Reads all tables. What is missing from the result was reported as an error.
fn read(root: &mut Section<'_>, file: &Path) -> (Option<JobFiles>, Option<Config>) {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut warnings = Vec::new();

    let campaign = root
        .key(
            "campaign",
            "a partner is invited once per campaign and access package; keep it for as long as \
             the same people must not be invited again",
        )
        .required(text());
    let sender = root.read("sender", Sender::read);
    let mut templates = root.read("templates", |it| TemplateFolder::read(it, folder));
    let default_locale = &templates.default_locale;
    let brand = root.read("brand", |it| Brand::read(it, folder, default_locale));
    let packages = packages::read(root, default_locale, &mut warnings);
    let logos = brand.logos().map(|(key, it)| (key, it.to_owned()));
    templates.images = logos.collect();
    let partners = root.read("partners", |it| PartnerFile::read(it, folder));
    let microsoft = root.read("microsoft", |it| TokenTable {
        given: !it.is_empty(),
        table: Microsoft::read(it, folder),
    });
    let entra = root.read("entra", |it| Entra::read(it, &microsoft));
    let smtp = root.read("smtp", |it| {
        Smtp::read(it, folder, &microsoft, &mut warnings)
    });
    let microsoft = microsoft.table;
    let provider = smtp.as_ref().and_then(|it| it.provider);
    let limits = root.read("limits", |it| Limits::read(it, provider));
    let retry = root.read("retry", read_retry);
    let reminders = root.read("reminders", reminders::read);
    templates.with_reminders = reminders.is_some();
    let ledger = root.read("ledger", |it| LedgerLocation::read(it, folder, file));
    let issuer = smtp.as_ref().and_then(Smtp::issuer);
    let bounces = root.read("bounces", |it| {
        Bounces::read(it, folder, microsoft.as_ref(), issuer)
    });
    let approval = root.read("approval", |it| ApprovalRules::read(it, folder));
    let privacy = root.read("privacy", Privacy::read);
    let monitoring = Monitoring::read(root, folder);
    let results = root.read("results", |it| {
        it.key("csv", "your list with the outcome of each row")
            .optional(path(folder).map(overlap::behind_link))
    });

    let mut inputs = vec![("the configuration", file.to_owned())];
    if let Some(ledger) = &ledger {
        let named = |it| ("the ledger or a file that belongs to it", it);
        inputs.extend(ledger.files().into_iter().map(named));
        inputs.push(("the witness of the ledger", ledger.witness().to_owned()));
    }
    let list = partners.as_ref().map(|it| it.path.as_path());
    let heartbeat = monitoring.notify.heartbeat_file();
    let others = [("the partner file", list)]
        .into_iter()
        .chain(smtp.iter().flat_map(Smtp::files))
        .chain(issuer.into_iter().flat_map(OAuth::files))
        .chain(microsoft.iter().flat_map(Microsoft::files))
        .chain(bounces.files())
        .chain(brand.logos().map(|(_, it)| ("the logo", Some(it))))
        .chain([
            ("the approval", approval.file.as_deref()),
            ("the file of `notify.heartbeat_url_file`", heartbeat),
        ]);
    inputs.extend(others.filter_map(|(what, path)| Some((what, path?.to_owned()))));
    let outputs = results.as_deref();
    check_outputs(root, outputs, &monitoring, inputs, &templates.directory);
    root.finish();

    let files = partners.as_ref().zip(ledger.as_ref());
    let files = files.map(|(partners, ledger)| JobFiles {
        partners: partners.path.clone(),
        templates: templates.directory.clone(),
        ledger: ledger.clone(),
    });
    let config = || {
        Some(Config {
            campaign: campaign?,
            sender: sender?,
            brand,
            packages,
            partners: partners?,
            templates,
            smtp: smtp?,
            microsoft,
            entra,
            limits,
            retry,
            reminders,
            ledger: ledger?,
            results,
            approval,
            privacy,
            bounces,
            monitoring,
            // Filled in when the whole file is valid.
            keys: BTreeMap::new(),
            local_keys: BTreeSet::new(),
            warnings,
        })
    };
    (files, config())
}

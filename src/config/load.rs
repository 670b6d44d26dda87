//! Loading the file: everything that is wrong is reported together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use super::key::Key;
use super::ledger_files::LedgerFiles;
use super::limits::{Limits, read_retry};
use super::login::CredentialSource;
use super::microsoft::Microsoft;
use super::packages::{self, Package};
use super::partner_file::PartnerFile;
use super::reader::{ConfigReader, Section};
use super::sender::Sender;
use super::smtp::Smtp;
use super::template_folder::TemplateFolder;
use super::values::{path, text};
use super::{fingerprint, overlap};
use crate::exit::{self, CommandError, Exit};
use crate::files::{self, writable_by_everyone};
use crate::invitation::RetrySchedule;

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
    /// The list of partners.
    pub partners: PartnerFile,
    /// The texts of the mail.
    pub templates: TemplateFolder,
    /// The relay.
    pub smtp: Smtp,
    /// The app registration for SMTP and Microsoft Graph, if there is one.
    pub microsoft: Option<Microsoft>,
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

impl Config {
    /// Reads and validates the file.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line, what was expected and a fix.
    pub fn load(path: &Path) -> exit::Result<Self> {
        let source = read_source(path)?;
        let (file, errors) = DeTable::parse_recoverable(&source);
        let reading = ConfigReader::default();
        for error in errors {
            let cure =
                "texts stand in quotes, lists in brackets, and each key once (https://toml.io)";
            let span = error.span().unwrap_or(0..0);
            reading
                .problems
                .add(span, error.message(), Some(cure.into()));
        }
        let config = read(Section::root(&file, &reading), path);
        let ConfigReader { problems, keys } = reading;
        match (problems.render(path, &source), config) {
            (None, Some(mut config)) => {
                let keys = keys.into_inner();
                let secrets = keys.iter().filter(|it| it.secret);
                let secrets = secrets.map(|it| it.path.as_str());
                config.keys = fingerprint::keys(file.get_ref(), secrets);
                config.check_permissions(path)?;
                Ok(config)
            }
            (found, _) => Err(CommandError::new(
                Exit::Config,
                found.unwrap_or_else(|| "the configuration is not complete".into()),
            )),
        }
    }

    /// Adds a warning for each file that everyone can change.
    ///
    /// # Errors
    /// If the configuration is one of them and names a program to run (77).
    fn check_permissions(&mut self, path: &Path) -> exit::Result<()> {
        let proof = self.smtp.login.as_ref().map(|it| &it.proof);
        let open = writable_by_everyone("the configuration", path);
        if let (Some(open), Some(CredentialSource::TokenCommand(_))) = (&open, proof) {
            let message =
                format!("{open}: its `smtp.token_command` would run a program of anyone's choice");
            return Err(CommandError::new(Exit::NoPermission, message));
        }
        let oauth_ca_file = self.smtp.oauth.as_ref().and_then(|it| it.ca_file.as_ref());
        let microsoft_ca_file = self.microsoft.as_ref().and_then(|it| it.ca_file.as_ref());
        let others = [
            ("the partner file", Some(&self.partners.path)),
            ("the approval", self.approval.as_ref()),
            ("the file of `smtp.ca_file`", self.smtp.ca_file.as_ref()),
            ("the file of `smtp.oauth.ca_file`", oauth_ca_file),
            ("the file of `microsoft.ca_file`", microsoft_ca_file),
        ];
        let others = others
            .into_iter()
            .filter_map(|(what, path)| writable_by_everyone(what, path?));
        self.warnings.extend(open.into_iter().chain(others));
        Ok(())
    }

    /// The package with this key.
    #[must_use]
    pub fn package(&self, key: &str) -> Option<&Arc<Package>> {
        self.packages.iter().find(|it| it.key == key)
    }
}

/// Every key that a configuration may have; the package is called `NAME`.
#[must_use]
pub fn declared_keys() -> Vec<Key> {
    let (file, _) = DeTable::parse_recoverable("[packages.NAME]");
    let reading = ConfigReader::default();
    read(Section::root(&file, &reading), Path::new("config.toml"));
    reading.keys.into_inner()
}

fn read_source(path: &Path) -> exit::Result<String> {
    let shown = path.display();
    let bytes = files::read(path, FILE_LIMIT).map_err(|error| {
        let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
        let exit = if denied { Exit::NoPermission } else { Exit::Config };
        let message = format!(
            "cannot read the configuration `{shown}`: {error}; `access-invite init` writes one, and `-c FILE` names another"
        );
        CommandError::new(exit, message)
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].split(|it| *it == b'\n').count();
        let byte = error.as_bytes()[valid];
        let message = format!(
            "{shown}:{line}: the byte 0x{byte:02X} at offset {valid} is not UTF-8; save the file as UTF-8"
        );
        CommandError::new(Exit::Config, message)
    })
}

/// Reads all tables; `None` only after at least one problem is on the list.
fn read(mut root: Section<'_>, file: &Path) -> Option<Config> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut warnings = Vec::new();

    let campaign = root
        .key(
            "campaign",
            "a partner is invited once per campaign and access package; keep it for as long as \
             the same people must not be invited again",
        )
        .required(text());
    let sender = Sender::read(root.section("sender"));
    let templates = TemplateFolder::read(root.section("templates"), folder);
    let packages = packages::read(&mut root, &templates.default_locale, &mut warnings);
    let partners = PartnerFile::read(root.section("partners"), folder);
    let smtp = Smtp::read(root.section("smtp"), folder, &mut warnings);
    let microsoft = Microsoft::read(root.section("microsoft"), folder);
    let limits = Limits::read(root.section("limits"));
    let retry = read_retry(root.section("retry"));
    let ledger = LedgerFiles::read(root.section("ledger"), folder);

    let mut section = root.section("approval");
    let approval = section
        .key("file", "only what this approves is sent")
        .optional(path(folder));
    section.finish();

    let mut section = root.section("results");
    let results = section
        .key("csv", "your list again, with what became of each row")
        .optional(path(folder).map(overlap::behind_link));
    let mut inputs = vec![("the configuration", file.to_owned())];
    if let Some(ledger) = &ledger {
        let own = ledger.own_files();
        inputs.extend(own.map(|it| ("the ledger or a file that belongs to it", it)));
        inputs.push(("the witness of the ledger", ledger.witness.clone()));
    }
    let list = partners.iter().map(|it| it.path.clone());
    inputs.extend(list.map(|it| ("the partner file", it)));
    inputs.extend(smtp.iter().flat_map(Smtp::files));
    inputs.extend(microsoft.iter().flat_map(Microsoft::files));
    inputs.extend(approval.iter().map(|it| ("the approval", it.clone())));
    if let Some(results) = &results
        && let Some(what) = overlap::find(results, &inputs, &templates.directory)
    {
        let message = format!("`results.csv` would overwrite {what}; name a file of its own");
        section.problem("csv", message);
    }
    section.finish();
    root.finish();

    Some(Config {
        campaign: campaign?,
        sender: sender?,
        packages,
        partners: partners?,
        templates,
        smtp: smtp?,
        microsoft,
        limits,
        retry,
        ledger: ledger?,
        results,
        approval,
        // Read from the whole file, when all of it is right.
        keys: BTreeMap::new(),
        warnings,
    })
}

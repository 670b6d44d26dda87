//! `[ledger] url`: a ledger in a PostgreSQL database, which several machines share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use toml::de::DeValue;

use super::client_secret::{PASSWORD, SecretSource};
use super::database_url::{DatabaseParameters, check_database_parameters, parse_database_url};
use super::key::Kind;
use super::reader::Section;
use super::values::{Value, duration, expected, one_line, switch};
use crate::files::beside;

/// A ledger in a PostgreSQL database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerServer {
    /// The URL of the database, without a password.
    pub url: String,
    /// Where the password is kept; otherwise it comes from the environment or the password file.
    pub password: Option<SecretSource>,
    /// Certificates of authorities that are trusted besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// How long a run may be silent before other runs take its partners.
    pub lease: Duration,
    /// Whether a standby without synchronous replication may take over.
    pub accept_failover_loss: bool,
    /// The witness, by default beside the configuration.
    pub witness: PathBuf,
}

/// The keys of a ledger in a database, besides those of its password.
#[derive(Debug)]
pub(super) struct ServerKeys {
    lease: Duration,
    accept_failover_loss: bool,
    passwords: Vec<(&'static str, SecretSource)>,
    ca_file: Option<PathBuf>,
}

/// The URL of a database.
pub(super) fn database_url<'r>() -> Value<'r, String> {
    const URL: Kind = Kind::Text(
        "the URL of a database such as \"postgres://user@db.contoso.example/invitations\"",
    );
    Value::new(URL, |value| {
        // What is not a text, or not one line, is not shown either: it may contain a password.
        let url = match value {
            DeValue::String(_) => one_line(value)?,
            other => return Err(expected(&URL, other)),
        };
        check_database_parameters(&parse_database_url(&url)?)?;
        Ok(url)
    })
}

impl ServerKeys {
    /// Reads them all, whether or not the ledger is in a database.
    pub(super) fn read(section: &mut Section<'_>, folder: &Path) -> Self {
        Self {
            lease: section
                .key(
                    "lease",
                    "how long a run may be silent before others take over",
                )
                .or("\"30s\"", lease()),
            accept_failover_loss: section
                .key(
                    "accept_failover_loss",
                    "a standby may take over that lacks the last records",
                )
                .or("false", switch()),
            passwords: SecretSource::read(section, &PASSWORD, folder),
            ca_file: section.ca_file(folder),
        }
    }

    /// Refuses those that are set, because the ledger is in a file.
    pub(super) fn refuse(section: &mut Section<'_>) {
        let [(file, _), (variable, _), (credential, _)] = PASSWORD;
        let names = [
            "lease",
            "accept_failover_loss",
            file,
            variable,
            credential,
            "ca_file",
        ];
        for name in names {
            if section.contains(name) {
                let message = format!(
                    "`ledger.{name}` needs a ledger in a database (`ledger.url`), and this one is a file; remove it"
                );
                section.problem(name, message);
            }
        }
    }

    /// The ledger with this URL and witness.
    pub(super) fn server(
        self,
        section: &mut Section<'_>,
        url: String,
        witness: PathBuf,
    ) -> LedgerServer {
        let message = "`[ledger]` needs only one of `password_file`, `password_env` and `password_credential`";
        let password = section.only_one(self.passwords, message);
        let root_certificates =
            parse_database_url(&url).is_ok_and(|it| it.contains_key("sslrootcert"));
        if root_certificates && self.ca_file.is_some() {
            let message = "`ledger.ca_file` and the `sslrootcert` of `ledger.url` both name certificates; remove one of them";
            section.problem("ca_file", message);
        }
        LedgerServer {
            url,
            password: password.map(|(_, source)| source),
            ca_file: self.ca_file,
            lease: self.lease,
            accept_failover_loss: self.accept_failover_loss,
            witness,
        }
    }
}

/// The length of a lease.
fn lease<'r>() -> Value<'r, Duration> {
    const LEASE: Kind = Kind::Text("a time span from \"2s\" to \"10m\"");
    let any = duration();
    Value::new(LEASE, move |value| {
        let span = (any.read)(value).ok().map(SignedDuration::unsigned_abs);
        let span =
            span.filter(|it| (Duration::from_secs(2)..=Duration::from_mins(10)).contains(it));
        span.ok_or_else(|| expected(&LEASE, value))
    })
}

impl LedgerServer {
    /// The server of this URL, with all other keys unset.
    ///
    /// # Errors
    /// If it cannot be read or has a password.
    pub fn of_url(url: &str, witness: PathBuf) -> Result<Self, String> {
        check_database_parameters(&parse_database_url(url)?)?;
        Ok(Self {
            url: url.to_owned(),
            password: None,
            ca_file: None,
            lease: Duration::from_secs(30),
            accept_failover_loss: false,
            witness,
        })
    }

    /// What messages call it: the URL without parameters, unless it consists of them.
    #[must_use]
    pub fn name(&self) -> &str {
        match self.url.split_once('?') {
            Some((url, _)) if !url.ends_with('/') => url,
            _ => &self.url,
        }
    }

    /// The parameters of its URL.
    #[must_use]
    pub fn parameters(&self) -> DatabaseParameters {
        parse_database_url(&self.url).unwrap_or_default()
    }

    /// The witness of the configuration `file`, unless another one is set.
    pub(super) fn default_witness(file: &Path) -> PathBuf {
        beside(file, ".witness")
    }

    /// The files that it names, besides the witness.
    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> {
        let password = self.password.as_ref().and_then(|it| it.file());
        let files = [password, self.ca_file.as_deref()];
        files.into_iter().flatten().map(Path::to_owned)
    }
}

//! `client_secret_*`: where the secret of an OAuth client is kept.

use std::path::{Path, PathBuf};

use super::reader::Section;
use super::values::{path, text};

/// The keys of a secret, of which one must be set.
pub const SECRET_KEYS: [&str; 3] = [
    "client_secret_file",
    "client_secret_env",
    "client_secret_credential",
];

/// A secret that is kept outside of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSource {
    /// The key that names the place, `microsoft.client_secret_file`.
    pub key: String,
    /// Where it is.
    pub place: SecretPlace,
}

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretPlace {
    /// In a file that not everyone may read.
    File(PathBuf),
    /// In an environment variable.
    Env(String),
    /// In a credential that systemd passes to the service (`LoadCredential=`).
    Credential(String),
}

impl SecretSource {
    /// Reads the three keys; each that is set comes with its name in the table.
    pub(super) fn read(
        section: &mut Section<'_>,
        table: &str,
        folder: &Path,
    ) -> Vec<(&'static str, Self)> {
        let mut secret = |key: &'static str, description: &'static str, place| {
            let place = section.key(key, description).secret(place)?;
            let path = format!("{table}.{key}");
            Some((key, Self { key: path, place }))
        };
        let sources = [
            secret(
                "client_secret_file",
                "a file whose only line is the client secret",
                path(folder).map(SecretPlace::File),
            ),
            secret(
                "client_secret_env",
                "an environment variable with the client secret",
                text().map(SecretPlace::Env),
            ),
            secret(
                "client_secret_credential",
                "a credential of a systemd unit",
                text().map(SecretPlace::Credential),
            ),
        ];
        sources.into_iter().flatten().collect()
    }

    /// The file that holds the secret, if it is kept in one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.place {
            SecretPlace::File(path) => Some(path),
            SecretPlace::Env(_) | SecretPlace::Credential(_) => None,
        }
    }
}

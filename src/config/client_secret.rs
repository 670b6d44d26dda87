//! `client_secret_*` and `password_*`: where a secret is kept.

use std::path::{Path, PathBuf};

use super::reader::Section;
use super::values::{path, text};

/// The keys of a secret with their descriptions: for a file, an environment variable and a credential.
pub type SecretKeys = [(&'static str, &'static str); 3];

/// The keys for the secret of an OAuth client.
pub const CLIENT_SECRET: SecretKeys = [
    (
        "client_secret_file",
        "a file whose only line is the client secret",
    ),
    (
        "client_secret_env",
        "an environment variable with the client secret",
    ),
    ("client_secret_credential", "a credential of a systemd unit"),
];

/// The keys for a password.
pub const PASSWORD: SecretKeys = [
    ("password_file", "a file whose only line is the password"),
    ("password_env", "an environment variable with the password"),
    ("password_credential", "a credential of a systemd unit"),
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
        keys: &SecretKeys,
        folder: &Path,
    ) -> Vec<(&'static str, Self)> {
        let places = [
            path(folder).map(SecretPlace::File),
            text().map(SecretPlace::Env),
            text().map(SecretPlace::Credential),
        ];
        let each = keys.iter().zip(places);
        each.filter_map(|((name, description), place)| {
            let place = section.key(name, description).secret(place)?;
            let key = section.path(name);
            Some((*name, Self { key, place }))
        })
        .collect()
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

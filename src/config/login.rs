//! The login at the relay: a user name, and where its credential comes from.

use std::path::{Path, PathBuf};

use super::reader::Section;
use super::values::{Value, path, text, text_or_list};

/// A login at the relay (RFC 4954).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user name.
    pub username: String,
    /// Where its credential comes from.
    pub credential: CredentialSource,
}

/// Where the credential of a login comes from. The configuration never contains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// A password in a file that not everyone may read.
    PasswordFile(PathBuf),
    /// A password in an environment variable.
    PasswordEnv(String),
    /// A password from systemd (`LoadCredential=`).
    PasswordCredential(String),
    /// A program with its arguments that prints an access token (XOAUTH2).
    TokenCommand(Vec<String>),
}

/// The keys for a credential, as messages list them.
const ONE_OF: &str =
    "one of `password_file`, `password_env`, `password_credential` and `token_command`";

impl Login {
    /// Reads a user name and one credential, or neither.
    pub(super) fn read(section: &mut Section<'_>, folder: &Path, plain: bool) -> Option<Self> {
        let username = section
            .key("username", "the login's user name")
            .optional(text());
        let mut secret = |key: &'static str, description: &'static str, value| {
            let credential = section.key(key, description).secret(value);
            credential.map(|it| (key, it))
        };
        let credentials = [
            secret(
                "password_file",
                "a file whose only line is the password",
                path(folder).map(CredentialSource::PasswordFile),
            ),
            secret(
                "password_env",
                "an environment variable with the password",
                text().map(CredentialSource::PasswordEnv),
            ),
            secret(
                "password_credential",
                "a credential of a systemd unit",
                text().map(CredentialSource::PasswordCredential),
            ),
            secret(
                "token_command",
                "prints an access token for XOAUTH2",
                command().map(CredentialSource::TokenCommand),
            ),
        ];
        let mut given = credentials.into_iter().flatten();
        let first = given.next();
        if let Some((second, _)) = given.next() {
            section.problem(
                second,
                format!("a login needs only {ONE_OF}; remove the others"),
            );
        }
        match (username, first) {
            (None, None) => None,
            (Some(_), None) => {
                section.problem("username", format!("`smtp.username` needs {ONE_OF}"));
                None
            }
            (None, Some((key, _))) => {
                section.problem(key, format!("`smtp.{key}` needs `smtp.username`"));
                None
            }
            (Some(username), Some((_, credential))) => {
                if plain {
                    let message = "a login needs an encrypted connection: set `smtp.tls` to \"implicit\" or \"starttls\"";
                    section.problem("username", message);
                }
                Some(Self {
                    username,
                    credential,
                })
            }
        }
    }
}

/// A program and its arguments: a list, or one text without arguments.
fn command<'r>() -> Value<'r, Vec<String>> {
    let Value { kind, read } = text_or_list();
    Value::new(kind, move |value| match read(value)? {
        words if words.is_empty() => Err("must name a program".into()),
        words => Ok(words),
    })
}

//! The login at the relay: a user name, and where its proof comes from.

use std::path::{Path, PathBuf};

use super::reader::Section;
use super::values::{Value, path, text, text_or_list};

/// How we log in (RFC 4954).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// As whom.
    pub username: String,
    /// What proves it.
    pub proof: CredentialSource,
}

/// Where the proof of a login comes from. The configuration never holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// A password in a file that not everyone may read.
    PasswordFile(PathBuf),
    /// A password in an environment variable.
    PasswordEnv(String),
    /// A password that systemd hands over (`LoadCredential=`).
    PasswordCredential(String),
    /// A program and its arguments, which prints an access token (XOAUTH2).
    TokenCommand(Vec<String>),
}

impl Login {
    /// A user name and one proof, or neither.
    pub(super) fn read(section: &mut Section<'_>, folder: &Path, clear: bool) -> Option<Self> {
        let username = section
            .key("username", "the login's user name")
            .optional(text());
        let mut secret = |key: &'static str, description: &'static str, proof| {
            let proof = section.key(key, description).secret(proof);
            proof.map(|it| (key, it))
        };
        let proofs = [
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
        let mut given = proofs.into_iter().flatten();
        let first = given.next();
        if let Some((second, _)) = given.next() {
            let message = "a login needs one proof: one of `password_file`, `password_env`, `password_credential` and `token_command`, not several";
            section.problem(second, message);
        }
        match (username, first) {
            (None, None) => None,
            (Some(_), None) => {
                let message = "`smtp.username` needs a proof: one of `password_file`, `password_env`, `password_credential` and `token_command`";
                section.problem("username", message);
                None
            }
            (None, Some((key, _))) => {
                section.problem(key, format!("`smtp.{key}` needs `smtp.username` beside it"));
                None
            }
            (Some(username), Some((_, proof))) => {
                if clear {
                    let message = "a login never goes over a connection in clear: set `smtp.tls` to \"implicit\" or \"starttls\"";
                    section.problem("username", message);
                }
                Some(Self { username, proof })
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

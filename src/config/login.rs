//! The login at the relay: a user name, and where its credential comes from.

use std::path::Path;

use super::client_secret::{PASSWORD, SecretSource};
use super::microsoft::Microsoft;
use super::oauth::OAuth;
use super::providers::{Provider, ProviderLogin};
use super::reader::Section;
use super::values::{Value, text, text_or_list};

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
    /// A password that is kept outside of the configuration.
    Password(SecretSource),
    /// A program with its arguments that prints an access token.
    TokenCommand(Vec<String>),
    /// Access tokens of an issuer: `[smtp.oauth]`.
    Issuer(Box<OAuth>),
    /// Access tokens of Microsoft Entra: `[microsoft]`.
    Microsoft(Box<Microsoft>),
}

/// A table from which access tokens can come: its content if it is valid, and whether it is used.
pub struct TokenTable<T> {
    pub given: bool,
    pub table: Option<T>,
}

/// The keys for a credential, as messages list them.
const ONE_OF: &str =
    "one of `password_file`, `password_env`, `password_credential` and `token_command`";

impl Login {
    /// Reads a user name and one credential, or neither.
    pub(super) fn read(
        section: &mut Section<'_>,
        folder: &Path,
        plain: bool,
        provider: Option<&Provider>,
        issuer: TokenTable<OAuth>,
        microsoft: &TokenTable<Microsoft>,
    ) -> Option<Self> {
        let username = section
            .key("username", "the login's user name")
            .optional(text());
        let given = credentials(section, folder);
        let several = format!("a login needs only {ONE_OF}; remove the others");
        let first = section.only_one(given, several);
        if let (Some((key, _)), true) = (&first, issuer.given) {
            let message =
                format!("a login needs only `smtp.{key}` or `[smtp.oauth]`; remove one of them");
            section.problem(key, message);
        }
        let by_microsoft = provider.is_some_and(|it| it.login == ProviderLogin::Microsoft);
        let login_key = match (&first, &issuer.table) {
            (Some((key, _)), _) => Some(*key),
            (None, Some(_)) => Some("oauth"),
            (None, None) => None,
        };
        let fixed = provider.and_then(|it| it.username);
        let needs_credential = match (&username, provider) {
            (None, Some(provider)) => format!("`smtp.provider` = \"{}\"", provider.name),
            _ => "`smtp.username`".into(),
        };
        let Some(username) = username.or_else(|| fixed.map(str::to_owned)) else {
            if section.contains("username") {
                // Reported already.
            } else if let Some(key) = login_key {
                section.problem(key, format!("`smtp.{key}` needs `smtp.username`"));
            } else if let Some(provider) = provider
                && provider.login != ProviderLogin::Optional
            {
                let name = provider.name;
                let message = format!("`smtp.provider` = \"{name}\" needs `smtp.username`");
                section.problem("provider", message);
            }
            return None;
        };
        let credential = match first {
            Some((_, credential)) => Some(credential),
            None if issuer.given => issuer
                .table
                .map(|it| CredentialSource::Issuer(Box::new(it))),
            None if by_microsoft => {
                if !microsoft.given {
                    let name = provider.map_or("", |it| it.name);
                    let message = format!(
                        "`smtp.username` with `smtp.provider` = \"{name}\" needs the table `[microsoft]` (docs/microsoft365.md), or {ONE_OF}"
                    );
                    section.problem("username", message);
                }
                let table = microsoft.table.clone();
                table.map(|it| CredentialSource::Microsoft(Box::new(it)))
            }
            None => {
                let message =
                    format!("{needs_credential} needs {ONE_OF}, or the table `[smtp.oauth]`");
                section.problem("username", message);
                None
            }
        };
        if plain {
            let message = "a login needs an encrypted connection: set `smtp.tls` to \"implicit\" or \"starttls\"";
            section.problem("username", message);
        }
        Some(Self {
            username,
            credential: credential?,
        })
    }

    /// The file with the password, if it is kept in one.
    pub(super) fn password_file(&self) -> Option<&Path> {
        match &self.credential {
            CredentialSource::Password(source) => source.file(),
            _ => None,
        }
    }
}

/// The credentials that are given, each with its key.
fn credentials(section: &mut Section<'_>, folder: &Path) -> Vec<(&'static str, CredentialSource)> {
    let passwords = SecretSource::read(section, &PASSWORD, folder).into_iter();
    let passwords = passwords.map(|(key, it)| (key, CredentialSource::Password(it)));
    let command = section
        .key("token_command", "prints an access token for the login")
        .secret(command(folder));
    let command = command.map(|it| ("token_command", CredentialSource::TokenCommand(it)));
    passwords.chain(command).collect()
}

/// A program and its arguments: a list, or one text without arguments. A relative path with a
/// `/` is relative to `folder`; a name is looked for in `PATH`.
pub(super) fn command(folder: &Path) -> Value<'_, Vec<String>> {
    let Value { kind, read } = text_or_list();
    Value::new(kind, move |value| {
        let mut words = read(value)?;
        let program = words.first_mut().ok_or("must name a program")?;
        if program.contains('/') {
            let path = folder.join(&*program);
            path.to_str()
                .ok_or("must be below a folder whose name is UTF-8")?
                .clone_into(program);
        }
        Ok(words)
    })
}

//! `[smtp.oauth]`: access tokens for the relay from any issuer (RFC 6749 §4.4).

use std::path::{Path, PathBuf};

use url::Url;

use super::client_secret::{CLIENT_SECRET, SecretSource};
use super::endpoint::endpoint;
use super::reader::Section;
use super::values::{choice, text};

/// A client of an OAuth issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth {
    /// Where tokens are requested.
    pub token_url: Url,
    /// The client, as the issuer knows it.
    pub client_id: String,
    /// The client's secret.
    pub secret: SecretSource,
    /// How the secret is sent.
    pub client_auth: ClientAuth,
    /// What the token is for; unset, the issuer decides.
    pub scope: Option<String>,
    /// Certificates to trust beside the system's, in PEM.
    pub ca_file: Option<PathBuf>,
}

/// How a client sends its secret (RFC 6749 §2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// In the body of the request.
    Post,
    /// In the `Authorization` header.
    Basic,
}

impl OAuth {
    /// `None` if the table is absent or empty, and after a problem.
    pub(super) fn read(section: &mut Section<'_>, folder: &Path) -> Option<Self> {
        let token_url = section
            .key("token_url", "where tokens are requested")
            .optional(endpoint());
        let client_id = section
            .key("client_id", "the client, as the issuer knows it")
            .optional(text());
        let secrets = SecretSource::read(section, &CLIENT_SECRET, folder);
        let client_auth = section
            .key(
                "client_auth",
                "how the secret is sent; or \"client_secret_basic\"",
            )
            .or(
                "\"client_secret_post\"",
                choice(&[
                    ("client_secret_post", ClientAuth::Post),
                    ("client_secret_basic", ClientAuth::Basic),
                ]),
            );
        let scope = section
            .key("scope", "what the token is for; unset: the issuer decides")
            .optional(text());
        let ca_file = section.ca_file(folder);

        let several = "`[smtp.oauth]` needs one secret: one of `client_secret_file`, `client_secret_env` and `client_secret_credential`, not several";
        let secret = section.only_one(secrets, several);
        let complete = section.contains("token_url")
            && section.contains("client_id")
            && CLIENT_SECRET.iter().any(|it| section.contains(it.0));
        if !section.is_empty() && !complete {
            let message = "`[smtp.oauth]` needs `token_url`, `client_id` and one of `client_secret_file`, `client_secret_env` and `client_secret_credential`";
            section.problem("token_url", message);
        }
        Some(Self {
            token_url: token_url?,
            client_id: client_id?,
            secret: secret?.1,
            client_auth,
            scope,
            ca_file,
        })
    }

    /// The files that it names, each with what to call it.
    pub(super) fn files(&self) -> [(&'static str, Option<&Path>); 2] {
        [
            ("the file of `smtp.oauth.ca_file`", self.ca_file.as_deref()),
            (
                "the file of `smtp.oauth.client_secret_file`",
                self.secret.file(),
            ),
        ]
    }
}

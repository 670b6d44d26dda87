//! What a token is requested with.

use std::path::PathBuf;

use url::Url;

use crate::config::{ClientAuth, ClientCredential, Microsoft, OAuth, SecretSource};

/// What a token is requested with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The token endpoint.
    pub endpoint: Url,
    /// The client, as the issuer knows it.
    pub client_id: String,
    /// How the client authenticates.
    pub credential: Credential,
    /// What the token is for.
    pub scope: Option<String>,
    /// Certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// The table of the configuration, for messages.
    pub table: &'static str,
    /// The key of the endpoint, for messages.
    pub url_key: &'static str,
}

/// How a client authenticates.
#[derive(Clone, Debug)]
pub enum Credential {
    /// By a secret (RFC 6749 §2.3.1).
    Secret(SecretSource, ClientAuth),
    /// By an assertion signed with the key of a certificate (RFC 7523 §2.2).
    Certificate(PathBuf),
}

/// What a token of Microsoft Entra is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MicrosoftApi {
    /// SMTP AUTH at Exchange Online.
    Smtp,
    /// Microsoft Graph.
    Graph,
}

impl Settings {
    /// A token for one of Microsoft's services.
    #[must_use]
    pub fn microsoft(config: &Microsoft, api: MicrosoftApi) -> Self {
        Self {
            endpoint: config.token_url(),
            client_id: config.client_id.clone(),
            credential: match &config.credential {
                ClientCredential::Secret(source) => {
                    Credential::Secret(source.clone(), ClientAuth::Post)
                }
                ClientCredential::Certificate(path) => Credential::Certificate(path.clone()),
            },
            scope: Some(match api {
                MicrosoftApi::Smtp => config.smtp_scope(),
                MicrosoftApi::Graph => config.graph_scope(),
            }),
            ca_file: config.ca_file.clone(),
            table: "microsoft",
            url_key: "microsoft.login_url",
        }
    }

    /// A token of the issuer in `[smtp.oauth]`.
    #[must_use]
    pub fn issuer(config: &OAuth) -> Self {
        Self {
            endpoint: config.token_url.clone(),
            client_id: config.client_id.clone(),
            credential: Credential::Secret(config.secret.clone(), config.client_auth),
            scope: config.scope.clone(),
            ca_file: config.ca_file.clone(),
            table: "smtp.oauth",
            url_key: "smtp.oauth.token_url",
        }
    }
}

//! `[microsoft]`: the app registration that access tokens are requested for.

use std::path::{Path, PathBuf};

use url::Url;
use uuid::Uuid;

use super::client_secret::{CLIENT_SECRET, SecretSource};
use super::endpoint::base_url;
use super::reader::Section;
use super::values::{Value, choice, parsed_text, path};

/// An app registration in Microsoft Entra, for SMTP and for Microsoft Graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Microsoft {
    /// The tenant: a domain of it, or its id.
    pub tenant: String,
    /// The application (client) id.
    pub client_id: String,
    /// How the application authenticates.
    pub credential: ClientCredential,
    /// Which of Microsoft's clouds the tenant is in.
    pub cloud: Cloud,
    /// Where tokens are requested.
    pub login_url: Url,
    /// Where Microsoft Graph is.
    pub graph_url: Url,
    /// Certificates to trust beside the system's, in PEM.
    pub ca_file: Option<PathBuf>,
}

/// How an application authenticates to the token endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCredential {
    /// By a secret.
    Secret(SecretSource),
    /// By a certificate and its key, both in one PEM file.
    Certificate(PathBuf),
}

/// A cloud of Microsoft with its own login host.
///
/// Login and Graph: Microsoft Graph, "National cloud deployments". The Outlook hosts of the
/// national clouds are those of CISA's `ScubaGear` and of Exchange's PowerShell module (2026).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// The worldwide cloud, GCC included.
    Global,
    /// US Government L4 (GCC High).
    UsGov,
    /// US Government L5 (`DoD`).
    UsGovDod,
    /// China, operated by 21Vianet.
    China,
}

impl Cloud {
    const CHOICES: [(&'static str, Self); 4] = [
        ("global", Self::Global),
        ("us-gov", Self::UsGov),
        ("us-gov-dod", Self::UsGovDod),
        ("china", Self::China),
    ];

    /// Its name in the configuration.
    pub(super) fn name(self) -> &'static str {
        let known = Self::CHOICES.iter().find(|it| it.1 == self);
        known.expect("every cloud has a name").0
    }

    fn login_url(self) -> &'static str {
        match self {
            Self::Global => "https://login.microsoftonline.com",
            Self::UsGov | Self::UsGovDod => "https://login.microsoftonline.us",
            Self::China => "https://login.partner.microsoftonline.cn",
        }
    }

    fn graph_url(self) -> &'static str {
        match self {
            Self::Global => "https://graph.microsoft.com",
            Self::UsGov => "https://graph.microsoft.us",
            Self::UsGovDod => "https://dod-graph.microsoft.us",
            Self::China => "https://microsoftgraph.chinacloudapi.cn",
        }
    }

    /// The host of the My Access portal; `None` for China, for which Microsoft documents none.
    #[must_use]
    pub fn portal_host(self) -> Option<&'static str> {
        match self {
            Self::Global => Some("myaccess.microsoft.com"),
            Self::UsGov | Self::UsGovDod => Some("myaccess.microsoft.us"),
            Self::China => None,
        }
    }

    fn outlook_url(self) -> &'static str {
        match self {
            Self::Global => "https://outlook.office365.com",
            Self::UsGov => "https://outlook.office365.us",
            Self::UsGovDod => "https://outlook-dod.office365.us",
            Self::China => "https://partner.outlook.cn",
        }
    }
}

impl Microsoft {
    /// `None` if the table is absent or empty, and after a problem.
    pub(super) fn read(section: &mut Section<'_>, folder: &Path) -> Option<Self> {
        let tenant = section
            .key("tenant", "your tenant: a domain of it, or its id")
            .optional(tenant());
        let client_id = section
            .key("client_id", "the application (client) id")
            .optional(parsed_text(
                "the application (client) id, a GUID such as \"00001111-aaaa-2222-bbbb-3333cccc4444\"",
                |id| Some(Uuid::try_parse(id).ok()?.to_string()),
            ));
        let secrets = SecretSource::read(section, &CLIENT_SECRET, folder);
        let certificate = section
            .key(
                "certificate_file",
                "a PEM file with the certificate and its key",
            )
            .secret(path(folder));
        let cloud = section
            .key("cloud", "or \"us-gov\", \"us-gov-dod\", \"china\"")
            .or("\"global\"", choice(&Cloud::CHOICES));
        let mut url = |key, description, default: &str| {
            let url = section.key(key, description).optional(base_url());
            url.unwrap_or_else(|| default.parse().expect("the defaults are URLs"))
        };
        let login_url = url("login_url", "another login host", cloud.login_url());
        let graph_url = url("graph_url", "another Graph host", cloud.graph_url());
        let ca_file = section.ca_file(folder);

        let mut credentials: Vec<_> = secrets
            .into_iter()
            .map(|(key, it)| (key, ClientCredential::Secret(it)))
            .collect();
        let certificate = certificate.map(ClientCredential::Certificate);
        credentials.extend(certificate.map(|it| ("certificate_file", it)));
        let several = "`[microsoft]` needs one credential: one of `client_secret_file`, `client_secret_env`, `client_secret_credential` and `certificate_file`, not several";
        let credential = section.only_one(credentials, several);
        let complete = section.contains("tenant")
            && section.contains("client_id")
            && (section.contains("certificate_file")
                || CLIENT_SECRET.iter().any(|it| section.contains(it.0)));
        if !section.is_empty() && !complete {
            let message = "`[microsoft]` needs `tenant`, `client_id` and one of `client_secret_file`, `client_secret_env`, `client_secret_credential` and `certificate_file`";
            section.problem("tenant", message);
        }
        Some(Self {
            tenant: tenant?,
            client_id: client_id?,
            credential: credential?.1,
            cloud,
            login_url,
            graph_url,
            ca_file,
        })
    }

    /// Where tokens are requested.
    ///
    /// Source: Microsoft identity platform, "OAuth 2.0 client credentials flow".
    #[must_use]
    pub fn token_url(&self) -> Url {
        let mut url = self.login_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty();
            path.extend([&self.tenant, "oauth2", "v2.0", "token"]);
        }
        url
    }

    /// The scope of a token for SMTP AUTH.
    #[must_use]
    pub fn smtp_scope(&self) -> String {
        format!("{}/.default", self.cloud.outlook_url())
    }

    /// The scope of a token for Microsoft Graph.
    #[must_use]
    pub fn graph_scope(&self) -> String {
        let url = self.graph_url.as_str().trim_end_matches('/');
        format!("{url}/.default")
    }

    /// The files that it names, each with what to call it.
    pub(super) fn files(&self) -> [(&'static str, Option<&Path>); 2] {
        let secret = match &self.credential {
            ClientCredential::Secret(source) => source.file(),
            ClientCredential::Certificate(path) => Some(path.as_path()),
        };
        [
            ("the file of `microsoft.ca_file`", self.ca_file.as_deref()),
            ("the credential of `[microsoft]`", secret),
        ]
    }
}

/// One tenant. The endpoints for several tenants issue no tokens to applications.
fn tenant<'r>() -> Value<'r, String> {
    let what =
        "a domain of your tenant, such as \"contoso.onmicrosoft.com\", or the tenant's id (a GUID)";
    parsed_text(what, |text| {
        if let Ok(id) = Uuid::try_parse(text) {
            return Some(id.to_string());
        }
        let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '.');
        let is_domain = matches!(url::Host::parse(text), Ok(url::Host::Domain(_)));
        (text.contains('.') && text.chars().all(plain) && is_domain).then(|| text.to_owned())
    })
}

//! Providers of relays: what `smtp.provider` sets. Explicit keys have priority.
//!
//! Only values that the provider documents are here; each row names its source.

use super::tls::Tls;

/// What is known about the relay of a provider.
#[derive(Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Its host.
    pub host: &'static str,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// How it knows who sends.
    pub login: ProviderLogin,
    /// How many connections are opened; `None`: this program's default.
    pub connections: Option<u32>,
    /// Messages in any 60 seconds.
    pub per_minute: Option<u32>,
    /// Messages in any 24 hours.
    pub per_day: Option<u32>,
}

/// How a provider knows who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderLogin {
    /// By a login, with an access token for `[microsoft]` unless another credential is configured.
    Microsoft,
    /// By a login.
    Required,
    /// By a login, or by the address of this machine.
    Optional,
}

const PROVIDERS: [&Provider; 3] = [
    // Microsoft Learn, "POP, IMAP, and SMTP settings"; "SMTP submission improvements", October
    // 2024: 3 connections, 30 messages a minute and 10,000 recipients a day for each mailbox.
    &Provider {
        name: "microsoft365",
        host: "smtp.office365.com",
        port: 587,
        tls: Tls::StartTls,
        login: ProviderLogin::Microsoft,
        connections: Some(3),
        per_minute: Some(30),
        per_day: Some(10_000),
    },
    // Microsoft Learn, "Send email with SMTP" and "Email SDK features", 2026: initially 30
    // messages a minute and 100 an hour, so one a minute; the quota can be raised on request.
    &Provider {
        name: "azure-communication-services",
        host: "smtp.azurecomm.net",
        port: 587,
        tls: Tls::StartTls,
        login: ProviderLogin::Required,
        connections: None,
        per_minute: Some(1),
        per_day: Some(2_400),
    },
    // Google Workspace Admin Help 2956491, "Route outgoing SMTP relay messages", 2026: 10,000
    // messages for each user in 24 hours.
    &Provider {
        name: "google-workspace-relay",
        host: "smtp-relay.gmail.com",
        port: 587,
        tls: Tls::StartTls,
        login: ProviderLogin::Optional,
        connections: None,
        per_minute: None,
        per_day: Some(10_000),
    },
];

impl Provider {
    /// The names of all.
    #[must_use]
    pub fn names() -> [&'static str; 3] {
        PROVIDERS.map(|it| it.name)
    }

    /// The provider of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        PROVIDERS.into_iter().find(|it| it.name == name)
    }

    /// All of them by name.
    pub(super) fn choices() -> [(&'static str, &'static Self); 3] {
        PROVIDERS.map(|it| (it.name, it))
    }
}

/// Hosts of Microsoft's High Volume Email, which delivers to recipients inside of the tenant only.
pub(super) fn is_internal_only(host: &str) -> bool {
    ["smtp.hve.mx.microsoft", "smtp-hve.office365.com"]
        .iter()
        .any(|it| host.eq_ignore_ascii_case(it))
}

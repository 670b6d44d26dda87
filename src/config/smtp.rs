//! `[smtp]`: the relay.

use std::path::{Path, PathBuf};

use super::deadlines::Deadlines;
use super::host::{host, is_loopback};
use super::login::{CredentialSource, Login, TokenTable};
use super::microsoft::{Cloud, Microsoft};
use super::oauth::OAuth;
use super::providers::{Provider, is_internal_only};
use super::reader::Section;
use super::tls::{Tls, port_warning};
use super::values::{Value, choice, number, parsed_text, path, port};
use crate::finding::Finding;

/// The relay (RFC 5321 §2.3.10).
#[derive(Clone, Debug)]
pub struct Smtp {
    /// The provider, if it is a known one.
    pub provider: Option<&'static Provider>,
    /// Its name or IP address, which its certificate must have.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// Trusted certificates in addition to the system's, in PEM.
    pub ca_file: Option<PathBuf>,
    /// The login; none if the relay accepts mail by IP address.
    pub login: Option<Login>,
    /// How many connections at the same time.
    pub connections: u32,
    /// Whether commands are pipelined if the relay offers PIPELINING.
    pub pipelining: bool,
    /// The name for EHLO, if other than this host's.
    pub hello: Option<String>,
    /// The deadline of each phase.
    pub deadlines: Deadlines,
}

impl Smtp {
    pub(super) fn read(
        section: &mut Section<'_>,
        folder: &Path,
        microsoft: &TokenTable<Microsoft>,
        warnings: &mut Vec<Finding>,
    ) -> Option<Self> {
        let choices = Provider::choices();
        let provider = section
            .key("provider", "sets the keys of a known relay that are unset")
            .optional(choice(&choices));
        let region = section
            .key(
                "region",
                "the region of Amazon SES, or \"eu\" for Mailgun in the EU",
            )
            .optional(region());
        let cloud = microsoft.table.as_ref().map(|it| it.cloud);
        let set = host_of_provider(section, provider, region.as_deref(), cloud);
        let host = section
            .key("host", "name or IP address, as in its certificate")
            .required_without("provider", set, host());
        let tls = section
            .key("tls", "\"none\" only to a relay on this machine")
            .or_set(
                "\"implicit\"",
                provider.map(|it| it.tls),
                choice(&[
                    ("implicit", Tls::Implicit),
                    ("starttls", Tls::StartTls),
                    ("none", Tls::None),
                ]),
            );
        let port = section
            .key(
                "port",
                "default by `tls`: 465 implicit, 587 starttls, 25 none",
            )
            .optional(port());
        let port = port.unwrap_or(match (provider, tls) {
            (Some(provider), tls) if tls == provider.tls => provider.port,
            (_, tls) => tls.default_port(),
        });
        warnings.extend(port_warning(port, tls));
        let ca_file = section
            .key(
                "ca_file",
                "trusted certificates in addition to the system's",
            )
            .optional(path(folder));
        let issuer = section.read("oauth", |it| TokenTable {
            given: !it.is_empty(),
            table: OAuth::read(it, folder),
        });
        let plain = tls == Tls::None;
        let login = Login::read(section, folder, plain, provider, issuer, microsoft);
        let connections = section.key("connections", "parallel connections").or_set(
            "2",
            provider.and_then(|it| it.connections),
            number(1..=100),
        );
        let pipelining = section
            .key("pipelining", "used if the relay offers it; or \"off\"")
            .or("\"auto\"", choice(&[("auto", true), ("off", false)]));
        let hello = section
            .key("hello", "the name for EHLO; unset: this host's")
            .optional(parsed_text("a host name or an address literal", |name| {
                let fits = name.starts_with('[') || idna::domain_to_ascii_strict(name).is_ok();
                (fits && name.is_ascii()).then(|| name.to_owned())
            }));
        if host.as_deref().is_some_and(is_internal_only) {
            let message = "Microsoft's High Volume Email delivers to recipients in your own tenant only, not to partners; use `provider = \"microsoft365\"` or \"azure-communication-services\"";
            section.problem("host", message);
        }
        let loopback = host.as_deref().is_some_and(is_loopback);
        let deadlines = section.read("deadlines", |it| Deadlines::read(it, loopback));
        if tls == Tls::None && host.is_some() && !loopback {
            let message =
                "`smtp.tls` = \"none\" is for a relay on this machine only; use \"implicit\"";
            section.problem("tls", message);
        }
        Some(Self {
            provider,
            host: host?,
            port,
            tls,
            ca_file,
            login,
            connections,
            pipelining,
            hello,
            deadlines,
        })
    }

    /// The issuer of the access tokens for the login: `[smtp.oauth]`, if it is used.
    pub(super) fn issuer(&self) -> Option<&OAuth> {
        match &self.login.as_ref()?.credential {
            CredentialSource::Issuer(issuer) => Some(issuer),
            _ => None,
        }
    }

    /// The files that it names, each with its name in messages.
    pub(super) fn files(&self) -> [(&'static str, Option<&Path>); 2] {
        let password = self.login.as_ref().and_then(Login::password_file);
        [
            ("the file of `smtp.ca_file`", self.ca_file.as_deref()),
            ("the file of `smtp.password_file`", password),
        ]
    }
}

/// The host that the provider sets. If `host` is set, region and cloud need not fit.
fn host_of_provider(
    section: &mut Section<'_>,
    provider: Option<&Provider>,
    region: Option<&str>,
    cloud: Option<Cloud>,
) -> Option<String> {
    let Some(provider) = provider else {
        if region.is_some() {
            let message = "`smtp.region` needs `smtp.provider`";
            section.problem("region", message);
        }
        return None;
    };
    let host = provider.host_in(region, cloud);
    Some(host.unwrap_or_else(|(key, message)| {
        // An empty or impossible region was reported already.
        let is_reported = region.is_none() && section.contains("region");
        if !is_reported && !section.contains("host") {
            section.problem(key, message);
        }
        provider.host.to_owned()
    }))
}

/// A name of a region, which becomes a part of a host name.
fn region<'r>() -> Value<'r, String> {
    parsed_text("a region such as \"eu-central-1\"", |text| {
        let plain = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
        let is_region = !text.starts_with('-') && text.len() <= 40 && text.chars().all(plain);
        is_region.then(|| text.to_owned())
    })
}

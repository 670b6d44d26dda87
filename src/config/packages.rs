//! `[packages.NAME]`: the access packages.

use std::sync::Arc;

use jiff::civil::Date;

use super::key::Kind;
use super::names::first_of;
use super::reader::Section;
use super::sender::mailbox;
use super::text::{LocalizedText, texts};
use super::values::{Value, switch, text_or_list};
use crate::address::Address;
use crate::finding::Finding;
use crate::link::AccessPackageLink;
use crate::locale::Locale;

/// The most packages; each is checked in every locale before anything is sent.
const PACKAGES_LIMIT: usize = 1_000;

/// An access package.
#[derive(Debug)]
pub struct Package {
    /// Its name in the configuration and in the CSV's `package` column.
    pub key: String,
    /// Its link.
    pub link: AccessPackageLink,
    /// Its name in the mail.
    pub name: LocalizedText,
    /// What it is for.
    pub description: Option<LocalizedText>,
    /// The justification for the request.
    pub justification: Option<LocalizedText>,
    /// The last day to respond, in local time.
    pub respond_by: Option<Date>,
    /// Whether partners may pass the link on to colleagues.
    pub sharing: bool,
    /// How long an approval usually takes.
    pub approval_time: Option<LocalizedText>,
    /// How long the access lasts.
    pub access_duration: Option<LocalizedText>,
    /// Who invites to it, unless a row names somebody: a name, if given, and an address.
    pub inviter: Option<(Option<String>, Address)>,
}

/// The first keys of packages, for a message.
#[must_use]
pub fn keys_of(packages: &[Arc<Package>]) -> String {
    first_of(packages.iter().map(|it| it.key.clone()), 20)
}

/// Reads all packages, in the order of the file.
pub fn read(
    root: &mut Section<'_>,
    default_locale: &Locale,
    warnings: &mut Vec<Finding>,
) -> Vec<Arc<Package>> {
    let mut packages = root.section("packages");
    if packages.is_empty() {
        let message = "no access package is configured; write a table `[packages.NAME]` with `link` and `name`";
        root.problem("packages", message);
    }
    if packages.len() > PACKAGES_LIMIT {
        let message = format!(
            "{} packages are configured, more than the limit of {PACKAGES_LIMIT}; use several configurations",
            packages.len()
        );
        root.problem("packages", message);
        return Vec::new();
    }
    let mut read: Vec<Arc<Package>> = Vec::new();
    for (key, mut section) in packages.each_section() {
        let package = Package::read(key, &mut section, default_locale, &read, warnings);
        read.extend(package.map(Arc::new));
        section.finish();
    }
    read
}

impl Package {
    fn read(
        key: String,
        section: &mut Section<'_>,
        default_locale: &Locale,
        others: &[Arc<Self>],
        warnings: &mut Vec<Finding>,
    ) -> Option<Self> {
        let hosts = section
            .key("allow_host", "a host other than Microsoft's two")
            .optional(text_or_list());
        // As written, because blanks are errors of the link.
        let as_written = |value: &toml::de::DeValue<'_>| value.as_str().map(str::to_owned);
        let link = section
            .key("link", "the package's My Access portal link")
            .required(Value::of_kind(Kind::Text("a text"), as_written));
        let link = link.and_then(|text| {
            let parsed = AccessPackageLink::parse(&text, &hosts.unwrap_or_default());
            let report = |error: &crate::link::LinkError| {
                let message =
                    format!("`packages.{key}.link` is not a complete My Access link: {error}");
                section.problem_within("link", error.span(&text), text.len(), message);
            };
            parsed.inspect_err(report).ok()
        });
        let texts = || texts(default_locale);
        let name = section
            .key("name", "the package's name in the mail")
            .required(texts());
        let description = section.key("description", "its purpose").optional(texts());
        let justification = section
            .key("justification", "what to write in the request for access")
            .optional(texts());
        let respond_by = section
            .key(
                "respond_by",
                "the last day to respond; after it, rows are skipped",
            )
            .optional(date());
        let sharing = section
            .key(
                "sharing",
                "whether partners may pass the link on to colleagues",
            )
            .or("true", switch());
        let approval_time = section
            .key("approval_time", "how long an approval usually takes")
            .optional(texts());
        let access_duration = section
            .key("access_duration", "how long the access lasts")
            .optional(texts());
        let inviter = section
            .key(
                "inviter",
                "the person who invites, unless the row names one",
            )
            .optional(mailbox());
        if let Some((link, _)) = &link
            && let Some(same) = others
                .iter()
                .find(|it| it.link.package_id() == link.package_id())
        {
            let message = format!(
                "`packages.{key}` has the same access package id as `packages.{}`; correct one of the links, or remove one of the packages",
                same.key
            );
            section.problem("link", message);
        }
        let ((link, found), name) = (link?, name?);
        let at = format!("packages.{key}");
        warnings.extend(found.iter().map(|it| Finding::warning("link", &at, it)));
        Some(Self {
            key,
            link,
            name,
            description,
            justification,
            respond_by,
            sharing,
            approval_time,
            access_duration,
            inviter,
        })
    }
}

/// A TOML local date, or the same as a text.
fn date<'r>() -> Value<'r, Date> {
    Value::of_kind(Kind::Date, |value| {
        let written = match value.as_datetime() {
            Some(date) => date.to_string(),
            None => value.as_str()?.to_owned(),
        };
        written.parse().ok().filter(|_| written.len() == 10)
    })
}

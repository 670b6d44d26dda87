//! Providers of relays: what `smtp.provider` sets. Explicit keys have priority.
//!
//! Only values that a public page states are here, each with its source. What depends on the account is
//! `None`, and `limits_by_account` says on what.

mod mailboxes;
mod microsoft;
mod provider;
mod services;

pub use self::provider::{Place, Provider, ProviderLogin, RequiredKey, SenderRule, Source};

const PROVIDERS: [&Provider; 14] = [
    &microsoft::MICROSOFT_365,
    &microsoft::MICROSOFT_365_GOV,
    &microsoft::AZURE_COMMUNICATION_SERVICES,
    &services::AMAZON_SES,
    &mailboxes::GOOGLE_WORKSPACE_RELAY,
    &mailboxes::GMAIL,
    &services::SENDGRID,
    &services::MAILGUN,
    &services::POSTMARK,
    &services::BREVO,
    &services::MAILJET,
    &mailboxes::OVH,
    &mailboxes::IONOS,
    &mailboxes::POSTFIX,
];

impl Provider {
    /// All of them, in the order of the documentation.
    #[must_use]
    pub fn all() -> [&'static Self; 14] {
        PROVIDERS
    }

    /// The names of all.
    #[must_use]
    pub fn names() -> [&'static str; 14] {
        PROVIDERS.map(|it| it.name)
    }

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        PROVIDERS.into_iter().find(|it| it.name == name)
    }

    /// All of them by name.
    pub(super) fn choices() -> [(&'static str, &'static Self); 14] {
        PROVIDERS.map(|it| (it.name, it))
    }
}

/// Hosts of Microsoft's High Volume Email, which delivers to recipients inside of the tenant only.
pub(super) fn is_internal_only(host: &str) -> bool {
    ["smtp.hve.mx.microsoft", "smtp-hve.office365.com"]
        .iter()
        .any(|it| host.eq_ignore_ascii_case(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest message that the templates can make: two parts of at most 512 KiB, whose encoding
    /// is at most three times as large (quoted-printable).
    const LARGEST_MESSAGE: u32 = 2 * 3 * 512 * 1024;

    #[test]
    fn each_provider_has_sources_with_an_address_and_a_date() {
        for provider in PROVIDERS {
            let name = provider.name;
            assert!(!provider.sources.is_empty(), "{name}");
            for source in provider.sources {
                assert!(source.url.starts_with("https://"), "{name}: {source:?}");
                assert!(!source.publisher.is_empty() && !source.title.is_empty());
                assert!(source.facts.len() > 3, "{name}: {source:?}");
                let read: Result<jiff::civil::Date, _> = source.read.parse();
                read.unwrap_or_else(|error| panic!("{name}: {source:?}: {error}"));
            }
            let facts: String = provider.sources.iter().map(|it| it.facts).collect();
            let limited = provider.per_minute.or(provider.per_day).is_some();
            assert_eq!(limited, facts.contains("limits"), "{name}: {facts}");
            let sized = provider.max_megabytes.is_some();
            assert_eq!(sized, facts.contains("size"), "{name}: {facts}");
            let replaced = provider.replaces_message_id;
            assert_eq!(replaced, facts.contains("Message-ID"), "{name}: {facts}");
            assert!(facts.contains("host"), "{name}: {facts}");
        }
    }

    #[test]
    fn limits_are_known_or_known_to_depend_on_the_account() {
        for provider in PROVIDERS.iter().filter(|it| it.name != "postfix") {
            let known = provider.per_minute.or(provider.per_day).is_some();
            assert!(
                known || provider.limits_by_account.is_some(),
                "{}",
                provider.name
            );
        }
    }

    #[test]
    fn no_provider_s_size_limit_is_below_the_largest_message() {
        for provider in PROVIDERS {
            let limit = provider.max_megabytes.map(|it| it * 1_000_000);
            assert!(
                limit.is_none_or(|it| it > LARGEST_MESSAGE),
                "{}",
                provider.name
            );
        }
    }
}

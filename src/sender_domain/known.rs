//! What is known about the mail that providers send for a domain of their customer.
//!
//! Only what a public page states is here, each with its source. What is absent is "not checked".

use crate::config::Source;

/// What is known about a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The domain that an SPF record includes for it.
    pub spf_include: Option<&'static str>,
    /// The selectors of its DKIM keys, unless the customer changes them.
    pub dkim_selectors: &'static [&'static str],
    /// Whether it replaces the envelope's sender, so that receivers check the SPF record of another domain:
    /// one of its own, or a subdomain that the customer sets up for this.
    pub replaces_return_path: bool,
    /// Where these facts are from.
    pub sources: &'static [Source],
}

const NOTHING: Known = Known {
    spf_include: None,
    dkim_selectors: &[],
    replaces_return_path: false,
    sources: &[],
};

const MICROSOFT_SPF: Source = Source {
    publisher: "Microsoft",
    title: "Set up SPF to identify valid email sources for your Microsoft 365 domain",
    url: "https://learn.microsoft.com/en-us/defender-office-365/email-authentication-spf-configure",
    facts: "SPF, also in the clouds of the US Government",
    read: "2026-11-30",
};

const MICROSOFT_DKIM: Source = Source {
    publisher: "Microsoft",
    title: "Set up DKIM to sign mail from your Microsoft 365 domain",
    url: "https://learn.microsoft.com/en-us/defender-office-365/email-authentication-dkim-configure",
    facts: "DKIM: the same host names for all organizations",
    read: "2026-11-30",
};

/// Providers by their names in the configuration.
const PROVIDERS: &[(&str, Known)] = &[
    (
        "microsoft365",
        Known {
            spf_include: Some("spf.protection.outlook.com"),
            dkim_selectors: &["selector1", "selector2"],
            sources: &[MICROSOFT_SPF, MICROSOFT_DKIM],
            ..NOTHING
        },
    ),
    (
        "microsoft365-gov",
        Known {
            spf_include: Some("spf.protection.office365.us"),
            dkim_selectors: &["selector1", "selector2"],
            sources: &[MICROSOFT_SPF, MICROSOFT_DKIM],
            ..NOTHING
        },
    ),
    (
        "azure-communication-services",
        Known {
            spf_include: Some("spf.protection.outlook.com"),
            dkim_selectors: &[
                "selector1-azurecomm-prod-net",
                "selector2-azurecomm-prod-net",
            ],
            sources: &[Source {
                publisher: "Microsoft",
                title: "Troubleshooting Domain Configuration issues for Azure Email Communication Service",
                url: "https://learn.microsoft.com/en-us/azure/communication-services/concepts/email/email-domain-configuration-troubleshooting",
                facts: "SPF, which must end with -all; DKIM",
                read: "2026-11-30",
            }],
            ..NOTHING
        },
    ),
    (
        "google-workspace-relay",
        Known {
            spf_include: Some("_spf.google.com"),
            dkim_selectors: &["google"],
            sources: &[
                Source {
                    publisher: "Mimecast",
                    title: "Set up Google Workspace SPF record",
                    url: "https://www.mimecast.com/es/content/set-up-google-workspace-spf-record",
                    facts: "SPF, as Google documents it",
                    read: "2026-11-30",
                },
                Source {
                    publisher: "Google",
                    title: "DKIM selectors",
                    url: "https://support.google.com/a/answer/11611356",
                    facts: "DKIM: the default selector",
                    read: "2026-11-30",
                },
            ],
            ..NOTHING
        },
    ),
    (
        "ionos",
        Known {
            dkim_selectors: &["s1-ionos", "s2-ionos", "s42582890"],
            sources: &[Source {
                publisher: "IONOS",
                title: "E-Mail-Authentifizierung mit DKIM",
                url: "https://ionos.de/hilfe/domains/mailserver-und-verwandte-records-konfigurieren/e-mail-authentifizierung-mit-dkim",
                facts: "DKIM; the Italian edition names the same selectors",
                read: "2026-11-30",
            }],
            ..NOTHING
        },
    ),
    (
        "sendgrid",
        Known {
            dkim_selectors: &["s1", "s2"],
            replaces_return_path: true,
            sources: &[Source {
                publisher: "Twilio",
                title: "Authenticate a domain",
                url: "https://www.twilio.com/docs/sendgrid/api-reference/domain-authentication/authenticate-a-domain",
                facts: "DKIM with automated security; return path in a subdomain",
                read: "2026-11-30",
            }],
            ..NOTHING
        },
    ),
    // The selectors of the following ones differ by customer.
    (
        "amazon-ses",
        Known {
            replaces_return_path: true,
            sources: &[Source {
                publisher: "Amazon Web Services",
                title: "Using a custom MAIL FROM domain",
                url: "https://docs.aws.amazon.com/ses/latest/DeveloperGuide/mail-from-set.html",
                facts: "return path in amazonses.com, or in a custom subdomain",
                read: "2026-11-30",
            }],
            ..NOTHING
        },
    ),
    (
        "postmark",
        Known {
            replaces_return_path: true,
            sources: &[Source {
                publisher: "Postmark",
                title: "Introducing full DMARC support with custom Return-Path domains",
                url: "https://postmarkapp.com/blog/introducing-full-dmarc-support-with-custom",
                facts: "return path in pm.mtasv.net, or in a custom subdomain",
                read: "2026-11-30",
            }],
            ..NOTHING
        },
    ),
    (
        "brevo",
        Known {
            replaces_return_path: true,
            sources: &[Source {
                publisher: "CaptainDNS",
                title: "Brevo (formerly Sendinblue): Technical Guide for Transactional Emailing",
                url: "https://www.captaindns.com/en/blog/brevo-transactional-email-technical-guide",
                facts: "return path in sender-sib.com with a shared IP address",
                read: "2026-11-30",
            }],
            ..NOTHING
        },
    ),
];

impl Known {
    /// What is known about the provider of this name; nothing about others.
    #[must_use]
    pub fn of(provider: Option<&str>) -> Self {
        let found = PROVIDERS.iter().find(|it| Some(it.0) == provider);
        found.map_or(NOTHING, |it| it.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Provider;

    #[test]
    fn each_fact_has_a_source_with_an_address_and_a_date() {
        for (name, known) in PROVIDERS {
            assert!(Provider::named(name).is_some(), "{name}");
            for source in known.sources {
                assert!(source.url.starts_with("https://"), "{name}: {source:?}");
                assert!(!source.publisher.is_empty() && !source.title.is_empty());
                let read: Result<jiff::civil::Date, _> = source.read.parse();
                read.unwrap_or_else(|error| panic!("{name}: {source:?}: {error}"));
            }
            let facts: String = known.sources.iter().map(|it| it.facts).collect();
            for (stated, fact) in [
                (known.spf_include.is_some(), "SPF"),
                (!known.dkim_selectors.is_empty(), "DKIM"),
                (known.replaces_return_path, "return path"),
            ] {
                assert_eq!(stated, facts.contains(fact), "{name}: {fact}: {facts}");
            }
        }
    }

    #[test]
    fn nothing_is_known_about_other_providers() {
        assert_eq!(Known::of(None), NOTHING);
        assert_eq!(Known::of(Some("ovh")), NOTHING);
        let microsoft = Known::of(Some("microsoft365")).spf_include;
        assert_eq!(microsoft, Some("spf.protection.outlook.com"));
    }
}

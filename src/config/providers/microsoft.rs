//! Microsoft's relays.

use super::provider::{Place, Provider, ProviderLogin, SenderRule, Source, UNKNOWN};
use crate::config::microsoft::Cloud;

const SEND_AS: SenderRule = SenderRule::Login(
    "Exchange Online refuses such mail with `SendAsDenied` unless the login may send as that address",
    "grant that with `Add-RecipientPermission` (docs/microsoft365.md), or set `sender.from` to the login's address",
);

/// The limits are for each mailbox.
const SUBMISSION_LIMITS: Source = Source {
    publisher: "Microsoft",
    title: "Message storage and concurrent connection throttling for SMTP Authenticated Submission",
    url: "https://learn.microsoft.com/en-us/exchange/troubleshoot/send-emails/smtp-submission-improvements",
    facts: "connections, limits",
    read: "2026-11-30",
};

pub const MICROSOFT_365: Provider = Provider {
    name: "microsoft365",
    host: "smtp.office365.com",
    place: Place::Clouds(&[(Cloud::Global, "smtp.office365.com")]),
    login: ProviderLogin::Microsoft,
    connections: Some(3),
    per_minute: Some(30),
    per_day: Some(10_000),
    sender: SEND_AS,
    sources: &[
        Source {
            publisher: "Microsoft",
            title: "How to set up a multifunction device or application to send email",
            url: "https://learn.microsoft.com/en-us/exchange/mail-flow-best-practices/how-to-set-up-a-multifunction-device-or-application-to-send-email-using-microsoft-365-or-office-365",
            facts: "host, port, TLS",
            read: "2026-11-30",
        },
        SUBMISSION_LIMITS,
    ],
    ..UNKNOWN
};

/// GCC High and `DoD`. The hosts are those of Microsoft's endpoint lists for port 587; other pages
/// name `smtp.office365.us` for GCC High.
pub const MICROSOFT_365_GOV: Provider = Provider {
    name: "microsoft365-gov",
    host: "outlook.office365.us",
    place: Place::Clouds(&[
        (Cloud::UsGov, "outlook.office365.us"),
        (Cloud::UsGovDod, "outlook-dod.office365.us"),
    ]),
    sources: &[
        Source {
            publisher: "Microsoft",
            title: "Microsoft 365 U.S. Government GCC High endpoints",
            url: "https://learn.microsoft.com/en-us/microsoft-365/enterprise/microsoft-365-u-s-government-gcc-high-endpoints",
            facts: "host and port for GCC High",
            read: "2026-11-30",
        },
        Source {
            publisher: "Microsoft",
            title: "Microsoft 365 U.S. Government DoD endpoints",
            url: "https://learn.microsoft.com/en-us/microsoft-365/enterprise/microsoft-365-u-s-government-dod-endpoints",
            facts: "host and port for DoD",
            read: "2026-11-30",
        },
        SUBMISSION_LIMITS,
    ],
    ..MICROSOFT_365
};

/// Initially 30 messages a minute and 100 an hour for a subscription, so one a minute.
pub const AZURE_COMMUNICATION_SERVICES: Provider = Provider {
    name: "azure-communication-services",
    host: "smtp.azurecomm.net",
    per_minute: Some(1),
    per_day: Some(2_400),
    limits_by_account: Some(
        "the limits are those of a new subscription, which Azure support can raise",
    ),
    max_megabytes: Some(10),
    sender: SenderRule::Verified(
        "under \"Provision domains\" of the Email Communication Service, which must be connected to the Communication Service",
    ),
    link_tracking: Some("keep \"User engagement tracking\" of the domain off"),
    sources: &[
        Source {
            publisher: "Microsoft",
            title: "Quickstart: Send email with SMTP",
            url: "https://learn.microsoft.com/en-us/azure/communication-services/quickstarts/email/send-email-smtp/send-email-smtp",
            facts: "host, port, TLS, login",
            read: "2026-11-30",
        },
        Source {
            publisher: "Microsoft",
            title: "Service limits for Azure Communication Services",
            url: "https://learn.microsoft.com/en-us/azure/communication-services/concepts/service-limits",
            facts: "limits, size",
            read: "2026-11-30",
        },
    ],
    ..UNKNOWN
};

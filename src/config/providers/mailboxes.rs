//! Providers of mailboxes, and a relay on this machine.

use super::provider::{Provider, ProviderLogin, SenderRule, Source, UNKNOWN};
use crate::config::tls::Tls;

pub const GOOGLE_WORKSPACE_RELAY: Provider = Provider {
    name: "google-workspace-relay",
    host: "smtp-relay.gmail.com",
    login: ProviderLogin::Optional,
    per_day: Some(10_000),
    sources: &[Source {
        publisher: "Google",
        title: "Route outgoing SMTP relay messages through Google",
        url: "https://support.google.com/a/answer/2956491",
        facts: "host, port, TLS, limits for each user",
        read: "2026-11-30",
    }],
    ..UNKNOWN
};

/// The limit is that of an account without Google Workspace, which has 2,000.
pub const GMAIL: Provider = Provider {
    name: "gmail",
    host: "smtp.gmail.com",
    per_day: Some(500),
    limits_by_account: Some("Gmail accepts 500 messages a day, and 2,000 with Google Workspace"),
    sender: SenderRule::Login(
        "Gmail replaces `From` by the login's address, unless the other one is set up under \"Send mail as\"",
        "set it up there, or set `sender.from` to the login's address",
    ),
    sources: &[
        Source {
            publisher: "Nylas",
            title: "Gmail SMTP settings: ports, auth, limits",
            url: "https://developer.nylas.com/docs/cookbook/email/gmail-smtp-settings/",
            facts: "host, port, TLS, limits as Google states them",
            read: "2026-11-30",
        },
        Source {
            publisher: "Google",
            title: "Send emails from a different address or alias",
            url: "https://support.google.com/mail/answer/22370",
            facts: "From",
            read: "2026-11-30",
        },
    ],
    ..UNKNOWN
};

/// 200 messages an hour for an account, so three a minute.
pub const OVH: Provider = Provider {
    name: "ovh",
    host: "ssl0.ovh.net",
    port: 465,
    tls: Tls::Implicit,
    per_minute: Some(3),
    sender: SenderRule::LoginDomain(
        "receivers may refuse such mail, because SPF and DKIM are those of the login's domain",
    ),
    sources: &[
        Source {
            publisher: "OVHcloud",
            title: "Getting started with the MX Plan solution",
            url: "https://github.com/ovh/docs/blob/develop/pages/web_cloud/email_and_collaborative_solutions/mx_plan/email_generalities/guide.en-gb.md",
            facts: "host, port, TLS",
            read: "2026-11-30",
        },
        Source {
            publisher: "OVHcloud",
            title: "Unable to send or receive emails",
            url: "https://github.com/ovh/docs/blob/develop/pages/web_cloud/email_and_collaborative_solutions/troubleshooting/diagnostic_advanced/guide.en-gb.md",
            facts: "limits for an account; 300 an hour for an IP address",
            read: "2026-11-30",
        },
    ],
    ..UNKNOWN
};

pub const IONOS: Provider = Provider {
    name: "ionos",
    host: "smtp.ionos.com",
    limits_by_account: Some("IONOS accepts 50 to 500 messages an hour, by the age of the contract"),
    sender: SenderRule::LoginDomain(
        "IONOS refuses such mail with \"Sender address is not allowed\"",
    ),
    sources: &[
        Source {
            publisher: "SendSmartly",
            title: "How to Find and Configure Your IONOS SMTP & IMAP Settings",
            url: "https://sendsmartly.site/ionos-smtp-settings",
            facts: "host, port, TLS",
            read: "2026-11-30",
        },
        Source {
            publisher: "IONOS",
            title: "Important change for sending emails with different sender addresses",
            url: "https://www.ionos.com/help/email/general-topics/important-change-for-sending-emails-with-different-sender-addresses/",
            facts: "From",
            read: "2026-11-30",
        },
        Source {
            publisher: "IONOS",
            title: "What are the mass mailing limits",
            url: "https://ionos.com/help/email/general-topics/what-are-the-mass-mailing-limits",
            facts: "messages an hour by the age of the contract; the German edition has 5,000 recipients after a month",
            read: "2026-11-30",
        },
    ],
    ..UNKNOWN
};

/// Its rules are those of its operator.
pub const POSTFIX: Provider = Provider {
    name: "postfix",
    host: "localhost",
    port: 25,
    tls: Tls::None,
    login: ProviderLogin::Optional,
    sources: &[Source {
        publisher: "Postfix",
        title: "Postfix Configuration Parameters: mynetworks",
        url: "https://www.postfix.org/postconf.5.html",
        facts: "host, port: mail from this machine is relayed without a login",
        read: "2026-11-30",
    }],
    ..UNKNOWN
};

//! Services for mail from programs. Their limits depend on the account.

use super::provider::{Place, Provider, SenderRule, Source, UNKNOWN};

pub const AMAZON_SES: Provider = Provider {
    name: "amazon-ses",
    host: "email-smtp.{region}.amazonaws.com",
    place: Place::Region("eu-central-1"),
    limits_by_account: Some(
        "the account dashboard of Amazon SES shows the limits, for each region",
    ),
    max_megabytes: Some(40),
    sender: SenderRule::Verified("under \"Identities\" of Amazon SES, in the region of the relay"),
    replaces_message_id: true,
    sources: &[
        Source {
            publisher: "Amazon Web Services",
            title: "Connecting to an Amazon SES SMTP endpoint",
            url: "https://docs.aws.amazon.com/ses/latest/dg/smtp-connect.html",
            facts: "host, port, TLS",
            read: "2026-11-30",
        },
        Source {
            publisher: "Amazon Web Services",
            title: "Service quotas in Amazon SES",
            url: "https://docs.aws.amazon.com/ses/latest/dg/quotas.html",
            facts: "size",
            read: "2026-11-30",
        },
        Source {
            publisher: "Amazon Web Services",
            title: "Amazon SES header fields",
            url: "https://docs.aws.amazon.com/ses/latest/dg/header-fields.html",
            facts: "Message-ID and Date are replaced",
            read: "2026-11-30",
        },
    ],
    ..UNKNOWN
};

pub const SENDGRID: Provider = Provider {
    name: "sendgrid",
    host: "smtp.sendgrid.net",
    username: Some("apikey"),
    limits_by_account: Some("the limits depend on the plan of the SendGrid account"),
    sender: SenderRule::Verified("under \"Sender Authentication\" of SendGrid"),
    link_tracking: Some("turn off \"Click Tracking\" in the tracking settings of SendGrid"),
    sources: &[
        Source {
            publisher: "Twilio",
            title: "Integrating with the SMTP API",
            url: "https://www.twilio.com/docs/sendgrid/for-developers/sending-email/integrating-with-the-smtp-api",
            facts: "host, port, TLS, user name",
            read: "2026-11-30",
        },
        Source {
            publisher: "Twilio",
            title: "SMTP Errors and Troubleshooting",
            url: "https://sendgrid.com/docs/for-developers/sending-email/smtp-errors-and-troubleshooting/",
            facts: "click tracking, refusals",
            read: "2026-11-30",
        },
    ],
    ..UNKNOWN
};

pub const MAILGUN: Provider = Provider {
    name: "mailgun",
    host: "smtp.mailgun.org",
    place: Place::Regions(&[("eu", "smtp.eu.mailgun.org")]),
    limits_by_account: Some("the limits depend on the plan of the Mailgun account"),
    max_megabytes: Some(25),
    sender: SenderRule::Verified("under \"Domains\" of Mailgun"),
    link_tracking: Some("turn off click tracking in the settings of the domain"),
    sources: &[
        Source {
            publisher: "Google",
            title: "Sending email with Mailgun",
            url: "https://cloud.google.com/compute/docs/tutorials/sending-mail/using-mailgun",
            facts: "host, also in the EU",
            read: "2026-11-30",
        },
        Source {
            publisher: "Mailgun",
            title: "Sending Messages",
            url: "https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages",
            facts: "port, TLS, size",
            read: "2026-11-30",
        },
    ],
    ..UNKNOWN
};

pub const POSTMARK: Provider = Provider {
    name: "postmark",
    host: "smtp.postmarkapp.com",
    limits_by_account: Some("the limits depend on the plan of the Postmark account"),
    max_megabytes: Some(10),
    sender: SenderRule::Verified("under \"Sender Signatures\" of Postmark"),
    replaces_message_id: true,
    link_tracking: Some("keep link tracking of the server off"),
    sources: &[
        Source {
            publisher: "Postmark",
            title: "What are the SMTP details / API Tokens I should be using?",
            url: "https://postmarkapp.com/support/article/811-what-are-the-smtp-details-api-tokens-i-should-be-using",
            facts: "host, port, TLS, login",
            read: "2026-11-30",
        },
        Source {
            publisher: "Postmark",
            title: "What are the Attachment and Email Size Limits?",
            url: "https://postmarkapp.com/support/article/1056-what-are-the-attachment-and-email-size-limits",
            facts: "size",
            read: "2026-11-30",
        },
        Source {
            publisher: "Postmark",
            title: "Sending email with SMTP",
            url: "https://postmarkapp.com/developer/user-guide/send-email-with-smtp",
            facts: "Message-ID is replaced",
            read: "2026-11-30",
        },
    ],
    ..UNKNOWN
};

pub const BREVO: Provider = Provider {
    name: "brevo",
    host: "smtp-relay.brevo.com",
    limits_by_account: Some("the limits depend on the plan of the Brevo account"),
    max_megabytes: Some(20),
    sender: SenderRule::Verified("under \"Senders\" and \"Domains\" of Brevo"),
    link_tracking: Some("it is on by default, so ask Brevo's support to turn it off"),
    sources: &[
        Source {
            publisher: "Brevo",
            title: "Node.js SMTP relay example",
            url: "https://developers.brevo.com/docs/node-smtp-relay-example",
            facts: "host, port",
            read: "2026-11-30",
        },
        Source {
            publisher: "Brevo",
            title: "Add an attachment to a transactional email",
            url: "https://help.brevo.com/hc/en-us/articles/4402811730962",
            facts: "size",
            read: "2026-11-30",
        },
        Source {
            publisher: "Brevo",
            title: "Can I anonymize the tracking of opens and clicks for my email campaigns?",
            url: "https://help.brevo.com/hc/en-us/articles/11643306229906",
            facts: "click tracking",
            read: "2026-11-30",
        },
    ],
    ..UNKNOWN
};

pub const MAILJET: Provider = Provider {
    name: "mailjet",
    host: "in-v3.mailjet.com",
    limits_by_account: Some("the limits depend on the plan of the Mailjet account"),
    sender: SenderRule::Verified("under the sender addresses and domains of Mailjet"),
    link_tracking: Some("turn off click tracking in the preferences of the account"),
    sources: &[Source {
        publisher: "Mailjet",
        title: "Class: Mailjet::Mailer",
        url: "https://rubydoc.info/gems/mailjet/Mailjet/Mailer",
        facts: "host, port, TLS, login",
        read: "2026-11-30",
    }],
    ..UNKNOWN
};

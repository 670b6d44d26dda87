//! What providers document about the mail that they send for a domain of their customer.

/// What is known about a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The domain that an SPF record includes for it.
    pub spf_include: Option<&'static str>,
    /// The selectors of its DKIM keys, if they are the same for all customers.
    pub dkim_selectors: &'static [&'static str],
    /// Whether it replaces the envelope's sender by an address of its own, so that receivers check the SPF
    /// record of another domain.
    pub own_return_path: bool,
}

/// What is known about the provider of this name in the configuration.
pub fn provider(name: Option<&str>) -> Known {
    const NOTHING: Known = Known {
        spf_include: None,
        dkim_selectors: &[],
        own_return_path: false,
    };
    const OWN_RETURN_PATH: Known = Known {
        own_return_path: true,
        ..NOTHING
    };
    match name {
        // Microsoft Learn, "Set up SPF" and "Set up DKIM to sign mail from your cloud domain".
        Some("microsoft365") => Known {
            spf_include: Some("spf.protection.outlook.com"),
            dkim_selectors: &["selector1", "selector2"],
            ..NOTHING
        },
        Some("microsoft365-gov") => Known {
            spf_include: Some("spf.protection.office365.us"),
            dkim_selectors: &["selector1", "selector2"],
            ..NOTHING
        },
        // Microsoft Learn, "Add custom verified domains" of Azure Communication Services.
        Some("azure-communication-services") => Known {
            spf_include: Some("spf.protection.outlook.com"),
            dkim_selectors: &[
                "selector1-azurecomm-prod-net",
                "selector2-azurecomm-prod-net",
            ],
            ..NOTHING
        },
        // Google Workspace Admin Help 33786 and 180504; `google` is the default of the admin console.
        Some("google-workspace-relay") => Known {
            spf_include: Some("_spf.google.com"),
            dkim_selectors: &["google"],
            ..NOTHING
        },
        // IONOS help, "E-Mail-Authentifizierung mit DKIM"; the SPF record differs by region.
        Some("ionos") => Known {
            dkim_selectors: &["s1-ionos", "s2-ionos"],
            ..NOTHING
        },
        // Twilio SendGrid documentation, "How to set up domain authentication".
        Some("sendgrid") => Known {
            dkim_selectors: &["s1", "s2"],
            ..OWN_RETURN_PATH
        },
        // The selectors of these differ by customer. Amazon SES documentation, "Using a custom MAIL FROM
        // domain"; Postmark support, "custom Return-Path"; Brevo help, "Authenticate your domain".
        Some("amazon-ses" | "postmark" | "brevo") => OWN_RETURN_PATH,
        _ => NOTHING,
    }
}

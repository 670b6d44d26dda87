//! What the error numbers of Microsoft Entra's token endpoint mean, with the fix.
//!
//! Source: Microsoft identity platform, "Microsoft Entra authentication and authorization error
//! codes". Microsoft asks clients to branch on `error` only; the numbers choose the advice.

use jiff::SignedDuration;

use super::settings::Settings;

/// What the endpoint's answer shows beside its error.
pub struct Details<'a> {
    pub settings: &'a Settings,
    /// How far this machine's clock is ahead of the endpoint's, if that is known.
    pub clock_ahead: Option<SignedDuration>,
    /// The endpoint's description.
    pub description: &'a str,
}

/// Whether a request with this error may succeed later.
pub fn is_transient(code: u32) -> bool {
    matches!(code, 90_024 | 90_033 | 90_055)
}

/// What an error means and how to fix it; `None` for a number that is not listed here.
pub fn advice(code: u32, details: &Details<'_>) -> Option<String> {
    let client_id = &details.settings.client_id;
    let scope = details.settings.scope.as_deref().unwrap_or_default();
    Some(match code {
        7_000_215 => "the client secret is wrong; copy the secret's Value, not its Secret ID, from \"Certificates & secrets\" of the app registration, or create a new secret if its Value is no longer shown".into(),
        7_000_222 => "the client secret has expired; create a new one under \"Certificates & secrets\" of the app registration, or use a certificate (`microsoft.certificate_file`)".into(),
        7_000_218 => "the request arrived without a client secret or an assertion; check for a proxy that changes requests".into(),
        700_016 => format!(
            "the tenant has no application with the id {client_id}; check `microsoft.client_id` against \"Application (client) ID\" on the overview of the app registration, and `microsoft.tenant`"
        ),
        7_000_112 => "the application is disabled in the tenant; turn on \"Enabled for users to sign in\" under Enterprise applications > Properties".into(),
        700_027 => assertion_refused(details.description).into(),
        700_024 => clock(details.clock_ahead),
        90_002 => "the tenant was not found in this cloud; check `microsoft.tenant` and `microsoft.cloud`".into(),
        900_023 => "`microsoft.tenant` is neither the id nor a domain of a tenant; copy the tenant's primary domain from the overview of Microsoft Entra".into(),
        90_038 => "the tenant is in another of Microsoft's clouds; set `microsoft.cloud` to the cloud of the tenant".into(),
        900_382 | 900_432 => "the application and the tenant are in different clouds of Microsoft; register the application in the tenant, and set `microsoft.cloud` to its cloud".into(),
        500_011 => format!(
            "the service {scope} does not exist in the tenant; for SMTP the tenant needs Exchange Online, so check its licences, `microsoft.tenant` and `microsoft.cloud`"
        ),
        70_011 => format!(
            "the endpoint does not accept the scope {scope}; check `microsoft.cloud` and `microsoft.graph_url`"
        ),
        700_022 => format!("the scope {scope} names several services; check `microsoft.graph_url`"),
        53_003 => "a Conditional Access policy blocks the application; exclude it from the policy for workload identities, or allow the addresses of this machine".into(),
        50_196 => "the application asked for the same token too often, so Microsoft Entra blocks it for some minutes; check whether other programs or many runs use the same app registration".into(),
        90_024 => "Microsoft Entra has a transient error (request budget exceeded); try again later".into(),
        90_033 => "Microsoft Entra is temporarily unavailable; try again later".into(),
        90_055 => "Microsoft Entra receives too many requests for this tenant; try again later".into(),
        65_001 => "nobody has consented to the application's permissions; choose \"Grant admin consent\" under \"API permissions\" of the app registration".into(),
        50_034 => "the endpoint expects the sign-in of a user, whose account is not in the tenant; check `microsoft.tenant` and `microsoft.client_id`".into(),
        50_020 => "the endpoint expects the sign-in of a user, whose account belongs to another tenant or identity provider; check `microsoft.tenant` and `microsoft.client_id`".into(),
        90_072 => "the endpoint expects the sign-in of a user, whose external account is not a guest of the tenant; check `microsoft.tenant` and `microsoft.client_id`".into(),
        500_212 => "the user's own tenant does not allow access to this one; its administrator must allow it in the outbound cross-tenant access settings".into(),
        500_213 => "this tenant does not allow access from the user's tenant; allow it in the inbound cross-tenant access settings".into(),
        _ => return None,
    })
}

fn assertion_refused(description: &str) -> &'static str {
    let description = description.to_lowercase();
    if description.contains("key was not found") {
        "the certificate is not registered with the application; upload it, without its key, under \"Certificates & secrets\" of the app registration"
    } else if description.contains("expired") {
        "the certificate has expired; create a new one, upload it under \"Certificates & secrets\" of the app registration, and replace `microsoft.certificate_file`"
    } else {
        "the signature of the assertion was refused; upload the certificate in `microsoft.certificate_file` again, under \"Certificates & secrets\" of the app registration"
    }
}

fn clock(ahead: Option<SignedDuration>) -> String {
    let error = clock_error(ahead).unwrap_or_else(|| "wrong".into());
    format!(
        "the assertion is outside of its validity, because this machine's clock is {error}; synchronise it (NTP)"
    )
}

/// How wrong this machine's clock is, as far as that is known: `10 min ahead`.
pub fn clock_error(ahead: Option<SignedDuration>) -> Option<String> {
    let seconds = ahead?.as_secs();
    match (seconds + 30 * seconds.signum()) / 60 {
        0 => None,
        minutes @ 1.. => Some(format!("{minutes} min ahead")),
        minutes => Some(format!("{} min behind", minutes.unsigned_abs())),
    }
}

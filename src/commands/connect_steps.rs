//! The steps of a connection to the relay as findings.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::finding::{Finding, Severity};
use crate::oauth::Claims;
use crate::relay::{CertificateFacts, EhloExtensions, Step, TlsSession, TokenFacts};

/// The check of the relay as a whole.
pub const RELAY: &str = "relay";

/// A certificate with fewer days left is a warning.
const DAYS_LEFT: i64 = 14;
/// How many names of a certificate are shown.
const NAMES_SHOWN: usize = 3;

/// The finding about a step. `microsoft`: the login uses tokens of Microsoft Entra.
pub fn finding_of(step: Step, relay: &str, microsoft: bool, now: Timestamp) -> Finding {
    let ok = |check, what: String| Finding::without_fix(check, Severity::Ok, relay, what);
    match step {
        Step::Waiting(what) => Finding::new(RELAY, Severity::Note, relay, what),
        Step::TokenReceived(facts) => token(&facts, relay, microsoft, now),
        Step::Resolved(addresses) => ok("dns", resolved(&addresses)),
        Step::Greeted {
            address,
            took,
            greeting,
        } => ok(
            "connect",
            format!("{address} answers in {}: \"{greeting}\"", span(took)),
        ),
        Step::AddressFailed { address, error } => {
            Finding::new("connect", severity_of_failure(address), relay, error)
        }
        Step::Secured(session) => tls(&session, relay, now),
        Step::Extensions {
            hello,
            before_tls,
            offered,
        } => extensions(&hello, before_tls, &offered, relay),
        Step::LoggedIn {
            username,
            mechanism,
        } => ok("login", format!("logged in as {username} by {mechanism}")),
    }
}

fn resolved(addresses: &[IpAddr]) -> String {
    let all: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    match all.as_slice() {
        [one] => format!("the address is {one}"),
        _ => format!("the {} addresses are {}", all.len(), all.join(", ")),
    }
}

/// Many machines have no IPv6, and a relay on this machine often listens at one address only.
fn severity_of_failure(address: SocketAddr) -> Severity {
    if address.is_ipv6() || address.ip().is_loopback() {
        Severity::Note
    } else {
        Severity::Warning
    }
}

/// `12 ms`, `1.2 s`.
fn span(took: Duration) -> String {
    match took.as_millis() {
        millis @ 0..1_000 => format!("{millis} ms"),
        _ => format!("{:.1} s", took.as_secs_f64()),
    }
}

fn tls(session: &TlsSession, relay: &str, now: Timestamp) -> Finding {
    let TlsSession {
        version, cipher, ..
    } = session;
    let Some(certificate) = &session.certificate else {
        let what = format!("{version}, {cipher}");
        return Finding::without_fix("tls", Severity::Ok, relay, what);
    };
    let CertificateFacts {
        names,
        issuer,
        expires,
    } = certificate;
    let mut shown: Vec<&str> = names.iter().take(NAMES_SHOWN).map(String::as_str).collect();
    let more = format!("{} more", names.len() - shown.len());
    if names.len() > shown.len() {
        shown.push(&more);
    }
    let days = expires.duration_since(now).as_hours() / 24;
    let day = expires.to_zoned_datetime(TimeZone::UTC).date();
    let what = format!(
        "{version}, {cipher}; the certificate is for {}, issued by {issuer}, and expires in {days} days, on {day}",
        shown.join(", ")
    );
    if days >= DAYS_LEFT {
        return Finding::without_fix("tls", Severity::Ok, relay, what);
    }
    Finding {
        fix: "ask the relay's operator to renew the certificate before that day".into(),
        ..Finding::without_fix("tls", Severity::Warning, relay, what)
    }
}

fn extensions(hello: &str, before_tls: bool, offered: &EhloExtensions, relay: &str) -> Finding {
    let mut words = Vec::new();
    if offered.starttls {
        words.push("STARTTLS".to_owned());
    }
    if offered.pipelining {
        words.push("PIPELINING".to_owned());
    }
    words.extend(offered.size.map(|it| format!("SIZE {it}")));
    words.extend(offered.others.iter().map(|it| (*it).to_owned()));
    if !offered.auth.is_empty() {
        words.push(format!("AUTH {}", offered.auth.join(" ")));
    }
    let words = match words.as_slice() {
        [] => "none of the extensions that matter here".to_owned(),
        some => some.join(", "),
    };
    let what = if before_tls {
        format!("before TLS, the relay offers {words}")
    } else {
        format!("EHLO {hello} accepted; the relay offers {words}")
    };
    Finding::without_fix("ehlo", Severity::Ok, relay, what)
}

/// A token: how long it is valid, and its claims. Microsoft's SMTP service needs a permission in it, unless
/// Exchange grants it to the application by a role.
fn token(facts: &TokenFacts, relay: &str, microsoft: bool, now: Timestamp) -> Finding {
    let TokenFacts {
        source,
        valid_for,
        claims,
    } = facts;
    let by_claim = claims.as_ref().and_then(|it| it.expires);
    let by_claim = by_claim.and_then(|it| Duration::try_from(it.duration_since(now)).ok());
    let mut facts = vec![format!("access token received from {source}")];
    facts.extend(valid_for.or(by_claim).map(|it| match it.as_secs() {
        seconds @ 0..60 => format!("valid for {seconds} s"),
        seconds => format!("valid for {} min", seconds / 60),
    }));
    let Some(claims) = claims else {
        let what = facts.join(", ");
        return Finding::without_fix("token", Severity::Ok, relay, what);
    };
    facts.extend(claims.audience.as_ref().map(|it| format!("for {it}")));
    let application = claims.application.as_ref();
    facts.extend(application.map(|it| format!("application {it}")));
    if !claims.permissions.is_empty() {
        facts.push(format!("with {}", claims.permissions.join(" ")));
    }
    let what = facts.join(", ");
    if microsoft && !may_submit(claims) {
        return Finding {
            fix: "add the application permission `SMTP.SendAsApp` of Office 365 Exchange Online to the app registration and grant admin consent, unless Exchange grants it by the role `Application SMTP.SendAsApp`".into(),
            ..Finding::without_fix(
                "token",
                Severity::Warning,
                relay,
                format!("{what}: it lacks the permission SMTP.SendAsApp"),
            )
        };
    }
    Finding::without_fix("token", Severity::Ok, relay, what)
}

/// Whether a token of Microsoft Entra allows SMTP submission.
fn may_submit(claims: &Claims) -> bool {
    let allows = |it: &String| matches!(it.as_str(), "SMTP.SendAsApp" | "SMTP.Send");
    claims.permissions.iter().any(allows)
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-23T08:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_certificate_that_expires_soon_is_a_warning() {
        for (days, severity) in [
            (15, Severity::Ok),
            (14, Severity::Ok),
            (13, Severity::Warning),
        ] {
            let session = TlsSession {
                version: "TLS 1.3",
                cipher: "TLS_AES_128_GCM_SHA256".into(),
                certificate: Some(CertificateFacts {
                    names: ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec(),
                    issuer: "Contoso CA".into(),
                    expires: now() + (24 * days + 1).hours(),
                }),
            };
            let finding = tls(&session, "relay:25", now());
            assert_eq!(finding.severity, severity, "{finding}");
            let words = [
                "for a, b, c, 2 more, issued by Contoso CA",
                &format!("in {days} days, on 2026-12-"),
            ]
            .map(str::to_owned);
            for words in words {
                assert!(finding.what.contains(&words), "{words}: {finding}");
            }
        }
    }

    #[test]
    fn a_token_without_the_permission_for_smtp_is_a_warning_for_microsoft_only() {
        let facts = |permissions: &[&str]| TokenFacts {
            source: "https://login.example/token".into(),
            valid_for: Some(Duration::from_secs(3_599)),
            claims: Some(Claims {
                audience: Some("https://outlook.office365.com".into()),
                application: Some("11111111".into()),
                permissions: permissions.iter().map(|it| (*it).to_owned()).collect(),
                expires: None,
            }),
        };
        for (permissions, microsoft, severity) in [
            (&["SMTP.SendAsApp"][..], true, Severity::Ok),
            (&["SMTP.Send"], true, Severity::Ok),
            (&["Mail.Send"], true, Severity::Warning),
            (&[], true, Severity::Warning),
            (&[], false, Severity::Ok),
        ] {
            let finding = token(&facts(permissions), "relay:25", microsoft, now());
            assert_eq!(finding.severity, severity, "{finding}");
            let words = "valid for 59 min, for https://outlook.office365.com, application 11111111";
            assert!(finding.what.contains(words), "{finding}");
        }
        let opaque = TokenFacts {
            source: "`smtp.token_command`".into(),
            valid_for: None,
            claims: None,
        };
        let finding = token(&opaque, "relay:25", true, now());
        assert_eq!(
            finding.what,
            "access token received from `smtp.token_command`"
        );
    }

    #[test]
    fn a_failed_address_is_a_warning_unless_ipv6_or_this_machine() {
        for (address, severity) in [
            ("192.0.2.1:25", Severity::Warning),
            ("127.0.0.1:25", Severity::Note),
            ("[2001:db8::1]:25", Severity::Note),
        ] {
            let found = severity_of_failure(address.parse().unwrap());
            assert_eq!(found, severity, "{address}");
        }
    }
}

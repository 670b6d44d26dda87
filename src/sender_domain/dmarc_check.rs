//! The check of the DMARC record of the sender's domain.

use super::dmarc::{self, Policy, Record};
use super::lookups::Lookups;
use crate::finding::{Finding, Severity};

const CHECK: &str = "dmarc";

/// By what a message can be aligned with the domain of From (RFC 7489 §3.1). The envelope's sender, unless the
/// provider replaces it, and the DKIM keys are of that domain, so that alignment may be strict. `None` is not
/// known.
#[derive(Clone, Copy, Debug)]
pub struct Aligned {
    /// The SPF record of the domain admits the relay.
    pub spf: Option<bool>,
    /// A usable DKIM key of the domain was found.
    pub dkim: Option<bool>,
    /// The provider replaces the envelope's sender, perhaps by an address in a subdomain.
    pub return_path_replaced: bool,
}

/// A record, and where it is.
struct Published {
    name: String,
    record: Result<Record, String>,
    /// Whether it is at a parent of the domain.
    of_parent: bool,
}

/// Checks the record that applies to a domain.
///
/// This is the record of the domain itself or, without one, that of its organizational domain. This is the
/// parent with a record that has the fewest labels, or that says that it is (`psd=n`) (RFC 9989). The list of
/// public suffixes of RFC 7489 has the same result in nearly all cases.
pub async fn check(domain: &str, aligned: Aligned, dns: &mut Lookups<'_>) -> Finding {
    let mut applies = None;
    for (place, name) in dmarc::names(domain).into_iter().enumerate() {
        let texts = match dns.txt(&name).await {
            Ok(texts) => texts,
            Err(error) => {
                let what = format!("not checked: {error}");
                return Finding::new(CHECK, Severity::Note, name, what);
            }
        };
        let records: Vec<&String> = texts.iter().filter(|it| dmarc::is_dmarc(it)).collect();
        match records.as_slice() {
            [] => {}
            [text] => {
                let record = dmarc::parse(text);
                let public_suffix = record.as_ref().ok().and_then(|it| it.public_suffix);
                let of_parent = place > 0;
                // Many receivers do not apply the record of a public suffix to the domains below it.
                if of_parent && public_suffix == Some(true) {
                    break;
                }
                applies = Some(Published {
                    name,
                    record,
                    of_parent,
                });
                if !of_parent || public_suffix == Some(false) {
                    break;
                }
            }
            several => {
                let message = format!(
                    "there are {} DMARC records at `{name}`, so receivers ignore them (RFC 7489 §6.6.3); keep one",
                    several.len()
                );
                return Finding::warning(CHECK, name, message);
            }
        }
    }
    applies.map_or_else(|| missing(domain), |it| judge(it, aligned))
}

fn missing(domain: &str) -> Finding {
    let message = format!(
        "`{domain}` has no DMARC record, which Gmail, Yahoo and Outlook.com require of domains that send them many messages; publish the TXT record `v=DMARC1; p=none` at `_dmarc.{domain}`, and a stricter policy later"
    );
    // The suggested record has a semicolon, at which the message is not to be split.
    let (what, fix) = message.split_once("; ").unwrap_or((&message, ""));
    Finding {
        check: CHECK,
        severity: Severity::Warning,
        at: domain.to_owned(),
        what: what.to_owned(),
        fix: fix.to_owned(),
    }
}

fn judge(published: Published, aligned: Aligned) -> Finding {
    let Published {
        name,
        record,
        of_parent,
    } = published;
    let record = match record {
        Ok(record) => record,
        Err(why) => {
            let message = format!(
                "receivers may ignore the DMARC record at `{name}`: {why}; correct it (RFC 7489 §6.3)"
            );
            return Finding::warning(CHECK, name, message);
        }
    };
    let policy = if of_parent {
        record.subdomains
    } else {
        record.policy
    };
    let problem = match (aligned.spf, aligned.dkim) {
        (_, Some(false)) if aligned.return_path_replaced => Some(
            "no usable DKIM key of the domain was found, and SPF counts only if the provider's return path is in your domain",
        ),
        (Some(false), Some(false)) => {
            Some("neither SPF nor DKIM of the domain was found to authenticate the messages")
        }
        _ => None,
    };
    if let Some(problem) = problem {
        let effect = match policy {
            Policy::None => "distrust the messages",
            Policy::Quarantine => "treat the messages as spam",
            Policy::Reject => "reject the messages",
        };
        let fix = if aligned.return_path_replaced {
            "turn DKIM on at your provider"
        } else {
            "correct SPF or DKIM first"
        };
        let message = format!(
            "the DMARC record at `{name}` asks for policy `{policy}`, but {problem}, so receivers may {effect}; {fix}"
        );
        return Finding::warning(CHECK, name, message);
    }
    let by = match (aligned.spf, aligned.dkim) {
        (Some(true), Some(true)) => "according to DNS, SPF and DKIM authenticate the messages",
        (Some(true), Some(false)) => {
            "according to DNS, only SPF authenticates the messages, and it usually fails when they are forwarded"
        }
        (Some(true), None) => {
            "according to DNS, SPF authenticates the messages; DKIM was not checked"
        }
        (_, Some(true)) => "according to DNS, DKIM authenticates the messages",
        _ => "whether SPF or DKIM authenticates the messages is not known",
    };
    let alignment = |strict| if strict { "strict" } else { "relaxed" };
    let reports = if record.reports { "" } else { ", no reports" };
    let what = format!(
        "policy `{policy}` at `{name}` (alignment {} for DKIM, {} for SPF{reports}); {by}",
        alignment(record.strict_dkim),
        alignment(record.strict_spf),
    );
    Finding::without_fix(CHECK, Severity::Ok, name, what)
}

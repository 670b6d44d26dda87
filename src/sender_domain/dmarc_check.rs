//! The check of the DMARC record of the sender's domain.

use super::dmarc::{self, Policy};
use super::lookups::Lookups;
use crate::finding::{Finding, Severity};

const CHECK: &str = "dmarc";

/// By what a message can be aligned with the domain of From (RFC 7489 §3.1). The envelope's sender and the
/// DKIM keys are of that domain, so that alignment may be strict. `None` is not known.
#[derive(Clone, Copy, Debug)]
pub struct Aligned {
    /// The return path is of the domain, and its SPF record admits senders.
    pub spf: Option<bool>,
    /// A usable DKIM key of the domain was found.
    pub dkim: Option<bool>,
}

/// Checks the record that applies to a domain.
pub async fn check(domain: &str, aligned: Aligned, dns: &mut Lookups<'_>) -> Finding {
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
            [text] => return judge(&name, text, place > 0, aligned),
            several => {
                let message = format!(
                    "there are {} DMARC records at `{name}`, so receivers ignore them (RFC 7489 §6.6.3); keep one",
                    several.len()
                );
                return Finding::warning(CHECK, name, message);
            }
        }
    }
    let message = format!(
        "`{domain}` has no DMARC record, which Gmail, Yahoo and Outlook require of domains that send them many messages; publish the TXT record `v=DMARC1; p=none` at `_dmarc.{domain}`, and a stricter policy later"
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

fn judge(name: &str, text: &str, of_parent: bool, aligned: Aligned) -> Finding {
    let record = match dmarc::parse(text) {
        Ok(record) => record,
        Err(why) => {
            let message = format!(
                "the DMARC record at `{name}` is invalid: {why}; correct it (RFC 7489 §6.3)"
            );
            return Finding::warning(CHECK, name, message);
        }
    };
    let policy = if of_parent {
        record.subdomains
    } else {
        record.policy
    };
    if (aligned.spf, aligned.dkim) == (Some(false), Some(false)) {
        let effect = match policy {
            Policy::None => "receivers distrust them",
            Policy::Quarantine => "they arrive as spam",
            Policy::Reject => "they are rejected",
        };
        let message = format!(
            "the DMARC record at `{name}` asks for policy `{policy}`, and neither SPF nor DKIM of the domain was found to cover the messages, so {effect}; correct SPF or DKIM first"
        );
        return Finding::warning(CHECK, name, message);
    }
    let by = match (aligned.spf, aligned.dkim) {
        (Some(true), Some(true)) => "SPF and DKIM cover the messages",
        (Some(true), Some(false)) => {
            "only SPF was found to cover the messages, which fails when they are forwarded"
        }
        (Some(true), None) => "SPF covers the messages; DKIM was not checked",
        (_, Some(true)) => "DKIM covers the messages",
        _ => "whether SPF or DKIM covers the messages is not checked",
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

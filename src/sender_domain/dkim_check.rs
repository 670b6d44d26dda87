//! The check of the DKIM keys of the sender's domain.

use super::dkim::{self, Key, KeyRecord};
use super::known::Known;
use super::lookups::Lookups;
use crate::finding::{Finding, Severity};

const CHECK: &str = "dkim";
/// The shortest RSA key that receivers must accept (RFC 8301 §3.2).
const SHORTEST: usize = 1_024;
/// The recommended length (RFC 8301 §3.2).
const RECOMMENDED: usize = 2_048;

/// Checks the keys of the configured selectors, or else of those that the provider usually has. Each that is configured
/// must have a key; of a provider's usual ones, one is enough, because the others are for the next change of keys.
/// Also returns whether one of them is usable; `None` if that is not known.
pub async fn check(
    domain: &str,
    configured: &[String],
    known: &Known,
    dns: &mut Lookups<'_>,
) -> (Vec<Finding>, Option<bool>) {
    let selectors: Vec<&str> = match configured {
        [] => known.dkim_selectors.to_vec(),
        _ => configured.iter().map(String::as_str).collect(),
    };
    let mut findings = Vec::new();
    let mut absent = Vec::new();
    let mut usable = Some(false);
    if selectors.is_empty() {
        let message = format!(
            "not checked: the selector of the key of `{domain}` is not known; set `sender.dkim_selectors` to it, the `s=` in the DKIM-Signature of a message that was received"
        );
        findings.push(Finding::new(CHECK, Severity::Note, domain, message));
        usable = None;
    }
    for selector in selectors {
        let name = format!("{selector}._domainkey.{domain}");
        let texts = match dns.txt(&name).await {
            Ok(texts) => texts,
            Err(error) => {
                let what = format!("not checked: {error}");
                findings.push(Finding::new(CHECK, Severity::Note, name, what));
                return (findings, usable.filter(|it| *it));
            }
        };
        let Some(text) = texts.first() else {
            absent.push(name);
            continue;
        };
        if texts.len() > 1 {
            let message = format!(
                "`{name}` has {} TXT records, and it is undefined which one receivers use (RFC 6376 §3.6.2.2); keep the one with the key",
                texts.len()
            );
            findings.push(Finding::warning(CHECK, &name, message));
        }
        let (finding, is_usable) = judge(&name, text);
        if is_usable {
            usable = Some(true);
        }
        findings.push(finding);
    }
    if !configured.is_empty() {
        findings.extend(absent.iter().map(|it| missing(it, &[it])));
    } else if findings.is_empty() {
        findings.push(missing(domain, &absent));
    }
    (findings, usable)
}

fn missing(at: &str, names: &[impl AsRef<str>]) -> Finding {
    let names: Vec<_> = names
        .iter()
        .map(|it| format!("`{}`", it.as_ref()))
        .collect();
    let message = format!(
        "there is no DKIM key at {}, so messages are probably not signed for the sender's domain; turn DKIM on at your provider and publish the records that it shows, or set `sender.dkim_selectors` to your selectors",
        names.join(" nor ")
    );
    Finding::warning(CHECK, at, message)
}

fn judge(name: &str, text: &str) -> (Finding, bool) {
    let key = format!("the DKIM key at `{name}`");
    let record = match dkim::parse(text) {
        Ok(record) => record,
        Err(why) => {
            let message = format!(
                "{key} is not usable: {why}; publish the record again, as your provider shows it"
            );
            return (Finding::warning(CHECK, name, message), false);
        }
    };
    let KeyRecord {
        key: public,
        testing,
    } = record;
    let problem = match public {
        Key::Revoked => {
            Some("is revoked (`p=` is empty); turn DKIM on again with a new key".to_owned())
        }
        Key::Rsa(bits) if bits < SHORTEST => Some(format!(
            "has {bits} bits, too short for receivers (RFC 8301); create one of {RECOMMENDED} bits"
        )),
        Key::Rsa(bits) if bits < RECOMMENDED => Some(format!(
            "has {bits} bits, and {RECOMMENDED} are recommended (RFC 8301); create a longer one"
        )),
        _ if testing => Some(
            "is in test mode (`t=y`), so receivers may treat messages as unsigned; remove `t=y`"
                .to_owned(),
        ),
        _ => None,
    };
    if let Some(problem) = problem {
        let usable = !testing && matches!(public, Key::Rsa(SHORTEST..));
        return (
            Finding::warning(CHECK, name, format!("{key} {problem}")),
            usable,
        );
    }
    let kind = match public {
        Key::Rsa(bits) => format!("RSA, {bits} bits"),
        _ => "Ed25519".to_owned(),
    };
    let what = format!("{key} is usable ({kind})");
    (Finding::new(CHECK, Severity::Ok, name, what), true)
}

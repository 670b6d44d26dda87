//! The check of the SPF record of the sender's domain.

use super::known::Known;
use super::lookups::Lookups;
use super::spf::{self, All, Record};
use super::spf_walk::{COUNTED, LIMIT, VOID_LIMIT, Walk};
use crate::finding::{Finding, Severity};

const CHECK: &str = "spf";
const OTHER_RETURN_PATH: &str = "the provider replaces the envelope's sender, and receivers check the SPF record of that other domain";

/// What the check found.
pub struct SpfResult {
    pub finding: Finding,
    /// Whether the record admits the relay; `None` if that is not known.
    pub admits_relay: Option<bool>,
}

/// Checks the SPF record of a domain.
pub async fn check(domain: &str, known: &Known, dns: &mut Lookups<'_>) -> SpfResult {
    let failed = |finding| SpfResult {
        finding,
        admits_relay: Some(false),
    };
    let not_checked = |error| {
        let what = format!("not checked: {error}");
        SpfResult {
            finding: Finding::without_fix(CHECK, Severity::Note, domain, what),
            admits_relay: None,
        }
    };
    let texts = match dns.txt(domain).await {
        Ok(texts) => texts,
        Err(error) => return not_checked(error),
    };
    let records: Vec<&String> = texts.iter().filter(|it| spf::is_spf(it)).collect();
    let text = match records.as_slice() {
        [text] => text,
        [] => return failed(missing(domain, known)),
        several => {
            let message = format!(
                "`{domain}` has {} SPF records, so SPF ends in a permanent error for every message (RFC 7208 §4.5); merge them into one",
                several.len()
            );
            return failed(Finding::warning(CHECK, domain, message));
        }
    };
    let record = match spf::parse(text) {
        Ok(record) => record,
        Err(term) => {
            let message = format!(
                "the SPF record of `{domain}` is invalid, so SPF ends in a permanent error for every message: `{term}` is not understood; correct it (RFC 7208 §5)"
            );
            return failed(Finding::warning(CHECK, domain, message));
        }
    };
    match Walk::of(domain, &record, dns).await {
        Ok(walk) => judge(domain, known, &record, &walk),
        Err(error) => not_checked(error),
    }
}

/// The mechanism that admits the provider.
fn include(known: &Known) -> String {
    let include = known.spf_include;
    include.map_or_else(String::new, |it| format!("include:{it} "))
}

fn missing(domain: &str, known: &Known) -> Finding {
    if known.replaces_return_path {
        let what = format!("`{domain}` has no SPF record; {OTHER_RETURN_PATH}");
        return Finding::without_fix(CHECK, Severity::Note, domain, what);
    }
    let fix = match include(known).as_str() {
        "" => "publish one that names your relay and every other server that sends for the domain"
            .to_owned(),
        include => format!(
            "publish the TXT record `v=spf1 {include}-all`, with every other server that sends for the domain before `-all`"
        ),
    };
    let message = format!(
        "`{domain}` has no SPF record, so receivers cannot tell which servers may send for it; {fix}"
    );
    Finding::warning(CHECK, domain, message)
}

/// The finding about a valid record and its lookups. The first problem is reported.
fn judge(domain: &str, known: &Known, record: &Record, walk: &Walk) -> SpfResult {
    let whose = format!("the SPF record of `{domain}`");
    let invalid = if walk.lookups > LIMIT {
        let number = match walk.lookups {
            COUNTED => format!("more than {}", COUNTED - 1),
            number => number.to_string(),
        };
        Some(format!(
            "{whose} needs {number} DNS lookups, but receivers make at most {LIMIT}, so SPF ends in a permanent error unless an earlier term names the relay (RFC 7208 §4.6.4); remove `include:` of services that no longer send"
        ))
    } else if let Some((name, why)) = walk.broken.first() {
        Some(format!(
            "{whose} includes `{name}`, which {why}, so SPF ends in a permanent error unless an earlier term names the relay (RFC 7208 §5.2, §6.1); remove or correct that term"
        ))
    } else if walk.void.len() > VOID_LIMIT {
        Some(format!(
            "{whose} names {} hosts without a DNS record ({}), and receivers should accept at most {VOID_LIMIT}, so SPF may end in a permanent error (RFC 7208 §4.6.4); remove them",
            walk.void.len(),
            walk.void.join(", ")
        ))
    } else {
        None
    };
    if let Some(message) = invalid {
        return SpfResult {
            finding: Finding::warning(CHECK, domain, message),
            // A receiver stops at the first term that names the relay, perhaps before the problem.
            admits_relay: None,
        };
    }
    let names = |wanted: &str| {
        let mut included = walk.included.iter();
        included.any(|it| it.trim_end_matches('.').eq_ignore_ascii_case(wanted))
    };
    let absent = known.spf_include.filter(|it| !names(it));
    let problem = if record.all == Some(All::Pass) {
        Some(format!(
            "{whose} ends with `+all`, so everyone may send as `{domain}`; end it with `-all` or `~all`"
        ))
    } else if let Some(absent) = absent {
        Some(format!(
            "{whose} does not admit the provider; add `include:{absent}` to it, before `all`"
        ))
    } else if !record.names_senders && record.lookups.is_empty() {
        Some(format!(
            "{whose} admits no sender at all; name your relay in it, before `all`"
        ))
    } else {
        None
    };
    let admits_relay = match known.spf_include {
        Some(_) => Some(absent.is_none()),
        None if record.names_senders || !record.lookups.is_empty() => None,
        None => Some(false),
    };
    let finding = match problem {
        Some(message) => Finding::warning(CHECK, domain, message),
        None => accepted(domain, known, record, walk),
    };
    SpfResult {
        finding,
        admits_relay,
    }
}

fn accepted(domain: &str, known: &Known, record: &Record, walk: &Walk) -> Finding {
    let admits = match known.spf_include {
        Some(include) => format!("includes `{include}`"),
        None => "is valid".to_owned(),
    };
    let redirects = matches!(record.lookups.last(), Some(spf::Lookup::Redirect(_)));
    let end = match record.all {
        Some(All::Fail) => " and ends with `-all`",
        Some(All::SoftFail) => " and ends with `~all`",
        Some(All::Neutral) => " and ends with `?all`, so it excludes no other sender",
        None if !redirects => " and has no `all`, so it excludes no other sender",
        Some(All::Pass) | None => "",
    };
    let not_checked = if known.replaces_return_path {
        format!("; {OTHER_RETURN_PATH}")
    } else if known.spf_include.is_none() {
        "; whether it names the relay is not checked".to_owned()
    } else {
        String::new()
    };
    let lookups = walk.lookups;
    let what = format!(
        "the SPF record of `{domain}` {admits}{end} ({lookups} of {LIMIT} DNS lookups){not_checked}"
    );
    Finding::without_fix(CHECK, Severity::Ok, domain, what)
}

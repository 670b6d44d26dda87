//! DMARC records (RFC 7489 §6.3, RFC 9989), and the names at which receivers look for them.

use super::tags::Tags;

/// What receivers do with messages that fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "lowercase", ascii_case_insensitive)]
pub enum Policy {
    None,
    Quarantine,
    Reject,
}

/// A valid record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// For messages from the domain itself.
    pub policy: Policy,
    /// For messages from its subdomains.
    pub subdomains: Policy,
    /// Whether the domain of the DKIM signature must be that of From, not only related to it.
    pub strict_dkim: bool,
    /// The same of the domain that SPF checks.
    pub strict_spf: bool,
    /// Whether somebody receives reports.
    pub reports: bool,
    /// Whether the domain is a public suffix (`psd=`, RFC 9989), such as `gov`; `None` if it does not say so.
    pub public_suffix: Option<bool>,
}

/// Whether a TXT record is a DMARC record.
pub fn is_dmarc(text: &str) -> bool {
    let first = text.split(';').next().and_then(|it| it.split_once('='));
    first.is_some_and(|(name, value)| name.trim() == "v" && value.trim() == "DMARC1")
}

/// Reads a record. The error is what is wrong.
pub fn parse(text: &str) -> Result<Record, String> {
    let tags = Tags::parse(text).map_err(|it| format!("`{it}` is no tag"))?;
    let policy = |name| match tags.get(name) {
        None => Ok(None),
        Some(value) => value
            .parse::<Policy>()
            .map(Some)
            .map_err(|_| format!("`{name}={value}` is none of none, quarantine and reject")),
    };
    let strict = |name| {
        tags.get(name)
            .is_some_and(|it| it.eq_ignore_ascii_case("s"))
    };
    let policy_of_domain = policy("p")?.ok_or("it has no policy (`p=`)")?;
    Ok(Record {
        policy: policy_of_domain,
        subdomains: policy("sp")?.unwrap_or(policy_of_domain),
        strict_dkim: strict("adkim"),
        strict_spf: strict("aspf"),
        reports: tags.get("rua").is_some_and(|it| !it.is_empty()),
        public_suffix: match tags.get("psd") {
            Some("y" | "Y") => Some(true),
            Some("n" | "N") => Some(false),
            _ => None,
        },
    })
}

/// The names at which a record can be, the closest first: at the domain and at its parents, which include the
/// organizational domain. A receiver skips from a long name to its last seven labels. Top-level domains are
/// left out: their records are those of public suffixes.
pub fn names(domain: &str) -> Vec<String> {
    /// The most labels below which every parent is looked up.
    const LABELS: usize = 7;
    let labels: Vec<&str> = domain.split('.').collect();
    let parents = (2..labels.len()).rev().filter(|it| *it <= LABELS);
    [labels.len()]
        .into_iter()
        .chain(parents)
        .map(|it| format!("_dmarc.{}", labels[labels.len() - it..].join(".")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read() {
        let record =
            parse("v=DMARC1; p=Reject; sp=none; adkim=s; aspf=r; rua=mailto:d@contoso.com");
        let expected = Record {
            policy: Policy::Reject,
            subdomains: Policy::None,
            strict_dkim: true,
            strict_spf: false,
            reports: true,
            public_suffix: None,
        };
        assert_eq!(record, Ok(expected));
        let short = parse("v=DMARC1;p=quarantine").unwrap();
        assert_eq!(short.subdomains, Policy::Quarantine);
        assert!(!short.strict_dkim && !short.reports);
        for (record, expected) in [
            ("v=DMARC1; p=none; psd=y", Some(true)),
            ("v=DMARC1; p=none; psd=n", Some(false)),
            ("v=DMARC1; p=none; psd=u", None),
        ] {
            assert_eq!(parse(record).unwrap().public_suffix, expected, "{record}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_record_is_named() {
        for (record, why) in [
            ("v=DMARC1", "no policy"),
            ("v=DMARC1; p=block", "`p=block`"),
            ("v=DMARC1; p=none; sp=x", "`sp=x`"),
            ("v=DMARC1; p:none", "`p:none`"),
        ] {
            let error = parse(record).unwrap_err();
            assert!(error.contains(why), "{record}: {error}");
        }
    }

    #[test]
    fn only_records_of_this_version_are_dmarc() {
        for (text, expected) in [
            ("v=DMARC1; p=none", true),
            ("v = DMARC1 ; p=none", true),
            ("v=DMARC1", true),
            ("v=DMARC10; p=none", false),
            ("p=none; v=DMARC1", false),
            ("v=spf1 -all", false),
        ] {
            assert_eq!(is_dmarc(text), expected, "{text}");
        }
    }

    #[test]
    fn a_record_is_looked_for_at_the_domain_and_its_parents() {
        assert_eq!(names("contoso.com"), ["_dmarc.contoso.com"]);
        assert_eq!(
            names("mail.eu.contoso.com"),
            [
                "_dmarc.mail.eu.contoso.com",
                "_dmarc.eu.contoso.com",
                "_dmarc.contoso.com"
            ]
        );
        let deep = names("a.b.c.d.e.f.g.h.i.com");
        assert_eq!(deep[1], "_dmarc.d.e.f.g.h.i.com");
        assert_eq!(deep.len(), 7);
    }
}

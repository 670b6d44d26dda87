//! SPF records (RFC 7208 §4.5, §4.6, §5, §6).

use std::net::{Ipv4Addr, Ipv6Addr};

/// A term that needs a DNS lookup (§4.6.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The record of another domain.
    Include(String),
    /// The addresses of a name; `None` is the domain itself.
    Address(Option<String>),
    /// The mail exchangers of a name; `None` is the domain itself.
    Mx(Option<String>),
    /// Whether a name has an address.
    Exists(String),
    /// A reverse lookup.
    Ptr,
    /// The record of another domain in place of this one.
    Redirect(String),
}

/// The result for senders that no mechanism before `all` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum All {
    Pass,
    Fail,
    SoftFail,
    Neutral,
}

/// A valid record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What needs a lookup, in the order of evaluation.
    pub lookups: Vec<Lookup>,
    /// The result of `all`; `None` without that mechanism.
    pub all: Option<All>,
    /// Whether a mechanism other than `all` names a sender.
    pub names_senders: bool,
}

/// Whether a TXT record is an SPF record (§4.5).
pub fn is_spf(text: &str) -> bool {
    let version = text.get(..6);
    let is_version = version.is_some_and(|it| it.eq_ignore_ascii_case("v=spf1"));
    is_version && matches!(text.as_bytes().get(6), None | Some(b' '))
}

/// Reads a record. The error is the term that is wrong.
pub fn parse(text: &str) -> Result<Record, String> {
    let mut record = Record {
        lookups: Vec::new(),
        all: None,
        names_senders: false,
    };
    let mut redirect = None;
    for term in text.split_ascii_whitespace().skip(1) {
        let wrong = || term.to_owned();
        if let Some((name, value)) = modifier(term) {
            if name.eq_ignore_ascii_case("redirect") {
                let target = domain(value).ok_or_else(wrong)?;
                if redirect.replace(target).is_some() {
                    return Err(wrong());
                }
            }
            continue;
        }
        let (qualifier, mechanism) = qualified(term);
        let end = mechanism.find([':', '/']).unwrap_or(mechanism.len());
        let (name, argument) = mechanism.split_at(end);
        let found = match name.to_ascii_lowercase().as_str() {
            "all" if argument.is_empty() => {
                // What follows is never evaluated (§5.1).
                record.all.get_or_insert(qualifier);
                continue;
            }
            "include" => Some(Lookup::Include(required(argument).ok_or_else(wrong)?)),
            "exists" => Some(Lookup::Exists(required(argument).ok_or_else(wrong)?)),
            "a" => Some(Lookup::Address(
                with_prefix(argument).map_err(|NotADomain| wrong())?,
            )),
            "mx" => Some(Lookup::Mx(
                with_prefix(argument).map_err(|NotADomain| wrong())?,
            )),
            "ptr" if argument.is_empty() || required(argument).is_some() => Some(Lookup::Ptr),
            "ip4" if is_network::<Ipv4Addr>(argument, 32) => None,
            "ip6" if is_network::<Ipv6Addr>(argument, 128) => None,
            _ => return Err(wrong()),
        };
        if record.all.is_none() {
            record.names_senders = true;
            record.lookups.extend(found);
        }
    }
    if let (Some(target), None) = (redirect, record.all) {
        record.lookups.push(Lookup::Redirect(target));
    }
    Ok(record)
}

/// The name and the value of a modifier (§6).
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let first = name.starts_with(|it: char| it.is_ascii_alphabetic());
    let fits = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.');
    (first && name.chars().all(fits)).then_some((name, value))
}

fn qualified(term: &str) -> (All, &str) {
    let qualifiers = [
        ('+', All::Pass),
        ('-', All::Fail),
        ('~', All::SoftFail),
        ('?', All::Neutral),
    ];
    let found = qualifiers
        .into_iter()
        .find_map(|(sign, qualifier)| Some((qualifier, term.strip_prefix(sign)?)));
    found.unwrap_or((All::Pass, term))
}

/// `:domain`.
fn required(argument: &str) -> Option<String> {
    domain(argument.strip_prefix(':')?)
}

/// A domain, perhaps with macros (§7).
fn domain(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.is_ascii() && text.contains('.');
    (fits && !text.contains('/') || text.contains('%')).then(|| text.to_owned())
}

/// The argument of a mechanism is wrong.
struct NotADomain;

/// `:domain/24//64`, each part optional.
fn with_prefix(argument: &str) -> Result<Option<String>, NotADomain> {
    let (name, prefix) = match argument.find('/') {
        Some(at) => argument.split_at(at),
        None => (argument, ""),
    };
    let (four, six) = match prefix.split_once("//") {
        Some((four, six)) => (four, Some(six)),
        None => (prefix, None),
    };
    let four = match four.strip_prefix('/') {
        Some(length) => length,
        None if four.is_empty() => "0",
        None => return Err(NotADomain),
    };
    if !is_length(four, 32) || six.is_some_and(|it| !is_length(it, 128)) {
        return Err(NotADomain);
    }
    match name {
        "" => Ok(None),
        name => required(name).map(Some).ok_or(NotADomain),
    }
}

fn is_length(text: &str, most: u8) -> bool {
    text.parse::<u8>().is_ok_and(|it| it <= most)
}

/// `:address/length`.
fn is_network<A: std::str::FromStr>(argument: &str, most: u8) -> bool {
    let Some(network) = argument.strip_prefix(':') else {
        return false;
    };
    let (address, length) = match network.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (network, None),
    };
    address.parse::<A>().is_ok() && length.is_none_or(|it| is_length(it, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_of_this_version_are_spf() {
        for (text, expected) in [
            ("v=spf1", true),
            ("V=SPF1 -all", true),
            ("v=spf10 -all", false),
            ("v=spf2.0/pra -all", false),
            ("spf1", false),
            ("", false),
            ("v=spf\u{e9}", false),
        ] {
            assert_eq!(is_spf(text), expected, "{text}");
        }
    }

    #[test]
    fn valid_records_are_read() {
        use Lookup::*;
        let text = str::to_owned;
        for (record, lookups, all, names_senders) in [
            ("v=spf1 -all", vec![], Some(All::Fail), false),
            (
                "v=spf1  include:spf.protection.outlook.com ~all",
                vec![Include(text("spf.protection.outlook.com"))],
                Some(All::SoftFail),
                true,
            ),
            (
                "v=spf1 a mx a:b.com/24 mx/24//64 MX:c.com//64 ip4:192.0.2.0/24 ip6:2001:db8::/32 ip4:192.0.2.1 ptr exists:%{i}.d.com ?ALL",
                vec![
                    Address(None),
                    Mx(None),
                    Address(Some(text("b.com"))),
                    Mx(None),
                    Mx(Some(text("c.com"))),
                    Ptr,
                    Exists(text("%{i}.d.com")),
                ],
                Some(All::Neutral),
                true,
            ),
            (
                "v=spf1 redirect=_spf.google.com",
                vec![Redirect(text("_spf.google.com"))],
                None,
                false,
            ),
            // After `all`, nothing is evaluated.
            (
                "v=spf1 all include:b.com redirect=c.com -all",
                vec![],
                Some(All::Pass),
                false,
            ),
            (
                "v=spf1 exp=why.b.com x-other=1 -a",
                vec![Address(None)],
                None,
                true,
            ),
        ] {
            let expected = Record {
                lookups,
                all,
                names_senders,
            };
            assert_eq!(parse(record), Ok(expected), "{record}");
        }
    }

    #[test]
    fn the_wrong_term_of_an_invalid_record_is_named() {
        for term in [
            "inclde:b.com",
            "include",
            "include:",
            "include:b",
            "ip4:192.0.2.0/33",
            "ip4:192.0.2",
            "ip4",
            "ip6:192.0.2.1",
            "192.0.2.1",
            "a:",
            "a/33",
            "mx:b.com/x",
            "all:b.com",
            "redirect=",
            "\u{201c}v=spf1",
        ] {
            let record = format!("v=spf1 mx {term} -all");
            assert_eq!(parse(&record), Err(term.to_owned()));
        }
        let twice = "v=spf1 redirect=b.com redirect=c.com";
        assert_eq!(parse(twice), Err("redirect=c.com".to_owned()));
    }
}

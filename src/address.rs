//! A mail address: as written, as sent, and as compared.
//!
//! A parsed address needs no further checks before it is used in an SMTP command, a header or a table: ASCII on the wire, no quoting, no blanks, no IP literal. Two spellings compare equal
//! only if they certainly reach the same mailbox (domain in any case or as U-label, local part in
//! any ASCII case): `mıke` is not `mike` (CVE-2019-19844), and a `+tag` or a dot counts.

use std::fmt;

/// A deliverable address (RFC 5321 §4.1.2, without quoted local parts and address literals).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    written: String,
    local: String,
    domain: String,
}

impl Address {
    /// Parses a bare address, such as `ada@fabrikam.example`.
    ///
    /// # Errors
    /// Why nothing can be sent to it.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.len() > 254 {
            return Err(AddressError::TooLong);
        }
        if text.contains(['<', '>']) {
            return Err(AddressError::NameAround);
        }
        if text.contains([',', ';']) {
            return Err(AddressError::Several);
        }
        if let Some(blank) = text
            .chars()
            .find(|it| it.is_whitespace() || it.is_control())
        {
            return Err(AddressError::Blank(blank));
        }
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoAt)?;
        let domain = ascii_domain(domain)?;
        check_local(local)?;
        if local.len() + 1 + domain.len() > 254 {
            return Err(AddressError::TooLong);
        }
        Ok(Self {
            written: text.to_owned(),
            local: local.to_owned(),
            domain,
        })
    }

    /// The address as written, for display.
    #[must_use]
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// The part before the `@`, as written.
    #[must_use]
    pub fn local_part(&self) -> &str {
        &self.local
    }

    /// The domain as a lower-case A-label (RFC 5890).
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The address for the envelope: the local part as written, the domain as A-label.
    #[must_use]
    pub fn wire(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }

    /// The address with its domain as U-label (RFC 5890), if that differs from [`Self::wire`].
    #[must_use]
    pub fn unicode(&self) -> Option<String> {
        let domain = unicode_domain(&self.domain)?;
        Some(format!("{}@{domain}", self.local))
    }

    /// The form for comparison. Never send mail to it.
    #[must_use]
    pub fn canonical(&self) -> String {
        format!("{}@{}", self.local.to_ascii_lowercase(), self.domain)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// Why nothing can be sent to an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text is empty.
    #[error("the address is missing")]
    Empty,
    /// Longer than RFC 5321 §4.5.3.1 allows.
    #[error(
        "it is longer than the limits for addresses (254 characters, 64 of them before the `@`)"
    )]
    TooLong,
    /// `Ada <ada@example.com>`.
    #[error("it has a name or angle brackets around the address; write the bare address")]
    NameAround,
    /// `a@example.com; b@example.com`.
    #[error("it looks like several addresses; write one row for each")]
    Several,
    /// A blank inside.
    #[error("it contains a blank or control character (U+{:04X}); remove it", u32::from(*.0))]
    Blank(char),
    /// No `@`.
    #[error("it is not an address, because it has no `@`")]
    NoAt,
    /// A guest's user principal name.
    #[error(
        "it is the sign-in name of a guest account (`#EXT#`), not a mail address; write the guest's mail address"
    )]
    Guest,
    /// An address that would need SMTPUTF8.
    #[error(
        "the part before the `@` contains `{}`; only ASCII letters, digits and some signs work in all mail systems",
        .0.escape_debug()
    )]
    LocalPart(char),
    /// `"ada lovelace"@example.com`.
    #[error(
        "the part before the `@` is in quotes, which few mail systems accept; use another address of this partner"
    )]
    Quoted,
    /// `-f@example.com`.
    #[error(
        "the part before the `@` begins with `-`, which mail programs may read as an option; use another address of this partner"
    )]
    Hyphen,
    /// `.ada@`, `a..b@`, `ada.@`.
    #[error("the part before the `@` is empty, or has a dot at its start or end, or two in a row")]
    Dots,
    /// `ada@[192.0.2.1]`, `ada@192.0.2.1`.
    #[error("the domain is an IP address; write the name of the domain")]
    IpLiteral,
    /// `ada@localhost`.
    #[error("the domain `{}` has no dot, so it is known only locally; write the full domain", .0.escape_debug())]
    NoDot(String),
    /// Not a domain name.
    #[error("`{}` is not a domain name", .0.escape_debug())]
    Domain(String),
}

fn check_local(local: &str) -> Result<(), AddressError> {
    if local.to_ascii_uppercase().contains("#EXT#") {
        return Err(AddressError::Guest);
    }
    if local.len() > 64 {
        return Err(AddressError::TooLong);
    }
    if local.starts_with('"') {
        return Err(AddressError::Quoted);
    }
    if local.starts_with('-') {
        return Err(AddressError::Hyphen);
    }
    // RFC 5322 §3.2.3, `atext`, and the dot between atoms.
    let allowed = |it: &char| it.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(*it);
    if let Some(strange) = local.chars().find(|it| !allowed(it)) {
        return Err(AddressError::LocalPart(strange));
    }
    if local.split('.').any(str::is_empty) {
        return Err(AddressError::Dots);
    }
    Ok(())
}

/// The domain by UTS #46, so that `bücher.example` and `xn--bcher-kva.example` are one.
fn ascii_domain(domain: &str) -> Result<String, AddressError> {
    if domain.starts_with('[') {
        return Err(AddressError::IpLiteral);
    }
    let bad = || AddressError::Domain(domain.to_owned());
    let ascii = idna::domain_to_ascii_strict(domain).map_err(|_| bad())?;
    if ascii.ends_with('.') || ascii.is_empty() {
        return Err(bad());
    }
    let Some((_, top)) = ascii.rsplit_once('.') else {
        return Err(AddressError::NoDot(domain.to_owned()));
    };
    if top.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AddressError::IpLiteral);
    }
    Ok(ascii)
}

/// A domain as U-label, if it differs from its A-label.
#[must_use]
pub fn unicode_domain(domain: &str) -> Option<String> {
    let (unicode, valid) = idna::domain_to_unicode(domain);
    (valid.is_ok() && unicode != domain).then_some(unicode)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Address, AddressError};

    #[test]
    fn address_has_written_wire_and_canonical_forms() {
        let address = Address::parse("Ada.O'Brien+x@Bücher.Example").unwrap();

        assert_eq!(address.as_written(), "Ada.O'Brien+x@Bücher.Example");
        assert_eq!(address.wire(), "Ada.O'Brien+x@xn--bcher-kva.example");
        assert_eq!(address.canonical(), "ada.o'brien+x@xn--bcher-kva.example");
        let unicode = "Ada.O'Brien+x@b\u{fc}cher.example";
        assert_eq!(address.unicode().as_deref(), Some(unicode));
        assert_eq!(Address::parse("a@b.example").unwrap().unicode(), None);
    }

    #[test]
    fn undeliverable_address_is_refused_with_a_reason() {
        let domain = |text: &str| AddressError::Domain(text.into());
        let table = [
            ("", AddressError::Empty),
            ("ada", AddressError::NoAt),
            ("Ada <ada@a.example>", AddressError::NameAround),
            ("ada@a.example;bob@b.example", AddressError::Several),
            ("ada @a.example", AddressError::Blank(' ')),
            ("ada@a.example\r\nRCPT", AddressError::Blank('\r')),
            ("ada@localhost", AddressError::NoDot("localhost".into())),
            ("ada@[127.0.0.1]", AddressError::IpLiteral),
            ("ada@127.0.0.1", AddressError::IpLiteral),
            ("ada@c_d.example", domain("c_d.example")),
            ("ada@a..example", domain("a..example")),
            ("ada@a.example.", domain("a.example.")),
            ("ada@", domain("")),
            ("@a.example", AddressError::Dots),
            ("a..b@a.example", AddressError::Dots),
            ("-f@a.example", AddressError::Hyphen),
            ("\"ada\"@a.example", AddressError::Quoted),
            ("jürgen@a.example", AddressError::LocalPart('ü')),
            ("a@b@a.example", AddressError::LocalPart('@')),
            ("ada_a.example#EXT#@t.onmicrosoft.com", AddressError::Guest),
        ];

        for (text, expected) in table {
            assert_eq!(Address::parse(text), Err(expected), "{text:?}");
        }
        let long = format!("{}@a.example", "a".repeat(65));
        assert_eq!(Address::parse(&long), Err(AddressError::TooLong));
    }

    #[test]
    fn f11_address_of_the_greatest_length_is_accepted() {
        let labels = |count: usize, rest: usize| {
            let label = format!("{}.", "d".repeat(60));
            format!("{}{}.example", label.repeat(count), "e".repeat(rest))
        };
        let local = "a".repeat(64);
        // 64 + 1 + 189 = 254 octets in all (RFC 5321 §4.5.3.1.3, less the two brackets).
        let longest = format!("{local}@{}", labels(2, 59));

        assert_eq!(longest.len(), 254);
        assert!(Address::parse(&longest).is_ok());
        let label = format!("{}.example", "d".repeat(64));
        for (too_long, expected) in [
            (format!("{local}@{}", labels(2, 60)), AddressError::TooLong),
            (format!("a{local}@a.example"), AddressError::TooLong),
            (format!("a@{label}"), AddressError::Domain(label.clone())),
        ] {
            assert_eq!(Address::parse(&too_long), Err(expected), "{too_long}");
        }
    }

    proptest! {
        #[test]
        fn accepted_address_is_safe_in_a_command(
            text in prop_oneof!["\\PC{0,40}@\\PC{0,40}", "[a-zA-Z0-9.é-]{1,20}@[a-zé0-9.-]{1,30}", any::<String>()],
        ) {
            if let Ok(address) = Address::parse(&text) {
                let wire = address.wire();
                prop_assert!(wire.bytes().all(|it| (b'!'..=b'~').contains(&it)));
                prop_assert!(!wire.contains(['<', '>', '"', ',', ';']));
                let again = Address::parse(&wire).unwrap();
                prop_assert_eq!(again.canonical(), address.canonical());
            }
        }
    }
}

//! Addresses and domains that are not mailed.

use std::fmt;

use super::identity::MessageIdKey;
use super::record::to_the_second;
use crate::address::{Address, AddressError};
use jiff::Timestamp;
use serde::Serialize;

/// An address, or all addresses of a domain (`@fabrikam.example`), in the form for comparison.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AddressPattern(String);

impl AddressPattern {
    /// Parses an address, or `@` and a domain.
    ///
    /// # Errors
    /// Why it can cover no address.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.starts_with('@') {
            let address = Address::parse(&format!("postmaster{text}"))?;
            return Ok(Self(format!("@{}", address.domain())));
        }
        Ok(Self(Address::parse(text)?.canonical()))
    }

    /// The canonical address, or `@` and the domain.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hash by which it is found in the ledger.
    #[must_use]
    pub fn hash(&self, key: &MessageIdKey) -> [u8; 32] {
        suppression_hash(key, &self.0)
    }
}

impl From<&Address> for AddressPattern {
    fn from(address: &Address) -> Self {
        Self(address.canonical())
    }
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why an address is not mailed. The names are recorded.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum SuppressionSource {
    /// A person decided.
    Person,
    /// A message came back: the mailbox is unknown or disabled.
    Bounce,
    /// The partner asked for it by mail.
    Unsubscribe,
    /// Everything about the address was erased.
    Forgotten,
}

/// An entry of the suppression list. The names in JSON are an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suppression {
    /// The address or `@domain` that is not mailed; none if the address was erased.
    pub address: Option<String>,
    /// Since when.
    #[serde(serialize_with = "to_the_second")]
    pub at: Timestamp,
    /// Why.
    pub source: SuppressionSource,
    /// A note by a person, or which report it was.
    pub note: Option<String>,
}

/// The hashes of the entries that cover a canonical address: its own, and that of its domain.
#[must_use]
pub fn covering_hashes(key: &MessageIdKey, address: &str) -> [[u8; 32]; 2] {
    let domain = address.rfind('@').map_or("", |at| &address[at..]);
    [address, domain].map(|it| suppression_hash(key, it))
}

/// The keyed hash of a canonical address, or of `@` and a domain: HMAC-SHA-256 under a label of its own, each
/// field preceded by its length. A person who has the key can test addresses against it, so it is a pseudonym.
#[must_use]
pub fn suppression_hash(key: &MessageIdKey, text: &str) -> [u8; 32] {
    key.mac([b"suppression", text.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_an_address_or_a_domain() {
        let canonical = |it| AddressPattern::parse(it).map(|it| it.to_string());
        assert_eq!(canonical("Ada@A.Example").unwrap(), "ada@a.example");
        assert_eq!(
            canonical("@Bücher.example").unwrap(),
            "@xn--bcher-kva.example"
        );
        for bad in ["", "@", "a.example", "@a b", "@@a.example", "ada@"] {
            assert!(canonical(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_is_covered_by_itself_and_its_domain() {
        let key = MessageIdKey([7; 32]);
        let hash = |it| AddressPattern::parse(it).unwrap().hash(&key);
        let covering = covering_hashes(&key, "ada@a.example");
        assert_eq!(covering, [hash("Ada@A.example"), hash("@a.example")]);
        for other in [
            "bob@a.example",
            "@b.a.example",
            "@le.example",
            "da@a.example",
        ] {
            assert!(!covering.contains(&hash(other)), "{other}");
        }
        assert_ne!(
            covering,
            covering_hashes(&MessageIdKey([8; 32]), "ada@a.example")
        );
    }
}

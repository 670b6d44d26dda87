//! Whether a partner has asked for access, as Microsoft Entra says.
//!
//! Who asked is recorded by keyed hashes only, because most of the people who request an access package may
//! not be in the list.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use strum::VariantArray;

use super::identity::{Identity, MessageIdKey};

/// How far somebody's newest request for an access package has come. The names are an interface.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum AccessState {
    /// No request was seen, or it was canceled.
    #[default]
    None,
    /// It was requested; the decision or the assignment is still to come.
    Requested,
    /// It was assigned.
    Granted,
    /// An approver denied it.
    Denied,
    /// It could not be assigned.
    Failed,
    /// It was assigned, and that has ended.
    Removed,
}

impl AccessState {
    /// All of them, in the order in which reports list them.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The name in the ledger and in every report.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Whose request it is. The names are an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum AccessBy {
    /// The partner's, found by the address or the guest's user name.
    Address,
    /// Somebody else's with an address in the same domain.
    Colleague,
}

impl AccessBy {
    /// The name in every report.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Whether an invited partner has asked for access.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// How far the request has come.
    pub state: AccessState,
    /// Since when, if Microsoft Entra says so.
    pub at: Option<Timestamp>,
    /// Whose request it is; `None` if there is none.
    pub by: Option<AccessBy>,
    /// When it was requested; `None` for an assignment without a request.
    pub requested_at: Option<Timestamp>,
}

impl Access {
    /// Whether anybody has requested, be it the partner or a colleague.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.state != AccessState::None
    }
}

/// How many invitations have which access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessCounts {
    /// The number of each access, in their order.
    pub states: BTreeMap<AccessState, u64>,
    /// How many of those are the access of a colleague.
    pub by_colleague: u64,
    /// When the requests were read; the oldest time of several packages.
    pub read_at: Option<Timestamp>,
}

/// A person or a domain: 128 bits of HMAC-SHA-256 under a label of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PersonHash(pub [u8; 16]);

/// Hashes addresses and domains with the key of one ledger.
#[derive(Clone)]
pub struct PersonHasher(Hmac<Sha256>);

impl PersonHasher {
    /// For the ledger with this key.
    #[must_use]
    pub fn new(key: &MessageIdKey) -> Self {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes keys of any length");
        mac.update(b"access\0");
        Self(mac)
    }

    /// The person with this canonical address.
    #[must_use]
    pub fn of_address(&self, canonical: &str) -> PersonHash {
        let mut mac = self.0.clone();
        mac.update(canonical.as_bytes());
        let mac: [u8; 32] = mac.finalize().into_bytes().into();
        PersonHash(*mac.first_chunk().expect("16 of 32 bytes"))
    }

    /// Everybody with an address in this domain, an A-label in lower case.
    #[must_use]
    pub fn of_domain(&self, domain: &str) -> PersonHash {
        self.of_address(&format!("@{domain}"))
    }

    /// The invited person, and the colleagues.
    #[must_use]
    pub fn of_invited(&self, identity: &Identity) -> [PersonHash; 2] {
        let domain = identity.address.rsplit('@').next().unwrap_or_default();
        [self.of_address(&identity.address), self.of_domain(domain)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use crate::link::PackageId;

    #[test]
    fn names_of_access_read_back() {
        for state in AccessState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
    }

    #[test]
    fn a_person_and_their_domain_are_told_apart_by_key_address_and_domain() {
        let hasher = PersonHasher::new(&MessageIdKey([7; 32]));
        let package = PackageId::parse("8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11").unwrap();
        let invited = |address: &str| {
            let identity = Identity::new("spring", package, &Address::parse(address).unwrap());
            hasher.of_invited(&identity)
        };
        let [ada, domain] = invited("Ada@A.example");

        assert_eq!(ada, hasher.of_address("ada@a.example"));
        assert_eq!(domain, hasher.of_domain("a.example"));
        assert_ne!(ada, domain);
        assert_eq!(invited("bob@a.example")[1], domain);
        assert_ne!(invited("ada@b.example")[0], ada);
        let other = PersonHasher::new(&MessageIdKey([8; 32]));
        assert_ne!(other.of_address("ada@a.example"), ada);
    }
}

//! What remains of an erased record: a keyed hash, so that nobody is invited twice because of it.

use super::identity::{Identity, MessageIdKey};

/// Why nothing is recorded about an invitation any more. It is never sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erasure {
    /// The address was forgotten, in all campaigns.
    Forgotten,
    /// This invitation was closed for longer than `privacy.retain`.
    Retention,
}

impl Identity {
    /// HMAC-SHA-256 under a label of its own over campaign, package and address, each field preceded by its length.
    #[must_use]
    pub fn erasure_hash(&self, key: &MessageIdKey) -> [u8; 32] {
        let package_id = self.package_id.as_bytes();
        key.mac([
            b"erased invitation",
            self.campaign.as_bytes(),
            &package_id,
            self.address.as_bytes(),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use crate::link::PackageId;

    #[test]
    fn the_hash_depends_on_each_part_of_the_identity() {
        let key = MessageIdKey([7; 32]);
        let package =
            |it: &str| PackageId::parse(&format!("{it}e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11"));
        let hash = |campaign, id: &str, address| {
            let address = Address::parse(address).unwrap();
            Identity::new(campaign, package(id).unwrap(), &address).erasure_hash(&key)
        };
        let base = hash("spring", "8", "ada@a.example");

        assert_eq!(base, hash("spring", "8", "ADA@a.example"));
        for other in [
            hash("autumn", "8", "ada@a.example"),
            hash("spring", "9", "ada@a.example"),
            hash("spring", "8", "bob@a.example"),
        ] {
            assert_ne!(other, base);
        }
    }
}

//! The identity of an invitation or of a reminder: campaign, access package, canonical address and occasion. The
//! Message-ID is derived from it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::occasion::Occasion;
use crate::address::Address;
use crate::link::PackageId;

/// The identity of an invitation or of a reminder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The campaign of the configuration.
    pub campaign: String,
    /// The access package.
    pub package_id: PackageId,
    /// The partner's address in its canonical form.
    pub address: String,
    /// What the message is sent for.
    pub occasion: Occasion,
}

impl Identity {
    /// The invitation of `address` to a package within a campaign.
    #[must_use]
    pub fn new(campaign: &str, package_id: PackageId, address: &Address) -> Self {
        Self {
            campaign: campaign.to_owned(),
            package_id,
            address: address.canonical(),
            occasion: Occasion::Invitation,
        }
    }

    /// Whether both are of one partner and one package in one campaign, whatever the occasion.
    #[must_use]
    pub fn is_same_partner(&self, other: &Self) -> bool {
        self.on(other.occasion) == *other
    }

    /// The same partner and package on another occasion.
    #[must_use]
    pub fn on(&self, occasion: Occasion) -> Self {
        Self {
            occasion,
            ..self.clone()
        }
    }

    /// The Message-ID without brackets: 128 bits of HMAC-SHA-256 over the identity and its generation,
    /// each field preceded by its length, at the sender's domain.
    ///
    /// It is the same in preview, verification and mail, and cannot be guessed without the key.
    #[must_use]
    pub fn message_id(&self, key: &MessageIdKey, generation: u32, domain: &str) -> String {
        let package_id = self.package_id.as_bytes();
        let generation = generation.to_be_bytes();
        let occasion = self.occasion.to_string();
        let mac = key.mac([
            self.campaign.as_bytes(),
            &package_id,
            self.address.as_bytes(),
            occasion.as_bytes(),
            &generation,
        ]);
        let id = u128::from_be_bytes(*mac.first_chunk().expect("16 of 32 bytes"));
        format!("{id:032x}@{domain}")
    }

    /// A short digest of package and address, whatever the occasion, for lists of a million of them in memory.
    #[must_use]
    pub fn digest(&self) -> [u8; 16] {
        let mut digest = Sha256::new();
        digest.update(self.package_id.as_bytes());
        digest.update(self.address.as_bytes());
        let digest: [u8; 32] = digest.finalize().into();
        *digest.first_chunk().expect("16 of 32 bytes")
    }
}

/// The id by which a message names its invitation in `X-Access-Invite-Id` and as ENVID: 128 bits of
/// HMAC-SHA-256 under a label of its own. Its key is the Message-ID's local part, which is itself an HMAC
/// over the identity and the generation and cannot be guessed.
#[must_use]
pub fn invite_id(message_id: &str) -> String {
    let key = message_id.split('@').next().unwrap_or_default();
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(b"X-Access-Invite-Id");
    let mac: [u8; 32] = mac.finalize().into_bytes().into();
    let id = u128::from_be_bytes(*mac.first_chunk().expect("16 of 32 bytes"));
    format!("{id:032x}")
}

/// The random key behind the Message-IDs of one ledger.
#[derive(Clone)]
pub struct MessageIdKey(pub [u8; 32]);

impl MessageIdKey {
    /// HMAC-SHA-256 over fields, each preceded by its length.
    pub(super) fn mac<const N: usize>(&self, fields: [&[u8]; N]) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        for field in fields {
            mac.update(&(field.len() as u64).to_be_bytes());
            mac.update(field);
        }
        mac.finalize().into_bytes().into()
    }

    /// A new key from the system's random source.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ledger of an earlier version must give the same, or a sent invitation could no longer be recognised.
    #[test]
    fn message_ids_stay_as_they_were() {
        let id = PackageId::parse("8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11").unwrap();
        let ada = Identity::new("spring", id, &Address::parse("Ada@A.example").unwrap());
        for (occasion, generation, expected) in [
            (Occasion::Invitation, 0, "3ee7ef682687fd430c4d55d39e89e00a"),
            (Occasion::Invitation, 3, "97eb200965835c0c0cef3c083aca025d"),
            (Occasion::Reminder(1), 0, "7350dc460671df5eaac290db1934f50d"),
        ] {
            let key = MessageIdKey([7; 32]);
            let message_id = ada.on(occasion).message_id(&key, generation, "x.example");
            assert_eq!(message_id, format!("{expected}@x.example"));
        }
    }

    #[test]
    fn the_message_id_depends_on_each_field_and_its_length() {
        let key = MessageIdKey([7; 32]);
        let id = PackageId::parse("8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11").unwrap();
        let ada = Address::parse("Ada@A.example").unwrap();
        let bob = Address::parse("bob@a.example").unwrap();
        let base = Identity::new("spring", id, &ada);

        let ids = [
            base.message_id(&key, 0, "x.example"),
            base.message_id(&key, 1, "x.example"),
            base.message_id(&MessageIdKey([8; 32]), 0, "x.example"),
            Identity::new("springs", id, &ada).message_id(&key, 0, "x.example"),
            Identity::new("spring", id, &bob).message_id(&key, 0, "x.example"),
            base.on(Occasion::Reminder(1))
                .message_id(&key, 0, "x.example"),
            base.on(Occasion::Reminder(2))
                .message_id(&key, 0, "x.example"),
        ];

        let distinct: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        let same = Identity::new("spring", id, &Address::parse("ada@a.EXAMPLE").unwrap());
        assert_eq!(same.message_id(&key, 0, "x.example"), ids[0]);
        assert_eq!(ids[0].len(), 32 + "@x.example".len());

        let names: std::collections::HashSet<_> = ids.iter().map(|it| invite_id(it)).collect();
        assert_eq!(names.len(), ids.len());
        assert_eq!(invite_id(&ids[0]).len(), 32);
        assert_eq!(
            invite_id(&same.message_id(&key, 0, "other")),
            invite_id(&ids[0])
        );
    }
}

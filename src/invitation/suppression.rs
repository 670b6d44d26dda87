//! The keyed hash by which a suppressed or forgotten address is found.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::identity::MessageIdKey;

/// HMAC-SHA-256 under a label of its own over a canonical address, or over `@` and a domain, each field preceded
/// by its length. Whoever has the key can test addresses against it, so it is a pseudonym.
#[must_use]
pub fn suppression_hash(key: &MessageIdKey, text: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes keys of any length");
    for field in [b"suppression", text.as_bytes()] {
        mac.update(&(field.len() as u64).to_be_bytes());
        mac.update(field);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_depends_on_the_key_and_the_address() {
        let hash = |key, text| suppression_hash(&MessageIdKey([key; 32]), text);

        assert_eq!(hash(1, "ada@a.example"), hash(1, "ada@a.example"));
        assert_ne!(hash(1, "ada@a.example"), hash(2, "ada@a.example"));
        assert_ne!(hash(1, "ada@a.example"), hash(1, "@a.example"));
    }
}

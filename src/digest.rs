//! Eight bytes of SHA-256 that stand for a list of fields.

use sha2::{Digest, Sha256};

/// Hashes the fields, each preceded by its length, so that it matters where a field ends.
#[must_use]
pub fn short<T: AsRef<[u8]>>(fields: impl IntoIterator<Item = T>) -> [u8; 8] {
    let mut digest = Sha256::new();
    for field in fields {
        let field = field.as_ref();
        digest.update((field.len() as u64).to_be_bytes());
        digest.update(field);
    }
    let digest = digest.finalize();
    digest[..8].try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_fields_end_makes_a_difference() {
        assert_ne!(short(["ab", "c"]), short(["a", "bc"]));
        assert_ne!(short(["a"]), short(["a", ""]));
    }
}

//! A short hash of a list of fields: eight bytes of SHA-256.

use sha2::{Digest, Sha256};

/// Hashes the fields, each preceded by its length, so that `ab, c` differs from `a, bc`.
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
    fn field_boundaries_change_the_hash() {
        assert_ne!(short(["ab", "c"]), short(["a", "bc"]));
        assert_ne!(short(["a"]), short(["a", ""]));
    }
}

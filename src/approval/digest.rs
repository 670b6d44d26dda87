//! The digest that a person approves: what the inputs of a job are, in four groups.

use std::fmt;
use std::str::FromStr;

use crate::digest;

/// Eight bytes for each group of inputs, in the order of [`GROUPS`], so that the digest alone tells which
/// group has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub [u64; 4]);

/// The names of the groups in messages.
pub const GROUPS: [&str; 4] = ["configuration", "links", "templates", "partners"];

/// A text that is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a digest is four groups of sixteen hexadecimal digits, joined by `-`; copy the one that `access-invite preview` prints"
)]
pub struct NotADigest;

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.map(|it| format!("{it:016x}")).join("-"))
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let groups: Option<Vec<u64>> = text.trim().split('-').map(parse).collect();
        let groups = groups.and_then(|it| it.try_into().ok());
        groups.map(Self).ok_or(NotADigest)
    }
}

/// Sixteen hexadecimal digits.
pub fn parse(text: &str) -> Option<u64> {
    let digits = text.len() == 16 && text.bytes().all(|it| it.is_ascii_hexdigit());
    digits.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

/// Eight bytes of SHA-256 over fields, each preceded by its length.
pub fn of<T: AsRef<[u8]>>(fields: impl IntoIterator<Item = T>) -> u64 {
    u64::from_be_bytes(digest::short(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_digest_is_parsed_as_one() {
        let digest = Digest([1, u64::MAX, 0x0123_4567_89ab_cdef, 0]);
        let text = digest.to_string();
        assert_eq!(
            text,
            "0000000000000001-ffffffffffffffff-0123456789abcdef-0000000000000000"
        );
        assert_eq!(text.parse(), Ok(digest));
        assert_eq!(format!(" {text}\r").to_uppercase().parse(), Ok(digest));
        for other in [
            "",
            "1-2-3-4",
            &text[1..],
            &format!("{text}-{}", &text[..16]),
            &text.replace('f', "+"),
        ] {
            assert_eq!(other.parse::<Digest>(), Err(NotADigest), "{other}");
        }
    }
}

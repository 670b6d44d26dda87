//! The finished message: its bytes, what stands for them, and its Date, which alone differs
//! from one attempt to the next.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use anyhow::{Result, anyhow};
use jiff::Timestamp;
use lettre::message::header;
use memchr::{memchr, memmem};
use sha2::{Digest, Sha256};

/// A message as it goes over the wire, before dot-stuffing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Header and body, lines ended by CRLF.
    pub bytes: Vec<u8>,
    /// The Date header's time, in whole seconds.
    pub date: Timestamp,
}

impl Message {
    /// SHA-256 over all bytes.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }

    /// Eight bytes that stand for all but the Date header's value.
    ///
    /// The message that was verified and the one that is sent must agree in them.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let Range { start, end } = self.date_value().unwrap_or_default();
        let mut digest = Sha256::new();
        digest.update(&self.bytes[..start]);
        digest.update(&self.bytes[end..]);
        let digest = digest.finalize();
        u64::from_be_bytes(digest[..8].try_into().expect("SHA-256 has 32 bytes"))
    }

    /// Where the Date header's value stands.
    fn date_value(&self) -> Option<Range<usize>> {
        const FIELD: &[u8] = b"\r\nDate: ";
        let start = memmem::find(&self.bytes, FIELD)? + FIELD.len();
        let length = memchr(b'\r', &self.bytes[start..])?;
        Some(start..start + length)
    }
}

/// A time in whole seconds, and as a header.
pub(super) fn dates(date: Timestamp) -> Result<(Timestamp, header::Date)> {
    let date = Timestamp::from_second(date.as_second()).unwrap_or(date);
    let seconds = u64::try_from(date.as_second()).map_err(|_| {
        anyhow!("the clock of this machine stands before 1970, and mail has a date; set it")
    })?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    Ok((date, header::Date::new(time)))
}

//! The finished message: its bytes, its fingerprint, and its Date, which alone differs between attempts.

use std::hash::{BuildHasher, Hasher};
use std::ops::Range;
use std::time::{Duration, SystemTime};

use foldhash::quality::FixedState;
use jiff::Timestamp;
use lettre::message::header;
use memchr::{memchr, memmem};
use sha2::{Digest, Sha256};

use super::error::{MessageError, Result};

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

    /// Eight bytes of a hash over everything but the Date header's value. The message that is sent must have
    /// the fingerprint of the one that was verified.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let Range { start, end } = self.date_value().unwrap_or_default();
        let mut hasher = FixedState::default().build_hasher();
        hasher.write(&self.bytes[..start]);
        hasher.write(&self.bytes[end..]);
        hasher.finish()
    }

    /// The position of the Date header's value.
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
        MessageError::header("the clock of this machine shows a time before 1970; set it")
    })?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    Ok((date, header::Date::new(time)))
}

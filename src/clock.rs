//! The clock of the program: that of this machine or, once a ledger in a database is open, that of its server, so that
//! machines whose clocks differ agree on what is due.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// How far the server is ahead, in milliseconds.
static AHEAD: AtomicI64 = AtomicI64::new(0);
/// A smaller difference may come from the way of the answer.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// The current time.
#[must_use]
pub fn now() -> Timestamp {
    let here = Timestamp::now();
    let ahead = SignedDuration::from_millis(AHEAD.load(Ordering::Relaxed));
    here.checked_add(ahead).unwrap_or(here)
}

/// Sets the clock to that of a server, whose time was this a moment ago.
pub fn follow(server: Timestamp) {
    let ahead = server.duration_since(Timestamp::now());
    if ahead.abs() >= TOLERANCE {
        let ahead = i64::try_from(ahead.as_millis()).unwrap_or_default();
        AHEAD.store(ahead, Ordering::Relaxed);
    }
}

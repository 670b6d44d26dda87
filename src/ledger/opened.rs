//! What is found out about a ledger when it is opened for reading, whichever store it is in.

use super::freshness::Staleness;
use crate::invitation::MessageIdKey;

/// A ledger that was opened for reading.
#[derive(Clone)]
pub struct Opened {
    /// The key behind the Message-IDs.
    pub key: MessageIdKey,
    /// Whether a run was using it.
    pub live: bool,
    /// Why it may lack what later runs have recorded.
    pub staleness: Option<Staleness>,
    /// Where `ledger copy` has moved it.
    pub moved_to: Option<String>,
}

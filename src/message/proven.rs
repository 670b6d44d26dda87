//! A message between its proof and the wire.
//!
//! Messages of one package in one locale are nearly the same, so each is kept as what differs
//! from the first of them: LZ4 with that one as its dictionary makes some 300 bytes of eleven
//! thousand (and some 3,000 where the text goes as base64). Where the room for that is used up,
//! eight bytes stand for a message: it is composed again, and must agree in them. Where it is
//! kept, eight bytes stand for its row, which is read again as well.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use lz4_flex::block;
use memchr::memmem;

use super::compose::Composer;
use super::finished::Message;
use crate::partners::Partner;

/// What is said of a message that is not sent.
const NOT_PROVEN: &str = "is not the one that was proven; nothing more is sent";

/// How many bytes of proven messages are kept: some 13,000 in Latin letters.
const ROOM: usize = 4 * 1024 * 1024;

/// What there is of a proven message until it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proven {
    /// The message itself, packed by the composer that reads it again, behind the
    /// [`Partner::fingerprint`] of its row.
    Kept(Box<[u8]>),
    /// Its [`Message::fingerprint`].
    Fingerprint(u64),
}

/// The room that is left for proven messages.
#[derive(Debug)]
pub struct Room(AtomicUsize);

impl Default for Room {
    fn default() -> Self {
        Self::of(ROOM)
    }
}

impl Room {
    pub(super) fn of(bytes: usize) -> Self {
        Self(AtomicUsize::new(bytes))
    }

    /// Takes as much of it; where there is not as much, nothing is left for others either.
    fn take(&self, bytes: usize) -> bool {
        let taken = self
            .0
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes));
        if taken.is_err() {
            self.0.store(0, Relaxed);
        }
        taken.is_ok()
    }

    fn is_used_up(&self) -> bool {
        self.0.load(Relaxed) == 0
    }
}

impl Composer {
    /// What to hold of a message that holds, until it is sent.
    #[must_use]
    pub fn hold(&self, partner: &Partner, message: &Message, room: &Room) -> Proven {
        if !room.is_used_up() {
            let first = self.first(partner).get_or_init(|| {
                room.take(message.bytes.len());
                message.bytes[..].into()
            });
            let packed = block::compress_prepend_size_with_dict(&message.bytes, first);
            let kept = [&partner.fingerprint()[..], &packed].concat();
            // What goes out is this, so that it is the message is not taken on trust.
            if unpack(&packed, first).is_some_and(|it| it == message.bytes) && room.take(kept.len())
            {
                return Proven::Kept(kept.into());
            }
        }
        Proven::Fingerprint(message.fingerprint())
    }

    /// The proven message for a partner, with the Date of this attempt.
    ///
    /// # Errors
    /// When what was proven is not the message for this partner: that is our bug.
    pub fn proven(
        &self,
        partner: &Partner,
        id: &str,
        date: Timestamp,
        proven: &Proven,
    ) -> Result<Message> {
        match proven {
            Proven::Kept(kept) => {
                let packed = kept.strip_prefix(&partner.fingerprint());
                let first = self.first(partner).get();
                let bytes = packed.zip(first).and_then(|(it, first)| unpack(it, first));
                // What the ledger knows it by.
                let mine = |it: &Vec<u8>| memmem::find(it, format!("<{id}>").as_bytes()).is_some();
                let bytes = bytes.filter(mine).context(NOT_PROVEN)?;
                Message { bytes, date }.dated(date)
            }
            Proven::Fingerprint(fingerprint) => {
                let message = self.compose(partner, id, date);
                let message = message.context("cannot be composed again; nothing more is sent")?;
                ensure!(message.fingerprint() == *fingerprint, NOT_PROVEN);
                Ok(message)
            }
        }
    }

    fn first(&self, partner: &Partner) -> &OnceLock<Box<[u8]>> {
        &self.invitations(partner, self.locale_for(partner)).first
    }
}

/// The bytes again; none where they were packed beside another message.
fn unpack(packed: &[u8], first: &[u8]) -> Option<Vec<u8>> {
    block::decompress_size_prepended_with_dict(packed, first).ok()
}

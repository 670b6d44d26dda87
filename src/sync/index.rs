//! Every message that was sent, by the ids with which reports name it.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;

use crate::invitation::{MessageIdKey, invite_id};
use crate::ledger::{LedgerError, Reader, SentInvitation};

/// The messages of a ledger, of all campaigns, also those before a resend.
///
/// It is built when the first report is matched, because sending must not pay for it. It keeps 64 bits of each id,
/// 48 bytes for an invitation: the number of an invitation that may be meant, which the reader of the ledger confirms.
pub struct MessageIndex {
    /// By the beginning of the Message-ID and of the `X-Access-Invite-Id`, in its order.
    by_id: Vec<(u64, i64)>,
    /// By a hash of the canonical address, in the hash's order.
    by_address: Vec<(u64, i64)>,
    hasher: FixedState,
}

/// A message that a report names.
#[derive(Clone, Debug)]
pub struct SentMessage {
    /// Its invitation.
    pub invitation: SentInvitation,
    /// How often the invitation had been reopened before.
    pub generation: u32,
    /// Its Message-ID, without brackets.
    pub message_id: String,
}

impl MessageIndex {
    /// Reads all invitations that were sent at least once.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn build(reader: &Reader) -> Result<Self, LedgerError> {
        // Vectors that grow would need twice the memory while they move.
        let invitations = reader.count_sent().await?;
        let mut index = Self {
            by_id: Vec::with_capacity(2 * invitations),
            by_address: Vec::with_capacity(invitations),
            hasher: FixedState::default(),
        };
        let mut after = 0;
        loop {
            let page = reader.sent(after).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for invitation in &page {
                index.add(invitation, &reader.key);
            }
        }
        index.by_id.sort_unstable();
        index.by_address.sort_unstable();
        Ok(index)
    }

    fn add(&mut self, invitation: &SentInvitation, key: &MessageIdKey) {
        for generation in 0..=invitation.generation {
            let message_id = message_id(invitation, generation, key);
            for id in [local_part(&message_id), &invite_id(&message_id)] {
                self.by_id
                    .extend(beginning(id).map(|it| (it, invitation.id)));
            }
        }
        let hash = self.hasher.hash_one(&invitation.identity.address);
        self.by_address.push((hash, invitation.id));
    }

    /// The message with this Message-ID or `X-Access-Invite-Id`, if this ledger has issued it.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn find(
        &self,
        id: &str,
        reader: &Reader,
    ) -> Result<Option<SentMessage>, LedgerError> {
        let id = local_part(id).to_ascii_lowercase();
        let Some(beginning) = beginning(&id) else {
            return Ok(None);
        };
        for number in of(&self.by_id, beginning) {
            let Some(invitation) = reader.sent_invitation(number).await? else {
                continue;
            };
            for generation in 0..=invitation.generation {
                let message_id = message_id(&invitation, generation, &reader.key);
                if local_part(&message_id) == id || invite_id(&message_id) == id {
                    return Ok(Some(SentMessage {
                        invitation,
                        generation,
                        message_id,
                    }));
                }
            }
        }
        Ok(None)
    }

    /// The numbers of the invitations that may be to this canonical address.
    pub fn to_address(&self, address: &str) -> impl Iterator<Item = i64> {
        of(&self.by_address, self.hasher.hash_one(address))
    }
}

/// The numbers with this key.
fn of(entries: &[(u64, i64)], key: u64) -> impl Iterator<Item = i64> {
    let start = entries.partition_point(|it| it.0 < key);
    let found = entries[start..].iter();
    found.take_while(move |it| it.0 == key).map(|it| it.1)
}

/// The Message-ID that an invitation had in a generation.
fn message_id(invitation: &SentInvitation, generation: u32, key: &MessageIdKey) -> String {
    if generation == invitation.generation {
        return invitation.message_id.clone();
    }
    let domain = invitation.message_id.split_once('@').map_or("", |it| it.1);
    invitation.identity.message_id(key, generation, domain)
}

pub(super) fn local_part(id: &str) -> &str {
    id.split('@').next().unwrap_or_default()
}

/// The first 64 of an id's 128 bits, which are written in hexadecimal.
fn beginning(id: &str) -> Option<u64> {
    let is_id = id.len() == 32 && id.bytes().all(|it| it.is_ascii_hexdigit());
    is_id
        .then(|| u64::from_str_radix(&id[..16], 16).ok())
        .flatten()
}

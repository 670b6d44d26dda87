//! Every message that was sent, by the ids with which reports name it.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::quality::FixedState;

use crate::invitation::{MessageIdKey, invite_id};
use crate::ledger::{LedgerError, Reader, SentInvitation};

/// A message: the invitation's number, and how often the invitation had been reopened before.
pub type SentMessage = (i64, u32);

/// The messages of a ledger, of all campaigns, also those before a resend.
///
/// It is built when the first report is matched, because sending must not pay for it. A million invitations
/// take about 120 MB for a few seconds.
pub struct MessageIndex {
    /// By the local part of the Message-ID and by the `X-Access-Invite-Id`: 128 bits in hexadecimal.
    by_id: HashMap<u128, SentMessage>,
    /// By a hash of the canonical address, in the hash's order.
    by_address: Vec<(u64, i64)>,
    hasher: FixedState,
}

impl MessageIndex {
    /// Reads all invitations that were sent at least once.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn build(reader: &Reader) -> Result<Self, LedgerError> {
        let mut index = Self {
            by_id: HashMap::new(),
            by_address: Vec::new(),
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
        index.by_address.sort_unstable();
        Ok(index)
    }

    fn add(&mut self, invitation: &SentInvitation, key: &MessageIdKey) {
        for generation in 0..=invitation.generation {
            let message_id = message_id(invitation, generation, key);
            for id in [local_part(&message_id), &invite_id(&message_id)] {
                if let Some(id) = parse(id) {
                    self.by_id.insert(id, (invitation.id, generation));
                }
            }
        }
        let hash = self.hasher.hash_one(&invitation.identity.address);
        self.by_address.push((hash, invitation.id));
    }

    /// The message with this Message-ID or `X-Access-Invite-Id`, if this ledger has issued it.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<SentMessage> {
        self.by_id.get(&parse(local_part(id))?).copied()
    }

    /// The numbers of the invitations that may be to this canonical address.
    pub fn to_address(&self, address: &str) -> impl Iterator<Item = i64> {
        let hash = self.hasher.hash_one(address);
        let start = self.by_address.partition_point(|it| it.0 < hash);
        let found = self.by_address[start..].iter();
        found.take_while(move |it| it.0 == hash).map(|it| it.1)
    }
}

/// The Message-ID that an invitation had in a generation.
pub fn message_id(invitation: &SentInvitation, generation: u32, key: &MessageIdKey) -> String {
    if generation == invitation.generation {
        return invitation.message_id.clone();
    }
    let domain = invitation.message_id.split_once('@').map_or("", |it| it.1);
    invitation.identity.message_id(key, generation, domain)
}

fn local_part(id: &str) -> &str {
    id.split('@').next().unwrap_or_default()
}

fn parse(id: &str) -> Option<u128> {
    let is_id = id.len() == 32 && id.bytes().all(|it| it.is_ascii_hexdigit());
    is_id.then(|| u128::from_str_radix(id, 16).ok()).flatten()
}

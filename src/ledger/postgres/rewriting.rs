//! A standby that was promoted may lack what the old server had acknowledged: the changes of the last minute are
//! kept, and those that are missing are written again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::errors::{ApplyError, Failure};
use super::transaction::Transaction;
use crate::invitation::State;
use crate::ledger::records::Change;

/// How long changes are kept: longer than a standby is behind that is fit to take over.
const KEPT: Duration = Duration::from_mins(1);

/// A change that was acknowledged.
struct Acknowledged {
    at: Instant,
    change: Change,
    /// The state that it led to.
    to: State,
}

/// The changes of the last minute; none if the server has no standby that may lack them.
#[derive(Default)]
pub struct Acknowledgements {
    changes: VecDeque<Acknowledged>,
    kept: bool,
}

impl Acknowledgements {
    /// `kept` says whether a standby may lack them.
    pub fn new(kept: bool) -> Self {
        Self {
            changes: VecDeque::new(),
            kept,
        }
    }

    /// Keeps a change that was committed.
    pub fn add(&mut self, change: &Change, to: State) {
        if !self.kept {
            return;
        }
        let now = Instant::now();
        while self
            .changes
            .front()
            .is_some_and(|it| now.duration_since(it.at) > KEPT)
        {
            self.changes.pop_front();
        }
        self.changes.push_back(Acknowledged {
            at: now,
            change: change.clone(),
            to,
        });
    }

    /// Writes again what is missing; gives what cannot be, as texts.
    pub async fn write_missing(
        &self,
        transaction: &Transaction<'_>,
    ) -> Result<Vec<String>, ApplyError> {
        let mut lost = Vec::new();
        for it in &self.changes {
            if is_recorded(transaction, &it.change, it.to).await? {
                continue;
            }
            match transaction.apply(&it.change).await {
                Ok(state) if state == it.to => {}
                Ok(_) | Err(ApplyError::Refused(_)) => {
                    let address = &it.change.identity.address;
                    lost.push(format!("{address}: {}", it.to));
                }
                Err(failed) => return Err(failed),
            }
        }
        Ok(lost)
    }
}

/// Whether the history has the event that this change caused. Its time is that of the server that is gone.
async fn is_recorded(
    transaction: &Transaction<'_>,
    change: &Change,
    to: State,
) -> Result<bool, Failure> {
    let identity = &change.identity;
    let row = transaction
        .session
        .query_one(
            "SELECT EXISTS (SELECT 1 FROM history AS h JOIN invitation AS i ON i.id = h.invitation
             WHERE i.campaign = $1 AND i.package_id = $2 AND i.address = $3 AND i.occasion = $4
                AND h.run = $5 AND h.to_state = $6 AND h.cause = $7
                AND h.message_id = i.message_id AND h.reply IS NOT DISTINCT FROM $8)",
            &[
                &identity.campaign,
                &identity.package_id.to_string(),
                &identity.address,
                &identity.occasion.to_string(),
                &transaction.run,
                &to.as_str(),
                &change.cause.as_str(),
                &change.reply.as_ref().map(|it| it.text.clone()),
            ],
        )
        .await?;
    super::rows::value(&row, 0)
}

//! Changes of all invitations that a run may have mailed without recording it.

use jiff::Timestamp;

use super::errors::ApplyError;
use super::transitions::Transitions;
use crate::invitation::{Identity, State};
use crate::ledger::columns::Columns;
use crate::ledger::records::{Change, Gap};

/// How many invitations are read at a time.
const PAGE: usize = 1000;

/// An invitation of any campaign: its number, its identity, and the relay of its latest event.
type Found = (i64, Identity, Option<String>);

impl Transitions<'_> {
    /// Turns every `armed` invitation into `unknown`; gives how many there were.
    pub fn recover(&self, at: Timestamp) -> Result<u64, ApplyError> {
        self.apply_to_all(&[State::Armed], |(_, identity, relay)| {
            Change::recovery(&identity, at, relay)
        })
    }

    /// Turns every invitation that an unrecorded run may have mailed into `unknown`; gives how many
    /// there were.
    pub fn accept_older(&self, gap: &Gap) -> Result<u64, ApplyError> {
        let states = [State::Pending, State::Deferred, State::Armed];
        self.apply_to_all(&states, |(_, identity, _)| gap.change(&identity))
    }

    /// Applies a change to every invitation in one of these states; gives how many there were.
    fn apply_to_all(
        &self,
        states: &[State],
        change: impl Fn(Found) -> Change,
    ) -> Result<u64, ApplyError> {
        let mut changed = 0;
        for state in states {
            let mut after = 0;
            loop {
                let page = self.page(*state, after)?;
                let Some((last, ..)) = page.last() else { break };
                after = *last;
                for found in page {
                    self.apply(&change(found))?;
                    changed += 1;
                }
            }
        }
        Ok(changed)
    }

    /// The next invitations in this state. The state is a literal, because SQLite uses the index of armed
    /// invitations only then.
    fn page(&self, state: State, after: i64) -> rusqlite::Result<Vec<Found>> {
        self.connection
            .prepare_cached(&format!(
                "SELECT i.campaign, i.package_id, i.address, i.occasion, i.id, h.relay
                 FROM invitation AS i LEFT JOIN history AS h ON h.id = i.latest
                 WHERE i.state = '{state}' AND i.id > ?1 ORDER BY i.id LIMIT {PAGE}"
            ))?
            .query_map([after], |row| {
                Ok((row.get(4)?, row.identity(0)?, row.get(5)?))
            })?
            .collect()
    }
}

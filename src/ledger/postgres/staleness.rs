//! Whether a ledger in a database is the newest one, according to the witness beside the configuration.

use super::connection::Session;
use super::errors::Failure;
use crate::ledger::freshness::{self, Staleness};
use crate::ledger::witness::{Id, WitnessContent};

/// Why this ledger may lack what later runs have recorded.
pub async fn staleness(
    session: &Session,
    ledger: Id,
    content: WitnessContent,
) -> std::result::Result<Option<Staleness>, Failure> {
    let mut found = None;
    if let WitnessContent::Mark(mark) = content
        && mark.names_a_run()
    {
        found = if mark.ledger == ledger {
            let reached = session
                .query_opt(
                    "SELECT changes FROM writer WHERE id = $1",
                    &[&&mark.run[..]],
                )
                .await?;
            let reached: Option<i64> = reached.map(|it| it.get(0));
            let satisfied = reached.is_some_and(|it| it.unsigned_abs() >= mark.changes);
            (!satisfied).then_some(Staleness::Older(mark))
        } else {
            Some(Staleness::OtherLedger(mark))
        };
    }
    // A missing witness is created: another machine may be the first one to use this configuration.
    freshness::staleness(content, false, &[], |_| Ok(found))
}

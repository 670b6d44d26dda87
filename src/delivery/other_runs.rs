//! What runs on other machines find out about the relay: on a shared ledger, pauses and the circuit breaker belong to
//! relay and login, and count for all of them.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};

use super::breaker;
use super::state::RunState;
use super::stop::{Stop, StopKind};
use crate::ledger::LedgerError;

/// The notice of a pause that the relay has asked for.
const PAUSE: &str = "pause";
/// How often the notices are read and set.
const INTERVAL: Duration = Duration::from_secs(1);

/// Passes on what this run finds out, and follows what others do. Ends only with the run.
pub async fn follow(state: Arc<RunState>) {
    if !state.run_ledger.ledger.is_shared() {
        return std::future::pending().await;
    }
    let begun = (state.run_ledger.clock)();
    let mut announced = None;
    loop {
        sleep(INTERVAL).await;
        // If the ledger cannot be reached, the next change says so.
        let _ = exchange(&state, begun, &mut announced).await;
    }
}

async fn exchange(
    state: &RunState,
    begun: Timestamp,
    announced: &mut Option<Instant>,
) -> Result<(), LedgerError> {
    let run_ledger = &state.run_ledger;
    let (ledger, throttle) = (&run_ledger.ledger, &state.pace.throttle);
    let now = (run_ledger.clock)();
    let pause = run_ledger.notice_name(PAUSE);
    let own = throttle.end();
    if own.is_some() && own != *announced {
        let left = own.map(|it| it.saturating_duration_since(Instant::now()));
        let left = SignedDuration::try_from(left.unwrap_or_default()).unwrap_or_default();
        let until = now.saturating_add(left).unwrap_or(now);
        ledger.set_notice(&pause, Some(until)).await?;
        *announced = own;
    } else if let Some(until) = ledger.notice(&pause).await?
        && until > now
    {
        let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        *announced = Some(throttle.pause_until(Instant::now() + left));
    }
    let opened = ledger
        .notice(&run_ledger.notice_name(breaker::OPEN))
        .await?;
    // One that was open before is in the breaker already; one that this run opens stops it as well.
    if opened.is_some_and(|it| it > begun) && !state.stop.is_set() {
        let relay = &run_ledger.relay;
        let why = format!(
            "a run on another machine found that the relay {relay} refuses all recipients alike, so it probably refuses this sender; ask its operator; later runs send a few messages first"
        );
        state.stop.because(Stop::new(StopKind::Relay, why));
    }
    Ok(())
}

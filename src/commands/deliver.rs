//! Delivery with a progress bar.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::job::Job;
use crate::console::Console;
use crate::delivery::{BREAKER_OPEN, Rates, Run, Tally};
use crate::exit::{Exit, Result};
use crate::ledger::Ledger;
use crate::outbox::{Outbox, PlannedSend};
use crate::relay::Connector;

/// How long all connections pause when the relay first asks to slow down.
const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// Prints who did not get a message that no partner depends on. Returns the exit code: refused, unless
/// everybody got one.
///
/// # Errors
/// The reason if the run was stopped.
pub fn conclude(tally: &Tally, due: u64, console: &mut Console<'_>) -> Result<Exit> {
    for (address, state, reason) in &tally.troubles {
        console.eprint(&format!("{state}: {address}: {reason}"));
    }
    match &tally.stopped {
        Some(stop) => Err(stop.clone().into()),
        None if tally.accepted < due => Ok(Exit::Refused),
        None => Ok(Exit::Done),
    }
}

/// Records new invitations and sends the messages, under the limits of rate and time if they apply.
///
/// # Errors
/// If the ledger cannot be read, or the new invitations not be recorded; then nothing has been sent.
pub async fn deliver(
    job: &Job,
    sends: Vec<PlannedSend>,
    ledger: &Arc<Ledger>,
    connector: Connector,
    limited: bool,
    console: &Console<'_>,
) -> Result<Tally> {
    let (config, now) = (&job.config, console.now());
    let mut rates = None;
    if limited {
        let since = now - SignedDuration::from_hours(24);
        let earlier = ledger.reader().dots_since(since).await?;
        let limits = &config.limits;
        let counted = Rates::new(limits.per_minute, limits.per_day, &earlier, now);
        rates = Some(Arc::new(counted));
    }
    let outbox = Outbox::new(&job.partners, &config.campaign, &job.composer, ledger);
    outbox.enrol(&sends, now).await?;
    let bar = console.progress(sends.len() as u64);
    let shown = bar.clone();
    let run = Run {
        ledger: ledger.clone(),
        connector: Arc::new(connector),
        sender: config.sender.address.clone(),
        connections: config.smtp.connections,
        max_runtime: config.limits.max_runtime.filter(|_| limited),
        rates,
        retry: config.retry,
        receipts: config.bounces.receipts,
        breaker_open: ledger.notice(BREAKER_OPEN).await?.is_some(),
        first_pause: FIRST_PAUSE,
        clock: console.clock,
        on_event: Box::new(move |_, tally| {
            let other = tally.rejected + tally.expired + tally.deferred + tally.unknown;
            shown.set_position(tally.accepted + other);
            let mut message = String::new();
            if other > 0 {
                message = format!(" ({other} not accepted)");
            }
            if tally.stopped.is_some() {
                message += "; stopping, waiting for replies";
            }
            shown.set_message(message);
        }),
    };
    let tally = run.deliver(sends, outbox).await;
    bar.finish_and_clear();
    Ok(tally)
}

//! Delivery with a progress bar.

use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::job::Job;
use crate::console::Console;
use crate::delivery::{BREAKER_OPEN, Rates, Run, RunEvent, Tally, WaitReason, notice_name};
use crate::exit::{Exit, Result};
use crate::ledger::{Ledger, RateLimits};
use crate::outbox::{Outbox, PlannedSend};
use crate::plan::{Plan, PlannedInvitation};
use crate::relay::Connector;
use crate::report::rough_duration;

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

/// Records the rows of suppressed addresses that no run has recorded.
///
/// # Errors
/// If the list or the ledger cannot be read, or the ledger cannot be written.
pub async fn record_suppressed(
    job: &Job,
    plan: &Plan,
    ledger: &Arc<Ledger>,
    now: Timestamp,
) -> Result<()> {
    let mut partners = Vec::new();
    let mut pages = plan.pages();
    while let Some(page) = pages.next_page(ledger.reader()).await? {
        let suppressed = page
            .into_iter()
            .filter(PlannedInvitation::is_newly_suppressed);
        partners.extend(suppressed.map(|it| it.partner));
    }
    let campaign = &job.config.campaign;
    let outbox = Outbox::new(&job.partners, campaign, &job.composer, ledger);
    Ok(outbox.enrol_unsent(&partners, now).await?)
}

/// Records new invitations and sends the messages, within these limits of rate and time if there are any.
///
/// # Errors
/// If the ledger cannot be read, or the new invitations not be recorded; then nothing has been sent.
pub async fn deliver(
    job: &Job,
    sends: Vec<PlannedSend>,
    ledger: &Arc<Ledger>,
    connector: Connector,
    rates: Option<Arc<Rates>>,
    console: &Console<'_>,
) -> Result<Tally> {
    let (config, now) = (&job.config, console.now());
    let outbox = Outbox::new(&job.partners, &config.campaign, &job.composer, ledger);
    outbox.enrol(&sends, now).await?;
    let bar = console.progress(sends.len() as u64);
    let shown = bar.clone();
    let (limits, clock) = (rates.clone(), console.clock);
    let breaker_notice = notice_name(BREAKER_OPEN, ledger, &connector.account());
    if rates.is_some() {
        let limits = RateLimits {
            relay: connector.relay(),
            per_minute: config.limits.per_minute,
            per_day: config.limits.per_day,
        };
        ledger.limit_rates(limits).await?;
    }
    let run = Run {
        ledger: ledger.clone(),
        connector: Arc::new(connector),
        sender: config.sender.address.clone(),
        connections: config.smtp.connections,
        max_runtime: config.limits.max_runtime.filter(|_| rates.is_some()),
        rates,
        retry: config.retry,
        unless: config.reminders.map(|it| it.unless).unwrap_or_default(),
        receipts: config.bounces.receipts,
        breaker_open: ledger.notice(&breaker_notice).await?.is_some(),
        first_pause: FIRST_PAUSE,
        clock: console.clock,
        on_event: Box::new(move |event, tally| {
            if shown.is_hidden() {
                return;
            }
            shown.set_position(tally.accepted + not_accepted(tally));
            shown.set_message(progress(&shown, event, tally, limits.as_deref(), clock()));
        }),
    };
    let tally = run.deliver(sends, outbox).await;
    bar.finish_and_clear();
    Ok(tally)
}

fn not_accepted(tally: &Tally) -> u64 {
    tally.rejected + tally.expired + tally.deferred + tally.unknown
}

/// What the progress bar says behind the counts: why the run waits or stops, how many were not accepted, and how
/// long the rest takes, by the speed so far and by the limits.
fn progress(
    bar: &ProgressBar,
    event: RunEvent<'_>,
    tally: &Tally,
    limits: Option<&Rates>,
    now: Timestamp,
) -> String {
    let mut parts = Vec::new();
    if tally.stopped.is_some() {
        parts.push("stopping, waiting for replies".to_owned());
    } else if let RunEvent::Waiting(reason, wait) = event {
        let wait = SignedDuration::try_from(wait).unwrap_or_default();
        let until = now.saturating_add(wait).unwrap_or(now);
        let until = until.to_zoned_datetime(TimeZone::system());
        let why = match reason {
            WaitReason::RateLimit => "limit per minute",
            WaitReason::RelayAsked => "relay asked for a pause",
        };
        parts.push(format!(
            "{why}, waiting until {}",
            until.strftime("%H:%M:%S")
        ));
    }
    let failed = not_accepted(tally);
    if failed > 0 {
        parts.push(format!("{failed} not accepted"));
    }
    let rest = bar
        .length()
        .unwrap_or_default()
        .saturating_sub(bar.position());
    if tally.stopped.is_none() && bar.position() > 0 && rest > 0 {
        let by_limits = limits.map(|it| it.forecast(rest).at_least);
        let left = bar.eta().max(by_limits.unwrap_or_default());
        parts.push(format!("{} left", rough_duration(left)));
    }
    parts.insert(0, String::new());
    parts.join(", ")
}

//! `send`: the job itself.
//!
//! Everything before anything: lock, recover, load, read, guard, verify, ask, record;
//! only then the first connection. Without a terminal it is silent when all is well.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::guards::{guards, require_approval};
use super::{Console, Job, PartnerFilter, describe, end_run, run_start};
use crate::address::Address;
use crate::approval::Digest;
use crate::config::Config;
use crate::delivery::{BREAKER_OPEN, Rates, Run, RunEvent, Signals, Tally};
use crate::exit::{self, CommandError, Exit};
use crate::invitation::{Cause, Record, State};
use crate::ledger::{Change, Ledger, RecordFilter};
use crate::outbox::{Outbox, PlannedSend};
use crate::plan::{Plan, PlanSummary};
use crate::relay::{Connector, check_credentials};
use crate::report::{count, one_line};
use crate::results;

/// How long all connections rest when the relay first asks us to slow down.
const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// What `send` was told on the command line.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which partners.
    pub choice: PartnerFilter,
    /// Do not ask.
    pub yes: bool,
    /// The campaign is new on purpose.
    pub new_campaign: bool,
    /// What was approved, in place of the file that the configuration names.
    pub approved: Option<Digest>,
}

/// What the ledger records about a run beside its exit code.
#[derive(Default)]
struct RunReport {
    digest: Option<String>,
    counts: Option<String>,
}

/// How many invitations ended in each state, as JSON.
fn counts(tally: &Tally) -> String {
    serde_json::json!({
        "accepted": tally.accepted,
        "deferred": tally.deferred,
        "rejected": tally.rejected,
        "expired": tally.expired,
        "unknown": tally.unknown,
    })
    .to_string()
}

/// Sends what is due.
///
/// # Errors
/// Whatever keeps the run from its first connection; what happens from then on is told and
/// decides the exit code.
pub async fn run(path: &Path, options: &Options, console: &mut Console<'_>) -> exit::Result<Exit> {
    let config = Arc::new(Config::load(path)?);
    let start = run_start("send", &config, console);
    let ledger = Arc::new(Ledger::open(&config.ledger, &start)?);
    let mut report = RunReport::default();
    let ended = with_ledger(config, options, ledger.clone(), &mut report, console);
    // Boxed, because the future is large.
    let ended = Box::pin(ended).await;
    let rest = match Arc::into_inner(ledger) {
        Some(ledger) => end_run(ledger, &ended, report.digest, report.counts, console).await,
        None => Ok(()),
    };
    match (ended, rest) {
        (Ok(exit), Err(failure)) if exit != Exit::CannotWrite => Err(failure),
        (ended, _) => ended,
    }
}

async fn with_ledger(
    config: Arc<Config>,
    options: &Options,
    ledger: Arc<Ledger>,
    report: &mut RunReport,
    console: &mut Console<'_>,
) -> exit::Result<Exit> {
    let recovered = ledger.recover((console.clock)()).await?;
    let job = Job::load(config.clone(), ledger.scratch_folder())?;
    let config = &job.config;
    report.digest = Some(job.inputs().digest().to_string());
    refuse_documentation(config)?;
    let connector = Connector::new(&config.smtp)?;
    check_credentials(&config.smtp)?;
    job.partners.refuse_bad_rows(config.partners.bad_rows)?;
    require_approval(&job, options.approved)?;
    if let Some(path) = &config.results {
        results::prepare(path)?;
    }

    let plan = job.plan(&options.choice, (console.clock)());
    let (summary, sends) = verify(&job, &plan, &ledger, options, console).await?;
    if console.interactive {
        for warning in job.warnings() {
            console.warn(&warning);
        }
    }
    let wanted = summary.due > 0 && {
        let question = format!("Send {} through {}?", describe(&summary), connector.relay());
        !console.interactive || options.yes || console.confirm(&question)
    };
    let tally = if wanted {
        let now = (console.clock)();
        let earlier = now - SignedDuration::from_hours(24);
        let earlier = ledger.reader().dots_since(earlier).await?;
        let limits = &config.limits;
        let rates = Rates::new(limits.per_minute, limits.per_day, &earlier, now);
        let rates = Some(Arc::new(rates));
        deliver(&job, sends, &ledger, connector, rates, console).await?
    } else {
        Tally::default()
    };
    report.counts = Some(counts(&tally));
    let exit = conclude(&job, &ledger, &summary, &tally, recovered, console).await?;
    let written = write_results(&job, &ledger, &tally, console).await;
    Ok(Exit::most_severe(&[exit, written]))
}

/// Writes the list again with what became of each row, where the configuration wants it.
///
/// It can take a while, and is not what a signal waits for: the next run writes it anew.
async fn write_results(
    job: &Job,
    ledger: &Ledger,
    tally: &Tally,
    console: &mut Console<'_>,
) -> Exit {
    let Some(path) = &job.config.results else {
        return Exit::Done;
    };
    let today = (console.clock)()
        .to_zoned_datetime(TimeZone::system())
        .date();
    let mut signals = Signals::listen();
    let written = tokio::select! {
        written = results::write(path, &job.partners, &job.config.campaign, ledger.reader(), today) => written,
        name = signals.next() => Err(CommandError::new(
            Exit::CannotWrite,
            format!("the results `{}` stay as they were, stopped by {name}; the next run writes them", path.display()),
        )),
    };
    match written {
        Err(failure) => {
            console.eprint(&format!("error: {failure}"));
            return failure.exit;
        }
        Ok(Some(warning)) if console.interactive => console.warn(&warning),
        Ok(_) => {}
    }
    if console.interactive && settled(tally) > 0 {
        console.print(&format!("what became of each row is in {}", path.display()));
    }
    Exit::Done
}

/// A link that was never filled in must not reach anybody.
fn refuse_documentation(config: &Config) -> exit::Result<()> {
    match config
        .packages
        .iter()
        .find(|it| it.link.is_from_documentation())
    {
        None => Ok(()),
        Some(package) => Err(CommandError::new(
            Exit::Config,
            format!(
                "`packages.{}.link` leads to `{}`, the tenant of Microsoft's documentation; copy the link of your own access package (a rehearsal with `--sandbox` takes it)",
                package.key,
                package.link.directory_hint()
            ),
        )),
    }
}

/// Counts, guards and verifies what is due. A resend that can no longer repeat what was sent
/// goes back to `unknown`, which may let others in under `--limit`, so all begins anew then.
async fn verify(
    job: &Job,
    plan: &Plan,
    ledger: &Ledger,
    options: &Options,
    console: &mut Console<'_>,
) -> exit::Result<(PlanSummary, Vec<PlannedSend>)> {
    loop {
        let reader = ledger.reader();
        let summary = job.summarize(plan, reader).await?;
        let now = (console.clock)();
        let stopping = guards(job, &summary, reader, options.new_campaign, now).await?;
        if !stopping.is_empty() {
            let message = format!("{}\nnothing was sent", stopping.join("\n"));
            return Err(CommandError::new(Exit::BadInput, message));
        }
        let verified = job.verify(plan, reader, now).await?;
        if verified.changed.is_empty() {
            return Ok((summary, verified.sends));
        }
        for entry in verified.changed {
            let note = "the message to be repeated has changed since it was sent; `resolve --as resend --changed` sends it as it is now";
            console.eprint(&format!("{}: {note}", entry.partner.address));
            let change = Change {
                note: Some(note.into()),
                ..Change::new(&entry.identity, (console.clock)(), Cause::ResendMismatch)
            };
            ledger.apply(change).await?;
        }
    }
}

/// Records who is new and sends the messages, with a progress bar on a terminal.
///
/// # Errors
/// When the new invitations cannot be recorded; nothing has been sent then.
pub(super) async fn deliver(
    job: &Job,
    sends: Vec<PlannedSend>,
    ledger: &Arc<Ledger>,
    connector: Connector,
    rates: Option<Arc<Rates>>,
    console: &mut Console<'_>,
) -> exit::Result<Tally> {
    let due = sends.len() as u64;
    let campaign = &job.config.campaign;
    let mut outbox = Outbox::new(&job.partners, campaign, &job.composer, ledger);
    outbox.enrol(&sends, (console.clock)()).await?;
    let breaker_open = ledger.notice(BREAKER_OPEN).await?.is_some();
    let bar = progress(due, console.interactive);
    let run = Run {
        ledger: ledger.clone(),
        connector: Arc::new(connector),
        sender: job.config.sender.address.clone(),
        connections: job.config.smtp.connections,
        max_runtime: rates
            .is_some()
            .then_some(job.config.limits.max_runtime)
            .flatten(),
        rates,
        retry: job.config.retry,
        breaker_open,
        first_pause: FIRST_PAUSE,
        clock: console.clock,
        on_event: on_event(bar.clone()),
    };
    let tally = run.deliver(sends, outbox).await;
    bar.finish_and_clear();
    Ok(tally)
}

/// Says what came of it, as loudly as it deserves, and gives the exit code.
async fn conclude(
    job: &Job,
    ledger: &Ledger,
    summary: &PlanSummary,
    tally: &Tally,
    recovered: u64,
    console: &mut Console<'_>,
) -> exit::Result<Exit> {
    let bad = job.partners.bad();
    let mut reasons = Vec::new();
    if let Some(stop) = &tally.stopped {
        reasons.push(stop.kind.into());
    }
    if bad > 0 || tally.rejected + tally.expired > 0 {
        reasons.push(Exit::Refused);
    }
    if summary.waiting + tally.deferred > 0 {
        reasons.push(Exit::TryLater);
    }
    // What happened is told before anything else can fail.
    let quiet = tally.stopped.is_none()
        && !reasons.contains(&Exit::Refused)
        && tally.unknown == 0
        && tally.refusals.is_empty();
    if console.interactive || !quiet {
        summarize(tally, summary, console);
    }
    if bad > 0 {
        let rows = count(bad, "bad row");
        let described = job.partners.describe_bad_rows();
        console.eprint(&format!("{rows} skipped:\n{described}"));
    }
    if let Some(stop) = &tally.stopped {
        console.eprint(&format!("error: {}", stop.why));
    }
    for outcome in &tally.unrecorded {
        console.eprint(&format!("could not be recorded: {outcome}"));
    }
    let unknown = report_unknown(job, ledger, tally.unknown > 0, recovered, console).await;
    let expired = report_expired(job, ledger, tally.expired > 0, console).await;
    for (waiting, exit) in [(unknown, Exit::Unknown), (expired, Exit::Refused)] {
        match waiting {
            Ok(false) => {}
            Ok(true) => reasons.push(exit),
            Err(failure) => {
                console.eprint(&format!("error: {failure}"));
                reasons.push(Exit::CannotWrite);
            }
        }
    }
    Ok(Exit::most_severe(&reasons))
}

/// How many records that wait for a person are named.
const SHOWN: usize = 20;

/// Those that are in a state which waits for a person, the newest first, and whether they are to be named
/// now: on a terminal always, otherwise where there are new ones (this run may know of some), and then
/// once a day.
async fn waiting(
    job: &Job,
    ledger: &Ledger,
    state: State,
    new: bool,
    console: &Console<'_>,
) -> exit::Result<(Vec<Record>, bool)> {
    let campaign = &job.config.campaign;
    let selection = RecordFilter {
        state: Some(state),
        ..RecordFilter::default()
    };
    let mut records = ledger.reader().page(campaign, &selection, 0).await?;
    records.sort_by_key(|it| std::cmp::Reverse(it.standing.updated_at));
    let Some(newest) = records.first().map(|it| it.standing.updated_at) else {
        return Ok((records, false));
    };
    if console.interactive {
        return Ok((records, true));
    }
    let now = (console.clock)();
    let name = format!("{state} {campaign}");
    // Where the ledger cannot tell, once more is better than not at all.
    let reported = ledger.notice(&name).await.unwrap_or(None);
    let named = if new || reported.is_none_or(|at| newest > at) {
        let _ = ledger.set_notice(&name, now).await;
        true
    } else {
        ledger.notice_due(&name, now).await.unwrap_or(true)
    };
    Ok((records, named))
}

/// Names the deliveries that wait for a person; says whether there are any.
async fn report_unknown(
    job: &Job,
    ledger: &Ledger,
    new: bool,
    recovered: u64,
    console: &mut Console<'_>,
) -> exit::Result<bool> {
    let new = new || recovered > 0;
    let (doubtful, named) = waiting(job, ledger, State::Unknown, new, console).await?;
    if !named {
        return Ok(!doubtful.is_empty());
    }
    if recovered > 0 {
        console.eprint(&format!(
            "an earlier run died between the dot and the reply of {}",
            count(recovered, "message")
        ));
    }
    for record in doubtful.iter().take(SHOWN) {
        let why = record.latest.note.as_deref();
        let why = why.map_or_else(String::new, |it| format!(": {it}"));
        let relay = record.latest.relay.as_deref();
        let relay = relay.map_or_else(String::new, |it| format!(", sent through {it}"));
        console.eprint(&one_line(&format!(
            "unknown: {}{why} (Message-ID {}{relay})",
            record.invitee.email, record.standing.message_id,
        )));
    }
    if doubtful.len() > SHOWN {
        console.eprint("unknown: and more, which `access-invite status --state unknown` lists");
    }
    console.eprint(
        "whether these were accepted cannot be known; look for the Message-ID in the relay's log, then say\n  access-invite resolve ADDRESS --as accepted|resend|abandoned --note TEXT",
    );
    Ok(true)
}

/// Names those who were deferred for too long, and wait for a person; says whether there are any.
async fn report_expired(
    job: &Job,
    ledger: &Ledger,
    new: bool,
    console: &mut Console<'_>,
) -> exit::Result<bool> {
    let (expired, named) = waiting(job, ledger, State::Expired, new, console).await?;
    if !named {
        return Ok(!expired.is_empty());
    }
    for record in expired.iter().take(SHOWN) {
        let latest = &record.latest;
        let code = latest.smtp_code.map(|it| it.to_string());
        let said = [
            code.as_deref(),
            latest.enhanced_code.as_deref(),
            latest.reply.as_deref(),
        ];
        let said: Vec<&str> = said
            .into_iter()
            .flatten()
            .filter(|it| !it.is_empty())
            .collect();
        console.eprint(&format!(
            "expired: {}: {}",
            record.invitee.email,
            said.join(" ")
        ));
    }
    if expired.len() > SHOWN {
        console.eprint("expired: and more, which `access-invite status --state expired` lists");
    }
    console.eprint(
        "these were tried for as long as `retry.give_up_after` says and are not tried again; when the cause is gone, decide with\n  access-invite resolve ADDRESS --as resend|abandoned --note TEXT\nor for all of them with\n  access-invite resolve --state expired --as resend|abandoned --note TEXT",
    );
    Ok(true)
}

/// How many invitations this run has settled.
fn settled(tally: &Tally) -> u64 {
    tally.accepted + tally.deferred + tally.rejected + tally.expired + tally.unknown
}

/// One line of numbers and a line for each that was not accepted; those that are unknown are
/// told by [`report_unknown`].
fn summarize(tally: &Tally, summary: &PlanSummary, console: &mut Console<'_>) {
    let settled = settled(tally);
    let mut parts = vec![format!("{} accepted", tally.accepted)];
    for (number, name) in [
        (tally.deferred, "deferred"),
        (tally.rejected, "rejected"),
        (tally.expired, "expired"),
        (tally.unknown, "unknown"),
        (summary.due.saturating_sub(settled), "not attempted"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {name}"));
        }
    }
    let line = if summary.due == 0 {
        "nothing was due".to_owned()
    } else if settled == 0 && tally.stopped.is_none() {
        "nothing was sent".to_owned()
    } else {
        format!("{}: {}", count(summary.due, "message"), parts.join(", "))
    };
    if console.interactive {
        console.print(&line);
    } else {
        console.eprint(&line);
    }
    for (address, state, why) in &tally.troubles {
        if !matches!(state, State::Unknown | State::Expired) {
            console.eprint(&format!("{state}: {address}: {why}"));
        }
    }
    // The first of each kind is shown, however many other troubles there were before it.
    let shown = |address: &Address| tally.troubles.iter().any(|it| it.0 == *address);
    for (address, phase, reply) in &tally.refusals {
        if !shown(address) {
            console.eprint(&format!("refused ({phase}): {address}: {reply}"));
        }
    }
}

fn progress(due: u64, interactive: bool) -> ProgressBar {
    if !interactive {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}, {eta} to go{msg}");
    let bar = ProgressBar::new(due);
    let bar = match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    };
    // What comes too fast is not drawn at once, and nothing may follow for a while.
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Shows on the bar what happens.
fn on_event(bar: ProgressBar) -> Box<dyn Fn(RunEvent<'_>) + Send + Sync> {
    let tally = Mutex::new(Tally::default());
    Box::new(move |event| {
        if matches!(event, RunEvent::Armed { .. }) {
            return;
        }
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.add(event);
        let refused = tally.rejected + tally.expired + tally.deferred + tally.unknown;
        bar.set_position(tally.accepted + refused);
        let mut message = String::new();
        if refused > 0 {
            message = format!(" ({refused} not accepted)");
        }
        if tally.stopped.is_some() {
            message += "; stopping, waits for answers";
        }
        bar.set_message(message);
    })
}

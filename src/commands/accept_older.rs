//! `resolve --accept-older-ledger`: goes on with a ledger that may lack what later runs recorded.
//!
//! Its pending, deferred and armed invitations may have been mailed since, so they become `unknown`;
//! partners who are not recorded at all need `send --new-campaign`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::job::{Job, PartnerFilter};
use super::open_ledger::{self, end_run, export_events, run_start};
use crate::config::Config;
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::invitation::State;
use crate::ledger::{Gap, Ledger, Reader, RunEnd, Staleness};
use crate::report::count;

/// Accepts the ledger as it is, after a question.
///
/// # Errors
/// If the ledger is not older than its witness (65), without a terminal and `--yes` (2), or if it cannot be
/// read or written.
pub async fn run(path: &Path, yes: bool, note: &str, console: &mut Console<'_>) -> Result<Exit> {
    let config = Arc::new(Config::load(path)?);
    let files = &config.ledger;
    Ledger::check_writable(files)?;
    // Nothing is written before the answer.
    let scratch = open_ledger::scratch_folder(&std::env::temp_dir())?;
    let (reader, missing) = open_ledger::read_only(&config, Some(scratch.path())).await?;
    console.report(&missing);
    let Some(doubt) = reader.staleness else {
        let message = format!(
            "the ledger `{files}` is not older than its witness, so there is nothing to accept"
        );
        return Err(CommandError::new(Exit::BadInput, message));
    };
    if matches!(doubt, Staleness::WitnessForeign) {
        return Err(doubt.error(files).into());
    }
    let job = Job::load(config.clone(), scratch.path())?;
    let affected = describe_affected(&job, &reader, console.now()).await?;
    drop(reader);
    console.explain(&doubt.describe(files));
    console.explain(&affected);
    if !yes {
        if !console.interactive {
            let message =
                "there is no terminal for the question; pass `--yes` to accept the older ledger";
            return Err(CommandError::new(Exit::Usage, message));
        }
        if !console.confirm("Go on with this ledger?") {
            console.print("nothing was changed");
            return Ok(Exit::Done);
        }
    }
    let start = run_start("resolve", &config, console);
    let ledger = Ledger::open_although_older(files, &start)?;
    let ended = async {
        export_events(&config, &ledger).await?;
        let gap = Gap {
            at: console.now(),
            witness: doubt.mark(),
            note: note.to_owned(),
        };
        let changed = ledger.accept_older(gap).await?;
        let verb = if changed == 1 { "is" } else { "are" };
        let changed = count(changed, "invitation");
        console.print(&format!(
            "the ledger was accepted; {changed} {verb} now unknown"
        ));
        Ok(Exit::Done)
    };
    let ended = ended.await;
    end_run(&config, ledger, ended, RunEnd::default(), console).await
}

/// How many listed partners may have been mailed by runs that the ledger does not know.
async fn describe_affected(job: &Job, reader: &Reader, now: Timestamp) -> Result<String> {
    let plan = job.plan(&PartnerFilter::default(), now);
    let mut counts: HashMap<Option<State>, u64> = HashMap::new();
    let mut pages = plan.pages();
    while let Some(page) = pages.next_page(reader).await? {
        for entry in page {
            *counts.entry(entry.standing.map(|it| it.state)).or_default() += 1;
        }
    }
    let number = |state: Option<State>| counts.get(&state).copied().unwrap_or_default();
    let unrecorded = number(None);
    let [pending, deferred, armed] =
        [State::Pending, State::Deferred, State::Armed].map(|it| number(Some(it)));
    let all = unrecorded + pending + deferred + armed;
    Ok(format!(
        "of {} in `{}`, {all} may already have been mailed: {unrecorded} without a record, {pending} pending, {deferred} deferred, {armed} armed; those with a record become unknown, those without need `send --new-campaign`",
        count(job.partners.good(), "partner"),
        job.config.partners.path.display()
    ))
}

//! `send --test-to`: the first message of each language, through the real relay, to the
//! person who tries it and to no partner. No ledger is needed, and none is changed.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::send::deliver;
use super::{Console, Job, PartnerFilter, describe, temporary_ledger};
use crate::address::Address;
use crate::config::Config;
use crate::exit::{self, Exit, OrExit};
use crate::ledger::Reader;
use crate::plan::{Plan, PlannedInvitation};
use crate::relay::{Connector, check_credentials};
use crate::report::count;

/// Sends a message of each language to `address`.
///
/// # Errors
/// Whatever would keep a real send from its first connection, but for guards and rates.
pub async fn run(
    path: &Path,
    address: &Address,
    choice: &PartnerFilter,
    console: &mut Console<'_>,
) -> exit::Result<Exit> {
    let config = Arc::new(Config::load(path)?);
    let scratch = tempfile::tempdir()
        .context("cannot create a throw-away ledger")
        .or_exit(Exit::CannotWrite)?;
    let job = Job::load(config.clone(), scratch.path())?.addressed_to(address);
    job.partners.refuse_bad_rows(config.partners.bad_rows)?;
    let connector = Connector::new(&config.smtp)?;
    check_credentials(&config.smtp)?;
    let ledger = temporary_ledger(scratch.path())?;
    let now = (console.clock)();
    // The limit is on the messages that are tried, not on the rows that are looked at.
    let unlimited = PartnerFilter {
        limit: None,
        ..choice.clone()
    };
    let candidates = job.plan(&unlimited, now);
    let lines = first_of_each_language(&job, &candidates, ledger.reader()).await?;
    let plan = job.plan(choice, now).lines(lines);
    let summary = job.summarize(&plan, ledger.reader()).await?;
    let relay = connector.relay();
    let sends = job.verify(&plan, ledger.reader(), now).await?.sends;
    if sends.is_empty() {
        console.print("there is no partner whose message could be tried");
        return Ok(Exit::Done);
    }
    let tally = deliver(&job, sends, &ledger, connector, None, console).await?;
    console.print(&format!(
        "{} tried: {} accepted by {relay} for {address}; no partner was written to",
        describe(&summary),
        count(tally.accepted, "message")
    ));
    for (_, state, why) in &tally.troubles {
        console.eprint(&format!("{state}: {why}"));
    }
    match tally.stopped {
        Some(stop) => Err(stop.into()),
        None if tally.accepted < summary.due => Ok(Exit::Refused),
        None => Ok(Exit::Done),
    }
}

/// The lines of the first row of each template's locale that the plan finds due.
async fn first_of_each_language(
    job: &Job,
    plan: &Plan,
    reader: &Reader,
) -> exit::Result<HashSet<u64>> {
    let mut seen = HashSet::new();
    let mut lines = HashSet::new();
    let mut pages = plan.pages();
    while let Some(page) = pages.next_page(reader).await? {
        for PlannedInvitation { partner, skip, .. } in page {
            if skip.is_none() && seen.insert(job.composer.locale_for(&partner).to_string()) {
                lines.insert(partner.line);
            }
        }
        if seen.len() == job.templates.locales().len() {
            break;
        }
    }
    Ok(lines)
}

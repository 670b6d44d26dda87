//! `send --test-to`: sends the first message of each language through the configured relay to one address,
//! and to no partner. It neither needs nor changes the ledger.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::arguments::PartnerFilter;
use super::deliver::deliver;
use super::job::{Job, describe};
use super::open_ledger;
use crate::address::Address;
use crate::config::Config;
use crate::console::Console;
use crate::exit::{Exit, OrExit, Result};
use crate::ledger::Reader;
use crate::plan::{Plan, PlannedInvitation};
use crate::relay::{Connector, Credentials};
use crate::report::count;

/// Sends a message of each language to `address`.
///
/// # Errors
/// Whatever prevents the first connection of a `send`, except for guards and rates.
pub async fn run(
    path: &Path,
    address: &Address,
    filter: &PartnerFilter,
    console: &mut Console<'_>,
) -> Result<Exit> {
    let config = Arc::new(Config::load(path)?);
    let scratch = tempfile::tempdir()
        .context("cannot create a temporary ledger")
        .or_exit(Exit::CannotWrite)?;
    let job = Job::load(config.clone(), scratch.path())?.addressed_to(address);
    job.partners.refuse_bad_rows(config.partners.bad_rows)?;
    let connector = Connector::new(&config.smtp, Credentials::check(&config.smtp)?)?;
    let ledger = open_ledger::temporary(scratch.path())?;
    let now = console.now();
    // `--limit` counts the messages that are sent, not the rows that are read.
    let unlimited = PartnerFilter {
        limit: None,
        ..filter.clone()
    };
    let candidates = job.plan(&unlimited, now);
    let lines = first_of_each_language(&job, &candidates, ledger.reader()).await?;
    let plan = job.plan(filter, now).lines(lines);
    let summary = job.summarize(&plan, ledger.reader()).await?;
    let relay = connector.relay();
    let sends = job.verify(&plan, ledger.reader(), now).await?.sends;
    if sends.is_empty() {
        console.print("no partner is due, so there is no message to test");
        return Ok(Exit::Done);
    }
    let tally = deliver(&job, sends, &ledger, connector, None, console).await?;
    console.print(&format!(
        "{} sent to {address}: {} accepted by {relay}; no partner was mailed",
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

/// The lines of the first due row of each template's locale.
async fn first_of_each_language(job: &Job, plan: &Plan, reader: &Reader) -> Result<HashSet<u64>> {
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

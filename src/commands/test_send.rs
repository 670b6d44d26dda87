//! `send --test-to`: sends the first message of each language through the configured relay to one address,
//! and to no partner. It neither needs nor changes the ledger.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::deliver::{conclude, deliver};
use super::job::{Job, PartnerFilter, describe};
use super::open_ledger;
use crate::address::Address;
use crate::config::Config;
use crate::console::Console;
use crate::exit::{Exit, Result};
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
    let scratch = open_ledger::scratch_folder(&std::env::temp_dir())?;
    let job = Job::load(config.clone(), scratch.path())?.addressed_to(address);
    job.partners.refuse_bad_rows(config.partners.bad_rows)?;
    let connector = Connector::new(&config.smtp, Credentials::check(&config.smtp)?)?;
    let ledger = open_ledger::temporary(&scratch)?;
    let now = console.now();
    // `--limit` counts the messages that are sent, not the rows that are read.
    let mut candidates = job.plan(filter, now);
    candidates.limit = None;
    let lines = first_of_each_language(&job, &candidates, ledger.reader()).await?;
    let mut plan = job.plan(filter, now);
    plan.lines = Some(lines);
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
    conclude(&tally, summary.due, console)
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
        if seen.len() == job.templates.locales.len() {
            break;
        }
    }
    Ok(lines)
}

//! What a decision is about: selecting invitations, and recording what was decided.

use std::sync::Arc;

use super::job::{Job, PartnerFilter};
use super::records::{Selection, label};
use crate::config::Config;
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::invitation::{Cause, Decision, Record, next};
use crate::ledger::{Change, Ledger};
use crate::report::{count, one_line};

/// How many decisions are recorded in one commit.
const BATCH: usize = 500;

/// The recorded invitations that the decision is about; none if an address has none.
///
/// # Errors
/// If an address has several, or the package is unknown (65).
pub async fn select(
    config: &Config,
    selection: Selection<'_>,
    ledger: &Ledger,
) -> Result<Vec<Record>> {
    let reader = ledger.reader();
    let filter = selection.filter(config, reader).await?;
    let mut selected = Vec::new();
    let mut after = 0;
    loop {
        let page = reader.page(&config.campaign, &filter, after).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        selected.extend(page);
    }
    let Some(address) = selection.address else {
        return Ok(selected);
    };
    match selected.as_slice() {
        [] | [_] => Ok(selected),
        several => {
            let label = |it| one_line(&label(config, it));
            let packages: Vec<String> = several.iter().map(label).collect();
            let message = format!(
                "{address} is invited to {}; select one with `--package`",
                packages.join(" and ")
            );
            Err(CommandError::new(Exit::BadInput, message))
        }
    }
}

/// Checks that the decision applies to the state of each invitation.
///
/// # Errors
/// The first to which it does not apply (65).
pub fn check_applies(selected: &[Record], decision: Decision) -> Result<()> {
    for record in selected {
        let (email, state) = (one_line(&record.invitee.email), record.standing.state);
        next(Some(state), Cause::Person(decision)).map_err(|_| {
            let message = format!("{email} is {state}; {}", applies_to(decision));
            CommandError::new(Exit::BadInput, message)
        })?;
    }
    Ok(())
}

/// A message that may have been accepted is repeated only byte for byte, so that a mailbox can recognise
/// the duplicate.
///
/// # Errors
/// If one would differ (65).
pub async fn require_same_messages(
    config: Arc<Config>,
    repeated: &[&Record],
    ledger: &Ledger,
    console: &mut Console<'_>,
) -> Result<()> {
    if repeated.is_empty() {
        return Ok(());
    }
    let job = Job::load(config, ledger.scratch_folder())?;
    let plan = job.plan(&PartnerFilter::default(), console.now());
    let mut changed: Vec<&Record> = repeated.to_vec();
    let mut pages = plan.pages();
    while let Some(page) = pages.next_page(ledger.reader()).await? {
        for entry in page {
            let sent = entry.standing.as_ref().and_then(|it| it.message);
            let is_repeated = changed.iter().any(|it| it.identity == entry.identity);
            if let (true, Some((date, sha256))) = (is_repeated, sent) {
                let domain = job.config.sender.address.domain();
                let id = entry.message_id(&ledger.reader().key, domain);
                let composed = job.composer.compose(&entry.partner, &id, date);
                if composed.is_ok_and(|it| it.sha256() == sha256) {
                    changed.retain(|it| it.identity != entry.identity);
                }
            }
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let addresses = changed.iter().map(|it| one_line(&it.invitee.email));
    let addresses: Vec<String> = addresses.collect();
    let message = format!(
        "{} cannot be repeated, because its row, a template or the configuration has changed ({}); `--changed` sends it as it is now, and a partner who received the first one gets a second",
        count(changed.len() as u64, "message"),
        addresses.join(", ")
    );
    Err(CommandError::new(Exit::BadInput, message))
}

/// Records the decision, and prints each new state.
///
/// # Errors
/// If the ledger refuses it, or cannot be written.
pub async fn record_decision(
    config: &Config,
    selected: &[Record],
    change: impl Fn(&Record) -> Change,
    ledger: &Ledger,
    console: &mut Console<'_>,
) -> Result<()> {
    for records in selected.chunks(BATCH) {
        let changes = records.iter().map(&change).collect();
        let results = ledger.submit(changes).results().await;
        for (record, result) in records.iter().zip(results) {
            let (email, before) = (one_line(&record.invitee.email), record.standing.state);
            let package = one_line(&label(config, record));
            console.print(&format!("{email} ({package}): {before} → {}", result?));
        }
    }
    Ok(())
}

/// The states that a decision applies to.
pub fn applies_to(decision: Decision) -> &'static str {
    match decision {
        Decision::Accepted => {
            "`--as accepted` applies only to unknown, pending, deferred and listed partners without a record"
        }
        Decision::Delivered => "`--as delivered` applies to accepted and unknown",
        Decision::Bounced => "`--as bounced` applies to accepted, delivered and unknown",
        Decision::Abandoned => {
            "`--as abandoned` applies to unknown, pending, deferred, expired, rejected, bounced and listed partners without a record"
        }
        Decision::Resend => {
            "`--as resend` applies to unknown, rejected, bounced, expired, abandoned and accepted"
        }
    }
}

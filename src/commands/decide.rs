//! What a decision is about: selecting invitations, and recording what was decided.

use std::sync::Arc;

use super::job::{Job, PartnerFilter};
use super::records::{Selection, label};
use crate::address::Address;
use crate::config::Config;
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::invitation::{Cause, Decision, Occasion, Record, Standing, next};
use crate::ledger::{Change, Ledger};
use crate::report::{count, local, one_line};

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
            let what = reminder(record)
                .map(|it| format!(": {it}"))
                .unwrap_or_default();
            let message = format!("{email}{what} is {state}; {}", applies_to(decision));
            CommandError::new(Exit::BadInput, message)
        })?;
    }
    Ok(())
}

/// Leaves out what is not sent again, because its address is suppressed.
///
/// # Errors
/// If the one `address` that was asked for is suppressed (65).
pub async fn without_suppressed(
    selected: Vec<Record>,
    address: Option<&Address>,
    ledger: &Ledger,
    console: &mut Console<'_>,
) -> Result<Vec<Record>> {
    let addresses = selected.iter().map(|it| it.identity.address.clone());
    let suppressions = ledger.reader().suppressions_of(addresses.collect()).await?;
    let mut remaining = Vec::with_capacity(selected.len());
    for (record, suppression) in selected.into_iter().zip(suppressions) {
        let Some(suppression) = suppression else {
            remaining.push(record);
            continue;
        };
        let (email, since) = (one_line(&record.invitee.email), local(suppression.at));
        let source = suppression.source;
        if address.is_some() {
            let message = format!(
                "{email} is suppressed since {since} ({source}), so nothing is sent to it; `access-invite suppress --remove` takes it off the list"
            );
            return Err(CommandError::new(Exit::BadInput, message));
        }
        let state = record.standing.state;
        console.print(&format!(
            "{email}: stays {state}, because it is suppressed since {since} ({source})"
        ));
    }
    Ok(remaining)
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
            let is_about = |it: &&Record| it.identity.on(Occasion::Invitation) == entry.identity;
            let Some(place) = changed.iter().position(is_about) else {
                continue;
            };
            let repeated = changed[place];
            let mut reminds_of = None;
            if repeated.identity.occasion.is_reminder() {
                let invitation = ledger
                    .reader()
                    .records(vec![entry.identity.clone()])
                    .await?;
                reminds_of = invitation.into_iter().flatten().next();
            }
            let reminds_of = reminds_of.as_ref().map(Record::invited);
            let Standing {
                message,
                message_id,
                ..
            } = &repeated.standing;
            let partner = &entry.partner;
            let draft = job.composer.draft(partner, message_id, reminds_of.as_ref());
            if let Some((date, sha256)) = message
                && draft.compose(*date).is_ok_and(|it| it.sha256() == *sha256)
            {
                changed.remove(place);
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
            let what = reminder(record)
                .map(|it| format!(", {it}"))
                .unwrap_or_default();
            console.print(&format!(
                "{email} ({package}{what}): {before} → {}",
                result?
            ));
        }
    }
    Ok(())
}

/// Which reminder a record is about; none if it is an invitation.
pub fn reminder(record: &Record) -> Option<Occasion> {
    Some(record.identity.occasion).filter(|it| it.is_reminder())
}

/// The states that a decision applies to.
pub fn applies_to(decision: Decision) -> &'static str {
    match decision {
        Decision::Accepted => {
            "`--as accepted` applies only to unknown, pending, deferred and listed partners without a record"
        }
        Decision::Delivered => "`--as delivered` applies to accepted, unknown and bounced",
        Decision::Bounced => "`--as bounced` applies to accepted, delivered and unknown",
        Decision::Abandoned => {
            "`--as abandoned` applies to unknown, pending, deferred, expired, rejected, bounced and listed partners without a record"
        }
        Decision::Resend => {
            "`--as resend` applies to unknown, rejected, bounced, expired, abandoned and accepted"
        }
    }
}

//! Before reminders are sent: reads who has asked for access, and abandons the reminders that are no longer needed.

use jiff::Timestamp;

use super::job::Job;
use super::requests::refresh_requests;
use crate::config::Config;
use crate::console::Console;
use crate::exit::Result;
use crate::invitation::{
    Cause, Mailed, NextReminder, NotNeeded, Occasion, Record, ReminderSchedule,
};
use crate::ledger::{Change, Ledger, Reader};
use crate::plan::{Plan, PlanSummary};

/// Abandons the reminders that are to be sent and are no longer needed, by what the ledger knows: access was
/// requested, or a message came back. Gives how many there were.
///
/// # Errors
/// If the ledger cannot be read or written.
pub async fn abandon_needless(config: &Config, ledger: &Ledger, now: Timestamp) -> Result<u64> {
    let Some(schedule) = &config.reminders else {
        return Ok(0);
    };
    let reader = ledger.reader();
    let mut abandoned = 0;
    let mut after = 0;
    loop {
        let open = reader.open_reminders(&config.campaign, after).await?;
        let Some(last) = open.last() else {
            return Ok(abandoned);
        };
        after = last.id;
        let needless = needless(schedule, &open, reader).await?;
        let changes = needless.into_iter().map(|(reminder, why)| Change {
            note: Some(why.to_string()),
            ..Change::new(&reminder.identity, now, Cause::ReminderNotNeeded)
        });
        for result in ledger.submit(changes.collect()).results().await {
            result?;
            abandoned += 1;
        }
    }
}

/// Reads the requests for the packages of which reminders are due, unless that was done within the last hour.
/// Where that fails, the plan holds the reminders back, and the reason is printed. Gives whether the plan may have
/// changed.
///
/// # Errors
/// If the ledger cannot be read or written.
pub async fn refresh_for_reminders(
    job: &Job,
    plan: &mut Plan,
    summary: &PlanSummary,
    ledger: &Ledger,
    console: &mut Console<'_>,
) -> Result<bool> {
    let packages = summary.reminders.keys();
    let refreshed = refresh_requests(&job.config, ledger, packages, console).await?;
    if let Some(error) = refreshed.error() {
        console.eprint(&format!(
            "error: {error}; so the partners who are due for a reminder are not reminded in this run, and a later run reminds them"
        ));
    }
    let unread = refreshed.unread.iter().map(|it| it.0);
    plan.requests_unread.extend(unread);
    if refreshed.recorded {
        abandon_needless(&job.config, ledger, console.now()).await?;
    }
    Ok(refreshed.recorded || !plan.requests_unread.is_empty())
}

/// Those of these reminders that are no longer needed, and why.
async fn needless<'a>(
    schedule: &ReminderSchedule,
    open: &'a [Record],
    reader: &Reader,
) -> Result<Vec<(&'a Record, NotNeeded)>> {
    let invitations = open.iter().map(|it| it.identity.on(Occasion::Invitation));
    let invitations: Vec<_> = invitations.collect();
    let access = reader.access_of(invitations.clone()).await?;
    let records = reader.with_reminders(invitations).await?;
    let mut needless = Vec::new();
    for ((reminder, access), records) in open.iter().zip(access).zip(records) {
        let mailed: Vec<Mailed> = records.iter().map(Record::mailed).collect();
        if let [invitation, reminders @ ..] = mailed.as_slice()
            && let NextReminder::NotNeeded(why) =
                schedule.next(invitation, reminders, access.as_ref())
        {
            needless.push((reminder, why));
        }
    }
    Ok(needless)
}

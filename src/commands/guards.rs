//! Guards: what stops a `send` before anything is written. `check` and `preview` report the same as
//! warnings.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::job::{Job, PartnerFilter};
use crate::approval::{self, ApprovalError, Digest};
use crate::exit::{CommandError, Result};
use crate::finding::{Finding, Severity};
use crate::invitation::State;
use crate::ledger::{Approval, LedgerError, Reader};
use crate::plan::PlanSummary;
use crate::report::{count, one_line};
use crate::review;

/// Where a preview is written by default.
pub const PREVIEW: &str = "preview";
/// Where `send --sandbox` writes by default.
pub const SANDBOX: &str = "sandbox";

/// The last approval on record, if one is required.
///
/// # Errors
/// If the ledger cannot be read.
pub async fn last_approval(
    job: &Job,
    reader: &Reader,
) -> std::result::Result<Option<Approval>, LedgerError> {
    if !job.config.approval.required {
        return Ok(None);
    }
    let approvals = reader.approvals(Some(&job.config.campaign)).await?;
    Ok(approvals.into_iter().next())
}

/// Checks that the inputs are approved, if the configuration or `given`, the digest on the command line,
/// asks for it. `recorded` is the last approval on record.
pub fn require_approval(
    job: &Job,
    given: Option<Digest>,
    recorded: Option<&Approval>,
) -> std::result::Result<(), ApprovalError> {
    let sources = approval::Sources {
        rules: &job.config.approval,
        given,
        recorded: recorded.and_then(|it| it.digest.parse().ok()),
        proposal: &proposal(),
    };
    approval::require(&job.inputs(), sources)
}

/// Where a preview proposes its approval by default.
pub fn proposal() -> PathBuf {
    Path::new(PREVIEW).join(review::APPROVAL)
}

/// Everything that would stop a `send`, as warnings of a verb that does not send.
///
/// # Errors
/// If the list or the ledger cannot be read.
pub async fn warnings_of_send(
    job: &Job,
    summary: &PlanSummary,
    reader: &Reader,
    approval: Option<&ApprovalError>,
    now: Timestamp,
) -> Result<Vec<Finding>> {
    let files = &job.config.ledger;
    let stale = reader
        .doubt(files)
        .map(|it| Finding::error("ledger", files, it));
    let approval = approval.map(|it| Finding::error("approval", "", it));
    let guards = guards(job, summary, reader, false, now).await?;
    let stopping = stale.into_iter().chain(approval).chain(guards);
    let warning = |mut finding: Finding| {
        finding.severity = Severity::Warning;
        finding.what.insert_str(0, "a real send would stop: ");
        finding
    };
    Ok(stopping.map(warning).collect())
}

/// An error of a guard, for a verb that sends.
pub fn nothing_was_sent(error: impl Into<CommandError>) -> CommandError {
    let error = error.into();
    CommandError::new(error.exit, format!("{error}\nnothing was sent"))
}

/// The guards that depend on the plan.
///
/// # Errors
/// If the list or the ledger cannot be read.
pub async fn guards(
    job: &Job,
    summary: &PlanSummary,
    reader: &Reader,
    new_campaign: bool,
    now: Timestamp,
) -> Result<Vec<Finding>> {
    let mut found = Vec::from_iter(not_allowed(job, summary));
    found.extend(too_many_new(job, summary));
    if !new_campaign {
        found.extend(campaign_not_confirmed(job, reader, now).await?);
    }
    Ok(found)
}

fn not_allowed(job: &Job, summary: &PlanSummary) -> Option<Finding> {
    let path = job.config.partners.path.display();
    let named = summary.not_allowed.iter();
    let named = named.map(|it| format!("{path}:{}: {} is not in `limits.only_to`", it.0, it.1));
    let mut what: Vec<String> = named.collect();
    let more = summary.not_allowed_total - what.len() as u64;
    if more > 0 {
        what.push(format!("and {more} more"));
    }
    let mut finding = Finding::error("only_to", path, what.join("\n"));
    finding.fix = "add them to `limits.only_to`, or select other partners with `--only`".into();
    (summary.not_allowed_total > 0).then_some(finding)
}

/// A warning if the list still names addresses that were forgotten.
pub fn listed_although_forgotten(job: &Job, summary: &PlanSummary) -> Option<Finding> {
    let number = summary.forgotten_total;
    let lines = summary.forgotten.iter().map(u64::to_string);
    let lines = lines.collect::<Vec<_>>().join(", ");
    let more = if number > summary.forgotten.len() as u64 {
        " …"
    } else {
        ""
    };
    let path = job.config.partners.path.display();
    let rows = if number == 1 {
        "1 row names an address that was forgotten".to_owned()
    } else {
        format!("{number} rows name addresses that were forgotten")
    };
    let message = format!(
        "{rows}, which no run mails ({path}:{lines}{more}); remove such rows from the list"
    );
    (number > 0).then(|| Finding::warning("forgotten", path, message))
}

fn too_many_new(job: &Job, summary: &PlanSummary) -> Option<Finding> {
    let limit = job.config.limits.new_per_run;
    let message = format!(
        "{} would be sent for the first time, but `limits.new_per_run` is {limit}; if the list is right, raise it, or send in parts with `--limit`",
        count(summary.new, "invitation"),
    );
    let finding = Finding::error("new_per_run", "limits.new_per_run", message);
    (summary.new > u64::from(limit)).then_some(finding)
}

/// A campaign needs confirmation if listed partners were mailed under another name, or perhaps by runs
/// that an accepted older ledger lacks. The whole list is compared, even if this run sends only a part.
async fn campaign_not_confirmed(
    job: &Job,
    reader: &Reader,
    now: Timestamp,
) -> Result<Option<Finding>> {
    let campaign = &job.config.campaign;
    let standing = reader.campaign(campaign).await?;
    if standing.confirmed || (standing.others.is_empty() && standing.gap.is_none()) {
        return Ok(None);
    }
    let finding = |message: String| Ok(Some(Finding::error("campaign", "campaign", message)));
    let list = job.plan(&PartnerFilter::default(), now);
    let mut pages = list.pages();
    while let Some(page) = pages.next_page(reader).await? {
        if let Some(gap) = standing.gap
            && let Some(entry) = page.iter().find(|it| it.is_unrecorded())
        {
            return finding(format!(
                "an older ledger was accepted on {}, and {} is not recorded in it, so a lost run may have invited this partner; if the unrecorded partners are to be invited, pass `--new-campaign`",
                gap.strftime("%Y-%m-%d"),
                entry.partner.address
            ));
        }
        for other in &standing.others {
            let identities = page.iter().map(|it| it.partner.identity(other)).collect();
            let standings = reader.standings(identities).await?;
            let invited = page.iter().zip(standings).find(|(_, standing)| {
                let state = standing.as_ref().map(|it| it.state);
                state.is_some_and(may_have_arrived)
            });
            if let Some((entry, _)) = invited {
                return finding(format!(
                    "the campaign `{campaign}` is new to this ledger, and {} was already invited under `{}`; to invite these partners again, pass `--new-campaign`, otherwise restore the old name",
                    entry.partner.address,
                    one_line(other)
                ));
            }
        }
    }
    Ok(None)
}

/// Whether a relay has, or may have, accepted a message in this state.
fn may_have_arrived(state: State) -> bool {
    matches!(
        state,
        State::Armed | State::Accepted | State::Delivered | State::Bounced | State::Unknown
    )
}

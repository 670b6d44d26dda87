//! What stops a real send before anything is written: no approval, the wrong recipients, too
//! many new ones, a campaign by another name.
//!
//! `check` and `preview` tell the same as warnings.

use std::path::Path;

use jiff::Timestamp;

use super::{Job, PREVIEW, PartnerFilter};
use crate::approval::{self, ApprovalSource, Digest};
use crate::exit::{self, CommandError, Exit};
use crate::invitation::State;
use crate::ledger::Reader;
use crate::plan::PlanSummary;
use crate::report::{count, one_line};
use crate::review;

/// Why a real send would not go ahead for want of an approval. `given` is the digest on the
/// command line, which stands in for the file that the configuration names.
///
/// # Errors
/// When the approval is there and cannot be read or understood.
pub(super) fn approval_error(job: &Job, given: Option<Digest>) -> exit::Result<Option<String>> {
    let wanted = ApprovalSource {
        digest: given,
        file: job.config.approval.as_deref(),
        proposal: &Path::new(PREVIEW).join(review::APPROVAL),
    };
    approval::approval_error(wanted, &job.inputs())
}

/// Stops a send that nobody has approved as it is.
///
/// # Errors
/// What has changed, or that there is no approval (65).
pub(super) fn require_approval(job: &Job, given: Option<Digest>) -> exit::Result<()> {
    match approval_error(job, given)? {
        None => Ok(()),
        Some(approval_error) => Err(CommandError::new(
            Exit::BadInput,
            format!("{approval_error}\nnothing was sent"),
        )),
    }
}

/// What would stop a real send, in the order in which it would.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) async fn guards(
    job: &Job,
    summary: &PlanSummary,
    reader: &Reader,
    new_campaign: bool,
    now: Timestamp,
) -> exit::Result<Vec<String>> {
    let limits = &job.config.limits;
    let mut found = Vec::new();
    if summary.not_allowed_total > 0 {
        let path = job.config.partners.path.display();
        let mut lines: Vec<String> = summary
            .not_allowed
            .iter()
            .map(|(line, address)| format!("{path}:{line}: {address} is not in `limits.only_to`"))
            .collect();
        let rest = summary.not_allowed_total - summary.not_allowed.len() as u64;
        if rest > 0 {
            lines.push(format!("and {rest} more"));
        }
        found.push(lines.join("\n"));
    }
    if summary.new > u64::from(limits.new_per_run) {
        found.push(format!(
            "{} never tried before would go out, but `limits.new_per_run` is {}; if the list is right, raise it, or send in parts with `--limit`",
            count(summary.new, "invitation"),
            limits.new_per_run
        ));
    }
    if !new_campaign {
        found.extend(campaign_not_confirmed(job, reader, now).await?);
    }
    Ok(found)
}

/// Why the campaign must be confirmed by a person: partners of the list were mailed under another
/// name, or perhaps by runs that an accepted older ledger lacks. The whole list is compared,
/// whatever part of it this run would send.
async fn campaign_not_confirmed(
    job: &Job,
    reader: &Reader,
    now: Timestamp,
) -> exit::Result<Option<String>> {
    let campaign = &job.config.campaign;
    let standing = reader.campaign(campaign).await?;
    if standing.confirmed || (standing.others.is_empty() && standing.gap.is_none()) {
        return Ok(None);
    }
    let list = job.plan(&PartnerFilter::default(), now);
    let mut pages = list.pages();
    while let Some(page) = pages.next_page(reader).await? {
        if let Some(gap) = standing.gap
            && let Some(entry) = page.iter().find(|it| it.standing.is_none())
        {
            return Ok(Some(format!(
                "an older ledger was accepted on {}, and {} is not recorded in it, so a lost run may have invited this partner; if the unrecorded partners are to be invited, say `--new-campaign`",
                gap.strftime("%Y-%m-%d"),
                entry.partner.address
            )));
        }
        for other in &standing.others {
            let identities = page.iter().map(|it| it.partner.identity(other)).collect();
            let standings = reader.standings(identities).await?;
            let invited = page.iter().zip(standings).find(|(_, standing)| {
                standing
                    .as_ref()
                    .is_some_and(|it| may_have_arrived(it.state))
            });
            if let Some((entry, _)) = invited {
                return Ok(Some(format!(
                    "the campaign `{campaign}` is new to this ledger, and {} was already invited under `{}`; if these partners are to be invited again, say `--new-campaign`, else put the old name back",
                    entry.partner.address,
                    one_line(other)
                )));
            }
        }
    }
    Ok(None)
}

/// Whether a relay has, or may have, taken a message in this state.
fn may_have_arrived(state: State) -> bool {
    matches!(
        state,
        State::Armed | State::Accepted | State::Delivered | State::Bounced | State::Unknown
    )
}

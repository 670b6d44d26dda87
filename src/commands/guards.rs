//! What stops a real send before anything is written: no approval, the wrong recipients, too
//! many new ones, a campaign by another name.
//!
//! `check` and `preview` tell the same as warnings.

use std::path::Path;

use super::{Job, PREVIEW};
use crate::approval::{self, Digest, Wanted};
use crate::exit::{self, Exit, Failure};
use crate::gallery;
use crate::invitation::State;
use crate::ledger::Reader;
use crate::plan::{Plan, Survey};
use crate::report::{count, one_line};

/// Why a real send would not go ahead for want of an approval. `given` is the digest on the
/// command line, which stands in for the file that the configuration names.
///
/// # Errors
/// When the approval is there and cannot be read or understood.
pub(super) fn objection(job: &Job, given: Option<Digest>) -> exit::Result<Option<String>> {
    let wanted = Wanted {
        digest: given,
        file: job.config.approval.as_deref(),
        proposal: &Path::new(PREVIEW).join(gallery::APPROVAL),
    };
    approval::objection(wanted, &job.inputs())
}

/// Stops a send that nobody has approved as it is.
///
/// # Errors
/// What has changed, or that there is no approval (65).
pub(super) fn require_approval(job: &Job, given: Option<Digest>) -> exit::Result<()> {
    match objection(job, given)? {
        None => Ok(()),
        Some(objection) => Err(Failure::new(
            Exit::BadInput,
            format!("{objection}\nnothing was sent"),
        )),
    }
}

/// What would stop a real send, in the order in which it would.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) async fn guards(
    job: &Job,
    plan: &Plan,
    survey: &Survey,
    reader: &Reader,
    new_campaign: bool,
) -> exit::Result<Vec<String>> {
    let limits = &job.config.limits;
    let mut found = Vec::new();
    if survey.not_allowed_total > 0 {
        let path = job.config.partners.path.display();
        let mut lines: Vec<String> = survey
            .not_allowed
            .iter()
            .map(|(line, address)| format!("{path}:{line}: {address} is not in `limits.only_to`"))
            .collect();
        let rest = survey.not_allowed_total - survey.not_allowed.len() as u64;
        if rest > 0 {
            lines.push(format!("and {rest} more"));
        }
        found.push(lines.join("\n"));
    }
    if survey.new > u64::from(limits.new_per_run) {
        found.push(format!(
            "{} never tried before would go out, but `limits.new_per_run` is {}; if the list is right, raise it, or send in parts with `--limit`",
            count(survey.new, "invitation"),
            limits.new_per_run
        ));
    }
    if !new_campaign && let Some((other, address)) = accepted_elsewhere(job, plan, reader).await? {
        found.push(format!(
            "the campaign `{}` is new to this ledger, and {address} was already invited under `{}`; if these partners are to be invited again, say `--new-campaign`, else put the old name back",
            job.config.campaign,
            one_line(&other)
        ));
    }
    Ok(found)
}

/// Where the campaign is new, the first due partner whom another campaign has invited.
async fn accepted_elsewhere(
    job: &Job,
    plan: &Plan,
    reader: &Reader,
) -> exit::Result<Option<(String, String)>> {
    let (known, others) = reader.campaigns(&job.config.campaign).await?;
    if known {
        return Ok(None);
    }
    for other in others {
        let mut drain = plan.drain();
        while let Some(page) = drain.next_page(reader).await? {
            let identities: Vec<_> = page.iter().map(|it| it.partner.identity(&other)).collect();
            let standings = reader.standings(identities).await?;
            let accepted = page.iter().zip(standings).find(|(_, standing)| {
                standing
                    .as_ref()
                    .is_some_and(|it| matches!(it.state, State::Accepted | State::Delivered))
            });
            if let Some((entry, _)) = accepted {
                return Ok(Some((other, entry.partner.address.to_string())));
            }
        }
    }
    Ok(None)
}

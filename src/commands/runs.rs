//! The last runs that wrote into the ledger, each with the approval that covers it.

use crate::ledger::{Approval, LedgerError, Reader, RunRecord};
use crate::report::{ApprovalRow, RunRow};

/// The last runs of a campaign, or of all, the last one first.
///
/// # Errors
/// If the ledger cannot be read.
pub async fn last(
    reader: &Reader,
    campaign: Option<&str>,
    limit: u32,
) -> Result<Vec<RunRow>, LedgerError> {
    let runs = reader.runs(campaign, limit).await?;
    let approvals = reader.approvals(campaign).await?;
    Ok(runs.into_iter().map(|it| row(it, &approvals)).collect())
}

fn row(run: RunRecord, approvals: &[Approval]) -> RunRow {
    let approval = run.approval(approvals).map(|it| ApprovalRow {
        by: it.by.clone(),
        at: it.at,
        note: it.note.clone(),
    });
    let counts = run.counts.as_deref();
    RunRow {
        approval,
        counts: counts.and_then(|it| serde_json::from_str(it).ok()),
        verb: run.verb,
        campaign: run.campaign,
        started_at: run.started_at,
        ended_at: run.ended_at,
        exit_code: run.exit_code,
        version: run.version,
        host: run.host,
        os_user: run.os_user,
        digest: run.digest,
    }
}

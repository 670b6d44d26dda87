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
    Ok(rows(runs, &approvals))
}

/// The runs, each with the approval that covers it, and the approvals of a campaign, the first ones first.
///
/// # Errors
/// If the ledger cannot be read.
pub async fn all(
    reader: &Reader,
    campaign: &str,
) -> Result<(Vec<RunRow>, Vec<ApprovalRow>), LedgerError> {
    let runs = reader.runs(Some(campaign), u32::MAX).await?;
    let approvals = reader.approvals(Some(campaign)).await?;
    let mut runs = rows(runs, &approvals);
    runs.reverse();
    Ok((runs, approvals.iter().rev().map(approval_row).collect()))
}

fn rows(runs: Vec<RunRecord>, approvals: &[Approval]) -> Vec<RunRow> {
    runs.into_iter().map(|it| row(it, approvals)).collect()
}

fn approval_row(approval: &Approval) -> ApprovalRow {
    ApprovalRow {
        digest: approval.digest.clone(),
        by: approval.by.clone(),
        at: approval.at,
        note: approval.note.clone(),
    }
}

fn row(run: RunRecord, approvals: &[Approval]) -> RunRow {
    let counts = run.counts.as_deref();
    RunRow {
        number: run.number,
        approval: run.approval(approvals).map(approval_row),
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

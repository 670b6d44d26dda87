//! `approve`: records that a person approves the inputs that a preview has shown.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;

use super::guards::{self, PREVIEW};
use super::job::Job;
use super::open_ledger::{self, end_run, export_events, run_start};
use crate::approval::{self, ApprovalError, Digest};
use crate::config::Config;
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::ledger::{Approval, Ledger, LedgerError, RunEnd};
use crate::report::one_line;

/// The arguments of `approve`.
#[derive(Args, Clone, Debug, Default)]
pub struct ApproveOptions {
    /// The digest that `preview` printed [default: that of the review in preview/]
    #[arg(value_parser = Digest::from_str)]
    pub digest: Option<Digest>,
    /// Who approves [default: the user of the operating system]
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub by: Option<String>,
    /// A note for the record
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

fn name(text: &str) -> std::result::Result<String, &'static str> {
    match text.trim() {
        "" => Err("it must not be empty"),
        name => Ok(name.to_owned()),
    }
}

/// Records the approval, if the inputs are still those of the review.
///
/// # Errors
/// If there is no review, or the inputs have changed since (65); if this user may not write the ledger (77).
pub async fn run(path: &Path, options: &ApproveOptions, console: &mut Console<'_>) -> Result<Exit> {
    let config = Arc::new(Config::load(path)?);
    Ledger::check_writable(&config.ledger).map_err(|error| explain(error, &config))?;
    let proposal = guards::proposal();
    let digest = match options.digest {
        Some(digest) => digest,
        None => approval::digest_in(&proposal)?.ok_or_else(no_review)?,
    };
    let scratch = open_ledger::scratch_folder(&std::env::temp_dir())?;
    let job = Job::load(config.clone(), scratch.path())?;
    approval::require_unchanged(&job.inputs(), digest, &proposal)?;
    let approval = Approval {
        campaign: config.campaign.clone(),
        digest: digest.to_string(),
        by: options.by.clone().unwrap_or_else(os_user),
        at: console.now(),
        note: options.note.clone(),
    };
    let by = one_line(&approval.by);
    let start = run_start("approve", &config, console);
    let ledger = Ledger::open_briefly(&config.ledger, &start)?;
    let ended = async {
        export_events(&config, &ledger).await?;
        ledger.approve(approval).await?;
        Ok(Exit::Done)
    };
    let ended = ended.await;
    let end = RunEnd {
        digest: Some(digest.to_string()),
        ..RunEnd::default()
    };
    let exit = end_run(&config, ledger, ended, end, console).await?;
    console.print(&format!("approved by {by}: {digest}"));
    if !config.approval.required {
        console
            .eprint("note: `send` does not require this approval; set `approval.required = true`");
    }
    Ok(exit)
}

fn no_review() -> ApprovalError {
    ApprovalError::NotApproved(format!(
        "there is no review of the whole list in `{PREVIEW}`; write one with `access-invite preview`, or pass the digest that it printed"
    ))
}

/// Who runs this, by the name of the operating system.
fn os_user() -> String {
    whoami::username().unwrap_or_else(|_| "unknown".to_owned())
}

/// The error of somebody who may not write the ledger, with the other way to approve.
fn explain(error: LedgerError, config: &Config) -> CommandError {
    let LedgerError::NoPermission(_) = error else {
        return error.into();
    };
    let command = match &config.approval.file {
        Some(file) => format!("with `{}`", approval::command(&guards::proposal(), file)),
        None => {
            "with the file of `approval.file`, if it is configured and you can write it".to_owned()
        }
    };
    let message = format!(
        "{error}\n`approve` records in the ledger; if only another user may write it, approve {command}"
    );
    CommandError::new(Exit::NoPermission, message)
}

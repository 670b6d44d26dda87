//! `send --sandbox`: the whole job against a test relay in this process.
//!
//! The ledger is temporary, so that a partner is never recorded as invited.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::arguments::PartnerFilter;
use super::deliver::deliver;
use super::job::{Job, describe};
use super::open_ledger;
use super::review_entries::fill;
use super::sandbox_mailbox::Mailbox;
use crate::config::{Config, Smtp, Tls};
use crate::console::Console;
use crate::delivery::{Signals, Tally};
use crate::exit::{CommandError, Exit, OrExit, Result};
use crate::plan::PlannedInvitation;
use crate::relay::Connector;
use crate::review::{About, Folder, Review};

/// Sends everything to a test relay, and writes a review of what it received.
///
/// # Errors
/// Whatever prevents the first connection of a `send`, except for guards and rates.
pub async fn run(
    path: &Path,
    out: &Path,
    filter: &PartnerFilter,
    console: &mut Console<'_>,
) -> Result<Exit> {
    let config = Arc::new(Config::load(path)?);
    let folder = Folder::prepare(out)?;
    let job = Job::load(config.clone(), folder.path())?;
    job.partners.refuse_bad_rows(config.partners.bad_rows)?;
    let scratch = tempfile::tempdir_in(folder.path())
        .context("cannot create a temporary ledger")
        .or_exit(Exit::CannotWrite)?;
    let ledger = open_ledger::temporary(scratch.path())?;
    let reader = ledger.reader();
    let plan = job.plan(filter, console.now());
    let summary = job.summarize(&plan, reader).await?;
    let sends = job.verify(&plan, reader, console.now()).await?.sends;

    let mailbox = Mailbox(scratch.path().join("received"));
    let sandbox = mailbox.start_sandbox().await?;
    let connector = Connector::new(&loopback(&config.smtp, sandbox.port()), None)?;
    let tally = if summary.due == 0 {
        Tally::default()
    } else {
        deliver(&job, sends, &ledger, connector, None, console).await?
    };
    let warnings = job.warnings();
    let about = About {
        warnings: warnings
            .iter()
            .chain(&job.skipped_rows())
            .map(ToString::to_string)
            .collect(),
        partial: filter.is_partial(),
        ..job.about(
            "Rehearsed invitations",
            "What the sandbox received",
            console.now(),
        )
    };
    let mut review = Review::begin(folder, about)?;
    let entry = |it: &PlannedInvitation| mailbox.entry(&job, it);
    let mut signals = Signals::listen();
    tokio::select! {
        filled = fill(&mut review, &plan, reader, entry) => filled?,
        name = signals.next() => {
            let message = format!("stopped by {name}; the review is incomplete, and nothing was sent");
            return Err(CommandError::new(Exit::TryLater, message));
        }
    };
    let (index, received) = review.finish()?;
    if console.interactive {
        console.report(&warnings);
    }
    console.print(&format!(
        "{} sent to the sandbox, {received} received; nothing left this machine; look at {}",
        describe(&summary),
        index.display()
    ));
    for (address, state, reason) in &tally.troubles {
        console.eprint(&format!("{state}: {address}: {reason}"));
    }
    if job.partners.bad() > 0 {
        console.eprint(&job.partners.describe_bad_rows());
    }
    match &tally.stopped {
        Some(stop) => Err(stop.clone().into()),
        None if job.partners.bad() > 0 || tally.accepted < summary.due => Ok(Exit::Refused),
        None => Ok(Exit::Done),
    }
}

/// The configured relay, replaced by the sandbox.
fn loopback(smtp: &Smtp, port: u16) -> Smtp {
    Smtp {
        host: "127.0.0.1".into(),
        port,
        tls: Tls::None,
        ca_file: None,
        login: None,
        ..smtp.clone()
    }
}

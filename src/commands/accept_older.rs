//! `resolve --accept-older-ledger`: goes on with a ledger that may lack what later runs recorded.
//!
//! Its pending, deferred and armed invitations may have been mailed since, so they become `unknown`;
//! partners who are not recorded at all need `send --new-campaign`.

use std::path::Path;
use std::sync::Arc;

use super::{Console, Job, PartnerFilter, end_run, open_read_only, run_start};
use crate::config::Config;
use crate::exit::{self, CommandError, Exit};
use crate::invitation::State;
use crate::ledger::{Gap, Ledger, Reader, Staleness};
use crate::report::count;

/// What was decided.
#[derive(Clone, Debug)]
pub struct Options {
    /// Why, for the record.
    pub note: String,
    /// Do not ask.
    pub yes: bool,
}

/// Accepts the ledger as it is, after a question.
///
/// # Errors
/// When the ledger is not older than its witness (65), when nobody can be asked (2), or when it
/// cannot be read or written.
pub async fn run(path: &Path, options: &Options, console: &mut Console<'_>) -> exit::Result<Exit> {
    let config = Arc::new(Config::load(path)?);
    let files = &config.ledger;
    Ledger::check_writable(files)?;
    // Nothing is written before the answer, so that a look does not change what was found.
    let scratch = tempfile::tempdir().map_err(|error| {
        let message = format!("cannot create a temporary folder: {error}");
        CommandError::new(Exit::CannotWrite, message)
    })?;
    let reader = open_read_only(&config, Some(scratch.path()), console).await?;
    let doubt = match reader.staleness() {
        None => {
            let message = format!(
                "the ledger `{}` is not older than its witness, so there is nothing to accept",
                files.file.display()
            );
            return Err(CommandError::new(Exit::BadInput, message));
        }
        Some(Staleness::WitnessForeign) => {
            return Err(Staleness::WitnessForeign.error(files).into());
        }
        Some(doubt) => doubt,
    };
    let job = Job::load(config.clone(), scratch.path())?;
    let tally = Tally::of(&job, &reader, console).await?;
    drop(reader);
    console.eprint(&doubt.describe(files));
    console.eprint(&tally.describe(&job));
    if !options.yes {
        if !console.interactive {
            let message =
                "there is no terminal to ask at; say `--yes` if the older ledger is to be accepted";
            return Err(CommandError::new(Exit::Usage, message));
        }
        if !console.confirm("Go on with this ledger?") {
            console.print("nothing was changed");
            return Ok(Exit::Done);
        }
    }
    let start = run_start("resolve", &config, console);
    let ledger = Ledger::open_although_older(files, &start)?;
    let gap = Gap {
        at: (console.clock)(),
        witness: doubt.mark(),
        note: options.note.clone(),
    };
    let accepted = ledger.accept_older(gap).await;
    let ended = accepted.map_err(CommandError::from).map(|changed| {
        console.print(&format!(
            "the ledger was accepted; {} now unknown",
            are(changed)
        ));
        Exit::Done
    });
    end_run(ledger, &ended, None, None, console).await?;
    ended
}

fn are(changed: u64) -> String {
    let verb = if changed == 1 { "is" } else { "are" };
    format!("{} {verb}", count(changed, "invitation"))
}

/// How many listed partners may have been mailed by runs that the ledger does not know.
#[derive(Default)]
struct Tally {
    unrecorded: u64,
    pending: u64,
    deferred: u64,
    armed: u64,
}

impl Tally {
    async fn of(job: &Job, reader: &Reader, console: &Console<'_>) -> exit::Result<Self> {
        let plan = job.plan(&PartnerFilter::default(), (console.clock)());
        let mut tally = Self::default();
        let mut pages = plan.pages();
        while let Some(page) = pages.next_page(reader).await? {
            for entry in page {
                match entry.standing.map(|it| it.state) {
                    None => tally.unrecorded += 1,
                    Some(State::Pending) => tally.pending += 1,
                    Some(State::Deferred) => tally.deferred += 1,
                    Some(State::Armed) => tally.armed += 1,
                    Some(_) => {}
                }
            }
        }
        Ok(tally)
    }

    fn describe(&self, job: &Job) -> String {
        let Self {
            unrecorded,
            pending,
            deferred,
            armed,
        } = self;
        let all = unrecorded + pending + deferred + armed;
        format!(
            "of {} in `{}`, {all} may already have been mailed: {unrecorded} without a record, {pending} pending, {deferred} deferred, {armed} armed; those with a record become unknown, those without need `send --new-campaign`",
            count(job.partners.good(), "partner"),
            job.config.partners.path.display()
        )
    }
}

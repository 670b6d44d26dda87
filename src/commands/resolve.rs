//! `resolve`: records a person's decision about invitations that the program must not decide itself.

use std::path::Path;
use std::sync::Arc;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args};

use super::accept_older;
use super::decide::{
    applies_to, check_applies, record_decision, require_same_messages, select, without_suppressed,
};
use super::open_ledger::{end_run, export_events, run_start};
use super::records::Selection;
use super::unrecorded::Unrecorded;
use crate::address::Address;
use crate::config::Config;
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::invitation::{Cause, Decision, Occasion, Record, State};
use crate::ledger::{Change, Ledger, RunEnd};
use crate::report::count;

/// The arguments of `resolve`.
#[derive(Args, Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(group = ArgGroup::new("which").required(true).args(["address", "all_unknown", "state", "accept_older_ledger"]))]
pub struct ResolveOptions {
    /// The invitation of this address
    #[arg(value_parser = Address::parse)]
    pub address: Option<Address>,
    /// Every unknown invitation of the campaign
    #[arg(long)]
    pub all_unknown: bool,
    /// Every invitation of the campaign in this state: expired, rejected or bounced
    #[arg(long, value_parser = decidable_state)]
    pub state: Option<State>,
    /// Accept a ledger that is older than its witness; invitations that may have been mailed since
    /// become unknown
    #[arg(long, conflicts_with_all = ["decision", "package", "occasion", "changed"])]
    pub accept_older_ledger: bool,
    /// The decision
    #[arg(
        long = "as",
        value_name = "DECISION",
        required_unless_present = "accept_older_ledger"
    )]
    pub decision: Option<Decision>,
    /// The reason, for the record
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub note: String,
    /// Which package, by its name in the configuration or its id, if the address is invited to
    /// several
    #[arg(long, value_name = "NAME|ID")]
    pub package: Option<String>,
    /// Decide about this reminder, such as reminder-1, in place of the invitation
    #[arg(
        long,
        value_name = "OCCASION",
        default_value_t,
        hide_default_value = true
    )]
    pub occasion: Occasion,
    /// Resend an unknown invitation even if its message is no longer the same, byte for byte
    #[arg(long)]
    pub changed: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
}

/// Parses a state whose invitations can be decided about together.
fn decidable_state(name: &str) -> std::result::Result<State, &'static str> {
    match name.parse() {
        Ok(it @ (State::Expired | State::Rejected | State::Bounced)) => Ok(it),
        _ => Err("it must be expired, rejected or bounced"),
    }
}

/// Applies the decision.
///
/// # Errors
/// If it does not apply (65), a question is needed and there is no terminal (2), or another run holds the
/// lock (75).
pub async fn run(path: &Path, options: &ResolveOptions, console: &mut Console<'_>) -> Result<Exit> {
    let Some(decision) = options.decision else {
        return accept_older::run(path, options.yes, &options.note, console).await;
    };
    let config = Arc::new(Config::load(path)?);
    if options.state.is_some() && decision == Decision::Accepted {
        let message = format!("{}, one address at a time", applies_to(decision));
        return Err(CommandError::new(Exit::Usage, message));
    }
    if options.state.is_some() && !options.yes && !console.interactive {
        let message = "`--state` decides about several invitations at once, and there is no terminal for the question; review them with `access-invite status --state STATE`, then pass `--yes`";
        return Err(CommandError::new(Exit::Usage, message));
    }
    let start = run_start("resolve", &config, console);
    let ledger = Ledger::open(&config.ledger, &start)?;
    let ended = decide(config.clone(), decision, options, &ledger, console).await;
    end_run(&config, ledger, ended, RunEnd::default(), console).await
}

async fn decide(
    config: Arc<Config>,
    decision: Decision,
    options: &ResolveOptions,
    ledger: &Ledger,
    console: &mut Console<'_>,
) -> Result<Exit> {
    export_events(&config, ledger).await?;
    let now = console.now();
    ledger.recover(now).await?;
    let all_unknown = options.all_unknown.then_some(State::Unknown);
    let selection = Selection {
        campaign: &config.campaign,
        address: options.address.as_ref(),
        state: options.state.or(all_unknown),
        package: options.package.as_deref(),
        occasion: options.occasion,
    };
    let mut selected = select(&config, selection, ledger).await?;
    if let (Some(address), []) = (selection.address, selected.as_slice()) {
        let unrecorded = Unrecorded {
            address,
            decision,
            note: &options.note,
            at: now,
        };
        unrecorded
            .decide(config.clone(), selection, ledger, console)
            .await?;
        return Ok(Exit::Done);
    }
    check_applies(&selected, decision)?;
    let repeats = |it: &&Record| it.standing.state == State::Unknown && !options.changed;
    if decision == Decision::Resend {
        selected = without_suppressed(selected, options.address.as_ref(), ledger, console).await?;
        let repeated: Vec<&Record> = selected.iter().filter(repeats).collect();
        require_same_messages(config.clone(), &repeated, ledger, console).await?;
    }
    if selected.is_empty() {
        let state = options.state.unwrap_or(State::Unknown);
        console.print(&format!("nothing is {state}"));
        return Ok(Exit::Done);
    }
    if let Some(state) = options.state {
        let action = match decision {
            Decision::Abandoned => "Abandon",
            _ => "Send again",
        };
        let what = match options.occasion {
            Occasion::Invitation => "invitation",
            Occasion::Reminder(_) => "reminder",
        };
        let invitations = count(selected.len() as u64, &format!("{state} {what}"));
        if !options.yes && !console.confirm(&format!("{action} {invitations}?")) {
            console.print("nothing was changed");
            return Ok(Exit::Done);
        }
    }
    let change = |record: &Record| Change {
        note: Some(options.note.clone()),
        repeat: repeats(&record),
        ..Change::new(&record.identity, now, Cause::Person(decision))
    };
    record_decision(&config, &selected, change, ledger, console).await?;
    Ok(Exit::Done)
}

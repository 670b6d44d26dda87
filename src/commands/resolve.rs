//! `resolve`: records a person's decision about invitations that the program must not decide itself.

use std::path::Path;
use std::sync::Arc;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args};

use super::job::{Job, PartnerFilter};
use super::open_ledger::{end_run, run_start};
use super::status::state;
use super::{accept_older, package};
use crate::address::Address;
use crate::config::Config;
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::invitation::{Cause, Decision, Record, State, next};
use crate::ledger::{Change, Ledger, RecordFilter};
use crate::report::{count, one_line};

/// How many decisions are recorded in one commit.
const BATCH: usize = 500;

/// The arguments of `resolve`.
#[derive(Args, Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(group = ArgGroup::new("which").required(true).args(["address", "all_unknown", "state", "accept_older_ledger"]))]
pub struct Options {
    /// The invitation of this address
    #[arg(value_parser = Address::parse)]
    pub address: Option<Address>,
    /// Every unknown invitation of the campaign
    #[arg(long)]
    pub all_unknown: bool,
    /// Every invitation of the campaign in this state: expired, rejected or bounced
    #[arg(long, value_parser = decidable_state)]
    pub state: Option<State>,
    /// Accept a ledger that is older than its witness: what may have been mailed since
    /// becomes unknown
    #[arg(long, conflicts_with_all = ["decision", "package", "changed"])]
    pub accept_older_ledger: bool,
    /// The decision
    #[arg(
        long = "as",
        value_parser = decision_parser(),
        value_name = "DECISION",
        required_unless_present = "accept_older_ledger"
    )]
    pub decision: Option<Decision>,
    /// The reason, for the record
    #[arg(long, value_name = "TEXT")]
    pub note: String,
    /// Which package, by its name in the configuration or its id, if the address is invited to
    /// several
    #[arg(long, value_name = "NAME|ID")]
    pub package: Option<String>,
    /// Resend an unknown invitation even if its message is no longer the same, byte for byte
    #[arg(long)]
    pub changed: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// The decisions with their names on the command line.
const DECISIONS: [(&str, &str, Decision); 3] = [
    ("accepted", "The message arrived", Decision::Accepted),
    ("resend", "Send it again", Decision::Resend),
    (
        "abandoned",
        "Close the invitation without sending",
        Decision::Abandoned,
    ),
];

fn decision_parser() -> impl TypedValueParser<Value = Decision> {
    let values = DECISIONS.map(|(name, help, _)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(values).map(|name| {
        let chosen = DECISIONS.iter().find(|it| it.0 == name);
        chosen.expect("the parser accepts no other names").2
    })
}

fn decidable_state(name: &str) -> std::result::Result<State, String> {
    match state(name) {
        Ok(it @ (State::Expired | State::Rejected | State::Bounced)) => Ok(it),
        _ => Err("it must be expired, rejected or bounced".to_owned()),
    }
}

/// Applies the decision.
///
/// # Errors
/// If it does not apply (65), a question is needed and there is no terminal (2), or another run holds the
/// lock (75).
pub async fn run(path: &Path, options: &Options, console: &mut Console<'_>) -> Result<Exit> {
    let Some(decision) = options.decision else {
        return accept_older::run(path, options.yes, &options.note, console).await;
    };
    let config = Arc::new(Config::load(path)?);
    if options.state.is_some() && decision == Decision::Accepted {
        let message = format!("{}, one address at a time", applies_to(decision));
        return Err(CommandError::new(Exit::Usage, message));
    }
    if options.state.is_some() && !options.yes && !console.interactive {
        let message = "`--state` decides about several invitations at once, and there is no terminal for the question; look at them with `access-invite status --state STATE`, then pass `--yes`";
        return Err(CommandError::new(Exit::Usage, message));
    }
    let start = run_start("resolve", &config, console);
    let ledger = Ledger::open(&config.ledger, &start)?;
    let ended = decide(config, decision, options, &ledger, console).await;
    end_run(ledger, &ended, None, None, console).await?;
    ended
}

async fn decide(
    config: Arc<Config>,
    decision: Decision,
    options: &Options,
    ledger: &Ledger,
    console: &mut Console<'_>,
) -> Result<Exit> {
    let now = console.now();
    ledger.recover(now).await?;
    let selected = select(&config, options, ledger).await?;
    let cause = Cause::Person(decision);
    for record in &selected {
        let (email, state) = (one_line(&record.invitee.email), record.standing.state);
        next(Some(state), cause).map_err(|_| {
            let message = format!("{email} is {state}; {}", applies_to(decision));
            CommandError::new(Exit::BadInput, message)
        })?;
    }
    let repeats = |it: &&Record| it.standing.state == State::Unknown && !options.changed;
    if decision == Decision::Resend {
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
        let invitations = count(selected.len() as u64, &format!("{state} invitation"));
        if !options.yes && !console.confirm(&format!("{action} {invitations}?")) {
            console.print("nothing was changed");
            return Ok(Exit::Done);
        }
    }
    for records in selected.chunks(BATCH) {
        let change = |record: &Record| Change {
            note: Some(options.note.clone()),
            repeat: repeats(&record),
            ..Change::new(&record.identity, now, cause)
        };
        let changes = records.iter().map(change).collect();
        let results = ledger.submit(changes).results().await;
        for (record, result) in records.iter().zip(results) {
            let (email, before) = (one_line(&record.invitee.email), record.standing.state);
            let package = one_line(&package::label(&config, record));
            console.print(&format!("{email} ({package}): {before} → {}", result?));
        }
    }
    Ok(Exit::Done)
}

/// The invitations that the decision is about.
async fn select(config: &Config, options: &Options, ledger: &Ledger) -> Result<Vec<Record>> {
    let reader = ledger.reader();
    let package_id = match &options.package {
        Some(text) => Some(package::id_of(config, text, reader).await?),
        None => None,
    };
    let all_unknown = options.address.is_none().then_some(State::Unknown);
    let filter = RecordFilter {
        state: options.state.or(all_unknown),
        package_id,
        address: options.address.as_ref().map(Address::canonical),
    };
    let mut selected = Vec::new();
    let mut after = 0;
    loop {
        let page = reader.page(&config.campaign, &filter, after).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        selected.extend(page);
    }
    let Some(address) = &options.address else {
        return Ok(selected);
    };
    match selected.as_slice() {
        [] => {
            let package = options.package.as_deref().zip(package_id);
            Err(package::not_recorded(config, address, package, reader).await?)
        }
        [_] => Ok(selected),
        several => {
            let label = |it| one_line(&package::label(config, it));
            let packages: Vec<String> = several.iter().map(label).collect();
            let message = format!(
                "{address} is invited to {}; select one with `--package`",
                packages.join(" and ")
            );
            Err(CommandError::new(Exit::BadInput, message))
        }
    }
}

/// A message that may have been accepted is repeated only byte for byte, so that a mailbox can recognise
/// the duplicate.
async fn require_same_messages(
    config: Arc<Config>,
    repeated: &[&Record],
    ledger: &Ledger,
    console: &mut Console<'_>,
) -> Result<()> {
    if repeated.is_empty() {
        return Ok(());
    }
    let job = Job::load(config, ledger.scratch_folder())?;
    let plan = job.plan(&PartnerFilter::default(), console.now());
    let mut changed: Vec<&Record> = repeated.to_vec();
    let mut pages = plan.pages();
    while let Some(page) = pages.next_page(ledger.reader()).await? {
        for entry in page {
            let sent = entry.standing.as_ref().and_then(|it| it.message);
            let is_repeated = changed.iter().any(|it| it.identity == entry.identity);
            if let (true, Some((date, sha256))) = (is_repeated, sent) {
                let domain = job.config.sender.address.domain();
                let id = entry.message_id(ledger.reader().key(), domain);
                let composed = job.composer.compose(&entry.partner, &id, date);
                if composed.is_ok_and(|it| it.sha256() == sha256) {
                    changed.retain(|it| it.identity != entry.identity);
                }
            }
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let addresses: Vec<String> = changed
        .iter()
        .map(|it| one_line(&it.invitee.email))
        .collect();
    let message = format!(
        "{} cannot be repeated, because its row, a template or the configuration has changed ({}); `--changed` sends it as it is now, and a partner who received the first one gets a second",
        count(changed.len() as u64, "message"),
        addresses.join(", ")
    );
    Err(CommandError::new(Exit::BadInput, message))
}

fn applies_to(decision: Decision) -> &'static str {
    match decision {
        Decision::Accepted => "`--as accepted` applies to unknown",
        Decision::Abandoned => "`--as abandoned` applies to unknown, expired, rejected and bounced",
        Decision::Resend => {
            "`--as resend` applies to unknown, rejected, bounced, expired, abandoned and accepted"
        }
    }
}

//! `resolve`: a person's decision where the program must not decide.

use std::path::Path;
use std::sync::Arc;

use super::{Console, Job, PartnerFilter, end_run, package, run_start};
use crate::address::Address;
use crate::config::Config;
use crate::exit::{self, CommandError, Exit};
use crate::invitation::{Cause, Decision, Record, State, next};
use crate::ledger::{Change, Ledger, RecordFilter};
use crate::report::{count, one_line};

/// How many decisions are recorded in one commit.
const TOGETHER: usize = 500;

/// What was decided, and about whom.
#[derive(Clone, Debug)]
pub struct Options {
    /// About this address; none means every invitation in a state.
    pub address: Option<Address>,
    /// In this state, where there is no address; none means unknown.
    pub state: Option<State>,
    /// What is to follow.
    pub decision: Decision,
    /// Why, for the record.
    pub note: String,
    /// About this package, by its key or its id.
    pub package: Option<String>,
    /// Resend even where the message is no longer the same.
    pub changed: bool,
    /// Do not ask before deciding about every invitation in a state.
    pub yes: bool,
}

/// Applies the decision.
///
/// # Errors
/// When it does not apply (65), nobody can be asked (2), or another run holds the lock (75).
pub async fn run(path: &Path, options: &Options, console: &mut Console<'_>) -> exit::Result<Exit> {
    let config = Arc::new(Config::load(path)?);
    if options.state.is_some() && options.decision == Decision::Accepted {
        let message = format!("{}, one address at a time", applies_to(options.decision));
        return Err(CommandError::new(Exit::Usage, message));
    }
    if options.state.is_some() && !options.yes && !console.interactive {
        let message = "`--state` decides about several invitations at once, and without a terminal nobody can be asked; look at them with `access-invite status --state STATE`, then say `--yes`";
        return Err(CommandError::new(Exit::Usage, message));
    }
    let start = run_start("resolve", &config, console);
    let ledger = Ledger::open(&config.ledger, &start)?;
    let ended = decide(config, options, &ledger, console).await;
    end_run(ledger, &ended, None, None, console).await?;
    ended
}

async fn decide(
    config: Arc<Config>,
    options: &Options,
    ledger: &Ledger,
    console: &mut Console<'_>,
) -> exit::Result<Exit> {
    let now = (console.clock)();
    ledger.recover(now).await?;
    let chosen = choose(&config, options, ledger).await?;
    let cause = Cause::Person(options.decision);
    for record in &chosen {
        next(Some(record.standing.state), cause).map_err(|_| {
            let message = format!(
                "{} is {}; {}",
                one_line(&record.invitee.email),
                record.standing.state,
                applies_to(options.decision)
            );
            CommandError::new(Exit::BadInput, message)
        })?;
    }
    let resends: Vec<&Record> = chosen
        .iter()
        .filter(|it| options.decision == Decision::Resend && it.standing.state == State::Unknown)
        .collect();
    if !options.changed && !resends.is_empty() {
        must_be_the_same(config.clone(), &resends, ledger, console).await?;
    }
    if chosen.is_empty() {
        let state = options.state.unwrap_or(State::Unknown);
        console.print(&format!("nothing is {state}"));
        return Ok(Exit::Done);
    }
    if let Some(state) = options.state {
        let what = match options.decision {
            Decision::Abandoned => "Abandon",
            _ => "Send again",
        };
        let invitations = count(chosen.len() as u64, &format!("{state} invitation"));
        if !options.yes && !console.confirm(&format!("{what} {invitations}?")) {
            console.print("nothing was changed");
            return Ok(Exit::Done);
        }
    }
    for records in chosen.chunks(TOGETHER) {
        let change = |record: &Record| Change {
            note: Some(options.note.clone()),
            repeat: !options.changed && record.standing.state == State::Unknown,
            ..Change::new(&record.identity, now, cause)
        };
        let results = ledger
            .submit(records.iter().map(change).collect())
            .results();
        for (record, result) in records.iter().zip(results.await) {
            let state = result?;
            console.print(&format!(
                "{} ({}): {} → {state}",
                one_line(&record.invitee.email),
                one_line(&package::label(&config, record)),
                record.standing.state
            ));
        }
    }
    Ok(Exit::Done)
}

/// The invitations that the decision is about.
async fn choose(config: &Config, options: &Options, ledger: &Ledger) -> exit::Result<Vec<Record>> {
    let reader = ledger.reader();
    let package_id = match &options.package {
        Some(text) => Some(package::id_of(config, text, reader).await?),
        None => None,
    };
    let selection = RecordFilter {
        state: options
            .state
            .or(options.address.is_none().then_some(State::Unknown)),
        package_id,
        address: options.address.as_ref().map(Address::canonical),
    };
    let mut chosen = Vec::new();
    let mut after = 0;
    loop {
        let page = reader.page(&config.campaign, &selection, after).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        chosen.extend(page);
    }
    let Some(address) = &options.address else {
        return Ok(chosen);
    };
    match chosen.as_slice() {
        [] => {
            let package = options.package.as_deref().zip(package_id);
            Err(package::not_recorded(config, address, package, reader).await?)
        }
        [_] => Ok(chosen),
        several => {
            let packages: Vec<String> = several
                .iter()
                .map(|it| one_line(&package::label(config, it)))
                .collect();
            let message = format!(
                "{address} is invited to {}; say which one with `--package`",
                packages.join(" and ")
            );
            Err(CommandError::new(Exit::BadInput, message))
        }
    }
}

/// What may have been accepted may go again only byte for byte, so that a mailbox that has
/// it can tell.
async fn must_be_the_same(
    config: Arc<Config>,
    resends: &[&Record],
    ledger: &Ledger,
    console: &mut Console<'_>,
) -> exit::Result<()> {
    let job = Job::load(config, ledger.scratch_folder())?;
    let plan = job.plan(&PartnerFilter::default(), (console.clock)());
    let mut same = std::collections::HashSet::new();
    let mut pages = plan.pages();
    while let Some(page) = pages.next_page(ledger.reader()).await? {
        for entry in page {
            let wanted = resends.iter().any(|it| it.identity == entry.identity);
            let before = entry.standing.as_ref().and_then(|it| it.message);
            if let (true, Some((date, sha256))) = (wanted, before) {
                let domain = job.config.sender.address.domain();
                let id = entry.message_id(ledger.reader().key(), domain);
                let composed = job.composer.compose(&entry.partner, &id, date);
                if composed.is_ok_and(|it| it.sha256() == sha256) {
                    same.insert(entry.identity);
                }
            }
        }
    }
    let other: Vec<String> = resends
        .iter()
        .filter(|it| !same.contains(&it.identity))
        .map(|it| one_line(&it.invitee.email))
        .collect();
    if other.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} would no longer be the one that was sent, because its row, a template or the configuration has changed ({}); `--changed` sends it as it is now, and a partner who has the first one gets a second",
        count(other.len() as u64, "message"),
        other.join(", ")
    );
    Err(CommandError::new(Exit::BadInput, message))
}

fn applies_to(decision: Decision) -> &'static str {
    match decision {
        Decision::Accepted => "`--as accepted` settles only what is unknown",
        Decision::Abandoned => "`--as abandoned` applies to unknown, expired, rejected and bounced",
        Decision::Resend => {
            "`--as resend` applies to unknown, rejected, bounced, expired, abandoned and accepted"
        }
    }
}

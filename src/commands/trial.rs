//! `send --test-to`: the first message of each language, through the real relay, to the
//! person who tries it and to no partner. No ledger is needed, and none is changed.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::send::{Proven, deliver};
use super::{Choice, Console, Job, describe};
use crate::address::Address;
use crate::config::Config;
use crate::exit::{self, Exit, Failure, OrExit};
use crate::ledger::Ledger;
use crate::relay::{Connector, check_secret};
use crate::report::count;

/// Sends a message of each language to `address`.
///
/// # Errors
/// Whatever would keep a real send from its first connection, but for guards and rates.
pub async fn run(
    path: &Path,
    address: &Address,
    choice: &Choice,
    console: &mut Console<'_>,
) -> exit::Result<Exit> {
    let config = Arc::new(Config::load(path)?);
    let scratch = tempfile::tempdir()
        .context("cannot create a throw-away ledger")
        .or_exit(Exit::CannotWrite)?;
    let job = Job::load(config.clone(), scratch.path())?.addressed_to(address);
    job.partners.refuse_bad_rows(config.partners.bad_rows)?;
    let connector = Connector::new(&config.smtp)?;
    if let Some(login) = &config.smtp.login {
        check_secret(login)?;
    }
    let ledger = scratch.path().join("ledger.sqlite3");
    Ledger::create(&ledger)?;
    let ledger = Arc::new(Ledger::open(&ledger)?);
    let now = (console.clock)();
    let today = now.to_zoned_datetime(TimeZone::system()).date();
    let plan = job
        .plan(choice, now)
        .lines(first_of_each_language(&job, choice, today)?);
    let survey = job.survey(&plan, ledger.reader()).await?;
    let relay = connector.relay();
    let (fingerprints, _) = job.prove(&plan, ledger.reader(), now).await?;
    if fingerprints.is_empty() {
        console.say("there is no partner whose message could be tried");
        return Ok(Exit::Done);
    }
    let proven = Proven {
        plan,
        fingerprints,
        several_domains: false,
    };
    let tally = deliver(&job, proven, &ledger, connector, None, console).await?;
    console.say(&format!(
        "{} tried: {} accepted by {relay} for {address}; no partner was written to",
        describe(&survey),
        count(tally.accepted, "message")
    ));
    for (_, state, why) in &tally.troubles {
        console.tell(&format!("{state}: {why}"));
    }
    match tally.stopped {
        Some(stop) => Err(Failure::new(stop.exit, stop.why)),
        None if tally.accepted < survey.due => Ok(Exit::Refused),
        None => Ok(Exit::Done),
    }
}

/// The lines of the first good row of each template's locale, closed packages left out.
fn first_of_each_language(job: &Job, choice: &Choice, today: Date) -> exit::Result<HashSet<u64>> {
    let only: BTreeSet<String> = choice.only.iter().map(Address::canonical).collect();
    let mut seen = BTreeSet::new();
    let mut lines = HashSet::new();
    for row in job.partners.iter() {
        let partner = row?;
        let wanted = only.is_empty() || only.contains(&partner.address.canonical());
        let open = !partner.package.is_closed(today);
        if wanted && open && seen.insert(job.composer.locale_for(&partner).to_string()) {
            lines.insert(partner.line);
        }
        if seen.len() == job.templates.locales().len() {
            break;
        }
    }
    Ok(lines)
}

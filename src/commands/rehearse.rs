//! `send --sandbox`: the whole job against a small server in this process, with a ledger
//! that is thrown away, so that a rehearsal can never mark a partner as invited.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;

use super::send::{Proven, deliver};
use super::{Choice, Console, Job, describe, throw_away_ledger};
use crate::config::{Config, Smtp, Tls};
use crate::delivery::Tally;
use crate::exit::{self, Exit, Failure, OrExit};
use crate::gallery::{Folder, Gallery};
use crate::relay::Connector;
use crate::sandbox::Sandbox;

/// Sends everything to a small server in this process, with a ledger that is thrown away.
///
/// # Errors
/// Whatever would keep a real send from its first connection, but for guards and rates.
pub async fn run(
    path: &Path,
    out: &Path,
    choice: &Choice,
    console: &mut Console<'_>,
) -> exit::Result<Exit> {
    let config = Arc::new(Config::load(path)?);
    let folder = Folder::prepare(out).or_exit(Exit::CannotWrite)?;
    let job = Job::load(config.clone(), folder.path())?;
    job.partners.refuse_bad_rows(config.partners.bad_rows)?;
    let scratch = tempfile::tempdir_in(folder.path())
        .context("cannot create a throw-away ledger")
        .or_exit(Exit::CannotWrite)?;
    let ledger = throw_away_ledger(scratch.path())?;
    let plan = job.plan(choice, (console.clock)());
    let survey = job.survey(&plan, ledger.reader()).await?;
    let (fingerprints, _) = job.prove(&plan, ledger.reader(), (console.clock)()).await?;

    let lead = format!("Campaign {}: caught in the sandbox.", config.campaign);
    let gallery = folder
        .begin("Rehearsed invitations", &lead)
        .or_exit(Exit::CannotWrite)?;
    let gallery = Arc::new(Mutex::new(Some(gallery)));
    let sandbox = start_sandbox(gallery.clone()).await?;
    let connector = Connector::new(&loopback(&config.smtp, sandbox.port()))?;
    let tally = if survey.due == 0 {
        Tally::default()
    } else {
        let proven = Proven {
            plan,
            fingerprints,
            several_domains: false,
        };
        deliver(&job, proven, &ledger, connector, None, console).await?
    };
    let gallery = gallery
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let (index, caught) = gallery
        .map(Gallery::finish)
        .transpose()
        .context("cannot write the review")
        .or_exit(Exit::CannotWrite)?
        .unwrap_or_default();
    if console.interactive {
        for warning in job.warnings() {
            console.warn(&warning);
        }
    }
    console.say(&format!(
        "{} sent to the sandbox, {caught} caught; nothing left this machine; look at {}",
        describe(&survey),
        index.display()
    ));
    for (address, state, why) in &tally.troubles {
        console.tell(&format!("{state}: {address}: {why}"));
    }
    if job.partners.bad() > 0 {
        console.tell(&job.partners.describe_bad_rows());
    }
    match &tally.stopped {
        Some(stop) => Err(Failure::new(stop.exit, &stop.why)),
        None if job.partners.bad() > 0 || tally.accepted < survey.due => Ok(Exit::Refused),
        None => Ok(Exit::Done),
    }
}

async fn start_sandbox(gallery: Arc<Mutex<Option<Gallery>>>) -> exit::Result<Sandbox> {
    let keep = move |message: &[u8]| {
        let mut gallery = gallery.lock().unwrap_or_else(PoisonError::into_inner);
        match gallery.as_mut() {
            Some(gallery) => gallery.add(message, ""),
            None => Err(std::io::Error::other("the rehearsal is over")),
        }
    };
    Sandbox::start(Arc::new(keep))
        .await
        .context("cannot start the sandbox on the loopback")
        .or_exit(Exit::Unavailable)
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

//! `send --sandbox`: the whole job against a test relay in this process.
//!
//! The ledger is temporary, so that a partner is never recorded as invited.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail_parser::MessageParser;

use super::deliver::{conclude, deliver};
use super::job::{Job, describe};
use super::open_ledger;
use super::preview::PreviewOptions;
use super::review_entries::{ReviewEntry, fill};
use crate::config::{Config, Smtp, Tls};
use crate::console::Console;
use crate::delivery::{Signals, Tally};
use crate::exit::{CommandError, Exit, Result, failed};
use crate::log::Level;
use crate::plan::{PlannedInvitation, Skip};
use crate::relay::Connector;
use crate::review::{Access, Folder, Review, ReviewedMessage};
use crate::sandbox::Sandbox;

/// Sends everything to a test relay, and writes a review of what it received.
///
/// # Errors
/// Whatever prevents the first connection of a `send`, except for guards and rates.
pub async fn run(path: &Path, options: &PreviewOptions, console: &mut Console<'_>) -> Result<Exit> {
    let filter = &options.filter;
    let config = Arc::new(Config::load(path)?);
    let folder = Folder::prepare(&options.out, Access::shared(options.shared))?;
    let job = Job::load(config.clone(), folder.path())?;
    job.partners.refuse_bad_rows(config.partners.bad_rows)?;
    let scratch = open_ledger::scratch_folder(folder.path())?;
    let ledger = open_ledger::temporary(&scratch)?;
    let reader = ledger.reader();
    let plan = job.plan(filter, console.now());
    let summary = job.summarize(&plan, reader).await?;
    let sends = job.verify(&plan, reader, console.now()).await?.sends;

    let mailbox = Mailbox(scratch.path().to_owned());
    let sandbox = mailbox.start_sandbox().await?;
    let connector = Connector::new(&loopback(&config.smtp, sandbox.port), None)?;
    let tally = if summary.due == 0 {
        Tally::default()
    } else {
        deliver(&job, sends, &ledger, connector, None, console).await?
    };
    let warnings = job.warnings();
    let skipped = job.skipped_rows();
    let titles = ("Invitations in the sandbox", "What the sandbox received");
    let about = job.about(
        titles,
        warnings.iter().chain(&skipped),
        filter,
        console.now(),
    );
    let mut review = Review::begin(folder, about)?;
    let entry = async |it: &PlannedInvitation| mailbox.entry(&job, it);
    let mut signals = Signals::listen();
    tokio::select! {
        filled = fill(&mut review, &job, &plan, (reader, false), entry) => filled?,
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
        "{} sent to the sandbox, {received} received; nothing was sent to another machine; open {}",
        describe(&summary),
        index.display()
    ));
    let bad = job.partners.bad();
    if bad > 0 {
        console.eprint_as(Level::Error, &job.partners.describe_bad_rows());
    }
    conclude(&tally, summary.due + bad, console)
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

/// The folder of the messages that the sandbox received, in files named by Message-ID, so that the review
/// can show them in the order of the list.
struct Mailbox(PathBuf);

impl Mailbox {
    /// Starts a sandbox that keeps what it receives here.
    async fn start_sandbox(&self) -> Result<Sandbox> {
        let mailbox = Self(self.0.clone());
        let keep = move |message: &[u8]| {
            let parsed = MessageParser::default().parse(message);
            let id = parsed.as_ref().and_then(|it| it.message_id());
            let id = id.ok_or_else(|| io::Error::other("the message has no Message-ID"))?;
            std::fs::write(mailbox.file(id), message)
        };
        let started = Sandbox::start(Arc::new(keep)).await;
        started.map_err(failed(
            Exit::Unavailable,
            "cannot start the sandbox on loopback",
        ))
    }

    /// The file of a message. The part of its Message-ID before `@` is hexadecimal.
    fn file(&self, id: &str) -> PathBuf {
        let digits: String = id.chars().take_while(char::is_ascii_hexdigit).collect();
        self.0.join(digits)
    }

    /// Verifies what was received, and shows it.
    fn entry(&self, job: &Job, invitation: &PlannedInvitation) -> Result<ReviewEntry> {
        let partner = &invitation.partner;
        let id = invitation
            .standing
            .as_ref()
            .map(|it| it.message_id.as_str());
        let received = id.and_then(|id| Some((id, std::fs::read(self.file(id)).ok()?)));
        if let Some((id, bytes)) = received {
            let address = &partner.address;
            let other = format!("the message received for {address} is not the one sent");
            let verified = job.composer.verify_again(partner, id, &bytes);
            return Ok(ReviewEntry::Message(ReviewedMessage {
                verification: verified.map_err(failed(Exit::InternalError, other))?,
                notes: job.notes(partner),
                bytes,
                earlier: None,
                occasion: invitation.identity.occasion,
            }));
        }
        let not_sent = "the rehearsal ended before it was sent";
        Ok(match (&invitation.skip, id) {
            (Some(skip), _) => ReviewEntry::skipped(skip, None),
            (None, Some(_)) => ReviewEntry::Skipped("not sent".into(), not_sent.into(), None),
            // What was sent has used up the limit, which the plan counts anew.
            (None, None) => ReviewEntry::skipped(&Skip::Limit, None),
        })
    }
}

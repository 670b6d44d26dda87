//! `send --sandbox`: the whole job against a small server in this process, with a ledger
//! that is thrown away, so that a rehearsal can never mark a partner as invited.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use mail_parser::MessageParser;

use super::send::deliver;
use super::{Console, Job, PartnerFilter, about, describe, temporary_ledger};
use crate::config::{Config, Smtp, Tls};
use crate::delivery::{Signals, Tally};
use crate::exit::{self, CommandError, Exit, OrExit};
use crate::ledger::Reader;
use crate::plan::{Plan, Skip};
use crate::relay::Connector;
use crate::report::count;
use crate::review::{About, Folder, Review, ReviewedMessage};
use crate::sandbox::Sandbox;

/// Sends everything to a small server in this process, with a ledger that is thrown away.
///
/// # Errors
/// Whatever would keep a real send from its first connection, but for guards and rates.
pub async fn run(
    path: &Path,
    out: &Path,
    choice: &PartnerFilter,
    console: &mut Console<'_>,
) -> exit::Result<Exit> {
    let config = Arc::new(Config::load(path)?);
    let folder = Folder::prepare(out).or_exit(Exit::CannotWrite)?;
    let job = Job::load(config.clone(), folder.path())?;
    job.partners.refuse_bad_rows(config.partners.bad_rows)?;
    let scratch = tempfile::tempdir_in(folder.path())
        .context("cannot create a throw-away ledger")
        .or_exit(Exit::CannotWrite)?;
    let ledger = temporary_ledger(scratch.path())?;
    let plan = job.plan(choice, (console.clock)());
    let summary = job.summarize(&plan, ledger.reader()).await?;
    let verified = job.verify(&plan, ledger.reader(), (console.clock)());
    let sends = verified.await?.sends;

    let caught = Caught(scratch.path().join("caught"));
    let sandbox = caught.start_sandbox().await?;
    let connector = Connector::new(&loopback(&config.smtp, sandbox.port()))?;
    let tally = if summary.due == 0 {
        Tally::default()
    } else {
        deliver(&job, sends, &ledger, connector, None, console).await?
    };
    let mut warnings = job.warnings();
    if job.partners.bad() > 0 {
        warnings.push(format!(
            "{} skipped:\n{}",
            count(job.partners.bad(), "bad row"),
            job.partners.describe_bad_rows()
        ));
    }
    let (title, lead) = ("Rehearsed invitations", "What the sandbox caught");
    let about = About {
        warnings,
        partial: choice.is_partial(),
        ..about(&config, title, lead, (console.clock)())
    };
    let review = Review::begin(folder, about)
        .context("cannot write the review")
        .or_exit(Exit::CannotWrite)?;
    let mut signals = Signals::listen();
    let (index, shown) = tokio::select! {
        shown = caught.show(&job, &plan, ledger.reader(), review) => shown?,
        name = signals.next() => {
            let message = format!("stopped by {name}; the review is not complete, and nothing was sent");
            return Err(CommandError::new(Exit::TryLater, message));
        }
    };
    if console.interactive {
        for warning in job.warnings() {
            console.warn(&warning);
        }
    }
    console.print(&format!(
        "{} sent to the sandbox, {shown} caught; nothing left this machine; look at {}",
        describe(&summary),
        index.display()
    ));
    for (address, state, why) in &tally.troubles {
        console.eprint(&format!("{state}: {address}: {why}"));
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

/// What the sandbox has caught, as files that are called by their Message-ID, so that the
/// review can show them in the order of the list.
struct Caught(PathBuf);

impl Caught {
    async fn start_sandbox(&self) -> exit::Result<Sandbox> {
        std::fs::create_dir(&self.0)
            .context("cannot keep what the sandbox catches")
            .or_exit(Exit::CannotWrite)?;
        let folder = Self(self.0.clone());
        let keep = move |message: &[u8]| {
            let parsed = MessageParser::default().parse(message);
            let id = parsed.as_ref().and_then(|it| it.message_id());
            let id = id.ok_or_else(|| io::Error::other("the message has no Message-ID"))?;
            std::fs::write(folder.file(id), message)
        };
        Sandbox::start(Arc::new(keep))
            .await
            .context("cannot start the sandbox on the loopback")
            .or_exit(Exit::Unavailable)
    }

    /// Where the message with this Message-ID is kept; what stands before its `@` is hexadecimal.
    fn file(&self, id: &str) -> PathBuf {
        let digits: String = id.chars().take_while(char::is_ascii_hexdigit).collect();
        self.0.join(digits)
    }

    /// Proves once more what came over the wire, and shows it.
    async fn show(
        &self,
        job: &Job,
        plan: &Plan,
        reader: &Reader,
        mut review: Review,
    ) -> exit::Result<(PathBuf, u64)> {
        let mut pages = plan.pages();
        while let Some(page) = pages.next_page(reader).await? {
            for entry in page {
                let partner = &entry.partner;
                let sent = entry.standing.as_ref().map(|it| it.message_id.as_str());
                let message = sent.and_then(|id| std::fs::read(self.file(id)).ok());
                let written = if let (Some(id), Some(message)) = (sent, message) {
                    let verification = job
                        .composer
                        .verify_again(partner, id, &message)
                        .with_context(|| {
                            format!(
                                "what was caught for {} is not what was sent",
                                partner.address
                            )
                        })
                        .or_exit(Exit::InternalError)?;
                    review.add(&ReviewedMessage {
                        message: &message,
                        partner,
                        verification,
                        notes: job.notes(partner),
                    })
                } else {
                    let (kind, why) = match (&entry.skip, sent) {
                        (Some(skip), _) => (skip.kind(), skip.to_string()),
                        (None, Some(_)) => ("not sent".into(), "the rehearsal ended before".into()),
                        // What was sent has used up the limit, which the plan counts anew.
                        (None, None) => (Skip::Limit.kind(), Skip::Limit.to_string()),
                    };
                    review.leave_out(partner, &kind, &why)
                };
                written
                    .context("cannot write the review")
                    .or_exit(Exit::CannotWrite)?;
            }
        }
        review
            .finish()
            .context("cannot write the review")
            .or_exit(Exit::CannotWrite)
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

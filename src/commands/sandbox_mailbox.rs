//! What the sandbox received.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use mail_parser::MessageParser;

use super::job::Job;
use super::review_entries::ReviewEntry;
use crate::exit::{Exit, Result, failed};
use crate::plan::{PlannedInvitation, Skip};
use crate::review::ReviewedMessage;
use crate::sandbox::Sandbox;

/// The folder of the messages that the sandbox received, in files named by Message-ID, so that the review
/// can show them in the order of the list.
pub struct Mailbox(pub PathBuf);

impl Mailbox {
    /// Starts a sandbox that keeps what it receives here.
    pub async fn start_sandbox(&self) -> Result<Sandbox> {
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
    pub fn entry(&self, job: &Job, invitation: &PlannedInvitation) -> Result<ReviewEntry> {
        let PlannedInvitation {
            partner,
            standing,
            skip,
            ..
        } = invitation;
        let id = standing.as_ref().map(|it| it.message_id.as_str());
        let received = id.and_then(|id| Some((id, std::fs::read(self.file(id)).ok()?)));
        if let Some((id, bytes)) = received {
            let address = &partner.address;
            let other = format!("the message received for {address} is not the one sent");
            let verified = job.composer.verify_again(partner, id, &bytes);
            return Ok(ReviewEntry::Message(ReviewedMessage {
                verification: verified.map_err(failed(Exit::InternalError, other))?,
                notes: job.notes(partner),
                bytes,
            }));
        }
        let (kind, reason) = match (skip, id) {
            (Some(skip), _) => (skip.kind(), skip.to_string()),
            (None, Some(_)) => (
                "not sent".into(),
                "the rehearsal ended before it was sent".into(),
            ),
            // What was sent has used up the limit, which the plan counts anew.
            (None, None) => (Skip::Limit.kind(), Skip::Limit.to_string()),
        };
        Ok(ReviewEntry::Skipped(kind, reason))
    }
}

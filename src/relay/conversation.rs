//! One SMTP conversation: each phase writes its command, waits for the reply within the phase's
//! deadline, and returns it. What a reply means is decided in [`crate::outcome`].
//!
//! If the relay offers PIPELINING (RFC 2920), an envelope is sent in one write, possibly together with the
//! previous final dot, and its replies are matched by their order. Data that arrives before a command is
//! written ends the conversation, because later replies could not be matched to commands.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout, timeout_at};

use super::ehlo::EhloExtensions;
use super::error::NoReply;
use super::order::{GroupReplies, ReplyOrder};
use super::reply_stream::{Deadline, ReplyStream, at_once};
use crate::address::Address;
use crate::config::Deadlines;
use crate::outcome::{Phase, PhaseResult, Reply, phase_result};

/// How much of the body is written under one deadline (RFC 5321 §4.5.3.2.5, "data block").
const BLOCK: usize = 32 * 1024;
/// Grace period for the other replies of a group after one of them has ended the transaction.
const GROUP_GRACE: Duration = Duration::from_secs(1);
/// How long QUIT may take; its result is ignored.
const QUIT_LIMIT: Duration = Duration::from_secs(2);

/// Sender and recipient of one message, for MAIL and RCPT.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The address for notifications.
    pub sender: &'a Address,
    /// The one recipient.
    pub recipient: &'a Address,
    /// Which delivery reports to ask for; only a relay that offers DSN is asked.
    pub reports: Option<ReportRequest<'a>>,
}

/// A request for delivery reports (RFC 3461): of failures and delays, with the message's header.
#[derive(Clone, Copy, Debug)]
pub struct ReportRequest<'a> {
    /// ENVID, by which the reports name the message.
    pub envelope_id: &'a str,
    /// Whether to ask for reports of success, too.
    pub receipts: bool,
}

impl Envelope<'_> {
    /// The phases before the body.
    const PHASES: [Phase; 3] = [Phase::Mail, Phase::Rcpt, Phase::Data];

    /// The command of a phase; with `dsn`, it has the parameters that ask for reports.
    fn command(self, phase: Phase, dsn: bool) -> String {
        let reports = self.reports.filter(|_| dsn);
        let mail = reports.map(|it| format!(" RET=HDRS ENVID={}", it.envelope_id));
        let receipts = reports.is_some_and(|it| it.receipts);
        let notify = if receipts {
            " NOTIFY=SUCCESS,FAILURE,DELAY"
        } else {
            " NOTIFY=FAILURE,DELAY"
        };
        let notify = reports.map(|_| notify);
        match phase {
            Phase::Mail => format!(
                "MAIL FROM:<{}>{}\r\n",
                self.sender.wire(),
                mail.unwrap_or_default()
            ),
            Phase::Rcpt => format!(
                "RCPT TO:<{}>{}\r\n",
                self.recipient.wire(),
                notify.unwrap_or_default()
            ),
            _ => "DATA\r\n".into(),
        }
    }
}

/// Where a transaction ended before its final dot.
#[derive(Debug)]
pub struct TransactionAborted {
    /// The first phase that did not succeed.
    pub phase: Phase,
    /// The reply at that phase.
    pub reply: Result<Reply, NoReply>,
    /// Whether that was the reply to a pipelined command.
    pub pipelined: bool,
    /// Whether the replies to the pipelined envelope were in order.
    pub order: ReplyOrder,
}

impl TransactionAborted {
    /// What the reply means at its phase.
    #[must_use]
    pub fn result(&self) -> PhaseResult {
        phase_result(self.phase, self.reply.as_ref().ok())
    }
}

/// The result of the final dot.
#[derive(Debug)]
pub enum FinalDot {
    /// No byte of it was written, for this reason.
    NotWritten(Result<Reply, NoReply>),
    /// It was written, at least in part; this is the reply.
    Written(Result<Reply, NoReply>),
}

/// A conversation on a connection to the relay.
#[derive(Debug)]
pub struct Conversation<S> {
    stream: ReplyStream<S>,
    deadlines: Deadlines,
    pipelining: bool,
    /// Whether envelopes ask for delivery reports.
    dsn: bool,
    /// The largest message that the relay accepts.
    size: Option<usize>,
    /// The phases of an envelope that was sent, whose replies are not read yet.
    owed: VecDeque<Phase>,
    /// Replies to such an envelope that were read before [`Self::begin`] asked for them.
    read_early: VecDeque<Result<Reply, NoReply>>,
    /// All replies to it so far, and the reply to the final dot before it.
    group: GroupReplies,
    reply_timed_out: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    /// A conversation on a stream on which the relay sends its greeting next.
    pub fn new(stream: S, deadlines: Deadlines) -> Self {
        Self {
            stream: ReplyStream::new(stream),
            deadlines,
            pipelining: false,
            dsn: false,
            size: None,
            owed: VecDeque::new(),
            read_early: VecDeque::new(),
            group: GroupReplies::default(),
            reply_timed_out: false,
        }
    }

    /// Applies the extensions of the relay: its size limit and, if `pipelining` is allowed, several commands
    /// in one write (RFC 2920 §3.1).
    pub fn use_extensions(&mut self, offered: &EhloExtensions, pipelining: bool) {
        self.pipelining = pipelining && offered.pipelining;
        self.dsn = offered.dsn;
        self.size = offered.size;
    }

    /// Asks for no delivery reports from now on.
    pub fn omit_report_requests(&mut self) {
        self.dsn = false;
    }

    /// Whether envelopes ask for delivery reports, if they are to.
    #[must_use]
    pub fn requests_reports(&self) -> bool {
        self.dsn
    }

    /// Sends one command at a time from now on. Replies to earlier commands are still read.
    pub fn use_lock_step(&mut self) {
        self.pipelining = false;
    }

    /// Whether the reply to a pipelined command exceeded its deadline.
    #[must_use]
    pub fn reply_timed_out(&self) -> bool {
        self.reply_timed_out
    }

    /// The relay's size limit, if the message exceeds it.
    #[must_use]
    pub fn size_limit_exceeded_by(&self, message: &[u8]) -> Option<usize> {
        self.size.filter(|it| *it < message.len())
    }

    /// Whether an envelope may follow a final dot in one write.
    #[must_use]
    pub fn pipelines(&self) -> bool {
        self.pipelining
    }

    /// Whether the next envelope was sent already and [`Self::begin`] only reads its replies.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !self.owed.is_empty() || !self.read_early.is_empty()
    }

    /// Waits for the greeting, for at most `limit`.
    ///
    /// # Errors
    /// If there is no reply.
    pub async fn banner(&mut self, limit: Duration) -> Result<Reply, NoReply> {
        self.stream.reply(Deadline::after(limit)).await
    }

    /// Sends EHLO; returns the reply and the extensions in it.
    ///
    /// # Errors
    /// If there is no reply.
    pub async fn ehlo(&mut self, hello: &str) -> Result<(Reply, EhloExtensions), NoReply> {
        let command = format!("EHLO {hello}\r\n");
        let reply = self.command(Phase::Ehlo, &command).await?;
        Ok((reply, EhloExtensions::read(self.stream.last_lines())))
    }

    /// Sends STARTTLS.
    ///
    /// # Errors
    /// If there is no reply.
    pub async fn starttls(&mut self) -> Result<Reply, NoReply> {
        self.command(Phase::StartTls, "STARTTLS\r\n").await
    }

    /// The stream, on which TLS then begins.
    ///
    /// # Errors
    /// If clear text followed the 220; it must not be read as replies under TLS (CVE-2011-0411).
    pub async fn into_stream(mut self) -> Result<S, NoReply> {
        self.stream.ensure_no_unsolicited_data().await?;
        Ok(self.stream.into_inner())
    }

    /// Sends one line of AUTH, which may be a secret.
    ///
    /// # Errors
    /// If there is no reply.
    pub async fn auth(&mut self, line: &str) -> Result<Reply, NoReply> {
        self.command(Phase::Auth, &format!("{line}\r\n")).await
    }

    /// Begins a transaction: MAIL, RCPT and DATA, up to the 354. If the envelope was sent already, only
    /// its replies are read.
    ///
    /// # Errors
    /// At the first phase that does not succeed. [`Self::clear`] then prepares the connection for
    /// another envelope.
    pub async fn begin(&mut self, envelope: Envelope<'_>) -> Result<(), TransactionAborted> {
        if self.pipelining
            && !self.has_begun()
            && let Err(no_reply) = self.write_envelope(envelope).await
        {
            return Err(TransactionAborted {
                phase: Phase::Mail,
                reply: Err(no_reply),
                pipelined: true,
                order: ReplyOrder::Incomplete,
            });
        }
        for phase in Envelope::PHASES {
            let pipelined = self.has_begun();
            let reply = if pipelined {
                self.envelope_reply().await
            } else {
                self.command(phase, &envelope.command(phase, self.dsn))
                    .await
            };
            if phase_result(phase, reply.as_ref().ok()) == PhaseResult::Proceed {
                continue;
            }
            let order = match &reply {
                Ok(_) if pipelined => Box::pin(self.read_envelope_replies(GROUP_GRACE)).await,
                _ => ReplyOrder::Incomplete,
            };
            return Err(TransactionAborted {
                phase,
                reply,
                pipelined,
                order,
            });
        }
        Ok(())
    }

    /// The next reply to the envelope that was sent.
    async fn envelope_reply(&mut self) -> Result<Reply, NoReply> {
        if let Some(reply) = self.read_early.pop_front() {
            return reply;
        }
        let Some(phase) = self.owed.front().copied() else {
            return Err(NoReply::unsolicited("nothing"));
        };
        let reply = self.reply(phase).await;
        self.owed.pop_front();
        self.note(phase, &reply);
        reply
    }

    fn note(&mut self, phase: Phase, reply: &Result<Reply, NoReply>) {
        match reply {
            Ok(reply) => self.group.note(phase, reply),
            Err(NoReply::Timeout(_)) => self.reply_timed_out = true,
            Err(NoReply::Closed(_)) => {}
        }
    }

    /// Reads replies to the envelope that was sent, for at most `limit` (zero: only what has arrived),
    /// and compares them with its commands. [`Self::begin`] and [`Self::clear`] use what was read.
    pub async fn read_envelope_replies(&mut self, limit: Duration) -> ReplyOrder {
        let until = Instant::now() + limit;
        while let Some(phase) = self.owed.front().copied() {
            let reply = {
                let mut reply = pin!(self.reply(phase));
                if limit.is_zero() {
                    at_once(reply.as_mut()).await
                } else {
                    timeout_at(until, reply.as_mut()).await.ok()
                }
            };
            let Some(reply) = reply else { break };
            self.owed.pop_front();
            self.note(phase, &reply);
            let ended = reply.is_err();
            self.read_early.push_back(reply);
            if ended {
                break;
            }
        }
        self.group.order()
    }

    async fn write_envelope(&mut self, envelope: Envelope<'_>) -> Result<(), NoReply> {
        self.stream.ensure_no_unsolicited_data().await?;
        let commands = self.pipeline(envelope);
        let deadline = self.deadline(Phase::Mail);
        self.stream.write(commands.as_bytes(), deadline).await
    }

    /// The commands of an envelope for one write; their replies are expected from now on.
    fn pipeline(&mut self, envelope: Envelope<'_>) -> String {
        self.group = GroupReplies::default();
        self.owed.extend(Envelope::PHASES);
        Envelope::PHASES
            .map(|phase| envelope.command(phase, self.dsn))
            .concat()
    }

    /// Ends a transaction after a refusal, so that another MAIL may follow; false if the connection
    /// can no longer be used.
    ///
    /// A relay that refused the recipient may still have accepted the pipelined DATA. A final dot without a body
    /// ends it, and is refused, because there is no recipient (RFC 2920 §3.1).
    pub async fn clear(&mut self) -> bool {
        let mut expects_message = false;
        while self.has_begun() {
            match self.envelope_reply().await {
                Ok(reply) if reply.code != 421 => expects_message = reply.code == 354,
                _ => return false,
            }
        }
        if expects_message {
            let reply = self.command(Phase::Dot, ".\r\n").await;
            return reply.is_ok_and(|it| matches!(it.class(), 4 | 5) && it.code != 421);
        }
        let reply = self.command(Phase::Rset, "RSET\r\n").await;
        phase_result(Phase::Rset, reply.as_ref().ok()) == PhaseResult::Proceed
    }

    /// Writes the message without the final dot.
    ///
    /// # Errors
    /// If it could not be written completely, or if the relay sent a reply before its end. In both
    /// cases the relay has not accepted it.
    pub async fn body(&mut self, message: &[u8]) -> Result<(), TransactionAborted> {
        let written = self.write_message(message).await;
        // A relay may refuse a message during the body and close the connection. Its reply explains more than
        // the write error that follows.
        let reply = match (self.interruption().await, written) {
            (None, Ok(())) => return Ok(()),
            (Some(Ok(reply)), _) => Ok(reply),
            (_, Err(no_reply)) | (Some(Err(no_reply)), Ok(())) => Err(no_reply),
        };
        Err(TransactionAborted {
            phase: Phase::Body,
            reply,
            pipelined: false,
            order: ReplyOrder::Fits,
        })
    }

    async fn write_message(&mut self, message: &[u8]) -> Result<(), NoReply> {
        for block in dot_stuffed(message).chunks(BLOCK) {
            let deadline = self.deadline(Phase::Body);
            self.stream.write(block, deadline).await?;
        }
        Ok(())
    }

    /// A refusal, or the end of the connection, before the final dot; none if the relay still waits for the dot.
    async fn interruption(&mut self) -> Option<Result<Reply, NoReply>> {
        match self.stream.has_data().await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(no_reply) => return Some(Err(no_reply)),
        }
        let reply = self.reply(Phase::Body).await;
        Some(reply.and_then(|reply| match reply.class() {
            4 | 5 => Ok(reply),
            _ => Err(NoReply::unsolicited(&reply.to_string())),
        }))
    }

    /// Writes the final dot and waits for the reply. If the relay pipelines, the `next` envelope is sent in the
    /// same write, and [`Self::begin`] then reads its replies.
    pub async fn dot(&mut self, next: Option<Envelope<'_>>) -> FinalDot {
        if let Some(reply) = self.interruption().await {
            return FinalDot::NotWritten(reply);
        }
        let mut bytes = ".\r\n".to_owned();
        if let Some(envelope) = next.filter(|_| self.pipelining) {
            bytes += &self.pipeline(envelope);
        }
        let deadline = self.deadline(Phase::Dot);
        let reply = match self.stream.write(bytes.as_bytes(), deadline).await {
            Ok(()) => self.stream.reply(deadline).await,
            Err(no_reply) => Err(no_reply),
        };
        if let Ok(reply) = &reply {
            self.group.note(Phase::Dot, reply);
        }
        FinalDot::Written(reply)
    }

    /// Sends QUIT and ends the conversation, even without a reply.
    pub async fn quit(mut self) {
        let quit = async {
            let _ = self.command(Phase::Rset, "QUIT\r\n").await;
            let _ = self.stream.shutdown().await;
        };
        let _ = timeout(QUIT_LIMIT, quit).await;
    }

    async fn command(&mut self, phase: Phase, command: &str) -> Result<Reply, NoReply> {
        self.stream.ensure_no_unsolicited_data().await?;
        let deadline = self.deadline(phase);
        self.stream.write(command.as_bytes(), deadline).await?;
        self.stream.reply(deadline).await
    }

    async fn reply(&mut self, phase: Phase) -> Result<Reply, NoReply> {
        let deadline = self.deadline(phase);
        self.stream.reply(deadline).await
    }

    fn deadline(&self, phase: Phase) -> Deadline {
        Deadline::after(self.deadlines.of(phase))
    }
}

/// The message dot-stuffed (RFC 5321 §4.5.2) and ending with CRLF, so that the final dot is on a separate line.
fn dot_stuffed(message: &[u8]) -> Cow<'_, [u8]> {
    let first = message.starts_with(b".").then_some(0);
    let others = memmem::find_iter(message, b"\n.").map(|it| it + 1);
    let dots: Vec<usize> = first.into_iter().chain(others).collect();
    let ends_well = message.ends_with(b"\r\n");
    if dots.is_empty() && ends_well {
        return Cow::Borrowed(message);
    }
    let mut stuffed = Vec::with_capacity(message.len() + dots.len() + 2);
    let mut start = 0;
    for dot in dots {
        stuffed.extend_from_slice(&message[start..=dot]);
        start = dot;
    }
    stuffed.extend_from_slice(&message[start..]);
    if !ends_well {
        stuffed.extend_from_slice(b"\r\n");
    }
    Cow::Owned(stuffed)
}

#[cfg(test)]
mod tests {
    use super::dot_stuffed;

    #[test]
    fn leading_dots_are_doubled_and_the_last_line_is_ended() {
        let table: [(&[u8], &[u8]); 6] = [
            (b"a\r\n", b"a\r\n"),
            (b".\r\n", b"..\r\n"),
            (b"a\r\n.\r\nb.\r\n..c\r\n", b"a\r\n..\r\nb.\r\n...c\r\n"),
            (b".a", b"..a\r\n"),
            (b"", b"\r\n"),
            (b"a\r\n\r\n", b"a\r\n\r\n"),
        ];
        for (message, expected) in table {
            assert_eq!(*dot_stuffed(message), *expected);
        }
    }
}

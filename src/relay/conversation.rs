//! One SMTP conversation over any stream: each phase writes, waits for its reply
//! within its own deadline, and returns what was heard. What that means is decided
//! elsewhere ([`crate::outcome`]).
//!
//! Where the relay takes pipelined commands (RFC 2920), an envelope goes out in one
//! write, also behind the dot of the message before, and its replies are matched in
//! their order. Bytes that wait when something is about to be written, and that nobody
//! was asked for, end the conversation: from then on no reply could be matched.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};

use super::ehlo_extensions::EhloExtensions;
use super::order::{GroupReplies, ReplyOrder};
use super::reply::ReplyReader;
use crate::address::Address;
use crate::config::Deadlines;
use crate::exit::without_os_code;
use crate::outcome::{Phase, PhaseResult, Reply, phase_result};

/// How much of the body is written under one deadline (RFC 5321 §4.5.3.2.5, "data block").
const BLOCK: usize = 32 * 1024;
/// How long is looked once more when a deadline has passed.
const GLANCE: Duration = Duration::from_millis(20);
/// How long the rest of a group's replies may take once one of them ends the transaction.
const GRACE: Duration = Duration::from_secs(1);
/// How long a farewell may take; nothing depends on it.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why no reply came, or none that is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    /// Nothing came, or nothing was taken, within the deadline.
    #[error("{0}")]
    Timeout(String),
    /// The connection is over, or is to be: it ended, or what came is no reply.
    #[error("{0}")]
    Closed(String),
}

/// Who writes to whom: what MAIL and RCPT say of one message.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Whom notifications go to.
    pub sender: &'a Address,
    /// The one recipient.
    pub recipient: &'a Address,
}

impl Envelope<'_> {
    /// The phases from MAIL to the leave to write the message.
    const PHASES: [Phase; 3] = [Phase::Mail, Phase::Rcpt, Phase::Data];

    fn command(self, phase: Phase) -> String {
        match phase {
            Phase::Mail => format!("MAIL FROM:<{}>\r\n", self.sender.wire()),
            Phase::Rcpt => format!("RCPT TO:<{}>\r\n", self.recipient.wire()),
            _ => "DATA\r\n".into(),
        }
    }
}

/// Where a transaction stopped before its dot, and what was heard there.
#[derive(Debug)]
pub struct TransactionAborted {
    /// The first phase that did not succeed.
    pub phase: Phase,
    /// The reply at that phase.
    pub reply: Result<Reply, NoReply>,
    /// Whether that was the reply to a pipelined command.
    pub pipelined: bool,
    /// What the replies to the pipelined envelope say about their order.
    pub order: ReplyOrder,
}

impl TransactionAborted {
    /// What the reply means at its phase.
    #[must_use]
    pub fn result(&self) -> PhaseResult {
        phase_result(self.phase, self.reply.as_ref().ok())
    }
}

/// What came of the final dot.
#[derive(Debug)]
pub enum FinalDot {
    /// Not one byte of it was written, because of this.
    NotWritten(Result<Reply, NoReply>),
    /// It was written, at least in part; this came back.
    Written(Result<Reply, NoReply>),
}

/// A conversation with the relay, after the connection is up.
#[derive(Debug)]
pub struct Conversation<S> {
    stream: S,
    replies: ReplyReader,
    deadlines: Deadlines,
    pipelining: bool,
    /// The largest message that the relay takes.
    size: Option<usize>,
    /// The phases of an envelope that is on the wire, whose replies are still to come.
    owed: VecDeque<Phase>,
    /// Replies to such an envelope that were read before [`Self::begin`] asked for them.
    read_early: VecDeque<Result<Reply, NoReply>>,
    /// All replies to it so far, and the one to the dot that it follows.
    group: GroupReplies,
    /// Whether the reply to a pipelined command did not come in time.
    reply_timed_out: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    /// Begins a conversation on a stream that the relay will greet on.
    pub fn new(stream: S, deadlines: Deadlines) -> Self {
        Self {
            stream,
            replies: ReplyReader::default(),
            deadlines,
            pipelining: false,
            size: None,
            owed: VecDeque::new(),
            read_early: VecDeque::new(),
            group: GroupReplies::default(),
            reply_timed_out: false,
        }
    }

    /// From now on what the relay offers is made use of: commands that may stand in one write
    /// do (RFC 2920 §3.1), unless `pipelining` is off, and its limit is known.
    pub fn settle_on(&mut self, offers: &EhloExtensions, pipelining: bool) {
        self.pipelining = pipelining && offers.pipelining;
        self.size = offers.size;
    }

    /// Sends one command at a time from now on. Replies to what is on the wire are still read.
    pub fn use_lock_step(&mut self) {
        self.pipelining = false;
    }

    /// Whether the reply to a pipelined command did not come in time.
    #[must_use]
    pub fn reply_timed_out(&self) -> bool {
        self.reply_timed_out
    }

    /// The largest message that the relay takes, where it named one that this is over.
    #[must_use]
    pub fn size_limit_exceeded_by(&self, message: &[u8]) -> Option<usize> {
        self.size.filter(|it| *it < message.len())
    }

    /// Whether an envelope may follow a dot at once.
    #[must_use]
    pub fn pipelines(&self) -> bool {
        self.pipelining
    }

    /// Whether the next envelope is on the wire already, its replies still to come.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !self.owed.is_empty() || !self.read_early.is_empty()
    }

    /// Waits for the greeting.
    ///
    /// # Errors
    /// When no reply came.
    pub async fn banner(&mut self) -> Result<Reply, NoReply> {
        self.reply(Phase::Banner).await
    }

    /// Waits for the greeting, for at most `limit`.
    ///
    /// # Errors
    /// When no reply came.
    pub async fn banner_within(&mut self, limit: Duration) -> Result<Reply, NoReply> {
        let deadline = Instant::now() + limit;
        self.reply_until(deadline, limit).await
    }

    /// Says who we are, and hears what the relay offers.
    ///
    /// # Errors
    /// When no reply came.
    pub async fn ehlo(&mut self, hello: &str) -> Result<(Reply, EhloExtensions), NoReply> {
        let command = format!("EHLO {hello}\r\n");
        let reply = self.command(Phase::Ehlo, &command).await?;
        Ok((reply, EhloExtensions::read(self.replies.last_lines())))
    }

    /// Asks to begin TLS.
    ///
    /// # Errors
    /// When no reply came.
    pub async fn starttls(&mut self) -> Result<Reply, NoReply> {
        self.command(Phase::StartTls, "STARTTLS\r\n").await
    }

    /// The stream, for TLS to begin on it. What came in clear behind the 220 must not be
    /// believed afterwards, so it ends the conversation (CVE-2011-0411 and its kin).
    ///
    /// # Errors
    /// What came.
    pub async fn into_stream(mut self) -> Result<S, NoReply> {
        self.ensure_no_unsolicited_data().await?;
        Ok(self.stream)
    }

    /// One line of AUTH, which may be a secret.
    ///
    /// # Errors
    /// When no reply came.
    pub async fn auth(&mut self, line: &str) -> Result<Reply, NoReply> {
        self.command(Phase::Auth, &format!("{line}\r\n")).await
    }

    /// EhloExtensions a message by its envelope: MAIL, RCPT and DATA, up to the 354 to DATA.
    /// Where the envelope is on the wire already, only its replies are read.
    ///
    /// # Errors
    /// At the first phase that did not succeed; [`Self::clear`] then makes the connection fit
    /// for another envelope, unless it is over.
    pub async fn begin(&mut self, envelope: Envelope<'_>) -> Result<(), TransactionAborted> {
        if self.pipelining
            && !self.has_begun()
            && let Err(silence) = self.write_envelope(envelope).await
        {
            return Err(TransactionAborted {
                phase: Phase::Mail,
                reply: Err(silence),
                pipelined: true,
                order: ReplyOrder::Incomplete,
            });
        }
        for phase in Envelope::PHASES {
            let pipelined = self.has_begun();
            let reply = if pipelined {
                self.envelope_reply().await
            } else {
                self.command(phase, &envelope.command(phase)).await
            };
            if phase_result(phase, reply.as_ref().ok()) == PhaseResult::Proceed {
                continue;
            }
            let order = match &reply {
                Ok(_) if pipelined => Box::pin(self.read_envelope_replies(GRACE)).await,
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

    /// The next reply to the envelope that is on the wire.
    async fn envelope_reply(&mut self) -> Result<Reply, NoReply> {
        if let Some(heard) = self.read_early.pop_front() {
            return heard;
        }
        let Some(phase) = self.owed.front().copied() else {
            return Err(unasked("nothing"));
        };
        let heard = self.reply(phase).await;
        self.owed.pop_front();
        self.note(phase, &heard);
        heard
    }

    fn note(&mut self, phase: Phase, heard: &Result<Reply, NoReply>) {
        match heard {
            Ok(reply) => self.group.note(phase, reply),
            Err(NoReply::Timeout(_)) => self.reply_timed_out = true,
            Err(NoReply::Closed(_)) => {}
        }
    }

    /// Reads replies to the envelope that is on the wire, for at most `limit` (zero: only what has
    /// arrived), and compares them with its commands. [`Self::begin`] and [`Self::clear`] use what was read.
    pub async fn read_envelope_replies(&mut self, limit: Duration) -> ReplyOrder {
        let until = Instant::now() + limit;
        while let Some(phase) = self.owed.front().copied() {
            let heard = {
                let mut reply = pin!(self.reply(phase));
                if limit.is_zero() {
                    at_once(reply.as_mut()).await
                } else {
                    timeout_at(until, reply.as_mut()).await.ok()
                }
            };
            let Some(heard) = heard else {
                break;
            };
            self.owed.pop_front();
            self.note(phase, &heard);
            let over = heard.is_err();
            self.read_early.push_back(heard);
            if over {
                break;
            }
        }
        self.group.order()
    }

    async fn write_envelope(&mut self, envelope: Envelope<'_>) -> Result<(), NoReply> {
        self.ensure_no_unsolicited_data().await?;
        let deadline = Instant::now() + self.deadlines.of(Phase::Mail);
        let commands = Envelope::PHASES.map(|phase| envelope.command(phase));
        self.group = GroupReplies::default();
        self.owed.extend(Envelope::PHASES);
        self.write(commands.concat().as_bytes(), Phase::Mail, deadline)
            .await
    }

    /// Ends a transaction that a refusal cut short, so that the next MAIL is not taken for a
    /// second one of it; false where the conversation is over.
    ///
    /// A relay that refused the recipient may still have said 354 to the DATA behind it. The
    /// dot alone ends that, and is refused, for there is nobody to deliver to (RFC 2920 §3.1).
    pub async fn clear(&mut self) -> bool {
        let mut waits_for_the_message = false;
        while self.has_begun() {
            match self.envelope_reply().await {
                Ok(reply) if reply.code != 421 => waits_for_the_message = reply.code == 354,
                _ => return false,
            }
        }
        if waits_for_the_message {
            let heard = self.command(Phase::Dot, ".\r\n").await;
            return heard.is_ok_and(|it| matches!(it.class(), 4 | 5) && it.code != 421);
        }
        let heard = self.command(Phase::Rset, "RSET\r\n").await;
        phase_result(Phase::Rset, heard.as_ref().ok()) == PhaseResult::Proceed
    }

    /// Writes the message up to its last line, without the dot.
    ///
    /// # Errors
    /// When it could not be written whole, or the relay did not wait for its end to speak; the
    /// relay has certainly not accepted it then.
    pub async fn body(&mut self, message: &[u8]) -> Result<(), TransactionAborted> {
        let written = self.write_message(message).await;
        // A relay may refuse a message in the middle, and close: what it said must not be lost to
        // the broken pipe that follows.
        let reply = match (self.interruption().await, written) {
            (None, Ok(())) => return Ok(()),
            (Some(Ok(reply)), _) => Ok(reply),
            (_, Err(silence)) | (Some(Err(silence)), Ok(())) => Err(silence),
        };
        Err(TransactionAborted {
            phase: Phase::Body,
            reply,
            pipelined: false,
            order: ReplyOrder::Fits,
        })
    }

    async fn write_message(&mut self, message: &[u8]) -> Result<(), NoReply> {
        let deadline = self.deadlines.of(Phase::Body);
        for block in dot_stuffed(message).chunks(BLOCK) {
            let write = async {
                self.stream.write_all(block).await?;
                self.stream.flush().await
            };
            timeout(deadline, write)
                .await
                .map_err(|_| overdue("did not take the message", deadline))?
                .map_err(|error| lost(&error))?;
        }
        Ok(())
    }

    /// What the relay says, or that it goes, before it was given the dot; `None` where it waits.
    async fn interruption(&mut self) -> Option<Result<Reply, NoReply>> {
        if !self.replies.holds_more() {
            match self.read_what_waits().await? {
                Ok(0) => return Some(Err(closed())),
                Ok(_) => {}
                Err(error) => return Some(Err(lost(&error))),
            }
        }
        let reply = self.reply(Phase::Body).await;
        Some(reply.and_then(|reply| match reply.class() {
            4 | 5 => Ok(reply),
            _ => Err(unasked(&reply.to_string())),
        }))
    }

    /// Whether the conversation still ensure_no_unsolicited_data: nothing came that nobody was asked for.
    ///
    /// # Errors
    /// What came, or that the relay closed the connection.
    pub async fn ensure_no_unsolicited_data(&mut self) -> Result<(), NoReply> {
        if !self.replies.holds_more() {
            match self.read_what_waits().await {
                None => return Ok(()),
                Some(Ok(0)) => return Err(closed()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(lost(&error)),
            }
        }
        let what = match self.replies.take() {
            Ok(Some(reply)) => reply.to_string(),
            _ => "something that is no reply".into(),
        };
        Err(unasked(&what))
    }

    /// Writes the terminating dot and waits for the verdict. The envelope of the message that
    /// comes `ahead` goes out in the same write, where the relay pipelines; [`Self::begin`]
    /// then reads its replies.
    pub async fn dot(&mut self, ahead: Option<Envelope<'_>>) -> FinalDot {
        if let Some(heard) = self.interruption().await {
            return FinalDot::NotWritten(heard);
        }
        let mut bytes = ".\r\n".to_owned();
        if let Some(envelope) = ahead.filter(|_| self.pipelining) {
            for phase in Envelope::PHASES {
                bytes += &envelope.command(phase);
            }
            self.group = GroupReplies::default();
            self.owed.extend(Envelope::PHASES);
        }
        let limit = self.deadlines.of(Phase::Dot);
        let deadline = Instant::now() + limit;
        let answer = match self.write(bytes.as_bytes(), Phase::Dot, deadline).await {
            Ok(()) => self.reply_until(deadline, limit).await,
            Err(silence) => Err(silence),
        };
        if let Ok(reply) = &answer {
            self.group.note(Phase::Dot, reply);
        }
        FinalDot::Written(answer)
    }

    /// Says goodbye; whether the relay answers does not matter.
    pub async fn quit(mut self) {
        let farewell = async {
            if self.ensure_no_unsolicited_data().await.is_ok() {
                let _ = self.stream.write_all(b"QUIT\r\n").await;
                let _ = self.stream.flush().await;
                let _ = self.reply(Phase::Rset).await;
            }
            let _ = self.stream.shutdown().await;
        };
        let _ = timeout(FAREWELL, farewell).await;
    }

    async fn command(&mut self, phase: Phase, command: &str) -> Result<Reply, NoReply> {
        self.ensure_no_unsolicited_data().await?;
        let limit = self.deadlines.of(phase);
        let deadline = Instant::now() + limit;
        self.write(command.as_bytes(), phase, deadline).await?;
        self.reply_until(deadline, limit).await
    }

    async fn write(
        &mut self,
        bytes: &[u8],
        phase: Phase,
        deadline: Instant,
    ) -> Result<(), NoReply> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        timeout_at(deadline, write)
            .await
            .map_err(|_| overdue("did not read", self.deadlines.of(phase)))?
            .map_err(|error| lost(&error))
    }

    async fn reply(&mut self, phase: Phase) -> Result<Reply, NoReply> {
        let limit = self.deadlines.of(phase);
        self.reply_until(Instant::now() + limit, limit).await
    }

    /// The deadline is that of the whole reply, not of each piece of it; `limit` is its length,
    /// for the message.
    async fn reply_until(&mut self, deadline: Instant, limit: Duration) -> Result<Reply, NoReply> {
        let read = async {
            let mut piece = [0; 4096];
            loop {
                let taken = self.replies.take();
                let taken = taken
                    .map_err(|it| NoReply::Closed(format!("the relay sent no SMTP reply: {it}")))?;
                if let Some(reply) = taken {
                    return Ok(reply);
                }
                match self.stream.read(&mut piece).await {
                    Ok(0) => return Err(closed()),
                    Ok(read) => self.replies.push(&piece[..read]),
                    Err(error) => return Err(lost(&error)),
                }
            }
        };
        let overdue = overdue("did not answer", limit);
        tokio::pin!(read);
        if let Ok(heard) = timeout_at(deadline, &mut read).await {
            return heard;
        }
        // A process that was stopped, and goes on when the time is up, may not have seen yet
        // what came meanwhile.
        timeout(GLANCE, read).await.unwrap_or(Err(overdue))
    }

    /// Reads without waiting; `None` where nothing is there.
    async fn read_what_waits(&mut self) -> Option<io::Result<usize>> {
        let mut piece = [0; 4096];
        let mut buffer = ReadBuf::new(&mut piece);
        let result = poll_fn(|context| {
            let polled = Pin::new(&mut self.stream).poll_read(context, &mut buffer);
            Poll::Ready(match polled {
                Poll::Pending => None,
                Poll::Ready(result) => Some(result),
            })
        })
        .await?;
        let read = buffer.filled();
        self.replies.push(read);
        Some(result.map(|()| read.len()))
    }
}

/// What the work gives without waiting, not even for a tick of the timer.
async fn at_once<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| {
        Poll::Ready(match work.as_mut().poll(context) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        })
    })
    .await
}

fn overdue(what: &str, deadline: Duration) -> NoReply {
    NoReply::Timeout(format!("the relay {what} within {}", seconds(deadline)))
}

/// `30 s`, or `2.5 s`.
pub(super) fn seconds(span: Duration) -> String {
    if span.subsec_millis() == 0 {
        format!("{} s", span.as_secs())
    } else {
        format!("{:.1} s", span.as_secs_f64())
    }
}

fn unasked(what: &str) -> NoReply {
    NoReply::Closed(format!("the relay said what nobody asked for: {what}"))
}

fn closed() -> NoReply {
    NoReply::Closed("the relay closed the connection".into())
}

fn lost(error: &io::Error) -> NoReply {
    NoReply::Closed(format!(
        "the connection was lost: {}",
        without_os_code(error)
    ))
}

/// The message with a second dot before each line that begins with one (RFC 5321 §4.5.2),
/// ending with CRLF, so that the terminating dot ensure_no_unsolicited_data at the beginning of a line.
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
    fn dots_at_the_beginning_of_lines_are_doubled_and_the_end_is_a_line_s_end() {
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

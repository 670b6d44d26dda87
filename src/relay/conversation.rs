//! One SMTP conversation over any stream: each phase writes, waits for its reply
//! within its own deadline, and returns what was heard. What that means is decided
//! elsewhere ([`crate::outcome`]).
//!
//! Bytes that wait when a command is about to be written, and that nobody was asked
//! for, end the conversation: from then on no reply could be matched to its command.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};

use super::offers::Offers;
use super::reply::ReplyReader;
use crate::address::Address;
use crate::config::Deadlines;
use crate::outcome::{Phase, Reply};

/// How much of the body is written under one deadline (RFC 5321 §4.5.3.2.5, "data block").
const BLOCK: usize = 32 * 1024;
/// How long a farewell may take; nothing depends on it.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why no reply came, or none that is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Silence(pub String);

/// What came of the final dot.
#[derive(Debug)]
pub enum Dot {
    /// Not one byte of it was written.
    NotWritten(Silence),
    /// It was written, at least in part; this came back.
    Written(Result<Reply, Silence>),
}

/// A conversation with the relay, after the connection is up.
#[derive(Debug)]
pub struct Conversation<S> {
    stream: S,
    replies: ReplyReader,
    deadlines: Deadlines,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    /// Begins a conversation on a stream that the relay will greet on.
    pub fn new(stream: S, deadlines: Deadlines) -> Self {
        Self {
            stream,
            replies: ReplyReader::default(),
            deadlines,
        }
    }

    /// Waits for the greeting.
    ///
    /// # Errors
    /// When no reply came.
    pub async fn banner(&mut self) -> Result<Reply, Silence> {
        self.reply(Phase::Banner).await
    }

    /// Says who we are, and hears what the relay offers.
    ///
    /// # Errors
    /// When no reply came.
    pub async fn ehlo(&mut self, hello: &str) -> Result<(Reply, Offers), Silence> {
        let command = format!("EHLO {hello}\r\n");
        let reply = self.command(Phase::Ehlo, &command).await?;
        Ok((reply, Offers::read(self.replies.last_lines())))
    }

    /// Asks to begin TLS.
    ///
    /// # Errors
    /// When no reply came.
    pub async fn starttls(&mut self) -> Result<Reply, Silence> {
        self.command(Phase::StartTls, "STARTTLS\r\n").await
    }

    /// The stream, for TLS to begin on it. What came in clear behind the 220 must not be
    /// believed afterwards, so it ends the conversation (CVE-2011-0411 and its kin).
    ///
    /// # Errors
    /// What came.
    pub async fn into_stream(mut self) -> Result<S, Silence> {
        self.stands().await?;
        Ok(self.stream)
    }

    /// One line of AUTH, which may be a secret.
    ///
    /// # Errors
    /// When no reply came.
    pub async fn auth(&mut self, line: &str) -> Result<Reply, Silence> {
        self.command(Phase::Auth, &format!("{line}\r\n")).await
    }

    /// Names the envelope's sender.
    ///
    /// # Errors
    /// When no reply came.
    pub async fn mail(&mut self, sender: &Address) -> Result<Reply, Silence> {
        let command = format!("MAIL FROM:<{}>\r\n", sender.wire());
        self.command(Phase::Mail, &command).await
    }

    /// Names the one recipient.
    ///
    /// # Errors
    /// When no reply came.
    pub async fn rcpt(&mut self, recipient: &Address) -> Result<Reply, Silence> {
        let command = format!("RCPT TO:<{}>\r\n", recipient.wire());
        self.command(Phase::Rcpt, &command).await
    }

    /// Asks to send the message.
    ///
    /// # Errors
    /// When no reply came.
    pub async fn data(&mut self) -> Result<Reply, Silence> {
        self.command(Phase::Data, "DATA\r\n").await
    }

    /// Writes the message up to its last line, without the dot.
    ///
    /// # Errors
    /// When it could not be written whole; the relay has certainly not accepted it then.
    pub async fn body(&mut self, message: &[u8]) -> Result<(), Silence> {
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

    /// Whether the conversation still stands: nothing came that nobody was asked for.
    ///
    /// # Errors
    /// What came, or that the relay closed the connection.
    pub async fn stands(&mut self) -> Result<(), Silence> {
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
        Err(Silence(format!(
            "the relay said what nobody asked for: {what}"
        )))
    }

    /// Writes the terminating dot and waits for the verdict.
    pub async fn dot(&mut self) -> Dot {
        if let Err(silence) = self.stands().await {
            return Dot::NotWritten(silence);
        }
        let deadline = Instant::now() + self.deadlines.of(Phase::Dot);
        let answer = match self.write(b".\r\n", Phase::Dot, deadline).await {
            Ok(()) => self.reply_until(Phase::Dot, deadline).await,
            Err(silence) => Err(silence),
        };
        Dot::Written(answer)
    }

    /// Takes back a transaction after a refusal.
    ///
    /// # Errors
    /// When no reply came.
    pub async fn rset(&mut self) -> Result<Reply, Silence> {
        self.command(Phase::Rset, "RSET\r\n").await
    }

    /// Says goodbye; whether the relay answers does not matter.
    pub async fn quit(mut self) {
        let farewell = async {
            if self.stands().await.is_ok() {
                let _ = self.stream.write_all(b"QUIT\r\n").await;
                let _ = self.stream.flush().await;
                let _ = self.reply(Phase::Rset).await;
            }
            let _ = self.stream.shutdown().await;
        };
        let _ = timeout(FAREWELL, farewell).await;
    }

    async fn command(&mut self, phase: Phase, command: &str) -> Result<Reply, Silence> {
        self.stands().await?;
        let deadline = Instant::now() + self.deadlines.of(phase);
        self.write(command.as_bytes(), phase, deadline).await?;
        self.reply_until(phase, deadline).await
    }

    async fn write(
        &mut self,
        bytes: &[u8],
        phase: Phase,
        deadline: Instant,
    ) -> Result<(), Silence> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        timeout_at(deadline, write)
            .await
            .map_err(|_| overdue("did not read", self.deadlines.of(phase)))?
            .map_err(|error| lost(&error))
    }

    async fn reply(&mut self, phase: Phase) -> Result<Reply, Silence> {
        let deadline = Instant::now() + self.deadlines.of(phase);
        self.reply_until(phase, deadline).await
    }

    /// The deadline is that of the whole reply, not of each piece of it.
    async fn reply_until(&mut self, phase: Phase, deadline: Instant) -> Result<Reply, Silence> {
        let read = async {
            let mut piece = [0; 4096];
            loop {
                let taken = self.replies.take();
                let taken =
                    taken.map_err(|it| Silence(format!("the relay sent no SMTP reply: {it}")))?;
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
        timeout_at(deadline, read)
            .await
            .unwrap_or_else(|_| Err(overdue("did not answer", self.deadlines.of(phase))))
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

fn overdue(what: &str, deadline: Duration) -> Silence {
    Silence(format!("the relay {what} within {} s", deadline.as_secs()))
}

fn closed() -> Silence {
    Silence("the relay closed the connection".into())
}

fn lost(error: &io::Error) -> Silence {
    Silence(format!("the connection was lost: {error}"))
}

/// The message with a second dot before each line that begins with one (RFC 5321 §4.5.2),
/// ending with CRLF, so that the terminating dot stands at the beginning of a line.
fn dot_stuffed(message: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(message.len() + 64);
    for line in message.split_inclusive(|it| *it == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    if !stuffed.ends_with(b"\r\n") {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed
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
            assert_eq!(dot_stuffed(message), expected);
        }
    }
}

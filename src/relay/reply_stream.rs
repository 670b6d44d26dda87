//! Bytes to the relay and replies from it, each with a deadline.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::error::NoReply;
use super::reply::ReplyReader;
use crate::outcome::Reply;

/// Grace period for reading after a deadline.
const GRACE: Duration = Duration::from_millis(20);

/// A deadline and its original duration.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Instant,
    limit: Duration,
}

impl Deadline {
    /// A deadline `limit` from now.
    pub fn after(limit: Duration) -> Self {
        let at = Instant::now() + limit;
        Self { at, limit }
    }
}

/// A stream to the relay. Each write is flushed.
#[derive(Debug)]
pub struct ReplyStream<S> {
    stream: S,
    replies: ReplyReader,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ReplyStream<S> {
    /// Replies are read from `stream`.
    pub fn new(stream: S) -> Self {
        let replies = ReplyReader::default();
        Self { stream, replies }
    }

    /// The stream itself. Received but unread data is lost.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// The lines of the last reply.
    pub fn last_lines(&self) -> &[String] {
        self.replies.last_lines()
    }

    /// Writes all bytes.
    pub async fn write(&mut self, bytes: &[u8], deadline: Deadline) -> Result<(), NoReply> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        timeout_at(deadline.at, write)
            .await
            .map_err(|_| NoReply::timeout("did not read the data", deadline.limit))?
            .map_err(|error| NoReply::lost(&error))
    }

    /// The next reply. The deadline is that of the whole reply, not of each piece.
    pub async fn reply(&mut self, deadline: Deadline) -> Result<Reply, NoReply> {
        let read = async {
            let mut piece = [0; 4096];
            loop {
                let reply = self.replies.take().map_err(|error| {
                    NoReply::Closed(format!("the relay sent no SMTP reply: {error}"))
                })?;
                if let Some(reply) = reply {
                    return Ok(reply);
                }
                match self.stream.read(&mut piece).await {
                    Ok(0) => return Err(NoReply::closed()),
                    Ok(read) => self.replies.push(&piece[..read]),
                    Err(error) => return Err(NoReply::lost(&error)),
                }
            }
        };
        let mut read = pin!(read);
        if let Ok(reply) = timeout_at(deadline.at, &mut read).await {
            return reply;
        }
        // A process that was suspended past the deadline may have unread data.
        let overdue = NoReply::timeout("did not answer", deadline.limit);
        timeout(GRACE, read).await.unwrap_or(Err(overdue))
    }

    /// Fails if the relay sent unsolicited data or closed the connection, because later replies could not be matched
    /// to commands.
    pub async fn ensure_no_unsolicited_data(&mut self) -> Result<(), NoReply> {
        if !self.has_data().await? {
            return Ok(());
        }
        let what = match self.replies.take() {
            Ok(Some(reply)) => reply.to_string(),
            _ => "something that is not a reply".into(),
        };
        Err(NoReply::unsolicited(&what))
    }

    /// Whether data has arrived after the last reply that was returned.
    pub async fn has_data(&mut self) -> Result<bool, NoReply> {
        if self.replies.holds_more() {
            return Ok(true);
        }
        let mut piece = [0; 4096];
        match at_once(self.stream.read(&mut piece)).await {
            None => Ok(false),
            Some(Ok(0)) => Err(NoReply::closed()),
            Some(Ok(read)) => {
                self.replies.push(&piece[..read]);
                Ok(true)
            }
            Some(Err(error)) => Err(NoReply::lost(&error)),
        }
    }

    /// Closes the connection for writing.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }
}

/// The result of a future that is ready now; `timeout` would wait for the next tick of its timer.
pub async fn at_once<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| {
        Poll::Ready(match work.as_mut().poll(context) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        })
    })
    .await
}

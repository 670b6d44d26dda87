//! The byte stream below a conversation: a socket, TLS, or a pipe of the simulation.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes of a peer that speaks no TLS are kept for the message.
const FIRST_BYTES: usize = 120;

/// What a conversation is held over.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A stream that keeps the first bytes that were read from it, for the message if they prove not
/// to be TLS.
pub struct FirstBytes {
    inner: Box<dyn Wire>,
    first: Arc<Mutex<Vec<u8>>>,
    full: bool,
}

impl FirstBytes {
    /// The stream, and where its first bytes will be.
    pub fn of(inner: Box<dyn Wire>) -> (Self, Arc<Mutex<Vec<u8>>>) {
        let first = Arc::new(Mutex::new(Vec::new()));
        let stream = Self {
            inner,
            first: first.clone(),
            full: false,
        };
        (stream, first)
    }
}

impl fmt::Debug for FirstBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstBytes").finish_non_exhaustive()
    }
}

impl AsyncRead for FirstBytes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        if !self.full && polled.is_ready() {
            let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
            let room = FIRST_BYTES.saturating_sub(first.len());
            let read = &buffer.filled()[before..];
            first.extend_from_slice(&read[..read.len().min(room)]);
            let full = first.len() == FIRST_BYTES;
            drop(first);
            self.full = full;
        }
        polled
    }
}

impl AsyncWrite for FirstBytes {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

//! The byte stream below a conversation: a socket, TLS, or a pipe of the simulation.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes of a peer that does not use TLS are kept for the error message.
const FIRST_BYTES: usize = 120;

/// The stream that a conversation needs.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A stream that keeps the first bytes that were read, for the error message if they are not TLS.
pub struct FirstBytes {
    inner: Box<dyn Wire>,
    first: Arc<Mutex<Vec<u8>>>,
}

impl FirstBytes {
    /// The stream, and its first bytes.
    pub fn of(inner: Box<dyn Wire>) -> (Self, Arc<Mutex<Vec<u8>>>) {
        let first = Arc::new(Mutex::new(Vec::new()));
        let stream = Self {
            inner,
            first: first.clone(),
        };
        (stream, first)
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
        let mut first = self.first.lock();
        let read = &buffer.filled()[before..];
        let wanted = FIRST_BYTES.saturating_sub(first.len()).min(read.len());
        first.extend_from_slice(&read[..wanted]);
        drop(first);
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

//! The relay of `send --sandbox`: a small SMTP server on the loopback, inside the process.
//!
//! It accepts everything and delivers nothing. It keeps each message before it replies, so every message that
//! the sender counts as accepted was kept. Only this process connects to it, so it does not check the order
//! of commands.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The longest command line and the largest message.
const LINE_LIMIT: u64 = 4 * 1024;
const MESSAGE_LIMIT: usize = 16 * 1024 * 1024;

/// Keeps a message, given without dot-stuffing.
pub type Keep = dyn Fn(&[u8]) -> io::Result<()> + Send + Sync;

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Sandbox {
    /// The port that it listens on.
    pub port: u16,
    accepting: JoinHandle<()>,
}

impl Sandbox {
    /// Starts to listen on a free port of the loopback.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start(keep: Arc<Keep>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let keep = keep.clone();
                tokio::spawn(async move {
                    // A lost connection concerns only the sender.
                    let _ = converse(stream, &*keep).await;
                });
            }
        });
        Ok(Self { port, accepting })
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn converse(stream: TcpStream, keep: &Keep) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut reply = "220 sandbox ESMTP, nothing leaves this machine";
    loop {
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        let Some(line) = read_line(&mut stream).await? else {
            return Ok(());
        };
        let line = String::from_utf8_lossy(&line).to_ascii_uppercase();
        let verb = line.trim_end().split([' ', ':']).next();
        reply = match verb.unwrap_or_default() {
            "EHLO" => "250-sandbox\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES",
            "HELO" | "RSET" | "NOOP" => "250 2.0.0 ok",
            "MAIL" => "250 2.1.0 sender ok",
            "RCPT" => "250 2.1.5 recipient ok",
            "DATA" => {
                stream.write_all(b"354 end with a dot\r\n").await?;
                match read_message(&mut stream).await? {
                    None => return Ok(()),
                    Some(message) if keep(&message).is_ok() => "250 2.0.0 kept in the sandbox",
                    Some(_) => "452 4.3.1 the sandbox cannot keep the message",
                }
            }
            "QUIT" => return stream.write_all(b"221 2.0.0 bye\r\n").await,
            _ => "500 5.5.2 unknown command",
        };
    }
}

/// One line with its end; `None` if the sender closed the connection.
async fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    stream.take(LINE_LIMIT).read_until(b'\n', &mut line).await?;
    Ok(line.ends_with(b"\n").then_some(line))
}

/// The lines up to the final dot, without dot-stuffing.
async fn read_message(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let mut message = Vec::new();
    while let Some(line) = read_line(stream).await? {
        if line == b".\r\n" {
            return Ok(Some(message));
        }
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        if message.len() > MESSAGE_LIMIT {
            return Ok(None);
        }
    }
    Ok(None)
}

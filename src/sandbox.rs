//! The rehearsal's relay: a small SMTP server on the loopback, inside the process.
//!
//! It takes everything, delivers nothing, and hands each message to its owner before
//! it answers, so what the sender counts as accepted has been kept.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The longest command line and the largest message.
const LINE_LIMIT: u64 = 4 * 1024;
const MESSAGE_LIMIT: usize = 16 * 1024 * 1024;

/// Keeps a message, given without its dots doubled.
pub type Keep = dyn Fn(&[u8]) -> io::Result<()> + Send + Sync;

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Sandbox {
    port: u16,
    accepting: JoinHandle<()>,
}

impl Sandbox {
    /// Starts to listen on a free port of the loopback.
    ///
    /// # Errors
    /// When there is none to be had.
    pub async fn start(keep: Arc<Keep>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let keep = keep.clone();
                tokio::spawn(async move {
                    // A sender that goes away in the middle is its own matter.
                    let _ = converse(stream, &*keep).await;
                });
            }
        });
        Ok(Self { port, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// How far a transaction has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Nothing,
    Mail,
    Rcpt,
}

async fn converse(stream: TcpStream, keep: &Keep) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut stage = Stage::Nothing;
    let mut reply = "220 sandbox ESMTP, nothing leaves this machine";
    loop {
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        let Some(line) = read_line(&mut stream).await? else {
            return Ok(());
        };
        let line = String::from_utf8_lossy(&line)
            .trim_end()
            .to_ascii_uppercase();
        let verb = line.split([' ', ':']).next().unwrap_or_default();
        reply = match (verb, stage) {
            ("EHLO", _) => {
                stage = Stage::Nothing;
                "250-sandbox\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES"
            }
            ("HELO" | "RSET", _) => {
                stage = Stage::Nothing;
                "250 2.0.0 sandbox"
            }
            ("NOOP", _) => "250 2.0.0 still here",
            ("MAIL", Stage::Nothing) => {
                stage = Stage::Mail;
                "250 2.1.0 sender taken"
            }
            ("RCPT", Stage::Mail | Stage::Rcpt) => {
                stage = Stage::Rcpt;
                "250 2.1.5 recipient taken"
            }
            ("DATA", Stage::Rcpt) => {
                stream.write_all(b"354 end with a dot\r\n").await?;
                stage = Stage::Nothing;
                match read_message(&mut stream).await? {
                    None => return Ok(()),
                    Some(message) if keep(&message).is_ok() => "250 2.0.0 kept in the sandbox",
                    Some(_) => "452 4.3.1 the sandbox could not keep it",
                }
            }
            ("QUIT", _) => return stream.write_all(b"221 2.0.0 bye\r\n").await,
            ("MAIL" | "RCPT" | "DATA", _) => "503 5.5.1 not now",
            _ => "500 5.5.2 what?",
        };
    }
}

/// One line with its end; `None` where the sender has gone.
async fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    stream.take(LINE_LIMIT).read_until(b'\n', &mut line).await?;
    Ok(line.ends_with(b"\n").then_some(line))
}

/// The lines up to the dot, with doubled dots taken back.
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

//! A relay that wants STARTTLS and a login, or pretends to: what it offers, what it takes and
//! what it slips in are fields. It notes every line it reads, and whether that came in clear.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How the relay behaves.
#[derive(Clone, Default)]
pub struct Manners {
    /// TLS, by STARTTLS; without it the relay only knows clear text.
    pub tls: Option<Arc<ServerConfig>>,
    /// TLS from the first byte.
    pub implicit: bool,
    /// The reply to STARTTLS in place of `220 go`.
    pub starttls_reply: Option<&'static str>,
    /// Sent in clear together with the 220.
    pub injected: &'static str,
    /// The mechanisms offered under TLS.
    pub mechanisms: &'static str,
    /// The only response (base64, without the mechanism) that is taken, for all mechanisms.
    pub takes: String,
    /// The reply to a wrong response.
    pub refusal: &'static str,
    /// The JSON of the challenge before an XOAUTH2 refusal.
    pub challenge: &'static str,
    /// Replies to MAIL, DATA's dot … by the command's first word; 250 otherwise.
    pub replies: Vec<(&'static str, &'static str)>,
    /// Hang up after so many messages on a connection.
    pub messages_per_connection: Option<usize>,
}

/// A line that was read.
#[derive(Clone, Debug)]
pub struct Heard {
    pub connection: usize,
    pub in_clear: bool,
    pub line: String,
}

/// The running relay.
pub struct Gate {
    port: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
    accepted: Arc<Mutex<Vec<String>>>,
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Gate {
    pub fn open(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let accepted: Arc<Mutex<Vec<String>>> = Arc::default();
        let closing = Arc::new(AtomicBool::new(false));
        let (log, taken, end) = (heard.clone(), accepted.clone(), closing.clone());
        let thread = std::thread::spawn(move || {
            let mut visitors = Vec::new();
            for (connection, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { break };
                if end.load(Ordering::SeqCst) {
                    break;
                }
                let visit = Visit {
                    connection,
                    manners: manners.clone(),
                    heard: log.clone(),
                    accepted: taken.clone(),
                };
                // A client that goes away is what some of the tests are about.
                visitors.push(std::thread::spawn(move || {
                    visit.receive(&stream).unwrap_or(());
                }));
            }
            for visitor in visitors {
                let _ = visitor.join();
            }
        });
        Self {
            port,
            heard,
            accepted,
            closing,
            thread: Some(thread),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("no panic").clone()
    }

    /// The recipients of the messages taken.
    pub fn accepted(&self) -> Vec<String> {
        self.accepted.lock().expect("no panic").clone()
    }

    /// How many lines began with this word.
    pub fn count(&self, word: &str) -> usize {
        let heard = self.heard();
        heard.iter().filter(|it| it.line.starts_with(word)).count()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

struct Visit {
    connection: usize,
    manners: Manners,
    heard: Arc<Mutex<Vec<Heard>>>,
    accepted: Arc<Mutex<Vec<String>>>,
}

impl Visit {
    fn receive(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.set_nodelay(true)?;
        let manners = &self.manners;
        let mut in_clear = !manners.implicit;
        let secured = |stream: TcpStream| -> io::Result<Box<dyn Wire>> {
            let tls = manners
                .tls
                .clone()
                .ok_or_else(|| io::Error::other("no TLS"))?;
            let session = ServerConnection::new(tls).map_err(io::Error::other)?;
            Ok(Box::new(StreamOwned::new(session, stream)))
        };
        let mut wire: Box<dyn Wire> = if manners.implicit {
            secured(stream.try_clone()?)?
        } else {
            Box::new(stream.try_clone()?)
        };
        wire.write_all(b"220 gate ESMTP\r\n")?;
        let mut recipient = String::new();
        let mut messages = 0;
        loop {
            wire.flush()?;
            let line = self.hear(&mut *wire, in_clear)?;
            let word = line
                .split([' ', ':'])
                .next()
                .unwrap_or_default()
                .to_ascii_uppercase();
            let scripted = manners.replies.iter().find(|(it, _)| *it == word);
            let reply = match (word.as_str(), scripted) {
                ("STARTTLS", _) => {
                    let reply = manners.starttls_reply.unwrap_or("220 go");
                    // In one write, so that what is injected arrives with the 220.
                    let all = format!("{reply}\r\n{}", manners.injected);
                    wire.write_all(all.as_bytes())?;
                    if reply.starts_with("220") {
                        wire = secured(stream.try_clone()?)?;
                        in_clear = false;
                    }
                    continue;
                }
                ("EHLO", None) => {
                    let mut lines = vec!["250-gate".to_owned()];
                    if in_clear && manners.tls.is_some() {
                        lines.push("250-starttls".into());
                    }
                    if !manners.mechanisms.is_empty() && !in_clear {
                        lines.push(format!("250-AUTH {}", manners.mechanisms));
                    }
                    lines.push("250 8BITMIME".into());
                    lines.join("\r\n")
                }
                ("AUTH", _) => self.log_in(&mut *wire, &line, in_clear)?,
                (_, Some((_, reply))) if word != "DATA" => (*reply).to_owned(),
                ("RCPT", _) => {
                    let to = line.split(['<', '>']).nth(1).unwrap_or_default();
                    to.clone_into(&mut recipient);
                    "250 2.1.5 ok".into()
                }
                ("DATA", _) => {
                    wire.write_all(b"354 go\r\n")?;
                    wire.flush()?;
                    while read_line(&mut *wire)? != "." {}
                    messages += 1;
                    let reply = scripted.map_or("250 2.0.0 taken", |(_, reply)| reply);
                    if reply.starts_with('2') {
                        self.accepted
                            .lock()
                            .expect("no panic")
                            .push(recipient.clone());
                    }
                    if manners.messages_per_connection == Some(messages) {
                        write!(wire, "{reply}\r\n")?;
                        wire.flush()?;
                        return Ok(());
                    }
                    reply.to_owned()
                }
                ("QUIT", _) => return wire.write_all(b"221 bye\r\n").and_then(|()| wire.flush()),
                _ => "250 2.0.0 ok".into(),
            };
            write!(wire, "{reply}\r\n")?;
        }
    }

    fn log_in(&self, wire: &mut dyn Wire, line: &str, in_clear: bool) -> io::Result<String> {
        let mut words = line.split(' ').skip(1);
        let mechanism = words.next().unwrap_or_default().to_ascii_uppercase();
        let mut response = words.next().unwrap_or_default().to_owned();
        if mechanism == "LOGIN" {
            let mut parts = Vec::new();
            for prompt in ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"] {
                write!(wire, "334 {prompt}\r\n")?;
                wire.flush()?;
                parts.push(self.hear(wire, in_clear)?);
            }
            response = parts.join(" ");
        }
        if response == self.manners.takes {
            return Ok("235 2.7.0 welcome".into());
        }
        if mechanism == "XOAUTH2" && !self.manners.challenge.is_empty() {
            write!(wire, "334 {}\r\n", self.manners.challenge)?;
            wire.flush()?;
            self.hear(wire, in_clear)?;
        }
        Ok(self.manners.refusal.into())
    }

    fn hear(&self, wire: &mut dyn Wire, in_clear: bool) -> io::Result<String> {
        let line = read_line(wire)?;
        self.heard.lock().expect("no panic").push(Heard {
            connection: self.connection,
            in_clear,
            line: line.clone(),
        });
        Ok(line)
    }
}

fn read_line(wire: &mut dyn Wire) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        wire.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    line.truncate(line.len() - 2);
    Ok(String::from_utf8_lossy(&line).into_owned())
}

//! An SMTP server on a real socket that misbehaves by a script.
//!
//! At every stage of every connection the script gets a `Call` and returns an `Action`; `Normal` is a
//! correct server that offers PIPELINING, and under TLS a login if its `Setup` has one. It records what the
//! client did: the accepted messages, the commands, every byte on the wire, and every
//! breach of RFC 5321 as a violation. Invariant: a message is in `accepted()`, and on the
//! disk in `synced()`, before the first byte of the reply to its dot is sent. Dropping the server ends
//! every thread and connection; a panic in the script then fails the test.

pub mod gate;
mod journal;
mod session;
mod wire;

use std::any::Any;
use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use socket2::SockRef;

use self::gate::Gate;
pub use self::journal::Accepted;
use self::journal::Journal;
use self::wire::Over;

/// The stage of a conversation. HELO, NOOP and unknown commands are not scripted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Connected, before any TLS handshake. A reply is sent in clear.
    Connect,
    /// Connected, and after the handshake of implicit TLS.
    Banner,
    /// EHLO was received.
    Ehlo,
    /// STARTTLS was received. Any 2yz starts TLS.
    StartTls,
    /// A line of AUTH was received: the command, or the answer to a 334.
    Auth,
    /// MAIL was received.
    Mail,
    /// RCPT was received.
    Rcpt,
    /// DATA was received.
    Data,
    /// The 354 was sent, nothing of the message is read.
    Body,
    /// The message was received, with its final dot.
    Dot,
    /// RSET was received.
    Rset,
    /// QUIT was received; the connection ends after any answer.
    Quit,
}

const STAGES: usize = Stage::Quit as usize + 1;

/// The argument of the script.
#[derive(Debug)]
pub struct Call<'a> {
    /// The stage.
    pub stage: Stage,
    /// The number of the connection, from 0.
    pub connection: usize,
    /// At `Rcpt` the recipient, at `Data`, `Body` and `Dot` the last accepted one, `None` if a
    /// pipelining client sent DATA before it knew that nobody was accepted; otherwise `None`.
    pub recipient: Option<&'a str>,
    /// The client's last command.
    pub line: &'a str,
    /// How often this stage was reached before, on all connections.
    pub nth: usize,
    /// How often this stage was reached before on this connection.
    pub here: usize,
}

/// The action of the server at a stage.
#[derive(Clone, Debug)]
pub enum Action {
    /// Write these bytes, CRLF included, instead of the normal reply. A 2yz or 3yz reply has the normal
    /// effect (at `Dot` only 2yz: the message is accepted), any other none.
    Reply(Vec<u8>),
    /// As `Reply`, then a FIN (over TLS a `close_notify` first). As with `Close`, a client that writes again
    /// may read either the end or `ConnectionReset`.
    ReplyThenClose(Vec<u8>),
    /// As `Reply`, then that. `ReplyThen(b"250 2.0.", Close)` truncates a reply.
    ReplyThen(Vec<u8>, Box<Action>),
    /// As `Reply`, but a byte at a time, with this pause before each.
    Drip(Duration, Vec<u8>),
    /// A reply line without end, until the client disconnects.
    Endless,
    /// A FIN without an answer, over TLS without a `close_notify`. Bytes that the client sends later are answered
    /// by an RST, so at `Body` it may get either.
    Close,
    /// An RST without an answer.
    Reset,
    /// Never answer, until the client disconnects or the server is dropped. Further bytes of the client are
    /// read up to 64 KiB, or not at all if the setup has a window, so that a large body
    /// blocks. A client that sent more is noticed only if it resets.
    Stall,
    /// Apply the normal effect (at `Dot`: accept the message), then perform this action.
    AcceptThen(Box<Action>),
    /// At `Body`: close after this many bytes of it; a shorter body continues to `Dot`. As with a server that
    /// crashes during the body, the client gets a FIN or an RST. At other stages the same as `Close`.
    CloseAfterBytes(usize),
    /// Wait, then do that. Without TLS, a client that disconnects meanwhile ends the connection,
    /// and the remaining action is skipped.
    Delay(Duration, Box<Action>),
    /// Report to the gate's keeper, wait until it releases this call, then perform this action.
    Hold(Gate, Box<Action>),
    /// The action of a correct server.
    Normal,
}

/// A reply of one line.
pub fn reply(text: &str) -> Action {
    Action::Reply(format!("{text}\r\n").into_bytes())
}

/// Where a connection is cut, in bytes on the wire, at any stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cut {
    /// After this many bytes of the client.
    pub received: Option<u64>,
    /// After this many bytes of the server.
    pub sent: Option<u64>,
    /// By an RST, not a FIN.
    pub reset: bool,
}

/// A login that the server requires, and offers when the connection is encrypted.
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// The mechanisms offered.
    pub mechanisms: &'static str,
    /// The only accepted response (base64, without the mechanism; both of LOGIN, separated by a blank).
    pub takes: String,
    /// The text of the 334 before the refusal of a token.
    pub challenge: String,
    /// The access tokens of `ada` that are accepted, too.
    pub tokens: Tokens,
}

/// Access tokens, each with the end of its validity.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Arc<Mutex<HashMap<String, Instant>>>);

impl Tokens {
    /// Makes a token valid for this time.
    pub fn issue(&self, token: &str, lifetime: Duration) {
        let mut tokens = self.0.lock().expect("no panic");
        tokens.insert(token.to_owned(), Instant::now() + lifetime);
    }

    /// Makes all tokens invalid.
    pub fn revoke_all(&self) {
        self.0.lock().expect("no panic").clear();
    }

    /// Whether this is a response of XOAUTH2 or OAUTHBEARER with a token that is valid now.
    fn accept(&self, mechanism: &str, response: &str) -> bool {
        let Ok(response) = STANDARD.decode(response) else {
            return false;
        };
        let response = String::from_utf8_lossy(&response).into_owned();
        let token = match mechanism {
            "XOAUTH2" => response.strip_prefix("user=ada\x01auth=Bearer "),
            "OAUTHBEARER" => response
                .strip_prefix("n,a=ada,\x01host=localhost\x01port=")
                .and_then(|it| Some(it.split_once("\x01auth=Bearer ")?.1)),
            _ => None,
        };
        let token = token.and_then(|it| it.strip_suffix("\x01\x01"));
        let tokens = self.0.lock().expect("no panic");
        token.is_some_and(|it| tokens.get(it).is_some_and(|end| Instant::now() < *end))
    }
}

/// The settings of a server besides its script.
#[derive(Clone)]
pub struct Setup {
    /// The extensions of EHLO, except STARTTLS and AUTH, which follow from the other settings.
    pub offers: Vec<&'static str>,
    /// TLS from the first byte, or offered by STARTTLS.
    pub tls: Option<(Tls, Arc<ServerConfig>)>,
    /// Without it, no login is required.
    pub login: Option<Login>,
    /// The cut of each connection, by its number.
    pub cut: Arc<dyn Fn(usize) -> Cut + Send + Sync>,
    /// Treats bare LF and bare CR around a dot as the end of a message, as servers do that are vulnerable to
    /// SMTP smuggling (CVE-2023-51764 and similar).
    pub lax: bool,
    /// Discards what was received behind a final dot when it replies to it, as some proxies do.
    pub forgets: bool,
    /// The part of a pipelined envelope that the server loses.
    pub swallows: Swallows,
    /// How many commands of an envelope behind a final dot it answers before the dot, like a proxy that
    /// answers envelopes by itself.
    pub answers_early: usize,
    /// The receive buffer in bytes, if the default of loopback (megabytes) is too large for the test.
    pub window: Option<usize>,
}

/// The lost part of an envelope that arrives in one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swallows {
    Nothing,
    /// MAIL.
    FirstCommand,
    /// RCPT.
    SecondCommand,
    /// RCPT and DATA.
    Rest,
    /// All three.
    All,
}

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    Implicit,
    StartTls,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            offers: vec![
                "PIPELINING",
                "8BITMIME",
                "ENHANCEDSTATUSCODES",
                "SIZE 35882577",
            ],
            tls: None,
            login: None,
            cut: Arc::new(|_| Cut::default()),
            lax: false,
            forgets: false,
            swallows: Swallows::Nothing,
            answers_early: 0,
            window: None,
        }
    }
}

/// A running server on a port of 127.0.0.1.
pub struct Server {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// A server without TLS.
    pub fn start(script: impl Fn(&Call<'_>) -> Action + Send + Sync + 'static) -> Self {
        Self::set_up(Setup::default(), script)
    }

    /// A server with implicit TLS. A failed handshake ends only that connection.
    pub fn start_tls(
        tls: Arc<ServerConfig>,
        script: impl Fn(&Call<'_>) -> Action + Send + Sync + 'static,
    ) -> Self {
        let setup = Setup {
            tls: Some((Tls::Implicit, tls)),
            ..Setup::default()
        };
        Self::set_up(setup, script)
    }

    /// A server without TLS that accepts everything.
    pub fn accepting() -> Self {
        Self::start(|_| Action::Normal)
    }

    /// A server without TLS that gives this reply at a stage, and accepts everything else.
    pub fn replying(stage: Stage, text: &'static str) -> Self {
        Self::start(move |call| {
            if call.stage == stage {
                reply(text)
            } else {
                Action::Normal
            }
        })
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The messages accepted so far.
    pub fn accepted(&self) -> Vec<Accepted> {
        self.shared.journal().accepted.clone()
    }

    /// The recipients of the messages accepted so far, from the file on the disk.
    pub fn synced(&self) -> Vec<Vec<String>> {
        self.shared.journal().synced()
    }

    /// The number of TCP connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.journal().connections
    }

    /// Every command so far, and every line of AUTH, without its CRLF, with its connection.
    pub fn commands(&self) -> Vec<(usize, String)> {
        self.shared.journal().commands.clone()
    }

    /// The number of commands that start with this word.
    pub fn count(&self, word: &str) -> usize {
        let commands = &self.shared.journal().commands;
        commands
            .iter()
            .filter(|(_, it)| it.starts_with(word))
            .count()
    }

    /// The first 64 KiB received on each connection: under TLS its records.
    pub fn bytes_received(&self) -> Vec<Vec<u8>> {
        self.shared.journal().received.clone()
    }

    /// The first 64 KiB sent on each connection.
    pub fn bytes_sent(&self) -> Vec<Vec<u8>> {
        self.shared.journal().sent.clone()
    }

    /// The highest number of simultaneous connections.
    pub fn most_at_once(&self) -> usize {
        self.shared.journal().most_open
    }

    /// The number of final dots that had the next envelope behind them before the reply.
    pub fn pipelined_envelopes(&self) -> usize {
        self.shared.journal().pipelined_dots
    }

    /// The client's breaches of the protocol, one sentence each, starting with `connection <n>: `.
    pub fn violations(&self) -> Vec<String> {
        self.shared.journal().violations.clone()
    }

    /// Ends every open connection, as a restart does.
    pub fn restart(&self) {
        for socket in self
            .shared
            .journal()
            .sockets
            .iter()
            .filter_map(Weak::upgrade)
        {
            // It fails only if the connection has ended.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// A server with this setup.
    pub fn set_up(
        setup: Setup,
        script: impl Fn(&Call<'_>) -> Action + Send + Sync + 'static,
    ) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("127.0.0.1 has a free port");
        if let Some(window) = setup.window {
            let socket = SockRef::from(&listener);
            // The client's send buffer depends on the segment size.
            socket
                .set_recv_buffer_size(window)
                .and_then(|()| socket.set_tcp_mss(1400))
                .expect("a socket that does not listen yet takes both");
        }
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        let folder = super::folder_in_memory();
        let shared = Arc::new(Shared {
            setup,
            script: Box::new(script),
            journal: Mutex::new(Journal::new(folder)),
            changed: Condvar::new(),
        });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });

        Self {
            port,
            shared,
            acceptor: Some(acceptor),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.journal().stopping = true;
        self.shared.changed.notify_all();
        // Only a connection wakes a blocked accept().
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));

        let ended = self.acceptor.take().map(JoinHandle::join);
        if let Some(Err(panic)) = ended
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

type Script = dyn Fn(&Call<'_>) -> Action + Send + Sync;

/// Shared by the server's threads.
struct Shared {
    setup: Setup,
    script: Box<Script>,
    journal: Mutex<Journal>,
    /// Notified when a connection ends and when the server stops.
    changed: Condvar,
}

impl Shared {
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps for `time`, or until the server stops.
    fn rest(&self, time: Duration) -> Result<(), Over> {
        let (journal, _) = self
            .changed
            .wait_timeout_while(self.journal(), time, |journal| !journal.stopping)
            .unwrap_or_else(PoisonError::into_inner);
        if journal.stopping { Err(Over) } else { Ok(()) }
    }
}

/// Counts a connection as open while this exists.
struct Open<'s>(&'s Shared);

impl<'s> Open<'s> {
    /// A client may close one connection and open the next before this server notices the close. A new
    /// highest number therefore counts only if no close is noticed within the grace period, and the new
    /// connection gets no banner until then.
    fn enter(shared: &'s Shared) -> Self {
        const GRACE: Duration = Duration::from_millis(20);
        let mut journal = shared.journal();
        journal.open += 1;
        let (mut journal, _) = shared
            .changed
            .wait_timeout_while(journal, GRACE, |journal| {
                journal.open > journal.most_open && !journal.stopping
            })
            .unwrap_or_else(PoisonError::into_inner);
        journal.most_open = journal.most_open.max(journal.open);
        Self(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.journal().open -= 1;
        self.0.changed.notify_all();
    }
}

/// Accepts connections until the server stops, then ends them all.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut running: Vec<JoinHandle<()>> = Vec::new();
    let mut panic: Option<Box<dyn Any + Send>> = None;

    loop {
        let taken = listener.accept();
        let mut journal = shared.journal();
        if journal.stopping {
            break;
        }
        let Ok((socket, _)) = taken else { continue };
        let socket = Arc::new(socket);
        let number = journal.connections;
        journal.connections += 1;
        journal.received.push(Vec::new());
        journal.sent.push(Vec::new());
        journal.sockets.retain(|it| it.strong_count() > 0);
        journal.sockets.push(Arc::downgrade(&socket));
        drop(journal);

        for done in running.extract_if(.., |it| it.is_finished()) {
            panic = panic.or(done.join().err());
        }
        let shared = Arc::clone(shared);
        running.push(thread::spawn(move || {
            // The connection has ended and is dropped.
            let _ = session::converse(socket, &shared, number);
        }));
    }

    let sockets = shared.journal().sockets.clone();
    for socket in sockets.iter().filter_map(Weak::upgrade) {
        // It fails only if the connection has ended.
        let _ = socket.shutdown(Shutdown::Both);
    }
    for thread in running {
        panic = panic.or(thread.join().err());
    }
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
}

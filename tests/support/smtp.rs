//! An SMTP server on a real socket that misbehaves as its script says.
//!
//! At every stage of every connection the script is shown a `Call` and picks an `Action`; `Normal` is a
//! plain, correct server that offers PIPELINING, and under TLS a login where its `Setup` has one. What the
//! client did is kept: the messages accepted, the commands, every byte that came over the wire, and every
//! breach of RFC 5321 as a violation. The invariant tests lean on: a message is in `accepted()`, and on the
//! disk in `witnessed()`, before the first byte of the reply to its dot leaves. Dropping the server ends
//! every thread and connection; a panic in the script fails the test then.

pub mod gate;
mod journal;
mod session;
mod wire;

use std::any::Any;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::ServerConfig;
use socket2::SockRef;

use self::gate::Gate;
pub use self::journal::Accepted;
use self::journal::Journal;
use self::wire::Over;

/// Where a conversation is when the script is asked. HELO, NOOP and unknown commands are not scripted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The TCP connection is there; nothing was said, and no TLS handshake made. A reply here goes out in clear.
    Connect,
    /// Connected, and past the TLS handshake where TLS comes first.
    Banner,
    /// EHLO came.
    Ehlo,
    /// STARTTLS came. Any 2yz begins TLS.
    StartTls,
    /// A line of AUTH came: the command, or the answer to a 334.
    Auth,
    /// MAIL came.
    Mail,
    /// RCPT came.
    Rcpt,
    /// DATA came.
    Data,
    /// The 354 has left, nothing of the message is read.
    Body,
    /// The message came, with its dot.
    Dot,
    /// RSET came.
    Rset,
    /// QUIT came; whatever is answered, the connection then ends.
    Quit,
}

const STAGES: usize = Stage::Quit as usize + 1;

/// What the script is asked about.
#[derive(Debug)]
pub struct Call<'a> {
    /// The stage reached.
    pub stage: Stage,
    /// The connection, counted from 0 in the order they were taken.
    pub connection: usize,
    /// At `Rcpt` the recipient named, at `Data`, `Body` and `Dot` the last one taken, none where a
    /// pipelining client had to send DATA before it knew that nobody was taken; else none.
    pub recipient: Option<&'a str>,
    /// How often this stage was reached before, over all connections.
    pub nth: usize,
    /// How often this stage was reached before on this connection.
    pub here: usize,
}

/// What the server does at a stage.
#[derive(Clone, Debug)]
pub enum Action {
    /// Write these bytes, CRLF included, instead of the normal reply. A 2yz or 3yz reply has the normal
    /// effect (at `Dot` only 2yz has: the message is accepted), any other none.
    Reply(Vec<u8>),
    /// As `Reply`, then a FIN (over TLS a `close_notify` first). As with `Close`, a client that writes again
    /// may read either the end or `ConnectionReset`.
    ReplyThenClose(Vec<u8>),
    /// As `Reply`, then that. So a reply is cut: `ReplyThen(b"250 2.0.", Close)`.
    ReplyThen(Vec<u8>, Box<Action>),
    /// As `Reply`, but a byte at a time, with this pause before each.
    Drip(Duration, Vec<u8>),
    /// A reply line without an end, until the client goes.
    Endless,
    /// A FIN without an answer, over TLS without a `close_notify`. Bytes the client sends later meet an RST,
    /// so at `Body` it may see either.
    Close,
    /// An RST without an answer.
    Reset,
    /// Never answer; hold until the client goes or the server is dropped. What the client still sends is
    /// taken up to 64 KiB and no further, and not at all where the setup has a window, so that a large body
    /// blocks it. A client that leaves behind more than that is noticed only if it resets.
    Stall,
    /// Take the normal effect (at `Dot`: accept the message), then do that.
    AcceptThen(Box<Action>),
    /// At `Body`: close after that many bytes of it; a body that ends earlier goes on to `Dot`. As a
    /// server that dies in mid-body, the client meets a FIN or an RST. Elsewhere it is `Close`.
    CloseAfterBytes(usize),
    /// Wait, then do that. Without TLS, a client that leaves meanwhile ends the connection, and what
    /// was to follow does not happen.
    Delay(Duration, Box<Action>),
    /// Report to the gate's keeper, wait until it releases this call, then do that.
    Hold(Gate, Box<Action>),
    /// What a correct server does.
    Normal,
}

/// A reply of one line.
pub fn reply(text: &str) -> Action {
    Action::Reply(format!("{text}\r\n").into_bytes())
}

/// Where a connection is cut, counted in bytes on the wire, whatever the stage is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cut {
    /// After so many bytes of the client's were read.
    pub heard: Option<u64>,
    /// After so many bytes of the server's were written.
    pub said: Option<u64>,
    /// By an RST, not a FIN.
    pub reset: bool,
}

/// A login that the server wants, and offers where the connection is safe.
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// The mechanisms offered.
    pub mechanisms: &'static str,
    /// The only response (base64, without the mechanism; of LOGIN both, with a blank between) that is taken.
    pub takes: String,
    /// The text of the 334 before the refusal of XOAUTH2.
    pub challenge: String,
}

/// What a server is, besides its script.
#[derive(Clone)]
pub struct Setup {
    /// What EHLO offers besides STARTTLS and AUTH, which follow from the rest.
    pub offers: Vec<&'static str>,
    /// TLS from the first byte, or offered by STARTTLS.
    pub tls: Option<(Tls, Arc<ServerConfig>)>,
    /// Without it nobody has to log in.
    pub login: Option<Login>,
    /// Where each connection is cut, by its number.
    pub cut: Arc<dyn Fn(usize) -> Cut + Send + Sync>,
    /// Takes bare LF and bare CR around a dot for the end of a message, as some servers did that could be
    /// tricked into a second one (CVE-2023-51764 and its kin).
    pub lax: bool,
    /// Forgets what had come behind a dot once that is answered, as some proxies do.
    pub forgets: bool,
    /// Which part of a pipelined envelope it loses.
    pub swallows: Swallows,
    /// How many commands of an envelope behind a dot it answers before the dot, as a proxy may that
    /// answers envelopes by itself.
    pub answers_early: usize,
    /// Keeps its witness in memory.
    pub in_memory: bool,
    /// The receive buffer in bytes, where the megabytes that loopback holds are too much for the test.
    pub window: Option<usize>,
}

/// What is lost of an envelope that comes in one packet.
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
            in_memory: false,
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

    /// A server that speaks TLS from the first byte. A failed handshake just ends that connection.
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
    pub fn obliging() -> Self {
        Self::start(|_| Action::Normal)
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The messages accepted so far.
    pub fn accepted(&self) -> Vec<Accepted> {
        self.shared.journal().accepted.clone()
    }

    /// The recipients of the messages accepted so far, as the file on the disk has them.
    pub fn witnessed(&self) -> Vec<Vec<String>> {
        self.shared.journal().witnessed()
    }

    /// The number of TCP connections taken so far.
    pub fn connections(&self) -> usize {
        self.shared.journal().connections
    }

    /// Every command so far, and every line of AUTH, without its CRLF, with its connection.
    pub fn commands(&self) -> Vec<(usize, String)> {
        self.shared.journal().commands.clone()
    }

    /// How many commands began with this word.
    pub fn count(&self, word: &str) -> usize {
        let commands = &self.shared.journal().commands;
        commands
            .iter()
            .filter(|(_, it)| it.starts_with(word))
            .count()
    }

    /// The first 64 KiB that came over the wire on each connection, as they came: under TLS its records.
    pub fn tapped(&self) -> Vec<Vec<u8>> {
        self.shared.journal().tapped.clone()
    }

    /// The first 64 KiB that the server wrote on each connection, as they went over the wire.
    pub fn said(&self) -> Vec<Vec<u8>> {
        self.shared.journal().said.clone()
    }

    /// The highest number of connections that were open at the same time.
    pub fn most_at_once(&self) -> usize {
        self.shared.journal().most_open
    }

    /// How many dots had the next envelope behind them before they were answered.
    pub fn ahead(&self) -> usize {
        self.shared.journal().ahead
    }

    /// What the client did against the protocol, one sentence each, beginning `connection <n>: `.
    pub fn violations(&self) -> Vec<String> {
        self.shared.journal().violations.clone()
    }

    /// Ends every connection there is, as a restart does.
    pub fn restart(&self) {
        for socket in self
            .shared
            .journal()
            .sockets
            .iter()
            .filter_map(Weak::upgrade)
        {
            // It fails only where the connection is gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// A server that is set up like this.
    pub fn set_up(
        setup: Setup,
        script: impl Fn(&Call<'_>) -> Action + Send + Sync + 'static,
    ) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("127.0.0.1 has a free port");
        if let Some(window) = setup.window {
            let socket = SockRef::from(&listener);
            // A client sizes its send buffer by the segments that it may send.
            socket
                .set_recv_buffer_size(window)
                .and_then(|()| socket.set_tcp_mss(1400))
                .expect("a socket that does not listen yet takes both");
        }
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        let folder = if setup.in_memory {
            super::folder_in_memory()
        } else {
            tempfile::tempdir().expect("there is a place for temporary files")
        };
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
        // A blocked accept() has no other way to be woken.
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

/// What the server's threads have in common.
struct Shared {
    setup: Setup,
    script: Box<Script>,
    journal: Mutex<Journal>,
    /// Told when a connection ends and when the server stops.
    changed: Condvar,
}

impl Shared {
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps for `time`, or less when the server stops.
    fn rest(&self, time: Duration) -> Result<(), Over> {
        let (journal, _) = self
            .changed
            .wait_timeout_while(self.journal(), time, |journal| !journal.stopping)
            .unwrap_or_else(PoisonError::into_inner);
        if journal.stopping { Err(Over) } else { Ok(()) }
    }
}

/// Counts a connection as open for as long as it lives.
struct Open<'s>(&'s Shared);

impl<'s> Open<'s> {
    /// A client may leave one connection and open the next before this server has noticed the first is
    /// gone. So a new highest number counts only if nobody is found to have left within the grace, and the
    /// newcomer gets no banner until then.
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

/// Takes connections until the server stops, then ends them all.
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
        journal.tapped.push(Vec::new());
        journal.said.push(Vec::new());
        journal.sockets.retain(|it| it.strong_count() > 0);
        journal.sockets.push(Arc::downgrade(&socket));
        drop(journal);

        for done in running.extract_if(.., |it| it.is_finished()) {
            panic = panic.or(done.join().err());
        }
        let shared = Arc::clone(shared);
        running.push(thread::spawn(move || {
            // However it ended, the connection is over and dropped.
            let _ = session::converse(socket, &shared, number);
        }));
    }

    let sockets = shared.journal().sockets.clone();
    for socket in sockets.iter().filter_map(Weak::upgrade) {
        // It fails only where the connection is gone already.
        let _ = socket.shutdown(Shutdown::Both);
    }
    for thread in running {
        panic = panic.or(thread.join().err());
    }
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
}

//! An SMTP server on a real socket that misbehaves as its script says.
//!
//! At every stage of every connection the script is shown a `Call` and picks an `Action`; `Normal` is a
//! plain, correct server that offers PIPELINING. What the client did is kept: the messages accepted, the
//! commands, and every breach of RFC 5321 as a violation. The invariant tests lean on: a message is in
//! `accepted()` before the first byte of the reply to its dot leaves. Dropping the server ends every
//! thread and connection; a panic in the script fails the test then.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::any::Any;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::mem;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Where a conversation is when the script is asked. HELO, NOOP and unknown commands are not scripted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Connected, and past the TLS handshake where there is one.
    Banner,
    /// EHLO came.
    Ehlo,
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
    /// A FIN without an answer, over TLS without a `close_notify`. Bytes the client sends later meet an RST,
    /// so at `Body` it may see either.
    Close,
    /// An RST without an answer. std cannot set `SO_LINGER`, so the socket is closed while the last
    /// byte of the client still lies unread in the kernel, which Linux answers with an RST. At
    /// `Banner` without TLS no byte has come yet: there it is the same as `Close`.
    Reset,
    /// Never answer; hold until the client goes or the server is dropped. What the client still sends is
    /// taken up to 64 KiB and no further, so that a large body blocks it. A client that leaves behind
    /// more than that is noticed only if it resets.
    Stall,
    /// Take the normal effect (at `Dot`: accept the message), then do that.
    AcceptThen(Box<Action>),
    /// At `Body`: close after that many bytes of it; a body that ends earlier goes on to `Dot`. As a
    /// server that dies in mid-body, the client meets a FIN or an RST. Elsewhere it is `Close`.
    CloseAfterBytes(usize),
    /// Wait, then do that. Without TLS, a client that leaves meanwhile ends the connection, and what
    /// was to follow does not happen (`Reset` apart: it comes when its time comes).
    Delay(Duration, Box<Action>),
    /// What a correct server does.
    Normal,
}

/// A message the server took responsibility for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The connection it came by.
    pub connection: usize,
    /// The address in MAIL FROM, empty for `<>`.
    pub sender: String,
    /// The addresses of the RCPTs that were taken.
    pub recipients: Vec<String>,
    /// The message with its CRLFs, dots unstuffed, without the terminator.
    pub data: Vec<u8>,
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
        Self::run(None, Box::new(script))
    }

    /// A server that speaks TLS from the first byte. A failed handshake just ends that connection.
    pub fn start_tls(
        tls: Arc<ServerConfig>,
        script: impl Fn(&Call<'_>) -> Action + Send + Sync + 'static,
    ) -> Self {
        Self::run(Some(tls), Box::new(script))
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

    /// The number of TCP connections taken so far.
    pub fn connections(&self) -> usize {
        self.shared.journal().connections
    }

    /// Every command so far, without its CRLF, with its connection.
    pub fn commands(&self) -> Vec<(usize, String)> {
        self.shared.journal().commands.clone()
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

    fn run(tls: Option<Arc<ServerConfig>>, script: Box<Script>) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("127.0.0.1 has a free port");
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        let shared = Arc::new(Shared {
            script,
            journal: Mutex::default(),
            changed: Condvar::new(),
        });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, tls.as_ref(), &shared)
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
    script: Box<Script>,
    journal: Mutex<Journal>,
    /// Told when a connection ends and when the server stops.
    changed: Condvar,
}

#[derive(Default)]
struct Journal {
    accepted: Vec<Accepted>,
    commands: Vec<(usize, String)>,
    violations: Vec<String>,
    ahead: usize,
    connections: usize,
    open: usize,
    most_open: usize,
    reached: [usize; Stage::Quit as usize + 1],
    stopping: bool,
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
fn accept(listener: &TcpListener, tls: Option<&Arc<ServerConfig>>, shared: &Arc<Shared>) {
    let mut running: Vec<(Weak<TcpStream>, JoinHandle<()>)> = Vec::new();
    let mut panic: Option<Box<dyn Any + Send>> = None;

    loop {
        let taken = listener.accept();
        let number = {
            let mut journal = shared.journal();
            if journal.stopping {
                break;
            }
            let number = journal.connections;
            journal.connections += usize::from(taken.is_ok());
            number
        };
        let Ok((socket, _)) = taken else { continue };

        for (_, done) in running.extract_if(.., |(_, thread)| thread.is_finished()) {
            panic = panic.or(done.join().err());
        }
        let socket = Arc::new(socket);
        let weak = Arc::downgrade(&socket);
        let (tls, shared) = (tls.cloned(), Arc::clone(shared));
        let thread = thread::spawn(move || {
            // However it ended, the connection is over and dropped.
            let _ = converse(socket, tls, &shared, number);
        });
        running.push((weak, thread));
    }

    for (socket, _) in &running {
        if let Some(socket) = socket.upgrade() {
            // It fails only where the connection is gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
    for (_, thread) in running {
        panic = panic.or(thread.join().err());
    }
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
}

fn converse(
    socket: Arc<TcpStream>,
    tls: Option<Arc<ServerConfig>>,
    shared: &Shared,
    connection: usize,
) -> Result<(), Over> {
    socket.set_nodelay(true)?;
    let wire = Wire {
        socket,
        held: false,
        reset: false,
    };
    let stream = match tls {
        None => Stream::Plain(wire),
        Some(config) => {
            let tls = ServerConnection::new(config).map_err(|_| Over)?;
            Stream::Tls(Box::new(StreamOwned::new(tls, wire)))
        }
    };
    let mut session = Session {
        shared,
        connection,
        reader: BufReader::with_capacity(16 * 1024, stream),
        pipelining: false,
        greeted: false,
        sender: None,
        recipients: Vec::new(),
        body_left: u64::MAX,
    };
    // Declared after the session, it ends before the socket closes: no client sees the end sooner.
    let _open = Open::enter(shared);
    session.reader.get_mut().shake_hands()?;
    session.run()
}

/// The connection has ended, by whichever side.
struct Over;

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// The normal effect of a command that is answered well.
enum Effect {
    None,
    Greet,
    From(String),
    To(String),
    Accept(Vec<u8>),
    Forget,
}

/// One conversation.
struct Session<'s> {
    shared: &'s Shared,
    connection: usize,
    reader: BufReader<Stream>,
    /// Whether the reply to EHLO has offered it.
    pipelining: bool,
    greeted: bool,
    sender: Option<String>,
    recipients: Vec<String>,
    /// After how many more bytes of body the connection is to close.
    body_left: u64,
}

impl Session<'_> {
    fn run(&mut self) -> Result<(), Over> {
        self.answer(Stage::Banner, None, Effect::None)?;
        loop {
            let line = self.command()?;
            self.obey(&line)?;
        }
    }

    fn command(&mut self) -> Result<String, Over> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(Over);
        }
        let crlf = line.pop_if(|last| *last == b'\r').is_some();

        let text = String::from_utf8_lossy(&line).into_owned();
        if !crlf {
            self.violation(&format!("bare LF after the command {text:?}"));
        }
        if line.contains(&b'\r') {
            self.violation(&format!("bare CR in the command {text:?}"));
        }
        let mut journal = self.shared.journal();
        journal.commands.push((self.connection, text.clone()));
        Ok(text)
    }

    fn obey(&mut self, line: &str) -> Result<(), Over> {
        let verb = line.split(' ').next().unwrap_or(line).to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => {
                self.answer(Stage::Ehlo, None, Effect::Greet)?;
            }
            "HELO" => {
                self.take(Effect::Greet);
                self.write(None, b"250 localhost\r\n")?;
            }
            "MAIL" => match path(line, "MAIL FROM:<") {
                None => self.bad_syntax(line)?,
                Some(_) if !self.greeted || self.sender.is_some() => self.out_of_order(line)?,
                Some(from) => {
                    self.answer(Stage::Mail, None, Effect::From(from.to_owned()))?;
                }
            },
            "RCPT" => match path(line, "RCPT TO:<") {
                None | Some("") => self.bad_syntax(line)?,
                Some(_) if self.sender.is_none() => self.out_of_order(line)?,
                Some(to) => {
                    self.answer(Stage::Rcpt, Some(to), Effect::To(to.to_owned()))?;
                }
            },
            "DATA" => match self.recipients.last().cloned() {
                None if !self.pipelining || self.sender.is_none() => self.out_of_order(line)?,
                to => {
                    if self.answer(Stage::Data, to.as_deref(), Effect::None)? {
                        self.message(to.as_deref())?;
                    }
                }
            },
            "RSET" => {
                self.answer(Stage::Rset, None, Effect::Forget)?;
            }
            "NOOP" => self.write(None, b"250 2.0.0 ok\r\n")?,
            "QUIT" => {
                self.answer(Stage::Quit, None, Effect::None)?;
                self.reader.get_mut().say_goodbye()?;
                return Err(Over);
            }
            _ => self.write(None, b"500 5.5.2 unknown command\r\n")?,
        }
        Ok(())
    }

    /// Everything from the 354 to the reply to the dot, which ends the transaction whatever it is.
    fn message(&mut self, to: Option<&str>) -> Result<(), Over> {
        self.body_left = u64::MAX;
        self.answer(Stage::Body, to, Effect::None)?;
        let data = self.body()?;
        self.answer(Stage::Dot, to, Effect::Accept(data))?;
        self.take(Effect::Forget);
        Ok(())
    }

    /// Reads a message. Only CRLF ends a line, so `LF . LF` ends no message.
    fn body(&mut self) -> Result<Vec<u8>, Over> {
        let mut data = Vec::new();
        let mut line_start = 0;
        loop {
            let at = data.len();
            let mut limited = (&mut self.reader).take(self.body_left);
            let read = limited.read_until(b'\n', &mut data)?;
            self.body_left -= read as u64;
            if self.body_left == 0 || data[at..].last() != Some(&b'\n') {
                return Err(Over);
            }

            if at == line_start && data[at] == b'.' {
                if &data[at..] == b".\r\n" {
                    data.truncate(at);
                    return Ok(data);
                }
                if data[at + 1] != b'.' {
                    self.violation("a dot at the start of a line is not doubled");
                }
                data.remove(at);
            }
            let crlf = data[line_start..].ends_with(b"\r\n");
            let text = &data[at..data.len() - if crlf { 2 } else { 1 }];
            if text.contains(&b'\r') {
                self.violation("bare CR in the body");
            }
            if crlf {
                // RFC 5321 §4.5.3.1.6; the doubled dot does not count.
                let octets = data.len() - line_start;
                if octets > 1000 {
                    self.violation(&format!("a body line of {octets} octets"));
                }
                line_start = data.len();
            } else {
                self.violation("bare LF in the body");
            }
        }
    }

    /// Asks the script and does what it says; tells whether the normal effect was taken.
    fn answer(
        &mut self,
        stage: Stage,
        recipient: Option<&str>,
        mut effect: Effect,
    ) -> Result<bool, Over> {
        let nth = {
            let reached = &mut self.shared.journal().reached[stage as usize];
            *reached += 1;
            *reached - 1
        };
        let mut action = (self.shared.script)(&Call {
            stage,
            connection: self.connection,
            recipient,
            nth,
        });

        let mut taken = false;
        loop {
            let then_close = matches!(action, Action::ReplyThenClose(_));
            match action {
                Action::Delay(time, then) => {
                    self.pause(time, then.resets())?;
                    action = *then;
                }
                Action::AcceptThen(then) => {
                    self.take(mem::replace(&mut effect, Effect::None));
                    taken = true;
                    action = *then;
                }
                Action::Normal => {
                    let reply = match (stage, recipient) {
                        // A relay may as well say 354 here, and 554 to the lone dot.
                        (Stage::Data, None) => "503 5.5.1 no valid recipients\r\n".to_owned(),
                        (Stage::Dot, None) => "554 5.5.1 no valid recipients\r\n".to_owned(),
                        _ => normal_reply(stage, nth),
                    };
                    action = Action::Reply(reply.into_bytes());
                }
                Action::Reply(reply) | Action::ReplyThenClose(reply) => {
                    let good = has_effect(stage, &reply);
                    if good {
                        self.take(mem::replace(&mut effect, Effect::None));
                    }
                    self.write(Some(stage), &reply)?;
                    if then_close {
                        self.reader.get_mut().say_goodbye()?;
                        return Err(Over);
                    }
                    return Ok(good || taken);
                }
                Action::CloseAfterBytes(bytes) if stage == Stage::Body && bytes > 0 => {
                    self.body_left = bytes as u64;
                    return Ok(true);
                }
                Action::Close | Action::CloseAfterBytes(_) => return Err(Over),
                Action::Reset => {
                    self.reader.get_mut().wire().reset = true;
                    return Err(Over);
                }
                Action::Stall => return Err(self.stall()),
            }
        }
    }

    fn take(&mut self, effect: Effect) {
        match effect {
            Effect::None => {}
            Effect::From(sender) => self.sender = Some(sender),
            Effect::To(recipient) => self.recipients.push(recipient),
            Effect::Accept(data) => {
                let accepted = Accepted {
                    connection: self.connection,
                    sender: self.sender.clone().unwrap_or_default(),
                    recipients: self.recipients.clone(),
                    data,
                };
                self.shared.journal().accepted.push(accepted);
            }
            Effect::Greet | Effect::Forget => {
                self.greeted |= matches!(effect, Effect::Greet);
                self.sender = None;
                self.recipients.clear();
            }
        }
    }

    /// Writes a reply; `stage` is where, none for what is not scripted.
    fn write(&mut self, stage: Option<Stage>, reply: &[u8]) -> Result<(), Over> {
        // Under PIPELINING only these two must be the last of a group (RFC 2920 §3.1).
        let alone = !self.pipelining || matches!(stage, Some(Stage::Ehlo | Stage::Data));
        if alone && stage != Some(Stage::Body) && !reply.is_empty() && self.more_waits()? {
            let place = stage.map_or("the last command".into(), |stage| format!("{stage:?}"));
            self.violation(&format!(
                "pipelined: bytes came before the reply to {place}"
            ));
        }
        if stage == Some(Stage::Dot) && self.more_waits()? {
            self.shared.journal().ahead += 1;
        }
        if stage == Some(Stage::Ehlo) {
            self.pipelining = String::from_utf8_lossy(reply)
                .to_ascii_uppercase()
                .contains("PIPELINING");
        }
        let stream = self.reader.get_mut();
        stream.write_all(reply)?;
        Ok(stream.flush()?)
    }

    /// Whether the client has sent anything behind the command at hand.
    fn more_waits(&mut self) -> Result<bool, Over> {
        if !self.reader.buffer().is_empty() {
            return Ok(true);
        }
        let wire = self.reader.get_mut().wire();
        let (socket, held) = (Arc::clone(&wire.socket), usize::from(wire.held));
        socket.set_nonblocking(true)?;
        // Over TLS, bytes on the socket need not be bytes for us: what counts is what can be read.
        let waits = socket.peek(&mut [0; 2]).is_ok_and(|bytes| bytes > held)
            && self.reader.fill_buf().is_ok_and(|bytes| !bytes.is_empty());
        socket.set_nonblocking(false)?;
        Ok(waits)
    }

    fn pause(&mut self, time: Duration, will_reset: bool) -> Result<(), Over> {
        let until = Instant::now() + time;
        // A reset needs the held byte, and that byte hides whether the client is still there.
        if !will_reset && !time.is_zero() {
            let wire = self.reader.get_mut().wire();
            wire.release()?;
            wire.socket.set_read_timeout(Some(time))?;
            let seen = wire.socket.peek(&mut [0]);
            wire.socket.set_read_timeout(None)?;
            match seen {
                Ok(0) => return Err(Over),
                Err(error) if !is_timeout(&error) => return Err(Over),
                Ok(_) | Err(_) => {}
            }
        }
        self.shared
            .rest(until.saturating_duration_since(Instant::now()))
    }

    fn stall(&mut self) -> Over {
        const TAKEN: u64 = 64 * 1024;
        let taken = io::copy(&mut (&mut self.reader).take(TAKEN), &mut io::sink());
        if taken.is_ok_and(|bytes| bytes == TAKEN) {
            let socket = Arc::clone(&self.reader.get_mut().wire().socket);
            while socket.peek(&mut [0]).is_ok_and(|bytes| bytes > 0)
                && self.shared.rest(Duration::from_millis(20)).is_ok()
            {}
        }
        Over
    }

    fn bad_syntax(&mut self, line: &str) -> Result<(), Over> {
        self.violation(&format!("bad syntax in {line:?}"));
        self.write(None, b"501 5.5.4 bad syntax\r\n")
    }

    fn out_of_order(&mut self, line: &str) -> Result<(), Over> {
        // Under PIPELINING the client could not know yet that the command before would be refused.
        if !self.pipelining {
            self.violation(&format!("out of order: {line:?}"));
        }
        self.write(None, b"503 5.5.1 out of order\r\n")
    }

    fn violation(&self, what: &str) {
        let what = format!("connection {}: {what}", self.connection);
        self.shared.journal().violations.push(what);
    }
}

impl Action {
    fn resets(&self) -> bool {
        match self {
            Self::Reset => true,
            Self::AcceptThen(then) | Self::Delay(_, then) => then.resets(),
            _ => false,
        }
    }
}

fn normal_reply(stage: Stage, nth: usize) -> String {
    let reply = match stage {
        Stage::Banner => "220 localhost ESMTP",
        Stage::Ehlo => {
            "250-localhost\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 35882577"
        }
        Stage::Mail => "250 2.1.0 sender ok",
        Stage::Rcpt => "250 2.1.5 recipient ok",
        Stage::Data => "354 end with <CRLF>.<CRLF>",
        Stage::Body => return String::new(),
        Stage::Dot => return format!("250 2.0.0 queued as {}\r\n", nth + 1),
        Stage::Rset => "250 2.0.0 forgotten",
        Stage::Quit => "221 2.0.0 bye",
    };
    format!("{reply}\r\n")
}

fn has_effect(stage: Stage, reply: &[u8]) -> bool {
    match reply {
        [b'2', b'0'..=b'9', b'0'..=b'9', ..] => true,
        [b'3', b'0'..=b'9', b'0'..=b'9', ..] => stage != Stage::Dot,
        _ => false,
    }
}

/// The path of `MAIL FROM:<path> parameters`, `head` being the part up to `<` in any case.
fn path<'l>(line: &'l str, head: &str) -> Option<&'l str> {
    let (start, rest) = line.split_at_checked(head.len())?;
    let (path, parameters) = rest.split_once('>')?;
    let sound =
        start.eq_ignore_ascii_case(head) && (parameters.is_empty() || parameters.starts_with(' '));
    sound.then_some(path)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The connection with or without TLS.
enum Stream {
    Plain(Wire),
    Tls(Box<StreamOwned<ServerConnection, Wire>>),
}

impl Stream {
    fn wire(&mut self) -> &mut Wire {
        match self {
            Self::Plain(wire) => wire,
            Self::Tls(stream) => &mut stream.sock,
        }
    }

    fn shake_hands(&mut self) -> io::Result<()> {
        if let Self::Tls(stream) = self {
            while stream.conn.is_handshaking() {
                stream.conn.complete_io(&mut stream.sock)?;
            }
        }
        Ok(())
    }

    fn say_goodbye(&mut self) -> io::Result<()> {
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
        }
        self.flush()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(wire) => wire.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(wire) => wire.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(wire) => wire.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// The TCP socket. It hands on all that came but leaves the last byte of it in the kernel, because a socket
/// closed over an unread byte sends an RST: so `Reset` is possible at every moment.
struct Wire {
    socket: Arc<TcpStream>,
    /// Whether the next byte in the kernel was handed on already.
    held: bool,
    reset: bool,
}

impl Wire {
    fn release(&mut self) -> io::Result<()> {
        if self.held {
            (&*self.socket).read_exact(&mut [0])?;
            self.held = false;
        }
        Ok(())
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.release()?;
        let bytes = self.socket.peek(buffer)?;
        if let Some(all_but_one) = bytes.checked_sub(1) {
            (&*self.socket).read_exact(&mut buffer[..all_but_one])?;
            self.held = true;
        }
        Ok(bytes)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.socket).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.reset {
            return;
        }
        // What has come is taken, so that closing is a FIN. No more than that: a client that goes on
        // writing shall notice.
        let mut rest = [0; 8 * 1024];
        if self.release().is_ok() && self.socket.set_nonblocking(true).is_ok() {
            let _ = (&*self.socket).read(&mut rest);
        }
    }
}

//! A TCP relay in front of a server: it delays, cuts, holds and loses what it forwards, by a script.
//!
//! The script sees every piece of every connection before it is forwarded. Dropping the relay ends all connections
//! and threads.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::SockRef;

/// Which way a piece goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToClient,
}

/// Bytes that were read at once.
#[derive(Debug)]
pub struct Piece<'a> {
    /// The number of the connection, from 0.
    pub connection: usize,
    pub direction: Direction,
    /// How many bytes went this way on this connection before.
    pub passed: u64,
    pub bytes: &'a [u8],
}

impl Piece<'_> {
    /// Whether these bytes are in it.
    pub fn contains(&self, text: &[u8]) -> bool {
        self.bytes.windows(text.len()).any(|it| it == text)
    }
}

/// What becomes of a piece.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Forwarded.
    None,
    /// Forwarded after this time, and everything behind it.
    Delay(Duration),
    /// This many bytes of it are forwarded; then both sides are reset.
    Cut(usize),
    /// Forwarded, and then this direction ends with a FIN; the other one goes on.
    HalfClose,
    /// Forwarded to the server. Its answers are discarded, and the client is reset after this time.
    LoseAnswer(Duration),
    /// The client is reset at once; the server gets the piece after this time, and then a FIN.
    ForwardLate(Duration),
}

type Script = dyn Fn(&Piece<'_>) -> Fault + Send + Sync;

/// A running relay on a port of 127.0.0.1.
pub struct TcpRelay {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    server: u16,
    script: Box<Script>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    connections: usize,
    sockets: Vec<Weak<TcpStream>>,
    /// Nothing is forwarded, and nothing is closed.
    frozen: bool,
    /// Everything is forwarded, whatever the script says.
    mended: bool,
    stopping: bool,
}

impl TcpRelay {
    /// Forwards to this port of 127.0.0.1 without faults.
    pub fn to(server: u16) -> Self {
        Self::with(server, |_| Fault::None)
    }

    /// Forwards to this port of 127.0.0.1 as the script says.
    pub fn with(server: u16, script: impl Fn(&Piece<'_>) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            server,
            script: Box::new(script),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let for_acceptor = shared.clone();
        let acceptor = thread::spawn(move || accept(&listener, &for_acceptor));
        Self {
            port,
            shared,
            acceptor: Some(acceptor),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.shared.state().connections
    }

    /// Resets every open connection.
    pub fn cut_all(&self) {
        for socket in self.shared.open_sockets() {
            reset(&socket);
        }
    }

    /// Forwards everything from now on without faults.
    pub fn mend(&self) {
        self.shared.state().mended = true;
        self.freeze(false);
    }

    /// Holds everything, as a network that loses all packets, or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        self.shared.state().frozen = frozen;
        self.shared.changed.notify_all();
    }
}

impl Drop for TcpRelay {
    fn drop(&mut self) {
        self.shared.state().stopping = true;
        self.shared.changed.notify_all();
        self.cut_all();
        // Only a connection wakes a blocked accept().
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_sockets(&self) -> Vec<Arc<TcpStream>> {
        let sockets = &self.state().sockets;
        sockets.iter().filter_map(Weak::upgrade).collect()
    }

    /// Waits this long, and while everything is frozen; whether the relay is still running.
    fn wait(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = self.state();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if state.stopping || (left.is_zero() && !state.frozen) {
                return !state.stopping;
            }
            let pause = if state.frozen {
                Duration::from_mins(1)
            } else {
                left
            };
            let waited = self.changed.wait_timeout(state, pause);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Ends a connection: with an RST, as soon as both of its threads have let go of it.
fn reset(socket: &TcpStream) {
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
    // Wakes the thread that reads.
    let _ = socket.shutdown(Shutdown::Read);
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    loop {
        let accepted = listener.accept();
        if shared.state().stopping {
            break;
        }
        let Ok((client, _)) = accepted else { continue };
        // A server that is down refuses; then the client's connection ends, too.
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, shared.server)) else {
            reset(&client);
            continue;
        };
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let pair = Arc::new(Pair {
            client: Arc::new(client),
            server: Arc::new(server),
            discards_answers: AtomicBool::new(false),
            passed: [AtomicU64::new(0), AtomicU64::new(0)],
            number: {
                let mut state = shared.state();
                state.connections += 1;
                state.connections - 1
            },
        });
        {
            let mut state = shared.state();
            state.sockets.retain(|it| it.strong_count() > 0);
            state.sockets.push(Arc::downgrade(&pair.client));
            state.sockets.push(Arc::downgrade(&pair.server));
        }
        threads.retain(|it| !it.is_finished());
        for direction in [Direction::ToServer, Direction::ToClient] {
            let (pair, shared) = (pair.clone(), shared.clone());
            threads.push(thread::spawn(move || pair.forward(direction, &shared)));
        }
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// The two sides of a connection.
struct Pair {
    number: usize,
    client: Arc<TcpStream>,
    server: Arc<TcpStream>,
    discards_answers: AtomicBool,
    passed: [AtomicU64; 2],
}

impl Pair {
    /// Forwards one direction until it ends.
    fn forward(&self, direction: Direction, shared: &Shared) {
        let (mut from, mut to) = match direction {
            Direction::ToServer => (&*self.client, &*self.server),
            Direction::ToClient => (&*self.server, &*self.client),
        };
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(read) => read,
            };
            let bytes = &buffer[..read];
            if !shared.wait(Duration::ZERO) {
                return self.reset();
            }
            if direction == Direction::ToClient && self.discards_answers.load(Ordering::SeqCst) {
                continue;
            }
            let passed = &self.passed[direction as usize];
            let piece = Piece {
                connection: self.number,
                direction,
                passed: passed.fetch_add(read as u64, Ordering::SeqCst),
                bytes,
            };
            let fault = if shared.state().mended {
                Fault::None
            } else {
                (shared.script)(&piece)
            };
            let mut goes_on = true;
            match fault {
                Fault::None => {}
                Fault::Delay(time) => goes_on = shared.wait(time),
                Fault::Cut(bytes_forwarded) => {
                    let _ = to.write_all(&bytes[..bytes_forwarded.min(read)]);
                    return self.reset();
                }
                Fault::HalfClose => {
                    let _ = to.write_all(bytes);
                    break;
                }
                Fault::LoseAnswer(time) => {
                    self.discards_answers.store(true, Ordering::SeqCst);
                    let _ = to.write_all(bytes);
                    shared.wait(time);
                    return self.reset();
                }
                Fault::ForwardLate(time) => {
                    self.discards_answers.store(true, Ordering::SeqCst);
                    let _ = SockRef::from(&*self.client).set_linger(Some(Duration::ZERO));
                    let _ = self.client.shutdown(Shutdown::Both);
                    shared.wait(time);
                    let _ = to.write_all(bytes);
                    break;
                }
            }
            if !goes_on || to.write_all(bytes).is_err() {
                return self.reset();
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }

    fn reset(&self) {
        reset(&self.client);
        reset(&self.server);
    }
}

/// A server that sends back what it receives, for one connection; gives what it has received.
#[cfg(test)]
fn echo() -> (u16, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut received = Vec::new();
        let mut buffer = [0; 1_024];
        while let Ok(read @ 1..) = socket.read(&mut buffer) {
            received.extend_from_slice(&buffer[..read]);
            let _ = socket.write_all(&buffer[..read]);
        }
        received
    });
    (port, thread)
}

#[test]
fn a_tcp_relay_does_what_its_script_says() {
    let cases: [(Fault, &[u8], &[u8], Duration); 6] = [
        (
            Fault::None,
            b"first second",
            b"first second",
            Duration::ZERO,
        ),
        (
            Fault::Delay(Duration::from_millis(120)),
            b"first second",
            b"first second",
            Duration::from_millis(100),
        ),
        (Fault::Cut(3), b"first sec", b"first ", Duration::ZERO),
        (
            Fault::HalfClose,
            b"first second",
            b"first second",
            Duration::ZERO,
        ),
        (
            Fault::LoseAnswer(Duration::from_millis(50)),
            b"first second",
            b"first ",
            Duration::from_millis(40),
        ),
        (
            Fault::ForwardLate(Duration::from_millis(50)),
            b"first second",
            b"first ",
            Duration::ZERO,
        ),
    ];
    for (fault, at_server, at_client, least) in cases {
        let (port, server) = echo();
        let relay = TcpRelay::with(port, move |piece: &Piece<'_>| {
            if piece.direction == Direction::ToServer && piece.contains(b"second") {
                fault
            } else {
                Fault::None
            }
        });
        let start = Instant::now();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port())).unwrap();
        client.write_all(b"first ").unwrap();
        let mut received = vec![0; 6];
        client.read_exact(&mut received).unwrap();
        client.write_all(b"second").unwrap();
        if matches!(fault, Fault::None | Fault::Delay(_)) {
            let mut rest = vec![0; 6];
            client.read_exact(&mut rest).unwrap();
            received.extend(rest);
        } else {
            // It ends with a FIN or an RST.
            let _ = client.read_to_end(&mut received);
        }
        let took = start.elapsed();
        drop(client);
        let server = server.join().unwrap();
        assert_eq!(server.as_slice(), at_server, "{fault:?}");
        if !matches!(fault, Fault::Cut(_)) {
            assert_eq!(received.as_slice(), at_client, "{fault:?}");
        }
        assert!(took >= least, "{fault:?}: {took:?}");
        assert_eq!(relay.connections(), 1);
    }
}

#[test]
fn a_frozen_tcp_relay_forwards_nothing_until_it_goes_on() {
    let (port, server) = echo();
    let relay = TcpRelay::to(port);
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port())).unwrap();
    relay.freeze(true);
    client.write_all(b"late").unwrap();
    client
        .set_read_timeout(Some(Duration::from_millis(150)))
        .unwrap();
    let mut received = [0; 4];
    client.read_exact(&mut received).unwrap_err();
    relay.freeze(false);
    client.set_read_timeout(None).unwrap();
    client.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"late");
    relay.cut_all();
    drop(client);
    assert_eq!(server.join().unwrap(), b"late");
}

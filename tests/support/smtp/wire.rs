//! The bytes of one connection, with or without TLS: counted, recorded, and cut by the setup.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};
use socket2::SockRef;

use super::{Cut, Shared, journal};

/// The connection was ended by either side.
pub struct Over;

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// The connection with or without TLS.
pub struct Stream<'s> {
    pub wire: Wire<'s>,
    tls: Option<ServerConnection>,
}

impl<'s> Stream<'s> {
    pub fn new(wire: Wire<'s>) -> Self {
        Self { wire, tls: None }
    }

    pub fn is_safe(&self) -> bool {
        self.tls.is_some()
    }

    pub fn shake_hands(&mut self, config: Arc<ServerConfig>) -> Result<(), Over> {
        let tls = ServerConnection::new(config).map_err(|_| Over)?;
        let tls = self.tls.insert(tls);
        while tls.is_handshaking() {
            tls.complete_io(&mut self.wire)?;
        }
        Ok(())
    }

    pub fn say_goodbye(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.flush()
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.wire.read(buffer),
            Some(tls) => rustls::Stream::new(tls, &mut self.wire).read(buffer),
        }
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.wire.write(bytes),
            Some(tls) => rustls::Stream::new(tls, &mut self.wire).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => self.wire.flush(),
            Some(tls) => rustls::Stream::new(tls, &mut self.wire).flush(),
        }
    }
}

/// The TCP socket, up to its cut.
pub struct Wire<'s> {
    pub socket: Arc<TcpStream>,
    shared: &'s Shared,
    connection: usize,
    cut: Cut,
    received: u64,
    sent: u64,
}

impl<'s> Wire<'s> {
    pub fn new(socket: Arc<TcpStream>, shared: &'s Shared, connection: usize) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        let mut wire = Self {
            socket,
            shared,
            connection,
            cut: (shared.setup.cut)(connection),
            received: 0,
            sent: 0,
        };
        if wire.cut.reset {
            wire.reset()?;
        }
        Ok(wire)
    }

    /// Makes any later end of the connection an RST.
    pub fn reset(&mut self) -> io::Result<()> {
        self.cut.reset = true;
        SockRef::from(&*self.socket).set_linger(Some(Duration::ZERO))
    }
}

/// How many of `wanted` bytes fit before the cut.
fn fitting(cut: Option<u64>, so_far: u64, wanted: usize) -> usize {
    let room = cut.map_or(u64::MAX, |it| it.saturating_sub(so_far));
    wanted.min(usize::try_from(room).unwrap_or(usize::MAX))
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = fitting(self.cut.received, self.received, buffer.len());
        let read = (&*self.socket).read(&mut buffer[..room])?;
        self.received += read as u64;
        let received = &mut self.shared.journal().received[self.connection];
        journal::record(received, &buffer[..read]);
        Ok(read)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = fitting(self.cut.sent, self.sent, bytes.len());
        if room == 0 && !bytes.is_empty() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let written = (&*self.socket).write(&bytes[..room])?;
        self.sent += written as u64;
        let sent = &mut self.shared.journal().sent[self.connection];
        journal::record(sent, &bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Wire<'_> {
    fn drop(&mut self) {
        // Received bytes are read first, because closing a socket with unread bytes sends an RST instead of a
        // FIN. No more than that: a client that continues to write must notice.
        if !self.cut.reset && self.socket.set_nonblocking(true).is_ok() {
            let mut rest = [0; 8 * 1024];
            let _ = (&*self.socket).read(&mut rest);
        }
    }
}

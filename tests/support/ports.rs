//! Ports that no other test gets. Port 0 gives any ephemeral port, also the one that a server has
//! just left; a run that expects nobody there would then send its mail to another test's server.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

use socket2::{Domain, Socket, Type};

/// A port of 127.0.0.1 at which connections are refused until this is dropped.
pub struct ClosedPort {
    /// Bound, which reserves the port, and not listening.
    socket: Socket,
}

impl ClosedPort {
    pub fn reserve() -> Self {
        Self {
            socket: bound(0).expect("127.0.0.1 has a free port"),
        }
    }

    pub fn port(&self) -> u16 {
        let address = self.socket.local_addr().unwrap().as_socket();
        address.expect("it is an IPv4 socket").port()
    }
}

/// Free ports for programs that need a number before they start. They are below the ephemeral
/// ports, so that no connection and no server of another test takes them in the meantime.
pub fn free_ports(count: usize) -> Vec<u16> {
    const RANGE: Range<u16> = 20_000..30_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that run at the same time begin at different places.
    let start = u16::try_from(std::process::id() * 37 % u32::from(RANGE.end - RANGE.start));
    let start = start.expect("it is below the length of the range");
    std::iter::repeat_with(|| {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::SeqCst));
        RANGE.start + offset % (RANGE.end - RANGE.start)
    })
    .filter(|port| bound(*port).is_ok())
    .take(count)
    .collect()
}

/// A socket bound to a port of 127.0.0.1, without `SO_REUSEADDR`, so that nothing else gets it.
fn bound(port: u16) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    Ok(socket)
}

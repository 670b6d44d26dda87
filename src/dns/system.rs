//! The DNS servers of this machine, from `/etc/resolv.conf` (resolv.conf(5)).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::files;

const FILE: &str = "/etc/resolv.conf";
/// The largest file that is read.
const LIMIT: u64 = 64 * 1024;
/// How many servers are used, as the C library does.
const SERVERS: usize = 3;
/// The port of DNS.
const PORT: u16 = 53;

/// The servers, in the order in which they are asked, and how patiently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Servers {
    pub addresses: Vec<SocketAddr>,
    /// How long one server is waited for.
    pub timeout: Duration,
    /// How often all of them are asked.
    pub attempts: u32,
}

/// The servers of this machine. Without a usable file it is a server on this machine.
pub fn servers() -> Servers {
    let text = files::read(Path::new(FILE), LIMIT).unwrap_or_default();
    parse(&String::from_utf8_lossy(&text))
}

fn parse(text: &str) -> Servers {
    let mut servers = Servers {
        addresses: Vec::new(),
        timeout: Duration::from_secs(5),
        attempts: 2,
    };
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") if servers.addresses.len() < SERVERS => {
                // A scope such as `%eth0` needs the number of the interface, which only the C library finds.
                let address = words.next().and_then(|it| it.parse::<IpAddr>().ok());
                let address = address.map(|it| SocketAddr::new(it, PORT));
                servers.addresses.extend(address);
            }
            Some("options") => {
                for option in words {
                    let number = |name| option.strip_prefix(name)?.parse::<u32>().ok();
                    if let Some(seconds) = number("timeout:") {
                        servers.timeout = Duration::from_secs(seconds.clamp(1, 30).into());
                    }
                    if let Some(attempts) = number("attempts:") {
                        servers.attempts = attempts.clamp(1, 5);
                    }
                }
            }
            _ => {}
        }
    }
    if servers.addresses.is_empty() {
        servers.addresses = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))];
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Vec<String>, u64, u32) {
        let servers = parse(text);
        let addresses = servers.addresses.iter().map(SocketAddr::to_string);
        let addresses = addresses.collect();
        (addresses, servers.timeout.as_secs(), servers.attempts)
    }

    #[test]
    fn servers_and_options_are_read() {
        let text = "# nameserver 192.0.2.9\nsearch contoso.com\nnameserver 192.0.2.1\n nameserver\t2001:db8::1 # second\nnameserver fe80::1%eth0\nnameserver localhost\noptions edns0 timeout:2 attempts:1\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n";
        let addresses = ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.3:53"];
        let expected = addresses.map(str::to_owned).to_vec();
        assert_eq!(parsed(text), (expected, 2, 1));
    }

    #[test]
    fn defaults_and_limits_are_those_of_the_c_library() {
        let local = vec!["127.0.0.1:53".to_owned()];
        assert_eq!(parsed(""), (local.clone(), 5, 2));
        let text = "options timeout:90 attempts:90\n";
        assert_eq!(parsed(text), (local.clone(), 30, 5));
        let text = "options timeout:0 attempts:0\n";
        assert_eq!(parsed(text), (local.clone(), 1, 1));
        assert_eq!(parsed("options timeout:x\n"), (local, 5, 2));
    }
}

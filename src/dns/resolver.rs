//! Asking the servers: UDP first, TCP for truncated answers, the next server after a failure.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};

use super::error::DnsError;
use super::message::{Answer, Query, RecordType};
use super::system::{self, Servers};
use crate::os_error::without_os_code;

/// How many aliases are followed by further queries.
const ALIASES: usize = 8;
/// The largest UDP message.
const UDP_LIMIT: usize = 64 * 1024;

/// Asks the DNS servers of this machine, or others.
#[derive(Clone, Debug)]
pub struct Resolver(Servers);

impl Resolver {
    /// A resolver that asks the servers of `/etc/resolv.conf`.
    #[must_use]
    pub fn system() -> Self {
        Self(system::servers())
    }

    /// A resolver that asks these servers, each once for this long.
    #[must_use]
    pub fn with_servers(addresses: Vec<SocketAddr>, timeout: Duration) -> Self {
        Self(Servers {
            addresses,
            timeout,
            attempts: 1,
        })
    }

    /// The texts of the TXT records of a name, without an order; empty if it has none.
    ///
    /// # Errors
    /// If the name does not exist, or no server answers.
    pub async fn txt(&self, name: &str) -> Result<Vec<String>, DnsError> {
        self.records(name, RecordType::Txt).await
    }

    /// Whether a name has records of this type.
    ///
    /// # Errors
    /// As [`Resolver::txt`].
    pub async fn has(&self, name: &str, kind: RecordType) -> Result<bool, DnsError> {
        Ok(!self.records(name, kind).await?.is_empty())
    }

    async fn records(&self, name: &str, kind: RecordType) -> Result<Vec<String>, DnsError> {
        let mut name = name.trim_end_matches('.').to_owned();
        let mut seen = HashSet::new();
        for _ in 0..=ALIASES {
            if !seen.insert(name.to_ascii_lowercase()) {
                break;
            }
            match self.ask(&name, kind).await? {
                Answer::Records(records) => return Ok(records),
                Answer::Alias(other) => name = other,
                _ => return Err(DnsError::NoSuchName),
            }
        }
        Err(DnsError::AliasLoop)
    }

    /// The first answer that is one of records, an alias, or that the name does not exist.
    async fn ask(&self, name: &str, kind: RecordType) -> Result<Answer, DnsError> {
        let mut last = None;
        for _ in 0..self.0.attempts {
            for server in &self.0.addresses {
                let answer = self.ask_server(*server, name, kind).await?;
                match answer {
                    Answer::Records(_) | Answer::Alias(_) | Answer::NoSuchName => {
                        return Ok(answer);
                    }
                    Answer::Failed(why) => last = Some((*server, why)),
                    Answer::Unrelated | Answer::Truncated | Answer::WithoutEdns => {
                        last = Some((*server, "sent an unusable answer".into()));
                    }
                }
            }
        }
        let (server, why) = last.expect("there is at least one server and one attempt");
        Err(DnsError::NoAnswer { server, why })
    }

    async fn ask_server(
        &self,
        server: SocketAddr,
        name: &str,
        kind: RecordType,
    ) -> Result<Answer, DnsError> {
        let mut edns = true;
        loop {
            let query = Query::new(random_id(), name, kind)?;
            let deadline = Instant::now() + self.0.timeout;
            let mut answer = timeout_at(deadline, by_udp(server, &query, edns)).await;
            if matches!(answer, Ok(Ok(Answer::Truncated))) {
                let deadline = Instant::now() + self.0.timeout;
                answer = timeout_at(deadline, by_tcp(server, &query, edns)).await;
            }
            let answer = match answer {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => {
                    let why = without_os_code(error);
                    Answer::Failed(format!("cannot be asked: {why}"))
                }
                Err(_) => {
                    let seconds = self.0.timeout.as_secs_f64();
                    Answer::Failed(format!("did not answer within {seconds} s"))
                }
            };
            if answer == Answer::WithoutEdns && edns {
                edns = false;
                continue;
            }
            return Ok(answer);
        }
    }
}

/// A number that others cannot guess, so that they cannot forge an answer.
fn random_id() -> u16 {
    let random = getrandom::u32().expect("the system has random numbers");
    u16::try_from(random >> 16).expect("16 bits are left")
}

/// Messages that do not answer the query are ignored.
async fn by_udp(server: SocketAddr, query: &Query<'_>, edns: bool) -> io::Result<Answer> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(&query.bytes(edns)).await?;
    let mut buffer = vec![0; UDP_LIMIT];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match query.read(&buffer[..length]) {
            Answer::Unrelated => {}
            answer => return Ok(answer),
        }
    }
}

/// A message over TCP has its length before it (RFC 1035 §4.2.2), which bounds it to 64 KiB.
async fn by_tcp(server: SocketAddr, query: &Query<'_>, edns: bool) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    let bytes = query.bytes(edns);
    let length = u16::try_from(bytes.len()).expect("a query has less than 64 KiB");
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend(bytes);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    Ok(match query.read(&answer) {
        Answer::Unrelated => Answer::Failed("answered another query".into()),
        answer => answer,
    })
}

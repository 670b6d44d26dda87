//! A DNS server for one zone, over UDP and TCP. It follows aliases as a recursive resolver does, truncates
//! what does not fit into a UDP message, and misbehaves for some names.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use simple_dns::rdata::{A, CNAME, MX, RData, TXT};
use simple_dns::{
    CLASS, CharacterString, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE,
};

/// What the server does for a name instead of answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// SERVFAIL.
    Fail,
    /// REFUSED.
    Refuse,
    /// Nothing.
    Ignore,
    /// Over UDP, messages of others before the answer: another id, another question.
    Forge,
    /// FORMERR to a query with EDNS.
    OldServer,
    /// Bytes that are no DNS message.
    Garbage,
}

#[derive(Clone, Debug)]
enum Record {
    Txt(String),
    Alias { target: String, followed: bool },
    Mail,
    Address,
}

/// The records of a server.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    records: HashMap<String, Vec<Record>>,
    troubles: HashMap<String, Trouble>,
}

impl Zone {
    fn add(mut self, name: &str, record: Record) -> Self {
        self.records
            .entry(name.to_owned())
            .or_default()
            .push(record);
        self
    }

    /// A TXT record, in strings of 100 bytes.
    pub fn txt(self, name: &str, text: &str) -> Self {
        self.add(name, Record::Txt(text.to_owned()))
    }

    /// An alias, which the server follows.
    pub fn alias(self, name: &str, target: &str) -> Self {
        let target = target.to_owned();
        let followed = true;
        self.add(name, Record::Alias { target, followed })
    }

    /// An alias, which the client must follow.
    pub fn bare_alias(self, name: &str, target: &str) -> Self {
        let target = target.to_owned();
        let followed = false;
        self.add(name, Record::Alias { target, followed })
    }

    pub fn mx(self, name: &str) -> Self {
        self.add(name, Record::Mail)
    }

    pub fn a(self, name: &str) -> Self {
        self.add(name, Record::Address)
    }

    pub fn trouble(mut self, name: &str, trouble: Trouble) -> Self {
        self.troubles.insert(name.to_owned(), trouble);
        self
    }

    /// The answer to a query, `None` for silence.
    fn answer(&self, query: &[u8], udp: bool) -> Vec<Vec<u8>> {
        let Ok(query) = Packet::parse(query) else {
            return Vec::new();
        };
        let question = query.questions[0].clone();
        let name = question.qname.to_string().to_ascii_lowercase();
        let mut packet = Packet::new_reply(query.id());
        packet.set_flags(PacketFlag::RECURSION_AVAILABLE);
        packet.questions.push(question.clone());
        let mut forged = Vec::new();
        match self.troubles.get(&name) {
            Some(Trouble::Ignore) => return Vec::new(),
            Some(Trouble::Garbage) => {
                let id = query.id().to_be_bytes();
                return vec![[&id[..], &[0x80, 0, 0, 1, 0xff, 0xff]].concat()];
            }
            Some(Trouble::Fail) => *packet.rcode_mut() = RCODE::ServerFailure,
            Some(Trouble::Refuse) => *packet.rcode_mut() = RCODE::Refused,
            Some(Trouble::OldServer) if query.opt().is_some() => {
                *packet.rcode_mut() = RCODE::FormatError;
            }
            trouble => {
                if trouble == Some(&Trouble::Forge) && udp {
                    let mut other = packet.clone();
                    other.set_id(query.id().wrapping_add(1));
                    forged.push(other);
                    let mut other = packet.clone();
                    other.questions[0].qname = Name::new("other.example").unwrap();
                    forged.push(other);
                }
                self.fill(&name, question.qtype, &mut packet);
            }
        }
        let mut bytes = packet.build_bytes_vec().unwrap();
        let room = query
            .opt()
            .map_or(512, |it| usize::from(it.udp_packet_size));
        if udp && bytes.len() > room {
            packet.answers.clear();
            packet.set_flags(PacketFlag::TRUNCATION);
            bytes = packet.build_bytes_vec().unwrap();
        }
        let forged = forged.iter().map(|it| it.build_bytes_vec().unwrap());
        forged.chain([bytes]).collect()
    }

    /// Adds the records of a name, or that it does not exist.
    fn fill(&self, name: &str, kind: QTYPE, packet: &mut Packet<'_>) {
        let mut name = name.to_owned();
        for _ in 0..20 {
            let Some(records) = self.records.get(&name) else {
                *packet.rcode_mut() = RCODE::NameError;
                return;
            };
            let mut next = None;
            for record in records {
                let (of, data) = match record {
                    Record::Txt(text) => {
                        let strings = text.as_bytes().chunks(100);
                        let strings = strings.map(|it| CharacterString::new(it).unwrap());
                        let data = RData::TXT(strings.fold(TXT::new(), TXT::with_char_string));
                        (TYPE::TXT, data.into_owned())
                    }
                    Record::Alias { target, followed } => {
                        next = followed.then(|| target.clone());
                        let target = Name::new(target).unwrap().into_owned();
                        (TYPE::CNAME, RData::CNAME(CNAME(target)))
                    }
                    Record::Mail => {
                        let exchange = Name::new("mx.example").unwrap();
                        let preference = 10;
                        (
                            TYPE::MX,
                            RData::MX(MX {
                                preference,
                                exchange,
                            }),
                        )
                    }
                    Record::Address => {
                        let address = u32::from(Ipv4Addr::LOCALHOST);
                        (TYPE::A, RData::A(A { address }))
                    }
                };
                if of == TYPE::CNAME || kind == QTYPE::TYPE(of) {
                    let owner = Name::new(&name).unwrap().into_owned();
                    let record = ResourceRecord::new(owner, CLASS::IN, 60, data);
                    packet.answers.push(record);
                }
            }
            match next {
                Some(target) => name = target.to_ascii_lowercase(),
                None => return,
            }
        }
    }
}

/// A running server.
pub struct Dns {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// The queries so far, over UDP and over TCP.
    queries: Arc<[AtomicUsize; 2]>,
}

impl Dns {
    /// A server on a free port of 127.0.0.1.
    pub fn start(zone: Zone) -> Self {
        // The same port must be free for UDP and for TCP.
        for _ in 0..100 {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = tcp.local_addr().unwrap();
            if let Ok(udp) = UdpSocket::bind(address) {
                return Self::serve(zone, tcp, udp);
            }
        }
        panic!("no port is free for UDP and TCP");
    }

    /// A server at port 53 of an address of this machine, for which the system must allow that port.
    pub fn start_at(zone: Zone, address: Ipv4Addr) -> Self {
        let tcp = TcpListener::bind((address, 53)).unwrap();
        let udp = UdpSocket::bind((address, 53)).unwrap();
        Self::serve(zone, tcp, udp)
    }

    fn serve(zone: Zone, tcp: TcpListener, udp: UdpSocket) -> Self {
        let address = tcp.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let queries = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let zone = Arc::new(Mutex::new(zone));
        let shared = || (zone.clone(), stop.clone(), queries.clone());
        let (its_zone, its_stop, counted) = shared();
        let by_udp = thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok((length, client)) = udp.recv_from(&mut buffer) {
                if its_stop.load(Ordering::SeqCst) {
                    return;
                }
                counted[0].fetch_add(1, Ordering::SeqCst);
                let answers = its_zone.lock().unwrap().answer(&buffer[..length], true);
                for answer in answers {
                    udp.send_to(&answer, client).unwrap();
                }
            }
        });
        let (its_zone, its_stop, counted) = shared();
        let by_tcp = thread::spawn(move || {
            while let Ok((stream, _)) = tcp.accept() {
                if its_stop.load(Ordering::SeqCst) {
                    return;
                }
                counted[1].fetch_add(1, Ordering::SeqCst);
                // A client that gives up ends only its connection.
                let _ = answer_by_tcp(stream, &its_zone.lock().unwrap());
            }
        });
        Self {
            address,
            stop,
            threads: vec![by_udp, by_tcp],
            queries,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The queries so far, over UDP and over TCP.
    pub fn queries(&self) -> (usize, usize) {
        let [udp, tcp] = &*self.queries;
        (udp.load(Ordering::SeqCst), tcp.load(Ordering::SeqCst))
    }
}

fn answer_by_tcp(mut stream: TcpStream, zone: &Zone) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut query = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut query)?;
    for answer in zone.answer(&query, false) {
        let length = u16::try_from(answer.len()).unwrap();
        stream.write_all(&length.to_be_bytes())?;
        stream.write_all(&answer)?;
    }
    Ok(())
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let _ = socket.send_to(&[0], self.address);
        let _ = TcpStream::connect(self.address);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            if !thread::panicking() {
                ended.unwrap();
            }
        }
    }
}

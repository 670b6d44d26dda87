//! The records of the server: in memory for the tests, and the accepted recipients on the disk.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Weak;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::STAGES;

/// Bytes recorded of each connection.
const TAPPED: usize = 64 * 1024;

/// A message the server took responsibility for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The connection.
    pub connection: usize,
    /// The address in MAIL FROM, empty for `<>`.
    pub sender: String,
    /// The accepted recipients.
    pub recipients: Vec<String>,
    /// The message with its CRLFs, dots unstuffed, without the terminator.
    pub data: Vec<u8>,
}

/// The accepted messages for the oracle: one line per message, synced before the reply to the dot.
struct Witness {
    folder: TempDir,
    file: File,
}

impl Witness {
    fn in_folder(folder: TempDir) -> Self {
        let file = File::create(folder.path().join("accepted.jsonl"))
            .expect("a folder of our own can be written");
        Self { folder, file }
    }

    fn note(&mut self, message: &Accepted) {
        let line = json!({"connection": message.connection, "recipients": message.recipients});
        writeln!(self.file, "{line}")
            .and_then(|()| self.file.sync_data())
            .expect("the disk takes another line");
    }

    fn read(&self) -> Vec<Vec<String>> {
        let path = self.folder.path().join("accepted.jsonl");
        let file = File::open(path).expect("it was created with the server");
        BufReader::new(file)
            .lines()
            .map(|line| {
                let line: Value = line
                    .map_err(serde_json::Error::io)
                    .and_then(|it| serde_json::from_str(&it))
                    .expect("every line was written whole");
                serde_json::from_value(line["recipients"].clone()).expect("a list of addresses")
            })
            .collect()
    }
}

pub struct Journal {
    pub accepted: Vec<Accepted>,
    witness: Witness,
    pub commands: Vec<(usize, String)>,
    pub received: Vec<Vec<u8>>,
    pub sent: Vec<Vec<u8>>,
    pub violations: Vec<String>,
    pub pipelined_dots: usize,
    pub sockets: Vec<Weak<TcpStream>>,
    pub connections: usize,
    pub open: usize,
    pub most_open: usize,
    pub reached: [usize; STAGES],
    pub stopping: bool,
}

impl Journal {
    pub fn new(folder: TempDir) -> Self {
        Self {
            accepted: Vec::new(),
            witness: Witness::in_folder(folder),
            commands: Vec::new(),
            received: Vec::new(),
            sent: Vec::new(),
            violations: Vec::new(),
            pipelined_dots: 0,
            sockets: Vec::new(),
            connections: 0,
            open: 0,
            most_open: 0,
            reached: [0; STAGES],
            stopping: false,
        }
    }

    /// Records the message as accepted.
    pub fn accept(&mut self, message: Accepted) {
        self.witness.note(&message);
        self.accepted.push(message);
    }

    pub fn synced(&self) -> Vec<Vec<String>> {
        self.witness.read()
    }
}

/// Records the first bytes of a direction.
pub fn record(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = TAPPED - kept.len();
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

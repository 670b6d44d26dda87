//! A simulation of the workers: the real workers, conversation, transitions and SQL, over streams in memory,
//! with a paused clock. One seed determines one history of faults.
//!
//! In each history, the relay misbehaves, the disk fails, and the process crashes; then a process without
//! faults finishes the job. After every process, the messages that the relay accepted are compared with the
//! ledger (I1 to I7). `ACCESS_INVITE_SEEDS` is the number of seeds; `ACCESS_INVITE_SEED` repeats one.

mod refusals;
mod reminders;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::queue::Due;
use super::stop::StopSignal;
use super::{Rates, Run, Tally};
use crate::address::Address;
use crate::config::Config;
use crate::invitation::{Identity, Invitee, MessageIdKey, Standing, State, Unless, invite_id};
use crate::ledger::fault_injection::{CommitFault, SharedDb};
use crate::ledger::{Enrolment, Ledger, LedgerError};
use crate::link::PackageId;
use crate::message::Message;
use crate::outbox::Prepared;
use crate::relay::{Connector, Dialer};

/// The default number of seeds.
const SEEDS: u64 = 400;
const PACKAGE: &str = "8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11";

/// The configuration of all histories.
static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = std::fs::read_to_string(home.join("config.example.toml")).unwrap();
    let templates = format!(
        "[templates]\ndirectory = \"{}\"",
        home.join("templates").display()
    );
    let example = example.replace("[templates]", &templates).replace(
        "host = \"smtp.example.com\"",
        "host = \"127.0.0.1\"\ntls = \"none\"",
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, example).unwrap();
    std::fs::write(folder.path().join("partners.example.csv"), "email\n").unwrap();
    Config::load(&file).unwrap()
});

/// How often the relay has accepted a message, by its Message-ID.
type AcceptedCounts = Arc<Mutex<BTreeMap<String, u32>>>;

/// How a relay behaves in one history.
#[derive(Clone, Copy)]
struct Behaviour {
    pipelining: bool,
    /// Whether it replies without delay, so that the replies to pipelined commands arrive together.
    immediate: bool,
    /// How many of a thousand replies are faulty.
    faults: u32,
    /// Whether it replies to the envelope after a final dot before it replies to the dot.
    envelope_before_dot: bool,
    /// How many connections it accepts before it refuses all others; usually unlimited.
    connections: u32,
}

/// A faulty reply.
#[derive(Clone, Copy, Debug)]
enum Fault {
    TempRefusal,
    UserUnknown,
    SenderRefused,
    Throttle,
    Closing,
    Nonsense,
    BareLf,
    CutReply,
    Unsolicited,
    OtherClass,
    Disconnect,
    Silent,
}

impl Fault {
    const ALL: [Self; 12] = [
        Self::TempRefusal,
        Self::UserUnknown,
        Self::SenderRefused,
        Self::Throttle,
        Self::Closing,
        Self::Nonsense,
        Self::BareLf,
        Self::CutReply,
        Self::Unsolicited,
        Self::OtherClass,
        Self::Disconnect,
        Self::Silent,
    ];
}

/// The connection has ended.
struct ConnectionEnded;

/// The relay's end of one connection.
struct Relay {
    stream: BufReader<DuplexStream>,
    behaviour: Behaviour,
    rng: Rng,
    accepted: AcceptedCounts,
}

impl Relay {
    async fn serve(mut self) {
        let _ = self.converse().await;
    }

    async fn converse(&mut self) -> Result<(), ConnectionEnded> {
        self.answer("220 here").await?;
        let mut from = false;
        let mut recipient: Option<String> = None;
        loop {
            let line = self.line().await?;
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_owned();
            match verb.as_str() {
                "EHLO" => {
                    let offer = if self.behaviour.pipelining {
                        "250-here\r\n250 PIPELINING"
                    } else {
                        "250 here"
                    };
                    self.answer(offer).await?;
                }
                "MAIL" => from = self.answer("250 2.1.0 ok").await?,
                "RCPT" if from => {
                    let address = line.trim_start_matches("RCPT TO:<").trim_end_matches('>');
                    assert!(recipient.is_none(), "two recipients in one transaction");
                    recipient = self
                        .answer("250 2.1.5 ok")
                        .await?
                        .then(|| address.to_owned());
                }
                // Some relays reply 354 although no recipient was accepted.
                "DATA" if from && (recipient.is_some() || self.rng.bool()) => {
                    if self.answer("354 go on").await? {
                        self.message(recipient.as_deref()).await?;
                        (from, recipient) = (false, None);
                    }
                }
                "RSET" => {
                    self.answer("250 2.0.0 forgotten").await?;
                    (from, recipient) = (false, None);
                }
                "QUIT" => {
                    self.answer("221 2.0.0 bye").await?;
                    return Err(ConnectionEnded);
                }
                _ => {
                    self.answer("503 5.5.1 not now").await?;
                }
            }
        }
    }

    async fn message(&mut self, recipient: Option<&str>) -> Result<(), ConnectionEnded> {
        if self.rng.u32(..2_000) < self.behaviour.faults {
            return Err(ConnectionEnded);
        }
        let (mut lines, mut id) = (0, String::new());
        loop {
            let line = self.line().await?;
            if line == "." {
                break;
            }
            lines += 1;
            if let Some(rest) = line.strip_prefix("Message-ID: <") {
                rest.trim_end_matches('>').clone_into(&mut id);
            }
        }
        if recipient.is_none() {
            assert_eq!(lines, 0, "a message without a recipient");
            return self.write("554 5.5.1 no valid recipients\r\n").await;
        }
        assert!(lines > 2, "a message without its lines");
        if !self.behaviour.envelope_before_dot || self.stream.buffer().is_empty() {
            return self.dot(&id).await;
        }
        let next = self.envelope_first().await?;
        self.dot(&id).await?;
        Box::pin(self.message(Some(&next))).await
    }

    /// Replies to the envelope after a final dot; returns its recipient.
    async fn envelope_first(&mut self) -> Result<String, ConnectionEnded> {
        let mut next = String::new();
        for _ in 0..3 {
            let line = self.line().await?;
            if let Some(to) = line.strip_prefix("RCPT TO:<") {
                to.trim_end_matches('>').clone_into(&mut next);
            }
            let is_data = line == "DATA";
            let correct = if is_data { "354 go on" } else { "250 2.0.0 ok" };
            if !self.behaviour.immediate {
                sleep(Duration::from_millis(self.rng.u64(..50))).await;
            }
            self.write(&format!("{correct}\r\n")).await?;
        }
        Ok(next)
    }

    /// Replies to the final dot of the message with this id.
    async fn dot(&mut self, id: &str) -> Result<(), ConnectionEnded> {
        // A relay may accept the message and close the connection before it replies.
        let accepted_without_reply = self.rng.u32(..4_000) < self.behaviour.faults;
        if accepted_without_reply {
            self.accept(id);
            return Err(ConnectionEnded);
        }
        match self.fault() {
            None => {
                self.accept(id);
                self.write("250 2.0.0 taken\r\n").await
            }
            // Any reply that is not a clear refusal may follow an accepted message.
            Some(fault) => {
                let refused = matches!(
                    fault,
                    Fault::TempRefusal
                        | Fault::UserUnknown
                        | Fault::SenderRefused
                        | Fault::Throttle
                        | Fault::Closing
                );
                let accepted_anyway = matches!(fault, Fault::Unsolicited);
                if accepted_anyway || (!refused && self.rng.bool()) {
                    self.accept(id);
                }
                self.misbehave(fault, "250 2.0.0 taken").await
            }
        }
    }

    fn accept(&self, id: &str) {
        *self
            .accepted
            .lock()
            .unwrap()
            .entry(id.to_owned())
            .or_default() += 1;
    }

    fn fault(&mut self) -> Option<Fault> {
        let hit = self.rng.u32(..1_000) < self.behaviour.faults;
        hit.then(|| self.rng.choice(Fault::ALL).unwrap_or(Fault::Disconnect))
    }

    /// Sends the correct reply or a faulty one; returns whether it was correct.
    async fn answer(&mut self, correct: &str) -> Result<bool, ConnectionEnded> {
        if !self.behaviour.immediate {
            let delay = self.rng.u64(..50);
            sleep(Duration::from_millis(delay)).await;
        }
        match self.fault() {
            None => self.write(&format!("{correct}\r\n")).await.map(|()| true),
            Some(fault) => self.misbehave(fault, correct).await.map(|()| false),
        }
    }

    async fn misbehave(&mut self, fault: Fault, correct: &str) -> Result<(), ConnectionEnded> {
        match fault {
            Fault::TempRefusal => self.write("450 4.2.0 later\r\n").await,
            Fault::UserUnknown => self.write("550 5.1.1 no such user\r\n").await,
            Fault::SenderRefused => {
                self.write("550 5.7.60 Client does not have permissions to send as this sender\r\n")
                    .await
            }
            Fault::Throttle => self.write("451 4.7.500 Server busy\r\n").await,
            Fault::Closing => {
                self.write("421 4.3.2 closing\r\n").await?;
                Err(ConnectionEnded)
            }
            Fault::Nonsense => self.write("what?\r\n").await,
            Fault::BareLf => self.write(&format!("{correct}\n")).await,
            Fault::CutReply => {
                let cut = self.rng.usize(..=correct.len());
                self.write(&correct[..cut]).await?;
                Err(ConnectionEnded)
            }
            Fault::Unsolicited => {
                let text = format!("{correct}\r\n250 2.0.0 and this, too\r\n");
                self.write(&text).await
            }
            Fault::OtherClass => self.write("354 hm\r\n").await,
            Fault::Disconnect => Err(ConnectionEnded),
            Fault::Silent => {
                // Until the client disconnects.
                let mut rest = Vec::new();
                let _ = self.stream.read_to_end(&mut rest).await;
                Err(ConnectionEnded)
            }
        }
    }

    async fn line(&mut self) -> Result<String, ConnectionEnded> {
        let mut line = Vec::new();
        let read = self.stream.read_until(b'\n', &mut line).await;
        match read {
            Ok(_) if line.ends_with(b"\r\n") => {
                Ok(String::from_utf8_lossy(&line[..line.len() - 2]).into_owned())
            }
            _ => Err(ConnectionEnded),
        }
    }

    async fn write(&mut self, text: &str) -> Result<(), ConnectionEnded> {
        self.stream
            .write_all(text.as_bytes())
            .await
            .map_err(|_| ConnectionEnded)
    }
}

fn clock() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

fn address(number: usize) -> Address {
    Address::parse(&format!("p{number}@d{}.example", number % 5)).unwrap()
}

fn identity(address: &Address) -> Identity {
    Identity::new("simulation", PackageId::parse(PACKAGE).unwrap(), address)
}

/// One process, up to its end or crash.
struct Process {
    ledger: Arc<Ledger>,
    messages: Vec<Prepared>,
    connections: u32,
    dial: Box<Dialer>,
    per_minute: Option<u32>,
    max_runtime: Option<Duration>,
    breaker_open: bool,
    unless: Unless,
    clock: fn() -> Timestamp,
}

impl Process {
    async fn run(self) -> Tally {
        let connector = Connector::with_test_dialer(&CONFIG.smtp, self.dial).unwrap();
        let run = Run {
            ledger: self.ledger,
            connector: Arc::new(connector),
            sender: CONFIG.sender.address.clone(),
            connections: self.connections,
            max_runtime: self.max_runtime,
            rates: self
                .per_minute
                .map(|it| Arc::new(Rates::new(it, 1_000, &[], (self.clock)()))),
            retry: CONFIG.retry,
            unless: self.unless,
            receipts: false,
            breaker_open: self.breaker_open,
            first_pause: Duration::from_secs(30),
            clock: self.clock,
            on_event: Box::new(|_, _| {}),
        };
        let (sender, queue) = mpsc::channel::<Due>(self.messages.len().max(1));
        for message in self.messages {
            let sent = sender.try_send(Box::new(move || Ok(message)));
            assert!(sent.is_ok(), "there is room for all of them");
        }
        drop(sender);
        let stop = Arc::new(StopSignal::default());
        run.run_workers(self.connections, queue, std::future::ready(()), stop)
            .await
    }
}

/// The due messages: all that are pending or deferred.
fn due(disk: &SharedDb) -> Vec<Prepared> {
    let standings = disk.standings().unwrap();
    let due = standings
        .into_iter()
        .filter(|(_, it)| matches!(it.state, State::Pending | State::Deferred));
    due.map(|(address, standing)| message(&address, standing, "hello\r\n..\r\n"))
        .collect()
}

/// A message with these lines to this address.
fn message(address: &str, standing: Standing, lines: &str) -> Prepared {
    let recipient = Address::parse(address).unwrap();
    let message = format!("Message-ID: <{}>\r\n\r\n{lines}", standing.message_id);
    Prepared {
        identity: identity(&recipient),
        recipient,
        message: Message {
            bytes: message.into_bytes(),
            date: clock(),
        },
        envelope_id: invite_id(&standing.message_id),
        standing,
    }
}

fn count(disk: &SharedDb, state: State) -> usize {
    let standings = disk.standings().unwrap();
    standings.iter().filter(|(_, it)| it.state == state).count()
}

/// Compares the accepted messages with the ledger, in which at most `may_be_armed` rows may be armed.
fn check(
    disk: &SharedDb,
    accepted: &AcceptedCounts,
    partners: usize,
    may_be_armed: u32,
    seed: u64,
) {
    let accepted = accepted.lock().unwrap();
    let standings = disk.standings().unwrap();
    assert_eq!(standings.len(), partners, "I2, seed {seed}");
    let mut armed = 0;
    for (address, standing) in &standings {
        let times = accepted.get(&standing.message_id).copied().unwrap_or(0);
        assert!(
            times <= 1,
            "I1, seed {seed}: {address} was invited {times} times"
        );
        match standing.state {
            State::Accepted => assert_eq!(times, 1, "I3, seed {seed}: {address}"),
            State::Unknown => {}
            State::Armed => armed += 1,
            state => assert_eq!(times, 0, "I5, seed {seed}: {address} is {state}"),
        }
    }
    assert!(armed <= may_be_armed, "I7, seed {seed}: {armed} armed");
}

/// One history: a few processes with faults, one without, and the invariants after each.
async fn history(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let partners = rng.usize(1..12);
    let connections = rng.u32(1..5);
    let disk = SharedDb::new(MessageIdKey([7; 32])).unwrap();
    let accepted = AcceptedCounts::default();
    enrol(&disk, partners).await;

    let mut expected_unknown = 0;
    let faulty = rng.usize(1..4);
    for process in 0..=faulty {
        let clean = process == faulty;
        let commit_fault = (!clean && rng.u32(..3) == 0).then(|| {
            let kinds = [
                CommitFault::CrashBeforeCommit,
                CommitFault::CrashAfterCommit,
                CommitFault::CommitFails,
            ];
            (rng.u32(..20), kinds[rng.usize(..3)])
        });
        let (recovering, _) = disk.open(None).unwrap();
        recovering.recover(clock()).await.unwrap();
        let (ledger, crashed) = disk.open(commit_fault).unwrap();
        let behaviour = Behaviour {
            pipelining: rng.bool(),
            immediate: rng.bool(),
            envelope_before_dot: false,
            faults: if clean { 0 } else { rng.u32(..300) },
            connections: if clean || rng.bool() {
                u32::MAX
            } else {
                rng.u32(1..6)
            },
        };
        // Killed at a random moment within the duration of a short run.
        let killed = !clean && rng.u32(..3) == 0;
        // Only a process that does not crash corrects outcomes that were read from replies out of order.
        let behaviour = Behaviour {
            envelope_before_dot: !clean && !killed && commit_fault.is_none() && rng.bool(),
            ..behaviour
        };
        let run = Process {
            ledger: Arc::new(ledger),
            messages: due(&disk),
            connections,
            dial: dial(behaviour, rng.fork(), accepted.clone()),
            per_minute: rng.bool().then(|| rng.u32(1..20)),
            max_runtime: (!clean && rng.u32(..4) == 0).then(|| Duration::from_secs(rng.u64(..90))),
            breaker_open: false,
            unless: Unless::default(),
            clock,
        };
        let moment = Duration::from_millis(if killed {
            rng.u64(..2_000)
        } else {
            u64::MAX / 2
        });
        let ended = tokio::select! {
            biased;
            () = crashed.notified() => false,
            _ = run.run() => true,
            () = sleep(moment) => false,
        };
        // Data on the wire still reaches the relay after a crash.
        sleep(Duration::from_hours(1)).await;
        // Only a crash or a failed commit may leave rows armed.
        let without_fault = ended && commit_fault.is_none();
        let armed = if without_fault { 0 } else { connections };
        check(&disk, &accepted, partners, armed, seed);
        let unknown = count(&disk, State::Unknown);
        assert!(
            !clean || unknown == expected_unknown,
            "seed {seed}: an `unknown` without a cause"
        );
        expected_unknown = unknown + count(&disk, State::Armed);
    }
    let open = disk.standings().unwrap();
    let open: Vec<_> = open
        .iter()
        .filter(|(_, it)| {
            !matches!(
                it.state,
                State::Accepted | State::Unknown | State::Rejected | State::Expired
            )
        })
        .collect();
    assert!(open.is_empty(), "I6, seed {seed}: not settled: {open:?}");
}

fn dial(behaviour: Behaviour, rng: Rng, accepted: AcceptedCounts) -> Box<Dialer> {
    let state = Mutex::new((rng, 0));
    Box::new(move || {
        let mut state = state.lock().unwrap();
        state.1 += 1;
        if state.1 > behaviour.connections {
            return None;
        }
        let (client, server) = tokio::io::duplex(64 * 1024);
        let relay = Relay {
            stream: BufReader::new(server),
            behaviour,
            rng: state.0.fork(),
            accepted: accepted.clone(),
        };
        tokio::spawn(relay.serve());
        Some(Box::new(client))
    })
}

async fn enrol(disk: &SharedDb, partners: usize) {
    let addresses: Vec<_> = (0..partners).map(address).collect();
    enrol_all(disk, &addresses).await;
}

async fn enrol_all(disk: &SharedDb, addresses: &[Address]) {
    let (ledger, _) = disk.open(None).unwrap();
    let enrolments = addresses.iter().map(|address| {
        let identity = identity(address);
        Enrolment {
            message_id: identity.message_id(disk.key(), 0, "contoso.example"),
            invitee: Invitee {
                package: "project".into(),
                email: address.as_written().into(),
                name: None,
                organization: None,
                locale: None,
                template_locale: "en".into(),
            },
            identity,
        }
    });
    let enrolments: Vec<_> = enrolments.map(Ok::<_, LedgerError>).collect();
    let enrolled = ledger.enrol(0, "spring", enrolments.into_iter(), clock());
    enrolled.await.unwrap();
}

/// Simulates the histories of these seeds: as many as `ACCESS_INVITE_SEEDS` asks for, divided by how much longer
/// one takes than in the first simulation, else `seeds`; or the one of `ACCESS_INVITE_SEED`.
fn simulate<F: Future<Output = ()>>(seeds: u64, longer: u64, history: fn(u64) -> F) {
    let number = |variable| std::env::var(variable).ok()?.parse().ok();
    let first: Option<u64> = number("ACCESS_INVITE_SEED");
    let asked = number("ACCESS_INVITE_SEEDS").map(|it: u64| it.div_ceil(longer));
    let count = first.map_or_else(|| asked.unwrap_or(seeds), |_| 1);
    let first = first.unwrap_or(0);
    for seed in first..first + count {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let history = std::panic::AssertUnwindSafe(|| runtime.block_on(history(seed)));
        let passed = std::panic::catch_unwind(history);
        assert!(passed.is_ok(), "repeat it with ACCESS_INVITE_SEED={seed}");
    }
}

#[test]
fn simulated_faults_keep_all_invariants() {
    simulate(SEEDS, 1, history);
}

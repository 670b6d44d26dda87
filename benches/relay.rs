//! Measures whole jobs against other senders, on loopback and with a round-trip time.
//!
//! ```sh
//! cargo bench --bench relay                  # everything; needs Postfix's smtp-sink and smtp-source
//! cargo bench --bench relay -- loopback      # or: distance, peers, waits, memory
//! ACCESS_INVITE_MESSAGES=2000 ACCESS_INVITE_ROUNDS=3 cargo bench --bench relay
//! ```
//!
//! The release binary sends to `smtp-sink`; `smtp-source -d` sends as many messages of the same size over as
//! many sessions and records nothing. Rounds alternate in reversed order, and medians are printed. The delivery
//! phase is read from the ledger: from the first armed message to the last accepted one. Compare only ratios.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a driver that reports to a terminal"
)]

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// The resources that one process used.
#[derive(Clone, Copy, Debug, Default)]
struct Took {
    wall: f64,
    /// User and system time, in seconds.
    cpu: f64,
    /// Peak resident memory, in MiB.
    peak: f64,
    /// The delivery phase in seconds, if there is a ledger.
    phase: f64,
}

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|it| !it.starts_with("--"))
        .collect();
    let asked = |name: &str| wanted.is_empty() || wanted.iter().any(|it| it == name);
    let messages = number("ACCESS_INVITE_MESSAGES", 10_000);
    let rounds = number("ACCESS_INVITE_ROUNDS", 5);
    for tool in ["smtp-sink", "smtp-source"] {
        if !is_there(tool) {
            println!("{tool} is missing (it is in Debian's package postfix); nothing is measured");
            return;
        }
    }
    println!("{messages} messages, medians of {rounds} rounds that alternate with smtp-source -d");
    if asked("loopback") {
        loopback(messages, rounds);
    }
    if asked("distance") {
        distance(messages.min(2_000), rounds.min(3));
    }
    if asked("peers") {
        peers(messages, rounds.min(3));
    }
    if asked("waits") {
        waits(messages.min(2_000));
    }
    if asked("memory") {
        memory();
    }
}

fn loopback(messages: usize, rounds: usize) {
    println!("\nloopback\n{HEAD}");
    let sink = Sink::start();
    for connections in [1, 8, 16, 32] {
        let job = Job::new(messages, connections, sink.port, "");
        compare(&job, sink.port, rounds);
    }
}

fn distance(messages: usize, rounds: usize) {
    println!("\n20 ms round-trip time, by a TCP proxy that delays each direction by 10 ms\n{HEAD}");
    let sink = Sink::start();
    let far = Distance::to(sink.port, Duration::from_millis(10));
    for connections in [8, 32] {
        let job = Job::new(messages, connections, far.port, "");
        compare(&job, far.port, rounds);
    }
}

const HEAD: &str = "connections   msg/s  phase msg/s   source msg/s   ratio  phase ratio   cpu s/1,000 (source)   peak MiB";

/// Runs this program and `smtp-source` alternately.
fn compare(job: &Job, port: u16, rounds: usize) {
    let size = job.message_size();
    let mut own = Vec::new();
    let mut theirs = Vec::new();
    for round in 0..rounds {
        let source = || run(&mut source(job, port, size));
        if round % 2 == 0 {
            own.push(job.send());
            theirs.push(source());
        } else {
            theirs.push(source());
            own.push(job.send());
        }
    }
    let count = job.messages as f64;
    let ratios = |of: fn(&Took) -> f64| {
        median(
            own.iter()
                .zip(&theirs)
                .map(|(own, theirs)| theirs.wall / of(own)),
        )
    };
    println!(
        "{:>11} {:>7.0} {:>12.0} {:>14.0} {:>7.2} {:>12.2} {:>13.3} ({:.3}) {:>10.1}",
        job.connections,
        count / median(own.iter().map(|it| it.wall)),
        count / median(own.iter().map(|it| it.phase)),
        count / median(theirs.iter().map(|it| it.wall)),
        ratios(|it| it.wall),
        ratios(|it| it.phase),
        1_000.0 * median(own.iter().map(|it| it.cpu)) / count,
        1_000.0 * median(theirs.iter().map(|it| it.cpu)) / count,
        median(own.iter().map(|it| it.peak)),
    );
}

fn source(job: &Job, port: u16, size: usize) -> Command {
    let mut command = Command::new(tool("smtp-source"));
    command
        .args([
            "-d",
            "-s",
            &job.connections.to_string(),
            "-m",
            &job.messages.to_string(),
        ])
        .args([
            "-l",
            &size.to_string(),
            "-f",
            "a@a.example",
            "-t",
            "b@b.example",
        ])
        .arg(format!("127.0.0.1:{port}"));
    command
}

/// The template variables for the other senders, apart from those in the list.
const CONTEXT: &str = r#"{
    "campaign": "bench",
    "link": "https://myaccess.microsoft.com/@fabrikam.onmicrosoft.com#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11",
    "package": {
        "name": "Project space", "description": "Plans and documents of the harbour project",
        "justification": "Work on the harbour project", "respond_by": "December 31, 2099"
    },
    "sender": {
        "name": "Contoso Partner Access", "address": "access@contoso.example", "organization": "Contoso",
        "contact": "Contoso Partner Desk, +33 1 23 45 67 89", "reply_to": "desk@contoso.example"
    }
}"#;

/// The same list and templates, rendered and sent by nodemailer's pool with nunjucks and by Python's smtplib
/// with Jinja2, which verify and record nothing.
fn peers(messages: usize, rounds: usize) {
    println!("\nother senders, the same list and templates, 8 connections where they pool");
    let sink = Sink::start();
    let job = Job::new(messages, 8, sink.port, "");
    std::fs::write(job.folder.path().join("context.json"), CONTEXT).unwrap();
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let peer = |program: &str, script: &str| {
        let mut command = Command::new(program);
        command
            .arg(home.join("benches/peers").join(script))
            .arg(home.join("templates"))
            .arg(job.folder.path())
            .arg(sink.port.to_string());
        command
    };
    let mut rows: Vec<(&str, Vec<f64>)> = vec![("access-invite", Vec::new())];
    for _ in 0..rounds {
        rows[0].1.push(job.send().wall);
    }
    for (name, program, script) in [
        ("nodemailer + nunjucks, pool of 8", "node", "nodemailer.mjs"),
        (
            "smtplib + Jinja2, one connection",
            "python3",
            "smtplib_peer.py",
        ),
    ] {
        let able = peer(program, script)
            .arg("--check")
            .stderr(Stdio::null())
            .status();
        if !able.is_ok_and(|it| it.success()) {
            println!("{name}: missing (npm install --prefix benches/peers; pip install jinja2)");
            continue;
        }
        let walls = (0..rounds).map(|_| run(&mut peer(program, script)).wall);
        rows.push((name, walls.collect()));
    }
    let own = median(rows[0].1.iter().copied());
    for (name, walls) in rows {
        let wall = median(walls.iter().copied());
        println!(
            "{name:<34} {:>8.0} msg/s {:>8.1} times as long",
            messages as f64 / wall,
            wall / own
        );
    }
}

/// Counts round trips per message, by a TCP proxy, and fsyncs, by strace.
fn waits(messages: usize) {
    println!("\nwhat a message waits for");
    let sink = Sink::start();
    let near = Distance::to(sink.port, Duration::ZERO);
    for connections in [1, 8] {
        let job = Job::new(messages, connections, near.port, "");
        let before = near.turns.load(Ordering::SeqCst);
        job.send();
        let turns = near.turns.load(Ordering::SeqCst) - before;
        let mut line = format!(
            "{connections} connections: {:.2} round trips",
            turns as f64 / messages as f64
        );
        if is_there("strace") {
            let job = Job::new(messages, connections, sink.port, "");
            job.reset();
            let trace = job.folder.path().join("trace");
            let mut traced = Command::new("strace");
            traced
                .args(["-f", "-qq", "-c", "-e", "trace=fsync,fdatasync", "-o"])
                .arg(&trace);
            traced
                .arg(binary())
                .arg("send")
                .current_dir(job.folder.path());
            assert!(traced.stdin(Stdio::null()).status().unwrap().success());
            let counted = std::fs::read_to_string(trace).unwrap();
            let calls = counted
                .lines()
                .filter(|it| it.contains("sync") && !it.contains("total"));
            let calls: f64 = calls
                .filter_map(|it| it.split_whitespace().nth(3)?.parse::<f64>().ok())
                .sum();
            let _ = write!(
                line,
                ", {:.2} fsyncs (traced, which makes the groups larger)",
                calls / messages as f64
            );
        }
        println!("{line} a message");
    }
}

/// Time and memory for long lists.
fn memory() {
    println!("\nlong lists");
    let sink = Sink::start();
    let job = Job::new(1_000, 8, sink.port, "");
    job.send();
    let idle: Vec<Took> = (0..9).map(|_| run(&mut job.command(&["send"]))).collect();
    println!(
        "1,000 partners, nothing to do: {:.0} ms",
        1_000.0 * median(idle.iter().map(|it| it.wall))
    );
    for messages in [10_000, 100_000] {
        let job = Job::new(messages, 8, sink.port, "");
        let took = job.send();
        println!(
            "{messages} new invitations: {:.1} s, {:.1} MiB",
            took.wall, took.peak
        );
    }
    let job = Job::new(1_000_000, 8, sink.port, "");
    job.pretend_accepted();
    let took = run(&mut job.command(&["send"]));
    println!(
        "1,000,000 rows, all accepted: {:.1} s, {:.1} MiB",
        took.wall, took.peak
    );
}

/// A job with its own ledger, in a temporary folder.
struct Job {
    folder: tempfile::TempDir,
    messages: usize,
    connections: usize,
}

impl Job {
    fn new(messages: usize, connections: usize, port: u16, smtp: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let config = format!(
            "campaign = \"bench\"\n[sender]\nfrom = \"Contoso Partner Access <access@contoso.example>\"\nreply_to = \"Partner Desk <desk@contoso.example>\"\norganization = \"Contoso\"\ncontact = \"Contoso Partner Desk, +33 1 23 45 67 89\"\n[packages.project]\nlink = \"https://myaccess.microsoft.com/@fabrikam.onmicrosoft.com#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11\"\nname = \"Project space\"\ndescription = \"Plans and documents of the harbour project\"\njustification = \"Work on the harbour project\"\nrespond_by = 2099-12-31\n[partners]\nfile = \"partners.csv\"\n[templates]\ndirectory = \"{}\"\n[smtp]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nconnections = {connections}\n{smtp}\n[limits]\nper_minute = 1000000\nper_day = 100000000\nnew_per_run = 100000000\n[ledger]\nfile = \"ledger.sqlite3\"\n",
            templates.display(),
        );
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let mut rows = std::io::BufWriter::new(
            std::fs::File::create(folder.path().join("partners.csv")).unwrap(),
        );
        writeln!(rows, "email,name,organization,locale").unwrap();
        for row in 0..messages {
            let locale = ["en", "fr", "de", "es"][row % 4];
            let company = row % 997;
            writeln!(
                rows,
                "partner{row}@company{company}.example,Ada Partner {row},Company {company},{locale}"
            )
            .unwrap();
        }
        rows.flush().unwrap();
        Self {
            folder,
            messages,
            connections,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("ACCESS_INVITE_CONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Replaces the ledger with an empty one.
    fn reset(&self) {
        let _ = std::fs::remove_file(self.folder.path().join("ledger.sqlite3"));
        assert!(self.command(&["init", "."]).status().unwrap().success());
    }

    /// Sends everything, from an empty ledger.
    fn send(&self) -> Took {
        self.reset();
        let took = run(&mut self.command(&["send"]));
        let ledger = rusqlite::Connection::open(self.folder.path().join("ledger.sqlite3")).unwrap();
        let (first, last, accepted): (i64, i64, i64) = ledger
            .query_row(
                "SELECT min(at) FILTER (WHERE to_state = 'armed'),
                    max(at) FILTER (WHERE to_state = 'accepted'),
                    count(*) FILTER (WHERE to_state = 'accepted') FROM history",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .unwrap();
        let accepted = usize::try_from(accepted).unwrap();
        assert_eq!(accepted, self.messages, "not everything was accepted");
        Took {
            phase: (last - first) as f64 / 1_000.0,
            ..took
        }
    }

    /// Fills the ledger as if everybody had been invited.
    fn pretend_accepted(&self) {
        self.reset();
        let ledger = rusqlite::Connection::open(self.folder.path().join("ledger.sqlite3")).unwrap();
        let invited = ledger.execute(
            "WITH RECURSIVE partner (n) AS (
                SELECT 0 UNION ALL SELECT n + 1 FROM partner WHERE n + 1 < ?1
             ), invitee AS (
                SELECT n, 'partner' || n || '@company' || (n % 997) || '.example' AS address FROM partner
             )
             INSERT INTO invitation (campaign, package_id, address, occasion, package, email,
                template_locale, state, generation, message_id, attempts, deferrals, repeat,
                created_at, updated_at, room)
             SELECT 'bench', '8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11', address, 'invitation',
                'project', address, 'en', 'accepted', 0, n || '@contoso.example', 1, 0, 0, 0, 0, x''
             FROM invitee",
            [i64::try_from(self.messages).unwrap()],
        );
        assert_eq!(invited.unwrap(), self.messages);
    }

    /// The average size of the first messages, for `smtp-source`.
    fn message_size(&self) -> usize {
        let arguments = ["preview", "--limit", "4", "--out", "sizes"];
        assert!(self.command(&arguments).status().unwrap().success());
        let messages = self.folder.path().join("sizes/messages");
        let sizes = std::fs::read_dir(messages).unwrap().filter_map(|it| {
            let path = it.unwrap().path();
            let message = path.extension().is_some_and(|it| it == "eml");
            message.then(|| usize::try_from(path.metadata().unwrap().len()).unwrap())
        });
        let sizes: Vec<usize> = sizes.collect();
        sizes.iter().sum::<usize>() / sizes.len()
    }
}

/// Postfix's `smtp-sink` on a free port, until it is dropped.
struct Sink {
    child: Child,
    port: u16,
}

impl Sink {
    fn start() -> Self {
        let port = TcpListener::bind(("127.0.0.1", 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = Command::new(tool("smtp-sink"));
        if std::fs::metadata("/proc/self")
            .is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0)
        {
            command.args(["-u", "postfix"]);
        }
        let child = command
            .args(["-m", "400", &format!("127.0.0.1:{port}"), "1000"])
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "smtp-sink does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        Self { child, port }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A TCP proxy that delays both directions and counts round trips: how often a client wrote after it had
/// received something.
struct Distance {
    port: u16,
    turns: Arc<AtomicU64>,
}

impl Distance {
    fn to(port: u16, delay: Duration) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let here = listener.local_addr().unwrap().port();
        let turns = Arc::new(AtomicU64::new(0));
        let counted = turns.clone();
        // The thread ends with the process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let relay = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
                client.set_nodelay(true).unwrap();
                relay.set_nodelay(true).unwrap();
                let heard = Arc::new(AtomicU64::new(0));
                let (asked, answered) = (heard.clone(), heard);
                let turns = counted.clone();
                pass(&client, &relay, delay, move || {
                    turns.fetch_add(asked.swap(0, Ordering::SeqCst), Ordering::SeqCst);
                });
                pass(&relay, &client, delay, move || {
                    answered.store(1, Ordering::SeqCst);
                });
            }
        });
        Self { port: here, turns }
    }
}

/// One direction, on two threads: one reads, the other writes after the delay.
fn pass(from: &TcpStream, to: &TcpStream, delay: Duration, on_piece: impl Fn() + Send + 'static) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    let (sender, pieces) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut piece) {
            on_piece();
            if sender
                .send((Instant::now() + delay, piece[..read].to_vec()))
                .is_err()
            {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (when, piece) in pieces {
            thread::sleep(when.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}

/// Runs a command to its end and measures it.
fn run(command: &mut Command) -> Took {
    let before = children_cpu();
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut peak = 0.0_f64;
    let status = loop {
        peak = peak.max(peak_of(child.id()));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success(), "{command:?}: {status}");
    Took {
        wall: start.elapsed().as_secs_f64(),
        cpu: children_cpu() - before,
        peak,
        phase: 0.0,
    }
}

fn peak_of(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find(|it| it.starts_with("VmHWM:"))
        .unwrap_or_default();
    let kib = line
        .split_whitespace()
        .nth(1)
        .and_then(|it| it.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1_024.0
}

/// User and system time of all children that have been waited for, in seconds (proc(5): fields 16 and 17, in
/// hundredths).
fn children_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let behind_name = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<f64> = behind_name
        .split_whitespace()
        .filter_map(|it| it.parse().ok())
        .collect();
    // The state, a letter, is skipped: field 4 of proc(5) comes first.
    (fields[12] + fields[13]) / 100.0
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn binary() -> PathBuf {
    let named = std::env::var_os("ACCESS_INVITE_BINARY");
    named.map_or_else(|| env!("CARGO_BIN_EXE_access-invite").into(), PathBuf::from)
}

/// The path of Debian's package, otherwise the bare name.
fn tool(name: &str) -> PathBuf {
    let debian = Path::new("/usr/sbin").join(name);
    if debian.exists() { debian } else { name.into() }
}

fn is_there(name: &str) -> bool {
    tool(name).is_absolute()
        || std::env::var_os("PATH")
            .is_some_and(|it| std::env::split_paths(&it).any(|it| it.join(name).exists()))
}

fn number(variable: &str, usual: usize) -> usize {
    let given = std::env::var(variable).ok();
    given.and_then(|it| it.parse().ok()).unwrap_or(usual)
}

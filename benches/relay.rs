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

mod job;

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use self::job::{Job, Sink, Took, binary, is_there, median, number, run, tool};

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

//! Faults put into the system calls of the real binary by strace: killed, or told EIO or
//! ENOSPC, at the Nth call of a kind. Whatever fails and whenever, the invariants hold, and a
//! run without a fault finishes the job. Run by `.ci/run`, which installs strace.
//!
//! `ACCESS_INVITE_POINTS` says how many points each test tries, spread over all there are.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::chance::number;
use crate::support::smtp::gate::Keeper;
use crate::support::smtp::{self, Action, Server, Stage};
use crate::support::{Output, Running, Workplace, oracle};

const PARTNERS: usize = 20;
const CONNECTIONS: usize = 2;

fn job(server: &Server) -> Workplace {
    let mut workplace = Workplace::new(server.port());
    workplace.smtp(&format!("connections = {CONNECTIONS}"));
    workplace.crowd(PARTNERS);
    workplace
}

/// A system call, and the file that it must be about, where that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    name: &'static str,
    file: Option<&'static str>,
}

impl Call {
    const fn new(name: &'static str) -> Self {
        Self { name, file: None }
    }

    fn is_about(self, arguments: &str) -> bool {
        self.file.is_none_or(|it| arguments.contains(it))
    }
}

/// One fault at one call: `when` is counted by strace on each thread alone.
#[derive(Clone, Debug)]
struct Point {
    call: Call,
    fault: &'static str,
    when: String,
}

impl Point {
    fn kill(call: Call, nth: usize) -> Self {
        Self {
            call,
            fault: "signal=SIGKILL",
            when: nth.to_string(),
        }
    }

    /// Runs the verb and lets the fault come.
    fn strike(&self, workplace: &Workplace, verb: &[&str]) -> Output {
        let inject = format!(
            "inject={}:{}:when={}",
            self.call.name, self.fault, self.when
        );
        let trace = format!("trace={}", self.call.name);
        let file = self.call.file.map(|it| workplace.file(it));
        let mut options = vec![
            "strace",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &trace,
            "-e",
            &inject,
        ];
        if let Some(file) = &file {
            options.extend(["-P", file.to_str().unwrap()]);
        }
        workplace.run_under(&options, verb)
    }
}

/// How often a run without a fault makes each of these calls, on the thread that does most.
fn census(calls: &[Call], verb: &[&str], workplace: &Workplace) -> BTreeMap<Call, usize> {
    let names: Vec<_> = calls.iter().map(|it| it.name).collect();
    let trace = format!("trace={}", names.join(","));
    let options = ["strace", "-f", "-qq", "-y", "-o", "trace", "-e", &trace];
    workplace.run_under(&options, verb);
    let text = std::fs::read_to_string(workplace.file("trace")).unwrap();
    let mut most = BTreeMap::new();
    for call in calls {
        let mut by_thread: BTreeMap<&str, usize> = BTreeMap::new();
        for line in text.lines() {
            let (thread, rest) = line.split_once(' ').unwrap();
            let made = rest.trim_start().split_once('(');
            if made.is_some_and(|(name, rest)| call.name == name && call.is_about(rest)) {
                *by_thread.entry(thread).or_default() += 1;
            }
        }
        most.insert(*call, by_thread.into_values().max().unwrap_or(1));
    }
    most
}

/// So many numbers of 1 to `last`, evenly spread, both ends among them.
fn spread(last: usize, wanted: usize) -> Vec<usize> {
    let wanted = wanted.clamp(1, last);
    let mut numbers: Vec<usize> = (0..wanted)
        .map(|it| 1 + it * (last - 1) / (wanted - 1).max(1))
        .collect();
    numbers.dedup();
    numbers
}

/// Tries each point on a job of its own, two at a time; the thread's name is the point.
fn each(points: &[Point], hold: impl Fn(&Point) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let name = format!("{} {} {}", point.call.name, point.fault, point.when);
                    std::thread::scope(|scope| {
                        let named = std::thread::Builder::new().name(name);
                        named.spawn_scoped(scope, || hold(point)).unwrap();
                    });
                }
            });
        }
    });
}

/// After a fault: what holds at once, and after a run without one.
fn recover(workplace: &Workplace, server: &Server, doubts: usize) {
    oracle::check(workplace, server, PARTNERS, doubts);
    let clean = workplace.run(&["send"]);
    assert!(matches!(clean.code, 0 | 3), "{clean:?}");
    oracle::check_settled(workplace, server, PARTNERS, doubts);
    let violations = server.violations();
    assert!(violations.is_empty(), "{violations:?}");
    for suffix in ["-wal", "-journal"] {
        assert!(!workplace.file(&format!("ledger.sqlite3{suffix}")).exists());
    }
}

/// How many points a test is to try.
fn wanted(unless_told: usize) -> usize {
    number("ACCESS_INVITE_POINTS").map_or(unless_told, |it| usize::try_from(it).unwrap())
}

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn a1_killed_at_the_nth_call_of_a_kind_nobody_is_invited_twice_or_forgotten() {
    let calls = [
        "fsync",
        "ftruncate",
        "openat",
        "socket",
        "connect",
        "sendto",
        "recvfrom",
        "write",
        "unlink",
        "flock",
        "close",
        "pwrite64",
    ];
    let calls = calls.map(Call::new);
    let wanted = wanted(260);
    let server = Server::obliging();
    let most = census(&calls, &["send"], &job(&server));
    let mut points = Vec::new();
    for call in calls {
        // The pages of the ledger, by far the most, take what the others leave.
        let share = match call.name {
            "pwrite64" => wanted.saturating_sub(points.len()),
            _ => wanted / 12,
        };
        let numbers = spread(most[&call], share);
        points.extend(numbers.into_iter().map(|it| Point::kill(call, it)));
    }
    let struck = AtomicUsize::new(0);

    each(&points, |point| {
        let server = Server::obliging();
        let workplace = job(&server);
        let ended = point.strike(&workplace, &["send"]);
        // A call that did not come about on one thread in this run was no fault.
        assert!(matches!(ended.code, -1 | 0 | 137), "{ended:?}");
        struck.fetch_add(usize::from(ended.code != 0), Ordering::Relaxed);
        recover(&workplace, &server, CONNECTIONS);
    });

    let struck = struck.into_inner();
    println!("{struck} kills at {} points of {most:?}", points.len());
    assert!(
        struck * 10 >= points.len() * 8,
        "{struck} of {}",
        points.len()
    );
}

/// A ledger with two armed invitations, as a run left it that was killed.
fn dead(server: &Server) -> Workplace {
    let workplace = job(server);
    let run = workplace.start(&["send"]);
    while server.accepted().len() < CONNECTIONS {
        std::thread::sleep(Duration::from_millis(5));
    }
    run.kill();
    workplace
}

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn a7_killed_during_recovery_the_next_recovery_finds_the_same() {
    let calls = [
        "pwrite64",
        "fsync",
        "ftruncate",
        "unlink",
        "openat",
        "close",
    ];
    let calls = calls.map(Call::new);
    let server = Server::start(|asked: &smtp::Call| match asked.stage {
        Stage::Dot => Action::AcceptThen(Box::new(Action::Stall)),
        _ => Action::Normal,
    });
    let left = dead(&server);
    let copy = || {
        let workplace = Workplace::new(1);
        workplace.crowd(PARTNERS);
        for suffix in ["", "-wal", "-shm", ".witness"] {
            let name = format!("ledger.sqlite3{suffix}");
            std::fs::copy(left.file(&name), workplace.file(&name)).unwrap();
        }
        workplace
    };
    // It recovers and comes to rest, and does nothing else.
    let verb = [
        "resolve",
        "nobody@a.example",
        "--as",
        "abandoned",
        "--note",
        "x",
    ];
    let most = census(&calls, &verb, &copy());
    let mut points = Vec::new();
    for call in calls {
        let numbers = spread(most[&call], wanted(260) / 12);
        points.extend(numbers.into_iter().map(|it| Point::kill(call, it)));
    }

    each(&points, |point| {
        let workplace = copy();
        let killed = point.strike(&workplace, &verb);
        assert!(matches!(killed.code, -1 | 137), "{killed:?}");
        // Killed once more, at the same place of what is left to do.
        point.strike(&workplace, &verb);
        assert_eq!(workplace.run(&verb).code, 65);

        let status = workplace.status();
        assert_eq!(status["counts"]["unknown"], CONNECTIONS, "{status}");
        assert_eq!(status["counts"]["pending"], PARTNERS - CONNECTIONS);
        let ledger = rusqlite::Connection::open(workplace.file("ledger.sqlite3")).unwrap();
        let recoveries = "SELECT count(*) FROM history WHERE to_state = 'unknown'";
        let recoveries: u32 = ledger.query_row(recoveries, [], |row| row.get(0)).unwrap();
        assert_eq!(recoveries as usize, CONNECTIONS, "each was recovered once");
    });
    println!("{} kills of {most:?}", points.len());
}

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn b9_killed_at_the_nth_call_of_an_upgrade_the_ledger_is_of_one_version() {
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/ledger-version-1.sqlite3"
    );
    let old = || {
        let workplace = Workplace::new(1);
        workplace.partners(&["ada@a.example", "bob@b.example"]);
        std::fs::write(
            workplace.file("ledger.sqlite3"),
            std::fs::read(fixture).unwrap(),
        )
        .unwrap();
        workplace
    };
    let verb = [
        "resolve",
        "nobody@a.example",
        "--as",
        "abandoned",
        "--note",
        "x",
    ];
    let calls = [
        "pwrite64",
        "fsync",
        "ftruncate",
        "openat",
        "unlink",
        "close",
    ]
    .map(Call::new);
    let most = census(&calls, &verb, &old());
    let mut points = Vec::new();
    for call in calls {
        let numbers = spread(most[&call], wanted(260) / 12);
        points.extend(numbers.into_iter().map(|it| Point::kill(call, it)));
    }

    each(&points, |point| {
        let workplace = old();
        let killed = point.strike(&workplace, &verb);
        assert!(matches!(killed.code, -1 | 137), "{killed:?}");
        let again = workplace.run(&verb);
        assert_eq!(again.code, 65, "{again:?}");
        assert!(again.stderr.contains("is recorded"), "{again:?}");

        let states: Vec<_> = workplace.states().into_iter().map(|(_, it)| it).collect();
        assert_eq!(states, ["accepted", "rejected", "deferred"]);
        let ledger = rusqlite::Connection::open(workplace.file("ledger.sqlite3")).unwrap();
        let version: i32 = ledger
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        let campaigns: i32 = ledger
            .query_row("SELECT count(*) FROM campaign", [], |row| row.get(0))
            .unwrap();
        assert_eq!((version, campaigns), (2, 1));
    });
    println!("{} kills of {most:?}", points.len());
}

/// Tries errors of the disk at each kind of writing, once and from then on.
fn fail(fault: &'static str, calls: &[Call], wanted: usize) {
    let server = Server::obliging();
    let most = census(calls, &["send"], &job(&server));
    let mut points = Vec::new();
    for call in calls {
        for nth in spread(most[call], wanted / calls.len() / 2) {
            for sticky in ["", "+"] {
                points.push(Point {
                    call: *call,
                    fault,
                    when: format!("{nth}{sticky}"),
                });
            }
        }
    }
    let failed = AtomicUsize::new(0);

    each(&points, |point| {
        let server = Server::obliging();
        let workplace = job(&server);

        let ended = point.strike(&workplace, &["send"]);

        assert!(matches!(ended.code, 0 | 74), "{ended:?}");
        if ended.code == 74 {
            failed.fetch_add(1, Ordering::Relaxed);
            assert!(ended.stderr.contains("ledger.sqlite3"), "{ended:?}");
        }
        // What the relay took and the ledger does not know is told, for it is nowhere else.
        let armed = workplace
            .states()
            .into_iter()
            .filter(|(_, it)| it == "armed");
        let armed: Vec<_> = armed.map(|(address, _)| address).collect();
        for message in server.accepted() {
            let who = &message.recipients[0];
            let told = format!("could not be recorded: {who}: accepted");
            assert!(
                !armed.contains(who) || ended.stderr.contains(&told),
                "{who}: {ended:?}"
            );
        }
        recover(&workplace, &server, CONNECTIONS);
    });

    let failed = failed.into_inner();
    println!("{failed} of {} ended with 74 ({most:?})", points.len());
    assert!(failed * 2 >= points.len(), "{failed} of {}", points.len());
}

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn a9_an_error_of_the_disk_at_the_nth_write_ends_the_run_with_74_and_without_a_lie() {
    let calls = ["fsync", "pwrite64", "ftruncate"].map(Call::new);
    fail("error=EIO", &calls, wanted(90));
}

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn a10_a_disk_without_room_at_the_nth_write_ends_the_run_with_74_and_without_a_lie() {
    // The log is grown by plain writes; those to other files are the runtime's own signals.
    let log = Call {
        name: "write",
        file: Some("ledger.sqlite3-wal"),
    };
    let calls = [Call::new("pwrite64"), Call::new("ftruncate"), log];
    fail("error=ENOSPC", &calls, wanted(60));
}

/// A run over one connection, held by the relay at this stage of the second message, when
/// the log has been begun and each commit is one fsync.
struct Held {
    server: Server,
    workplace: Workplace,
    run: Running,
    keeper: Keeper,
}

impl Held {
    fn at(stage: Stage) -> Self {
        let (server, keeper) = Server::holding(stage, 1);
        let mut workplace = Workplace::new(server.port());
        workplace.smtp("connections = 1\npipelining = \"off\"");
        workplace.partners(&["ada@a.example", "bob@b.example"]);
        let run = workplace.start(&["send"]);
        keeper.wait();
        Self {
            server,
            workplace,
            run,
            keeper,
        }
    }

    /// Lets the relay go on and kills the run while it is held up in this call.
    fn kill_within(self, call: &str, delay: &str) -> (Server, Workplace) {
        let pid = self.run.id();
        let trace = format!("trace={call}");
        let inject = format!("inject={call}:{delay}=20000000");
        let mut strace = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject])
            .args(["-p", &pid.to_string()])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let attached = || {
            let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
            threads.into_iter().all(|it| {
                let status = std::fs::read_to_string(it.unwrap().path().join("status"));
                status.is_ok_and(|it| !it.contains("TracerPid:\t0\n"))
            })
        };
        while !attached() {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.keeper.release();
        std::thread::sleep(Duration::from_millis(1_500));

        // It dies at once; that it did, its parent hears once strace has let go of it.
        self.run.signal("KILL");
        strace.kill().unwrap();
        strace.wait().unwrap();
        self.run.wait();
        (self.server, self.workplace)
    }
}

/// Where the second one ensure_no_unsolicited_data; the first is settled.
fn bob(workplace: &Workplace) -> String {
    let states = workplace.states();
    assert_eq!(states[0].1, "accepted");
    states[1].1.clone()
}

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn a3_killed_after_arming_before_the_dot_is_unknown_and_never_sent_by_itself() {
    // The arm is on the disk, and its caller never hears of it.
    let (server, workplace) = Held::at(Stage::Data).kill_within("fsync", "delay_exit");

    assert_eq!(bob(&workplace), "armed");
    for _ in 0..2 {
        assert_eq!(workplace.run(&["send"]).code, 3);
        assert_eq!(bob(&workplace), "unknown");
    }
    assert_eq!(server.accepted().len(), 1, "no dot came for him");
}

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn a5_killed_after_the_reply_before_the_outcome_is_written_is_unknown() {
    let (server, workplace) = Held::at(Stage::Dot).kill_within("pwrite64", "delay_enter");

    assert_eq!(bob(&workplace), "armed");
    for _ in 0..2 {
        assert_eq!(workplace.run(&["send"]).code, 3);
        assert_eq!(bob(&workplace), "unknown");
    }
    assert_eq!(server.accepted().len(), 2);
}

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn a6_killed_within_the_commit_of_an_outcome_is_accepted_or_unknown_and_nothing_else() {
    let (server, workplace) = Held::at(Stage::Dot).kill_within("fsync", "delay_enter");

    assert!(matches!(bob(&workplace).as_str(), "armed" | "accepted"));
    for _ in 0..2 {
        assert!(matches!(workplace.run(&["send"]).code, 0 | 3));
        let state = bob(&workplace);
        assert!(matches!(state.as_str(), "accepted" | "unknown"), "{state}");
    }
    assert_eq!(server.accepted().len(), 2);
}

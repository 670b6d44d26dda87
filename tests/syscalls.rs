//! Faults injected into the system calls of the real binary by strace: SIGKILL, EIO or ENOSPC at
//! the Nth call of a kind. The invariants hold after every fault, and a run without faults
//! completes the job. Run by `.ci/run`, which installs strace.
//!
//! `ACCESS_INVITE_POINTS` sets the number of points for each test, spread evenly.

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
use crate::support::held::Held;
use crate::support::smtp::{self, Action, Server, Stage};
use crate::support::{OPEN, Output, Workplace, oracle, parallel};

const PARTNERS: usize = 20;
const CONNECTIONS: usize = 2;

fn job(server: &Server) -> Workplace {
    let mut workplace = Workplace::on_disk(server.port());
    workplace.smtp(&format!("connections = {CONNECTIONS}"));
    workplace.many_partners(PARTNERS);
    workplace
}

/// A system call, and the file that it must concern, if that matters.
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

/// One fault at one call; strace counts `when` for each thread separately.
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

    /// Runs the verb with the fault.
    fn run_with_fault(&self, workplace: &Workplace, verb: &[&str]) -> Output {
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

/// How often a run without faults makes each of these calls, on the busiest thread.
fn count_calls(calls: &[Call], verb: &[&str], workplace: &Workplace) -> BTreeMap<Call, usize> {
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

/// `wanted` numbers from 1 to `last`, evenly spread, with both ends.
fn spread(last: usize, wanted: usize) -> Vec<usize> {
    let wanted = wanted.clamp(1, last);
    let mut numbers: Vec<usize> = (0..wanted)
        .map(|it| 1 + it * (last - 1) / (wanted - 1).max(1))
        .collect();
    numbers.dedup();
    numbers
}

/// Tries each point on its own job, two at a time. The name of the thread is the point, so that a
/// panic shows it.
fn each(points: &[Point], case: impl Fn(&Point) + Sync) {
    parallel::for_each(2, points, |point| {
        let name = format!("{} {} {}", point.call.name, point.fault, point.when);
        std::thread::scope(|scope| {
            let named = std::thread::Builder::new().name(name);
            named.spawn_scoped(scope, || case(point)).unwrap();
        });
    });
}

/// Checks the invariants after a fault, and after a run without faults.
fn recover(workplace: &Workplace, server: &Server, unknowns: usize) {
    oracle::check(workplace, server, PARTNERS, unknowns);
    let clean = workplace.run(&["send"]);
    assert!(matches!(clean.code, 0 | 3), "{clean:?}");
    oracle::check_settled(workplace, server, PARTNERS, unknowns);
    let violations = server.violations();
    assert!(violations.is_empty(), "{violations:?}");
    for suffix in ["-wal", "-journal"] {
        assert!(!workplace.file(&format!("ledger.sqlite3{suffix}")).exists());
    }
}

/// The number of points for a test.
fn wanted(unless_told: usize) -> usize {
    number("ACCESS_INVITE_POINTS").map_or(unless_told, |it| usize::try_from(it).unwrap())
}

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn a1_a_kill_at_any_system_call_keeps_all_invariants() {
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
    let server = Server::accepting();
    let most = count_calls(&calls, &["send"], &job(&server));
    let mut points = Vec::new();
    for call in calls {
        // Writes of pages are by far the most calls; they get the remaining points.
        let share = match call.name {
            "pwrite64" => wanted.saturating_sub(points.len()),
            _ => wanted / 12,
        };
        let numbers = spread(most[&call], share);
        points.extend(numbers.into_iter().map(|it| Point::kill(call, it)));
    }
    let struck = AtomicUsize::new(0);

    each(&points, |point| {
        let server = Server::accepting();
        let workplace = job(&server);
        let ended = point.run_with_fault(&workplace, &["send"]);
        // The fault is missing if no thread made the call that often in this run.
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

/// Kills [`OPEN`] at each system call of interest, on a new job from `make` each time; then `check`
/// gets the point and the job.
fn kill_opening(make: impl Fn() -> Workplace + Sync, check: impl Fn(&Point, &Workplace) + Sync) {
    let calls = [
        "pwrite64",
        "fsync",
        "ftruncate",
        "unlink",
        "openat",
        "close",
    ];
    let calls = calls.map(Call::new);
    let most = count_calls(&calls, &OPEN, &make());
    let share = wanted(260) / 12;
    let points: Vec<_> = calls
        .into_iter()
        .flat_map(|call| {
            spread(most[&call], share)
                .into_iter()
                .map(move |it| Point::kill(call, it))
        })
        .collect();

    each(&points, |point| {
        let workplace = make();
        let killed = point.run_with_fault(&workplace, &OPEN);
        assert!(matches!(killed.code, -1 | 137), "{killed:?}");
        check(point, &workplace);
    });
    println!("{} kills of {most:?}", points.len());
}

/// A ledger with two armed invitations, as a run left it that was killed.
fn killed_run(server: &Server) -> Workplace {
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
fn a7_a_kill_during_recovery_is_recovered_once() {
    let server = Server::start(|asked: &smtp::Call| match asked.stage {
        Stage::Dot => Action::AcceptThen(Box::new(Action::Stall)),
        _ => Action::Normal,
    });
    let left = killed_run(&server);
    let copy = || {
        let workplace = Workplace::on_disk(1);
        workplace.many_partners(PARTNERS);
        for suffix in ["", "-wal", "-shm", ".witness"] {
            let name = format!("ledger.sqlite3{suffix}");
            std::fs::copy(left.file(&name), workplace.file(&name)).unwrap();
        }
        workplace
    };

    kill_opening(copy, |point, workplace| {
        // Killed again at the same call of the remaining work.
        point.run_with_fault(workplace, &OPEN);
        assert_eq!(workplace.run(&OPEN).code, 65);

        let status = workplace.status();
        assert_eq!(status["counts"]["unknown"], CONNECTIONS, "{status}");
        assert_eq!(status["counts"]["pending"], PARTNERS - CONNECTIONS);
        let ledger = rusqlite::Connection::open(workplace.file("ledger.sqlite3")).unwrap();
        let recoveries = "SELECT count(*) FROM history WHERE to_state = 'unknown'";
        let recoveries: u32 = ledger.query_row(recoveries, [], |row| row.get(0)).unwrap();
        assert_eq!(recoveries as usize, CONNECTIONS, "each was recovered once");
    });
}

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn b9_a_kill_during_an_upgrade_leaves_one_version() {
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/ledger-version-1.sqlite3"
    );
    let old = || {
        let workplace = Workplace::on_disk(1);
        workplace.partners(&["ada@a.example", "bob@b.example"]);
        std::fs::write(
            workplace.file("ledger.sqlite3"),
            std::fs::read(fixture).unwrap(),
        )
        .unwrap();
        workplace
    };

    kill_opening(old, |_, workplace| {
        let again = workplace.run(&OPEN);
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
        assert_eq!((version, campaigns), (3, 1));
    });
}

/// Injects disk errors at each kind of write, once and permanently.
fn fail(fault: &'static str, calls: &[Call], wanted: usize) {
    let server = Server::accepting();
    let most = count_calls(calls, &["send"], &job(&server));
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
        let server = Server::accepting();
        let workplace = job(&server);

        let ended = point.run_with_fault(&workplace, &["send"]);

        assert!(matches!(ended.code, 0 | 74), "{ended:?}");
        if ended.code == 74 {
            failed.fetch_add(1, Ordering::Relaxed);
            assert!(ended.stderr.contains("ledger.sqlite3"), "{ended:?}");
        }
        // Acceptances that the ledger lacks are printed, because they are recorded nowhere else.
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
fn a9_a_disk_error_ends_with_74_and_a_true_record() {
    let calls = ["fsync", "pwrite64", "ftruncate"].map(Call::new);
    fail("error=EIO", &calls, wanted(90));
}

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn a10_a_full_disk_ends_with_74_and_a_true_record() {
    // Plain writes extend the log; other plain writes are wake-ups of the runtime.
    let log = Call {
        name: "write",
        file: Some("ledger.sqlite3-wal"),
    };
    let calls = [Call::new("pwrite64"), Call::new("ftruncate"), log];
    fail("error=ENOSPC", &calls, wanted(60));
}

/// A run that the relay holds at this stage of the second message, when the log exists and each
/// commit is one fsync.
fn held(stage: Stage) -> Held {
    Held::at(stage, 1, |it| {
        it.smtp("pipelining = \"off\"");
        it.partners(&["ada@a.example", "bob@b.example"]);
    })
}

/// Releases the relay and kills the run while strace delays it in this call.
fn kill_within(held: Held, call: &str, delay: &str) -> (Server, Workplace) {
    let pid = held.run.id();
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
    held.keeper.release();
    std::thread::sleep(Duration::from_millis(1_500));

    // The run dies at once, but its parent is notified only after strace has detached.
    held.run.signal("KILL");
    strace.kill().unwrap();
    strace.wait().unwrap();
    held.run.wait();
    (held.server, held.workplace)
}

/// The state of the second row; the first is accepted.
fn second_state(workplace: &Workplace) -> String {
    let states = workplace.states();
    assert_eq!(states[0].1, "accepted");
    states[1].1.clone()
}

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn a3_a_kill_between_arm_and_dot_is_unknown_and_not_resent() {
    // The arm is durable, but its caller does not get the result.
    let (server, workplace) = kill_within(held(Stage::Data), "fsync", "delay_exit");

    assert_eq!(second_state(&workplace), "armed");
    for _ in 0..2 {
        assert_eq!(workplace.run(&["send"]).code, 3);
        assert_eq!(second_state(&workplace), "unknown");
    }
    assert_eq!(server.accepted().len(), 1, "no dot came for him");
}

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn a5_a_kill_before_the_outcome_is_recorded_is_unknown() {
    let (server, workplace) = kill_within(held(Stage::Dot), "pwrite64", "delay_enter");

    assert_eq!(second_state(&workplace), "armed");
    for _ in 0..2 {
        assert_eq!(workplace.run(&["send"]).code, 3);
        assert_eq!(second_state(&workplace), "unknown");
    }
    assert_eq!(server.accepted().len(), 2);
}

#[test]
#[ignore = "needs strace; .ci/run calls it"]
fn a6_a_kill_within_the_commit_is_accepted_or_unknown() {
    let (server, workplace) = kill_within(held(Stage::Dot), "fsync", "delay_enter");

    assert!(matches!(
        second_state(&workplace).as_str(),
        "armed" | "accepted"
    ));
    for _ in 0..2 {
        assert!(matches!(workplace.run(&["send"]).code, 0 | 3));
        let state = second_state(&workplace);
        assert!(matches!(state.as_str(), "accepted" | "unknown"), "{state}");
    }
    assert_eq!(server.accepted().len(), 2);
}

//! Process faults: signals in every phase, stop and continue, too little memory, too few file
//! descriptors. A run may end early, but loses nobody and mails nobody twice.
//!
//! `ACCESS_INVITE_KILLS` sets the number of memory limits (default 8).

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use crate::support::chance::{Random, number};
use crate::support::smtp::{Action, Call, Server, Stage, reply};
use crate::support::{Output, Workplace, oracle, parallel};

/// A relay that reports when a stage is reached the `nth` time, does `then`, and is normal but slow
/// afterwards: a fast one would accept many messages before a signal arrives.
fn reporting(stage: Stage, nth: usize, then: Action) -> (Server, Receiver<()>) {
    let (reached, waiting) = mpsc::channel();
    let reached = Mutex::new(reached);
    let told = AtomicBool::new(false);
    let server = Server::start(move |call: &Call| {
        if call.stage == stage && call.nth == nth {
            told.store(true, Ordering::SeqCst);
            let _ = reached.lock().unwrap().send(());
            return then.clone();
        }
        if call.stage == Stage::Mail && told.load(Ordering::SeqCst) {
            return Action::Delay(Duration::from_millis(50), Box::new(Action::Normal));
        }
        Action::Normal
    });
    (server, waiting)
}

#[test]
fn a15_sigterm_in_any_phase_finishes_only_armed_messages() {
    let slowly = || Action::Delay(Duration::from_millis(400), Box::new(Action::Normal));
    let refused = || {
        Action::Delay(
            Duration::from_millis(400),
            Box::new(reply("550 5.1.1 no such user")),
        )
    };
    // The moment of the signal, the action of the relay, lines for [limits], and the exit code.
    let phases = [
        ("mail", Stage::Mail, 0, slowly(), "", 75),
        ("rcpt", Stage::Rcpt, 1, slowly(), "", 75),
        // The first one: a later one is pipelined, and is abandoned if the signal is faster.
        ("a refused rcpt", Stage::Rcpt, 0, refused(), "", 1),
        ("data", Stage::Data, 1, slowly(), "", 75),
        ("body", Stage::Body, 1, slowly(), "", 75),
        ("the first dot", Stage::Dot, 0, slowly(), "", 75),
        ("a later dot", Stage::Dot, 2, slowly(), "", 75),
        (
            "a dot without an answer",
            Stage::Dot,
            2,
            Action::Close,
            "",
            3,
        ),
        (
            "rset",
            Stage::Rcpt,
            0,
            reply("550 5.1.1 no such user"),
            "",
            1,
        ),
        (
            "a rest",
            Stage::Rcpt,
            1,
            reply("451 4.7.500 server busy"),
            "",
            75,
        ),
        (
            "a rate",
            Stage::Dot,
            1,
            Action::Normal,
            "per_minute = 2",
            75,
        ),
        ("a new connection", Stage::Mail, 1, Action::Close, "", 75),
    ];

    std::thread::scope(|scope| {
        for (name, stage, nth, action, limits, code) in phases {
            scope.spawn(move || {
                let (server, reached) = reporting(stage, nth, action);
                let mut workplace = Workplace::english(server.port());
                if !limits.is_empty() {
                    workplace.limits = limits.into();
                }
                workplace.smtp("connections = 1");
                workplace.many_partners(40);
                let run = workplace.start(&["send"]);
                reached.recv().unwrap();
                let dots = server.accepted().len();

                run.signal("TERM");
                let start = Instant::now();
                let ended = run.wait();

                assert_eq!(ended.code, code, "{name}: {ended:?}");
                assert!(start.elapsed() < Duration::from_secs(30), "{name}");
                // One or two more may have started before the signal arrived.
                let after = server.accepted().len() - dots;
                assert!(after <= 3, "{name}: {after} after the signal");
                oracle::check(&workplace, &server, 40, usize::from(code == 3));
                assert!(!workplace.file("ledger.sqlite3-wal").exists(), "{name}");
            });
        }
    });
}

#[test]
fn f8_and_r11_a_closed_terminal_acts_like_sigterm() {
    for signals in [
        &["HUP"][..],
        &["QUIT"],
        &["HUP", "HUP", "HUP"],
        &["TERM", "HUP"],
    ] {
        let slowly = Action::Delay(Duration::from_millis(600), Box::new(Action::Normal));
        let (server, reached) = reporting(Stage::Dot, 2, slowly);
        let mut workplace = Workplace::english(server.port());
        workplace.smtp("connections = 1");
        workplace.many_partners(40);
        let run = workplace.start(&["send"]);
        reached.recv().unwrap();

        for signal in signals {
            run.signal(signal);
            // So that the signals are not merged.
            std::thread::sleep(Duration::from_millis(50));
        }
        let ended = run.wait();

        assert_eq!(ended.code, 75, "{signals:?}: {ended:?}");
        let words = format!("stopped by SIG{}", signals[0]);
        assert!(ended.stderr.contains(&words), "{ended:?}");
        assert!(server.accepted().len() < 10, "{signals:?}");
        // Nothing is unknown.
        oracle::check(&workplace, &server, 40, 0);
    }
}

#[test]
fn f8_and_r11_nohup_ignores_a_closed_terminal() {
    let slowly = Action::Delay(Duration::from_millis(600), Box::new(Action::Normal));
    let (server, reached) = reporting(Stage::Dot, 2, slowly);
    let mut workplace = Workplace::english(server.port());
    workplace.smtp("connections = 1");
    workplace.many_partners(10);
    let shell = "trap '' HUP QUIT; echo $$ > pid; exec \"$0\" \"$@\"";

    let ended = std::thread::scope(|scope| {
        let run = scope.spawn(|| workplace.run_under(&["sh", "-c", shell], &["send"]));
        reached.recv().unwrap();
        let pid = std::fs::read_to_string(workplace.file("pid")).unwrap();
        for signal in ["HUP", "QUIT"] {
            let sent = std::process::Command::new("kill")
                .args(["-s", signal, pid.trim()])
                .status();
            assert!(sent.unwrap().success());
        }
        run.join().unwrap()
    });

    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    oracle::check_settled(&workplace, &server, 10, 0);
}

#[test]
fn f8_a_signal_before_the_first_connection_leaves_no_files() {
    for signal in ["INT", "TERM", "HUP", "QUIT"] {
        let (server, reached) = reporting(Stage::Connect, 0, Action::Stall);
        let workplace = Workplace::english(server.port());
        workplace.many_partners(10);
        let run = workplace.start(&["send"]);
        reached.recv().unwrap();

        run.signal(signal);
        let ended = run.wait();

        assert_eq!(ended.code, -1, "{signal}: {ended:?}");
        let after = workplace.run(&["send"]);
        assert_eq!((after.code, after.stderr.as_str()), (0, ""), "{signal}");
        oracle::check_settled(&workplace, &server, 10, 0);
    }
}

#[test]
fn a17_a_run_stopped_past_the_deadline_reads_a_waiting_reply() {
    parallel::for_each(2, &[true, false], |&answered| {
        let action = if answered {
            Action::Delay(Duration::from_millis(300), Box::new(Action::Normal))
        } else {
            Action::AcceptThen(Box::new(Action::Stall))
        };
        let (server, reached) = reporting(Stage::Dot, 0, action);
        let mut workplace = Workplace::english(server.port());
        workplace.smtp("connections = 1\ndeadlines = { dot = \"2s\" }");
        workplace.partners(&["ada@a.example"]);
        let run = workplace.start(&["send"]);
        reached.recv().unwrap();

        run.signal("STOP");
        std::thread::sleep(Duration::from_millis(3_500));
        run.signal("CONT");
        let ended = run.wait();

        let (code, state) = if answered {
            (0, "accepted")
        } else {
            (3, "unknown")
        };
        assert_eq!(ended.code, code, "{ended:?}");
        assert_eq!(workplace.state(), state);
        oracle::check_settled(&workplace, &server, 1, 1);
    });
}

/// A send under util-linux's `prlimit`, with a time limit.
fn limited(workplace: &Workplace, limit: &str, output: &str) -> Output {
    let script = format!("exec timeout 60 prlimit {limit} --core=0 -- \"$@\" 2>{output}");
    workplace.run_under(
        &["env", "RUST_BACKTRACE=0", "sh", "-c", &script, "sh"],
        &["send"],
    )
}

#[test]
fn a13_low_memory_ends_the_run_and_loses_nobody() {
    let trials = number("ACCESS_INVITE_KILLS").unwrap_or(8).min(100);
    let mut random = Random::seeded();
    for trial in 0..trials {
        let server = Server::accepting();
        let mut workplace = Workplace::english(server.port());
        workplace.smtp("connections = 4");
        workplace.many_partners(50);
        // The lowest limits do not allow the runtime to start its threads.
        let megabytes = 21 + trial + random.below(35 * (trial + 1));

        let limit = format!("--as={}", megabytes * 1024 * 1024);
        // Messages about missing memory come from the runtime.
        let ended = limited(&workplace, &limit, "/dev/null");

        let told = format!("trial {trial}, {megabytes} MB: {ended:?}");
        assert_ne!(ended.code, 124, "timeout, {told}");
        oracle::check(&workplace, &server, 50, 4);
        let clean = workplace.run(&["send"]);
        assert!(matches!(clean.code, 0 | 3), "{told}: {clean:?}");
        oracle::check_settled(&workplace, &server, 50, 4);
    }
}

#[test]
fn a19_few_file_descriptors_are_reported_or_enough() {
    let sent = AtomicUsize::new(0);
    let limits: Vec<usize> = (4..32).step_by(3).collect();
    parallel::for_each(5, &limits, |files| {
        let server = Server::accepting();
        let mut workplace = Workplace::english(server.port());
        workplace.smtp("connections = 8");
        workplace.many_partners(30);

        let limit = format!("--nofile={files}");
        let ended = limited(&workplace, &limit, "&2");

        let said = &ended.stderr;
        let words = [
            "oo many open files",
            "ulimit -n",
            "out of memory, threads or files",
        ];
        let told = words.iter().any(|it| said.contains(it));
        assert!(ended.code == 0 || told, "{files}: {ended:?}");
        assert!(!said.contains("panicked"), "{files}: {ended:?}");
        sent.fetch_add(usize::from(ended.code == 0), Ordering::Relaxed);
        oracle::check(&workplace, &server, 30, 0);
        assert_eq!(workplace.run(&["send"]).code, 0);
        oracle::check_settled(&workplace, &server, 30, 0);
    });
    assert!(
        sent.into_inner() > 0,
        "some of them should have been enough"
    );
}

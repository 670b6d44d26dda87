//! Other verbs beside a run, machines that differ, and limits that all runs keep together.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cluster::{Cluster, LEASE, ended_well, slow_relay};
use crate::support::smtp::{Action, Call, Server, Stage, reply};
use crate::support::{Workplace, oracle};
use access_invite::invitation::invite_id;

/// A run on the first machine, once this many messages were accepted.
fn under_way(cluster: &Cluster, accepted: usize) -> crate::support::Running {
    let mut run = cluster.machines[0].start(&["send"]);
    while cluster.relay.accepted().len() < accepted {
        assert!(run.is_running(), "{:?}", run.wait());
        std::thread::sleep(Duration::from_millis(5));
    }
    run
}

#[test]
#[ignore = "needs PostgreSQL"]
fn another_machine_reads_while_a_run_sends() {
    let cluster = Cluster::new(2, 120, slow_relay(Duration::from_millis(20)));
    let mut run = under_way(&cluster, 5);
    let mut before = 0;
    let mut readings = 0;
    while run.is_running() {
        let states = oracle::check_live(&cluster.machines[1], &cluster.relay, 120, 2);
        let accepted = states.values().filter(|it| *it == "accepted").count();
        assert!(accepted >= before, "{accepted} after {before}");
        before = accepted;
        readings += 1;
    }
    assert!(readings > 1, "the run was too short");
    let ended = run.wait();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    cluster.finish(0);
}

/// A person decides about an invitation on another machine: one that is waiting, one that is being sent, one that is
/// unknown.
#[test]
#[ignore = "needs PostgreSQL"]
fn a_person_decides_on_another_machine_while_a_run_sends() {
    let relay = Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Dot, Some(who)) if who.starts_with("p0@") => {
            Action::AcceptThen(Box::new(Action::Reset))
        }
        (Stage::Dot, _) => Action::Delay(Duration::from_millis(25), Box::new(Action::Normal)),
        _ => Action::Normal,
    });
    let cluster = Cluster::new(2, 100, relay);
    let run = under_way(&cluster, 10);
    let decide = |address: &str, decision: &str| {
        cluster.machines[1].run(&[
            "resolve",
            address,
            "--as",
            decision,
            "--note",
            "by telephone",
        ])
    };
    // The last row of the list is not sent yet.
    let closed = decide("p99@a4.example", "abandoned");
    assert_eq!(closed.code, 0, "{closed:?}");
    let settled = decide("p0@a0.example", "accepted");
    assert_eq!(settled.code, 0, "{settled:?}");
    let suppressed = cluster.machines[1].run(&["suppress", "p98@a3.example"]);
    assert_eq!(suppressed.code, 0, "{suppressed:?}");

    let ended = run.wait();

    assert!(matches!(ended.code, 0 | 75), "{ended:?}");
    let mailed = cluster.relay.synced().concat();
    assert_eq!(mailed.len(), 98, "{ended:?}");
    assert!(
        !mailed
            .iter()
            .any(|it| it.starts_with("p99@") || it.starts_with("p98@"))
    );
    let states =
        cluster.sql("SELECT state, count(*) FROM access_invite.invitation GROUP BY 1 ORDER BY 1");
    assert_eq!(states, "abandoned|1\naccepted|98\nsuppressed|1");
    assert_eq!(cluster.machines[1].run(&["send"]).code, 0);
    assert_eq!(cluster.relay.accepted().len(), 98);
}

/// A delivery report about this invitation, in a file.
fn report(machine: &Workplace, address: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reports");
    let report = std::fs::read_to_string(folder.join("postfix-unknown-user.eml")).unwrap();
    let status = machine.status();
    let mut invitations = status["invitations"].as_array().unwrap().iter();
    let found = invitations.find(|it| it["email"] == address).unwrap();
    let id = found["message_id"].as_str().unwrap();
    let report = report
        .replace("{to}", address)
        .replace("{message_id}", id)
        .replace("{invite_id}", &invite_id(id))
        .replace("{envelope_id}", &invite_id(id))
        .replace("report-1@", &format!("{}-{address}", "report"));
    machine.write("report.eml", &report);
    machine.file("report.eml")
}

#[test]
#[ignore = "needs PostgreSQL"]
fn bounces_are_read_on_another_machine_while_a_run_sends() {
    let cluster = Cluster::new(2, 100, slow_relay(Duration::from_millis(20)));
    let run = under_way(&cluster, 10);
    let synced = cluster.machines[1].status()["invitations"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["state"] == "accepted")
        .unwrap()["email"]
        .as_str()
        .unwrap()
        .to_owned();
    let file = report(&cluster.machines[1], &synced);
    let read = cluster.machines[1].run(&["sync", "--bounces", file.to_str().unwrap()]);
    assert_eq!(read.code, 1, "{read:?}");
    let again = cluster.machines[1].run(&["sync", "--bounces", file.to_str().unwrap()]);
    assert_eq!(again.code, 0, "{again:?}");
    let ended = run.wait();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    let states =
        cluster.sql("SELECT state, count(*) FROM access_invite.invitation GROUP BY 1 ORDER BY 1");
    assert_eq!(states, "accepted|99\nbounced|1");
}

/// Lists, templates or configuration differ: one run sends, the other stands back.
#[test]
#[ignore = "needs PostgreSQL"]
fn a_run_with_another_list_stands_back() {
    let cluster = Cluster::new(2, 80, slow_relay(Duration::from_millis(20)));
    cluster.machines[1].many_partners(81);
    let run = under_way(&cluster, 5);

    let back = cluster.machines[1].run(&["send"]);

    assert_eq!(back.code, 75, "{back:?}");
    assert!(back.stderr.contains("stands back"), "{back:?}");
    let ended = run.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(cluster.relay.accepted().len(), 80);
    // Alone, it sends what is new in its list.
    let alone = cluster.machines[1].run(&["send"]);
    assert_eq!(alone.code, 0, "{alone:?}");
    assert_eq!(cluster.relay.accepted().len(), 81);
    // Both start at the same moment.
    cluster.machines[0].many_partners(120);
    cluster.machines[1].many_partners(130);
    let both = cluster.start_all();
    let codes: Vec<i32> = both.into_iter().map(|it| it.wait().code).collect();
    assert!(codes.contains(&0), "{codes:?}");
    assert!(codes.iter().all(|it| matches!(it, 0 | 75)), "{codes:?}");
    oracle::check(
        &cluster.machines[0],
        &cluster.relay,
        if codes[1] == 0 { 130 } else { 120 },
        0,
    );
}

/// Debian's library that shifts the clock of a process.
fn shifted(offset: &'static str) -> impl FnOnce(&mut std::process::Command) {
    let libraries = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .map(|it| format!("/usr/lib/{it}/faketime/libfaketime.so.1"));
    let library = libraries.into_iter().find(|it| Path::new(it).exists());
    let library = library.expect("faketime is installed (Debian: faketime)");
    move |command| {
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME", offset)
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME_DONT_RESET", "1");
    }
}

/// The clock of one machine is wrong. Leases are counted by the server and by the clock since boot, times that are
/// due by the server.
#[test]
#[ignore = "needs PostgreSQL"]
fn clocks_that_differ_by_minutes_do_not_matter() {
    for offset in ["+7m", "-7m"] {
        let cluster = Cluster::new(2, 80, slow_relay(Duration::from_millis(40)));
        let wrong = cluster.machines[0].start_with(&["send"], shifted(offset));
        let right = cluster.machines[1].start(&["send"]);
        for run in [wrong, right] {
            let ended = run.wait();
            assert_eq!(ended.code, 0, "{offset}: {ended:?}");
        }
        let senders = cluster.sql(
            "SELECT count(DISTINCT run) FROM access_invite.history WHERE to_state = 'accepted'",
        );
        assert_eq!(senders, "2", "{offset}");
        let lost = cluster.sql("SELECT count(*) FROM access_invite.run WHERE lost_at IS NOT NULL");
        assert_eq!(lost, "0", "{offset}");
        let late = "SELECT count(*) FROM access_invite.history
            WHERE abs(at - extract(epoch FROM clock_timestamp()) * 1000) > 60000";
        assert_eq!(cluster.sql(late), "0", "{offset}: times of another clock");
        cluster.finish(0);
    }
}

/// What is deferred by a machine whose clock is wrong is due at the right time on another one.
#[test]
#[ignore = "needs PostgreSQL"]
fn what_a_wrong_clock_defers_is_due_at_the_right_time() {
    for offset in ["+20m", "-20m"] {
        let relay = Server::start(|call: &Call| match call.stage {
            Stage::Rcpt if call.nth == 0 => reply("451 4.2.0 greylisted"),
            _ => Action::Normal,
        });
        let mut cluster = Cluster::new(2, 1, relay);
        for machine in &mut cluster.machines {
            machine.retry = "first_after = \"4s\"\nmax_after = \"4s\"".into();
            machine.configure();
        }
        let first = cluster.machines[0].run_with(&["send"], shifted(offset));
        assert_eq!(first.code, 75, "{first:?}");
        let early = cluster.machines[1].run(&["send"]);
        assert_eq!(early.code, 75, "{offset}: {early:?}");
        assert_eq!(cluster.relay.count("RCPT"), 1, "{offset}: tried too early");
        std::thread::sleep(Duration::from_millis(5_500));
        let due = cluster.machines[0].run_with(&["send"], shifted(offset));
        assert_eq!(due.code, 0, "{offset}: {due:?}");
        assert_eq!(cluster.relay.accepted().len(), 1);
    }
}

/// `per_day` counts the final dots of all machines.
#[test]
#[ignore = "needs PostgreSQL"]
fn all_runs_together_keep_the_limit_of_a_day() {
    let mut cluster = Cluster::new(3, 300, slow_relay(Duration::from_millis(10)));
    for machine in &mut cluster.machines {
        machine.limits = "per_minute = 1000000\nper_day = 25\nnew_per_run = 1000".into();
        machine.configure();
    }
    // A run whose partners were all claimed by others ends with 0.
    let codes: Vec<i32> = cluster
        .start_all()
        .into_iter()
        .map(|it| it.wait().code)
        .collect();
    assert!(codes.contains(&75), "{codes:?}");
    assert!(codes.iter().all(|it| matches!(it, 0 | 75)), "{codes:?}");
    assert_eq!(cluster.relay.accepted().len(), 25);
    assert_eq!(cluster.machines[0].run(&["send"]).code, 75);
    assert_eq!(cluster.relay.accepted().len(), 25);
    cluster.check(0);
}

/// `per_minute` counts the final dots of all machines.
#[test]
#[ignore = "needs PostgreSQL"]
fn all_runs_together_keep_the_limit_of_a_minute() {
    let mut cluster = Cluster::new(3, 300, slow_relay(Duration::from_millis(5)));
    for machine in &mut cluster.machines {
        machine.limits = "per_minute = 20\nper_day = 1000\nnew_per_run = 1000".into();
        machine.configure();
    }
    let runs = cluster.start_all();
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(cluster.relay.accepted().len(), 20);
    for mut run in runs {
        if run.is_running() {
            run.signal("TERM");
        }
        let ended = run.wait();
        assert!(matches!(ended.code, 0 | 75), "{ended:?}");
    }
    cluster.check(0);
}

/// A relay that asks to slow down is left alone by the other machines as well.
#[test]
#[ignore = "needs PostgreSQL"]
fn a_pause_that_the_relay_asks_for_counts_on_all_machines() {
    let relay = Server::start(|call: &Call| match call.stage {
        Stage::Rcpt if call.nth == 10 => reply("450 4.7.1 too many requests, slow down"),
        Stage::Dot => Action::Delay(Duration::from_millis(120), Box::new(Action::Normal)),
        _ => Action::Normal,
    });
    let cluster = Cluster::new(2, 200, relay);
    let runs = cluster.start_all();
    // The others learn of it within about a second.
    std::thread::sleep(Duration::from_secs(5));
    let before = cluster.relay.accepted().len();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(
        cluster.relay.accepted().len(),
        before,
        "no run may send in the pause"
    );
    assert!(before < 200, "they were done before");
    for mut run in runs {
        if run.is_running() {
            run.signal("TERM");
        }
        ended_well(&run.wait());
    }
    cluster.check(0);
}

/// A person cannot send again at once what a lost run may still send.
#[test]
#[ignore = "needs PostgreSQL"]
fn an_unknown_of_a_lost_run_is_not_sent_again_for_a_while() {
    let (relay, keeper) = Server::holding(Stage::Dot, 0);
    let cluster = Cluster::new(2, 1, relay);
    let run = cluster.machines[0].start(&["send"]);
    keeper.wait();
    run.signal("STOP");
    std::thread::sleep(LEASE + Duration::from_millis(600));
    assert_eq!(cluster.machines[1].run(&["send"]).code, 3);

    let resend = ["resolve", "p0@a0.example", "--as", "resend", "--note", "x"];
    let refused = cluster.machines[1].run(&resend);

    assert_eq!(refused.code, 75, "{refused:?}");
    assert_eq!(cluster.relay.count("MAIL"), 1);
    keeper.release();
    run.signal("CONT");
    let late = run.wait();
    assert!(matches!(late.code, 0 | 75), "{late:?}");
    cluster.check(0);
}

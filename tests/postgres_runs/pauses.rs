//! SIGSTOP beyond the lease, at chosen and at random moments, and SIGCONT afterwards. Other runs take over meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::cluster::{CONNECTIONS, Cluster, LEASE, SHARED, ended_well, slow_relay, trials};
use crate::support::chance::Random;
use crate::support::smtp::{Server, Stage};
use crate::support::tcp_relay::{Direction, Fault, Piece, TcpRelay};
use crate::support::{Output, Running, parallel};

/// Longer than the lease, so that it has run out whenever it was renewed.
const BEYOND: Duration = Duration::from_millis(2_600);

/// Stops a run, lets another one take over, and lets the first one go on. Gives how both ended.
fn stop_and_take_over(
    cluster: &Cluster,
    stopped: Running,
    meanwhile: impl FnOnce(),
) -> [Output; 2] {
    stopped.signal("STOP");
    std::thread::sleep(BEYOND);
    let other = cluster.machines[1].run(&["send"]);
    meanwhile();
    stopped.signal("CONT");
    [stopped.wait(), other]
}

fn state_of_first(cluster: &Cluster) -> String {
    cluster.sql("SELECT state FROM access_invite.invitation ORDER BY id LIMIT 1")
}

/// The message is with the relay, and its reply comes when others have taken the run for lost.
#[test]
#[ignore = "needs PostgreSQL"]
fn a_late_reply_settles_what_another_run_has_recovered() {
    // With nothing left to send, the run need not notice that it was lost.
    for (reply, expected, codes) in [
        ("250 2.0.0 queued", "accepted", [0, 75]),
        ("450 4.2.1 later", "deferred", [75, 75]),
        ("550 5.1.1 no such user", "rejected", [1, 1]),
    ] {
        let (gate, keeper) = crate::support::smtp::gate::gate();
        let held = reply.to_owned();
        let relay = Server::start(move |call| {
            if call.stage == Stage::Dot && call.nth == 0 {
                let reply = crate::support::smtp::reply(&held);
                crate::support::smtp::Action::Hold(gate.clone(), Box::new(reply))
            } else {
                crate::support::smtp::Action::Normal
            }
        });
        let cluster = Cluster::new(2, 1, relay);
        let run = cluster.machines[0].start(&["send"]);
        keeper.wait();

        let [late, other] = stop_and_take_over(&cluster, run, || {
            assert_eq!(state_of_first(&cluster), "unknown");
            keeper.release();
            // The reply is in the socket when the run goes on.
            std::thread::sleep(Duration::from_millis(200));
        });

        assert_eq!(other.code, 3, "{other:?}");
        assert!(codes.contains(&late.code), "{reply}: {late:?}");
        assert_eq!(state_of_first(&cluster), expected, "{reply}: {late:?}");
        let taken = usize::from(expected == "accepted");
        assert_eq!(cluster.relay.accepted().len(), taken);
        assert_eq!(cluster.relay.count("MAIL"), 1, "{reply}");
        let causes =
            cluster.sql("SELECT string_agg(to_state, ' ' ORDER BY id) FROM access_invite.history");
        assert_eq!(
            causes,
            format!("pending armed unknown {expected}"),
            "{late:?}"
        );
    }
}

/// Another person's decision counts more than a late reply, which is only reported.
#[test]
#[ignore = "needs PostgreSQL"]
fn a_late_reply_does_not_change_a_decision() {
    let (relay, keeper) = Server::holding(Stage::Dot, 0);
    let cluster = Cluster::new(2, 1, relay);
    let run = cluster.machines[0].start(&["send"]);
    keeper.wait();

    let [late, _] = stop_and_take_over(&cluster, run, || {
        let address = "p0@a0.example";
        let decided = cluster.machines[1].run(&[
            "resolve",
            address,
            "--as",
            "abandoned",
            "--note",
            "told by telephone",
        ]);
        assert_eq!(decided.code, 0, "{decided:?}");
        keeper.release();
        std::thread::sleep(Duration::from_millis(200));
    });

    assert_eq!(state_of_first(&cluster), "abandoned");
    assert!(matches!(late.code, 70 | 74 | 75), "{late:?}");
    assert!(late.stderr.contains("p0@a0.example"), "{late:?}");
    assert_eq!(cluster.relay.accepted().len(), 1);
    let [first, second] = [0, 1].map(|it| cluster.machines[it].run(&["send"]));
    assert_eq!((first.code, second.code), (0, 0), "{first:?} {second:?}");
    assert_eq!(cluster.relay.accepted().len(), 1);
}

/// A relay that holds the answer to a commit that arms something, and reports it.
struct Armed {
    relay: TcpRelay,
    committed: Receiver<()>,
    go_on: Sender<()>,
}

impl Armed {
    /// Holds the answer to the `nth` commit (from 0) that arms.
    fn new(port: u16, nth: usize) -> Self {
        /// As a value of a text array in binary form.
        const ARMED: &[u8] = b"\0\0\0\x05armed";
        let (report, committed) = mpsc::channel();
        let (go_on, wait) = mpsc::channel();
        let (report, wait) = (Mutex::new(report), Mutex::new(wait));
        let (arming, waiting) = (Mutex::new(None), AtomicUsize::new(usize::MAX));
        let seen = Arc::new(AtomicUsize::new(0));
        let relay = TcpRelay::with(port, move |piece: &Piece<'_>| {
            let connection = piece.connection;
            if piece.direction == Direction::ToClient {
                let held = waiting.compare_exchange(
                    connection,
                    usize::MAX,
                    Ordering::SeqCst,
                    Ordering::SeqCst,
                );
                if held.is_ok() {
                    report.lock().unwrap().send(()).unwrap();
                    let _ = wait.lock().unwrap().recv();
                }
                return Fault::None;
            }
            let mut arming = arming.lock().unwrap();
            if piece.contains(ARMED) {
                *arming = Some(connection);
            }
            if *arming == Some(connection) && piece.contains(b"COMMIT\0") {
                *arming = None;
                if seen.fetch_add(1, Ordering::SeqCst) == nth {
                    waiting.store(connection, Ordering::SeqCst);
                }
            }
            Fault::None
        });
        Self {
            relay,
            committed,
            go_on,
        }
    }
}

/// The arm is committed, and the final dot is not written when the run is stopped: it must not be written afterwards.
#[test]
#[ignore = "needs PostgreSQL"]
fn no_final_dot_is_written_after_the_lease() {
    for (nth, partners) in [(0, 1), (0, 12), (2, 12)] {
        let mut cluster = Cluster::new(2, partners, Server::accepting());
        let armed = Armed::new(SHARED.port(), nth);
        let url = cluster
            .url()
            .replace(&SHARED.port().to_string(), &armed.relay.port().to_string());
        cluster.add_machine(&url);
        let run = cluster.machines[2].start(&["send"]);
        armed
            .committed
            .recv_timeout(Duration::from_secs(30))
            .expect("it arms a message");
        let before = cluster.relay.accepted().len();

        let [late, other] = stop_and_take_over(&cluster, run, || {
            armed.go_on.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(200));
        });

        assert_eq!(other.code, 3, "{other:?}");
        assert_eq!(late.code, 75, "{late:?}");
        // The other run has mailed everybody else, and nobody who was armed.
        let accepted = cluster.relay.accepted().len();
        assert_eq!(
            accepted,
            partners - 1,
            "{before} before; {late:?} {other:?}"
        );
        // The final dot was not written, and the stopped run knows it: the message is due again.
        let state =
            cluster.sql("SELECT state FROM access_invite.invitation WHERE state <> 'accepted'");
        assert!(
            matches!(state.as_str(), "deferred" | "pending"),
            "{state}: {late:?}"
        );
        cluster.finish(0);
        assert_eq!(cluster.relay.accepted().len(), partners);
    }
}

/// More than one run claims at once.
const PARTNERS: usize = 200;

#[test]
#[ignore = "needs PostgreSQL"]
fn pauses_at_random_moments_keep_all_invariants() {
    let mut random = Random::seeded();
    let trials: Vec<(u64, u64, Duration)> = (0..trials(12))
        .map(|it| {
            // Around the lease and beyond it.
            let pause = LEASE.mul_f64(0.5) + Duration::from_millis(random.below(2_500));
            (it, random.below(PARTNERS as u64 * 2 / 3), pause)
        })
        .collect();
    let (undecided, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
    parallel::for_each(4, &trials, |&(trial, messages, pause)| {
        let cluster = Cluster::new(3, PARTNERS, slow_relay(Duration::from_millis(20)));
        let mut runs = cluster.start_all();
        cluster.wait_for_messages(messages as usize, &mut runs);
        println!("trial {trial}: stopped after {messages} messages for {pause:?}");
        let stopped = &mut runs[trial as usize % 3];
        if stopped.is_running() {
            stopped.signal("STOP");
            std::thread::sleep(pause);
            if pause > LEASE + Duration::from_millis(200) {
                // The others may have claimed their last partners before: a run that begins now recovers what is lost.
                ended_well(&cluster.machines[(trial as usize + 1) % 3].run(&["send"]));
            }
            stopped.signal("CONT");
        }
        for run in runs {
            ended_well(&run.wait());
        }
        let left = cluster.finish(CONNECTIONS);
        undecided.fetch_add(left, Ordering::Relaxed);
        let runs = cluster.sql("SELECT count(*) FROM access_invite.run WHERE lost_at IS NOT NULL");
        lost.fetch_add(runs.parse().unwrap(), Ordering::Relaxed);
    });
    let (undecided, lost) = (undecided.into_inner(), lost.into_inner());
    println!(
        "{lost} runs lost, {undecided} unknown over {} trials",
        trials.len()
    );
    assert!(lost > 0, "no pause was longer than a lease");
}

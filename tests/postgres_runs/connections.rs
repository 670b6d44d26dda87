//! The connection to the database is cut, delayed, or loses answers.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::cluster::{CONNECTIONS, Cluster, SHARED, ended_well, ledger, slow_relay, trials};
use crate::support::chance::Random;
use crate::support::parallel;
use crate::support::smtp::Server;
use crate::support::tcp_relay::{Direction, Fault, Piece, TcpRelay};

/// A cluster with one machine beside a TCP relay, and one behind it.
fn behind(relay: &TcpRelay, partners: usize, smtp: Server) -> Cluster {
    let mut cluster = Cluster::new(2, partners, smtp);
    let url = cluster.url();
    let url = url.replace(&SHARED.port().to_string(), &relay.port().to_string());
    // Not before, so that the faults do not concern `init`.
    let machine = &mut cluster.machines[1];
    machine.ledger = ledger(&url);
    machine.configure();
    cluster
}

/// The request of a commit.
const COMMIT: &[u8] = b"COMMIT\0";

/// What happens to a commit.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// It is executed, and its answer does not arrive.
    Answer,
    /// It does not arrive.
    Request,
    /// The client loses its connection, and the server gets the request later.
    Late,
    /// Only a part of the answer arrives.
    HalfAnswer,
}

/// The nth commit of a run is lost on its way there or back; then every fifth.
#[test]
#[ignore = "needs PostgreSQL"]
fn commits_whose_answer_is_lost_are_neither_lost_nor_repeated() {
    let mut random = Random::seeded();
    let losses = [Loss::Answer, Loss::Request, Loss::Late, Loss::HalfAnswer];
    let trials: Vec<(Loss, u64)> = (0..trials(12))
        .map(|it| (losses[it as usize % losses.len()], random.below(12)))
        .collect();
    parallel::for_each(4, &trials, |&(loss, first)| {
        let commits = AtomicU64::new(0);
        let answer_is_cut = AtomicUsize::new(usize::MAX);
        let relay = TcpRelay::with(SHARED.port(), move |piece: &Piece<'_>| {
            if piece.direction == Direction::ToClient {
                let cut = answer_is_cut.compare_exchange(
                    piece.connection,
                    usize::MAX,
                    Ordering::SeqCst,
                    Ordering::SeqCst,
                );
                return if cut.is_ok() {
                    Fault::Cut(piece.bytes.len() / 2)
                } else {
                    Fault::None
                };
            }
            if !piece.contains(COMMIT) {
                return Fault::None;
            }
            let nth = commits.fetch_add(1, Ordering::SeqCst);
            if nth < first || !(nth - first).is_multiple_of(5) {
                return Fault::None;
            }
            match loss {
                Loss::Answer => Fault::LoseAnswer(Duration::from_millis(100)),
                Loss::Request => Fault::Cut(0),
                Loss::Late => Fault::ForwardLate(Duration::from_millis(600)),
                Loss::HalfAnswer => {
                    answer_is_cut.store(piece.connection, Ordering::SeqCst);
                    Fault::None
                }
            }
        });
        let cluster = behind(&relay, 40, slow_relay(Duration::from_millis(10)));
        println!("{loss:?} from commit {first} on");
        let ended = cluster.machines[1].run(&["send"]);
        assert_eq!(ended.code, 0, "{loss:?} from {first} on: {ended:?}");
        relay.mend();
        cluster.finish(0);
    });
}

/// Anywhere: within the login, a statement, an answer. Which part of the program waits for it is left to chance.
#[test]
#[ignore = "needs PostgreSQL"]
fn connections_cut_after_any_byte_keep_all_invariants() {
    let mut random = Random::seeded();
    let whole = Arc::new(AtomicU64::new(0));
    {
        let total = whole.clone();
        let relay = TcpRelay::with(SHARED.port(), move |piece: &Piece<'_>| {
            total.fetch_max(piece.passed + piece.bytes.len() as u64, Ordering::SeqCst);
            Fault::None
        });
        let cluster = behind(&relay, 30, slow_relay(Duration::from_millis(10)));
        assert_eq!(cluster.machines[1].run(&["send"]).code, 0);
    }
    let whole = whole.load(Ordering::SeqCst);
    println!("up to {whole} bytes a connection and direction");
    let trials: Vec<(u64, Direction, u64)> = (0..trials(16))
        .map(|it| {
            let direction = [Direction::ToServer, Direction::ToClient][it as usize % 2];
            // Half of the cuts fall into the first parts, where logins are.
            let limit = if it % 4 < 2 { whole } else { 4_000.min(whole) };
            (it, direction, random.below(limit))
        })
        .collect();
    parallel::for_each(4, &trials, |&(trial, direction, byte)| {
        let cuts = AtomicUsize::new(0);
        let relay = TcpRelay::with(SHARED.port(), move |piece: &Piece<'_>| {
            let here = (piece.passed..piece.passed + piece.bytes.len() as u64).contains(&byte);
            if here && piece.direction == direction && cuts.fetch_add(1, Ordering::SeqCst) < 4 {
                Fault::Cut((byte - piece.passed) as usize)
            } else {
                Fault::None
            }
        });
        println!("trial {trial}: {direction:?} cut after {byte} bytes, four times");
        let cluster = behind(&relay, 30, slow_relay(Duration::from_millis(10)));
        let ended = cluster.machines[1].run(&["send"]);
        // Before anything is sent, a connection that is lost ends the run.
        assert!(
            matches!(ended.code, 0 | 3 | 74 | 75),
            "{direction:?} {byte}: {ended:?}"
        );
        relay.mend();
        cluster.finish(CONNECTIONS);
    });
}

/// Only one direction ends, with a FIN.
#[test]
#[ignore = "needs PostgreSQL"]
fn connections_that_are_half_closed_keep_all_invariants() {
    for direction in [Direction::ToServer, Direction::ToClient] {
        let closed = AtomicUsize::new(0);
        let relay = TcpRelay::with(SHARED.port(), move |piece: &Piece<'_>| {
            let now = piece.direction == direction && piece.passed > 9_000;
            if now && closed.fetch_add(1, Ordering::SeqCst) < 3 {
                Fault::HalfClose
            } else {
                Fault::None
            }
        });
        let cluster = behind(&relay, 30, slow_relay(Duration::from_millis(10)));
        let ended = cluster.machines[1].run(&["send"]);
        assert!(matches!(ended.code, 0 | 3 | 75), "{direction:?}: {ended:?}");
        relay.mend();
        cluster.finish(CONNECTIONS);
    }
}

/// 40 ms there and back: slower, and nothing else.
#[test]
#[ignore = "needs PostgreSQL"]
fn a_distant_server_is_only_slower() {
    let relay = TcpRelay::with(SHARED.port(), |_| Fault::Delay(Duration::from_millis(20)));
    let cluster = behind(&relay, 30, Server::accepting());
    let start = Instant::now();
    let ended = cluster.machines[1].run(&["send"]);
    println!(
        "30 partners at a round-trip time of 40 ms: {:?}",
        start.elapsed()
    );
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    relay.mend();
    cluster.finish(0);
}

/// Nothing arrives any more, and nothing is closed, beyond the lease: another run takes over, and the first one stops.
#[test]
#[ignore = "needs PostgreSQL"]
fn a_run_that_the_network_has_cut_off_stops_and_others_take_over() {
    let relay = TcpRelay::to(SHARED.port());
    let cluster = behind(&relay, 200, slow_relay(Duration::from_millis(40)));
    let mut run = cluster.machines[1].start(&["send"]);
    while cluster.relay.accepted().len() < 20 {
        assert!(run.is_running(), "{:?}", run.wait());
        std::thread::sleep(Duration::from_millis(10));
    }

    relay.freeze(true);
    std::thread::sleep(Duration::from_millis(2_600));
    let accepted = cluster.relay.accepted().len();
    let other = cluster.machines[0].run(&["send"]);
    ended_well(&other);
    relay.freeze(false);
    let ended = run.wait();

    assert_eq!(ended.code, 75, "{ended:?}");
    assert!(accepted < 200, "the run was not cut off in time");
    relay.mend();
    cluster.finish(CONNECTIONS);
}

/// As before, but the network never comes back.
#[test]
#[ignore = "needs PostgreSQL"]
fn a_run_that_never_reaches_the_server_again_ends() {
    let refuse = Arc::new(AtomicBool::new(false));
    let refused = refuse.clone();
    let relay = TcpRelay::with(SHARED.port(), move |_| {
        if refused.load(Ordering::SeqCst) {
            Fault::Cut(0)
        } else {
            Fault::None
        }
    });
    let cluster = behind(&relay, 200, slow_relay(Duration::from_millis(40)));
    let mut run = cluster.machines[1].start(&["send"]);
    while cluster.relay.accepted().len() < 20 {
        assert!(run.is_running(), "{:?}", run.wait());
        std::thread::sleep(Duration::from_millis(10));
    }

    refuse.store(true, Ordering::SeqCst);
    relay.cut_all();
    let start = Instant::now();
    let ended = run.wait();
    println!("ended with {} after {:?}", ended.code, start.elapsed());
    assert!(matches!(ended.code, 74 | 75), "{ended:?}");
    assert!(
        start.elapsed() < Duration::from_secs(75),
        "{:?}",
        start.elapsed()
    );
    relay.mend();
    cluster.finish(CONNECTIONS);
}

/// A queue of answers that is read late: the replies of several commits arrive at once.
#[test]
#[ignore = "needs PostgreSQL"]
fn answers_that_stall_now_and_then_change_nothing() {
    let random = Mutex::new(Random::seeded());
    let relay = TcpRelay::with(SHARED.port(), move |_| {
        match random.lock().unwrap().below(40) {
            0 => Fault::Delay(Duration::from_millis(250)),
            _ => Fault::None,
        }
    });
    let cluster = behind(&relay, 60, slow_relay(Duration::from_millis(5)));
    let ended = cluster.machines[1].run(&["send"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    relay.mend();
    cluster.finish(0);
}

//! A clock that is wrong: set back, set forward, before 1970. Time is an argument of the
//! commands, so the tests hand them one of their own; the relay and the ledger are real.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::support::smtp::{Action, Call, Server, Stage};
use crate::support::{Workplace, oracle};
use access_invite::cli;
use access_invite::console::Console;
use access_invite::exit::Exit;
use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;
/// 2026-11-23, 08:00 UTC.
const START: i64 = 1_795_420_800;

static NOW: AtomicI64 = AtomicI64::new(START);
/// The clock is one for all tests, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

fn clock() -> Timestamp {
    Timestamp::from_second(NOW.load(Ordering::SeqCst)).unwrap()
}

fn turn() -> MutexGuard<'static, ()> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    NOW.store(START, Ordering::SeqCst);
    turn
}

/// Runs a send in this process, at so many seconds after the start, and says how it ended.
fn send_at(seconds: i64, workplace: &Workplace) -> Exit {
    try_to_send_at(seconds, workplace).unwrap_or_else(|failure| panic!("{failure}"))
}

fn try_to_send_at(seconds: i64, workplace: &Workplace) -> access_invite::exit::Result<Exit> {
    NOW.store(START + seconds, Ordering::SeqCst);
    let config = workplace.file("config.toml");
    let arguments = ["access-invite", "send", "-c", config.to_str().unwrap()];
    let parsed = cli::parse(arguments.into_iter().map(Into::into)).unwrap();
    let mut console = Console {
        out: &mut Vec::new(),
        err: &mut Vec::new(),
        input: &mut std::io::empty(),
        interactive: false,
        out_is_terminal: false,
        clock,
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(cli::run(parsed, &mut console))
}

/// A relay that defers the first attempt.
fn greylisting() -> Server {
    Server::start(|call: &Call| match call.stage {
        Stage::Rcpt if call.nth == 0 => Action::Reply(b"451 4.2.0 greylisted\r\n".to_vec()),
        _ => Action::Normal,
    })
}

fn job(server: &Server) -> Workplace {
    let mut workplace = Workplace::new(server.port());
    workplace.retry = "first_after = \"30m\"\nmax_after = \"8h\"".into();
    workplace.configure();
    workplace.partners(&["ada@a.example"]);
    workplace
}

#[test]
fn h1_a_clock_that_was_set_back_sends_nothing_early_and_nothing_twice() {
    let _turn = turn();
    let server = greylisting();
    let workplace = job(&server);
    assert_eq!(send_at(0, &workplace), Exit::TryLater);

    // An hour back: she is due in an hour and a half, and waits for it.
    assert_eq!(send_at(-HOUR, &workplace), Exit::TryLater);
    assert_eq!(send_at(20 * MINUTE, &workplace), Exit::TryLater);
    assert_eq!(server.connections(), 1);

    assert_eq!(send_at(40 * MINUTE, &workplace), Exit::Done);
    for seconds in [-DAY, 0, DAY] {
        assert_eq!(send_at(seconds, &workplace), Exit::Done);
    }
    oracle::check_settled(&workplace, &server, 1, 0);
    assert_eq!(server.connections(), 2);
}

#[test]
fn h1_dots_of_a_later_day_count_for_the_limit_of_this_one() {
    let _turn = turn();
    let server = Server::obliging();
    let mut workplace = Workplace::new(server.port());
    workplace.limits = "per_day = 2".into();
    workplace.configure();
    workplace.crowd(3);

    assert_eq!(send_at(0, &workplace), Exit::TryLater);
    assert_eq!(send_at(-HOUR, &workplace), Exit::TryLater);
    assert_eq!(send_at(-30 * DAY, &workplace), Exit::TryLater);

    assert_eq!(server.accepted().len(), 2);
    assert_eq!(send_at(25 * HOUR, &workplace), Exit::Done);
    oracle::check_settled(&workplace, &server, 3, 0);
}

#[test]
fn h2_a_clock_that_jumps_ahead_sends_what_waits_once_and_closes_what_has_ended() {
    let _turn = turn();
    let server = greylisting();
    let workplace = job(&server);
    assert_eq!(send_at(0, &workplace), Exit::TryLater);

    assert_eq!(send_at(10 * YEAR, &workplace), Exit::Done);
    assert_eq!(send_at(0, &workplace), Exit::Done);
    oracle::check_settled(&workplace, &server, 1, 0);

    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let closing = config.replace("[partners]", "respond_by = 2030-01-01\n[partners]");
    workplace.write("config.toml", &closing);
    workplace.partners(&["ada@a.example", "bob@b.example"]);
    assert_eq!(send_at(10 * YEAR, &workplace), Exit::Done);
    assert_eq!(server.accepted().len(), 1, "his package is closed then");
    assert_eq!(send_at(0, &workplace), Exit::Done);
    oracle::check_settled(&workplace, &server, 2, 0);
}

#[test]
fn h3_before_1970_nothing_is_sent_and_the_clock_is_to_blame() {
    let _turn = turn();
    let server = Server::obliging();
    let workplace = job(&server);

    let failure = try_to_send_at(-START - 1_000, &workplace).unwrap_err();

    assert_eq!(failure.exit, Exit::Config);
    let told = failure.to_string();
    assert!(told.contains("stands before 1970"), "{told}");
    assert_eq!(server.connections(), 0);
    assert_eq!(send_at(0, &workplace), Exit::Done);
    oracle::check_settled(&workplace, &server, 1, 0);
}

#[test]
fn h4_the_last_day_to_respond_is_a_day_of_the_local_calendar() {
    // These two are never on the same day.
    let (behind, ahead) = ("Etc/GMT+12", "Pacific/Kiritimati");
    let zone = jiff::tz::TimeZone::get(behind).unwrap();
    let today = Timestamp::now().to_zoned_datetime(zone).date();
    let server = Server::obliging();
    let workplace = job(&server);
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let closing = format!("respond_by = {today}\n[partners]");
    workplace.write("config.toml", &config.replace("[partners]", &closing));
    let send_in = |zone: &str| {
        workplace.run_with(&["send"], |command| {
            command.env("TZ", zone);
        })
    };

    let over = send_in(ahead);
    assert_eq!((over.code, server.accepted().len()), (0, 0), "{over:?}");
    let open = send_in(behind);
    assert_eq!((open.code, server.accepted().len()), (0, 1), "{open:?}");
}

#[test]
fn h6_a_ledger_from_the_future_holds_nobody_up_for_longer_than_the_longest_pause() {
    let _turn = turn();
    let server = greylisting();
    let workplace = job(&server);
    assert_eq!(send_at(10 * YEAR, &workplace), Exit::TryLater);

    // The clock was wrong then; nobody waits ten years for that.
    assert_eq!(send_at(0, &workplace), Exit::Done);

    oracle::check_settled(&workplace, &server, 1, 0);
    assert_eq!(server.connections(), 2);
}

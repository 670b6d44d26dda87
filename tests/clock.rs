//! Wrong system clocks: set back, set ahead, before 1970. The commands take the time as an
//! argument, so the tests pass their own clock; relay and ledger are real.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::support::smtp::{Action, Call, Server, Stage};
use crate::support::{Workplace, oracle};
use access_invite::cli;
use access_invite::console::{Console, Messages, Screen};
use access_invite::exit::Exit;
use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;
/// 2026-11-23, 08:00 UTC.
const START: i64 = 1_795_420_800;

static NOW: AtomicI64 = AtomicI64::new(START);
/// The tests share one clock, so they run one after the other.
static TURN: Mutex<()> = Mutex::new(());

fn clock() -> Timestamp {
    Timestamp::from_second(NOW.load(Ordering::SeqCst)).unwrap()
}

fn turn() -> MutexGuard<'static, ()> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    NOW.store(START, Ordering::SeqCst);
    turn
}

/// Runs a send in this process at this many seconds after the start, and returns its result.
fn send_at(seconds: i64, workplace: &Workplace) -> Exit {
    attempt_send_at(seconds, workplace).unwrap_or_else(|failure| panic!("{failure}"))
}

fn attempt_send_at(seconds: i64, workplace: &Workplace) -> access_invite::exit::Result<Exit> {
    send_in(seconds, workplace, &mut Vec::new())
}

/// As [`send_at`], with the messages on stderr.
fn report_at(seconds: i64, workplace: &Workplace) -> (Exit, String) {
    let mut err = Vec::new();
    let exit = send_in(seconds, workplace, &mut err).unwrap_or_else(|failure| panic!("{failure}"));
    (exit, String::from_utf8(err).unwrap())
}

fn send_in(
    seconds: i64,
    workplace: &Workplace,
    err: &mut Vec<u8>,
) -> access_invite::exit::Result<Exit> {
    NOW.store(START + seconds, Ordering::SeqCst);
    let config = workplace.file("config.toml");
    let arguments = ["access-invite", "send", "-c", config.to_str().unwrap()];
    let parsed = cli::parse(arguments.into_iter().map(Into::into)).unwrap();
    let mut console = Console {
        out: &mut Vec::new(),
        err,
        input: &mut std::io::empty(),
        interactive: false,
        screen: Screen::default(),
        clock,
        messages: Messages::default(),
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
    let mut workplace = Workplace::english(server.port());
    workplace.retry = "first_after = \"30m\"\nmax_after = \"8h\"".into();
    workplace.configure();
    workplace.partners(&["ada@a.example"]);
    workplace
}

#[test]
fn h1_a_clock_set_back_sends_nothing_early_or_twice() {
    let _turn = turn();
    let server = greylisting();
    let workplace = job(&server);
    assert_eq!(send_at(0, &workplace), Exit::TryLater);

    // Set back an hour: the row is due in an hour and a half.
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
fn h1_messages_dated_later_count_towards_the_daily_limit() {
    let _turn = turn();
    let server = Server::accepting();
    let mut workplace = Workplace::english(server.port());
    workplace.limits = "per_day = 2".into();
    workplace.configure();
    workplace.many_partners(3);

    assert_eq!(send_at(0, &workplace), Exit::TryLater);
    assert_eq!(send_at(-HOUR, &workplace), Exit::TryLater);
    assert_eq!(send_at(-30 * DAY, &workplace), Exit::TryLater);

    assert_eq!(server.accepted().len(), 2);
    assert_eq!(send_at(25 * HOUR, &workplace), Exit::Done);
    oracle::check_settled(&workplace, &server, 3, 0);
}

#[test]
fn h2_a_clock_set_ahead_sends_once_and_closes_expired_packages() {
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
fn h7_a_wrong_clock_reminds_later_and_never_early_twice() {
    let _turn = turn();
    let server = Server::accepting();
    let mut workplace = Workplace::english(server.port());
    workplace.short_templates();
    let html = r#"<a class="button" href="{{ link }}">here</a> <p>{{ link }}</p>"#;
    workplace.write("words/en/reminder.subject.txt", "Reminder\n");
    workplace.write("words/en/reminder.txt", "{{ link }}\n");
    workplace.write("words/en/reminder.html", html);
    workplace.extra = "[reminders]\nafter = \"7d\"\nevery = \"7d\"\nat_most = 3\n".into();
    workplace.configure();
    workplace.partners(&["ada@a.example"]);

    for (seconds, messages) in [
        (0, 1),
        // Set back.
        (-30 * DAY, 1),
        (6 * DAY, 1),
        // Set ahead: this one is early.
        (20 * DAY, 2),
        // Right again: the next counts from there.
        (DAY, 2),
        (8 * DAY, 2),
        (26 * DAY, 2),
        (27 * DAY, 3),
        (27 * DAY, 3),
    ] {
        let exit = send_at(seconds, &workplace);
        assert_eq!(exit, Exit::Done, "{seconds}");
        assert_eq!(server.accepted().len(), messages, "at {seconds}");
    }
}

#[test]
fn h3_a_clock_before_1970_is_an_error() {
    let _turn = turn();
    let server = Server::accepting();
    let workplace = job(&server);

    let failure = attempt_send_at(-START - 1_000, &workplace).unwrap_err();

    assert_eq!(failure.exit, Exit::Config);
    let told = failure.to_string();
    assert!(told.contains("shows a time before 1970; set it"), "{told}");
    assert_eq!(server.connections(), 0);
    assert_eq!(send_at(0, &workplace), Exit::Done);
    oracle::check_settled(&workplace, &server, 1, 0);
}

#[test]
fn h4_respond_by_is_a_local_calendar_day() {
    // These two times are never on the same day.
    let (behind, ahead) = ("Etc/GMT+12", "Pacific/Kiritimati");
    let zone = jiff::tz::TimeZone::get(behind).unwrap();
    let today = Timestamp::now().to_zoned_datetime(zone).date();
    let server = Server::accepting();
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
fn h6_a_ledger_from_the_future_waits_at_most_max_after() {
    let _turn = turn();
    let server = greylisting();
    let workplace = job(&server);
    assert_eq!(send_at(10 * YEAR, &workplace), Exit::TryLater);

    // The recorded time came from a wrong clock; the row does not wait ten years.
    assert_eq!(send_at(0, &workplace), Exit::Done);

    oracle::check_settled(&workplace, &server, 1, 0);
    assert_eq!(server.connections(), 2);
}

#[test]
fn unknown_and_expired_are_reported_once_and_then_once_a_day() {
    let _turn = turn();
    let server = Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Dot, Some(who)) if who.starts_with("una") => Action::Close,
        (Stage::Rcpt, Some(who)) if who.starts_with("eve") => {
            Action::Reply(b"450 4.2.1 later\r\n".to_vec())
        }
        _ => Action::Normal,
    });
    let mut workplace = Workplace::english(server.port());
    workplace.smtp("connections = 1");
    workplace.retry = "first_after = \"1m\"\nmax_after = \"1m\"\ngive_up_after = \"1m\"".into();
    workplace.configure();
    workplace.partners(&["una@a.example"]);
    let reports = |seconds, expected: Exit| {
        let (exit, said) = report_at(seconds, &workplace);
        assert_eq!(exit, expected, "{said}");
        ["unknown", "expired"].map(|it| said.matches(&format!("{it}: ")).count())
    };

    assert_eq!(reports(0, Exit::Unknown), [1, 0]);
    for seconds in [5 * MINUTE, DAY - 1] {
        assert_eq!(reports(seconds, Exit::Unknown), [0, 0]);
    }
    assert_eq!(reports(DAY, Exit::Unknown), [1, 0]);
    assert_eq!(reports(DAY + 5 * MINUTE, Exit::Unknown), [0, 0]);

    // A new one is reported at once, each state on its own day.
    workplace.partners(&["una@a.example", "eve@e.example"]);
    let (_, deferred) = report_at(DAY + HOUR, &workplace);
    assert!(!deferred.contains("unknown: "), "{deferred}");
    assert_eq!(reports(DAY + 2 * HOUR, Exit::Unknown), [0, 1]);
    assert_eq!(reports(DAY + 3 * HOUR, Exit::Unknown), [0, 0]);
    assert_eq!(reports(2 * DAY, Exit::Unknown), [1, 0]);
    assert_eq!(reports(2 * DAY + 2 * HOUR, Exit::Unknown), [0, 1]);
    // A clock that is set back does not silence the report.
    assert_eq!(reports(DAY, Exit::Unknown), [1, 1]);
}

//! Weeks of runs against a relay that temporarily refuses all recipients, one company, one locale or long
//! messages, at one phase, with and without enhanced codes. One seed determines one history.
//!
//! In every history, partners are rejected only with direct evidence, and none in a run that ends with 69;
//! retries end; and a bad row never prevents the mailing of others.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

use super::{AcceptedCounts, CONFIG, Process, enrol_all, message, simulate};
use crate::address::Address;
use crate::delivery::{BREAKER_OPEN, StopKind};
use crate::invitation::{MessageIdKey, State, Unless};
use crate::ledger::fault_injection::SharedDb;
use crate::outbox::Prepared;
use crate::plan::begin_behind;
use crate::relay::Dialer;

/// The default number of histories.
const SEEDS: u64 = 60;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// The duration of a history: long enough for all partners to expire, three per run.
const END: i64 = 60 * DAY;

/// Refusals without evidence, with and without codes.
const UNDETERMINED: [&str; 8] = [
    "550 no",
    "554 5.7.1 rejected by rule 17",
    "550 5.7.1 Access denied",
    "553 5.0.0 not now, not ever",
    "550 Unrouteable address",
    "571 unwanted",
    "552 5.3.4 too big",
    "550 5.4.1 Recipient address rejected: Access denied",
];
/// Refusals that are known to concern the sender.
const SENDER_SIDE: [&str; 3] = [
    "550 5.7.60 Client does not have permissions to send as this sender",
    "550 5.4.5 Daily user sending quota exceeded",
    "554 5.7.1 Relay access denied",
];
/// Direct evidence; it proves nothing if all recipients are refused with it.
const EVIDENCE: [&str; 2] = ["550 5.1.1 gone", "550 No such user here"];

thread_local! {
    /// Seconds since the start of the history.
    static NOW: Cell<i64> = const { Cell::new(0) };
}

fn now() -> Timestamp {
    super::clock() + SignedDuration::from_secs(NOW.get())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Rcpt,
    Data,
    Dot,
}

/// The recipients that the relay refuses.
#[derive(Clone, Copy, Debug)]
enum Scope {
    All,
    Company(usize),
    /// Known only from the message, so refused at the final dot.
    Locale(usize),
    Longer(usize),
}

/// A refusal: when, of which recipients, at which phase, with which reply.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: i64,
    until: i64,
    scope: Scope,
    phase: Phase,
    text: &'static str,
}

#[derive(Debug)]
struct Partner {
    address: Address,
    company: usize,
    locale: usize,
    lines: usize,
    /// The reply to this recipient at any time: a dead address, or a refusal without evidence.
    always: Option<&'static str>,
}

/// The relay, and what it has accepted.
struct Relay {
    partners: Vec<Partner>,
    windows: Vec<Window>,
    accepted: AcceptedCounts,
    /// The recipients that were refused with direct evidence.
    with_evidence: Mutex<BTreeSet<String>>,
}

impl Relay {
    /// The refusal of this recipient at this phase now.
    fn refusal(&self, recipient: &str, phase: Phase) -> Option<&'static str> {
        let mut partners = self.partners.iter();
        let partner = partners.find(|it| it.address.as_written() == recipient)?;
        let applies = |it: &&Window| {
            let time = (it.from..it.until).contains(&NOW.get());
            let scope = match it.scope {
                Scope::All => true,
                Scope::Company(company) => partner.company == company,
                Scope::Locale(locale) => partner.locale == locale,
                Scope::Longer(lines) => partner.lines > lines,
            };
            time && scope && it.phase == phase
        };
        let window = self.windows.iter().find(applies).map(|it| it.text);
        let always = partner.always.filter(|_| phase == Phase::Rcpt);
        let text = window.or(always)?;
        if EVIDENCE.contains(&text) {
            self.with_evidence
                .lock()
                .unwrap()
                .insert(recipient.to_owned());
        }
        Some(text)
    }

    async fn serve(self: Arc<Self>, stream: DuplexStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        let mut recipient: Option<String> = None;
        write(&mut stream, "220 hello").await?;
        loop {
            let line = read(&mut stream).await?;
            let verb = line.split([' ', ':']).next().unwrap_or_default();
            let answer = match verb {
                "EHLO" => "250-here\r\n250 PIPELINING",
                "RCPT" => {
                    let address = line.trim_start_matches("RCPT TO:<").trim_end_matches('>');
                    let refusal = self.refusal(address, Phase::Rcpt);
                    recipient = refusal.is_none().then(|| address.to_owned());
                    refusal.unwrap_or("250 2.1.5 ok")
                }
                "DATA" => match &recipient {
                    None => "503 5.5.1 for whom?",
                    Some(address) => {
                        let refusal = self.refusal(address, Phase::Data);
                        if refusal.is_none() {
                            write(&mut stream, "354 go on").await?;
                            while read(&mut stream).await? != "." {}
                        }
                        let refusal = refusal.or_else(|| self.refusal(address, Phase::Dot));
                        if refusal.is_none() {
                            let mut accepted = self.accepted.lock().unwrap();
                            *accepted.entry(address.clone()).or_default() += 1;
                        }
                        refusal.unwrap_or("250 2.0.0 taken")
                    }
                },
                "QUIT" => return write(&mut stream, "221 bye").await,
                _ => "250 2.0.0 ok",
            };
            write(&mut stream, answer).await?;
        }
    }
}

async fn read(stream: &mut BufReader<DuplexStream>) -> Option<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.strip_suffix("\r\n").map(str::to_owned)
}

async fn write(stream: &mut BufReader<DuplexStream>, text: &str) -> Option<()> {
    let line = format!("{text}\r\n");
    stream.write_all(line.as_bytes()).await.ok()
}

/// The messages that are due now, in the order of the plan.
fn due(disk: &SharedDb, relay: &Relay) -> Vec<Prepared> {
    let standings = disk.standings().unwrap();
    let mut fresh = Vec::new();
    let mut again = Vec::new();
    let mut last = None;
    for (place, (_, standing)) in (0..).zip(&standings) {
        if standing.refused {
            last = last.max(Some((standing.updated_at, place)));
        }
        let due = match standing.state {
            State::Pending => true,
            State::Deferred => standing.next_attempt_at.is_none_or(|it| it <= now()),
            _ => false,
        };
        if due {
            let places = if standing.refused {
                &mut again
            } else {
                &mut fresh
            };
            places.push(place);
        }
    }
    begin_behind(&mut again, last.map(|it| it.1));
    let places = [fresh, again].concat();
    let prepared = |place: u64| {
        let place = usize::try_from(place).unwrap();
        let (address, standing) = standings[place].clone();
        let lines = "a line\r\n".repeat(relay.partners[place].lines);
        message(&address, standing, &lines)
    };
    places.into_iter().map(prepared).collect()
}

/// The addresses in this state.
fn addresses_in(disk: &SharedDb, state: State) -> BTreeSet<String> {
    let standings = disk.standings().unwrap().into_iter();
    let matching = standings.filter(|(_, it)| it.state == state);
    matching.map(|(address, _)| address).collect()
}

fn partners(rng: &mut Rng) -> Vec<Partner> {
    let companies = rng.usize(1..15);
    let refusals = [EVIDENCE[0], EVIDENCE[1], UNDETERMINED[1], UNDETERMINED[4]];
    let bad = rng.usize(0..5);
    let mut partners: Vec<_> = (0..rng.usize(1..45))
        .map(|number| {
            let company = rng.usize(..companies);
            Partner {
                address: Address::parse(&format!("p{number}@d{company}.example")).unwrap(),
                company,
                locale: rng.usize(..3),
                lines: rng.usize(1..9),
                always: None,
            }
        })
        .collect();
    // At random positions, or at the head of the list, which is the worst position.
    for nth in 0..bad.min(partners.len()) {
        let place = if rng.bool() {
            nth
        } else {
            rng.usize(..partners.len())
        };
        partners[place].always = Some(refusals[rng.usize(..refusals.len())]);
    }
    partners
}

fn window(rng: &mut Rng, from: i64, until: i64) -> Window {
    let phase = [Phase::Rcpt, Phase::Data, Phase::Dot][rng.usize(..3)];
    let scope = match rng.u32(..6) {
        0..3 => Scope::All,
        3 => Scope::Company(rng.usize(..4)),
        4 => Scope::Locale(rng.usize(..3)),
        _ => Scope::Longer(rng.usize(2..8)),
    };
    let at_the_dot = matches!(scope, Scope::Locale(_) | Scope::Longer(_));
    let text = match (scope, rng.u32(..8)) {
        (Scope::All, 0) => EVIDENCE[rng.usize(..EVIDENCE.len())],
        (_, 1 | 2) => SENDER_SIDE[rng.usize(..SENDER_SIDE.len())],
        _ => UNDETERMINED[rng.usize(..UNDETERMINED.len())],
    };
    Window {
        from,
        until,
        scope,
        phase: if at_the_dot { Phase::Dot } else { phase },
        text,
    }
}

/// Refusals within the first four days (`true`), or one that lasts longer than `give_up_after`, possibly to
/// the end.
fn windows(rng: &mut Rng) -> (Vec<Window>, bool) {
    match rng.u32(..10) {
        0 => (Vec::new(), true),
        1 => {
            let all = Window {
                scope: Scope::All,
                phase: Phase::Rcpt,
                text: UNDETERMINED[rng.usize(..UNDETERMINED.len())],
                ..window(rng, 0, END + DAY)
            };
            (vec![all], false)
        }
        2 => {
            let until = rng.i64(6..9) * DAY;
            (vec![window(rng, 0, until)], false)
        }
        _ => {
            let windows = (0..rng.u32(1..4)).map(|_| {
                let from = rng.i64(-6 * HOUR..2 * DAY);
                let until = from + rng.i64(HOUR..2 * DAY);
                window(rng, from, until)
            });
            (windows.collect(), true)
        }
    }
}

async fn history(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let (windows, short) = windows(&mut rng);
    let relay = Arc::new(Relay {
        partners: partners(&mut rng),
        windows,
        accepted: AcceptedCounts::default(),
        with_evidence: Mutex::default(),
    });
    let disk = SharedDb::new(MessageIdKey([7; 32])).unwrap();
    let addresses: Vec<_> = relay.partners.iter().map(|it| it.address.clone()).collect();
    enrol_all(&disk, &addresses).await;
    // Every hour or every day, as by cron, or at irregular times.
    let step = [HOUR, DAY, 0][rng.usize(..3)];
    let connections = rng.u32(1..5);

    NOW.set(0);
    let mut runs = 0;
    while NOW.get() < END
        && !(addresses_in(&disk, State::Pending).is_empty()
            && addresses_in(&disk, State::Deferred).is_empty())
    {
        runs += 1;
        let before = addresses_in(&disk, State::Rejected);
        let messages = due(&disk, &relay);
        let (ledger, _) = disk.open(None).unwrap();
        let breaker_open = ledger.notice(BREAKER_OPEN).await.unwrap().is_some();
        let process = Process {
            ledger: Arc::new(ledger),
            messages,
            connections: if breaker_open { 1 } else { connections },
            dial: dial(relay.clone()),
            per_minute: None,
            max_runtime: None,
            breaker_open,
            unless: Unless::default(),
            clock: now,
        };
        let tally = process.run().await;
        let after = addresses_in(&disk, State::Rejected);
        let context = format!("seed {seed}, run {runs}: {tally:?}, {:?}", relay.windows);
        let is_69 = tally.stopped.is_some_and(|it| it.kind == StopKind::Relay);
        assert!(
            !is_69 || before == after,
            "a run that ended with 69 rejected a partner: {context}"
        );
        let with_evidence = relay.with_evidence.lock().unwrap();
        assert!(
            after.is_subset(&with_evidence),
            "rejected without evidence: {context}"
        );
        NOW.set(
            NOW.get()
                + if step > 0 {
                    step
                } else {
                    rng.i64(HOUR..14 * HOUR)
                },
        );
    }

    // A refusal of the sender without end would keep all rows pending; no window here is of that kind.
    let accepted = relay.accepted.lock().unwrap();
    for (place, (address, standing)) in disk.standings().unwrap().into_iter().enumerate() {
        let partner = &relay.partners[place];
        let state = standing.state;
        let context = format!(
            "seed {seed}, after {runs} runs: {partner:?} is {state}, {:?}",
            relay.windows
        );
        let times = accepted.get(&address).copied().unwrap_or(0);
        assert_eq!(times, u32::from(state == State::Accepted), "{context}");
        match state {
            State::Accepted => assert!(partner.always.is_none(), "{context}"),
            State::Rejected => {}
            State::Expired => assert!(
                partner.always.is_some() || !short,
                "expired too early: {context}"
            ),
            _ => panic!("neither settled nor expired: {context}"),
        }
        let evidence_for_all = relay.windows.iter().any(|it| EVIDENCE.contains(&it.text));
        if short && partner.always.is_none() && !evidence_for_all {
            assert_eq!(state, State::Accepted, "not mailed: {context}");
        }
    }
}

fn dial(relay: Arc<Relay>) -> Box<Dialer> {
    Box::new(move || {
        let (client, server) = tokio::io::duplex(64 * 1024);
        tokio::spawn(relay.clone().serve(server));
        Some(Box::new(client))
    })
}

#[test]
fn simulated_weeks_of_refusals_reject_only_with_evidence() {
    assert_eq!(CONFIG.retry.give_up_after, SignedDuration::from_hours(120));
    simulate(SEEDS, 40, history);
}

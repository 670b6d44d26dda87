//! Random sequences of requests to both stores, which must answer alike and record the same.
//!
//! `ACCESS_INVITE_SEEDS` is the number of sequences, `ACCESS_INVITE_SEED` repeats one. Times are not compared, and of
//! errors only that there is one: a database refuses some changes in other words.

use std::fmt::Debug;

use fastrand::Rng;

use super::stores::Store;
use super::*;
use crate::invitation::{
    AccessState, AddressPattern, Erasure, MessageIdKey, Occasion, PersonHash, PersonHasher, Proof,
    Suppression, SuppressionSource, Unless,
};
use crate::outcome::testing::reply;

const ADDRESSES: [&str; 7] = [
    "ada@a.example",
    "bob@a.example",
    "kai.ki@b.example",
    "dan@b.example",
    "eve@sub.b.example",
    "ada@a.example.example",
    "zoe@käse.example",
];
const CAMPAIGNS: [&str; 2] = ["spring", "autumn"];
const PACKAGES: [&str; 2] = [
    "8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11",
    "11111111-2f0b-4f0e-9a67-3c6c1d9c0b11",
];
const OCCASIONS: [Occasion; 3] = [
    Occasion::Invitation,
    Occasion::Invitation,
    Occasion::Reminder(1),
];
/// How many requests a sequence has.
const STEPS: u32 = 120;

/// A store with an open ledger.
struct Side {
    store: Store,
    ledger: Ledger,
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn postgres_answers_and_records_what_a_file_does() {
    for seed in seeds(12) {
        run(seed, false).await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn postgres_records_the_same_although_connections_are_lost() {
    for seed in seeds(6) {
        run(seed, true).await;
    }
}

fn seeds(default: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    match number("ACCESS_INVITE_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("ACCESS_INVITE_SEEDS").unwrap_or(default)).collect(),
    }
}

async fn run(seed: u64, cut: bool) {
    let mut rng = Rng::with_seed(seed);
    let (file, database) = (Store::file(), Store::postgres());
    // The same key, so that Message-IDs and hashes are the same.
    let key = file.reader().key.clone().0;
    let (high, low) = key.split_at(16);
    let hex = |half: &[u8]| format!("{:032x}", u128::from_be_bytes(half.try_into().unwrap()));
    let hex = hex(high) + &hex(low);
    database.sql(&format!(r"UPDATE meta SET message_id_key = '\x{hex}'"));
    let mut sides = [file, database].map(|store| Side {
        ledger: store.open(),
        store,
    });
    let mut done = Vec::new();
    for step in 0..STEPS {
        if cut && rng.u32(..4) == 0 {
            sides[1].store.cut_connections();
        }
        let request = Request::random(&mut rng);
        done.push(format!("{request:?}"));
        let mut answers = Vec::new();
        let mut after = Vec::new();
        for side in sides {
            let (side, answer) = request.apply(side).await;
            answers.push(answer);
            after.push(side);
        }
        let trail = || format!("seed {seed}, step {step}:\n{}", done.join("\n"));
        assert_eq!(answers[0], answers[1], "{}", trail());
        sides = after.try_into().ok().expect("there are two");
        if rng.u32(..10) == 0 {
            compare(&sides, &trail()).await;
        }
    }
    compare(
        &sides,
        &format!("seed {seed} at the end:\n{}", done.join("\n")),
    )
    .await;
    for side in &sides {
        for verified in side.ledger.reader().verify().await.unwrap() {
            assert!(verified.result.is_ok(), "{:?}", verified.result);
        }
    }
}

async fn compare(sides: &[Side; 2], trail: &str) {
    let [file, database] = sides;
    let expected = recorded(file.ledger.reader()).await;
    let found = recorded(database.ledger.reader()).await;
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(expected, found, "{trail}");
    }
    assert_eq!(expected.len(), found.len(), "{trail}");
}

/// A request to a ledger.
#[derive(Debug)]
enum Request {
    Enrol(&'static str, Vec<Enrolment>),
    /// Claims the invitation if it is due, and arms it.
    Arm(Identity, Unless),
    Change(Change),
    /// Several changes in one commit.
    Group(Vec<Change>),
    Decide(Box<Enrolment>, Change),
    /// A report about one of the invitations that were sent.
    Notify {
        place: usize,
        current: bool,
        about_recipient: bool,
        proof: Proof,
        origin: u32,
        suppress: Option<(AddressPattern, Suppression)>,
    },
    Suppress(Vec<(AddressPattern, Suppression)>),
    Unsuppress(Vec<AddressPattern>),
    Forget(Address),
    EraseClosed,
    Access(PackageId, Vec<(&'static str, AccessState)>),
    Notice(&'static str),
    Approve(Approval),
    AcceptOlder,
    /// The run ends, and another one begins.
    End,
    /// The process is killed, and another run begins.
    Kill,
}

fn pick<T: Clone>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())].clone()
}

/// The first ones more often, so that many requests are about the same invitation.
fn pick_first<T: Clone>(rng: &mut Rng, from: &[T]) -> T {
    let shorter = 1 + rng.usize(..from.len());
    from[rng.usize(..shorter)].clone()
}

fn random_identity(rng: &mut Rng) -> Identity {
    let package = PackageId::parse(pick_first(rng, &PACKAGES)).unwrap();
    let address = Address::parse(pick_first(rng, &ADDRESSES)).unwrap();
    Identity::new(pick_first(rng, &CAMPAIGNS), package, &address).on(pick(rng, &OCCASIONS))
}

fn random_pattern(rng: &mut Rng) -> AddressPattern {
    let address = pick_first(rng, &ADDRESSES);
    let domain = &address[address.find('@').unwrap()..];
    AddressPattern::parse(if rng.u32(..3) == 0 { domain } else { address }).unwrap()
}

fn random_note(rng: &mut Rng) -> Option<String> {
    let address = pick(rng, &ADDRESSES);
    match rng.u32(..4) {
        0 => None,
        1 => Some("called".into()),
        2 => {
            // With the sign for kelvins, whose lower case is a `k`.
            let address = address.to_uppercase().replace('K', "\u{212A}");
            Some(format!("see {address}, 100% of a_b \\ 'c'"))
        }
        _ => Some(format!("<{address}> and x{address}")),
    }
}

fn random_enrolment(rng: &mut Rng) -> Enrolment {
    let identity = random_identity(rng);
    let number = rng.u32(1..3);
    Enrolment {
        invitee: Invitee {
            package: format!("package{number}"),
            email: identity.address.to_uppercase(),
            name: random_note(rng),
            organization: (number == 1).then(|| "Contoso\tLtd".into()),
            locale: None,
            template_locale: "en".into(),
        },
        message_id: String::new(),
        identity,
    }
}

/// With the Message-ID that it has in this ledger.
fn with_id(enrolment: &Enrolment, key: &MessageIdKey) -> Enrolment {
    let identity = &enrolment.identity;
    Enrolment {
        message_id: identity.message_id(key, 0, "contoso.example"),
        ..enrolment.clone()
    }
}

fn random_suppression(rng: &mut Rng, pattern: &AddressPattern) -> Suppression {
    let sources = [SuppressionSource::Person, SuppressionSource::Unsubscribe];
    Suppression {
        address: Some(pattern.to_string()),
        at: Timestamp::now(),
        source: pick(rng, &sources),
        note: random_note(rng),
    }
}

fn random_change(rng: &mut Rng) -> Change {
    use Decision::{Abandoned, Accepted, Bounced, Delivered, Resend};
    let outcomes = [
        Outcome::Accepted,
        Outcome::Accepted,
        Outcome::Deferred,
        Outcome::Rejected,
        Outcome::Unknown,
    ];
    let cause = match rng.u32(..16) {
        0 => Cause::GiveUp,
        1 => Cause::Disarm,
        2 => Cause::Breaker,
        3 => Cause::ResendMismatch,
        4 => Cause::OutOfOrder,
        5 => Cause::Suppress,
        6..=8 => Cause::Person(pick(rng, &[Accepted, Delivered, Bounced, Abandoned])),
        9 | 10 => Cause::Person(Resend),
        _ => Cause::Outcome(pick(rng, &outcomes)),
    };
    let replies = [
        "250 2.0.0 queued",
        "451 4.7.1 greylisted",
        "550 5.1.1 unknown",
    ];
    let is_outcome = matches!(cause, Cause::Outcome(_));
    let at = Timestamp::now();
    Change {
        phase: is_outcome.then_some(pick(rng, &[Phase::Dot, Phase::Rcpt])),
        reply: is_outcome.then(|| reply(pick(rng, &replies))),
        relay: is_outcome.then(|| "smtp.example.com".into()),
        note: random_note(rng),
        next_attempt_at: rng.bool().then_some(at),
        repeat: rng.bool(),
        ..Change::new(&random_identity(rng), at, cause)
    }
}

impl Request {
    fn random(rng: &mut Rng) -> Self {
        match rng.u32(..60) {
            0..8 => Self::Enrol(
                pick(rng, &CAMPAIGNS),
                (0..rng.u32(..6)).map(|_| random_enrolment(rng)).collect(),
            ),
            8..22 => Self::Arm(
                random_identity(rng),
                pick(rng, &[Unless::Address, Unless::Colleague]),
            ),
            22..36 => Self::Change(random_change(rng)),
            36..40 => Self::Group((0..rng.u32(2..6)).map(|_| random_change(rng)).collect()),
            40 | 41 => {
                let enrolment = random_enrolment(rng);
                let decision = pick(rng, &[Decision::Accepted, Decision::Abandoned]);
                let cause = Cause::Person(decision);
                let change = Change {
                    note: random_note(rng),
                    ..Change::new(&enrolment.identity, Timestamp::now(), cause)
                };
                Self::Decide(Box::new(enrolment), change)
            }
            42..46 => {
                let pattern = random_pattern(rng);
                let entry = random_suppression(rng, &pattern);
                Self::Notify {
                    place: rng.usize(..6),
                    current: rng.u32(..4) > 0,
                    about_recipient: rng.u32(..4) > 0,
                    proof: pick(rng, &[Proof::Failed, Proof::Delivered, Proof::Accepted]),
                    origin: rng.u32(..3),
                    suppress: rng.bool().then_some((pattern, entry)),
                }
            }
            46..49 => {
                let entries = (0..rng.u32(1..3)).map(|_| {
                    let pattern = random_pattern(rng);
                    let entry = random_suppression(rng, &pattern);
                    (pattern, entry)
                });
                Self::Suppress(entries.collect())
            }
            49..52 => Self::Unsuppress((0..rng.u32(1..3)).map(|_| random_pattern(rng)).collect()),
            52 => Self::Forget(Address::parse(pick(rng, &ADDRESSES)).unwrap()),
            53 => Self::EraseClosed,
            54 => {
                let package = PackageId::parse(pick(rng, &PACKAGES)).unwrap();
                let people = ADDRESSES.iter().filter(|_| rng.bool());
                let people: Vec<_> = people.copied().collect();
                let states = [AccessState::Requested, AccessState::Denied];
                let people = people.into_iter().map(|it| (it, pick(rng, &states)));
                Self::Access(package, people.collect())
            }
            55 => Self::Notice(pick(rng, &["open spring", "seen ada@a.example"])),
            56 => Self::Approve(Approval {
                campaign: pick(rng, &CAMPAIGNS).into(),
                digest: rng.u32(..3).to_string(),
                by: pick(rng, &ADDRESSES).into(),
                at: Timestamp::now(),
                note: random_note(rng),
            }),
            57 if rng.bool() => Self::AcceptOlder,
            57 | 58 => Self::End,
            _ => Self::Kill,
        }
    }

    /// The store afterwards, and the answer.
    async fn apply(&self, Side { store, ledger }: Side) -> (Side, String) {
        let at = Timestamp::now();
        let answer = match self {
            Self::Enrol(campaign, enrolments) => {
                // A run that could not enrol is repeated.
                let mut enrolled = Ok(());
                for _ in 0..3 {
                    let key = ledger.reader().key.clone();
                    let rows: Vec<_> = enrolments.iter().map(|it| with_id(it, &key)).collect();
                    let rows = rows.into_iter().map(Ok::<_, LedgerError>);
                    enrolled = ledger.enrol(1, campaign, rows, at).await;
                    if !matches!(enrolled, Err(LedgerError::CannotWrite(_))) {
                        break;
                    }
                }
                shown(enrolled)
            }
            Self::Arm(identity, unless) => {
                ledger.claim(std::slice::from_ref(identity)).await.unwrap();
                let arm = Change {
                    phase: Some(Phase::Dot),
                    relay: Some("smtp.example.com".into()),
                    message: Some((now(), [7; 32])),
                    unless: *unless,
                    ..Change::new(identity, at, Cause::Arm)
                };
                shown(ledger.apply(arm).await)
            }
            Self::Change(change) => shown(ledger.apply(change.clone()).await),
            Self::Group(changes) => {
                let results = ledger.submit(changes.clone()).results().await;
                let results: Vec<_> = results.into_iter().map(shown).collect();
                results.join(", ")
            }
            Self::Decide(enrolment, change) => {
                let enrolment = with_id(enrolment, &ledger.reader().key);
                shown(ledger.decide_unrecorded(enrolment, change.clone()).await)
            }
            Self::Notify { .. } => self.notify(&ledger).await,
            Self::Suppress(entries) => shown(ledger.suppress(entries.clone()).await),
            Self::Unsuppress(patterns) => {
                let note = Some("asked".to_owned());
                shown(ledger.unsuppress(patterns.clone(), at, note).await)
            }
            Self::Forget(address) => shown(ledger.forget(address, at).await),
            Self::EraseClosed => {
                let until = at + SignedDuration::from_hours(1);
                shown(ledger.erase_closed(until, at).await)
            }
            Self::Access(package, people) => {
                let hasher = PersonHasher::new(&ledger.reader().key);
                let mut people: Vec<_> = people
                    .iter()
                    .map(|(address, state)| PersonAccess {
                        person: hasher.of_address(address),
                        state: *state,
                        at: Some(now()),
                        requested_at: None,
                    })
                    .collect();
                people.sort_by_key(|it| it.person);
                shown(ledger.record_access(*package, &people, now()).await)
            }
            Self::Notice(name) => shown(ledger.notice_due(name, now()).await),
            Self::Approve(approval) => shown(ledger.approve(approval.clone()).await),
            Self::AcceptOlder => {
                let gap = Gap {
                    at,
                    witness: None,
                    note: "restored".into(),
                };
                shown(ledger.accept_older(gap).await)
            }
            Self::End => return restart(store, ledger, true).await,
            Self::Kill => return restart(store, ledger, false).await,
        };
        (Side { store, ledger }, answer)
    }

    async fn notify(&self, ledger: &Ledger) -> String {
        let Self::Notify {
            place,
            current,
            about_recipient,
            proof,
            origin,
            suppress,
        } = self
        else {
            unreachable!("it is called for this request");
        };
        let sent = ledger.reader().sent(0).await.unwrap();
        let Some(sent) = sent.get(*place) else {
            return "nothing was sent".into();
        };
        let report = Notification {
            invitation: sent.id,
            identity: sent.identity.clone(),
            message_id: match current {
                true => sent.message_id.clone(),
                false => "other@contoso.example".into(),
            },
            about_recipient: *about_recipient,
            proof: *proof,
            reply: Some(reply("550 5.1.1 unknown")),
            origin: format!("report {origin}"),
            text: "it came back".into(),
            at: Timestamp::now(),
            suppress: suppress.clone(),
        };
        // The same report is recorded once.
        shown(ledger.notify(vec![report.clone(), report]).await)
    }
}

/// The next run: what is armed becomes `unknown`.
async fn restart(store: Store, ledger: Ledger, end: bool) -> (Side, String) {
    let store = if end {
        ledger.end_run(RunEnd::default()).await.unwrap();
        ledger.close().await.unwrap();
        store
    } else {
        store.killed(ledger)
    };
    let ledger = store.open();
    ledger.recover(Timestamp::now()).await.unwrap();
    // A late reply is not waited for.
    store.sql("UPDATE history SET at = at - 3600000 WHERE cause = 'recovery'");
    (Side { store, ledger }, String::new())
}

fn shown<T: Debug>(result: Result<T>) -> String {
    result.map_or_else(|_| "refused".to_owned(), |it| format!("{it:?}"))
}

/// Everything that can be read, without numbers and times.
async fn recorded(reader: &Reader) -> Vec<String> {
    let mut lines = Vec::new();
    reader.begin_snapshot().await.unwrap();
    for campaign in CAMPAIGNS {
        record_campaign(reader, campaign, &mut lines).await;
    }
    for mut suppression in reader.suppressions().await.unwrap() {
        suppression.at = now();
        lines.push(format!("{suppression:?}"));
    }
    for sent in reader.sent(0).await.unwrap() {
        lines.push(format!(
            "{:?} {} {}",
            sent.identity, sent.message_id, sent.generation
        ));
    }
    lines.push(format!("{} sent", reader.count_sent().await.unwrap()));
    let dots = reader.dots_since(Timestamp::UNIX_EPOCH).await.unwrap();
    lines.push(format!("{} dots, a first one: {}", dots.len(), {
        reader.first_sent().await.unwrap() == dots.first().copied()
    }));
    let unsettled = reader.unsettled(Timestamp::UNIX_EPOCH).await.unwrap();
    let unknown = unsettled.iter().filter(|it| it.is_unknown).count();
    lines.push(format!("{} unsettled, {unknown} unknown", unsettled.len()));
    for approval in reader.approvals(None).await.unwrap() {
        let Approval {
            campaign,
            digest,
            by,
            note,
            ..
        } = approval;
        lines.push(format!("{campaign} {digest} by {by}: {note:?}"));
    }
    for run in reader.runs(None, 100).await.unwrap() {
        let ended = run.ended_at.is_some();
        lines.push(format!(
            "{} {} {} {ended}",
            run.number, run.verb, run.campaign
        ));
    }
    for package in PACKAGES {
        let package = PackageId::parse(package).unwrap();
        let people: Vec<(PersonHash, AccessState)> =
            reader.people(package, None, 100).await.unwrap();
        lines.push(format!("{people:?}"));
        lines.push(format!(
            "{:?}",
            reader.requests_read_at(vec![package]).await
        ));
        let invited = reader.invitations_to(package, 0).await.unwrap();
        let invited: Vec<_> = invited.into_iter().map(|(_, identity)| identity).collect();
        lines.push(format!("{invited:?}"));
    }
    reader.end_snapshot().await.unwrap();
    lines
}

async fn record_campaign(reader: &Reader, campaign: &str, lines: &mut Vec<String>) {
    let CampaignStanding {
        confirmed,
        gap,
        others,
    } = reader.campaign(campaign).await.unwrap();
    lines.push(format!(
        "{campaign}: {confirmed} {} {others:?}",
        gap.is_some()
    ));
    lines.push(format!("{:?}", reader.counts(campaign).await.unwrap()));
    lines.push(format!("{:?}", reader.packages(campaign).await.unwrap()));
    lines.push(format!(
        "{:?}",
        reader.access_counts(campaign, None).await.unwrap()
    ));
    let reminders = reader.open_reminders(campaign, 0).await.unwrap();
    lines.push(format!("{} open reminders", reminders.len()));
    let all = RecordFilter {
        occasion: None,
        ..RecordFilter::default()
    };
    for record in reader.page(campaign, &all, 0).await.unwrap() {
        let identity = record.identity.clone();
        lines.push(shown_record(record.clone()));
        for event in reader.history(record.id).await.unwrap() {
            lines.push(format!(
                "  {:?}",
                crate::invitation::Event { at: now(), ..event }
            ));
        }
        for origin in 0..3 {
            let origin = format!("report {origin}");
            let reported = reader.is_reported(record.id, &origin).await.unwrap();
            lines.push(format!("  {origin}: {reported}"));
        }
        let beside = reader.with_reminders(vec![identity.clone()]).await.unwrap();
        let beside = beside.into_iter().flatten().map(shown_record);
        lines.extend(beside.map(|it| format!("  {it}")));
        let filter = RecordFilter {
            address: Some(identity.address.clone()),
            state: Some(record.standing.state),
            package_id: Some(identity.package_id),
            ..all.clone()
        };
        let same = reader.page(campaign, &filter, 0).await.unwrap();
        lines.extend(
            same.into_iter()
                .map(|it| format!("  same: {}", shown_record(it))),
        );
    }
    let every: Vec<Identity> = PACKAGES
        .iter()
        .flat_map(|package| ADDRESSES.map(|address| (package, address)))
        .map(|(package, address)| {
            let package = PackageId::parse(package).unwrap();
            Identity::new(campaign, package, &Address::parse(address).unwrap())
        })
        .collect();
    let addresses = every.iter().map(|it| it.address.clone()).collect();
    let suppressed = reader.suppressions_of(addresses).await.unwrap();
    let sources: Vec<_> = suppressed
        .iter()
        .map(|it| it.as_ref().map(|it| it.source))
        .collect();
    let erasures: Vec<Option<Erasure>> = reader.erasures(every.clone()).await.unwrap();
    let access = reader.access_of(every.clone()).await.unwrap();
    let states = reader.standings(every.clone()).await.unwrap();
    let states: Vec<_> = states
        .iter()
        .map(|it| it.as_ref().map(|it| it.state))
        .collect();
    let records = reader.records(every).await.unwrap().into_iter();
    let records: Vec<_> = records.map(|it| it.map(shown_record)).collect();
    lines.push(format!(
        "{sources:?} {erasures:?} {access:?} {states:?} {records:?}"
    ));
}

fn shown_record(mut record: crate::invitation::Record) -> String {
    record.id = 0;
    record.created_at = now();
    record.accepted_at = record.accepted_at.map(|_| now());
    record.latest.at = now();
    let standing = &mut record.standing;
    standing.updated_at = now();
    for time in [&mut standing.deferred_since, &mut standing.next_attempt_at] {
        *time = time.map(|_| now());
    }
    format!("{record:?}")
}

//! Weeks in which invitations are sent and reminders follow, while the relay misbehaves, commits fail, processes
//! crash, the clock is set back, messages come back, people request access or withdraw that, and a person sends
//! invitations again. One seed determines one history.
//!
//! After each process the ledger's history is replayed (R1 to R6). In the end, everybody who is silent was
//! reminded as often as configured (R7).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;

use super::{
    AcceptedCounts, Behaviour, Process, address, dial, enrol, identity, message, simulate,
};
use crate::invitation::{
    AccessState, Cause, Decision, Identity, Mailed, MessageIdKey, NextReminder, Occasion,
    PersonHasher, Proof, Record, ReminderSchedule, State, Unless,
};
use crate::ledger::fault_injection::{CommitFault, SharedDb};
use crate::ledger::{Change, Enrolment, Ledger, LedgerError, Notification, PersonAccess};
use crate::outbox::Prepared;

/// The default number of histories.
const SEEDS: u64 = 40;
const DAY: i64 = 24 * 3_600;

thread_local! {
    /// Seconds since the start of the history, as the machine's clock shows them.
    static NOW: Cell<i64> = const { Cell::new(0) };
}

fn now() -> Timestamp {
    super::clock() + SignedDuration::from_secs(NOW.get())
}

/// Events of the history so far: how many the ledger had when a partner's reminders became unnecessary, and when
/// that ended.
#[derive(Clone, Copy, Debug)]
struct Silence {
    from: usize,
    until: Option<usize>,
}

/// What the outside world has done so far.
#[derive(Default)]
struct World {
    /// By canonical address.
    silences: BTreeMap<String, Vec<Silence>>,
}

/// One history.
struct History {
    disk: SharedDb,
    schedule: ReminderSchedule,
    partners: usize,
    accepted: AcceptedCounts,
    world: World,
    seed: u64,
}

impl History {
    fn invitations(&self) -> Vec<Identity> {
        (0..self.partners)
            .map(|it| identity(&address(it)))
            .collect()
    }

    /// The records of an invitation and of its reminders.
    fn records(&self, invitation: &Identity) -> Vec<Record> {
        let records = self.disk.records().unwrap().into_iter();
        let mut records: Vec<Record> = records
            .filter(|it| it.identity.on(Occasion::Invitation) == *invitation)
            .collect();
        records.sort_by_key(|it| it.identity.occasion);
        records
    }

    /// What the plan says about the reminders of an invitation.
    fn next(&self, invitation: &Identity) -> NextReminder {
        let mailed: Vec<Mailed> = self
            .records(invitation)
            .iter()
            .map(Record::mailed)
            .collect();
        let access = self.disk.access(invitation).unwrap();
        self.schedule
            .next(&mailed[0], &mailed[1..], access.as_ref())
    }

    /// What is due now: abandons what is not needed any more, and enrols new reminders, as `send` does.
    async fn due(&self, ledger: &Ledger) -> Vec<Prepared> {
        let mut due = Vec::new();
        let mut enrolments = Vec::new();
        for invitation in self.invitations() {
            let records = self.records(&invitation);
            let is_due = |it: &Record| {
                let waits = it.standing.next_attempt_at.is_some_and(|at| at > now());
                matches!(it.standing.state, State::Pending | State::Deferred) && !waits
            };
            if is_due(&records[0]) {
                due.push(invitation.clone());
            }
            match self.next(&invitation) {
                NextReminder::NotNeeded(_) => {
                    let open = records[1..]
                        .iter()
                        .filter(|it| matches!(it.standing.state, State::Pending | State::Deferred));
                    let abandon =
                        |it: &Record| Change::new(&it.identity, now(), Cause::ReminderNotNeeded);
                    let changes = open.map(abandon).collect();
                    for result in ledger.submit(changes).results().await {
                        result.unwrap();
                    }
                }
                NextReminder::Due(occasion, at) if at <= now() => {
                    let identity = invitation.on(occasion);
                    let recorded = records.iter().find(|it| it.identity == identity);
                    if recorded.is_none_or(is_due) {
                        due.push(identity.clone());
                    }
                    enrolments.push(Enrolment {
                        message_id: identity.message_id(self.disk.key(), 0, "contoso.example"),
                        invitee: records[0].invitee.clone(),
                        identity,
                    });
                }
                _ => {}
            }
        }
        let enrolments: Vec<_> = enrolments.into_iter().map(Ok::<_, LedgerError>).collect();
        let enrolled = ledger.enrol(0, "spring", enrolments.into_iter(), now());
        enrolled.await.unwrap();
        let records = self.disk.records().unwrap();
        let prepared = due.into_iter().map(|identity| {
            let record = records.iter().find(|it| it.identity == identity).unwrap();
            let prepared = message(
                &identity.address,
                record.standing.clone(),
                "hello\r\n..\r\n",
            );
            Prepared {
                identity,
                ..prepared
            }
        });
        prepared.collect()
    }

    /// What another process or a person does, perhaps in the middle of a run.
    fn disturb(&mut self, rng: &mut Rng) {
        let invitation = identity(&address(rng.usize(..self.partners)));
        match rng.u32(..4) {
            0 | 1 => self.request(rng, &invitation),
            2 => self.withdraw(&invitation),
            _ => self.bounce(rng, &invitation),
        }
    }

    /// Somebody requests access: the partner, or a colleague.
    fn request(&mut self, rng: &mut Rng, invitation: &Identity) {
        let by = rng.usize(..2);
        let hasher = PersonHasher::new(self.disk.key());
        let state = AccessState::ALL[rng.usize(1..AccessState::ALL.len())];
        let person = PersonAccess {
            person: hasher.of_invited(invitation)[by],
            state,
            at: None,
            requested_at: None,
        };
        let package = invitation.package_id;
        let recorded = self.disk.beside(|it| {
            it.record_access(package, &[person])?;
            it.record_reading(package, now())
        });
        recorded.unwrap();
        self.note_access();
    }

    /// Nobody at the partner's domain has a request any more.
    fn withdraw(&mut self, invitation: &Identity) {
        let hasher = PersonHasher::new(self.disk.key());
        let people = hasher.of_invited(invitation);
        let deleted = self
            .disk
            .beside(|it| it.forget_access(invitation.package_id, &people));
        deleted.unwrap();
        self.note_access();
    }

    /// A message that was accepted comes back.
    fn bounce(&mut self, rng: &mut Rng, invitation: &Identity) {
        let records = self.records(invitation);
        let accepted: Vec<&Record> = records
            .iter()
            .filter(|it| it.standing.state == State::Accepted)
            .collect();
        let Some(record) = rng.choice(&accepted) else {
            return;
        };
        let notification = Notification {
            invitation: record.id,
            identity: record.identity.clone(),
            message_id: record.standing.message_id.clone(),
            about_recipient: true,
            proof: Proof::Failed,
            reply: None,
            origin: format!("report {}", rng.u64(..)),
            text: "failed".into(),
            at: now(),
            suppress: None,
        };
        self.disk.beside(|it| it.notify(&[notification])).unwrap();
        self.begin_silence(&invitation.address);
    }

    /// A person sends an accepted invitation again.
    async fn resend(&self, rng: &mut Rng, ledger: &Ledger) {
        let invitation = identity(&address(rng.usize(..self.partners)));
        let state = self.records(&invitation)[0].standing.state;
        if state == State::Accepted && rng.bool() {
            let resend = Cause::Person(Decision::Resend);
            let change = Change::new(&invitation, now(), resend);
            ledger.apply(change).await.unwrap();
        }
    }

    /// Begins and ends the silences that follow from the recorded access.
    fn note_access(&mut self) {
        for invitation in self.invitations() {
            let access = self.disk.access(&invitation).unwrap();
            if access.is_some_and(|it| self.schedule.unless.applies(&it)) {
                self.begin_silence(&invitation.address);
            } else if !self.has_bounced(&invitation) {
                let events = self.disk.history().unwrap().len();
                let silences = self.world.silences.entry(invitation.address).or_default();
                for silence in silences {
                    silence.until.get_or_insert(events);
                }
            }
        }
    }

    fn has_bounced(&self, invitation: &Identity) -> bool {
        let mut records = self.records(invitation).into_iter();
        records.any(|it| it.standing.state == State::Bounced)
    }

    fn begin_silence(&mut self, address: &str) {
        let events = self.disk.history().unwrap().len();
        let silences = self.world.silences.entry(address.to_owned()).or_default();
        if silences.iter().all(|it| it.until.is_some()) {
            silences.push(Silence {
                from: events,
                until: None,
            });
        }
    }

    /// Compares ledger and relay, and replays the history.
    fn check(&self, may_be_armed: u32) {
        let seed = self.seed;
        let accepted = self.accepted.lock().unwrap();
        for (id, times) in accepted.iter() {
            assert_eq!(
                *times, 1,
                "R1, seed {seed}: {id} was accepted {times} times"
            );
        }
        let records = self.disk.records().unwrap();
        let mut armed = 0;
        for record in &records {
            let Record {
                identity, standing, ..
            } = record;
            let times = accepted.get(&standing.message_id).copied().unwrap_or(0);
            let context = || format!("seed {seed}: {identity:?} is {}", standing.state);
            match standing.state {
                State::Accepted | State::Bounced => assert_eq!(times, 1, "R2, {}", context()),
                State::Unknown => {}
                State::Armed => armed += 1,
                _ => assert_eq!(times, 0, "R2, {}", context()),
            }
        }
        assert!(armed <= may_be_armed, "R2, seed {seed}: {armed} armed");
        let by_id: BTreeMap<i64, &Record> = records.iter().map(|it| (it.id, it)).collect();
        let mut replays: BTreeMap<&str, Replay> = BTreeMap::new();
        for (place, (id, event)) in self.disk.history().unwrap().iter().enumerate() {
            let identity = &by_id[id].identity;
            let replay = replays.entry(&identity.address).or_default();
            let context = format!("seed {seed}, event {place}: {identity:?}");
            replay.apply(
                identity.occasion,
                event.to,
                event.at,
                &self.schedule,
                &context,
            );
            if identity.occasion.is_reminder() && event.to == State::Armed {
                let silences = self.world.silences.get(&identity.address);
                let silent = silences
                    .into_iter()
                    .flatten()
                    .find(|it| place >= it.from && it.until.is_none_or(|until| place < until));
                assert!(silent.is_none(), "R6, {context} was armed in {silent:?}");
            }
        }
    }
}

/// What one partner's history says so far.
#[derive(Default)]
struct Replay {
    invited_at: Option<Timestamp>,
    reminded_at: Option<Timestamp>,
    states: BTreeMap<Occasion, State>,
}

impl Replay {
    fn apply(
        &mut self,
        occasion: Occasion,
        to: State,
        at: Timestamp,
        schedule: &ReminderSchedule,
        context: &str,
    ) {
        self.states.insert(occasion, to);
        if let Occasion::Invitation = occasion {
            match to {
                State::Accepted => self.invited_at = Some(at),
                State::Pending => self.invited_at = None,
                _ => {}
            }
            return;
        }
        let is_reminder = |it: &(&Occasion, &State)| it.0.is_reminder();
        let reminders: Vec<_> = self.states.iter().filter(is_reminder).collect();
        assert!(
            reminders.len() <= usize::from(schedule.at_most),
            "R3, {context}: {reminders:?}"
        );
        let open = reminders.iter().filter(|it| {
            matches!(
                it.1,
                State::Pending | State::Deferred | State::Armed | State::Unknown
            )
        });
        assert!(open.count() <= 1, "R4, {context}: {reminders:?}");
        if to == State::Armed {
            let invited_at = self.invited_at;
            let invited_at = invited_at.unwrap_or_else(|| panic!("R5, {context}: not invited"));
            assert!(
                at >= invited_at + schedule.after,
                "R5, {context}: too early"
            );
            let next = self.reminded_at.map(|it| it + schedule.every);
            assert!(next.is_none_or(|it| at >= it), "R5, {context}: too soon");
        }
        if to == State::Accepted {
            self.reminded_at = Some(at);
        }
    }
}

async fn history(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    NOW.set(0);
    let mut history = History {
        disk: SharedDb::new(MessageIdKey([7; 32])).unwrap(),
        schedule: ReminderSchedule {
            after: SignedDuration::from_secs(7 * DAY),
            every: SignedDuration::from_secs(3 * DAY),
            at_most: rng.u8(1..4),
            unless: [Unless::Address, Unless::Colleague][rng.usize(..2)],
        },
        partners: rng.usize(1..8),
        accepted: AcceptedCounts::default(),
        world: World::default(),
        seed,
    };
    enrol(&history.disk, history.partners).await;
    let faulty = rng.usize(2..8);
    // In the end, without faults: three reminders, and the retries of what was deferred.
    for process in 0..faulty + 8 {
        let clean = process >= faulty;
        one_process(&mut history, &mut rng, clean).await;
        // The clock is sometimes set back.
        let step = if !clean && rng.u32(..5) == 0 {
            -rng.i64(0..9 * DAY)
        } else {
            rng.i64(0..6 * DAY) + if clean { 4 * DAY } else { 0 }
        };
        NOW.set(NOW.get() + step);
    }
    // R7
    NOW.set(NOW.get() + 400 * DAY);
    for _ in 0..4 {
        one_process(&mut history, &mut rng, true).await;
        NOW.set(NOW.get() + 8 * DAY);
    }
    for invitation in history.invitations() {
        let next = history.next(&invitation);
        let records = history.records(&invitation);
        let states: Vec<_> = records.iter().map(|it| it.standing.state).collect();
        let context = format!("R7, seed {seed}: {invitation:?}: {states:?}, {next:?}");
        match next {
            NextReminder::None => {
                let all_sent = records.len() == usize::from(history.schedule.at_most) + 1;
                let never_accepted = states[0] == State::Unknown;
                assert!(all_sent || never_accepted, "{context}");
            }
            NextReminder::Due(..) => panic!("{context}"),
            NextReminder::Blocked(..) | NextReminder::NotNeeded(_) => {}
        }
    }
}

/// One process: recovers, sends what is due, and is perhaps disturbed, killed, or stopped by its disk.
async fn one_process(history: &mut History, rng: &mut Rng, clean: bool) {
    let commit_fault = (!clean && rng.u32(..3) == 0).then(|| {
        let kinds = [
            CommitFault::CrashBeforeCommit,
            CommitFault::CrashAfterCommit,
            CommitFault::CommitFails,
        ];
        (rng.u32(..20), kinds[rng.usize(..3)])
    });
    let (preparing, _) = history.disk.open(None).unwrap();
    preparing.recover(now()).await.unwrap();
    if !clean {
        history.resend(rng, &preparing).await;
    }
    let messages = history.due(&preparing).await;
    drop(preparing);
    let (ledger, crashed) = history.disk.open(commit_fault).unwrap();
    let behaviour = Behaviour {
        pipelining: rng.bool(),
        immediate: rng.bool(),
        envelope_before_dot: false,
        faults: if clean { 0 } else { rng.u32(..150) },
        connections: u32::MAX,
    };
    let connections = rng.u32(1..5);
    let run = Process {
        ledger: Arc::new(ledger),
        messages,
        connections,
        dial: dial(behaviour, rng.fork(), history.accepted.clone()),
        per_minute: None,
        max_runtime: None,
        breaker_open: false,
        unless: history.schedule.unless,
        clock: now,
    };
    let killed = !clean && rng.u32(..3) == 0;
    let moment = Duration::from_millis(if killed {
        rng.u64(..2_000)
    } else {
        u64::MAX / 2
    });
    let ended = {
        let disturbances = async {
            if clean {
                std::future::pending::<()>().await;
            }
            loop {
                sleep(Duration::from_millis(rng.u64(..600))).await;
                history.disturb(rng);
            }
        };
        tokio::select! {
            biased;
            () = crashed.notified() => false,
            _ = run.run() => true,
            () = disturbances => unreachable!("it does not end"),
            () = sleep(moment) => false,
        }
    };
    // Data on the wire still reaches the relay after a crash.
    sleep(Duration::from_hours(1)).await;
    let without_fault = ended && commit_fault.is_none();
    history.check(if without_fault { 0 } else { connections });
}

#[test]
fn simulated_weeks_of_reminders_reach_only_the_silent_and_never_too_often() {
    simulate(SEEDS, 10, history);
}

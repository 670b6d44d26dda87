//! The end of a run: what is printed, the results file, and the exit code.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use tracing::debug;

use super::decide::reminder;
use super::job::Job;
use crate::console::Console;
use crate::delivery::{Signals, StopKind, Tally};
use crate::exit::{CommandError, Exit, ExitCode};
use crate::invitation::{Record, State};
use crate::ledger::{Ledger, LedgerError, RecordFilter};
use crate::log::Level;
use crate::plan::PlanSummary;
use crate::report::{count, decision, joined_counts, one_line, reply_text};
use crate::results::Results;

/// How many records that wait for a decision are named.
const SHOWN: usize = 20;

/// What a run is summed up from.
pub struct RunSummary<'a> {
    /// What was loaded.
    pub job: &'a Job,
    /// The ledger of the run.
    pub ledger: &'a Ledger,
    /// What was due.
    pub plan: &'a PlanSummary,
    /// What was sent.
    pub tally: &'a Tally,
    /// How many `armed` invitations of an earlier run are now `unknown`.
    pub recovered: u64,
}

fn outcomes(tally: &Tally) -> [(&'static str, u64); 6] {
    [
        ("accepted", tally.accepted),
        ("deferred", tally.deferred),
        ("rejected", tally.rejected),
        ("expired", tally.expired),
        ("unknown", tally.unknown),
        ("withdrawn", tally.withdrawn),
    ]
}

/// The counts of a run; `reminders` are those of them that were reminders.
pub fn counts(tally: &Tally) -> Map<String, Value> {
    let counts = outcomes(tally).map(|(name, number)| (name.to_owned(), number.into()));
    let mut counts: Map<_, _> = counts.into_iter().collect();
    if !tally.reminders.is_empty() {
        let reminders = tally.reminders.iter();
        let reminders = reminders.map(|(name, number)| (String::from(*name), Value::from(*number)));
        counts.insert("reminders".into(), reminders.collect());
    }
    counts
}

/// How many invitations this run has settled.
fn settled(tally: &Tally) -> u64 {
    outcomes(tally).iter().map(|it| it.1).sum()
}

impl RunSummary<'_> {
    /// Prints the summary and returns the exit code. Without a terminal, success is silent.
    pub async fn conclude(&self, console: &mut Console<'_>) -> Exit {
        let tally = self.tally;
        let bad = self.job.partners.bad();
        let refused = bad > 0 || tally.rejected + tally.expired > 0;
        let waits = self.plan.waiting + tally.deferred > 0;
        // A limit or a signal after which nothing is left is no reason.
        let stopped = tally.stopped.as_ref();
        let stopped = stopped.filter(|it| it.kind != StopKind::Later || waits || self.rest() > 0);
        let mut reasons: Vec<Exit> = stopped.map(ExitCode::exit).into_iter().collect();
        if refused {
            reasons.push(Exit::Refused);
        }
        if waits {
            reasons.push(Exit::TryLater);
        }
        let loud = refused || stopped.is_some() || tally.unknown > 0 || !tally.refusals.is_empty();
        let cut_short = match stopped {
            Some(_) => self.cut_short().await,
            None => 0,
        };
        // Printed before the ledger is read again, which can fail.
        if console.interactive || loud {
            self.print_counts(cut_short, console);
            self.print_refusals(console);
        }
        if bad > 0 {
            let rows = count(bad, "bad row");
            let described = self.job.partners.describe_bad_rows();
            console.eprint_as(Level::Error, &format!("{rows} skipped:\n{described}"));
        }
        if let Some(stop) = stopped {
            console.fail(&stop.why, stop.exit() as u8);
        }
        if cut_short > 0 {
            let (were, them) = match cut_short {
                1 => ("was cut short and is", "it"),
                _ => ("were cut short and are", "them"),
            };
            let messages = count(cut_short, "message");
            let what =
                format!("{messages} {were} perhaps sent; the next run records {them} as `unknown`");
            console.eprint_as(Level::Error, &what);
        }
        for outcome in &tally.unrecorded {
            console.eprint_as(Level::Error, &format!("could not be recorded: {outcome}"));
        }
        let new_unknown = tally.unknown + self.recovered;
        for (state, new, exit) in [
            (State::Unknown, new_unknown > 0, Exit::Unknown),
            (State::Expired, tally.expired > 0, Exit::Refused),
        ] {
            match self.report_waiting(state, new, console).await {
                Ok(false) => {}
                Ok(true) => reasons.push(exit),
                Err(error) => {
                    console.eprint(&format!("error: {}", CommandError::from(error)));
                    reasons.push(Exit::CannotWrite);
                }
            }
        }
        Exit::most_severe(&reasons)
    }

    /// Writes the results, if the configuration asks for them. A signal interrupts it, because the next run
    /// writes them again.
    pub async fn write_results(&self, console: &mut Console<'_>) -> Exit {
        let config = &self.job.config;
        let Some(path) = &config.results else {
            return Exit::Done;
        };
        let shown = path.display();
        let results = Results {
            partners: &self.job.partners,
            campaign: &config.campaign,
            reader: self.ledger.reader(),
            today: console.now().to_zoned_datetime(TimeZone::system()).date(),
        };
        let mut signals = Signals::listen();
        let written = tokio::select! {
            written = results.write(path) => written.map_err(CommandError::from),
            name = signals.next() => {
                let message = format!("the results `{shown}` were not updated (stopped by {name}); the next run writes them");
                Err(CommandError::new(Exit::CannotWrite, message))
            }
        };
        debug!(path = %shown, written = written.is_ok(), "results");
        match written {
            Err(error) => {
                console.eprint(&format!("error: {error}"));
                return error.exit;
            }
            Ok(warning) if console.interactive => console.report(&warning),
            Ok(_) => {}
        }
        if console.interactive && settled(self.tally) > 0 {
            console.print(&format!("the outcome of each row is in {shown}"));
        }
        Exit::Done
    }

    /// How many due messages have no outcome in this run and were not left to others.
    fn rest(&self) -> u64 {
        let done = settled(self.tally) + self.tally.elsewhere;
        self.plan.due.saturating_sub(done)
    }

    /// How many of the rest are armed: a second signal or a fault has ended them before their reply.
    async fn cut_short(&self) -> u64 {
        let filter = RecordFilter::in_state(State::Armed);
        let reader = self.ledger.reader();
        let armed = reader.page(&self.job.config.campaign, &filter, 0).await;
        armed.map_or(0, |it| it.len() as u64).min(self.rest())
    }

    /// Prints one line of counts.
    fn print_counts(&self, cut_short: u64, console: &mut Console<'_>) {
        let (tally, due) = (self.tally, self.plan.due);
        let settled = settled(tally);
        let rest = [
            ("left to other runs", tally.elsewhere),
            ("cut short", cut_short),
            ("not attempted", self.rest() - cut_short),
        ];
        let counts = outcomes(tally).into_iter().chain(rest);
        let counts = counts.filter(|(name, number)| *number > 0 || *name == "accepted");
        let parts = joined_counts(counts);
        let line = if due == 0 {
            "nothing was due".to_owned()
        } else if settled == 0 && tally.stopped.is_none() {
            "nothing was sent".to_owned()
        } else {
            format!("{}: {parts}{}", count(due, "message"), self.reminders())
        };
        if console.interactive {
            console.print(&line);
        } else {
            console.eprint(&line);
        }
    }

    /// `; 3 reminders among them: 2 accepted, 1 deferred`.
    fn reminders(&self) -> String {
        let due = self.plan.reminders();
        if due == 0 {
            return String::new();
        }
        let settled = self.tally.reminders.iter();
        let settled = settled.map(|(name, number)| (*name, *number));
        let rest = due.saturating_sub(self.tally.reminders.values().sum());
        let counts = settled.chain([("not attempted", rest)]);
        let parts = joined_counts(counts.filter(|it| it.1 > 0));
        format!("; {} among them: {parts}", count(due, "reminder"))
    }

    /// Prints who was not accepted, but for those that [`Self::report_waiting`] names.
    fn print_refusals(&self, console: &mut Console<'_>) {
        for (address, state, reason) in &self.tally.troubles {
            if !matches!(state, State::Unknown | State::Expired) {
                console.eprint(&format!("{state}: {address}: {reason}"));
            }
        }
        // The first refusal of each kind, even if other troubles have used up the lines above.
        for (address, phase, reply) in &self.tally.refusals {
            if self.tally.troubles.iter().all(|it| it.0 != *address) {
                console.eprint(&format!("refused ({phase}): {address}: {reply}"));
            }
        }
    }

    /// Names the invitations in a state that waits for a decision. Returns whether there are any.
    async fn report_waiting(
        &self,
        state: State,
        new: bool,
        console: &mut Console<'_>,
    ) -> Result<bool, LedgerError> {
        let filter = RecordFilter::in_state(state);
        let reader = self.ledger.reader();
        let campaign = &self.job.config.campaign;
        let mut records = reader.page(campaign, &filter, 0).await?;
        records.sort_by_key(|it| std::cmp::Reverse(it.standing.updated_at));
        let Some(newest) = records.first() else {
            return Ok(false);
        };
        let newest = newest.standing.updated_at;
        if !console.interactive && !self.is_due_to_be_named(state, newest, new, console).await {
            return Ok(true);
        }
        if state == State::Unknown && self.recovered > 0 {
            let messages = count(self.recovered, "message");
            console.eprint_as(
                Level::Error,
                &format!("an earlier run ended between the final dot and the reply of {messages}"),
            );
        }
        for record in records.iter().take(SHOWN) {
            console.eprint(&one_line(&format!("{state}: {}", describe(record))));
        }
        if records.len() > SHOWN {
            console.eprint(&format!(
                "{state}: and more, which `access-invite status --state {state}` lists"
            ));
        }
        if let Some((cause, command)) = decision(state) {
            console.eprint_as(Level::Error, &format!("{cause}\n  {command}"));
            if let Some(reminder) = records.iter().find_map(reminder) {
                let option = format!("for a reminder, add `--occasion {reminder}`");
                console.eprint_as(Level::Error, &option);
            }
        }
        Ok(true)
    }

    /// Whether there are new ones, which this run may know of; then once a day. If the ledger cannot tell, they
    /// are named.
    async fn is_due_to_be_named(
        &self,
        state: State,
        newest: Timestamp,
        new: bool,
        console: &Console<'_>,
    ) -> bool {
        let now = console.now();
        let notice = format!("{state} {}", self.job.config.campaign);
        let reported = self.ledger.notice(&notice).await.unwrap_or(None);
        if new || reported.is_none_or(|at| newest > at) {
            let _ = self.ledger.set_notice(&notice, Some(now)).await;
            return true;
        }
        self.ledger.notice_due(&notice, now).await.unwrap_or(true)
    }
}

/// The address of a record that waits for a decision, and how it came to that.
fn describe(record: &Record) -> String {
    let (email, latest) = (&record.invitee.email, &record.latest);
    let what = reminder(record).map(|it| format!(" ({it})"));
    let email = format!("{email}{}", what.unwrap_or_default());
    if record.standing.state != State::Unknown {
        return format!("{email}: {}", reply_text(latest));
    }
    let why = latest.note.as_deref();
    let why = why.map_or_else(String::new, |it| format!(": {it}"));
    let relay = latest.relay.as_deref();
    let relay = relay.map_or_else(String::new, |it| format!(", sent through {it}"));
    let id = &record.standing.message_id;
    format!("{email}{why} (Message-ID {id}{relay})")
}

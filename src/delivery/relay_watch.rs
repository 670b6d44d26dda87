//! Watches the outcomes of a run for signs that the relay refuses the sender, not the recipients, or that it
//! loses connections.

use std::sync::Arc;

use parking_lot::Mutex;

use super::breaker::{self, Breaker, SettledRow};
use super::run_ledger::RunLedger;
use super::stop::{Stop, StopKind, StopSignal};
use super::tally::{Reporter, RunEvent};
use crate::invitation::{Cause, State};
use crate::ledger::{Change, LedgerError};
use crate::outcome::{Phase, Reply};

/// The run stops once this many messages in a row were deferred because connections were lost over them: as
/// many as refused domains open the breaker.
const MAX_LOST_IN_A_ROW: u64 = 10;

/// Watches the outcomes of all connections of a run.
pub struct RelayWatch {
    pub breaker: Mutex<Breaker>,
    pub losses: Mutex<ConnectionLosses>,
    pub run_ledger: Arc<RunLedger>,
    pub reporter: Arc<Reporter>,
    pub stop: Arc<StopSignal>,
}

/// Messages that were deferred because connections were lost over them.
#[derive(Debug, Default)]
pub struct ConnectionLosses {
    messages: u64,
    in_a_row: u64,
    last: String,
}

impl RelayWatch {
    /// Notes that the relay has accepted a message.
    pub fn accepted(&self) {
        self.breaker.lock().accepted();
        self.losses.lock().in_a_row = 0;
    }

    /// Notes a recorded outcome.
    pub async fn recorded(&self, change: &Change, row: SettledRow) {
        if row.state == State::Accepted {
            // Closes the breaker for later runs, too.
            if std::mem::take(&mut self.breaker.lock().noted) {
                let ledger = &self.run_ledger.ledger;
                let name = self.run_ledger.notice_name(breaker::OPEN);
                self.stop_unless(ledger.set_notice(&name, None).await);
            }
            return;
        }
        let reply = change.reply.as_ref().filter(|it| it.class() == 5);
        if let (Some(phase), Some(reply)) = (change.phase, reply) {
            self.refusal_recorded(phase, reply, row).await;
        }
    }

    /// Notes a permanent refusal, which may open the breaker.
    async fn refusal_recorded(&self, phase: Phase, reply: &Reply, refused: SettledRow) {
        let recipient = refused.recipient.clone();
        let RunLedger { ledger, relay, .. } = &*self.run_ledger;
        match ledger.refused_alike(relay, phase, reply).await {
            Ok(Some(elsewhere)) => self.breaker.lock().replace_alike(phase, reply, &elsewhere),
            Ok(None) => {}
            Err(error) => self.stop_unless(Err(error)),
        }
        let noted = self.breaker.lock().refused(phase, reply, refused);
        if noted.first {
            let event = RunEvent::RefusedFirst(&recipient, phase, reply);
            self.reporter.report(event);
        }
        if let Some((recipients, domains)) = noted.opens {
            let noun = if domains == 1 { "domain" } else { "domains" };
            let why = format!(
                "the relay {relay} refused {recipients} recipients at {domains} {noun} in the same way ({phase}), so it probably refuses this sender, and no partner was rejected: it replied \"{reply}\"; ask its operator; later runs send a few messages first"
            );
            self.stop.because(Stop::new(StopKind::Relay, why));
            let now = (self.run_ledger.clock)();
            let name = self.run_ledger.notice_name(breaker::OPEN);
            self.stop_unless(ledger.set_notice(&name, Some(now)).await);
        }
    }

    /// Notes a message that is deferred because connections were lost over it. Many in a row, with no acceptance
    /// in between, stop the run.
    pub fn message_lost(&self, reason: &str) {
        let mut losses = self.losses.lock();
        losses.messages += 1;
        losses.in_a_row += 1;
        reason.clone_into(&mut losses.last);
        if losses.in_a_row >= MAX_LOST_IN_A_ROW {
            self.stop_for(&losses, StopKind::Relay);
        }
    }

    /// At the end of a run: stops it if connections were lost and nothing was accepted.
    pub fn report_losses(&self) {
        let losses = self.losses.lock();
        if losses.messages == 0 || !self.nobody_accepted() || self.stop.is_set() {
            return;
        }
        // With one message, that may be the cause; with several, and all of them, it is the relay.
        let all = self.reporter.tally.lock().deferred == losses.messages;
        let kind = if all && losses.messages > 1 {
            StopKind::Relay
        } else {
            StopKind::Later
        };
        self.stop_for(&losses, kind);
    }

    /// At the end of a run: if the relay refuses the sender, defers the rows that its refusals made rejected or
    /// expired.
    pub async fn conclude(&self) {
        let relay = &self.run_ledger.relay;
        if self.breaker.lock().nobody_was_accepted() {
            let why = format!(
                "the relay {relay} accepted no message, and its refusals do not say that the recipients are the cause, so it probably refuses this sender; no partner was rejected, and later runs retry all of them; ask its operator"
            );
            self.stop.because(Stop::new(StopKind::Relay, why));
        }
        let refused = self.stop.reason();
        if refused.is_none_or(|it| it.kind != StopKind::Relay) {
            return;
        }
        let rows = std::mem::take(&mut self.breaker.lock().to_defer_again);
        if rows.is_empty() {
            return;
        }
        let retry = &self.run_ledger.retry;
        let change = |it: &SettledRow| {
            let change = self.run_ledger.change(&it.identity, None, Cause::Breaker);
            let again = retry.due_again(change.at, it.deferrals + 1, &it.identity.address);
            Change {
                note: Some(
                    "the relay refuses this sender, so its refusals do not concern recipients"
                        .into(),
                ),
                next_attempt_at: Some(again),
                ..change
            }
        };
        let changes = rows.iter().map(change).collect();
        let results = self.run_ledger.ledger.submit(changes).results().await;
        for (row, result) in rows.iter().zip(results) {
            match result {
                Ok(to) => self.reporter.report(RunEvent::Revised {
                    recipient: &row.recipient,
                    from: row.state,
                    to,
                    reason: None,
                    occasion: row.identity.occasion,
                }),
                Err(failure) => {
                    self.stop.because(failure);
                }
            }
        }
    }

    fn stop_for(&self, losses: &ConnectionLosses, kind: StopKind) {
        let ConnectionLosses { messages, last, .. } = losses;
        let noun = if *messages == 1 {
            "message"
        } else {
            "messages"
        };
        let why = format!(
            "the relay {} lost the connection over {messages} {noun}, twice each, and accepted none in between ({last}); they are deferred, and no partner is rejected; if the next run ends in the same way, ask the relay's operator, or set `smtp.pipelining = \"off\"`",
            self.run_ledger.relay
        );
        self.stop.because(Stop::new(kind, why));
    }

    fn stop_unless(&self, recorded: Result<(), LedgerError>) {
        if let Err(error) = recorded {
            self.stop.because(error);
        }
    }

    /// Whether the relay has accepted nothing in this run so far, recorded or not yet.
    pub fn nobody_accepted(&self) -> bool {
        !self.breaker.lock().accepted
    }
}

//! The relay of a run: what is sent to it, what its refusals concern, and whether it handles pipelined
//! commands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::address::Address;
use crate::outbox::Prepared;
use crate::outcome::{Phase, Reply};
use crate::refusal::{Refusal, classify};
use crate::relay::{
    Connection, Connector, Envelope, FinalDot, NoReply, PipeliningProbe, ReplyOrder, ReportRequest,
    TransactionAborted,
};

/// Why the reply to a final dot does not count.
pub const OUT_OF_ORDER: &str =
    "the relay's replies came out of order, so it is not known which of them was for this message";

/// How long a refusal at the final dot waits for the replies to the envelope behind it, which may show that
/// it was no reply to the dot.
const GRACE: Duration = Duration::from_secs(1);

/// A reply of the relay, or why there is none.
pub type ReplyResult = Result<Reply, NoReply>;

/// The relay of a run, and the sender that it knows.
pub struct Peer {
    pub connector: Arc<Connector>,
    pub sender: Address,
    /// Whether to ask for reports of success, too.
    pub receipts: bool,
    /// Set once the relay has refused the parameters that ask for reports, although it offers them.
    pub reports_refused: AtomicBool,
}

/// The reply to a final dot.
pub struct DotReply {
    /// [`Phase::Body`] if not one byte of the dot was written.
    pub phase: Phase,
    pub reply: ReplyResult,
    /// Whether the envelope of the next message was sent with the dot.
    pub followed: bool,
    /// What the replies to that envelope say about their order.
    pub order: ReplyOrder,
}

impl Peer {
    pub fn envelope<'a>(&'a self, prepared: &'a Prepared) -> Envelope<'a> {
        Envelope {
            sender: &self.sender,
            recipient: &prepared.recipient,
            reports: Some(ReportRequest {
                envelope_id: &prepared.envelope_id,
                receipts: self.receipts,
            }),
        }
    }

    /// Whether a refused envelope was refused because it asked for reports: a syntax error or an unknown
    /// parameter (RFC 5321 §4.1.1.11, RFC 3463 X.5.4), but not one about the address. Then no further
    /// envelope asks for them.
    pub fn refuses_reports(&self, connection: &Connection, aborted: &TransactionAborted) -> bool {
        let Ok(reply) = &aborted.reply else {
            return false;
        };
        let detail = reply.enhanced.as_deref().and_then(|it| it.split_once('.'));
        let detail = detail.map(|it| it.1);
        let of_parameters = detail == Some("5.4")
            || (matches!(reply.code, 501 | 504 | 555)
                && detail.is_none_or(|it| it.starts_with("5.")));
        let refuses = connection.requests_reports()
            && matches!(aborted.phase, Phase::Mail | Phase::Rcpt)
            && of_parameters;
        if refuses {
            self.reports_refused.store(true, Ordering::Relaxed);
        }
        refuses
    }

    pub fn probe(&self) -> &PipeliningProbe {
        &self.connector.pipelining
    }

    /// What a refusal concerns; none for any other reply.
    pub fn classify(
        &self,
        recipient: &Address,
        phase: Phase,
        reply: Option<&Reply>,
    ) -> Option<Refusal> {
        let reply = reply.filter(|it| matches!(it.class(), 4 | 5))?;
        let us = self.connector.sender_identity(&self.sender);
        Some(classify(phase, reply, &us, recipient))
    }

    /// Writes the final dot and waits for the reply. The envelope of the next message is sent with it if the
    /// relay can handle that.
    pub async fn final_dot(
        &self,
        connection: &mut Connection,
        next: Option<&Prepared>,
    ) -> DotReply {
        let next = next.filter(|_| connection.pipelines() && self.probe().may_follow_dot());
        let next = next.map(|it| self.envelope(it));
        let followed = next.is_some();
        let (phase, mut reply) = match connection.dot(next).await {
            FinalDot::NotWritten(reply) => (Phase::Body, reply),
            FinalDot::Written(reply) => (Phase::Dot, reply),
        };
        let mut order = ReplyOrder::Fits;
        if followed {
            order = self.order_behind_dot(connection, phase, &reply).await;
            if order == ReplyOrder::Mixed {
                reply = Err(NoReply::Closed(OUT_OF_ORDER.into()));
            }
        }
        DotReply {
            phase,
            reply,
            followed,
            order,
        }
    }

    /// Reads the replies to the envelope behind a dot that arrive at once, and learns from them how the relay
    /// handles it.
    async fn order_behind_dot(
        &self,
        connection: &mut Connection,
        phase: Phase,
        reply: &ReplyResult,
    ) -> ReplyOrder {
        let reply = match reply {
            Ok(reply) if phase == Phase::Dot => reply,
            _ => {
                let failed = phase == Phase::Dot;
                self.probe().record(failed.then_some(false));
                return ReplyOrder::Fits;
            }
        };
        // An acceptance does not wait: later replies are examined when the envelope is begun.
        let limit = if reply.class() == 2 {
            Duration::ZERO
        } else {
            GRACE
        };
        let order = connection.read_envelope_replies(limit).await;
        match order {
            ReplyOrder::Fits => self.probe().record(Some(true)),
            ReplyOrder::Mixed => self.probe().fall_back(),
            ReplyOrder::Incomplete | ReplyOrder::PartLost | ReplyOrder::Surplus => {}
        }
        order
    }

    /// Reads the replies to an abandoned envelope that arrive soon; returns whether they show that the reply to
    /// the dot before it cannot be trusted.
    pub async fn replies_are_mixed(&self, connection: &mut Connection) -> bool {
        let order = connection.read_envelope_replies(GRACE).await;
        self.probe()
            .record((order == ReplyOrder::Fits).then_some(true));
        if order == ReplyOrder::Mixed {
            self.probe().fall_back();
        }
        order == ReplyOrder::Mixed
    }

    /// Whether a transaction that ended early has shown that the relay cannot handle pipelined commands: replies
    /// out of order, a complaint about a correct sequence, no reply in time, or a connection that ended
    /// after a packet while no message has been accepted yet. Then nothing more is pipelined.
    pub fn falls_back(
        &self,
        connection: &Connection,
        aborted: &TransactionAborted,
        nobody_accepted: bool,
    ) -> bool {
        let fault = match aborted.reply {
            Ok(_) => matches!(
                aborted.order,
                ReplyOrder::Mixed | ReplyOrder::PartLost | ReplyOrder::Surplus
            ),
            Err(_) => connection.reply_timed_out() || nobody_accepted,
        };
        let falls_back = aborted.pipelined && fault;
        if falls_back {
            self.probe().fall_back();
        }
        falls_back
    }
}

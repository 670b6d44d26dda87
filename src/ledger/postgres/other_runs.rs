//! What a run has to know about those that use the ledger at the same time: their inputs, how fast they send, and
//! what the relay refused them.

use jiff::Timestamp;

use super::errors::{ApplyError, Failure};
use super::rows;
use super::transaction::Transaction;
use super::writer::{Lock, Writer};
use crate::ledger::columns::Columns;
use crate::ledger::error::Result;
use crate::ledger::records::RateLimits;
use crate::outcome::{Phase, Reply};

/// Up to these limits, arms wait for each other, so that all runs together keep them exactly. Higher ones are kept by
/// each run for itself: so many messages need commits side by side.
const EXACT_PER_MINUTE: u32 = 10_000;
const EXACT_PER_DAY: u32 = 1_000_000;
/// The lock under which arms are counted.
const RATE_LOCK: i64 = 0x4149_4E56_0003;
const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// How many messages may be armed.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// How many now.
    pub messages: usize,
    /// When there will be room for another; none if the limit of a day is reached.
    pub again: Option<Timestamp>,
}

impl Writer {
    /// Announces the inputs of this run. Describes a live run of the same campaign that has others; then nothing is
    /// announced.
    pub async fn announce(&mut self, inputs: &str) -> Result<Option<String>> {
        self.write(Lock::Exclusive, async |it| it.announce(inputs).await)
            .await
    }

    /// Sets the limits of all runs together.
    pub fn limit_rates(&mut self, limits: RateLimits) {
        let exact = limits.per_minute <= EXACT_PER_MINUTE || limits.per_day <= EXACT_PER_DAY;
        self.limits = exact.then_some(limits);
    }

    /// The addresses that the relay has refused like this since it last accepted a message.
    pub async fn refused_alike(
        &mut self,
        relay: &str,
        phase: Phase,
        reply: &Reply,
    ) -> Result<Vec<String>> {
        self.write(Lock::Shared, async |it| {
            let recent = it
                .session
                .query(
                    "SELECT h.to_state = 'accepted', i.address,
                        h.phase = $2 AND h.smtp_code = $3 AND h.enhanced_code IS NOT DISTINCT FROM $4
                     FROM (SELECT * FROM history ORDER BY id DESC LIMIT 1000) AS h
                     JOIN invitation AS i ON i.id = h.invitation
                     WHERE h.relay = $1 AND (h.to_state = 'accepted' OR h.smtp_code >= 500)
                     ORDER BY h.id DESC",
                    &[
                        &relay,
                        &phase.as_str(),
                        &i32::from(reply.code),
                        &reply.enhanced,
                    ],
                )
                .await?;
            let mut refused = Vec::new();
            for row in &recent {
                if rows::value(row, 0)? {
                    break;
                }
                if rows::value::<Option<bool>>(row, 2)? == Some(true) {
                    refused.push(rows::value(row, 1)?);
                }
            }
            Ok(refused)
        })
        .await
    }
}

impl Transaction<'_> {
    async fn announce(&self, inputs: &str) -> std::result::Result<Option<String>, ApplyError> {
        let other = self
            .session
            .query_opt(
                "SELECT r.host, r.os_user, r.started_at FROM run AS r
                 JOIN run AS own ON own.campaign = r.campaign
                 WHERE own.number = $1 AND r.number <> $1 AND r.inputs <> $2
                    AND r.ended_at IS NULL AND r.lost_at IS NULL AND r.lease_until > $3 LIMIT 1",
                &[&self.run, &inputs, &self.now.as_millisecond()],
            )
            .await?;
        if let Some(row) = other {
            let (host, user): (&str, &str) = (row.get(0), row.get(1));
            let since = row.timestamp(2)?;
            return Ok(Some(format!("the run of {user} on {host} since {since}")));
        }
        let changed = self
            .session
            .execute(
                "UPDATE run SET inputs = $2 WHERE number = $1",
                &[&self.run, &inputs],
            )
            .await?;
        super::errors::ensure_one_row(changed)?;
        Ok(None)
    }

    /// How many messages may be armed in this transaction. Other runs that ask wait until it ends.
    pub async fn allowance(&self, limits: &RateLimits) -> std::result::Result<Allowance, Failure> {
        self.session
            .query("SELECT pg_advisory_xact_lock($1)", &[&RATE_LOCK])
            .await?;
        let now = self.now.as_millisecond();
        let row = self
            .session
            .query_one(
                "SELECT count(*) FILTER (WHERE at > $2), count(*), min(at) FILTER (WHERE at > $2)
                 FROM history WHERE to_state = 'armed' AND at > $3 AND relay = $1",
                &[&limits.relay, &(now - MINUTE), &(now - DAY)],
            )
            .await?;
        let left = |limit: u32, used: i64| {
            usize::try_from(i64::from(limit).saturating_sub(used)).unwrap_or_default()
        };
        let minute = left(limits.per_minute, row.get(0));
        let day = left(limits.per_day, row.get(1));
        let oldest: Option<i64> = row.get(2);
        let again = Timestamp::from_millisecond(oldest.unwrap_or(now) + MINUTE);
        Ok(Allowance {
            messages: minute.min(day),
            again: again.ok().filter(|_| day > 0),
        })
    }
}

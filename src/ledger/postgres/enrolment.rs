//! Recording new invitations.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;

use super::errors::{ApplyError, Failure};
use super::rows;
use super::suppressions::covering_each;
use super::transaction::Transaction;
use super::writer::{Lock, Writer};
use crate::invitation::{Cause, State, SuppressionSource, next};
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::records::{Change, Enrolment};
use crate::ledger::refusal::Refusal;
use crate::ledger::witness::random_id;

/// How many invitations one statement inserts.
const CHUNK: usize = 1000;
/// The first key of the lock under which a campaign is enrolled. Two runs that insert the same invitations in different
/// orders would otherwise wait for each other. The second key is a hash of the campaign.
const ENROLMENT_LOCK: i32 = 0x4149_4E56;
/// The pause until the lock is tried again.
const PAUSE: Duration = Duration::from_millis(50);

impl Writer {
    /// Inserts invitations and confirms the campaign, all or nothing. The invitations can be read only once, so that
    /// the transaction is not repeated.
    pub async fn enrol<E: From<LedgerError>>(
        &mut self,
        campaign: &str,
        mut invitations: impl Iterator<Item = std::result::Result<Enrolment, E>>,
        _at: Timestamp,
    ) -> std::result::Result<(), E> {
        self.ensure_usable()?;
        let id = random_id().map_err(E::from)?;
        let (mut unreadable, mut done) = (None, None);
        let mut enrol = async |it: &Transaction<'_>, _| {
            it.enrol_all(campaign, &mut invitations, &mut unreadable)
                .await
        };
        let enrolled = self
            .attempt(Lock::Shared, id, &[], &mut done, &mut enrol)
            .await;
        let failure = match enrolled {
            Ok(()) => return Ok(()),
            Err(ApplyError::Failed(failure)) => failure,
            Err(ApplyError::Refused(refusal)) => {
                let _ = self.session.batch("ROLLBACK").await;
                let fault = || LedgerError::Fault(refusal.to_string()).into();
                return Err(unreadable.unwrap_or_else(fault));
            }
        };
        match failure {
            Failure::Lost(why) if self.reconnect(&why, id).await? => Ok(()),
            Failure::Lost(why) => Err(LedgerError::CannotWrite(format!(
                "the new invitations were not recorded, because the connection to the ledger was lost ({why}); nothing was sent to them, run again"
            ))
            .into()),
            failure if failure.is_conflict() => {
                let _ = self.session.batch("ROLLBACK").await;
                Err(failure.translate(self.server.name()).into())
            }
            failure => Err(self.fail(&failure).await.into()),
        }
    }

    /// Inserts an invitation in the state that a decision leads to, or changes the recorded one.
    pub async fn decide_unrecorded(
        &mut self,
        enrolment: &Enrolment,
        change: &Change,
    ) -> Result<State> {
        self.write(Lock::Shared, async |it| {
            let state = next(None, change.cause)?;
            let note = change.note.as_deref();
            match it.insert(&[(enrolment, state)], change.cause, note).await? {
                0 => it.apply(change).await,
                _ => Ok(state),
            }
        })
        .await
    }
}

impl Transaction<'_> {
    async fn enrol_all<E>(
        &self,
        campaign: &str,
        invitations: &mut impl Iterator<Item = std::result::Result<Enrolment, E>>,
        unreadable: &mut Option<E>,
    ) -> std::result::Result<(), ApplyError> {
        self.wait_for_other_enrolments(campaign).await?;
        self.session
            .execute(
                "INSERT INTO campaign (name, confirmed_at) VALUES ($1, $2)
                 ON CONFLICT (name) DO UPDATE SET confirmed_at = excluded.confirmed_at",
                &[&campaign, &self.now.as_millisecond()],
            )
            .await?;
        let mut chunk = Vec::with_capacity(CHUNK);
        loop {
            for invitation in invitations.by_ref().take(CHUNK) {
                match invitation {
                    Ok(invitation) => chunk.push(invitation),
                    Err(error) => {
                        *unreadable = Some(error);
                        return Err(Refusal::Abandoned.into());
                    }
                }
            }
            if chunk.is_empty() {
                return Ok(());
            }
            self.enrol(&chunk).await?;
            chunk.clear();
        }
    }

    /// Takes the lock in short queries, because another enrolment can last longer than an answer may take.
    async fn wait_for_other_enrolments(&self, campaign: &str) -> std::result::Result<(), Failure> {
        loop {
            let row = self
                .session
                .query_one(
                    "SELECT pg_try_advisory_xact_lock($1, hashtext($2))",
                    &[&ENROLMENT_LOCK, &campaign],
                )
                .await?;
            if rows::value(&row, 0)? {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
    }

    /// Inserts invitations, as suppressed if their addresses are; those that are recorded already stay unchanged.
    async fn enrol(&self, enrolments: &[Enrolment]) -> std::result::Result<(), ApplyError> {
        let addresses: Vec<&str> = enrolments
            .iter()
            .map(|it| it.identity.address.as_str())
            .collect();
        let covering = covering_each(self.session, self.key, &addresses).await?;
        let mut new = Vec::with_capacity(enrolments.len());
        for (enrolment, suppression) in enrolments.iter().zip(covering) {
            match suppression.map(|it| it.source) {
                // The address must not be recorded again.
                Some(SuppressionSource::Forgotten) => {}
                Some(_) => new.push((enrolment, next(None, Cause::Suppress)?)),
                None => new.push((enrolment, next(None, Cause::Enrol)?)),
            }
        }
        self.insert(&new, Cause::Enrol, None).await?;
        Ok(())
    }

    /// Inserts invitations in these states, each with a line of history that has this cause or, if it is suppressed,
    /// that one. Those that are recorded already stay unchanged. Gives how many were inserted.
    async fn insert(
        &self,
        new: &[(&Enrolment, State)],
        cause: Cause,
        note: Option<&str>,
    ) -> std::result::Result<u64, Failure> {
        macro_rules! column {
            (|$it:ident, $state:pat_param| $value:expr) => {
                new.iter().map(|($it, $state)| $value).collect::<Vec<_>>()
            };
        }
        self.session
            .execute(
                "WITH new AS (
                    SELECT t.*, nextval('history_id_seq') AS event
                    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                        $8::text[], $9::text[], $10::text[], $11::text[], $12::text[]) WITH ORDINALITY
                    AS t (campaign, package_id, address, occasion, package, email, name, organization, locale,
                        template_locale, message_id, state, place)),
                 written AS (
                    INSERT INTO invitation (campaign, package_id, address, occasion, package, email, name,
                        organization, locale, template_locale, message_id, state, generation, attempts, deferrals,
                        repeat, created_at, updated_at, accepted_at, latest)
                    SELECT campaign, package_id, address, occasion, package, email, name, organization, locale,
                        template_locale, message_id, state, 0, 0, 0, false, $13::bigint, $13::bigint,
                        CASE WHEN state = 'accepted' THEN $13::bigint END, event
                    FROM new ORDER BY place
                    ON CONFLICT (campaign, package_id, address, occasion) DO NOTHING
                    RETURNING id, state, message_id, latest)
                 INSERT INTO history (id, invitation, at, to_state, cause, message_id, note, run)
                 SELECT latest, id, $13::bigint, state, CASE WHEN state = 'suppressed' THEN $14::text ELSE $15::text END, message_id,
                    $16::text, $17::bigint
                 FROM written",
                &[
                    &column!(|it, _| it.identity.campaign.as_str()),
                    &column!(|it, _| it.identity.package_id.to_string()),
                    &column!(|it, _| it.identity.address.as_str()),
                    &column!(|it, _| it.identity.occasion.to_string()),
                    &column!(|it, _| it.invitee.package.as_str()),
                    &column!(|it, _| it.invitee.email.as_str()),
                    &column!(|it, _| it.invitee.name.as_deref()),
                    &column!(|it, _| it.invitee.organization.as_deref()),
                    &column!(|it, _| it.invitee.locale.as_deref()),
                    &column!(|it, _| it.invitee.template_locale.as_str()),
                    &column!(|it, _| it.message_id.as_str()),
                    &column!(|_it, state| state.as_str()),
                    &self.now.as_millisecond(),
                    &Cause::Suppress.as_str(),
                    &cause.as_str(),
                    &note,
                    &self.run,
                ],
            )
            .await
    }
}

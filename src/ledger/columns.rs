//! The columns of a row, whichever store it is in, and the records in them.

use std::str::FromStr;

use jiff::Timestamp;

use super::invitation_row::InvitationRow;
use super::records::{Approval, RecordedChange, RunRecord, SentInvitation, Unsettled};
use crate::invitation::{Event, Identity, Invitee, Record, Standing, Suppression};
use crate::link::PackageId;

/// The columns that [`Columns::standing`] reads, in its order, of an invitation `i`. A macro, because the statements of
/// a database are literals.
macro_rules! standing_columns {
    () => {
        "i.state, i.message_id, i.attempts, i.deferrals, i.deferred_since, i.next_attempt_at, i.updated_at,
        i.message_date, i.message_sha256, i.repeat, (SELECT smtp_code FROM history WHERE id = i.latest),
        i.deferrals > 0 AND EXISTS (
            SELECT 1 FROM history
            WHERE invitation = i.id AND cause = 'breaker' AND from_state = 'expired' AND id > coalesce(
                (SELECT max(id) FROM history WHERE invitation = i.id AND cause = 'person'), 0))"
    };
}
pub(super) use standing_columns;

/// The columns that [`Columns::record`] reads, in its order, of an invitation `i` and its latest event `h`.
macro_rules! record_columns {
    () => {
        concat!(
            $crate::ledger::columns::standing_columns!(),
            ", i.id, i.campaign, i.package_id, i.address, i.occasion, i.package, i.email, i.name, i.organization,
            i.locale, i.template_locale, i.created_at, i.accepted_at, h.at, h.from_state, h.to_state, h.phase,
            h.smtp_code, h.enhanced_code, h.reply, h.relay, h.message_id, h.note"
        )
    };
}
pub(super) use record_columns;

/// The columns of a row, by their numbers. The methods fail if a column has another type, or a value that this program
/// has not written.
pub trait Columns {
    /// The error of the store.
    type Error;

    fn optional_text(&self, column: usize) -> Result<Option<&str>, Self::Error>;
    fn optional_number(&self, column: usize) -> Result<Option<i64>, Self::Error>;
    fn optional_bytes(&self, column: usize) -> Result<Option<&[u8]>, Self::Error>;
    fn is_true(&self, column: usize) -> Result<bool, Self::Error>;

    /// The error of a value that this program has not written.
    fn unexpected(column: usize, value: &str) -> Self::Error;

    fn optional_string(&self, column: usize) -> Result<Option<String>, Self::Error> {
        Ok(self.optional_text(column)?.map(str::to_owned))
    }

    fn text(&self, column: usize) -> Result<&str, Self::Error> {
        let text = self.optional_text(column)?;
        text.ok_or_else(|| Self::unexpected(column, "NULL"))
    }

    fn string(&self, column: usize) -> Result<String, Self::Error> {
        self.text(column).map(str::to_owned)
    }

    /// A number in the range of its type.
    fn number<T: TryFrom<i64>>(&self, column: usize) -> Result<T, Self::Error> {
        let number = self.optional_number(column)?;
        let number = number.ok_or_else(|| Self::unexpected(column, "NULL"))?;
        let in_range = T::try_from(number);
        in_range.map_err(|_| Self::unexpected(column, &number.to_string()))
    }

    /// Bytes of a fixed length.
    fn optional_array<const N: usize>(
        &self,
        column: usize,
    ) -> Result<Option<[u8; N]>, Self::Error> {
        let array = self.optional_bytes(column)?.map(<[u8; N]>::try_from);
        let array = array.transpose();
        array.map_err(|_| Self::unexpected(column, "bytes of another length"))
    }

    /// What the text names, such as a state.
    fn parsed<T: FromStr>(&self, column: usize) -> Result<T, Self::Error> {
        let text = self.text(column)?;
        text.parse().map_err(|_| Self::unexpected(column, text))
    }

    /// The time in milliseconds.
    fn timestamp(&self, column: usize) -> Result<Timestamp, Self::Error> {
        let at = self.optional_timestamp(column)?;
        at.ok_or_else(|| Self::unexpected(column, "no time"))
    }

    fn optional_timestamp(&self, column: usize) -> Result<Option<Timestamp>, Self::Error> {
        let milliseconds = self.optional_number(column)?;
        Ok(milliseconds.and_then(|it| Timestamp::from_millisecond(it).ok()))
    }

    fn package_id(&self, column: usize) -> Result<PackageId, Self::Error> {
        let text = self.text(column)?;
        PackageId::parse(text).ok_or_else(|| Self::unexpected(column, text))
    }

    /// The identity of the invitation whose campaign, package id, address and occasion begin at column `first`.
    fn identity(&self, first: usize) -> Result<Identity, Self::Error> {
        Ok(Identity {
            campaign: self.string(first)?,
            package_id: self.package_id(first + 1)?,
            address: self.string(first + 2)?,
            occasion: self.parsed(first + 3)?,
        })
    }

    /// The standing in the columns of `standing_columns`, which begin at column `first`.
    fn standing(&self, first: usize) -> Result<Standing, Self::Error> {
        let date = self.optional_number(first + 7)?;
        let date = date.and_then(|it| Timestamp::from_second(it).ok());
        let deferrals = self.number(first + 3)?;
        let latest_code = self.optional_number(first + 10)?;
        Ok(Standing {
            state: self.parsed(first)?,
            message_id: self.string(first + 1)?,
            attempts: self.number(first + 2)?,
            deferrals,
            deferred_since: self.optional_timestamp(first + 4)?,
            next_attempt_at: self.optional_timestamp(first + 5)?,
            updated_at: self.timestamp(first + 6)?,
            message: date.zip(self.optional_array(first + 8)?),
            repeat: self.is_true(first + 9)?,
            refused: deferrals > 0 || latest_code.is_some_and(|it| it >= 400),
            was_reopened: self.is_true(first + 11)?,
        })
    }

    /// The fields that changes touch, which begin at column `first`.
    fn invitation_row(&self, first: usize) -> Result<InvitationRow, Self::Error> {
        Ok(InvitationRow {
            id: self.number(first)?,
            state: self.parsed(first + 1)?,
            generation: self.number(first + 2)?,
            message_id: self.string(first + 3)?,
            attempts: self.number(first + 4)?,
            deferrals: self.number(first + 5)?,
            repeat: self.is_true(first + 6)?,
            accepted_at: self.optional_number(first + 7)?,
            deferred_since: self.optional_number(first + 8)?,
        })
    }

    /// The record in the columns of `record_columns`, which are the first of the row.
    fn record(&self) -> Result<Record, Self::Error> {
        Ok(Record {
            standing: self.standing(0)?,
            id: self.number(12)?,
            identity: self.identity(13)?,
            invitee: Invitee {
                package: self.string(17)?,
                email: self.string(18)?,
                name: self.optional_string(19)?,
                organization: self.optional_string(20)?,
                locale: self.optional_string(21)?,
                template_locale: self.string(22)?,
            },
            created_at: self.timestamp(23)?,
            accepted_at: self.optional_timestamp(24)?,
            latest: self.event(25)?,
        })
    }

    /// The line of history that begins at column `first`.
    fn event(&self, first: usize) -> Result<Event, Self::Error> {
        let from = self.optional_text(first + 1)?;
        let code = self.optional_number(first + 4)?;
        Ok(Event {
            at: self.timestamp(first)?,
            from: from.and_then(|it| it.parse().ok()),
            to: self.parsed(first + 2)?,
            phase: self.optional_string(first + 3)?,
            smtp_code: code.and_then(|it| it.try_into().ok()),
            enhanced_code: self.optional_string(first + 5)?,
            reply: self.optional_string(first + 6)?,
            relay: self.optional_string(first + 7)?,
            message_id: self.string(first + 8)?,
            note: self.optional_string(first + 9)?,
        })
    }

    /// The change in a row of a line of history, its number, run and cause, and the identity and the package of its
    /// invitation.
    fn recorded_change(&self) -> Result<RecordedChange, Self::Error> {
        Ok(RecordedChange {
            event: self.event(0)?,
            number: self.number(10)?,
            run: self.optional_number(11)?,
            cause: self.string(12)?,
            identity: self.identity(13)?,
            package: self.string(17)?,
        })
    }

    /// The invitation in a row of identity, number, Message-ID and generation.
    fn sent_invitation(&self) -> Result<SentInvitation, Self::Error> {
        Ok(SentInvitation {
            identity: self.identity(0)?,
            id: self.number(4)?,
            message_id: self.string(5)?,
            generation: self.number(6)?,
        })
    }

    /// The message in a row of its time, the number of its invitation, and whether that is unknown.
    fn unsettled(&self) -> Result<Unsettled, Self::Error> {
        Ok(Unsettled {
            at: self.timestamp(0)?,
            invitation: self.number(1)?,
            is_unknown: self.is_true(2)?,
        })
    }

    /// The run in a row of number, verb, campaign, start, end, version, host, user, digest, counts and exit code.
    fn run(&self) -> Result<RunRecord, Self::Error> {
        let exit_code = self.optional_number(10)?;
        Ok(RunRecord {
            number: self.number(0)?,
            verb: self.string(1)?,
            campaign: self.string(2)?,
            started_at: self.timestamp(3)?,
            ended_at: self.optional_timestamp(4)?,
            version: self.string(5)?,
            host: self.string(6)?,
            os_user: self.string(7)?,
            digest: self.optional_string(8)?,
            counts: self.optional_string(9)?,
            exit_code: exit_code.and_then(|it| it.try_into().ok()),
        })
    }

    /// The approval in a row of campaign, digest, person, time and note.
    fn approval(&self) -> Result<Approval, Self::Error> {
        Ok(Approval {
            campaign: self.string(0)?,
            digest: self.string(1)?,
            by: self.string(2)?,
            at: self.timestamp(3)?,
            note: self.optional_string(4)?,
        })
    }

    /// The entry of the suppression list whose address, time, source and note begin at column `first`.
    fn suppression(&self, first: usize) -> Result<Suppression, Self::Error> {
        Ok(Suppression {
            address: self.optional_string(first)?,
            at: self.timestamp(first + 1)?,
            source: self.parsed(first + 2)?,
            note: self.optional_string(first + 3)?,
        })
    }
}

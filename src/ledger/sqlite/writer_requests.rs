//! The writer's other requests: enrolment, recovery, notices, and the record of the run.

use jiff::Timestamp;

use super::wal::Reserve;
use super::writer_thread::WriterThread;
use super::{evidence, runs, wal};
use crate::invitation::{AddressPattern, State, Suppression};
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::records::{
    Approval, Change, Enrolment, Gap, Notification, Notified, RunEnd, Suppressed,
};
use crate::ledger::refusal::Refusal;

impl WriterThread {
    /// Turns every `armed` invitation into `unknown`; gives how many there were.
    pub fn recover(&mut self, at: Timestamp) -> Result<u64> {
        self.write(|it| it.transitions().recover(at))
    }

    /// Records the gap, turns what unrecorded runs may have mailed into `unknown`, and creates a new
    /// witness.
    pub fn accept_older(&mut self, gap: &Gap) -> Result<u64> {
        let changed = self.write(|it| {
            runs::record_gap(&it.connection, it.run_number(), gap)?;
            it.transitions().accept_older(gap)
        })?;
        if let Some(run) = &mut self.run {
            run.reset_witness(&self.path)?;
        }
        Ok(changed)
    }

    /// Records reports, all or none.
    pub fn notify(&mut self, notifications: &[Notification]) -> Result<Vec<Notified>> {
        self.write(|it| {
            let transitions = it.transitions();
            notifications
                .iter()
                .map(|it| transitions.notify(it))
                .collect()
        })
    }

    /// Adds entries to the suppression list, all or none.
    pub fn suppress(
        &mut self,
        entries: &[(AddressPattern, Suppression)],
    ) -> Result<Vec<Suppressed>> {
        self.write(|it| {
            let transitions = it.transitions();
            let suppress = |(pattern, entry): &_| transitions.suppress(pattern, entry);
            entries.iter().map(suppress).collect()
        })
    }

    /// Removes entries from the suppression list, all of them or, if one is missing or of an erased address, none.
    pub fn unsuppress(
        &mut self,
        patterns: &[AddressPattern],
        at: Timestamp,
        note: Option<&str>,
    ) -> Result<Vec<Option<u64>>> {
        self.write(|it| {
            let transitions = it.transitions();
            let is_removable = |pattern| transitions.is_removable(pattern);
            let removable: Vec<bool> = patterns
                .iter()
                .map(is_removable)
                .collect::<rusqlite::Result<_>>()?;
            if removable.contains(&false) {
                return Ok(removable.into_iter().map(|it| it.then_some(0)).collect());
            }
            let unsuppress = |pattern| transitions.unsuppress(pattern, at, note).map(Some);
            patterns.iter().map(unsuppress).collect()
        })
    }

    /// Records an approval.
    pub fn approve(&mut self, approval: &Approval) -> Result<()> {
        self.write(|it| {
            let run = it.run_number();
            Ok(evidence::insert_approval(&it.connection, run, approval)?)
        })
    }

    /// Records how the run ended.
    pub fn end_run(&mut self, end: &RunEnd) -> Result<()> {
        self.write(|it| match it.run_number() {
            Some(number) => Ok(runs::end(&it.connection, number, end)?),
            None => Ok(()),
        })
    }

    /// When a notice was set.
    pub fn notice(&mut self, name: &str) -> Result<Option<Timestamp>> {
        self.write(|it| Ok(runs::notice(&it.connection, name)?))
    }

    /// Sets a notice, or removes it.
    pub fn set_notice(&mut self, name: &str, at: Option<Timestamp>) -> Result<()> {
        self.write(|it| Ok(runs::set_notice(&it.connection, name, at)?))
    }

    /// Inserts invitations and confirms the campaign, all or nothing; reserves space for so many attempts.
    pub fn enrol<E: From<LedgerError>>(
        &mut self,
        attempts: u64,
        campaign: &str,
        invitations: impl Iterator<Item = std::result::Result<Enrolment, E>>,
        at: Timestamp,
    ) -> std::result::Result<(), E> {
        // Without an attempt, as in memory, there is no log to grow.
        if attempts > 0 {
            self.ensure_usable()?;
            self.reserve = Reserve::for_attempts(attempts);
            self.grow_log(0)?;
        }
        let mut unreadable = None;
        let written = self.write(|it| {
            runs::confirm(&it.connection, campaign, at)?;
            let transitions = it.transitions();
            for invitation in invitations {
                match invitation {
                    Ok(invitation) => transitions.enrol(&invitation, at)?,
                    Err(error) => {
                        unreadable = Some(error);
                        return Err(Refusal::Abandoned.into());
                    }
                }
            }
            Ok(())
        });
        if let Some(error) = unreadable {
            return Err(error);
        }
        written?;
        let kept = self
            .reserve
            .reserve_pages(&self.connection)
            .and_then(|()| wal::checkpoint(&self.connection, "RESTART"));
        match kept.map_err(|error| self.fail(error))? {
            0 => Ok(()),
            kept => Ok(self.grow_log(kept)?),
        }
    }

    /// Inserts an invitation in the state that a decision leads to, or changes the recorded one.
    pub fn decide_unrecorded(&mut self, enrolment: &Enrolment, change: &Change) -> Result<State> {
        self.write(|it| {
            let transitions = it.transitions();
            match transitions.insert(enrolment, change)? {
                Some(state) => Ok(state),
                None => transitions.apply(change),
            }
        })
    }

    /// Grows the log, behind the pages that it must keep.
    fn grow_log(&mut self, kept: u64) -> Result<()> {
        self.reserve.grow_log(&self.path, kept).map_err(|error| {
            let message = format!(
                "cannot reserve space for the log of the ledger `{}`: {error}; free disk space",
                self.path.display()
            );
            self.failed = Some(message.clone());
            LedgerError::CannotWrite(message)
        })
    }
}

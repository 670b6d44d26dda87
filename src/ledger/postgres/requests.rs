//! The writer's other requests: enrolment, reports, suppression, erasure, approvals, notices, and the record of the
//! run.

use jiff::Timestamp;

use super::errors::{ApplyError, Failure};
use super::transaction::Transaction;
use super::writer::Writer;
use crate::address::Address;
use crate::invitation::{AddressPattern, PersonHash, State, Suppression};
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::person_access::{AccessChange, PersonAccess};
use crate::ledger::records::{
    Approval, Change, Enrolment, Forgotten, Gap, Notification, Notified, RunEnd, Suppressed,
};
use crate::link::PackageId;

impl Writer {
    pub async fn accept_older(&mut self, _gap: &Gap) -> Result<u64> {
        todo!()
    }
    pub async fn notify(&mut self, _notifications: &[Notification]) -> Result<Vec<Notified>> {
        todo!()
    }
    pub async fn suppress(
        &mut self,
        _entries: &[(AddressPattern, Suppression)],
    ) -> Result<Vec<Suppressed>> {
        todo!()
    }
    pub async fn unsuppress(
        &mut self,
        _patterns: &[AddressPattern],
        _at: Timestamp,
        _note: Option<&str>,
    ) -> Result<Vec<Option<u64>>> {
        todo!()
    }
    pub async fn approve(&mut self, _approval: &Approval) -> Result<()> {
        todo!()
    }
    pub async fn end_run(&mut self, _end: &RunEnd) -> Result<()> {
        todo!()
    }
    pub async fn notice(&mut self, _name: &str) -> Result<Option<Timestamp>> {
        todo!()
    }
    pub async fn set_notice(&mut self, _name: &str, _at: Option<Timestamp>) -> Result<()> {
        todo!()
    }
    pub async fn enrol<E: From<LedgerError>>(
        &mut self,
        _campaign: &str,
        _invitations: impl Iterator<Item = std::result::Result<Enrolment, E>>,
        _at: Timestamp,
    ) -> std::result::Result<(), E> {
        todo!()
    }
    pub async fn decide_unrecorded(
        &mut self,
        _enrolment: &Enrolment,
        _change: &Change,
    ) -> Result<State> {
        todo!()
    }
    pub async fn forget(&mut self, _address: &Address, _at: Timestamp) -> Result<Forgotten> {
        todo!()
    }
    pub async fn erase_closed(&mut self, _until: Timestamp, _at: Timestamp) -> Result<u64> {
        todo!()
    }
    pub async fn record_access(
        &mut self,
        _package: PackageId,
        _people: &[PersonAccess],
    ) -> Result<Vec<AccessChange>> {
        todo!()
    }
    pub async fn forget_access(
        &mut self,
        _package: PackageId,
        _people: &[PersonHash],
    ) -> Result<()> {
        todo!()
    }
    pub async fn record_reading(&mut self, _package: PackageId, _at: Timestamp) -> Result<()> {
        todo!()
    }
}

impl Transaction<'_> {
    /// Whether an entry of the suppression list covers this canonical address.
    pub async fn is_suppressed(&self, _address: &str) -> std::result::Result<bool, Failure> {
        todo!()
    }

    /// Abandons the reminder that a change is about to arm, if access was requested or a message came back since
    /// it was planned. Gives its new state then.
    pub async fn withdraw_reminder(
        &self,
        _arm: &Change,
    ) -> std::result::Result<Option<State>, ApplyError> {
        todo!()
    }
}

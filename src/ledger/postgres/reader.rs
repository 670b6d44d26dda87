//! A view of the ledger, on a connection and a thread of its own.

use std::collections::HashMap;
use std::path::Path;

use jiff::Timestamp;

use super::connection::Session;
use super::errors::Failure;
use crate::config::LedgerServer;
use crate::invitation::{
    Access, AccessCounts, AccessState, Erasure, Event, Identity, MessageIdKey, PersonHash, Record,
    Standing, State, Suppression,
};
use crate::ledger::error::Result;
use crate::ledger::freshness::Staleness;
use crate::ledger::records::{
    Approval, CampaignStanding, RecordFilter, RunRecord, SentInvitation, Unsettled,
};
use crate::ledger::sqlite::Verified;
use crate::ledger::witness::Id;
use crate::link::PackageId;

/// A view of a ledger.
pub struct Reader {
    /// The key behind the Message-IDs.
    pub key: MessageIdKey,
    /// Whether a run was using the ledger when it was opened.
    pub live: bool,
    /// Why the ledger may lack what later runs have recorded.
    pub staleness: Option<Staleness>,
}

/// The standings of these invitations, by their numbers.
pub async fn standings_of(
    _session: &Session,
    _ids: &[i64],
) -> std::result::Result<HashMap<i64, Standing>, Failure> {
    todo!()
}

impl Reader {
    /// Opens the ledger for reading.
    pub fn open(_server: &LedgerServer) -> Result<Self> {
        todo!()
    }

    pub async fn begin_snapshot(&self) -> Result<()> {
        todo!()
    }
    pub async fn end_snapshot(&self) -> Result<()> {
        todo!()
    }
    pub async fn examine(&self) -> Result<()> {
        todo!()
    }
    pub async fn id(&self) -> Result<Option<Id>> {
        todo!()
    }
    pub async fn standings(&self, _identities: Vec<Identity>) -> Result<Vec<Option<Standing>>> {
        todo!()
    }
    pub async fn records(&self, _identities: Vec<Identity>) -> Result<Vec<Option<Record>>> {
        todo!()
    }
    pub async fn with_reminders(&self, _identities: Vec<Identity>) -> Result<Vec<Vec<Record>>> {
        todo!()
    }
    pub async fn open_reminders(&self, _campaign: &str, _after: i64) -> Result<Vec<Record>> {
        todo!()
    }
    pub async fn counts_of(
        &self,
        _campaign: &str,
        _package: Option<PackageId>,
    ) -> Result<Vec<(State, u64)>> {
        todo!()
    }
    pub async fn page(
        &self,
        _campaign: &str,
        _filter: &RecordFilter,
        _after: i64,
    ) -> Result<Vec<Record>> {
        todo!()
    }
    pub async fn packages(&self, _campaign: &str) -> Result<Vec<(PackageId, String)>> {
        todo!()
    }
    pub async fn first_sent(&self) -> Result<Option<Timestamp>> {
        todo!()
    }
    pub async fn is_reported(&self, _invitation: i64, _origin: &str) -> Result<bool> {
        todo!()
    }
    pub async fn suppressions_of(
        &self,
        _addresses: Vec<String>,
    ) -> Result<Vec<Option<Suppression>>> {
        todo!()
    }
    pub async fn suppressions(&self) -> Result<Vec<Suppression>> {
        todo!()
    }
    pub async fn history(&self, _id: i64) -> Result<Vec<Event>> {
        todo!()
    }
    pub async fn count_sent(&self) -> Result<usize> {
        todo!()
    }
    pub async fn sent(&self, _after: i64) -> Result<Vec<SentInvitation>> {
        todo!()
    }
    pub async fn sent_invitation(&self, _id: i64) -> Result<Option<SentInvitation>> {
        todo!()
    }
    pub async fn dots_since(&self, _since: Timestamp) -> Result<Vec<Timestamp>> {
        todo!()
    }
    pub async fn unsettled(&self, _since: Timestamp) -> Result<Vec<Unsettled>> {
        todo!()
    }
    pub async fn campaign(&self, _campaign: &str) -> Result<CampaignStanding> {
        todo!()
    }
    pub async fn runs(&self, _campaign: Option<&str>, _limit: u32) -> Result<Vec<RunRecord>> {
        todo!()
    }
    pub async fn approvals(&self, _campaign: Option<&str>) -> Result<Vec<Approval>> {
        todo!()
    }
    pub async fn access_of(&self, _identities: Vec<Identity>) -> Result<Vec<Option<Access>>> {
        todo!()
    }
    pub async fn requests_read_at(&self, _packages: Vec<PackageId>) -> Result<Option<Timestamp>> {
        todo!()
    }
    pub async fn invitations_to(
        &self,
        _package: PackageId,
        _after: i64,
    ) -> Result<Vec<(i64, Identity)>> {
        todo!()
    }
    pub async fn access_counts(
        &self,
        _campaign: &str,
        _package: Option<PackageId>,
    ) -> Result<Option<AccessCounts>> {
        todo!()
    }
    pub async fn people(
        &self,
        _package: PackageId,
        _after: Option<PersonHash>,
        _limit: u32,
    ) -> Result<Vec<(PersonHash, AccessState)>> {
        todo!()
    }
    pub async fn verify(&self) -> Result<Vec<Verified>> {
        todo!()
    }
    pub async fn copy_to(&self, _path: &Path) -> Result<()> {
        todo!()
    }
    pub async fn erasures(&self, _identities: Vec<Identity>) -> Result<Vec<Option<Erasure>>> {
        todo!()
    }
}

//! A view of the ledger, whichever store it is in.
//!
//! Each query is short and read to its end, and long results come in pages.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use jiff::Timestamp;

use super::error::{LedgerError, Result};
use super::freshness::Staleness;
use super::opened::Opened;
use super::records::{
    Approval, CampaignStanding, RecordFilter, RecordedChange, RunRecord, SentInvitation, Unsettled,
};
use super::verified::Verified;
use super::witness::Id;
use super::{postgres, sqlite};
use crate::config::LedgerLocation;
use crate::invitation::{
    Access, AccessCounts, AccessState, Erasure, Event, Identity, MessageIdKey, PersonHash, Record,
    Standing, State, Suppression,
};
use crate::link::PackageId;

/// A view of a ledger.
pub struct Reader {
    view: View,
    /// The key behind the Message-IDs.
    pub key: MessageIdKey,
    /// Whether a run was using the ledger when it was opened.
    pub live: bool,
    /// Why the ledger may lack what later runs have recorded.
    pub staleness: Option<Staleness>,
    /// Where `ledger copy` has moved it.
    moved_to: Option<String>,
}

/// Where a view is read from.
enum View {
    Sqlite(sqlite::Reader),
    Postgres(postgres::Reader),
}

/// Calls a method of the view, whichever store it reads.
macro_rules! on_view {
    ($reader:ident, $it:ident => $call:expr) => {
        match &$reader.view {
            View::Sqlite($it) => $call.await,
            View::Postgres($it) => $call.await,
        }
    };
}

/// The methods fail if the ledger cannot be read.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl Reader {
    /// An empty view in place of a ledger that does not exist yet, with a key for this run.
    pub fn empty() -> Result<Self> {
        Ok(Self::of_file(sqlite::Reader::empty()?))
    }

    /// Opens the ledger for reading. The copy that is read after a run was killed is put into `scratch`, or into
    /// the system's temporary folder.
    pub fn open(location: &LedgerLocation, scratch: Option<&Path>) -> Result<Self> {
        match location {
            LedgerLocation::File(files) => sqlite::Reader::open(files, scratch).map(Self::of_file),
            LedgerLocation::Server(server) => postgres::Reader::open(server).map(Self::of_database),
        }
    }

    pub(super) fn of_file(reader: sqlite::Reader) -> Self {
        Self::new(reader.opened.clone(), View::Sqlite(reader))
    }

    pub(super) fn of_database(reader: postgres::Reader) -> Self {
        Self::new(reader.opened.clone(), View::Postgres(reader))
    }

    fn new(opened: Opened, view: View) -> Self {
        Self {
            view,
            key: opened.key,
            live: opened.live,
            staleness: opened.staleness,
            moved_to: opened.moved_to,
        }
    }

    /// Why this may not be all that is recorded: it was moved elsewhere, or is an older copy.
    #[must_use]
    pub fn doubt(&self, location: &LedgerLocation) -> Option<String> {
        let moved = self.moved_to.as_ref();
        let moved = moved.map(|to| LedgerError::moved(&location.to_string(), to).to_string());
        moved.or_else(|| Some(self.staleness?.describe(location)))
    }

    /// Gives a file that root created to the ledger's owner, who usually runs the job.
    pub fn give_to_owner(&self, file: &File) -> std::io::Result<()> {
        match &self.view {
            View::Sqlite(it) => it.give_to_owner(file),
            View::Postgres(_) => Ok(()),
        }
    }

    /// Begins a snapshot: until [`Reader::end_snapshot`], all queries see the same state of the ledger. It
    /// should be short, because a run cannot reuse its log meanwhile.
    pub async fn begin_snapshot(&self) -> Result<()> {
        on_view!(self, it => it.begin_snapshot())
    }

    /// Ends the snapshot.
    pub async fn end_snapshot(&self) -> Result<()> {
        on_view!(self, it => it.end_snapshot())
    }

    /// Refuses a damaged ledger, as a writing verb does.
    pub async fn examine(&self) -> Result<()> {
        on_view!(self, it => it.examine())
    }

    /// The ledger's id; none before version 2.
    pub async fn id(&self) -> Result<Option<Id>> {
        on_view!(self, it => it.id())
    }

    /// The standings of these invitations, in their order; none for one that is not recorded.
    pub async fn standings(&self, identities: Vec<Identity>) -> Result<Vec<Option<Standing>>> {
        on_view!(self, it => it.standings(identities))
    }

    /// The records of these invitations, in their order; none for one that is not recorded.
    pub async fn records(&self, identities: Vec<Identity>) -> Result<Vec<Option<Record>>> {
        on_view!(self, it => it.records(identities))
    }

    /// For each of these invitations, its record and those of its reminders, in the order of their occasions.
    pub async fn with_reminders(&self, identities: Vec<Identity>) -> Result<Vec<Vec<Record>>> {
        on_view!(self, it => it.with_reminders(identities))
    }

    /// The next page of a campaign's reminders that are to be sent, in the order of their enrolment, after
    /// `after`.
    pub async fn open_reminders(&self, campaign: &str, after: i64) -> Result<Vec<Record>> {
        on_view!(self, it => it.open_reminders(campaign, after))
    }

    /// How many invitations of the campaign are in each state, in the order of [`State::ALL`].
    pub async fn counts(&self, campaign: &str) -> Result<Vec<(State, u64)>> {
        self.counts_of(campaign, None).await
    }

    /// As [`Reader::counts`], only of the invitations to this package if one is given.
    pub async fn counts_of(
        &self,
        campaign: &str,
        package: Option<PackageId>,
    ) -> Result<Vec<(State, u64)>> {
        let found: HashMap<State, u64> = on_view!(self, it => it.counts_of(campaign, package))?;
        let count = |it: &State| (*it, found.get(it).copied().unwrap_or_default());
        Ok(State::ALL.iter().map(count).collect())
    }

    /// The next page of a campaign's records, in the order of their enrolment, after `after`.
    pub async fn page(
        &self,
        campaign: &str,
        filter: &RecordFilter,
        after: i64,
    ) -> Result<Vec<Record>> {
        on_view!(self, it => it.page(campaign, filter, after))
    }

    /// The packages that the campaign's invitations are recorded for, each with the keys it had then.
    pub async fn packages(&self, campaign: &str) -> Result<Vec<(PackageId, String)>> {
        on_view!(self, it => it.packages(campaign))
    }

    /// When the first message was sent, over all campaigns.
    pub async fn first_sent(&self) -> Result<Option<Timestamp>> {
        on_view!(self, it => it.first_sent())
    }

    /// Whether a report is recorded with an invitation.
    pub async fn is_reported(&self, invitation: i64, origin: &str) -> Result<bool> {
        on_view!(self, it => it.is_reported(invitation, origin))
    }

    /// For each of these canonical addresses, the entry of the suppression list that covers it.
    pub async fn suppressions_of(
        &self,
        addresses: Vec<String>,
    ) -> Result<Vec<Option<Suppression>>> {
        on_view!(self, it => it.suppressions_of(addresses))
    }

    /// The suppression list.
    pub async fn suppressions(&self) -> Result<Vec<Suppression>> {
        on_view!(self, it => it.suppressions())
    }

    /// The history of an invitation, the oldest event first.
    pub async fn history(&self, id: i64) -> Result<Vec<Event>> {
        on_view!(self, it => it.history(id))
    }

    /// How many invitations of all campaigns were sent at least once.
    pub async fn count_sent(&self) -> Result<usize> {
        on_view!(self, it => it.count_sent())
    }

    /// The next page of all campaigns' invitations that were sent at least once, after `after`.
    pub async fn sent(&self, after: i64) -> Result<Vec<SentInvitation>> {
        on_view!(self, it => it.sent(after))
    }

    /// The invitation of this number, if it was sent at least once.
    pub async fn sent_invitation(&self, id: i64) -> Result<Option<SentInvitation>> {
        on_view!(self, it => it.sent_invitation(id))
    }

    /// When final dots were written since `since`, over all campaigns, the oldest first.
    pub async fn dots_since(&self, since: Timestamp) -> Result<Vec<Timestamp>> {
        on_view!(self, it => it.dots_since(since))
    }

    /// The messages sent since `since` that a relay has accepted or may have accepted, over all campaigns, the
    /// oldest first.
    pub async fn unsettled(&self, since: Timestamp) -> Result<Vec<Unsettled>> {
        on_view!(self, it => it.unsettled(since))
    }

    /// What the guards need to know about a campaign.
    pub async fn campaign(&self, campaign: &str) -> Result<CampaignStanding> {
        on_view!(self, it => it.campaign(campaign))
    }

    /// The runs that wrote into the ledger, of one campaign or of all, the last one first, at most `limit`.
    pub async fn runs(&self, campaign: Option<&str>, limit: u32) -> Result<Vec<RunRecord>> {
        on_view!(self, it => it.runs(campaign, limit))
    }

    /// The approvals of one campaign or of all, the last one first.
    pub async fn approvals(&self, campaign: Option<&str>) -> Result<Vec<Approval>> {
        on_view!(self, it => it.approvals(campaign))
    }

    /// Whether these partners have asked for access, in their order; `None` where requests for the package were
    /// never read.
    pub async fn access_of(&self, identities: Vec<Identity>) -> Result<Vec<Option<Access>>> {
        on_view!(self, it => it.access_of(identities))
    }

    /// When the requests for these packages were read, the oldest time; `None` if those for one of them were
    /// never read, or there are no packages.
    pub async fn requests_read_at(&self, packages: Vec<PackageId>) -> Result<Option<Timestamp>> {
        on_view!(self, it => it.requests_read_at(packages))
    }

    /// The next page of all campaigns' invitations to a package, with their numbers, after `after`.
    pub async fn invitations_to(
        &self,
        package: PackageId,
        after: i64,
    ) -> Result<Vec<(i64, Identity)>> {
        on_view!(self, it => it.invitations_to(package, after))
    }

    /// How many of a campaign's invitations have which access, only those to this package if one is given; `None` if
    /// requests were never read for any of them.
    pub async fn access_counts(
        &self,
        campaign: &str,
        package: Option<PackageId>,
    ) -> Result<Option<AccessCounts>> {
        on_view!(self, it => it.access_counts(campaign, package))
    }

    /// The next people with a request for a package, and domains, in the order of their hashes.
    pub(super) async fn people(
        &self,
        package: PackageId,
        after: Option<PersonHash>,
        limit: u32,
    ) -> Result<Vec<(PersonHash, AccessState)>> {
        on_view!(self, it => it.people(package, after, limit))
    }

    /// The next changes of all campaigns, in the order of their numbers, after `after`, at most `limit`.
    pub async fn changes_after(&self, after: i64, limit: u32) -> Result<Vec<RecordedChange>> {
        on_view!(self, it => it.changes_after(after, limit))
    }

    /// The number of the last change; 0 if there is none. In a file, numbers are given again after an erasure.
    pub async fn last_change(&self) -> Result<i64> {
        on_view!(self, it => it.last_change())
    }

    /// The number of the first change by a run after this one, if numbers may have been given again.
    pub async fn first_change_after_run(&self, run: i64) -> Result<Option<i64>> {
        on_view!(self, it => it.first_change_after_run(run))
    }

    /// Whether, and why, the record of each invitation was erased.
    pub async fn erasures(&self, identities: Vec<Identity>) -> Result<Vec<Option<Erasure>>> {
        on_view!(self, it => it.erasures(identities))
    }

    /// Checks tables, counters, histories and Message-IDs and, of a file, its pages.
    pub async fn verify(&self) -> Result<Vec<Verified>> {
        on_view!(self, it => it.verify())
    }

    /// Writes the ledger as it is now into an empty file, and examines the copy. The copy is one file without a log,
    /// and has no free pages.
    pub async fn copy_to(&self, path: &Path) -> Result<()> {
        on_view!(self, it => it.copy_to(path))
    }
}

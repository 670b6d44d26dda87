//! A decision about a partner of the list whom no run has recorded: invited in another way, or not to be invited.

use std::sync::Arc;

use jiff::Timestamp;

use super::job::{Job, PartnerFilter};
use super::records::{Selection, is_forgotten};
use crate::address::Address;
use crate::config::Config;
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::invitation::{Cause, Decision, next};
use crate::ledger::{Change, Enrolment, Ledger, RecordFilter};
use crate::partners::Partner;

/// What was decided.
pub struct Unrecorded<'a> {
    pub address: &'a Address,
    pub decision: Decision,
    pub note: &'a str,
    pub at: Timestamp,
}

impl Unrecorded<'_> {
    /// Records the decision, and prints the new state.
    ///
    /// # Errors
    /// If the decision needs a record, or the list does not name this partner, or for several packages (65).
    pub async fn decide(
        &self,
        config: Arc<Config>,
        selection: Selection<'_>,
        ledger: &Ledger,
        console: &mut Console<'_>,
    ) -> Result<()> {
        let Self { address, at, .. } = *self;
        let cause = Cause::Person(self.decision);
        let not_recorded = selection
            .not_recorded(address, &config, ledger.reader())
            .await?;
        // An erased address is not recorded again.
        let is_forgotten = is_forgotten(ledger.reader(), &address.canonical()).await?;
        if is_forgotten || next(None, cause).is_err() {
            return Err(not_recorded);
        }
        let wanted = selection.filter(&config, ledger.reader()).await?.package_id;
        let job = Job::load(config, ledger.scratch_folder())?;
        let only = PartnerFilter {
            limit: None,
            only: vec![address.clone()],
        };
        let plan = job.plan(&only, at);
        let mut rows: Vec<Partner> = Vec::new();
        let mut pages = plan.pages();
        while let Some(page) = pages.next_page(ledger.reader()).await? {
            let listed = page.into_iter().map(|it| it.partner);
            rows.extend(
                listed.filter(|it| wanted.is_none_or(|id| it.package.link.package_id() == id)),
            );
        }
        let partner = match rows.as_slice() {
            [] => {
                let list = job.config.partners.path.display();
                let message = format!("{not_recorded}, and no good row of `{list}` names it");
                return Err(CommandError::new(Exit::BadInput, message));
            }
            [partner] => partner,
            several => {
                let keys: Vec<&str> = several.iter().map(|it| it.package.key.as_str()).collect();
                let message = format!(
                    "{address} is listed for {}; select one with `--package`",
                    keys.join(" and ")
                );
                return Err(CommandError::new(Exit::BadInput, message));
            }
        };
        // Under another id of the same package, the partner may have been mailed.
        let filter = RecordFilter {
            address: Some(address.canonical()),
            ..RecordFilter::default()
        };
        let reader = ledger.reader();
        let records = reader.page(&job.config.campaign, &filter, 0).await?;
        if records
            .iter()
            .any(|it| it.invitee.package == partner.package.key)
        {
            return Err(not_recorded);
        }
        let identity = partner.identity(&job.config.campaign);
        let domain = job.composer.sender_domain();
        let enrolment = Enrolment {
            message_id: identity.message_id(&ledger.reader().key, 0, domain),
            invitee: job.composer.invitee(partner),
            identity,
        };
        let change = Change {
            note: Some(self.note.to_owned()),
            ..Change::new(&enrolment.identity, at, cause)
        };
        let state = ledger.decide_unrecorded(enrolment, change).await?;
        let (email, package) = (partner.address.as_written(), &partner.package.key);
        console.print(&format!("{email} ({package}): not recorded → {state}"));
        Ok(())
    }
}

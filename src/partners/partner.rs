//! One good row of the list.

use std::sync::Arc;

use super::finding::{RowFinding, WarningKind};
use crate::address::Address;
use crate::config::Package;
use crate::invitation::Identity;
use crate::locale::Locale;

/// A contact at a partner organisation: one good row.
#[derive(Clone, Debug)]
pub struct Partner {
    /// The line of the file, as an editor counts.
    pub line: u64,
    /// The offset of the row in the copy of the file, see [`super::RowReader`].
    pub offset: u64,
    /// The recipient.
    pub address: Address,
    /// The person's name.
    pub name: Option<String>,
    /// The partner's organisation.
    pub organization: Option<String>,
    /// The requested language.
    pub locale: Option<Locale>,
    /// The access package of the invitation.
    pub package: Arc<Package>,
    /// The name of the person who invites this partner.
    pub inviter_name: Option<String>,
    /// The address of the person who invites this partner.
    pub inviter_email: Option<Address>,
    /// What the inviter adds for this partner: one paragraph without links.
    pub note: Option<String>,
    /// The names of the other columns, shared by all rows.
    pub extra_columns: Arc<[String]>,
    /// The cells of the other columns.
    pub extra: Vec<String>,
    /// Why its cells should be checked, although they could be read.
    pub doubts: Vec<(WarningKind, RowFinding)>,
}

impl Partner {
    /// Who invites: as the row says, otherwise as its package does. Name and address are never mixed, so that
    /// nobody gets the replies to somebody else.
    #[must_use]
    pub fn inviter(&self) -> (Option<&str>, Option<&Address>) {
        match (
            &self.inviter_name,
            &self.inviter_email,
            &self.package.inviter,
        ) {
            (None, None, Some((name, address))) => (name.as_deref(), Some(address)),
            (name, address, _) => (name.as_deref(), address.as_ref()),
        }
    }

    /// The invitation of this partner within a campaign.
    #[must_use]
    pub fn identity(&self, campaign: &str) -> Identity {
        Identity::new(campaign, self.package.link.package_id(), &self.address)
    }
}

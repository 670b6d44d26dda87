//! A contact at a partner: one good row of the list.

use std::sync::Arc;

use crate::address::Address;
use crate::config::Package;
use crate::digest;
use crate::invitation::Identity;
use crate::locale::Locale;

/// A contact at a partner: one good row.
#[derive(Clone, Debug)]
pub struct Partner {
    /// The line of the file, as an editor counts.
    pub line: u64,
    /// Where to write to.
    pub address: Address,
    /// The person's name.
    pub name: Option<String>,
    /// The partner's organisation.
    pub organization: Option<String>,
    /// The language asked for.
    pub locale: Option<Locale>,
    /// What the partner is invited to.
    pub package: Arc<Package>,
    /// The other columns' names, shared by all rows.
    pub extra_columns: Arc<[String]>,
    /// The cells of the other columns.
    pub extra: Vec<String>,
}

impl Partner {
    /// The invitation of this partner within a campaign.
    #[must_use]
    pub fn identity(&self, campaign: &str) -> Identity {
        Identity::new(campaign, self.package.link.package_id(), &self.address)
    }

    /// Eight bytes of SHA-256 that stand for all that the row gives to a message.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 8] {
        let locale = self.locale.as_ref().map(ToString::to_string);
        let known = [
            Some(self.address.as_written()),
            self.name.as_deref(),
            self.organization.as_deref(),
            locale.as_deref(),
            Some(&self.package.key),
        ];
        let known = known.map(Option::unwrap_or_default);
        digest::short(
            known
                .into_iter()
                .chain(self.extra.iter().map(String::as_str)),
        )
    }
}

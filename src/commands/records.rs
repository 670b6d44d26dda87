//! Records that the command line selects, by address, state and package.
//!
//! The ledger identifies a package by its id, a GUID. Its key in the configuration may be renamed, or reused for
//! another package, so records are selected by id only.

use crate::address::Address;
use crate::config::Config;
use crate::exit::{CommandError, Exit, Result};
use crate::invitation::{Occasion, Record, State, SuppressionSource};
use crate::ledger::{Reader, RecordFilter};
use crate::link::PackageId;

/// What the command line selects.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// The campaign.
    pub campaign: &'a str,
    /// The address.
    pub address: Option<&'a Address>,
    /// The state.
    pub state: Option<State>,
    /// The package: its id, or its key in the configuration.
    pub package: Option<&'a str>,
    /// Invitations or reminders.
    pub occasion: Occasion,
}

impl Selection<'_> {
    /// The selection as a filter of the ledger.
    ///
    /// # Errors
    /// If no package has this key, or its id is neither configured nor recorded in the campaign (65).
    pub async fn filter(&self, config: &Config, reader: &Reader) -> Result<RecordFilter> {
        Ok(RecordFilter {
            state: self.state,
            package_id: match self.package {
                Some(text) => Some(package_id(config, self.campaign, text, reader).await?),
                None => None,
            },
            address: self.address.map(Address::canonical),
            occasion: Some(self.occasion),
        })
    }

    /// The error that nobody has been invited under this address, to this package if one is named.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn not_recorded(
        &self,
        address: &Address,
        config: &Config,
        reader: &Reader,
    ) -> Result<CommandError> {
        if is_forgotten(reader, &address.canonical()).await? {
            let message = format!(
                "{address} was erased with `access-invite forget`: nothing about it is recorded, and no run mails it"
            );
            return Ok(CommandError::new(Exit::BadInput, message));
        }
        let campaign = self.campaign;
        let what = self.occasion;
        let mut message = format!(
            "no {what} to {address} is recorded in the campaign `{campaign}`; `access-invite status` lists all that are"
        );
        let mut filter = self.filter(config, reader).await?;
        filter.state = None;
        if let (Some(text), Some(id)) = (self.package, filter.package_id.take()) {
            let records = reader.page(campaign, &filter, 0).await?;
            let others = records.iter().filter(|it| it.identity.package_id != id);
            let others: Vec<String> = others.map(|it| label(config, it)).collect();
            if !others.is_empty() {
                message = format!(
                    "no {what} of `{campaign}` to {address} to `{text}` ({id}) is recorded, only to {}; select it with `--package`, by its key or its id",
                    others.join(" and ")
                );
            }
        }
        Ok(CommandError::new(Exit::BadInput, message))
    }
}

/// Whether this canonical address was erased with `forget`.
pub async fn is_forgotten(reader: &Reader, address: &str) -> Result<bool> {
    let entries = reader.suppressions_of(vec![address.to_owned()]).await?;
    let mut entries = entries.iter().flatten();
    Ok(entries.any(|it| it.source == SuppressionSource::Forgotten))
}

async fn package_id(
    config: &Config,
    campaign: &str,
    text: &str,
    reader: &Reader,
) -> Result<PackageId> {
    let id = PackageId::parse(text);
    let configured = match id {
        Some(id) => key_of(config, id).map(|_| id),
        None => config.package(text).map(|it| it.link.package_id()),
    };
    if let Some(id) = configured {
        return Ok(id);
    }
    let recorded = reader.packages(campaign).await?;
    let keys: Vec<&str> = config.packages.iter().map(|it| it.key.as_str()).collect();
    let keys = keys.join(", ");
    let message = match id {
        Some(id) if recorded.iter().any(|(it, _)| *it == id) => return Ok(id),
        Some(id) => format!(
            "the package {id} is neither configured nor recorded in the campaign `{campaign}` (configured: {keys})"
        ),
        None => {
            let former = recorded.iter().filter(|(_, key)| key == text);
            let former: Vec<String> = former.map(|(id, _)| format!("`--package {id}`")).collect();
            let hint = match former.as_slice() {
                [] => String::new(),
                some => format!(
                    "; invitations are recorded under this key: select them by the package's id, {}",
                    some.join(" or ")
                ),
            };
            format!("there is no package `{text}` in the configuration (configured: {keys}){hint}")
        }
    };
    Err(CommandError::new(Exit::BadInput, message))
}

/// The configured key of a package.
fn key_of(config: &Config, id: PackageId) -> Option<&str> {
    let mut packages = config.packages.iter();
    let found = packages.find(|it| it.link.package_id() == id)?;
    Some(&found.key)
}

/// What the package of a record is called: its key of today, or the one it was recorded under if it is
/// no longer configured.
pub fn package_name<'a>(config: &'a Config, record: &'a Record) -> &'a str {
    key_of(config, record.identity.package_id).unwrap_or(&record.invitee.package)
}

/// The same for people: with the id if the package is no longer configured, because then only the id
/// selects it.
pub fn label(config: &Config, record: &Record) -> String {
    let id = record.identity.package_id;
    let recorded = || format!("{} ({id})", record.invitee.package);
    key_of(config, id).map_or_else(recorded, str::to_owned)
}

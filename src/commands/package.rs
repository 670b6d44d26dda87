//! Packages on the command line and in reports.
//!
//! The ledger identifies a package by its id, a GUID. Its key in the configuration may be renamed, or reused for
//! another package, so records are selected by id only.

use crate::address::Address;
use crate::config::Config;
use crate::exit::{CommandError, Exit, Result};
use crate::invitation::Record;
use crate::ledger::{Reader, RecordFilter};
use crate::link::PackageId;

/// The id of the package that `text` names: an id, or the key of a configured package.
///
/// # Errors
/// If no such key is configured, or the id is neither configured nor recorded in the campaign (65).
pub async fn id_of(config: &Config, text: &str, reader: &Reader) -> Result<PackageId> {
    let id = PackageId::parse(text);
    if let Some(id) = id
        && key_of(config, id).is_some()
    {
        return Ok(id);
    }
    if let (None, Some(package)) = (id, config.package(text)) {
        return Ok(package.link.package_id());
    }
    let recorded = reader.packages(&config.campaign).await?;
    let keys: Vec<&str> = config.packages.iter().map(|it| it.key.as_str()).collect();
    let keys = keys.join(", ");
    let message = match id {
        Some(id) if recorded.iter().any(|(it, _)| *it == id) => return Ok(id),
        Some(id) => format!(
            "the package {id} is neither configured nor recorded in the campaign `{}` (configured: {keys})",
            config.campaign
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
pub fn name<'a>(config: &'a Config, record: &'a Record) -> &'a str {
    key_of(config, record.identity.package_id).unwrap_or(&record.invitee.package)
}

/// The same for people: with the id if the package is no longer configured, because then only the id
/// selects it.
pub fn label(config: &Config, record: &Record) -> String {
    let id = record.identity.package_id;
    match key_of(config, id) {
        Some(key) => key.to_owned(),
        None => format!("{} ({id})", record.invitee.package),
    }
}

/// The error that nobody has been invited under this address, to this package if one was named.
///
/// # Errors
/// If the ledger cannot be read.
pub async fn not_recorded(
    config: &Config,
    address: &Address,
    package: Option<(&str, PackageId)>,
    reader: &Reader,
) -> Result<CommandError> {
    let mut others = Vec::new();
    if let Some((_, id)) = package {
        let selection = RecordFilter {
            address: Some(address.canonical()),
            ..RecordFilter::default()
        };
        let records = reader.page(&config.campaign, &selection, 0).await?;
        let records = records.iter().filter(|it| it.identity.package_id != id);
        others.extend(records.map(|it| label(config, it)));
    }
    let campaign = &config.campaign;
    let message = match (package, others.as_slice()) {
        (Some((text, id)), [_, ..]) => format!(
            "no invitation of `{campaign}` to {address} to `{text}` ({id}) is recorded, only to {}; select it with `--package`, by its key or its id",
            others.join(" and ")
        ),
        _ => format!(
            "no invitation to {address} is recorded in the campaign `{campaign}`; `access-invite status` lists all that are"
        ),
    };
    Ok(CommandError::new(Exit::BadInput, message))
}

//! The files that runs write and that name partners, and how each of them loses an address.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::guards::{PREVIEW, SANDBOX};
use super::report;
use crate::address::Address;
use crate::config::Config;
use crate::events;
use crate::exit::Result;
use crate::ledger::Ledger;
use crate::partners::Partners;
use crate::report::count;
use crate::results::{self, Results};
use crate::review;

/// A place where runs write addresses.
pub enum Place {
    /// The results file.
    Results(PathBuf),
    /// The folder of a review.
    Review(PathBuf),
    /// A report.
    Report(PathBuf),
    /// The events file.
    Events(PathBuf),
}

/// The places that are known: those of the configuration, and the folders of reviews and the reports if no others are
/// named.
pub fn places(config: &Config) -> Vec<Place> {
    let results = config.results.iter().cloned().map(Place::Results);
    let reviews = [PREVIEW, SANDBOX].map(|it| Place::Review(it.into()));
    let reports = report::default_files().map(Place::Report);
    let events = config.monitoring.events.iter().cloned().map(Place::Events);
    results
        .chain(reviews)
        .chain(reports)
        .chain(events)
        .collect()
}

impl Place {
    /// Erases an address that the ledger has forgotten; gives what a person should know if there was anything.
    /// `clean` is the list, if it does not name the address.
    ///
    /// # Errors
    /// If a file cannot be written or removed.
    pub async fn erase(
        &self,
        config: &Config,
        address: &Address,
        clean: Option<&Arc<Partners>>,
        ledger: &Ledger,
        now: Timestamp,
    ) -> Result<Option<String>> {
        match self {
            Self::Results(path) => {
                let shown = path.display();
                let existed = results::remove(path)?;
                if !existed {
                    return Ok(None);
                }
                let Some(partners) = clean else {
                    let what = format!("{shown} was removed; the next run writes it again");
                    return Ok(Some(what));
                };
                let results = Results {
                    partners,
                    campaign: &config.campaign,
                    reader: ledger.reader(),
                    today: now.to_zoned_datetime(TimeZone::system()).date(),
                };
                results.write(path).await?;
                Ok(Some(format!("{shown} was written again")))
            }
            Self::Events(path) => {
                let erased = events::erase_address(path, address).await?;
                let mut parts = Vec::new();
                if erased.lines > 0 {
                    let lines = count(erased.lines, "line");
                    parts.push(format!("{}: erased from {lines}", path.display()));
                }
                for file in &erased.unreadable {
                    let shown = file.display();
                    parts.push(format!(
                        "{shown}: not read, so erase the address there by hand"
                    ));
                }
                Ok((!parts.is_empty()).then(|| parts.join("\n")))
            }
            Self::Report(path) => {
                let shown = path.display();
                let what = format!("{shown} was removed; `access-invite report` writes it again");
                Ok(report::remove(path)?.then_some(what))
            }
            Self::Review(path) => {
                let shown = path.display();
                let verb = if path.as_os_str() == SANDBOX {
                    "send --sandbox"
                } else {
                    "preview"
                };
                let what = format!(
                    "the review in {shown}/ was removed; `access-invite {verb}` writes it again"
                );
                Ok(review::remove(path)?.then_some(what))
            }
        }
    }
}

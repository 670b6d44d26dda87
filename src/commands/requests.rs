//! Who has asked for access: reads it from Microsoft Entra and records it, for `sync` and before mail is sent.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::preflight::connect;
use crate::config::Config;
use crate::console::Console;
use crate::entra::{GraphError, other_cloud};
use crate::exit::{CommandError, Exit, Result};
use crate::invitation::{AccessState, MessageIdKey, PersonHasher};
use crate::ledger::{AccessChange, Ledger};
use crate::link::PackageId;
use crate::report::{AccessRow, ReadPackage, RequestsReport};
use crate::sync::{PackageAccess, read_access};

/// How long what was read may be used before mail is sent.
const FRESH: SignedDuration = SignedDuration::from_hours(1);

/// What was read about a package.
pub struct PackageReading {
    /// The package.
    pub id: PackageId,
    /// Its first name in the configuration.
    name: String,
    /// When reading began.
    at: Timestamp,
    /// Everybody with a request, or why that cannot be read.
    pub access: std::result::Result<PackageAccess, GraphError>,
}

impl PackageReading {
    /// For the report of `sync`.
    pub fn row(&self) -> ReadPackage {
        let read = self.access.as_ref();
        ReadPackage {
            package: self.name.clone(),
            package_id: self.id.to_string(),
            requests: read.map_or(0, |it| it.requests),
            error: read.err().map(ToString::to_string),
        }
    }
}

/// The configured packages, if their requests can be read.
pub fn configured(config: &Config) -> BTreeSet<PackageId> {
    let ids = config.packages.iter().map(|it| it.link.package_id());
    ids.filter(|_| config.entra.is_some()).collect()
}

/// The exit code for requests that cannot be read.
pub fn exit_of(error: &GraphError) -> Exit {
    match error {
        GraphError::Permissions(_) => Exit::NoPermission,
        error if error.is_unreachable() => Exit::TryLater,
        _ => Exit::Config,
    }
}

/// Reads the requests for these packages. Once Microsoft Graph cannot be reached, or there is no token, the rest is
/// not tried.
pub async fn read_requests(
    config: &Config,
    packages: &BTreeSet<PackageId>,
    key: &MessageIdKey,
    console: &Console<'_>,
) -> Vec<PackageReading> {
    let Some(microsoft) = &config.microsoft else {
        return Vec::new();
    };
    let hasher = PersonHasher::new(key);
    let progress = console.counter("requests for access read");
    let mut graph = connect(microsoft);
    let mut readings = Vec::new();
    for id in packages {
        let mut configured = config.packages.iter();
        let Some(package) = configured.find(|it| it.link.package_id() == *id) else {
            continue;
        };
        let at = console.now();
        let access = match (other_cloud(package, microsoft.cloud), &graph) {
            (Some(elsewhere), _) => Err(GraphError::NotFound(elsewhere.to_string())),
            (None, Err(error)) => Err(error.clone()),
            (None, Ok(graph)) => read_access(graph, *id, &hasher, || progress.inc(1)).await,
        };
        if let Err(
            error @ (GraphError::Unreachable(_)
            | GraphError::Configuration(_)
            | GraphError::Permissions(_)),
        ) = &access
        {
            graph = Err(error.clone());
        }
        readings.push(PackageReading {
            id: *id,
            name: package.key.clone(),
            at,
            access,
        });
    }
    progress.finish_and_clear();
    readings
}

/// Records what was read. Gives the invited partners whose access has changed.
///
/// # Errors
/// If the ledger cannot be read or written.
pub async fn record_requests(
    ledger: &Ledger,
    readings: &[PackageReading],
) -> Result<Vec<AccessRow>> {
    let mut rows = Vec::new();
    for reading in readings {
        if let Ok(access) = &reading.access {
            let recorded = ledger.record_access(reading.id, &access.people, reading.at);
            rows.append(&mut changes_of_invited(ledger, reading.id, &recorded.await?).await?);
        }
    }
    Ok(rows)
}

/// The invitations of all campaigns whose partners these changes are about, not counting colleagues.
async fn changes_of_invited(
    ledger: &Ledger,
    package: PackageId,
    changes: &[AccessChange],
) -> Result<Vec<AccessRow>> {
    let reader = ledger.reader();
    let hasher = PersonHasher::new(&reader.key);
    let changes: HashMap<_, _> = changes.iter().map(|it| (it.person, it)).collect();
    let mut rows = Vec::new();
    let mut after = 0;
    while !changes.is_empty() {
        let invitations = reader.invitations_to(package, after).await?;
        let Some((last, _)) = invitations.last() else {
            break;
        };
        after = *last;
        for (_, identity) in invitations {
            if let Some(change) = changes.get(&hasher.of_address(&identity.address)) {
                rows.push(AccessRow {
                    campaign: identity.campaign,
                    email: identity.address,
                    package_id: package.to_string(),
                    from: change.from,
                    to: change.to,
                });
            }
        }
    }
    Ok(rows)
}

/// What [`refresh_requests`] has done.
#[derive(Default)]
pub struct Refreshed {
    /// Whether anything new was recorded.
    pub recorded: bool,
    /// The packages whose requests could not be read, and why.
    pub unread: Vec<(PackageId, GraphError)>,
}

impl Refreshed {
    /// Why not all could be read.
    pub fn error(&self) -> Option<CommandError> {
        let (_, first) = self.unread.first()?;
        let exits: Vec<_> = self.unread.iter().map(|it| exit_of(&it.1)).collect();
        let message = format!("it is not known who has asked for access: {first}");
        Some(CommandError::new(Exit::most_severe(&exits), message))
    }
}

/// Before mail is sent: reads and records the requests for those of these packages, given by their names in the
/// configuration, whose requests were not read within the last hour.
///
/// # Errors
/// If the ledger cannot be read or written.
pub async fn refresh_requests(
    config: &Config,
    ledger: &Ledger,
    names: impl IntoIterator<Item = &String>,
    console: &Console<'_>,
) -> Result<Refreshed> {
    let names: BTreeSet<&String> = names.into_iter().collect();
    let packages = config.packages.iter();
    let wanted = packages.filter(|it| names.contains(&it.key));
    let now = console.now();
    let mut due = BTreeSet::new();
    for id in wanted.map(|it| it.link.package_id()) {
        let read_at = ledger.reader().requests_read_at(vec![id]).await?;
        // A time in the future was recorded by a clock that was ahead.
        let is_fresh = |at: Timestamp| at <= now && now.duration_since(at) < FRESH;
        if !read_at.is_some_and(is_fresh) {
            due.insert(id);
        }
    }
    let readings = read_requests(config, &due, &ledger.reader().key, console).await;
    record_requests(ledger, &readings).await?;
    let recorded = readings.iter().any(|it| it.access.is_ok());
    let unread = readings
        .into_iter()
        .filter_map(|it| Some((it.id, it.access.err()?)));
    Ok(Refreshed {
        recorded,
        unread: unread.collect(),
    })
}

/// The exit codes for what was read: for what could not be read, and for new denials.
pub fn exits(report: &RequestsReport, readings: &[PackageReading]) -> Vec<Exit> {
    let unread = readings.iter().filter_map(|it| it.access.as_ref().err());
    let mut exits: Vec<_> = unread.map(exit_of).collect();
    let denied = report.changes.iter().any(|it| it.to == AccessState::Denied);
    exits.extend(denied.then_some(Exit::Refused));
    exits
}

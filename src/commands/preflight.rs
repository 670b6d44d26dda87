//! Before mail is sent: whether partners can request the access packages that are due, by Microsoft Entra.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::guards::nothing_was_sent;
use crate::config::{BeforeSend, Config, Microsoft, Package};
use crate::console::Console;
use crate::entra::{
    CHECK, Cache, Graph, GraphError, PackageReadings, PackageReport, other_cloud, package_report,
};
use crate::exit::{CommandError, Exit, ExitCode, Result, without_os_code};
use crate::finding::{Finding, Severity};
use crate::http::Proxies;

/// A client for Microsoft Graph.
///
/// # Errors
/// If the credential, `ca_file` or the proxy cannot be used.
pub fn connect(microsoft: &Microsoft) -> std::result::Result<Arc<Graph>, GraphError> {
    let proxies = Proxies::new(|name| std::env::var(name).ok());
    Graph::new(microsoft, proxies, Timestamp::now).map(Arc::new)
}

/// Reads and judges these packages. Returns a report for each, and the readings if anything was asked.
pub async fn read_packages(
    graph: &Arc<Graph>,
    microsoft: &Microsoft,
    packages: &[Arc<Package>],
) -> (Vec<PackageReport>, PackageReadings) {
    let elsewhere: Vec<_> = packages
        .iter()
        .map(|it| other_cloud(it, microsoft.cloud))
        .collect();
    let here = packages.iter().zip(&elsewhere).filter(|it| it.1.is_none());
    let ids: BTreeSet<_> = here.map(|it| it.0.link.package_id()).collect();
    let readings = PackageReadings::read(graph, &ids).await;
    let by_id: BTreeMap<_, _> = ids.into_iter().zip(&readings.packages).collect();
    let reports = packages.iter().zip(elsewhere).map(|(package, elsewhere)| {
        match by_id.get(&package.link.package_id()) {
            Some(reading) => package_report(package, reading, &readings),
            None => PackageReport {
                findings: elsewhere.into_iter().collect(),
                unread: Vec::new(),
            },
        }
    });
    (reports.collect(), readings)
}

/// What is asked before mail is sent.
pub struct Preflight {
    config: Arc<Config>,
    microsoft: Microsoft,
    before_send: BeforeSend,
    /// The names of the packages that were read.
    done: BTreeSet<String>,
}

impl Preflight {
    /// `None` if nothing is to be asked.
    #[must_use]
    pub fn new(config: &Arc<Config>) -> Option<Self> {
        let before_send = config.entra?.before_send;
        let microsoft = config.microsoft.clone()?;
        (before_send != BeforeSend::Off).then(|| Self {
            config: config.clone(),
            microsoft,
            before_send,
            done: BTreeSet::new(),
        })
    }

    /// Reads the packages that are due, given by their names with numbers, unless it has done so before. Prints
    /// warnings: on a terminal always, otherwise once a day.
    ///
    /// # Errors
    /// If partners cannot request one of them, and by `before_send = "refuse"`, if that cannot be read.
    pub async fn run(
        &mut self,
        due: &BTreeMap<String, u64>,
        console: &mut Console<'_>,
    ) -> Result<()> {
        let is_new = |it: &&Arc<Package>| due.contains_key(&it.key) && !self.done.contains(&it.key);
        let packages: Vec<_> = self
            .config
            .packages
            .iter()
            .filter(is_new)
            .cloned()
            .collect();
        if packages.is_empty() {
            return Ok(());
        }
        self.done.extend(packages.iter().map(|it| it.key.clone()));
        let now = console.now();
        let mut cache = Cache::read(&self.config, now);
        let (mut findings, unread) = match connect(&self.microsoft) {
            Ok(graph) => {
                let (reports, _) = read_packages(&graph, &self.microsoft, &packages).await;
                for (package, report) in packages.iter().zip(&reports) {
                    if report.unread.is_empty() {
                        cache.set_package(package, &report.findings, now);
                    }
                }
                let unread: Vec<_> = reports.iter().flat_map(|it| it.unread.clone()).collect();
                let findings = reports.into_iter().flat_map(|it| it.findings);
                (findings.collect::<Vec<_>>(), unread)
            }
            Err(error) => {
                let what = format!(
                    "not checked: whether partners can request the access packages: {error}"
                );
                (
                    vec![Finding::warning(CHECK, "microsoft", without_os_code(what))],
                    vec![error],
                )
            }
        };
        if self.before_send == BeforeSend::Warn {
            for finding in &mut findings {
                finding.severity = finding.severity.min(Severity::Warning);
            }
        }
        let is_refused = self.before_send == BeforeSend::Refuse && !unread.is_empty();
        let of = |severity| {
            let found = findings.iter().filter(|it| it.severity == severity);
            found.cloned().collect::<Vec<_>>()
        };
        let mut stopping = merged(of(Severity::Error));
        let mut warnings = of(Severity::Warning);
        let mut exits = Vec::new();
        if !stopping.is_empty() {
            exits.push(Exit::Config);
        }
        if is_refused {
            exits.extend(unread.iter().map(ExitCode::exit));
            stopping.extend(merged(warnings));
        } else {
            warnings.retain(|it| cache.is_warning_due(it, now) || console.interactive);
            console.report(&merged(warnings));
        }
        // The cache only saves work, and the next run tries again.
        let _ = cache.write();
        if stopping.is_empty() {
            return Ok(());
        }
        let texts: Vec<String> = stopping.iter().map(ToString::to_string).collect();
        let error = CommandError::new(Exit::most_severe(&exits), texts.join("\n"));
        Err(nothing_was_sent(error))
    }
}

/// What the last `send` or `check --entra` of this day found about the configured packages.
#[must_use]
pub fn cached_findings(config: &Config, now: Timestamp) -> Vec<Finding> {
    let before_send = config.entra.map(|it| it.before_send);
    let Some(before_send) = before_send.filter(|it| *it != BeforeSend::Off) else {
        return Vec::new();
    };
    let cache = Cache::read(config, now);
    let errors_stop = before_send != BeforeSend::Warn;
    let packages = config.packages.iter();
    packages
        .flat_map(|it| cache.package_findings(it, errors_stop))
        .collect()
}

/// Recommends the table `[entra]` to a job whose app registration could verify the access packages.
#[must_use]
pub fn recommendation(config: &Config) -> Option<Finding> {
    let is_possible = config.microsoft.is_some() && config.entra.is_none();
    is_possible.then(|| {
        Finding::new(
            CHECK,
            Severity::Note,
            "entra",
            "nothing verifies in Microsoft Entra that partners can request the access packages; add the table `[entra]`, so that `send` does, and try it with `check --entra`",
        )
    })
}

/// Findings that differ only in their place become one.
#[must_use]
pub fn merged(findings: Vec<Finding>) -> Vec<Finding> {
    /// How many places one finding names.
    const PLACES: usize = 5;
    let mut merged: Vec<(Finding, usize)> = Vec::new();
    for finding in findings {
        let same = merged.iter_mut().find(|(it, _)| {
            (it.severity, &it.what, &it.fix) == (finding.severity, &finding.what, &finding.fix)
        });
        match same {
            Some((first, places)) => {
                *places += 1;
                if *places <= PLACES {
                    first.at = format!("{}, {}", first.at, finding.at);
                }
            }
            None => merged.push((finding, 1)),
        }
    }
    let describe = |(mut finding, places): (Finding, usize)| {
        if places > PLACES {
            finding.at = format!("{} and {} more", finding.at, places - PLACES);
        }
        finding
    };
    merged.into_iter().map(describe).collect()
}

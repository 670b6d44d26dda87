//! `check --entra`: what Microsoft Entra says about the access packages and the domains of the list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::checks::Report;
use super::job::Job;
use super::preflight::{connect, merged, read_packages};
use crate::config::Config;
use crate::console::Console;
use crate::entra::{
    AccessPackage, CHECK, Cache, DomainLookups, Graph, GraphError, ListedDomains, PackageReadings,
    TenantPolicies, domain_findings, look_up, source_findings, tenant_findings,
};
use crate::exit::{CommandError, Exit, Result, without_os_code};
use crate::finding::{Finding, Severity};
use crate::partners::is_consumer_domain;

/// Checks the packages afresh, and the domains of the list, if it is usable.
pub async fn check_entra(
    config: &Arc<Config>,
    job: Option<&Job>,
    report: &mut Report,
    console: &mut Console<'_>,
) {
    let Some(microsoft) = &config.microsoft else {
        let message = "`check --entra` needs the table `[microsoft]`, the app registration that reads Microsoft Entra; add it";
        return report.fail(CHECK, "microsoft", CommandError::new(Exit::Config, message));
    };
    let Some(graph) = report.keep(CHECK, "microsoft", connect(microsoft)) else {
        return;
    };
    let now = console.now();
    let mut cache = Cache::read(config, now);
    let (reports, readings) = read_packages(&graph, microsoft, &config.packages).await;
    let mut findings = Vec::new();
    for (package, report) in config.packages.iter().zip(reports) {
        if report.unread.is_empty() {
            cache.set_package(package, &report.findings, now);
        }
        findings.extend(report.findings);
    }
    let tenant = readings.tenant.as_ref();
    let is_reachable = !tenant.is_err_and(GraphError::is_unreachable);
    if is_reachable {
        let policies = TenantPolicies::read(&graph, microsoft.cloud).await;
        findings.extend(tenant_findings(&policies));
        let domains = job.and_then(|it| report.keep("partners", "", domains_of(it)));
        if let Some(domains) = domains {
            let lookups = look_up_domains(&graph, &domains, &cache, console).await;
            cache.add_domains(&lookups.tenants, now);
            let packages = packages_by_name(config, &readings);
            findings.extend(domain_findings(&domains, &packages, &policies, &lookups));
        }
    } else {
        let message = "not checked: the settings of the tenant and the domains of the list, because Microsoft Graph cannot be reached; try again later";
        findings.push(Finding::warning(CHECK, "microsoft.tenant", message));
    }
    let mailbox = config.bounces.graph_mailbox.as_ref();
    let is_traced = config.entra.is_some_and(|it| it.message_trace);
    let traced = is_traced.then_some(&config.sender.address);
    findings.extend(source_findings(&graph, mailbox, traced, now).await);
    if let Err(error) = cache.write() {
        let path = config.ledger.entra_cache();
        let message = format!(
            "cannot write `{}`: {error}; the next check looks up all domains again",
            path.display()
        );
        findings.push(Finding::warning(
            CHECK,
            path.display(),
            without_os_code(message),
        ));
    }
    report.add_findings(merged(findings), Exit::Config);
}

/// The findings that are no warnings, as lines.
pub fn line_about_entra(finding: &Finding) -> Option<String> {
    let is_information = finding.check == CHECK && finding.severity < Severity::Warning;
    is_information.then(|| format!("{CHECK}: {finding}"))
}

/// The domains of the good rows.
fn domains_of(job: &Job) -> Result<ListedDomains> {
    let mut domains = ListedDomains::new();
    for partner in job.partners.iter() {
        let partner = partner?;
        let packages = domains
            .entry(partner.address.domain().to_owned())
            .or_default();
        packages.insert(partner.package.key.clone());
    }
    Ok(domains)
}

/// Looks up the domains that the cache lacks, except for those of mail services open to everyone.
async fn look_up_domains(
    graph: &Arc<Graph>,
    domains: &ListedDomains,
    cache: &Cache,
    console: &Console<'_>,
) -> DomainLookups {
    let domains = domains.keys().filter(|it| !is_consumer_domain(it));
    let domains: BTreeSet<String> = domains.cloned().collect();
    let known = cache.domains();
    let unknown = domains.iter().filter(|it| !known.contains_key(*it)).count();
    let bar = console.progress(unknown.min(DomainLookups::LIMIT) as u64);
    let lookups = look_up(graph, &domains, known, &mut || bar.inc(1)).await;
    bar.finish_and_clear();
    lookups
}

/// The configured packages that were read, each with all policies that were read.
fn packages_by_name(
    config: &Config,
    readings: &PackageReadings,
) -> BTreeMap<String, AccessPackage> {
    let found = readings.packages.iter().filter_map(|it| {
        let mut package = it.package.clone().ok()??;
        if let Some(Ok(listed)) = &it.listed_policies {
            package = package.with_listed(listed);
        }
        Some((package.package_id()?, package))
    });
    let by_id: BTreeMap<_, _> = found.collect();
    let packages = config.packages.iter().filter_map(|it| {
        let found = by_id.get(&it.link.package_id())?;
        Some((it.key.clone(), found.clone()))
    });
    packages.collect()
}

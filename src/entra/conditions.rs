//! Whether partners can request a configured access package, from what Microsoft Graph returned.
//!
//! An error is what certainly makes the link useless. Everything that could not be read, and every member
//! that this program does not know, is a warning that says what was not checked.

use std::collections::HashSet;

use super::access::{Obstacle, OutsideAccess};
use super::error::GraphError;
use super::model::{AccessPackage, CatalogState, Organization};
use super::package_reading::{PackageReading, PackageReadings};
use super::wording::{Findings, shown};
use crate::config::{Cloud, Package};
use crate::finding::Finding;
use crate::link::PackageId;

const OVERVIEW: &str = "Identity governance > Entitlement management > Access packages";
const CATALOGS: &str = "Identity governance > Entitlement management > Catalogs";

/// What was found about one configured package.
#[derive(Clone, Debug, Default)]
pub struct PackageReport {
    /// The findings; those that are no errors and no warnings are information.
    pub findings: Vec<Finding>,
    /// Why something about the package could not be read.
    pub unread: Vec<GraphError>,
}

/// Whether the link is for a portal of another cloud than that of the app registration.
#[must_use]
pub fn other_cloud(package: &Package, cloud: Cloud) -> Option<Finding> {
    let is_government = match package.link.host() {
        "myaccess.microsoft.com" => false,
        "myaccess.microsoft.us" => true,
        // The operator named another host in `allow_host`.
        _ => return None,
    };
    let (expected, name) = match cloud {
        Cloud::Global => (false, "global"),
        Cloud::UsGov => (true, "us-gov"),
        Cloud::UsGovDod => (true, "us-gov-dod"),
        Cloud::China => return None,
    };
    if is_government == expected {
        return None;
    }
    let mut findings = Findings::about(package);
    let host = package.link.host();
    findings.warning(
        format!("not checked: the link leads to `{host}`, which belongs to another cloud than `microsoft.cloud` = \"{name}\""),
        "compare the link and `microsoft.cloud` with the cloud of your tenant",
    );
    findings.list.pop()
}

/// Judges one package. `readings` has what is known about the tenant.
#[must_use]
pub fn package_report(
    package: &Package,
    reading: &PackageReading,
    readings: &PackageReadings,
) -> PackageReport {
    let mut report = Evaluation {
        findings: Findings::about(package),
        unread: Vec::new(),
    };
    match &reading.package {
        Err(error) => report.not_checked("the access package", error),
        Ok(None) => report.missing(package, &readings.tenant, readings.listed.as_ref()),
        Ok(Some(found)) => {
            report.hint(package, found, &readings.tenant);
            report.catalog(found);
            report.policies(found, reading);
            report.conclude(found);
            report.visibility(found);
        }
    }
    PackageReport {
        findings: report.findings.list,
        unread: report.unread,
    }
}

struct Evaluation {
    findings: Findings,
    unread: Vec<GraphError>,
}

impl Evaluation {
    fn not_checked(&mut self, what: &str, error: &GraphError) {
        self.findings.not_checked(what, error);
        self.unread.push(error.clone());
    }

    /// There is no package with this id.
    fn missing(
        &mut self,
        package: &Package,
        tenant: &Result<Organization, GraphError>,
        listed: Option<&Result<HashSet<PackageId>, GraphError>>,
    ) {
        let (id, hint) = (package.link.package_id(), package.link.directory_hint());
        let tenant = match tenant {
            Ok(tenant) => tenant,
            Err(error) => return self.not_checked("whether the link leads to your tenant", error),
        };
        let name = name_of(tenant);
        if !tenant.is_named_by(hint) {
            return self.findings.warning(
                format!("not checked: the link leads to another tenant, because its directory hint `{hint}` is no domain of {name}"),
                "if the access package is in your tenant, copy its \"My Access portal link\" again",
            );
        }
        match listed {
            Some(Ok(ids)) if !ids.contains(&id) => self.findings.error(
                format!("the tenant {name} has no access package with the id `{id}`, so the link opens nothing"),
                format!("copy \"My Access portal link\" from the access package's overview in the Microsoft Entra admin center ({OVERVIEW})"),
            ),
            Some(Err(error)) => self.not_checked("whether the access package exists", error),
            _ => self.findings.warning(
                "not checked: Microsoft Graph lists the access package, but does not return it",
                "run the check again in some minutes",
            ),
        }
    }

    /// The link's hint must be a domain of the tenant that has the package.
    fn hint(
        &mut self,
        package: &Package,
        found: &AccessPackage,
        tenant: &Result<Organization, GraphError>,
    ) {
        let hint = package.link.directory_hint();
        match tenant {
            Err(error) => {
                let what =
                    format!("whether the directory hint `{hint}` is a domain of your tenant");
                self.not_checked(&what, error);
            }
            Ok(tenant) if tenant.is_named_by(hint) => {}
            Ok(tenant) => {
                let (title, name) = (shown(&found.display_name), name_of(tenant));
                let domain = shown(tenant.initial_domain().unwrap_or("DOMAIN"));
                self.findings.error(
                    format!("the access package \"{title}\" is in the tenant {name}, but the directory hint `{hint}` is no domain of this tenant, so the link opens another one"),
                    format!("write `/@{domain}`, or copy \"My Access portal link\" from the access package's overview in the Microsoft Entra admin center ({OVERVIEW})"),
                );
            }
        }
    }

    fn catalog(&mut self, found: &AccessPackage) {
        let Some(catalog) = &found.catalog else {
            return self.findings.warning(
                "not checked: Microsoft Graph returned no catalog of the access package",
                "check that its catalog is enabled, also for external users",
            );
        };
        let name = shown(&catalog.display_name);
        let page = format!("in the Microsoft Entra admin center ({CATALOGS} > {name} > Edit)");
        match catalog.state {
            CatalogState::Published => {}
            CatalogState::Unpublished => self.findings.error(
                format!("the catalog \"{name}\" is not enabled, so nobody can request the access package"),
                format!("set \"Enabled\" to Yes {page}"),
            ),
            CatalogState::Unknown => self.findings.warning(
                format!("not checked: Microsoft Graph does not say whether the catalog \"{name}\" is enabled"),
                format!("check \"Enabled\" {page}"),
            ),
        }
        match catalog.is_externally_visible {
            Some(true) => {}
            Some(false) => self.findings.error(
                format!("the catalog \"{name}\" is not enabled for external users, so partners cannot request the access package"),
                format!("set \"Enabled for external users\" to Yes {page}"),
            ),
            None => self.findings.warning(
                format!("not checked: Microsoft Graph does not say whether the catalog \"{name}\" is enabled for external users"),
                format!("check \"Enabled for external users\" {page}"),
            ),
        }
    }

    fn policies(&mut self, found: &AccessPackage, reading: &PackageReading) {
        let listed = reading.listed_policies.as_ref();
        let mut found = found.clone();
        if let Some(Ok(listed)) = listed {
            found = found.with_listed(listed);
        }
        let name = shown(&found.display_name);
        let page = format!("in the Microsoft Entra admin center ({OVERVIEW} > {name} > Policies)");
        let add = format!("add a policy \"For users not in your directory\" {page}");
        let is_off = found.obstacles().contains(&Obstacle::SelfRequestOff);
        let (obstacle, fix) = if is_off {
            (
                Obstacle::SelfRequestOff,
                format!(
                    "set \"Enable new requests\" to Yes and allow requests for \"Self\" {page}"
                ),
            )
        } else {
            (Obstacle::NoExternalPolicy, add.clone())
        };
        match found.outside_access() {
            OutsideAccess::Outsiders => {}
            OutsideAccess::GuestsOnly => self.findings.warning(
                format!("only partners who are already guests of the tenant can request the access package \"{name}\": {obstacle}"),
                format!("if others are on the list, {add}"),
            ),
            OutsideAccess::Unknown => self.findings.warning(
                format!("not checked: Microsoft Graph does not say whether partners can request the access package \"{name}\", or has a kind of policy that this version does not know"),
                format!("check for a policy \"For users not in your directory\" {page}"),
            ),
            OutsideAccess::Nobody => match listed {
                Some(Err(error)) => {
                    let what = format!("whether partners can request the access package \"{name}\" ({obstacle})");
                    self.not_checked(&what, error);
                }
                _ => self.findings.error(
                    format!("partners cannot request the access package \"{name}\": {obstacle}"),
                    fix,
                ),
            },
        }
    }

    /// Says so if nothing speaks against the package.
    fn conclude(&mut self, found: &AccessPackage) {
        if self.findings.list.is_empty() {
            let name = shown(&found.display_name);
            self.findings.ok(format!(
                "partners can request the access package \"{name}\""
            ));
        }
    }

    fn visibility(&mut self, found: &AccessPackage) {
        let name = shown(&found.display_name);
        self.findings.note(match found.is_hidden {
            Some(true) => format!("the access package \"{name}\" is hidden: partners reach it by its link only"),
            Some(false) => format!("the access package \"{name}\" is not hidden: everyone who can request it also finds it in the portal"),
            None => format!("Microsoft Graph does not say whether the access package \"{name}\" is hidden"),
        });
    }
}

fn name_of(tenant: &Organization) -> String {
    let name = tenant.initial_domain().unwrap_or(&tenant.id);
    format!("`{}`", shown(name))
}

//! Every condition, without a connection: what was read, and what follows from it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::connected_organization::{ConnectedOrganization, IdentitySource, OrganizationState};
use super::domain_list::DomainList;
use super::domain_lookup::DomainTenant::{self, Known, NoTenant, Unknown as NotLookedUp};
use super::tenant::EmailOtp;
use super::*;
use crate::config::testing::GOOD;
use crate::config::{Cloud, Config, Package};
use crate::finding::{Finding, Severity};

fn package() -> Arc<Package> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, GOOD).unwrap();
    Config::load(&path).unwrap().packages.remove(0)
}

fn forbidden() -> GraphError {
    GraphError::Forbidden {
        message: "it was refused; grant it".into(),
        permission: "EntitlementManagement.Read.All",
    }
}

fn policy(scope: TargetScope, self_request: bool) -> AssignmentPolicy {
    AssignmentPolicy {
        allowed_target_scope: scope,
        requestor_settings: Some(RequestorSettings {
            enable_targets_to_self_add_access: Some(self_request),
        }),
        ..AssignmentPolicy::default()
    }
}

/// A package in good order with these policies.
fn found(policies: Vec<AssignmentPolicy>) -> AccessPackage {
    AccessPackage {
        id: package().link.package_id().to_string(),
        display_name: "Harbour; plans\u{7}".into(),
        is_hidden: Some(true),
        catalog: Some(Catalog {
            display_name: "General".into(),
            state: CatalogState::Published,
            is_externally_visible: Some(true),
            ..Catalog::default()
        }),
        assignment_policies: Some(policies),
        ..AccessPackage::default()
    }
}

/// A tenant with one domain.
fn tenant(domain: &str) -> Organization {
    Organization {
        id: "1b2c".into(),
        verified_domains: vec![VerifiedDomain {
            name: domain.into(),
            is_initial: true,
            is_default: true,
        }],
        ..Organization::default()
    }
}

type Listed<T> = Option<Result<T, GraphError>>;

fn judge(
    read: Result<Option<AccessPackage>, GraphError>,
    listed_policies: Listed<Vec<AssignmentPolicy>>,
    tenant: Result<Organization, GraphError>,
    listed: Listed<HashSet<crate::link::PackageId>>,
) -> PackageReport {
    let reading = PackageReading {
        package: read,
        listed_policies,
    };
    let readings = PackageReadings {
        tenant,
        packages: vec![reading.clone()],
        listed,
    };
    package_report(&package(), &reading, &readings)
}

/// The most severe finding, and whether something was not read.
fn verdict(report: &PackageReport) -> (Severity, bool) {
    // The note about hidden packages says nothing about requests.
    let judged = report
        .findings
        .iter()
        .filter(|it| it.severity != Severity::Note);
    let worst = judged.map(|it| it.severity).max().unwrap();
    (worst, !report.unread.is_empty())
}

#[test]
fn policies_of_the_package_and_of_the_list_decide_together() {
    use TargetScope as T;
    let (outside, guests) = (T::AllExternalUsers, T::AllDirectoryUsers);
    let yes = |scope| vec![policy(scope, true)];
    let no = |scope| vec![policy(scope, false)];
    let ok = (Severity::Ok, false);
    let warning = (Severity::Warning, false);
    let error = (Severity::Error, false);
    let unread = (Severity::Warning, true);
    for (policies, listed, expected) in [
        (yes(outside), None, ok),
        (vec![], Some(Ok(vec![])), error),
        (no(outside), Some(Ok(no(outside))), error),
        (
            yes(T::AllMemberUsers),
            Some(Ok(yes(T::AllMemberUsers))),
            error,
        ),
        (vec![], Some(Ok(yes(outside))), ok),
        (vec![], Some(Ok(yes(guests))), warning),
        (vec![], Some(Ok(yes(T::Unknown))), warning),
        (vec![], Some(Err(forbidden())), unread),
        (yes(guests), Some(Ok(yes(guests))), warning),
        (yes(guests), Some(Ok(yes(outside))), ok),
        (yes(guests), Some(Ok(vec![])), warning),
        (yes(guests), Some(Err(forbidden())), warning),
        (yes(T::Unknown), Some(Ok(vec![])), warning),
        (yes(T::Unknown), Some(Ok(yes(outside))), ok),
    ] {
        let ours = Ok(tenant("Fabrikam.onmicrosoft.com"));
        let report = judge(
            Ok(Some(found(policies.clone()))),
            listed.clone(),
            ours,
            None,
        );
        assert_eq!(
            verdict(&report),
            expected,
            "{policies:?} {listed:?}: {report:?}"
        );
        for finding in &report.findings {
            assert!(!finding.what.contains('\u{7}'), "{finding:?}");
        }
    }
}

#[test]
fn hint_and_id_decide_which_tenant_the_link_is_for() {
    let id = package().link.package_id();
    let good = || {
        Ok(Some(found(vec![policy(
            TargetScope::AllExternalUsers,
            true,
        )])))
    };
    let ours = || Ok(tenant("fabrikam.onmicrosoft.com"));
    let other = || Ok(tenant("contoso.onmicrosoft.com"));
    let here = || Some(Ok(HashSet::from([id])));
    let nowhere = || Some(Ok(HashSet::new()));
    let refused = || Some(Err(forbidden()));
    for (read, tenant, listed, expected) in [
        (good(), ours(), None, (Severity::Ok, false)),
        (good(), other(), None, (Severity::Error, false)),
        (good(), Err(forbidden()), None, (Severity::Warning, true)),
        (Ok(None), ours(), nowhere(), (Severity::Error, false)),
        (Ok(None), ours(), here(), (Severity::Warning, false)),
        (Ok(None), ours(), refused(), (Severity::Warning, true)),
        (Ok(None), other(), nowhere(), (Severity::Warning, false)),
        (
            Ok(None),
            Err(forbidden()),
            nowhere(),
            (Severity::Warning, true),
        ),
        (Err(forbidden()), ours(), None, (Severity::Warning, true)),
    ] {
        let report = judge(read.clone(), None, tenant.clone(), listed.clone());
        assert_eq!(
            verdict(&report),
            expected,
            "{read:?} {tenant:?} {listed:?}: {report:?}"
        );
    }
}

#[test]
fn only_a_link_for_the_portal_of_another_cloud_is_not_checked() {
    for (cloud, is_other) in [
        (Cloud::Global, false),
        (Cloud::UsGov, true),
        (Cloud::UsGovDod, true),
        (Cloud::China, false),
    ] {
        let finding = other_cloud(&package(), cloud);
        assert_eq!(finding.is_some(), is_other, "{cloud:?}");
        assert!(finding.is_none_or(|it| it.severity == Severity::Warning));
    }
}

/// Settings that speak against nobody.
fn policies(organizations: Vec<ConnectedOrganization>) -> TenantPolicies {
    TenantPolicies {
        organizations: Ok(organizations),
        email_otp: Ok(EmailOtp::Default),
        domain_list: Some(Ok(DomainList::default())),
        cross_tenant_default: Ok(false),
        cross_tenant_partners: Ok(Vec::new()),
        invitations_are_off: Ok(false),
        conditional_access: Ok(Vec::new()),
        licence_expired: Ok(false),
    }
}

fn organization(
    state: OrganizationState,
    tenant: Option<&str>,
    domain: Option<&str>,
) -> ConnectedOrganization {
    ConnectedOrganization {
        id: "organization".into(),
        state,
        identity_sources: vec![IdentitySource {
            tenant_id: tenant.map(str::to_owned),
            domain_name: domain.map(str::to_owned),
        }],
        ..ConnectedOrganization::default()
    }
}

/// The warnings about the partners of one domain.
fn warnings(
    domain: &str,
    scope: TargetScope,
    policies: &TenantPolicies,
    tenant: DomainTenant<'_>,
) -> Vec<Finding> {
    let domains = ListedDomains::from([(domain.into(), ["project".to_owned()].into())]);
    let mut policy = policy(scope, true);
    policy.specific_allowed_targets = vec![SubjectSet {
        connected_organization_id: Some("organization".into()),
    }];
    let packages = BTreeMap::from([("project".to_owned(), found(vec![policy]))]);
    let lookups = DomainLookups {
        tenants: match tenant {
            Known(id) => BTreeMap::from([(domain.to_owned(), Some(id.to_owned()))]),
            NoTenant => BTreeMap::from([(domain.to_owned(), None)]),
            NotLookedUp => BTreeMap::new(),
        },
        ..DomainLookups::default()
    };
    let findings = domain_findings(&domains, &packages, policies, &lookups);
    let is_warning = |it: &Finding| it.severity >= Severity::Warning;
    assert!(findings.iter().all(|it| it.severity < Severity::Error));
    findings.into_iter().filter(is_warning).collect()
}

#[test]
fn a_domain_is_admitted_by_its_organization_or_by_a_policy_for_all_users() {
    use OrganizationState::{Configured, Proposed, Unknown};
    use TargetScope as T;
    let all = T::AllConfiguredConnectedOrganizationUsers;
    let specific = T::SpecificConnectedOrganizationUsers;
    let a = "a.example";
    let by_tenant = |state| vec![organization(state, Some("A1"), None)];
    let by_domain = || vec![organization(Configured, None, Some("A.example"))];
    let other = || vec![organization(Configured, Some("b2"), None)];
    for (domain, scope, organizations, tenant, words) in [
        (a, T::AllExternalUsers, vec![], Known("a1"), None),
        (a, T::AllExternalUsers, vec![], NotLookedUp, None),
        (a, all, by_tenant(Configured), Known("a1"), None),
        (a, all, by_tenant(Unknown), Known("a1"), None),
        (
            a,
            all,
            by_tenant(Proposed),
            Known("a1"),
            Some("only proposed"),
        ),
        (a, specific, by_tenant(Proposed), Known("a1"), None),
        (
            a,
            all,
            other(),
            Known("a1"),
            Some("no connected organization"),
        ),
        (a, all, vec![], NoTenant, Some("no connected organization")),
        (a, all, by_domain(), NoTenant, None),
        (a, all, by_domain(), NotLookedUp, None),
        (
            a,
            all,
            by_domain(),
            Known("a1"),
            Some("connected by domain"),
        ),
        (
            a,
            all,
            by_tenant(Configured),
            NotLookedUp,
            Some("not checked: "),
        ),
        (
            a,
            all,
            vec![],
            NotLookedUp,
            Some("no connected organization"),
        ),
        (
            "gmail.com",
            all,
            by_tenant(Configured),
            NotLookedUp,
            Some("open to everyone"),
        ),
        ("gmail.com", T::AllExternalUsers, vec![], NotLookedUp, None),
        // The package itself is at fault, which another finding says.
        (a, T::AllMemberUsers, vec![], NoTenant, None),
    ] {
        let found = warnings(domain, scope, &policies(organizations.clone()), tenant);
        let what = format!("{domain} {scope:?} {organizations:?} {tenant:?}: {found:?}");
        match words {
            None => assert!(found.is_empty(), "{what}"),
            Some(words) => {
                assert_eq!(found.len(), 1, "{what}");
                assert!(found[0].what.contains(words), "{words}: {what}");
            }
        }
    }
}

#[test]
fn settings_for_all_packages_speak_against_a_domain() {
    let scope = TargetScope::AllExternalUsers;
    let tenant = Known("a1");
    let with = |change: &dyn Fn(&mut TenantPolicies)| {
        let mut policies = policies(Vec::new());
        change(&mut policies);
        policies
    };
    let blocked = |list: &[&str]| DomainList {
        blocked_domains: list.iter().map(|it| (*it).to_owned()).collect(),
        ..DomainList::default()
    };
    let otp = |state| with(&|it| it.email_otp = Ok(state));
    let list = |domains: &[&str]| with(&|it| it.domain_list = Some(Ok(blocked(domains))));
    let partner =
        |id: &str, blocked| with(&|it| it.cross_tenant_partners = Ok(vec![(id.into(), blocked)]));
    for (policies, tenant, words) in [
        (otp(EmailOtp::Disabled), tenant, None),
        (
            otp(EmailOtp::Disabled),
            NoTenant,
            Some("one-time passcodes by e-mail are off"),
        ),
        (otp(EmailOtp::Disabled), NotLookedUp, None),
        (otp(EmailOtp::Enabled), NoTenant, None),
        (otp(EmailOtp::Unknown), tenant, Some("not checked: ")),
        (
            list(&["a.example"]),
            tenant,
            Some("collaboration restrictions"),
        ),
        (list(&["b.example"]), tenant, None),
        (partner("a1", true), tenant, Some("are blocked")),
        (partner("a1", true), NotLookedUp, None),
        (partner("a1", false), tenant, None),
        (partner("b2", true), tenant, None),
    ] {
        let found = warnings("a.example", scope, &policies, tenant);
        let texts: Vec<_> = found.iter().map(|it| it.what.as_str()).collect();
        match words {
            None => assert!(texts.is_empty(), "{texts:?}"),
            Some(words) => {
                assert_eq!(texts.len(), 1, "{words}: {texts:?}");
                assert!(texts[0].contains(words), "{words}: {texts:?}");
            }
        }
    }
}

#[test]
fn the_tenant_as_a_whole_is_judged_and_unread_settings_are_named() {
    assert!(tenant_findings(&policies(Vec::new())).is_empty());
    let mut unread = policies(Vec::new());
    unread.cross_tenant_default = Err(forbidden());
    unread.conditional_access = Err(GraphError::Unreachable("it is down; wait".into()));
    let severities: Vec<_> = tenant_findings(&unread)
        .iter()
        .map(|it| it.severity)
        .collect();
    // A permission that the application need not have is no warning.
    assert_eq!(severities, [Severity::Note, Severity::Warning]);

    let mut bad = policies(Vec::new());
    bad.cross_tenant_default = Ok(true);
    bad.invitations_are_off = Ok(true);
    bad.licence_expired = Ok(true);
    bad.conditional_access = Ok(vec!["Block\nguests".into()]);
    let found = tenant_findings(&bad);
    assert_eq!(found.len(), 4);
    assert!(
        found
            .iter()
            .all(|it| it.severity == Severity::Warning && !it.fix.is_empty())
    );
    assert!(
        found.iter().any(|it| it.what.contains("\"Block guests\"")),
        "{found:?}"
    );
}

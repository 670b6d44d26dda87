//! Whether the policies of the tenant admit the partners of a list, by their domains.
//!
//! Nothing here is certain, so nothing is an error: an address at a domain of a tenant does not prove that its
//! owner signs in there.

use std::collections::{BTreeMap, BTreeSet};

use super::access::OutsideAccess;
use super::connected_organization::{ConnectedOrganization, OrganizationState};
use super::domain_lookup::{DomainLookups, DomainTenant};
use super::model::{AccessPackage, AssignmentPolicy, TargetScope};
use super::tenant::{EmailOtp, TenantPolicies};
use super::tenant_conditions::not_checked;
use super::wording::{COLLABORATION, CROSS_TENANT, Findings};
use crate::config::first_of;
use crate::finding::Finding;
use crate::partners::is_consumer_domain;

/// How many domains one finding names.
const NAMED: usize = 10;
const ORGANIZATIONS: &str =
    "Identity governance > Entitlement management > Connected organizations";

/// The domains of the list, each with the packages for which partners are listed.
pub type ListedDomains = BTreeMap<String, BTreeSet<String>>;

/// Why partners of a domain may not be able to request a package, or not get it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Doubt {
    NotConnected { package: String },
    Consumer { package: String },
    Proposed { package: String },
    MayBeConnected { package: String },
    ByDomain,
    NeedsOtp,
    Blocked,
    CrossTenant,
}

/// Judges the domains of a list. `packages` are the configured packages that were read, by name.
#[must_use]
pub fn domain_findings(
    domains: &ListedDomains,
    packages: &BTreeMap<String, AccessPackage>,
    policies: &TenantPolicies,
    lookups: &DomainLookups,
) -> Vec<Finding> {
    let mut doubts: BTreeMap<Doubt, Vec<&str>> = BTreeMap::new();
    for (domain, wanted) in domains {
        let domain = Domain {
            name: domain,
            is_consumer: is_consumer_domain(domain),
            tenant: lookups.tenant_of(domain),
        };
        let mut found = domain.settings(policies);
        for (name, package) in packages.iter().filter(|it| wanted.contains(it.0)) {
            let assignment = package.assignment_policies.as_deref().unwrap_or_default();
            if OutsideAccess::of(assignment) == OutsideAccess::Outsiders {
                found.extend(domain.connection(name, assignment, policies));
            }
        }
        for doubt in found {
            doubts.entry(doubt).or_default().push(domain.name);
        }
    }
    let mut findings = Findings::at("partners.file");
    not_checked(policies, lookups, &mut findings);
    for (doubt, domains) in &doubts {
        let named = first_of(domains.iter().map(ToString::to_string), NAMED);
        let (what, fix) = doubt.describe(&named);
        findings.warning(what, fix);
    }
    if doubts.is_empty() && !domains.is_empty() {
        let number = domains.len();
        findings.note(format!(
            "nothing was found against the domains of the list ({number})"
        ));
    }
    findings.list
}

/// One domain of the list.
struct Domain<'a> {
    name: &'a str,
    is_consumer: bool,
    tenant: DomainTenant<'a>,
}

impl Domain<'_> {
    fn tenant(&self) -> Option<&str> {
        match self.tenant {
            DomainTenant::Known(id) => Some(id),
            DomainTenant::NoTenant | DomainTenant::Unknown => None,
        }
    }

    /// What settings for all packages say about it.
    fn settings(&self, policies: &TenantPolicies) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        let has_no_account = self.is_consumer || self.tenant == DomainTenant::NoTenant;
        if has_no_account && policies.email_otp == Ok(EmailOtp::Disabled) {
            doubts.push(Doubt::NeedsOtp);
        }
        if let Some(Ok(list)) = &policies.domain_list
            && !list.admits(self.name)
        {
            doubts.push(Doubt::Blocked);
        }
        if let (Some(tenant), Ok(partners)) = (self.tenant(), &policies.cross_tenant_partners)
            && partners
                .iter()
                .any(|(id, blocked)| id == tenant && *blocked)
        {
            doubts.push(Doubt::CrossTenant);
        }
        if let (Ok(organizations), Some(tenant)) = (&policies.organizations, self.tenant())
            && let mut found = organizations
                .iter()
                .filter(|it| it.has(self.name, Some(tenant)))
                .peekable()
            && found.peek().is_some()
            && found.all(ConnectedOrganization::is_by_domain)
        {
            doubts.push(Doubt::ByDomain);
        }
        doubts
    }

    /// Whether one of these policies is for this domain.
    fn connection(
        &self,
        package: &str,
        assignment: &[AssignmentPolicy],
        policies: &TenantPolicies,
    ) -> Option<Doubt> {
        let Ok(organizations) = &policies.organizations else {
            return None;
        };
        let open = || {
            assignment
                .iter()
                .filter(|it| it.self_request() == Some(true))
        };
        let has_scope = |scope| open().any(|it| it.allowed_target_scope == scope);
        if has_scope(TargetScope::AllExternalUsers) {
            return None;
        }
        let all_configured = has_scope(TargetScope::AllConfiguredConnectedOrganizationUsers);
        let is_named = |organization: &ConnectedOrganization| {
            let mut targets = open()
                .filter(|it| {
                    it.allowed_target_scope == TargetScope::SpecificConnectedOrganizationUsers
                })
                .flat_map(|it| &it.specific_allowed_targets);
            targets.any(|it| it.connected_organization_id.as_deref() == Some(&organization.id))
        };
        let mut is_proposed = false;
        for organization in organizations
            .iter()
            .filter(|it| it.has(self.name, self.tenant()))
        {
            let is_configured = organization.state != OrganizationState::Proposed;
            if is_named(organization) || (all_configured && is_configured) {
                return None;
            }
            is_proposed |= !is_configured;
        }
        let package = package.to_owned();
        let by_tenant = |it: &ConnectedOrganization| {
            let relevant = all_configured || is_named(it);
            relevant
                && it
                    .identity_sources
                    .iter()
                    .any(|it| it.tenant_id.is_some() || it.domain_name.is_none())
        };
        Some(if is_proposed && all_configured {
            Doubt::Proposed { package }
        } else if self.is_consumer {
            Doubt::Consumer { package }
        } else if self.tenant == DomainTenant::Unknown && organizations.iter().any(by_tenant) {
            Doubt::MayBeConnected { package }
        } else {
            Doubt::NotConnected { package }
        })
    }
}

impl Doubt {
    /// What is doubtful about these domains, and how to fix it.
    fn describe(&self, domains: &str) -> (String, String) {
        let page = |page: &str| format!("in the Microsoft Entra admin center ({page})");
        match self {
            Self::NotConnected { package } => (
                format!("no connected organization of a policy of `{package}` has these domains, so their partners cannot request it: {domains}"),
                format!("add the organizations {}, or a policy for \"All users\"", page(ORGANIZATIONS)),
            ),
            Self::Consumer { package } => (
                format!("these domains are mail services open to everyone, whose users the policies of `{package}` do not admit: {domains}"),
                "ask these partners for an address of their organization, or add a policy for \"All users\"".into(),
            ),
            Self::Proposed { package } => (
                format!("the connected organization of these domains is only proposed, so the policies of `{package}` do not admit it: {domains}"),
                format!("set its state to \"Configured\" {}", page(ORGANIZATIONS)),
            ),
            Self::MayBeConnected { package } => (
                format!("not checked: whether the policies of `{package}` admit these domains, because their tenants were not looked up: {domains}"),
                "grant CrossTenantInformation.ReadBasic.All to the application, and run the check again".into(),
            ),
            Self::ByDomain => (
                format!("these domains belong to tenants of Microsoft Entra, but are connected by domain, so that partners who sign in there may not be recognized: {domains}"),
                format!("add the organizations by their tenants {}", page(ORGANIZATIONS)),
            ),
            Self::NeedsOtp => (
                format!("these domains belong to no tenant of Microsoft Entra, and one-time passcodes by e-mail are off, so their partners may not be able to sign in: {domains}"),
                format!("enable \"Email one-time passcode\" {}", page("External Identities > All identity providers")),
            ),
            Self::Blocked => (
                format!("the collaboration restrictions do not allow these domains, so their partners can request access, but do not get it: {domains}"),
                format!("allow them {}", page(COLLABORATION)),
            ),
            Self::CrossTenant => (
                format!("the tenants of these domains are blocked, so their partners can request access, but do not get it: {domains}"),
                format!("allow inbound B2B collaboration for them {}", page(CROSS_TENANT)),
            ),
        }
    }
}

//! Whether the policies of the tenant admit the partners of a list, by their domains.
//!
//! Nothing here is certain, so nothing is an error: an address at a domain of a tenant does not prove that its
//! owner signs in there.

use std::collections::{BTreeMap, BTreeSet};

use super::access::OutsideAccess;
use super::domain_lookup::DomainLookups;
use super::model::{AccessPackage, AssignmentPolicy, TargetScope};
use super::tenant::{ConnectedOrganization, EmailOtp, OrganizationState, Read, TenantPolicies};
use super::wording::{Findings, shown};
use crate::finding::Finding;
use crate::partners::is_consumer_domain;

/// How many domains one finding names.
const NAMED: usize = 10;
const ORGANIZATIONS: &str =
    "Identity governance > Entitlement management > Connected organizations";
const COLLABORATION: &str = "External Identities > External collaboration settings";
const CROSS_TENANT: &str = "External Identities > Cross-tenant access settings";

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
            tenant: lookups.tenants.get(domain).map(Option::as_deref),
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
        let (what, fix) = doubt.describe(&named(domains));
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

/// The findings about the tenant as a whole.
#[must_use]
pub fn tenant_findings(policies: &TenantPolicies) -> Vec<Finding> {
    let mut findings = Findings::at("microsoft.tenant");
    match &policies.invitations_are_off {
        Ok(false) => {}
        Ok(true) => findings.warning(
            "nobody may invite guests, so partners can request access, but may not get it",
            format!("allow at least administrators in the Microsoft Entra admin center ({COLLABORATION})"),
        ),
        Err(error) => findings.not_checked_optionally("who may invite guests", error),
    }
    match &policies.cross_tenant_default {
        Ok(false) => {}
        Ok(true) => findings.warning(
            "users of other tenants are blocked by default, so partners can request access, but do not get it, unless their tenant has settings of its own",
            format!("allow inbound B2B collaboration in the Microsoft Entra admin center ({CROSS_TENANT})"),
        ),
        Err(error) => findings.not_checked_optionally("whether users of other tenants are blocked", error),
    }
    match &policies.conditional_access {
        Ok(policies) => {
            for policy in policies {
                findings.warning(
                format!("the Conditional Access policy \"{}\" may stop partners when they open the link", shown(policy)),
                "exclude guests or the application \"Azure AD Identity Governance - Entitlement Management\" from it (Protection > Conditional Access)",
            );
            }
        }
        Err(error) => findings.not_checked_optionally("the Conditional Access policies", error),
    }
    match &policies.licence_expired {
        Ok(false) => {}
        Ok(true) => findings.warning(
            "the licences for entitlement management (Microsoft Entra ID P2 or ID Governance) are expired or disabled, so no new request is accepted",
            "renew them; a renewal may take 8 hours",
        ),
        Err(error) => findings.not_checked_optionally("the licences of the tenant", error),
    }
    findings.list
}

/// What could not be read about domains, each once.
fn not_checked(policies: &TenantPolicies, lookups: &DomainLookups, findings: &mut Findings) {
    fn note<T>(findings: &mut Findings, what: &str, read: &Read<T>) {
        if let Err(error) = read {
            findings.not_checked_optionally(what, error);
        }
    }
    note(
        findings,
        "which organizations are connected",
        &policies.organizations,
    );
    note(
        findings,
        "whether one-time passcodes by e-mail are allowed",
        &policies.email_otp,
    );
    if matches!(policies.email_otp, Ok(EmailOtp::Unknown)) {
        findings.warning(
            "not checked: Microsoft Graph does not say whether one-time passcodes by e-mail are allowed",
            "check \"Email one-time passcode\" in the Microsoft Entra admin center (External Identities > All identity providers)",
        );
    }
    if let Some(list) = &policies.domain_list {
        note(findings, "the list of allowed or blocked domains", list);
    }
    note(
        findings,
        "the settings for single tenants",
        &policies.cross_tenant_partners,
    );
    if let Some(error) = &lookups.error {
        findings.not_checked_optionally("which domains of the list belong to which tenant", error);
    }
    if lookups.left_out > 0 {
        findings.warning(
            format!(
                "not checked: {} domains of the list were not looked up, because one run looks up {} of them",
                lookups.left_out,
                DomainLookups::LIMIT
            ),
            "run the check again, which continues with the rest",
        );
    }
}

/// One domain of the list.
struct Domain<'a> {
    name: &'a str,
    is_consumer: bool,
    /// Its tenant, if it has one; `None` if it was not looked up.
    tenant: Option<Option<&'a str>>,
}

impl Domain<'_> {
    fn tenant(&self) -> Option<&str> {
        self.tenant.flatten()
    }

    /// What settings for all packages say about it.
    fn settings(&self, policies: &TenantPolicies) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        let has_no_account = self.is_consumer || self.tenant == Some(None);
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
        } else if self.tenant.is_none() && organizations.iter().any(by_tenant) {
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

/// The first domains, and how many more there are.
fn named(domains: &[&str]) -> String {
    let first = domains
        .iter()
        .take(NAMED)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    match domains.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

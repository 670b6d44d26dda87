//! What speaks against all partners, from the settings of the tenant, and what could not be read.

use super::domain_lookup::DomainLookups;
use super::tenant::{EmailOtp, Read, TenantPolicies};
use super::wording::{COLLABORATION, CROSS_TENANT, Findings, shown};
use crate::finding::Finding;

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
pub fn not_checked(policies: &TenantPolicies, lookups: &DomainLookups, findings: &mut Findings) {
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

//! The settings of the tenant that decide about partners by their domain.
//!
//! Source: Microsoft Graph v1.0 metadata and, for the list of allowed and blocked domains, which v1.0 lacks,
//! the beta reference and "Allow or block invitations to B2B users" (Microsoft Learn).

use serde::Deserialize;

use super::error::GraphError;
use super::graph::Graph;
use super::model::or_default;
use super::resource::Resource;
use crate::config::Cloud;

/// A setting, or why it could not be read.
pub type Read<T> = Result<T, GraphError>;

/// The settings of the tenant that decide about partners by their domain.
#[derive(Clone, Debug)]
pub struct TenantPolicies {
    /// The organizations whose users can request packages.
    pub organizations: Read<Vec<ConnectedOrganization>>,
    /// Whether people without an account of Microsoft can sign in by a code sent to their address.
    pub email_otp: Read<EmailOtp>,
    /// The domains that may or may not be invited; `None` where this cloud has no such list.
    pub domain_list: Option<Read<DomainList>>,
    /// Whether users of other tenants are blocked, unless `cross_tenant_partners` says otherwise.
    pub cross_tenant_default: Read<bool>,
    /// The tenants with settings of their own, and whether their users are blocked.
    pub cross_tenant_partners: Read<Vec<(String, bool)>>,
    /// Whether nobody, not even this service, may invite guests.
    pub invitations_are_off: Read<bool>,
    /// The names of Conditional Access policies that may stop guests before they can request a package.
    pub conditional_access: Read<Vec<String>>,
    /// Whether all licences for entitlement management are expired or disabled.
    pub licence_expired: Read<bool>,
}

/// An organization whose users can request packages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectedOrganization {
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub display_name: String,
    /// Whether an administrator has accepted it.
    #[serde(default, deserialize_with = "or_default")]
    pub state: OrganizationState,
    /// Where its users sign in.
    #[serde(default, deserialize_with = "or_default")]
    pub identity_sources: Vec<IdentitySource>,
}

/// Whether a policy for "all configured connected organizations" includes an organization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OrganizationState {
    /// It does.
    Configured,
    /// It does not yet.
    Proposed,
    /// Missing, or a member that this program does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Where users of an organization sign in: a tenant, or any service for a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentitySource {
    /// The id of their tenant.
    pub tenant_id: Option<String>,
    /// The domain of their addresses.
    pub domain_name: Option<String>,
}

/// Whether people can sign in by a code sent to their address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EmailOtp {
    /// As Microsoft decides, which is yes since 2021.
    Default,
    /// Yes.
    Enabled,
    /// No.
    Disabled,
    /// Missing, or a member that this program does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// The domains that may be invited, if there are any here, or may not be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DomainList {
    /// If it is not empty, no other domain may be invited.
    #[serde(default, deserialize_with = "or_default")]
    pub allowed_domains: Vec<String>,
    /// These may not be invited.
    #[serde(default, deserialize_with = "or_default")]
    pub blocked_domains: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EmailMethod {
    #[serde(default, deserialize_with = "or_default")]
    allow_external_id_to_use_email_otp: EmailOtp,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct B2bPolicy {
    #[serde(default, deserialize_with = "or_default")]
    definition: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    #[serde(rename = "B2BManagementPolicy")]
    policy: Option<DefinedPolicy>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DefinedPolicy {
    invitations_allowed_and_blocked_domains_policy: Option<DomainList>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CrossTenant {
    tenant_id: Option<String>,
    b2b_collaboration_inbound: Option<Inbound>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inbound {
    users_and_groups: Option<AccessRule>,
    applications: Option<AccessRule>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccessRule {
    #[serde(default, deserialize_with = "or_default")]
    access_type: String,
    #[serde(default, deserialize_with = "or_default")]
    targets: Vec<Target>,
}

#[derive(Default, Deserialize)]
struct Target {
    #[serde(default, deserialize_with = "or_default")]
    target: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authorization {
    #[serde(default, deserialize_with = "or_default")]
    allow_invites_from: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sku {
    #[serde(default, deserialize_with = "or_default")]
    capability_status: String,
    #[serde(default, deserialize_with = "or_default")]
    service_plans: Vec<ServicePlan>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServicePlan {
    #[serde(default, deserialize_with = "or_default")]
    service_plan_name: String,
}

impl TenantPolicies {
    /// Reads the settings. Each that cannot be read is an error of its own.
    pub async fn read(graph: &Graph, cloud: Cloud) -> Self {
        let policies =
            |path: &str| Resource::new(format!("v1.0/policies/{path}"), "Policy.Read.All");
        let domain_list = async {
            let is_available = cloud == Cloud::Global;
            if is_available {
                Some(read_domain_list(graph).await)
            } else {
                None
            }
        };
        let organizations = Resource::entitlement("connectedOrganizations");
        let email = Resource::new(
            "v1.0/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/email",
            "Policy.Read.AuthenticationMethod",
        );
        let email = async { graph.get::<EmailMethod>(&email).await };
        let default = policies("crossTenantAccessPolicy/default");
        let default = async { graph.get::<CrossTenant>(&default).await };
        let partners = policies("crossTenantAccessPolicy/partners");
        let authorization = policies("authorizationPolicy");
        let authorization = async { graph.get::<Authorization>(&authorization).await };
        let (organizations, email, domain_list, default, partners, authorization, access, skus) = tokio::join!(
            graph.list(&organizations),
            email,
            domain_list,
            default,
            graph.list::<CrossTenant>(&partners),
            authorization,
            super::guest_access::blocking_policies(graph),
            licence_expired(graph),
        );
        let blocks = |it: &CrossTenant| {
            it.b2b_collaboration_inbound
                .as_ref()
                .is_some_and(Inbound::blocks_everyone)
        };
        let own = |it: CrossTenant| {
            let blocks = blocks(&it);
            // Without settings of its own, the default applies.
            it.b2b_collaboration_inbound.as_ref()?;
            Some((it.tenant_id?.to_lowercase(), blocks))
        };
        Self {
            organizations,
            email_otp: email.map(|it| it.allow_external_id_to_use_email_otp),
            domain_list,
            cross_tenant_default: default.map(|it| blocks(&it)),
            cross_tenant_partners: partners.map(|it| it.into_iter().filter_map(own).collect()),
            invitations_are_off: authorization.map(|it| it.allow_invites_from == "none"),
            conditional_access: access,
            licence_expired: skus,
        }
    }
}

impl Inbound {
    fn blocks_everyone(&self) -> bool {
        let blocks = |rule: &Option<AccessRule>, all: &str| {
            let rule = rule.as_ref().filter(|it| it.access_type == "blocked");
            rule.is_some_and(|it| it.targets.iter().any(|it| it.target == all))
        };
        blocks(&self.users_and_groups, "AllUsers") || blocks(&self.applications, "AllApplications")
    }
}

impl DomainList {
    /// Whether partners with this domain may be invited.
    #[must_use]
    pub fn admits(&self, domain: &str) -> bool {
        let names = |it: &String| match it.strip_prefix("*.") {
            Some(parent) => {
                let child = domain.strip_suffix(&parent.to_lowercase());
                child.is_some_and(|it| it.ends_with('.'))
            }
            None => it.eq_ignore_ascii_case(domain),
        };
        !self.blocked_domains.iter().any(names)
            && (self.allowed_domains.is_empty() || self.allowed_domains.iter().any(names))
    }
}

impl ConnectedOrganization {
    /// Whether its users may have addresses at this domain, which is one of this tenant.
    #[must_use]
    pub fn has(&self, domain: &str, tenant: Option<&str>) -> bool {
        let is_it = |found: &Option<String>, wanted: &str| {
            found
                .as_ref()
                .is_some_and(|it| it.eq_ignore_ascii_case(wanted))
        };
        self.identity_sources.iter().any(|it| {
            is_it(&it.domain_name, domain)
                || tenant.is_some_and(|tenant| is_it(&it.tenant_id, tenant))
        })
    }

    /// Whether it names this domain, and no tenant.
    #[must_use]
    pub fn is_by_domain(&self) -> bool {
        self.identity_sources
            .iter()
            .all(|it| it.tenant_id.is_none())
    }
}

/// The list of allowed or blocked domains. Its definition is a JSON text within JSON; what cannot be parsed
/// is unknown, not empty.
async fn read_domain_list(graph: &Graph) -> Read<DomainList> {
    let resource = Resource::new(
        "beta/policies/b2bManagementPolicies",
        "Policy.Read.B2BManagementPolicy",
    );
    let policies: Vec<B2bPolicy> = graph.list(&resource).await?;
    let mut list = DomainList::default();
    for text in policies.iter().flat_map(|it| &it.definition) {
        let parsed: Definition = serde_json::from_str(text).map_err(|_| {
            GraphError::Unexpected(format!("the definition in {resource} is no JSON"))
        })?;
        let domains = parsed
            .policy
            .and_then(|it| it.invitations_allowed_and_blocked_domains_policy);
        let domains = domains.unwrap_or_default();
        list.allowed_domains.extend(domains.allowed_domains);
        list.blocked_domains.extend(domains.blocked_domains);
    }
    Ok(list)
}

/// Whether the tenant has licences for entitlement management, none of them in force.
async fn licence_expired(graph: &Graph) -> Read<bool> {
    let resource = Resource::new("v1.0/subscribedSkus", "Organization.Read.All");
    let skus: Vec<Sku> = graph.list(&resource).await?;
    let plans = ["AAD_PREMIUM_P2", "Entra_Identity_Governance"];
    let has_plan = |it: &&Sku| {
        let mut names = it.service_plans.iter().map(|it| &it.service_plan_name);
        names.any(|name| plans.iter().any(|it| it.eq_ignore_ascii_case(name)))
    };
    let mut status = skus
        .iter()
        .filter(has_plan)
        .map(|it| it.capability_status.as_str())
        .peekable();
    let has_any = status.peek().is_some();
    Ok(has_any && status.all(|it| matches!(it, "Suspended" | "Deleted" | "LockedOut")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_domains_admits_or_blocks_them() {
        let list = |allowed: &[&str], blocked: &[&str]| DomainList {
            allowed_domains: allowed.iter().map(|it| (*it).to_owned()).collect(),
            blocked_domains: blocked.iter().map(|it| (*it).to_owned()).collect(),
        };
        for (list, domain, admitted) in [
            (list(&[], &[]), "a.example", true),
            (list(&["A.example"], &[]), "a.example", true),
            (list(&["b.example"], &[]), "a.example", false),
            (list(&[], &["a.example"]), "a.example", false),
            (list(&[], &["a.example"]), "x.a.example", true),
            (list(&[], &["*.a.example"]), "x.a.example", false),
            (list(&[], &["*.a.example"]), "xa.example", true),
        ] {
            assert_eq!(list.admits(domain), admitted, "{list:?} {domain}");
        }
    }

    #[test]
    fn only_a_rule_for_everyone_blocks_a_tenant() {
        for (json, blocks) in [
            (
                r#"{"usersAndGroups":{"accessType":"blocked","targets":[{"target":"AllUsers"}]}}"#,
                true,
            ),
            (
                r#"{"applications":{"accessType":"blocked","targets":[{"target":"AllApplications"}]}}"#,
                true,
            ),
            (
                r#"{"usersAndGroups":{"accessType":"allowed","targets":[{"target":"AllUsers"}]}}"#,
                false,
            ),
            (
                r#"{"usersAndGroups":{"accessType":"blocked","targets":[{"target":"some-id"}]}}"#,
                false,
            ),
            (
                r#"{"usersAndGroups":null,"applications":{"accessType":"later"}}"#,
                false,
            ),
        ] {
            let inbound: Inbound = serde_json::from_str(json).unwrap();
            assert_eq!(inbound.blocks_everyone(), blocks, "{json}");
        }
    }
}

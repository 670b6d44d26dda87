//! The settings of the tenant that decide about partners by their domain.
//!
//! Source: metadata of Microsoft Graph v1.0 (August 2026).

use serde::Deserialize;

use super::connected_organization::ConnectedOrganization;
use super::domain_list::{self, DomainList};
use super::error::GraphError;
use super::graph::Graph;
use super::model::or_default;
use super::resource::Resource;
use super::{cross_tenant, guest_access};
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

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EmailMethod {
    #[serde(default, deserialize_with = "or_default")]
    allow_external_id_to_use_email_otp: EmailOtp,
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
        let organizations = Resource::entitlement("connectedOrganizations");
        let (
            organizations,
            email_otp,
            domain_list,
            cross_tenant_default,
            cross_tenant_partners,
            invitations_are_off,
            conditional_access,
            licence_expired,
        ) = tokio::join!(
            graph.list(&organizations),
            email_otp(graph),
            // Only this cloud has it.
            async {
                match cloud {
                    Cloud::Global => Some(domain_list::read(graph).await),
                    _ => None,
                }
            },
            cross_tenant::read_default(graph),
            cross_tenant::read_partners(graph),
            invitations_are_off(graph),
            guest_access::blocking_policies(graph),
            licence_expired(graph),
        );
        Self {
            organizations,
            email_otp,
            domain_list,
            cross_tenant_default,
            cross_tenant_partners,
            invitations_are_off,
            conditional_access,
            licence_expired,
        }
    }
}

async fn email_otp(graph: &Graph) -> Read<EmailOtp> {
    let resource = Resource::new(
        "v1.0/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/email",
        "Policy.Read.AuthenticationMethod",
    );
    let method: EmailMethod = graph.get(&resource).await?;
    Ok(method.allow_external_id_to_use_email_otp)
}

async fn invitations_are_off(graph: &Graph) -> Read<bool> {
    let resource = Resource::new("v1.0/policies/authorizationPolicy", "Policy.Read.All");
    let policy: Authorization = graph.get(&resource).await?;
    Ok(policy.allow_invites_from == "none")
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

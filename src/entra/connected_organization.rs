//! Connected organizations: partner organizations whose users can request access packages.

use serde::Deserialize;

use super::model::or_default;

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

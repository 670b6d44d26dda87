//! What Microsoft Graph answers, as far as it is used.
//!
//! Fields that are missing or unknown are tolerated; a member of an enumeration that is not listed here is
//! `Unknown`. Source: metadata of Microsoft Graph v1.0 (August 2026).

use serde::{Deserialize, Deserializer};

use crate::link::PackageId;

/// An access package, with its catalog and policies if they were expanded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessPackage {
    /// Its id, a GUID.
    pub id: String,
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub display_name: String,
    /// What it is for.
    #[serde(default, deserialize_with = "or_default")]
    pub description: String,
    /// Whether only its link leads to it.
    pub is_hidden: Option<bool>,
    /// Its catalog.
    pub catalog: Option<Catalog>,
    /// Its policies; `None` if they were not read.
    pub assignment_policies: Option<Vec<AssignmentPolicy>>,
    /// Where the rest of its policies is.
    #[serde(rename = "assignmentPolicies@odata.nextLink")]
    pub(super) more_policies: Option<String>,
}

impl AccessPackage {
    /// Its id; `None` if Graph returned something else.
    #[must_use]
    pub fn package_id(&self) -> Option<PackageId> {
        PackageId::parse(&self.id)
    }
}

/// A catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Catalog {
    /// Its id.
    #[serde(default, deserialize_with = "or_default")]
    pub id: String,
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub display_name: String,
    /// Whether its packages can be requested at all.
    #[serde(default, deserialize_with = "or_default")]
    pub state: CatalogState,
    /// Whether people from outside of the tenant can request its packages.
    pub is_externally_visible: Option<bool>,
}

/// Whether the packages of a catalog can be requested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CatalogState {
    /// No.
    Unpublished,
    /// Yes.
    Published,
    /// Missing, or a member that this program does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A policy: who can request an access package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignmentPolicy {
    /// Its id.
    #[serde(default, deserialize_with = "or_default")]
    pub id: String,
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub display_name: String,
    /// Whom it is for.
    #[serde(default, deserialize_with = "or_default")]
    pub allowed_target_scope: TargetScope,
    /// The organizations, if it is for specific ones.
    #[serde(default, deserialize_with = "or_default")]
    pub specific_allowed_targets: Vec<SubjectSet>,
    /// What its requestors may do.
    pub requestor_settings: Option<RequestorSettings>,
}

/// Whom a policy is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TargetScope {
    /// Nobody: only direct assignment.
    NotSpecified,
    /// Specific users and groups of the directory, guests perhaps among them.
    SpecificDirectoryUsers,
    /// Users of specific connected organizations.
    SpecificConnectedOrganizationUsers,
    /// Specific service principals.
    SpecificDirectoryServicePrincipals,
    /// All members of the directory, no guests.
    AllMemberUsers,
    /// All users of the directory, guests included.
    AllDirectoryUsers,
    /// All service principals.
    AllDirectoryServicePrincipals,
    /// Users of all configured connected organizations.
    AllConfiguredConnectedOrganizationUsers,
    /// All users, also of organizations that are not connected.
    AllExternalUsers,
    /// All agents of the directory.
    AllDirectoryAgentIdentities,
    /// Missing, or a member that this program does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// What requestors may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestorSettings {
    /// Whether they may request access for themselves.
    pub enable_targets_to_self_add_access: Option<bool>,
}

/// Members of one connected organization; other kinds of sets have no id here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubjectSet {
    /// The id of the connected organization.
    pub connected_organization_id: Option<String>,
}

/// The tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Organization {
    /// The id of the tenant.
    pub id: String,
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub display_name: String,
    /// Its domains.
    #[serde(default, deserialize_with = "or_default")]
    pub verified_domains: Vec<VerifiedDomain>,
}

/// A domain of the tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedDomain {
    /// The domain.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// Whether it is the first one, `….onmicrosoft.com`.
    #[serde(default, deserialize_with = "or_default")]
    pub is_initial: bool,
    /// Whether new users get it.
    #[serde(default, deserialize_with = "or_default")]
    pub is_default: bool,
}

impl Organization {
    /// Whether a directory hint is a domain of this tenant, or its id.
    #[must_use]
    pub fn is_named_by(&self, hint: &str) -> bool {
        let mut domains = self.verified_domains.iter();
        self.id.eq_ignore_ascii_case(hint) || domains.any(|it| it.name.eq_ignore_ascii_case(hint))
    }

    /// The domain that a directory hint names best; none if the tenant's domains are not known.
    #[must_use]
    pub fn initial_domain(&self) -> Option<&str> {
        let domains = &self.verified_domains;
        let initial = domains.iter().find(|it| it.is_initial);
        let default = || domains.iter().find(|it| it.is_default);
        let domain = initial.or_else(default).or_else(|| domains.first())?;
        Some(&domain.name)
    }
}

/// The value, or the default for `null`.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_members_missing_fields_and_nulls_are_tolerated() {
        let package: AccessPackage = serde_json::from_str(
            r##"{"id":"x","new":{"a":[]},"isHidden":null,"description":null,
                "catalog":{"state":"archived","isExternallyVisible":null},
                "assignmentPolicies":[
                    {"allowedTargetScope":"allMartians"},
                    {"allowedTargetScope":null,"requestorSettings":{},"specificAllowedTargets":null},
                    {"allowedTargetScope":"allExternalUsers","specificAllowedTargets":[
                        {"@odata.type":"#microsoft.graph.groupMembers","groupId":"y"}]}]}"##,
        )
        .unwrap();

        assert_eq!(package.catalog.unwrap().state, CatalogState::Unknown);
        let scopes: Vec<_> = package.assignment_policies.unwrap();
        let scopes: Vec<_> = scopes.iter().map(|it| it.allowed_target_scope).collect();
        let unknown = TargetScope::Unknown;
        assert_eq!(scopes, [unknown, unknown, TargetScope::AllExternalUsers]);
    }

    #[test]
    fn a_hint_is_a_domain_of_the_tenant_in_any_case_or_its_id() {
        let domain = |name: &str, is_initial| VerifiedDomain {
            name: name.into(),
            is_initial,
            is_default: !is_initial,
        };
        let organization = Organization {
            id: "1B2C".into(),
            verified_domains: vec![
                domain("contoso.example", false),
                domain("Contoso.onmicrosoft.example", true),
            ],
            ..Organization::default()
        };

        for hint in ["contoso.EXAMPLE", "contoso.onmicrosoft.example", "1b2c"] {
            assert!(organization.is_named_by(hint), "{hint}");
        }
        assert!(!organization.is_named_by("example"));
        let initial = organization.initial_domain();
        assert_eq!(initial, Some("Contoso.onmicrosoft.example"));
        assert_eq!(Organization::default().initial_domain(), None);
    }
}

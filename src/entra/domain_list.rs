//! The collaboration restrictions: domains that may be invited, or may not.
//!
//! Source: Microsoft Graph beta, because v1.0 lacks it, and "Allow or block invitations to B2B users" (Microsoft
//! Learn).

use serde::Deserialize;

use super::error::GraphError;
use super::graph::Graph;
use super::model::or_default;
use super::resource::Resource;

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

/// The list of allowed or blocked domains. Its definition is a JSON text within JSON; what cannot be parsed
/// is unknown, not empty.
///
/// # Errors
/// If it cannot be read or parsed.
pub async fn read(graph: &Graph) -> Result<DomainList, GraphError> {
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
}

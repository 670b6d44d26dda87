//! Cross-tenant access settings: whether users of other tenants may come in.

use serde::Deserialize;

use super::error::GraphError;
use super::graph::Graph;
use super::model::or_default;
use super::resource::Resource;

const PERMISSION: &str = "Policy.Read.All";

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

impl Inbound {
    fn blocks_everyone(&self) -> bool {
        let blocks = |rule: &Option<AccessRule>, all: &str| {
            let rule = rule.as_ref().filter(|it| it.access_type == "blocked");
            rule.is_some_and(|it| it.targets.iter().any(|it| it.target == all))
        };
        blocks(&self.users_and_groups, "AllUsers") || blocks(&self.applications, "AllApplications")
    }
}

impl CrossTenant {
    fn blocks_everyone(&self) -> bool {
        let inbound = self.b2b_collaboration_inbound.as_ref();
        inbound.is_some_and(Inbound::blocks_everyone)
    }
}

/// Whether users of tenants without settings of their own are blocked.
///
/// # Errors
/// If the settings cannot be read.
pub async fn read_default(graph: &Graph) -> Result<bool, GraphError> {
    let path = "v1.0/policies/crossTenantAccessPolicy/default";
    let default: CrossTenant = graph.get(&Resource::new(path, PERMISSION)).await?;
    Ok(default.blocks_everyone())
}

/// The ids of the tenants with settings of their own, and whether their users are blocked.
///
/// # Errors
/// If the settings cannot be read.
pub async fn read_partners(graph: &Graph) -> Result<Vec<(String, bool)>, GraphError> {
    let path = "v1.0/policies/crossTenantAccessPolicy/partners";
    let partners: Vec<CrossTenant> = graph.list(&Resource::new(path, PERMISSION)).await?;
    let own = |it: CrossTenant| {
        let blocks = it.blocks_everyone();
        // Without settings of its own, the default applies.
        it.b2b_collaboration_inbound.as_ref()?;
        Some((it.tenant_id?.to_lowercase(), blocks))
    };
    Ok(partners.into_iter().filter_map(own).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

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

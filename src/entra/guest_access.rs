//! Conditional Access policies that may stop guests before they can request an access package.
//!
//! Source: "Govern access for external users in entitlement management" (Microsoft Learn): the application
//! for entitlement management must be excluded from policies that block guests.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::GraphError;
use super::graph::Graph;
use super::model::or_default;
use super::resource::Resource;

/// "Azure AD Identity Governance - Entitlement Management", the application that guests sign in to.
const ENTITLEMENT_MANAGEMENT: &str = "810dcf14-1858-4bf2-8134-4c369fa3235b";
/// What guests usually cannot satisfy: a block, and devices that this tenant manages.
const CONTROLS: [&str; 3] = ["block", "compliantDevice", "domainJoinedDevice"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Policy {
    #[serde(default, deserialize_with = "or_default")]
    display_name: String,
    #[serde(default, deserialize_with = "or_default")]
    state: String,
    #[serde(default, deserialize_with = "or_default")]
    conditions: Conditions,
    #[serde(default, deserialize_with = "or_default")]
    grant_controls: GrantControls,
}

#[derive(Default, Deserialize)]
struct Conditions {
    #[serde(default, deserialize_with = "or_default")]
    users: Users,
    #[serde(default, deserialize_with = "or_default")]
    applications: Applications,
}

#[derive(Default, Deserialize)]
struct Users {
    #[serde(rename = "includeUsers", default, deserialize_with = "or_default")]
    included: Vec<String>,
    #[serde(rename = "includeGuestsOrExternalUsers")]
    included_guests: Option<IgnoredAny>,
    #[serde(rename = "excludeUsers", default, deserialize_with = "or_default")]
    excluded: Vec<String>,
    #[serde(rename = "excludeGuestsOrExternalUsers")]
    excluded_guests: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Applications {
    #[serde(default, deserialize_with = "or_default")]
    include_applications: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    exclude_applications: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GrantControls {
    #[serde(default, deserialize_with = "or_default")]
    built_in_controls: Vec<String>,
}

impl Policy {
    fn may_stop_guests(&self) -> bool {
        let Conditions {
            users,
            applications,
        } = &self.conditions;
        let has = |list: &[String], wanted: &str| list.iter().any(|it| it == wanted);
        let guests = "GuestsOrExternalUsers";
        let includes = has(&users.included, "All")
            || has(&users.included, guests)
            || users.included_guests.is_some();
        let excludes = has(&users.excluded, guests) || users.excluded_guests.is_some();
        let for_package = (has(&applications.include_applications, "All")
            || has(&applications.include_applications, ENTITLEMENT_MANAGEMENT))
            && !has(&applications.exclude_applications, ENTITLEMENT_MANAGEMENT);
        let controls = &self.grant_controls.built_in_controls;
        self.state == "enabled"
            && includes
            && !excludes
            && for_package
            && controls.iter().any(|it| CONTROLS.contains(&it.as_str()))
    }
}

/// The names of the policies that may stop guests.
pub async fn blocking_policies(graph: &Graph) -> Result<Vec<String>, GraphError> {
    let resource = Resource::new(
        "v1.0/identity/conditionalAccess/policies",
        "Policy.Read.All",
    );
    let policies: Vec<Policy> = graph.list(&resource).await?;
    let policies = policies.into_iter().filter(Policy::may_stop_guests);
    Ok(policies.map(|it| it.display_name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(json: &str) -> bool {
        let policy: Policy = serde_json::from_str(json).unwrap();
        policy.may_stop_guests()
    }

    #[test]
    fn a_policy_may_stop_guests_unless_it_excludes_them_or_the_application() {
        let base = r#"{"state":"enabled","conditions":{"users":{"includeUsers":["All"]},
            "applications":{"includeApplications":["All"]}},"grantControls":{"builtInControls":["block"]}}"#;
        assert!(policy(base));
        assert!(policy(&base.replace(
            r#""includeUsers":["All"]"#,
            r#""includeGuestsOrExternalUsers":{"externalTenants":null}"#
        )));
        for (part, other) in [
            ("enabled", "enabledForReportingButNotEnforced"),
            (
                r#"["All"]}"#,
                r#"["All"],"excludeUsers":["GuestsOrExternalUsers"]}"#,
            ),
            (
                r#"["All"]}"#,
                r#"["All"],"excludeGuestsOrExternalUsers":{}}"#,
            ),
            (
                r#""All"]}}"#,
                r#""All"],"excludeApplications":["810dcf14-1858-4bf2-8134-4c369fa3235b"]}}"#,
            ),
            ("block", "mfa"),
        ] {
            let changed = base.replacen(part, other, 1);
            assert_ne!(changed, base);
            assert!(!policy(&changed), "{changed}");
        }
        assert!(!policy(r#"{"conditions":null,"grantControls":null}"#));
    }
}

//! `packages`: the access packages of the tenant, each with its link and whether partners can request it.
//!
//! It needs only the table `[microsoft]`, because its output is what the rest of the configuration is written
//! from. It reads from Microsoft Graph and changes nothing.

use std::cmp::Ordering;
use std::path::Path;

use clap::Args;

use crate::config::{Cloud, Microsoft, package_names, plain_letters};
use crate::console::Console;
use crate::entra::{AccessPackage, CatalogState, Graph, OutsideAccess};
use crate::exit::{CommandError, Exit, Result};
use crate::files::writable_by_everyone;
use crate::finding::Finding;
use crate::http::Proxies;
use crate::link::AccessPackageLink;
use crate::report::{PackageList, PackageRow, PackagesFormat};

/// The arguments of `packages`.
#[derive(Args, Clone, Debug, Default)]
pub struct PackagesOptions {
    /// The format of the output; toml prints tables to paste into the configuration
    #[arg(long, value_enum, default_value_t)]
    pub format: PackagesFormat,
    /// Show only packages with these words in their name, in any order, case and accents
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
}

/// Writes the access packages of the tenant to stdout.
///
/// # Errors
/// If `[microsoft]` is missing or wrong, or the application may not read the packages or the tenant (78), or
/// Microsoft Graph cannot be reached (69).
pub async fn run(
    path: &Path,
    options: &PackagesOptions,
    console: &mut Console<'_>,
) -> Result<Exit> {
    let Some(microsoft) = Microsoft::load(path)? else {
        return Err(no_table(path));
    };
    let ca_file = microsoft.ca_file.as_deref();
    let open = ca_file.and_then(|it| writable_by_everyone("the file of `microsoft.ca_file`", it));
    let open = open.map(|it| Finding::warning("permissions", "", it));
    console.report(open.as_ref());
    let proxies = Proxies::new(|name| std::env::var(name).ok());
    let graph = Graph::new(&microsoft, proxies, console.clock)?;
    let organization = graph.organization().await?;
    let Some(hint) = organization.initial_domain() else {
        return Err(no_domain());
    };
    let mut packages = graph.packages().await?;
    packages.sort_by(by_name);

    if microsoft.cloud.portal_host().is_none() {
        let message = "Microsoft does not document the address of the My Access portal in the cloud `china`, so no links are printed; copy each link from the access package's overview in the admin center, and name its host in `allow_host`";
        console.report([&Finding::warning("link", "", message)]);
    }
    // Names depend on all packages, so that a search does not change them.
    let named = packages
        .iter()
        .filter_map(|it| Some((it.display_name.as_str(), it.package_id()?)));
    let names = package_names(named);
    let usable = packages.iter().filter(|it| it.package_id().is_some());
    let rows = usable.zip(names);
    let rows = rows.filter(|(it, _)| matches(&it.display_name, options.search.as_deref()));
    let rows = rows.map(|(it, name)| row(it, name, microsoft.cloud, hint));
    let list = PackageList {
        packages: rows.collect(),
        tenant: hint.to_owned(),
        search: options.search.clone(),
        total: packages.len(),
    };
    // Write errors are reported at the end, see `Output`.
    let _ = list.write(console.out, options.format);
    Ok(Exit::Done)
}

/// By name as people read it; packages with equal names by catalog.
fn by_name(one: &AccessPackage, other: &AccessPackage) -> Ordering {
    let key = |it: &AccessPackage| {
        let catalog = it.catalog.as_ref().map(|it| it.display_name.clone());
        (plain_letters(&it.display_name), catalog, it.id.clone())
    };
    key(one).cmp(&key(other))
}

/// Whether a name has all words that are searched for.
fn matches(name: &str, search: Option<&str>) -> bool {
    let (name, search) = (plain_letters(name), plain_letters(search.unwrap_or("")));
    search.split_whitespace().all(|it| name.contains(it))
}

fn row(package: &AccessPackage, name: String, cloud: Cloud, hint: &str) -> PackageRow {
    let catalog = package.catalog.as_ref();
    let (outside_partners, reasons) = outside_partners(package);
    let composed = cloud.portal_host().zip(package.package_id());
    let link = composed.and_then(|(host, id)| AccessPackageLink::compose(host, hint, id).ok());
    PackageRow {
        key: name,
        name: package.display_name.clone(),
        catalog: catalog.map(|it| it.display_name.clone()),
        id: package.id.clone(),
        link: link.map(|it| it.to_string()),
        hidden: package.is_hidden,
        outside_partners,
        reason: (!reasons.is_empty()).then(|| reasons.join("\n")),
    }
}

/// Whether partners outside the directory can request it; the reasons if they cannot, or if that is unknown.
fn outside_partners(package: &AccessPackage) -> (Option<bool>, Vec<String>) {
    let obstacles = package.obstacles();
    let access = package.outside_access();
    if !obstacles.is_empty() {
        let mut reasons: Vec<String> = obstacles.iter().map(ToString::to_string).collect();
        if access == OutsideAccess::GuestsOnly {
            reasons.push("only guests in the directory can request it".into());
        }
        return (Some(false), reasons);
    }
    let mut reasons = Vec::new();
    let catalog = package.catalog.as_ref();
    if catalog.is_none_or(|it| {
        it.state != CatalogState::Published || it.is_externally_visible != Some(true)
    }) {
        reasons.push("the settings of its catalog are not known".to_owned());
    }
    if access != OutsideAccess::Outsiders {
        reasons.push("its policies are not known in full".to_owned());
    }
    (reasons.is_empty().then_some(true), reasons)
}

fn no_table(path: &Path) -> CommandError {
    let message = format!(
        "`{}` has no table `[microsoft]`, with which `packages` reads your tenant; add `tenant`, `client_id` and a credential, as docs/entra.md shows",
        path.display()
    );
    CommandError::new(Exit::Config, message)
}

fn no_domain() -> CommandError {
    let message = "Microsoft Graph names no domain of your tenant, so no link can be composed; grant the application permission `Organization.Read.All` with admin consent";
    CommandError::new(Exit::Config, message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn package(value: Value) -> AccessPackage {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_search_finds_words_in_any_order_case_and_accents() {
        for (name, search) in [
            ("École du port", "ecole"),
            ("École du port", "PORT école"),
            ("Ecole", "É"),
            ("Straßenplan", "strasse"),
            ("Łódź", "lodz"),
            ("Plans (2027)", "(2027)"),
            ("anything", "  "),
        ] {
            assert!(matches(name, Some(search)), "{name} {search}");
        }
        assert!(matches("anything", None));
        assert!(!matches("École du port", Some("ecole rive")));
    }

    #[test]
    fn partners_can_request_it_only_if_everything_is_known_to_allow_it() {
        let catalog = json!({ "state": "published", "isExternallyVisible": true });
        let policy = json!({
            "allowedTargetScope": "allExternalUsers",
            "requestorSettings": { "enableTargetsToSelfAddAccess": true },
        });
        let good = json!({ "id": "x", "catalog": catalog, "assignmentPolicies": [policy] });
        assert_eq!(
            outside_partners(&package(good.clone())),
            (Some(true), vec![])
        );

        let mut cases = Vec::new();
        for (pointer, value, expected) in [
            ("/catalog/state", json!("unpublished"), Some(false)),
            ("/catalog/state", json!("archived"), None),
            ("/catalog/isExternallyVisible", json!(false), Some(false)),
            ("/catalog/isExternallyVisible", Value::Null, None),
            ("/catalog", Value::Null, None),
            ("/assignmentPolicies", Value::Null, None),
            ("/assignmentPolicies", json!([]), Some(false)),
            (
                "/assignmentPolicies/0/allowedTargetScope",
                json!("allMemberUsers"),
                Some(false),
            ),
            (
                "/assignmentPolicies/0/allowedTargetScope",
                json!("allDirectoryUsers"),
                Some(false),
            ),
            (
                "/assignmentPolicies/0/allowedTargetScope",
                json!("allMartians"),
                None,
            ),
            (
                "/assignmentPolicies/0/requestorSettings/enableTargetsToSelfAddAccess",
                json!(false),
                Some(false),
            ),
        ] {
            let mut changed = good.clone();
            *changed.pointer_mut(pointer).unwrap() = value.clone();
            let (verdict, reasons) = outside_partners(&package(changed));
            assert_eq!(verdict, expected, "{pointer} {value}");
            assert!(!reasons.is_empty(), "{pointer} {value}");
            cases.push(format!("{pointer} {value}: {}", reasons.join(" | ")));
        }
        insta::assert_snapshot!(cases.join("\n"));
    }
}

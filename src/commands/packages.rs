//! `packages`: the access packages of the tenant, each with its link and whether partners can request it.
//!
//! It needs only the table `[microsoft]`, because its output is what the rest of the configuration is written
//! from. It reads from Microsoft Graph and changes nothing.

use std::path::Path;
use std::sync::Arc;

use clap::Args;

use super::preflight::connect;
use crate::config::{Cloud, Microsoft, package_names, plain_letters};
use crate::console::Console;
use crate::entra::{
    AccessPackage, CatalogState, Graph, GraphError, OutsideAccess, listed_policies,
};
use crate::exit::{CommandError, Exit, Result, without_os_code};
use crate::files::writable_by_everyone;
use crate::finding::Finding;
use crate::link::AccessPackageLink;
use crate::report::{PackageList, PackageRow, PackagesFormat, count};

/// The arguments of `packages`.
#[derive(Args, Clone, Debug, Default)]
pub struct PackagesOptions {
    /// The format of the output; toml prints tables to paste into the configuration
    #[arg(long, value_enum, default_value_t)]
    pub format: PackagesFormat,
    /// Show only packages with these words in their name, in any order, whatever their case and accents
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
    let graph = connect(&microsoft)?;
    let organization = graph.organization().await.map_err(not_read)?;
    let Some(hint) = organization.initial_domain() else {
        return Err(no_domain());
    };
    let mut packages = graph.packages().await.map_err(not_read)?;
    let read = packages.len();
    packages.retain(|it| it.package_id().is_some());
    console.report(&warnings(&microsoft, read - packages.len()));

    packages.sort_by_cached_key(|it| {
        let catalog = it.catalog.as_ref().map(|it| it.display_name.clone());
        (plain_letters(&it.display_name), catalog, it.id.clone())
    });
    // Keys depend on all packages, so that a search does not change them.
    let named = packages.iter();
    let named = named.filter_map(|it| Some((it.display_name.as_str(), it.package_id()?)));
    let keys = package_names(named);
    let total = packages.len();
    let shown = packages.into_iter().zip(keys);
    let shown = shown.filter(|(it, _)| matches(&it.display_name, options.search.as_deref()));
    let shown = with_listed_policies(&graph, shown.collect(), console).await;
    let rows = shown.into_iter().map(|it| row(it, microsoft.cloud, hint));
    let list = PackageList {
        packages: rows.collect(),
        tenant: hint.to_owned(),
        search: options.search.clone(),
        total,
    };
    // Write errors are reported at the end, see `Output`.
    let _ = list.write(console.out, options.format);
    Ok(Exit::Done)
}

/// A package to show.
struct Shown {
    package: AccessPackage,
    key: String,
    /// Whether its policies may be incomplete, because the list of all policies could not be read.
    may_lack_policies: bool,
}

/// Completes the policies of packages that outside partners cannot request by those that were expanded:
/// Microsoft Graph may leave out some.
async fn with_listed_policies(
    graph: &Arc<Graph>,
    packages: Vec<(AccessPackage, String)>,
    console: &mut Console<'_>,
) -> Vec<Shown> {
    let is_open = |it: &AccessPackage| it.outside_access() == OutsideAccess::Outsiders;
    let closed = packages.iter().map(|it| &it.0).filter(|it| !is_open(it));
    let ids: Vec<_> = closed.filter_map(AccessPackage::package_id).collect();
    let bar = console.progress(ids.len() as u64);
    let mut listed = listed_policies(graph, ids, &mut || bar.inc(1))
        .await
        .into_iter();
    bar.finish_and_clear();
    let mut unread = None;
    let complete = |(package, key): (AccessPackage, String)| {
        let listed = if is_open(&package) {
            None
        } else {
            listed.next()
        };
        let (package, may_lack_policies) = match listed {
            None => (package, false),
            Some(Ok(listed)) => (package.with_listed(&listed), false),
            Some(Err(error)) => {
                unread.get_or_insert(error);
                (package, true)
            }
        };
        Shown {
            package,
            key,
            may_lack_policies,
        }
    };
    let shown = packages.into_iter().map(complete).collect();
    if let Some(error) = unread {
        let message = format!("not checked: whether some packages have further policies: {error}");
        let message = without_os_code(message);
        console.report(&[Finding::warning("packages", "", message)]);
    }
    shown
}

/// What is wrong and does not prevent the list; `dropped` packages have no usable id.
fn warnings(microsoft: &Microsoft, dropped: usize) -> Vec<Finding> {
    let mut warnings = Vec::new();
    let ca_file = microsoft.ca_file.as_deref();
    let open = ca_file.and_then(|it| writable_by_everyone("the file of `microsoft.ca_file`", it));
    warnings.extend(open.map(|it| Finding::warning("permissions", "", it)));
    if dropped > 0 {
        let number = count(dropped as u64, "access package");
        let message = format!(
            "{number} without a GUID as the id came from Microsoft Graph and cannot be shown"
        );
        warnings.push(Finding::warning("packages", "", message));
    }
    if microsoft.cloud.portal_host().is_none() {
        let message = "the host of the My Access portal in the cloud `china` is not known, so no links are printed; copy each link from the access package's overview in the admin center, and name its host in `allow_host`";
        warnings.push(Finding::warning("link", "", message));
    }
    warnings
}

/// Whether a name has all words that are searched for.
fn matches(name: &str, search: Option<&str>) -> bool {
    let (name, search) = (plain_letters(name), plain_letters(search.unwrap_or("")));
    search.split_whitespace().all(|it| name.contains(it))
}

fn row(shown: Shown, cloud: Cloud, hint: &str) -> PackageRow {
    let (outside_partners, mut reasons) = outside_partners(&shown);
    let Shown { package, key, .. } = shown;
    let composed = cloud.portal_host().zip(package.package_id());
    let composed = composed.map(|(host, id)| AccessPackageLink::compose(host, hint, id));
    let link = match composed.transpose() {
        Ok(link) => link.map(|it| it.to_string()),
        Err(error) => {
            reasons.push(format!("its link cannot be composed: {error}"));
            None
        }
    };
    PackageRow {
        key,
        name: package.display_name,
        description: package.description,
        catalog: package.catalog.map(|it| it.display_name),
        id: package.id,
        link,
        hidden: package.is_hidden,
        outside_partners,
        reasons,
    }
}

/// Whether partners outside the directory can request it; the reasons if they cannot, or if that is unknown.
fn outside_partners(shown: &Shown) -> (Option<bool>, Vec<String>) {
    let package = &shown.package;
    let mut obstacles = package.obstacles();
    let mut access = package.outside_access();
    if shown.may_lack_policies {
        obstacles.retain(|it| it.is_of_catalog());
        access = OutsideAccess::Unknown;
    }
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

/// An unreachable Graph is unavailable, as a relay is; what else is wrong must be corrected.
fn not_read(error: GraphError) -> CommandError {
    if error.is_unreachable() {
        return CommandError::new(Exit::Unavailable, error);
    }
    error.into()
}

fn no_table(path: &Path) -> CommandError {
    let message = format!(
        "`{}` has no table `[microsoft]`, with which `packages` reads your tenant; add it with `tenant`, `client_id` and `client_secret_file` or `certificate_file` of an app registration (docs/entra.md)",
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

    fn package(value: Value) -> Shown {
        Shown {
            package: serde_json::from_value(value).unwrap(),
            key: "key".into(),
            may_lack_policies: false,
        }
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
        }

        let mut truncated = good;
        truncated["assignmentPolicies"] = json!([]);
        let mut shown = package(truncated);
        shown.may_lack_policies = true;
        let reasons = vec!["its policies are not known in full".to_owned()];
        assert_eq!(outside_partners(&shown), (None, reasons));
    }
}

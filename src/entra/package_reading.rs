//! Reads the configured access packages, and what shows why one is missing.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::access::OutsideAccess;
use super::concurrently::read_each;
use super::error::GraphError;
use super::graph::Graph;
use super::model::{AccessPackage, AssignmentPolicy, Organization};
use super::resource::Resource;
use crate::link::PackageId;

/// What Microsoft Graph returned about one access package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageReading {
    /// The package; `None` if there is none with its id.
    pub package: Result<Option<AccessPackage>, GraphError>,
    /// The policies in the list of all policies; read only if those of the package do not let people outside
    /// of the directory request it.
    pub listed_policies: Option<Result<Vec<AssignmentPolicy>, GraphError>>,
}

/// What Microsoft Graph returned about the tenant and the access packages.
#[derive(Clone, Debug)]
pub struct PackageReadings {
    /// The tenant.
    pub tenant: Result<Organization, GraphError>,
    /// The packages, in the order of their ids.
    pub packages: Vec<PackageReading>,
    /// The ids of all packages; read only if one was not found.
    pub listed: Option<Result<HashSet<PackageId>, GraphError>>,
}

impl PackageReadings {
    /// Reads the tenant and these packages. If Graph cannot be reached, the rest is not tried.
    pub async fn read(graph: &Arc<Graph>, ids: &BTreeSet<PackageId>) -> Self {
        let tenant = graph.organization().await;
        let packages = if let Err(error @ GraphError::Unreachable(_)) = &tenant {
            ids.iter().map(|_| Err(error.clone())).collect()
        } else {
            let read = |id| {
                let graph = graph.clone();
                async move { read_package(&graph, id).await }
            };
            let ids = ids.iter().copied().collect();
            read_each(ids, read, GraphError::is_unreachable, &mut || {}).await
        };
        let packages: Vec<_> = packages
            .into_iter()
            .map(|it| {
                it.unwrap_or_else(|error| PackageReading {
                    package: Err(error),
                    listed_policies: None,
                })
            })
            .collect();
        let is_missing = |it: &PackageReading| it.package == Ok(None);
        let listed = if packages.iter().any(is_missing) {
            Some(list_ids(graph).await)
        } else {
            None
        };
        Self {
            tenant,
            packages,
            listed,
        }
    }
}

async fn read_package(graph: &Graph, id: PackageId) -> Result<PackageReading, GraphError> {
    let package = match graph.package(id).await {
        Err(error @ GraphError::Unreachable(_)) => return Err(error),
        package => package,
    };
    let found = package.as_ref().ok().and_then(Option::as_ref);
    let is_closed = |it: &AccessPackage| it.outside_access() != OutsideAccess::Outsiders;
    let listed_policies = if found.is_some_and(is_closed) {
        Some(graph.list(&Resource::policies_of(id)).await)
    } else {
        None
    };
    Ok(PackageReading {
        package,
        listed_policies,
    })
}

/// The policies of these packages in the list of all policies. `done` is called after each package.
pub async fn listed_policies(
    graph: &Arc<Graph>,
    ids: Vec<PackageId>,
    done: &mut dyn FnMut(),
) -> Vec<Result<Vec<AssignmentPolicy>, GraphError>> {
    let read = |id| {
        let graph = graph.clone();
        async move { graph.list(&Resource::policies_of(id)).await }
    };
    read_each(ids, read, GraphError::is_unreachable, done).await
}

async fn list_ids(graph: &Graph) -> Result<HashSet<PackageId>, GraphError> {
    let packages: Vec<AccessPackage> = graph.list(&Resource::packages("?$select=id")).await?;
    let ids = packages.iter().filter_map(AccessPackage::package_id);
    Ok(ids.collect())
}

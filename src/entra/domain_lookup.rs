//! Which tenant a domain belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use super::concurrently::read_each;
use super::error::GraphError;
use super::graph::Graph;
use super::resource::Resource;

/// The tenants of some domains.
#[derive(Debug, Default)]
pub struct DomainLookups {
    /// The id of the tenant of each domain that was looked up; `None` if it belongs to no tenant.
    pub tenants: BTreeMap<String, Option<String>>,
    /// Why the first of the others could not be looked up.
    pub error: Option<GraphError>,
    /// How many were left out because of the limit.
    pub left_out: usize,
}

/// Which tenant a domain belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainTenant<'a> {
    /// The tenant with this id.
    Known(&'a str),
    /// None.
    NoTenant,
    /// It was not looked up.
    Unknown,
}

impl DomainLookups {
    /// The tenant of a domain.
    #[must_use]
    pub fn tenant_of(&self, domain: &str) -> DomainTenant<'_> {
        match self.tenants.get(domain) {
            Some(Some(id)) => DomainTenant::Known(id),
            Some(None) => DomainTenant::NoTenant,
            None => DomainTenant::Unknown,
        }
    }

    /// How many domains are looked up in one run.
    pub const LIMIT: usize = 1_000;
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TenantInformation {
    tenant_id: String,
}

/// Looks up each domain that `known` lacks, at most [`DomainLookups::LIMIT`]. `done` is called after each.
pub async fn look_up(
    graph: &Arc<Graph>,
    domains: &BTreeSet<String>,
    known: BTreeMap<String, Option<String>>,
    done: &mut dyn FnMut(),
) -> DomainLookups {
    let wanted: Vec<String> = domains
        .iter()
        .filter(|it| !known.contains_key(*it))
        .cloned()
        .collect();
    let left_out = wanted.len().saturating_sub(DomainLookups::LIMIT);
    let asked: Vec<String> = wanted.into_iter().take(DomainLookups::LIMIT).collect();
    let read = |domain: String| {
        let graph = graph.clone();
        async move { tenant_of(&graph, &domain).await }
    };
    // One domain that Graph does not understand says nothing about the others.
    let ends = |it: &GraphError| !matches!(it, GraphError::Rejected(_) | GraphError::Unexpected(_));
    let answers = read_each(asked.clone(), read, ends, done).await;
    let mut lookups = DomainLookups {
        tenants: known,
        error: None,
        left_out,
    };
    for (domain, answer) in asked.into_iter().zip(answers) {
        match answer {
            Ok(tenant) => {
                lookups.tenants.insert(domain, tenant);
            }
            Err(error) => {
                lookups.error.get_or_insert(error);
            }
        }
    }
    lookups
}

async fn tenant_of(graph: &Graph, domain: &str) -> Result<Option<String>, GraphError> {
    let resource = Resource::new(
        format!(
            "v1.0/tenantRelationships/findTenantInformationByDomainName(domainName='{domain}')"
        ),
        "CrossTenantInformation.ReadBasic.All",
    );
    match graph.get::<TenantInformation>(&resource).await {
        Ok(found) => Ok(Some(found.tenant_id.to_lowercase())),
        Err(GraphError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

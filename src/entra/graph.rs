//! What is read from Microsoft Graph.

use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::connection::Connection;
use super::error::GraphError;
use super::model::{AccessPackage, AssignmentPolicy, Catalog, Organization};
use super::pages::Pages;
use super::resource::Resource;
use crate::config::Microsoft;
use crate::http::Proxies;
use crate::link::PackageId;

/// A client for Microsoft Graph, for one tenant. It only reads.
pub struct Graph(Connection);

impl Graph {
    /// Checks the app registration's settings without a connection.
    ///
    /// # Errors
    /// If the secret or certificate, `ca_file` or the proxy cannot be used.
    pub fn new(
        config: &Microsoft,
        proxies: Proxies,
        clock: fn() -> Timestamp,
    ) -> Result<Self, GraphError> {
        Ok(Self(Connection::new(config, proxies, clock)?))
    }

    /// The same with another deadline for each request.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self(self.0.with_deadline(deadline))
    }

    /// Reads one resource.
    ///
    /// # Errors
    /// If it cannot be read, or the answer has another form.
    pub async fn get<T: DeserializeOwned>(&self, resource: &Resource) -> Result<T, GraphError> {
        let (read, _) = self.0.read(&self.0.url(resource), resource).await?;
        Ok(read)
    }

    /// Reads the beginning of something that is not JSON, at most this many bytes.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn beginning(
        &self,
        resource: &Resource,
        limit: usize,
    ) -> Result<Vec<u8>, GraphError> {
        let url = self.0.url(resource);
        self.0.read_beginning(&url, resource, limit).await
    }

    /// Reads a list, page by page.
    #[must_use]
    pub fn pages(&self, resource: &Resource) -> Pages<'_> {
        Pages::new(&self.0, resource.clone(), self.0.url(resource))
    }

    /// Reads a whole list.
    ///
    /// # Errors
    /// If one of its pages cannot be read.
    pub async fn list<T: DeserializeOwned>(
        &self,
        resource: &Resource,
    ) -> Result<Vec<T>, GraphError> {
        self.pages(resource).all().await
    }

    /// The tenant.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn organization(&self) -> Result<Organization, GraphError> {
        let resource = Resource::organization();
        let mut found: Vec<Organization> = self.list(&resource).await?;
        found.pop().ok_or_else(|| {
            GraphError::Unexpected(format!("Microsoft Graph returned an empty {resource}"))
        })
    }

    /// All access packages that the application may read, each with its catalog and all its policies.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub async fn packages(&self) -> Result<Vec<AccessPackage>, GraphError> {
        let both = Resource::packages("?$expand=catalog,assignmentPolicies");
        let mut packages: Vec<AccessPackage> = match self.list(&both).await {
            // Microsoft documents one expansion at a time.
            Err(GraphError::Rejected(_)) => {
                let mut packages: Vec<AccessPackage> =
                    self.list(&Resource::packages("?$expand=catalog")).await?;
                for package in &mut packages {
                    let id = package.package_id();
                    let id = id.ok_or_else(|| unusable_id(package))?;
                    let resource = Resource::package(id, "?$expand=assignmentPolicies");
                    let read: AccessPackage = self.get(&resource).await?;
                    package.assignment_policies = read.assignment_policies;
                    package.more_policies = read.more_policies;
                }
                packages
            }
            packages => packages?,
        };
        for package in &mut packages {
            self.complete_policies(package).await?;
        }
        Ok(packages)
    }

    /// One access package with its catalog and all its policies; `None` if there is none with this id.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn package(&self, id: PackageId) -> Result<Option<AccessPackage>, GraphError> {
        let both = Resource::package(id, "?$expand=catalog,assignmentPolicies");
        let package = match self.get(&both).await {
            // Microsoft documents one expansion at a time.
            Err(GraphError::Rejected(_)) => {
                let policies = Resource::package(id, "?$expand=assignmentPolicies");
                match self.get::<AccessPackage>(&policies).await {
                    Ok(mut package) => {
                        let catalog = self.get::<Catalog>(&Resource::catalog_of(id)).await?;
                        package.catalog = Some(catalog);
                        Ok(package)
                    }
                    error => error,
                }
            }
            package => package,
        };
        match package {
            Ok(mut package) => {
                self.complete_policies(&mut package).await?;
                Ok(Some(package))
            }
            Err(GraphError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the policies that an answer left out.
    async fn complete_policies(&self, package: &mut AccessPackage) -> Result<(), GraphError> {
        let Some(next) = package.more_policies.take() else {
            return Ok(());
        };
        let resource = Resource::entitlement("assignmentPolicies");
        let next = self.0.link(&next, &resource)?;
        let pages = Pages::new(&self.0, resource, next);
        let more: Vec<AssignmentPolicy> = pages.all().await?;
        let policies = package.assignment_policies.get_or_insert_default();
        policies.extend(more);
        Ok(())
    }
}

fn unusable_id(package: &AccessPackage) -> GraphError {
    GraphError::Unexpected(format!(
        "Microsoft Graph returned an access package with the id `{}`, which is no GUID",
        package.id
    ))
}

//! The resources of Microsoft Graph that are read, each with the permission that reading it needs.
//!
//! Source: Microsoft Graph v1.0 reference and permissions reference (August 2026).

use std::fmt;

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::link::PackageId;

/// Reads access packages, catalogs, policies and connected organizations.
const ENTITLEMENT: &str = "EntitlementManagement.Read.All";
const ENTITLEMENT_PATH: &str = "v1.0/identityGovernance/entitlementManagement";

/// Something to read: a path with its query, below the address of Graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    path: String,
    permission: &'static str,
}

impl Resource {
    /// `path` begins with the version, `v1.0/…`; its query is already encoded. `permission` is the least
    /// application permission that reads it.
    pub fn new(path: impl Into<String>, permission: &'static str) -> Self {
        let path = path.into();
        Self { path, permission }
    }

    /// The tenant itself.
    #[must_use]
    pub fn organization() -> Self {
        let path = "v1.0/organization?$select=id,displayName,verifiedDomains";
        Self::new(path, "Organization.Read.All")
    }

    /// All access packages; `query` is empty or begins with `?`.
    #[must_use]
    pub fn packages(query: &str) -> Self {
        Self::entitlement(&format!("accessPackages{query}"))
    }

    /// One access package; `query` is empty or begins with `?`.
    #[must_use]
    pub fn package(id: PackageId, query: &str) -> Self {
        Self::entitlement(&format!("accessPackages/{id}{query}"))
    }

    /// The catalog of an access package.
    #[must_use]
    pub fn catalog_of(id: PackageId) -> Self {
        Self::entitlement(&format!("accessPackages/{id}/catalog"))
    }

    /// The policies of an access package, from the list of all policies.
    #[must_use]
    pub fn policies_of(id: PackageId) -> Self {
        let filter = format!("accessPackage/id%20eq%20'{id}'");
        Self::entitlement(&format!("assignmentPolicies?$filter={filter}"))
    }

    /// Something below `identityGovernance/entitlementManagement`.
    pub(super) fn entitlement(path: &str) -> Self {
        Self::new(format!("{ENTITLEMENT_PATH}/{path}"), ENTITLEMENT)
    }

    /// The path with its query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The application permission that reading it needs.
    #[must_use]
    pub fn permission(&self) -> &'static str {
        self.permission
    }
}

/// What is percent-encoded in a segment of a path.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'@');

/// A segment of a path, percent-encoded.
pub(super) fn encoded(segment: &str) -> String {
    if !segment.is_empty() && segment.bytes().all(|it| it == b'.') {
        // `.` and `..`, also encoded, lead to other resources. Encoded twice, they lead to none.
        return segment.replace('.', "%252E");
    }
    utf8_percent_encode(segment, ENCODED).to_string()
}

/// A time for a filter.
pub(super) fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An id of a mail is longer.
const LONGEST_SEGMENT: usize = 100;

/// The path without query and version, with `{id}` for ids, as messages name it.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.split('?').next().unwrap_or_default();
        let segments = path.trim_start_matches("v1.0/").split('/');
        for segment in segments {
            let is_id = PackageId::parse(segment).is_some() || segment.len() > LONGEST_SEGMENT;
            write!(f, "/{}", if is_id { "{id}" } else { segment })?;
        }
        Ok(())
    }
}

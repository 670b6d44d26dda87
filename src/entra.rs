//! Microsoft Entra, read by Microsoft Graph: whether partners can request the access packages.
//!
//! The client only reads: every request to Graph is a `GET`. Members of enumerations and fields that it
//! does not know are never an error.

mod access;
mod cache;
mod concurrently;
mod conditions;
mod connected_organization;
mod connection;
mod coverage;
mod cross_tenant;
mod domain_list;
mod domain_lookup;
mod error;
mod graph;
mod guest_access;
mod mailbox;
mod message_trace;
mod model;
mod package_reading;
mod pages;
mod report_sources;
mod request_pace;
mod requests;
mod resource;
mod tenant;
mod tenant_conditions;
mod trace_windows;
mod wording;

pub use self::access::{Obstacle, OutsideAccess};
pub use self::cache::Cache;
pub use self::concurrently::read_each;
pub use self::conditions::{PackageReport, other_cloud, package_report};
pub use self::coverage::{ListedDomains, domain_findings};
pub use self::domain_lookup::{DomainLookups, look_up};
pub use self::error::GraphError;
pub use self::graph::Graph;
pub use self::mailbox::{ListedMails, list_mails, read_mail};
pub use self::message_trace::{MessageTrace, MessageTraces, TraceDetail};
pub use self::model::{
    AccessPackage, AssignmentPolicy, Catalog, CatalogState, Organization, RequestorSettings,
    SubjectSet, TargetScope, VerifiedDomain,
};
pub use self::package_reading::{PackageReading, PackageReadings, listed_policies};
pub use self::pages::Pages;
pub use self::report_sources::source_findings;
pub use self::requests::{AccessRequest, Assignment, AssignmentState, RequestState, Subject};
pub use self::resource::Resource;
pub use self::tenant::TenantPolicies;
pub use self::tenant_conditions::tenant_findings;
pub use self::trace_windows::{REACH as TRACE_REACH, TraceWindow, trace_windows};
pub use self::wording::CHECK;

#[cfg(test)]
mod tests;

//! Microsoft Entra, read by Microsoft Graph: whether partners can request the access packages.
//!
//! The client only reads: every request to Graph is a `GET`. Members of enumerations and fields that it
//! does not know are never an error.

mod access;
mod connection;
mod error;
mod graph;
mod model;
mod pages;
mod resource;

pub use self::access::{Obstacle, OutsideAccess};
pub use self::error::GraphError;
pub use self::graph::Graph;
pub use self::model::{
    AccessPackage, AssignmentPolicy, Catalog, CatalogState, Organization, RequestorSettings,
    SubjectSet, TargetScope, VerifiedDomain,
};
pub use self::pages::Pages;
pub use self::resource::Resource;

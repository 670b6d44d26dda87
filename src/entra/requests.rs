//! Requests for an access package, and the assignments that came of them.
//!
//! Who requested cannot be filtered by address, so all of a package are read, page by page. Sources: Microsoft
//! Graph v1.0, "List assignmentRequests" and "List assignments", and its metadata (August 2026).

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::GraphError;
use super::graph::Graph;
use super::model::{AccessPackage, or_default};
use super::resource::Resource;
use crate::link::PackageId;

/// A request for an access package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessRequest {
    /// What is requested, such as `userAdd`.
    #[serde(default, deserialize_with = "or_default")]
    pub request_type: String,
    /// How far it has come.
    #[serde(default, deserialize_with = "or_default")]
    pub state: RequestState,
    /// When it was made, as Graph writes it.
    pub created_date_time: Option<String>,
    /// When it was decided or delivered.
    pub completed_date_time: Option<String>,
    /// Who requested, or whom an administrator has assigned.
    pub requestor: Option<Subject>,
    /// The package, if the answer has it.
    access_package: Option<AccessPackage>,
}

impl AccessRequest {
    /// Whether it asks for access: not for an end of it, and not for a change of an existing assignment, which the
    /// assignment itself shows. Types that this program does not know count.
    #[must_use]
    pub fn asks_for_access(&self) -> bool {
        !["Remove", "Update"]
            .iter()
            .any(|it| self.request_type.ends_with(it))
    }
}

/// How far a request has come. There is no state of its own for an approval that was not given in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RequestState {
    /// It was made.
    Submitted,
    /// An approver is to decide.
    PendingApproval,
    /// It will be delivered later.
    Scheduled,
    /// It is being delivered; for a guest, perhaps until the first sign-in.
    Delivering,
    /// Access was assigned.
    Delivered,
    /// A part of it was assigned.
    PartiallyDelivered,
    /// An approver denied it.
    Denied,
    /// It could not be delivered.
    DeliveryFailed,
    /// The requestor took it back.
    Canceled,
    /// Missing, or a member that this program does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// An assignment of an access package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// Whether it is in force.
    #[serde(default, deserialize_with = "or_default")]
    pub state: AssignmentState,
    /// When it ended, as Graph writes it.
    pub expired_date_time: Option<String>,
    /// Whose it is.
    pub target: Option<Subject>,
    /// When it is in force.
    schedule: Option<Schedule>,
    /// The package, if the answer has it.
    access_package: Option<AccessPackage>,
}

impl Assignment {
    /// When it began, as Graph writes it.
    #[must_use]
    pub fn start(&self) -> Option<&str> {
        self.schedule.as_ref()?.start_date_time.as_deref()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Schedule {
    start_date_time: Option<String>,
}

/// Whether an assignment is in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AssignmentState {
    /// Not yet.
    Delivering,
    /// Yes.
    Delivered,
    /// In part.
    PartiallyDelivered,
    /// No longer.
    Expired,
    /// It could not be delivered.
    DeliveryFailed,
    /// Missing, or a member that this program does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A person, in the directory or not yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// The mail address.
    pub email: Option<String>,
    /// The user name; none before the person is in the directory.
    pub principal_name: Option<String>,
}

/// The query for what is used, and the one that Microsoft documents, whose answers are longer.
fn queries(set: &str, person: &str, fields: &str, package: PackageId) -> [Resource; 2] {
    let filter = format!("$filter=accessPackage/id%20eq%20'{package}'");
    [
        format!("{set}?$select={fields}&$expand={person},accessPackage($select=id)&{filter}"),
        format!("{set}?$expand={person},accessPackage&{filter}"),
    ]
    .map(|it| Resource::entitlement(&it))
}

impl Graph {
    /// Reads all requests for a package, page by page.
    ///
    /// # Errors
    /// If one of the pages cannot be read.
    pub async fn requests_for(
        &self,
        package: PackageId,
        each: impl FnMut(AccessRequest) + Send,
    ) -> Result<(), GraphError> {
        let fields = "id,requestType,state,createdDateTime,completedDateTime";
        let queries = queries("assignmentRequests", "requestor", fields, package);
        let is_wanted = |it: &AccessRequest| is_for(it.access_package.as_ref(), package);
        self.each(queries, is_wanted, each).await
    }

    /// Reads all assignments of a package, page by page, also those that have ended.
    ///
    /// # Errors
    /// If one of the pages cannot be read.
    pub async fn assignments_of(
        &self,
        package: PackageId,
        each: impl FnMut(Assignment) + Send,
    ) -> Result<(), GraphError> {
        let fields = "id,state,expiredDateTime,schedule";
        let queries = queries("assignments", "target", fields, package);
        let is_wanted = |it: &Assignment| is_for(it.access_package.as_ref(), package);
        self.each(queries, is_wanted, each).await
    }

    /// Reads what is wanted of a list, by the first of two queries that Graph accepts.
    async fn each<T: DeserializeOwned>(
        &self,
        [first, second]: [Resource; 2],
        is_wanted: impl Fn(&T) -> bool + Send,
        mut each: impl FnMut(T) + Send,
    ) -> Result<(), GraphError> {
        let mut pages = self.pages(&first);
        let mut page = pages.next().await;
        if let Err(GraphError::Rejected(_)) = page {
            pages = self.pages(&second);
            page = pages.next().await;
        }
        while let Some(entries) = page? {
            entries.into_iter().filter(&is_wanted).for_each(&mut each);
            page = pages.next().await;
        }
        Ok(())
    }
}

/// Whether something is about this package. A server that ignores the filter must not mix packages.
fn is_for(named: Option<&AccessPackage>, package: PackageId) -> bool {
    named.is_none_or(|it| it.package_id() == Some(package))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_members_missing_fields_and_nulls_are_tolerated() {
        let requests: Vec<AccessRequest> = serde_json::from_str(
            r#"[{"id":"1","requestType":null,"state":null,"createdDateTime":null,"requestor":null},
                {"requestType":"guestAdd","state":"approvedByMartians","requestor":{"email":null}},
                {}]"#,
        )
        .unwrap();
        for request in requests {
            assert_eq!(request.state, RequestState::Unknown);
            assert!(request.asks_for_access());
            assert!(request.requestor.is_none_or(|it| it == Subject::default()));
        }
        let assignments: Vec<Assignment> = serde_json::from_str(
            r#"[{"state":"paused","target":null,"schedule":null},{"state":null,"schedule":{}},{}]"#,
        )
        .unwrap();
        for assignment in assignments {
            assert_eq!(assignment.state, AssignmentState::Unknown);
            assert_eq!(assignment.start(), None);
        }
    }

    #[test]
    fn an_end_or_a_change_of_access_does_not_ask_for_it() {
        let asks = |request_type: &str| {
            AccessRequest {
                request_type: request_type.into(),
                ..AccessRequest::default()
            }
            .asks_for_access()
        };
        for name in ["userAdd", "adminAdd", "systemAdd", "onBehalfAdd"] {
            assert!(asks(name), "{name}");
        }
        for name in [
            "userRemove",
            "adminRemove",
            "systemRemove",
            "approverRemove",
            "userUpdate",
            "adminUpdate",
            "systemUpdate",
        ] {
            assert!(!asks(name), "{name}");
        }
    }
}

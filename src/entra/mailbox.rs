//! The mails of a mailbox in Exchange Online.
//!
//! Source: Microsoft Graph v1.0 reference, "List messages" and "Get MIME content of a message".

use jiff::Timestamp;
use serde::Deserialize;

use super::error::GraphError;
use super::graph::Graph;
use super::resource::{Resource, encoded, utc};
use crate::address::Address;

/// The application permission that reads mail.
const PERMISSION: &str = "Mail.Read";
/// How many ids come with one page.
const PAGE: usize = 500;
/// How many mails of a mailbox are read.
const LIMIT: usize = 20_000;

/// A mail, as it is listed.
#[derive(Deserialize)]
struct Listed {
    id: String,
}

/// The mails of an inbox since a time.
#[derive(Debug)]
pub struct ListedMails {
    /// Their ids, the newest first.
    pub ids: Vec<String>,
    /// Why these are not all.
    pub more: Option<GraphError>,
}

/// Lists the mails of an inbox that arrived since a time.
///
/// # Errors
/// If the inbox cannot be read.
pub async fn list_mails(
    graph: &Graph,
    address: &Address,
    since: Timestamp,
) -> Result<ListedMails, GraphError> {
    let mut pages = graph.pages(&inbox(address, &format!(
        "$select=id&$filter=receivedDateTime%20ge%20{}&$orderby=receivedDateTime%20desc&$top={PAGE}",
        utc(since)
    )));
    let mut ids = Vec::new();
    while let Some(page) = pages
        .next::<Listed>()
        .await
        .map_err(|it| explain(it, address))?
    {
        ids.extend(page.into_iter().map(|it| it.id));
        if ids.len() > LIMIT {
            ids.truncate(LIMIT);
            let more = GraphError::Unexpected(format!(
                "the inbox of {address} has more than {LIMIT} mails since {}; the older ones were not read: move mails that are no reports to another folder",
                utc(since)
            ));
            return Ok(ListedMails {
                ids,
                more: Some(more),
            });
        }
    }
    Ok(ListedMails { ids, more: None })
}

/// The beginning of a mail, at most this many bytes; `None` if it was deleted meanwhile.
///
/// # Errors
/// If it cannot be read.
pub async fn read_mail(
    graph: &Graph,
    address: &Address,
    id: &str,
    limit: usize,
) -> Result<Option<Vec<u8>>, GraphError> {
    let mailbox = encoded(address.as_written());
    let path = format!("v1.0/users/{mailbox}/messages/{}/$value", encoded(id));
    let resource = Resource::new(path, PERMISSION);
    match graph.beginning(&resource, limit).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(GraphError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the inbox can be read.
///
/// # Errors
/// If it cannot.
pub async fn check_mailbox(graph: &Graph, address: &Address) -> Result<(), GraphError> {
    let mut pages = graph.pages(&inbox(address, "$select=id&$top=1"));
    let page = pages.next::<Listed>().await;
    page.map(drop).map_err(|it| explain(it, address))
}

fn inbox(address: &Address, query: &str) -> Resource {
    let mailbox = encoded(address.as_written());
    let path = format!("v1.0/users/{mailbox}/mailFolders/inbox/messages?{query}");
    Resource::new(path, PERMISSION)
}

/// Says what to do about a mailbox that does not exist.
fn explain(error: GraphError, address: &Address) -> GraphError {
    match error {
        GraphError::NotFound(why) => GraphError::NotFound(format!(
            "{why}; `bounces.graph_mailbox` must be the address of a mailbox of this tenant, and {address} is none"
        )),
        error => error,
    }
}

//! The message trace of Exchange Online: what became of each message that a mailbox has sent.
//!
//! Exchange answers for 10 days at once, up to 90 days back, a hundred requests in five minutes, and only in
//! the global cloud. Source: Microsoft Graph v1.0 reference, "List messageTraces" (January 2026).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::error::GraphError;
use super::graph::Graph;
use super::model::or_default;
use super::pages::Pages;
use super::request_pace::RequestPace;
use super::resource::{Resource, encoded, utc};
use super::trace_windows::TraceWindow;
use crate::address::Address;

/// The application permission that reads the trace.
const PERMISSION: &str = "ExchangeMessageTrace.Read.All";
const PATH: &str = "v1.0/admin/exchange/tracing/messageTraces";
/// How many entries come with one page. Exchange admits twice as many, but subjects may be long.
const PAGE: usize = 2_500;
/// How many requests Exchange admits in [`PERIOD`].
const REQUESTS: usize = 100;
const PERIOD: Duration = Duration::from_mins(5);
/// How long the entries of one window may take, with the waits for further requests.
const PATIENCE: Duration = Duration::from_mins(20);
/// What Exchange answers while it lacks the account by which it reads the trace.
const WITHOUT_SERVICE: &str = "Service principal-less";

/// One message to one recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageTrace {
    /// The id of the entry.
    #[serde(default, deserialize_with = "or_default")]
    pub id: String,
    /// The message's Message-ID, in angle brackets.
    #[serde(default, deserialize_with = "or_default")]
    pub message_id: String,
    /// The recipient.
    #[serde(default, deserialize_with = "or_default")]
    pub recipient_address: String,
    /// When Exchange received the message.
    #[serde(default, deserialize_with = "or_default")]
    pub received_date_time: String,
    /// What became of it: `delivered`, `failed`, `pending` and others.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
}

impl MessageTrace {
    /// Whether Exchange has given the message up.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.status.eq_ignore_ascii_case("failed")
    }
}

/// One event of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct TraceDetail {
    /// What happened, such as `Receive`, `Send` or `Fail`.
    #[serde(default, deserialize_with = "or_default")]
    pub event: String,
    /// The same in words, with the last server's reply.
    #[serde(default, deserialize_with = "or_default")]
    pub description: String,
}

/// Reads the trace, no faster than Exchange admits.
pub struct MessageTraces<'g> {
    graph: &'g Graph,
    pace: RequestPace,
}

impl<'g> MessageTraces<'g> {
    /// No request is made yet.
    #[must_use]
    pub fn new(graph: &'g Graph) -> Self {
        let pace = RequestPace::new(REQUESTS, PERIOD);
        Self { graph, pace }
    }

    /// The entries of this sender within a window, for [`MessageTraces::next`].
    #[must_use]
    pub fn pages(&self, sender: &Address, window: &TraceWindow) -> Pages<'g> {
        let resource = entries(sender, window.from, window.to, PAGE);
        self.graph.pages(&resource).within(PATIENCE)
    }

    /// The next page; `None` at the end.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn next(
        &mut self,
        pages: &mut Pages<'g>,
    ) -> Result<Option<Vec<MessageTrace>>, GraphError> {
        if pages.is_at_end() {
            return Ok(None);
        }
        self.pace.wait().await;
        pages.next().await.map_err(explain)
    }

    /// What happened to one message.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn details(&mut self, trace: &MessageTrace) -> Result<Vec<TraceDetail>, GraphError> {
        self.pace.wait().await;
        let path = format!(
            "{PATH}/{}/getDetailsByRecipient(recipientAddress='{}')",
            encoded(&trace.id),
            quoted(&trace.recipient_address)
        );
        let mut pages = self.graph.pages(&Resource::new(path, PERMISSION));
        let page = pages.next().await.map_err(explain)?;
        Ok(page.unwrap_or_default())
    }
}

/// Whether the trace can be read.
///
/// # Errors
/// If it cannot.
pub async fn check_message_trace(
    graph: &Graph,
    sender: &Address,
    now: Timestamp,
) -> Result<(), GraphError> {
    let to = now - SignedDuration::from_mins(5);
    let resource = entries(sender, to - SignedDuration::from_hours(1), to, 1);
    let page = graph.pages(&resource).next::<MessageTrace>().await;
    page.map(drop).map_err(explain)
}

fn entries(sender: &Address, from: Timestamp, to: Timestamp, page: usize) -> Resource {
    let filter = format!(
        "senderAddress%20eq%20'{}'%20and%20receivedDateTime%20ge%20{}%20and%20receivedDateTime%20le%20{}",
        quoted(sender.as_written()),
        utc(from),
        utc(to)
    );
    Resource::new(format!("{PATH}?$filter={filter}&$top={page}"), PERMISSION)
}

/// The content of a text in a filter or a function: an apostrophe is doubled.
fn quoted(text: &str) -> String {
    encoded(&text.replace('\'', "''"))
}

/// Says what to do if Exchange has no account for the trace.
fn explain(error: GraphError) -> GraphError {
    match error {
        GraphError::Configuration(why) if why.contains(WITHOUT_SERVICE) => {
            let begin = why.split(": the token of").next().unwrap_or_default();
            GraphError::Configuration(format!(
                "{begin}: the tenant has no service principal for the message trace; an administrator creates it once by `New-MgServicePrincipal -AppId 8bd644d1-64a1-4d4b-ae52-2e0cbf64e373`"
            ))
        }
        error => error,
    }
}

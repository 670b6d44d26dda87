//! Exchange Online behind the double of Microsoft Graph: the inbox of one mailbox, and the message trace of one
//! sender with the limits that Microsoft documents.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::graph::{Graph, error, page};
use super::token_endpoint::{Action, Request, json as answer};

/// The mailbox.
pub const MAILBOX: &str = "partner-access@contoso.example";
/// The sender whose messages are traced, as `Workplace` configures it.
pub const SENDER: &str = "access@contoso.example";
/// The resource of the trace.
pub const TRACES: &str = "/admin/exchange/tracing/messageTraces";
/// How many ids or entries come with one page.
const PAGE: usize = 3;

/// What is in mailbox and trace. Clones share it.
#[derive(Clone, Default)]
pub struct Exchange(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    mails: Vec<(String, Vec<u8>)>,
    traces: Vec<Value>,
    details: Vec<Value>,
}

impl Exchange {
    /// Serves an empty mailbox and an empty trace.
    pub fn start(graph: &Graph) -> Self {
        let exchange = Self::default();
        let (listed, read, traced, detailed) = (
            exchange.clone(),
            exchange.clone(),
            exchange.clone(),
            exchange.clone(),
        );
        let url = graph.url();
        graph.script("/v1.0/users/", move |request| {
            let target = decoded(request);
            let inbox = format!("/v1.0/users/{MAILBOX}/mailFolders/inbox/messages?");
            target
                .starts_with(&inbox)
                .then(|| listed.list(&url, &target))
        });
        graph.script("/$value", move |request| {
            Some(read.content_of(&decoded(request)))
        });
        let url = graph.url();
        graph.script(TRACES, move |request| {
            Some(traced.traces(&url, &decoded(request)))
        });
        graph.script("getDetailsByRecipient", move |_| {
            let details = detailed.content().details.clone();
            Some(page(&details.into(), None))
        });
        exchange
    }

    /// Puts a mail into the inbox.
    pub fn mail(&self, id: &str, mime: impl Into<Vec<u8>>) {
        self.content().mails.push((id.to_owned(), mime.into()));
    }

    /// Adds an entry to the trace.
    pub fn trace(&self, message_id: &str, recipient: &str, status: &str) {
        self.trace_at(Timestamp::now(), message_id, recipient, status);
    }

    /// Adds an entry of this time.
    pub fn trace_at(&self, at: Timestamp, message_id: &str, recipient: &str, status: &str) {
        let traces = &mut self.content().traces;
        traces.push(json!({
            "id": format!("7e3b2b2e-1b5e-4b17-80cc-{:012}", traces.len()),
            "senderAddress": SENDER,
            "recipientAddress": recipient,
            "messageId": format!("<{message_id}>"),
            "receivedDateTime": at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "subject": "Invitation",
            "size": 12_345,
            "fromIP": "192.0.2.1",
            "toIP": "",
            "status": status,
        }));
    }

    /// Removes all entries.
    pub fn forget_traces(&self) {
        self.content().traces.clear();
    }

    /// What a failure is explained with.
    pub fn explain(&self, description: &str) {
        self.content().details = vec![
            json!({"id": "1", "event": "Receive", "description": "Message received by: X.example", "dateTime": "2026-11-30T09:00:00Z", "action": "", "data": "<root/>"}),
            json!({"id": "1", "event": "Fail", "description": description, "dateTime": "2026-11-30T09:00:01Z", "action": "", "data": "<root/>"}),
        ];
    }

    fn content(&self) -> std::sync::MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self, url: &str, target: &str) -> Action {
        let content = self.content();
        let ids = content.mails.iter().map(|it| json!({"id": it.0}));
        paged(url, target, &ids.collect::<Vec<_>>())
    }

    fn content_of(&self, target: &str) -> Action {
        let content = self.content();
        let of_it = |id: &str| target == format!("/v1.0/users/{MAILBOX}/messages/{id}/$value");
        match content.mails.iter().find(|it| of_it(&it.0)) {
            Some((_, mime)) => {
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    mime.len()
                );
                Action::Raw([head.as_bytes(), mime].concat())
            }
            None => error(404),
        }
    }

    /// The entries of a window that Exchange admits; otherwise 400.
    fn traces(&self, url: &str, target: &str) -> Action {
        let bound = |name: &str| -> Option<Timestamp> {
            let (_, after) = target.split_once(name)?;
            after.get(..20)?.parse().ok()
        };
        let now = Timestamp::now();
        let bounds = bound("receivedDateTime ge ").zip(bound("receivedDateTime le "));
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        let admitted = bounds.filter(|(from, to)| {
            to.duration_since(*from) <= days(10)
                && from < to
                && now.duration_since(*from) <= days(90)
                && *to <= now
        });
        let of_sender = target.contains(&format!("senderAddress eq '{SENDER}' and "));
        let Some((from, to)) = admitted.filter(|_| of_sender) else {
            return error(400);
        };
        let content = self.content();
        // Entries of the last minutes are shown as well, although a window ends before.
        let to = if now.duration_since(to) < SignedDuration::from_mins(5) {
            now
        } else {
            to
        };
        let of_window = content.traces.iter().filter(|it| {
            let at: Timestamp = it["receivedDateTime"].as_str().unwrap().parse().unwrap();
            from <= at && at <= to
        });
        paged(url, target, &of_window.cloned().collect::<Vec<_>>())
    }
}

/// A page of a list, with a link to the next.
fn paged(url: &str, target: &str, all: &[Value]) -> Action {
    let (first, skipped) = match target.split_once("&$skiptoken=") {
        Some((first, number)) => (first, number.parse().unwrap()),
        None => (target, 0),
    };
    let rest = &all[skipped..];
    let end = rest.len().min(PAGE);
    let next = (rest.len() > PAGE).then(|| {
        let first = first.replace(' ', "%20");
        format!("{url}{first}&$skiptoken={}", skipped + PAGE)
    });
    page(&rest[..end].to_vec().into(), next.as_deref())
}

/// The target of a request without percent-encoding.
fn decoded(request: &Request) -> String {
    let target = request.head.split(' ').nth(1).unwrap_or_default();
    let mut bytes = Vec::new();
    let mut rest = target.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| byte == b'%');
        let hex = hex.and_then(|it| u8::from_str_radix(std::str::from_utf8(it).ok()?, 16).ok());
        bytes.push(hex.unwrap_or(byte));
        rest = if hex.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap()
}

/// The answer that Exchange gives while its service principal is missing.
pub fn without_service_principal() -> Action {
    let text = json!({"error": {"code": "Unauthorized", "message": "Service principal-less Authentication failed: Service principal-less authentication failed for the application."}});
    answer(401, &text.to_string())
}

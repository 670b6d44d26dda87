//! Lists of Microsoft Graph, page by page (`@odata.nextLink`).

use std::collections::HashSet;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use url::Url;

use super::connection::Connection;
use super::error::GraphError;
use super::resource::Resource;

/// How many pages of one list are read.
const PAGES: usize = 1_000;
/// How many bytes of one list are read.
const BYTES: usize = 64 * 1024 * 1024;
/// How long one list may take, unless its pages are asked for slowly.
const PATIENCE: Duration = Duration::from_mins(5);

/// A list that is read page by page.
pub struct Pages<'g> {
    connection: &'g Connection,
    resource: Resource,
    /// Where the next page is; `None` at the end.
    next: Option<Url>,
    /// The pages that were read: a link back to one of them would never end.
    seen: HashSet<Url>,
    /// How many bytes they had.
    bytes: usize,
    begun: Instant,
    patience: Duration,
}

#[derive(Deserialize)]
struct Page<T> {
    value: Vec<T>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
}

impl<'g> Pages<'g> {
    pub(super) fn new(connection: &'g Connection, resource: Resource, first: Url) -> Self {
        Self {
            connection,
            resource,
            next: Some(first),
            seen: HashSet::new(),
            bytes: 0,
            begun: Instant::now(),
            patience: PATIENCE,
        }
    }

    /// The same with another time for the whole list.
    pub(super) fn within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Whether there is no further page.
    pub(super) fn is_at_end(&self) -> bool {
        self.next.is_none()
    }

    /// The next page, which may be empty; `None` at the end.
    ///
    /// # Errors
    /// If it cannot be read, or its link leads to another server, back to an earlier page, or the list is too large or slow.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<Vec<T>>, GraphError> {
        let Some(url) = self.next.take() else {
            return Ok(None);
        };
        let (page, bytes): (Page<T>, _) = self.connection.read(&url, &self.resource).await?;
        self.bytes += bytes;
        self.seen.insert(url);
        if let Some(next) = page.next {
            let next = self.connection.link(&next, &self.resource)?;
            let why = if self.seen.contains(&next) {
                "its pages link to each other in a circle".to_owned()
            } else if self.seen.len() >= PAGES {
                format!("it has more than {PAGES} pages")
            } else if self.bytes > BYTES {
                format!("it is larger than {} MiB", BYTES / 1024 / 1024)
            } else if self.begun.elapsed() > self.patience {
                return Err(GraphError::Unreachable(format!(
                    "cannot read all of {} from Microsoft Graph: it is not complete after {} minutes; try again later",
                    self.resource,
                    self.patience.as_secs() / 60
                )));
            } else {
                self.next = Some(next);
                return Ok(Some(page.value));
            };
            let resource = &self.resource;
            return Err(GraphError::Unexpected(format!(
                "cannot read all of {resource} from Microsoft Graph: {why}"
            )));
        }
        Ok(Some(page.value))
    }

    /// The rest of the list.
    ///
    /// # Errors
    /// If a page cannot be read.
    pub async fn all<T: DeserializeOwned>(mut self) -> Result<Vec<T>, GraphError> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await? {
            all.extend(page);
        }
        Ok(all)
    }
}

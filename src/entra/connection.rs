//! Requests to Microsoft Graph: nothing but `GET`.
//!
//! Every request has a deadline and a bounded answer, and is repeated a few times while Graph is
//! overloaded, after the pause that it asks for. A token that is refused is renewed once.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};
use tracing::debug;
use url::Url;

use super::error::GraphError;
use super::resource::Resource;
use crate::config::Microsoft;
use crate::http::{CaFile, Client, Get, HttpError, Proxies, Response};
use crate::oauth::{MicrosoftApi, Settings, Token, TokenSource};
use crate::secret::redact;

/// How long one request may take.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);
/// How many requests are made for one answer while Graph is overloaded or unreachable.
const ATTEMPTS: u32 = 4;
/// The pause after the first of them, unless Graph says how long; doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How long one answer is waited for at most before another request is made.
const PATIENCE: Duration = Duration::from_mins(2);
/// The longest answer; a page of a hundred packages with their policies takes a tenth of it.
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;
/// An error that Graph reports in place of a mail is shorter.
const SHORTEST_LIMIT: usize = 64 * 1024;
/// How many characters of a text from Graph are shown.
const SHOWN: usize = 300;

/// Where requests go, and with which tokens.
pub struct Connection {
    tokens: TokenSource,
    client: Client,
    base: Url,
    client_id: String,
    deadline: Duration,
}

/// What is read of an answer.
#[derive(Clone, Copy)]
enum Content {
    /// JSON, as a whole.
    Json,
    /// The beginning of something else, at most this many bytes.
    Beginning(usize),
}

/// An error as Graph reports it (Microsoft Graph, "Error responses").
#[derive(Deserialize)]
struct Refusal {
    error: RefusalDetails,
}

#[derive(Deserialize)]
struct RefusalDetails {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Connection {
    /// Checks the app registration's settings without a connection.
    ///
    /// # Errors
    /// If the secret or certificate, `ca_file` or the proxy cannot be used.
    pub fn new(
        config: &Microsoft,
        proxies: Proxies,
        clock: fn() -> Timestamp,
    ) -> Result<Self, GraphError> {
        proxies.check(&config.graph_url)?;
        let ca_file = config.ca_file.as_ref().map(|path| CaFile {
            key: "microsoft.ca_file",
            path,
        });
        let client = Client::new(ca_file.as_ref(), proxies.clone())?;
        let settings = Settings::microsoft(config, MicrosoftApi::Graph);
        Ok(Self {
            tokens: TokenSource::new(settings, proxies, clock)?,
            client,
            base: config.graph_url.clone(),
            client_id: config.client_id.clone(),
            deadline: REQUEST_DEADLINE,
        })
    }

    /// The same with another deadline for each request.
    pub fn with_deadline(self, deadline: Duration) -> Self {
        let tokens = self.tokens.with_deadline(deadline);
        Self {
            tokens,
            deadline,
            ..self
        }
    }

    /// Where a resource is.
    pub fn url(&self, resource: &Resource) -> Url {
        let base = self.base.as_str().trim_end_matches('/');
        let url = format!("{base}/{}", resource.path());
        url.parse().expect("a path below a URL is a URL")
    }

    /// A link in an answer. The token is sent to no other server.
    pub fn link(&self, link: &str, resource: &Resource) -> Result<Url, GraphError> {
        let link = self.base.join(link).ok();
        let link = link.filter(|it| it.origin() == self.base.origin());
        link.ok_or_else(|| {
            GraphError::Unexpected(format!(
                "cannot read all of {resource} from Microsoft Graph: the link to its next page leads to another server; check `microsoft.graph_url`"
            ))
        })
    }

    /// Reads and parses one answer. Also returns its length.
    pub async fn read<T: DeserializeOwned>(
        &self,
        url: &Url,
        resource: &Resource,
    ) -> Result<(T, usize), GraphError> {
        let response = self.answer(url, resource, Content::Json).await?;
        let unexpected = |why: &str| {
            GraphError::Unexpected(format!(
                "the answer of Microsoft Graph for {resource} {why}; check `microsoft.graph_url`, and for a proxy that changes answers"
            ))
        };
        let body = response.body.ok_or_else(|| {
            let limit = ANSWER_LIMIT / 1024 / 1024;
            unexpected(&format!("is larger than {limit} MiB"))
        })?;
        let parsed = serde_json::from_slice(&body)
            .map_err(|error| unexpected(&format!("is not what Microsoft documents ({error})")))?;
        Ok((parsed, body.len()))
    }

    /// Reads the beginning of an answer that is not JSON.
    pub async fn read_beginning(
        &self,
        url: &Url,
        resource: &Resource,
        limit: usize,
    ) -> Result<Vec<u8>, GraphError> {
        let response = self.answer(url, resource, Content::Beginning(limit));
        let body = response.await?.body.unwrap_or_default();
        Ok(body[..body.len().min(limit)].to_vec())
    }

    /// The answer to a request, which is repeated while Graph is overloaded, and once with a new token.
    async fn answer(
        &self,
        url: &Url,
        resource: &Resource,
        content: Content,
    ) -> Result<Response, GraphError> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        let mut renewed = false;
        loop {
            let token = self.tokens.token().await?;
            let (sent, response) = (Instant::now(), self.request(url, &token, content).await);
            let ms = u64::try_from(sent.elapsed().as_millis()).unwrap_or(u64::MAX);
            let status = response.as_ref().map(|it| u64::from(it.status)).ok();
            let error = response.as_ref().map_err(ToString::to_string).err();
            debug!(
                path = url.path(),
                status, error, ms, attempt, "requested from Microsoft Graph"
            );
            let (error, wait) = match response {
                Ok(response) if (200..300).contains(&response.status) => return Ok(response),
                Ok(response) if response.status == 401 && !renewed => {
                    self.tokens.invalidate(&token);
                    renewed = true;
                    continue;
                }
                Ok(response) => {
                    let wait = response.retry_after;
                    (self.refused(&response, resource, &token), wait)
                }
                Err(error) => (self.unanswered(error.into(), resource), None),
            };
            let wait = wait.unwrap_or(pause);
            let over = attempt == ATTEMPTS || begun.elapsed() + wait > PATIENCE;
            if over || !error.is_unreachable() {
                return Err(error);
            }
            sleep(wait).await;
            attempt += 1;
            pause *= 2;
        }
    }

    async fn request(
        &self,
        url: &Url,
        token: &Token,
        content: Content,
    ) -> Result<Response, HttpError> {
        let authorization = Zeroizing::new(format!("Bearer {}", token.expose()));
        let (accept, limit, cut) = match content {
            Content::Json => ("application/json", ANSWER_LIMIT, false),
            Content::Beginning(limit) => ("*/*", limit.max(SHORTEST_LIMIT), true),
        };
        let get = Get {
            authorization: Some(authorization),
            accept,
            limit,
            cut,
        };
        self.client.get(url, get, self.deadline).await
    }

    /// There is no answer: says from where.
    fn unanswered(&self, error: GraphError, resource: &Resource) -> GraphError {
        let host = self.base.host_str().unwrap_or_default();
        let context = format!("cannot read {resource} from Microsoft Graph ({host}): ");
        match error {
            GraphError::Unreachable(why) => GraphError::Unreachable(context + &why),
            GraphError::Configuration(why) => GraphError::Configuration(context + &why),
            error => error,
        }
    }

    /// What an answer with an error status means.
    fn refused(&self, response: &Response, resource: &Resource, token: &Token) -> GraphError {
        let body = response.body.as_ref();
        let refusal = body.and_then(|it| serde_json::from_slice::<Refusal>(it).ok());
        let reason = refusal.map_or_else(
            || format!("status {}", response.status),
            |it| {
                let RefusalDetails { code, message } = it.error;
                let text = redact(&format!("{code}: {message}"), token.secret());
                let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
                let plain: String = plain.chars().take(SHOWN).collect();
                format!(
                    "status {}, \"{}\"",
                    response.status,
                    plain.trim_end_matches([':', ' '])
                )
            },
        );
        let failed = format!("cannot read {resource} from Microsoft Graph ({reason})");
        let permission = resource.permission();
        match response.status {
            401 => GraphError::Configuration(format!(
                "{failed}: the token of the application {} is refused; check `microsoft.tenant`, `microsoft.cloud` and `microsoft.graph_url`",
                self.client_id
            )),
            403 => GraphError::Forbidden {
                message: format!(
                    "{failed}: the application {} needs the application permission {permission} with admin consent; grant it under \"API permissions\" of the app registration",
                    self.client_id
                ),
                permission,
            },
            404 | 410 => GraphError::NotFound(format!("{failed}: it does not exist")),
            408 | 429 | 500.. => {
                let wait = response.retry_after.filter(|it| !it.is_zero());
                let wait = wait.map(|it| format!(" in {} s", it.as_secs_f32()));
                let wait = wait.unwrap_or_default();
                GraphError::Unreachable(format!(
                    "{failed}: Microsoft Graph is overloaded or has an internal error; try again later{wait}"
                ))
            }
            300..=399 => GraphError::Unexpected(format!(
                "{failed}: the server redirects, which is not followed; check `microsoft.graph_url`"
            )),
            _ => GraphError::Rejected(format!(
                "{failed}: Microsoft Graph does not accept the request"
            )),
        }
    }
}

//! Requests over HTTPS: to token endpoints, to Microsoft Graph, and to whatever else is not SMTP.
//!
//! Every request has a deadline, every response a size limit. Redirects are not followed, the
//! certificate is verified against the system's roots and `ca_file`, and proxies are used by
//! curl's rules. A request without TLS goes to this machine only and never through a proxy.

mod error;
mod proxy;
mod retry_after;
mod roots;

use std::io::Read;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use secrecy::zeroize::Zeroizing;
use tokio_rustls::rustls::crypto::ring;
use ureq::Agent;
use ureq::http::HeaderMap;
use ureq::tls::TlsConfig;
use url::Url;

pub use self::error::{HttpError, explain_certificate, utc_day};
pub use self::proxy::Proxies;
pub use self::roots::{CaFile, certificates};

/// The longest body of the answer to a form.
const FORM_ANSWER_LIMIT: usize = 256 * 1024;
/// How long it may take until a connection is open, its TLS handshake not included.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// A client with its roots and proxies.
#[derive(Clone)]
pub struct Client {
    tls: TlsConfig,
    proxies: Proxies,
}

/// A response, whatever its status. It may contain a secret, so it has no `Debug`.
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The type of the body, without parameters.
    pub content_type: Option<String>,
    /// Where a redirect points to.
    pub location: Option<String>,
    /// How long to wait before the next request.
    pub retry_after: Option<Duration>,
    /// The server's time.
    pub date: Option<Timestamp>,
    /// The body, wiped when dropped; `None` if it is larger than the limit.
    pub body: Option<Zeroizing<Vec<u8>>>,
}

/// A form that is posted.
pub struct Form {
    /// The form, URL-encoded.
    pub body: Zeroizing<String>,
    /// The value of the `Authorization` header.
    pub authorization: Option<Zeroizing<String>>,
}

/// What is read by `GET`.
pub struct Get {
    /// The value of the `Authorization` header.
    pub authorization: Option<Zeroizing<String>>,
    /// The types of the body that are accepted.
    pub accept: &'static str,
    /// The longest body that is read.
    pub limit: usize,
    /// Whether only the beginning of a longer body is read; otherwise there is none.
    pub cut: bool,
}

enum Request {
    Post(Form),
    Get(Get),
}

impl Client {
    /// Trusts the system's roots and those of a file.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub fn new(ca_file: Option<&CaFile<'_>>, proxies: Proxies) -> Result<Self, HttpError> {
        let roots = roots::load(ca_file)?;
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .root_certs(roots)
            .build();
        Ok(Self { tls, proxies })
    }

    /// Posts a form. Dropping the future ends the request.
    ///
    /// # Errors
    /// If no complete response came in time. A response with an error status is a response.
    pub async fn post(
        &self,
        url: &Url,
        form: Form,
        deadline: Duration,
    ) -> Result<Response, HttpError> {
        self.exchange(url, Request::Post(form), deadline).await
    }

    /// Reads by `GET`. Dropping the future ends the request.
    ///
    /// # Errors
    /// If no complete response came in time. A response with an error status is a response.
    pub async fn get(
        &self,
        url: &Url,
        get: Get,
        deadline: Duration,
    ) -> Result<Response, HttpError> {
        self.exchange(url, Request::Get(get), deadline).await
    }

    async fn exchange(
        &self,
        url: &Url,
        request: Request,
        deadline: Duration,
    ) -> Result<Response, HttpError> {
        let proxy = self.proxies.proxy_for(url)?;
        let via = proxy.as_ref().map(|it| it.shown.clone());
        let config = Agent::config_builder()
            .tls_config(self.tls.clone())
            .proxy(proxy.map(|it| it.proxy))
            .user_agent(concat!("access-invite/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_DEADLINE.min(deadline)))
            .timeout_global(Some(deadline))
            .build();
        let agent = config.new_agent();
        let guard = RequestGuard(Some(agent.clone()));
        let target = url.clone();
        let sent = tokio::task::spawn_blocking(move || send(&agent, &target, &request)).await;
        drop(guard);
        match sent {
            Ok(sent) => sent.map_err(|error| error::explain(&error, url, via.as_deref(), deadline)),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(HttpError::Unreachable("the program is ending".into())),
            },
        }
    }
}

/// Ends a request in flight when dropped.
struct RequestGuard(Option<Agent>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        if let Some(agent) = self.0.take() {
            agent.shutdown();
        }
    }
}

fn send(agent: &Agent, url: &Url, request: &Request) -> Result<Response, ureq::Error> {
    let (mut response, body_limit, cut) = match request {
        Request::Post(form) => {
            let mut request = agent
                .post(url.as_str())
                .content_type("application/x-www-form-urlencoded");
            if let Some(authorization) = &form.authorization {
                request = request.header("authorization", authorization.as_str());
            }
            let response = request.send(form.body.as_bytes())?;
            (response, FORM_ANSWER_LIMIT, false)
        }
        Request::Get(get) => {
            let mut request = agent.get(url.as_str());
            if let Some(authorization) = &get.authorization {
                request = request.header("authorization", authorization.as_str());
            }
            let response = request.header("accept", get.accept).call()?;
            (response, get.limit, get.cut)
        }
    };
    let headers = response.headers();
    let date = header(headers, "date").and_then(|it| rfc2822::parse(&it).ok());
    let date = date.map(|it| it.timestamp());
    let retry_after = header(headers, "retry-after")
        .and_then(|it| retry_after::parse(&it, date.unwrap_or_else(Timestamp::now)));
    let content_type = header(headers, "content-type").map(|it| {
        it.split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_lowercase()
    });
    let location = header(headers, "location");
    let status = response.status().as_u16();
    // Allocated once for a token: a buffer that grows leaves copies behind.
    let mut body = Zeroizing::new(Vec::with_capacity(FORM_ANSWER_LIMIT + 1));
    let limit = body_limit as u64 + 1;
    response
        .body_mut()
        .as_reader()
        .take(limit)
        .read_to_end(&mut body)?;
    if cut {
        body.truncate(body_limit);
    }
    Ok(Response {
        status,
        content_type,
        location,
        retry_after,
        date,
        body: (body.len() <= body_limit).then_some(body),
    })
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

//! Tokens in memory: requested once however many callers wait, renewed before they expire.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep};
use tracing::debug;

use super::answer::{self, TokenResponse};
use super::error::OAuthError;
use super::request::TokenRequest;
use super::settings::Settings;
use crate::http::{CaFile, Client, Proxies};

/// How long one request may take.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);
/// How long a caller waits at most before another request is made.
const PATIENCE: Duration = Duration::from_mins(2);
/// How many requests are made for one caller while the endpoint is unreachable.
const ATTEMPTS: u32 = 4;
/// The pause after the first of them, unless the endpoint says how long; doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How long a token that is still valid is used after a failed renewal before the next one.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);
/// How long before its end a token is renewed at the latest; a short-lived one, after four fifths.
const EARLY: Duration = Duration::from_mins(5);

/// An access token. Two are equal if the same request returned them.
#[derive(Clone)]
pub struct Token {
    secret: SecretString,
    /// The number of the request that returned it.
    serial: u64,
    expire: Instant,
}

impl Token {
    /// The token itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.secret.expose_secret()
    }

    /// How long it is still valid.
    #[must_use]
    pub fn valid_for(&self) -> Duration {
        self.expire.saturating_duration_since(Instant::now())
    }

    /// The token as a secret.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.secret
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.serial == other.serial
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token {}", self.serial)
    }
}

/// Where callers get tokens for one client and one scope.
pub struct TokenSource {
    settings: Settings,
    client: Client,
    clock: fn() -> Timestamp,
    deadline: Duration,
    cache: Mutex<Cache>,
    /// Held while a request is made.
    request: tokio::sync::Mutex<()>,
}

/// What the requests so far have returned.
#[derive(Default)]
struct Cache {
    /// How many requests have ended; a request here includes its retries.
    ended: u64,
    token: Option<Cached>,
    failure: Option<Failure>,
}

struct Cached {
    token: Token,
    renew: Instant,
}

struct Failure {
    error: OAuthError,
    /// No request is made before.
    not_before: Instant,
}

impl TokenSource {
    /// Checks the settings without a connection: the secret or certificate, `ca_file`, the proxy.
    /// `clock` returns the time for assertions.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub fn new(
        settings: Settings,
        proxies: Proxies,
        clock: fn() -> Timestamp,
    ) -> Result<Self, OAuthError> {
        TokenRequest::new(&settings, clock())?;
        proxies.check(&settings.endpoint)?;
        let key = format!("{}.ca_file", settings.table);
        let ca_file = settings.ca_file.as_ref();
        let ca_file = ca_file.map(|path| CaFile { key: &key, path });
        let client = Client::new(ca_file.as_ref(), proxies)?;
        Ok(Self {
            settings,
            client,
            clock,
            deadline: REQUEST_DEADLINE,
            cache: Mutex::default(),
            request: tokio::sync::Mutex::default(),
        })
    }

    /// The same with another deadline for each request.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// A token that is valid now. A valid one that is due for renewal is returned if the renewal
    /// fails.
    ///
    /// # Errors
    /// If there is none. All callers that waited for one request receive its error.
    pub async fn token(&self) -> Result<Token, OAuthError> {
        let (ended, valid) = match self.cached(None) {
            Lookup::Return(result) => return result,
            Lookup::Request { ended, valid } => (ended, valid),
        };
        let _request = match (self.request.try_lock(), valid) {
            (Ok(guard), _) => guard,
            // Another caller is renewing it.
            (Err(_), Some(token)) => return Ok(token),
            (Err(_), None) => self.request.lock().await,
        };
        let valid = match self.cached(Some(ended)) {
            Lookup::Return(result) => return result,
            Lookup::Request { valid, .. } => valid,
        };
        let attempts = if valid.is_some() { 1 } else { ATTEMPTS };
        let result = self.request(attempts).await;
        self.store(result, valid)
    }

    /// The token endpoint, for messages.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let mut endpoint = self.settings.endpoint.clone();
        endpoint.set_query(None);
        endpoint.into()
    }

    /// Drops a token that was refused, so that the next caller gets a new one.
    pub fn invalidate(&self, token: &Token) {
        let mut cache = self.cache.lock();
        cache.token.take_if(|it| it.token.serial == token.serial);
    }

    /// Looks for a token, or for a failure that the caller shares: one that ended after `waited`
    /// requests had, or one after which no request may be made yet.
    fn cached(&self, waited: Option<u64>) -> Lookup {
        let cache = self.cache.lock();
        let now = Instant::now();
        let valid = cache.token.as_ref().filter(|it| now < it.token.expire);
        if let Some(cached) = valid
            && now < cached.renew
        {
            return Lookup::Return(Ok(cached.token.clone()));
        }
        let valid = valid.map(|it| it.token.clone());
        match &cache.failure {
            Some(failure)
                if now < failure.not_before || waited.is_some_and(|it| it < cache.ended) =>
            {
                Lookup::Return(valid.ok_or_else(|| failure.error.clone()))
            }
            _ => Lookup::Request {
                ended: cache.ended,
                valid,
            },
        }
    }

    /// Keeps what a request returned. A token's lifetime counts from the beginning of the request.
    fn store(
        &self,
        result: Result<(TokenResponse, Instant), OAuthError>,
        valid: Option<Token>,
    ) -> Result<Token, OAuthError> {
        let mut cache = self.cache.lock();
        cache.ended += 1;
        match result {
            Ok((TokenResponse { token, lifetime }, begun)) => {
                let token = Token {
                    secret: token,
                    serial: cache.ended,
                    expire: begun + lifetime,
                };
                cache.failure = None;
                cache.token = Some(Cached {
                    token: token.clone(),
                    renew: begun + lifetime.saturating_sub(EARLY.min(lifetime / 5)),
                });
                Ok(token)
            }
            Err(error) => {
                let now = Instant::now();
                let not_before = match (&error, &cache.token) {
                    (
                        OAuthError::Unreachable {
                            retry_after: Some(wait),
                            ..
                        },
                        _,
                    ) => now + *wait,
                    // Once it has expired, the next request is urgent.
                    (_, Some(cached)) if valid.is_some() => {
                        cached.token.expire.min(now + RENEWAL_PAUSE)
                    }
                    _ => now,
                };
                cache.failure = Some(Failure {
                    error: error.clone(),
                    not_before,
                });
                valid.ok_or(error)
            }
        }
    }

    /// Requests a token, again while the endpoint is unreachable.
    async fn request(&self, attempts: u32) -> Result<(TokenResponse, Instant), OAuthError> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let sent = Instant::now();
            let error = match self.request_once().await {
                Ok(answer) => {
                    let (endpoint, lifetime) = (self.endpoint(), answer.lifetime.as_secs());
                    debug!(endpoint, lifetime, "access token received");
                    return Ok((answer, sent));
                }
                Err(error) => error,
            };
            let OAuthError::Unreachable { retry_after, .. } = &error else {
                return Err(error);
            };
            let wait = retry_after.unwrap_or(pause);
            if attempt == attempts || begun.elapsed() + wait > PATIENCE {
                return Err(error);
            }
            debug!(%error, wait = wait.as_secs_f64(), "requesting the access token again");
            sleep(wait).await;
            attempt += 1;
            pause *= 2;
        }
    }

    async fn request_once(&self) -> Result<TokenResponse, OAuthError> {
        let settings = &self.settings;
        let now = (self.clock)();
        let TokenRequest { form, secrets } = TokenRequest::new(settings, now)?;
        let result = match self
            .client
            .post(&settings.endpoint, form, self.deadline)
            .await
        {
            Ok(response) => answer::read(&response, settings, &secrets, now),
            Err(error) => Err(error.into()),
        };
        result.map_err(|error| {
            let endpoint = self.endpoint();
            error.after(&format!("cannot get an access token from {endpoint}: "))
        })
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSource for {}", self.settings.endpoint)
    }
}

/// What the cache has for a caller.
enum Lookup {
    /// A token, or the error of a request.
    Return(Result<Token, OAuthError>),
    /// A request is due; `valid` is a token that can still be used.
    Request { ended: u64, valid: Option<Token> },
}

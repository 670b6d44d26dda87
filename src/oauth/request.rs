//! The request for a token.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded::{Serializer, byte_serialize};

use super::error::OAuthError;
use super::settings::{Credential, Settings};
use super::{assertion, certificate};
use crate::config::ClientAuth;
use crate::http::Form;
use crate::secret;

/// Longer than any request, so that the text is not moved, which would leave copies.
const CAPACITY: usize = 128 * 1024;

/// A request, and the secrets in it.
pub struct TokenRequest {
    /// What is posted.
    pub form: Form,
    /// What must not be repeated from the answer.
    pub secrets: Vec<SecretString>,
}

impl TokenRequest {
    /// Reads the secret or the certificate, and builds the request.
    ///
    /// # Errors
    /// If the secret or the certificate cannot be used.
    pub fn new(settings: &Settings, now: Timestamp) -> Result<Self, OAuthError> {
        let mut body = Serializer::new(String::with_capacity(CAPACITY));
        body.append_pair("grant_type", "client_credentials");
        if let Some(scope) = &settings.scope {
            body.append_pair("scope", scope);
        }
        let mut authorization = None;
        let secrets = match &settings.credential {
            Credential::Secret(source, auth) => {
                let secret = secret::read(source, "client secret")?;
                match auth {
                    ClientAuth::Post => {
                        body.append_pair("client_id", &settings.client_id);
                        body.append_pair("client_secret", secret.expose_secret());
                        vec![secret]
                    }
                    ClientAuth::Basic => {
                        let login = basic(&settings.client_id, &secret);
                        let header = format!("Basic {}", login.expose_secret());
                        authorization = Some(Zeroizing::new(header));
                        vec![secret, login]
                    }
                }
            }
            Credential::Certificate(path) => {
                let identity = certificate::load(path, now)?;
                let audience = settings.endpoint.as_str();
                let assertion = assertion::sign(&identity, &settings.client_id, audience, now);
                body.append_pair("client_id", &settings.client_id);
                body.append_pair(
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                );
                body.append_pair("client_assertion", assertion.expose_secret());
                vec![assertion]
            }
        };
        let form = Form {
            body: Zeroizing::new(body.finish()),
            authorization,
        };
        Ok(Self { form, secrets })
    }
}

/// Id and secret for HTTP Basic, each URL-encoded before (RFC 6749 §2.3.1).
fn basic(client_id: &str, secret: &SecretString) -> SecretString {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let secret = Zeroizing::new(encode(secret.expose_secret()));
    let login = Zeroizing::new(format!("{}:{}", encode(client_id), *secret));
    BASE64.encode(&*login).into()
}

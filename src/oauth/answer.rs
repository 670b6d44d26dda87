//! The answer of a token endpoint (RFC 6749 §5): a token, or why there is none.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::aadsts::{self, Details};
use super::error::OAuthError;
use super::settings::{Credential, Settings};
use crate::config::ClientAuth;
use crate::http::Response;
use crate::secret::redact;

/// How long a token is used whose lifetime the endpoint does not say.
const DEFAULT_LIFETIME: Duration = Duration::from_mins(5);
/// How long a token is used at most.
const LONGEST_LIFETIME: Duration = Duration::from_hours(24);
/// How many characters of a text from the endpoint are shown.
const SHOWN: usize = 300;

/// A token and how long it is valid.
pub struct TokenResponse {
    pub token: SecretString,
    pub lifetime: Duration,
}

#[derive(Deserialize)]
struct Success<'a> {
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    #[serde(borrow)]
    token_type: Option<Cow<'a, str>>,
    expires_in: Option<Value>,
}

#[derive(Deserialize)]
struct TokenRefusal {
    error: String,
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    error_codes: Vec<u32>,
}

/// Reads an answer. `secrets` are not repeated in messages; `now` is this machine's time.
///
/// # Errors
/// If it contains no token.
pub fn read(
    response: &Response,
    settings: &Settings,
    secrets: &[SecretString],
    now: Timestamp,
) -> Result<TokenResponse, OAuthError> {
    let body = response.body.as_ref().map(|it| it.as_slice());
    if let 200..=299 = response.status
        && let Some(body) = body
        && let Ok(success) = serde_json::from_slice(body)
    {
        return token(&success).map_err(OAuthError::Configuration);
    }
    let refusal: Option<TokenRefusal> = body.and_then(|it| serde_json::from_slice(it).ok());
    let busy = matches!(response.status, 408 | 429 | 500..);
    let error = match refusal {
        Some(mut refusal) => {
            refusal.error = clean(&refusal.error, secrets);
            refusal.error_description = clean(&refusal.error_description, secrets);
            let clock_ahead = response.date.map(|it| now.duration_since(it));
            refused(&refusal, settings, clock_ahead, busy)
        }
        None if busy => {
            let status = response.status;
            OAuthError::unreachable(match status {
                429 => "it receives too many requests (status 429); try again later".into(),
                _ => format!("it has an internal error (status {status}); try again later"),
            })
        }
        None => unexpected(response, settings, secrets),
    };
    Err(match error {
        OAuthError::Unreachable { message, .. } => {
            let retry_after = response.retry_after.filter(|it| !it.is_zero());
            OAuthError::Unreachable {
                message: match retry_after {
                    Some(wait) => format!("{message}; it asks to wait {} s", wait.as_secs_f32()),
                    None => message,
                },
                retry_after,
            }
        }
        error => error,
    })
}

/// The token in the JSON of a token endpoint's answer that a program printed.
///
/// # Errors
/// The second half of a message if it contains none.
pub fn token_in_json(json: &[u8]) -> Result<SecretString, String> {
    let success = serde_json::from_slice(json).map_err(|_| {
        "contains no access token; it must be the token alone, or the JSON of a token endpoint with `access_token`"
    })?;
    match token(&success) {
        Ok(answer) => Ok(answer.token),
        Err(why) => Err(format!("is no usable answer of a token endpoint: {why}")),
    }
}

fn token(success: &Success<'_>) -> Result<TokenResponse, String> {
    if let Some(kind) = &success.token_type
        && !kind.eq_ignore_ascii_case("bearer")
    {
        return Err("it issued a token that is not a bearer token (`token_type`), which SMTP needs; change the client at the issuer".into());
    }
    // RFC 6750 §2.1; anything else could end the line of AUTH.
    let token = &success.access_token;
    if token.is_empty() || !token.bytes().all(|it| it.is_ascii_graphic()) {
        return Err("it issued a token with characters that a bearer token cannot have".into());
    }
    let lifetime = match &success.expires_in {
        None | Some(Value::Null) => DEFAULT_LIFETIME,
        Some(value) => {
            let seconds = value
                .as_f64()
                .or_else(|| value.as_str()?.trim().parse().ok());
            let lifetime = seconds.and_then(|it| Duration::try_from_secs_f64(it).ok());
            lifetime
                .filter(|it| !it.is_zero())
                .ok_or("it issued a token without a usable lifetime (`expires_in`)")?
        }
    };
    Ok(TokenResponse {
        token: SecretString::from(&**token),
        lifetime: lifetime.min(LONGEST_LIFETIME),
    })
}

/// An error in the form of RFC 6749 §5.2.
fn refused(
    refusal: &TokenRefusal,
    settings: &Settings,
    clock_ahead: Option<jiff::SignedDuration>,
    busy: bool,
) -> OAuthError {
    let description = &refusal.error_description;
    let details = Details {
        settings,
        clock_ahead,
        description,
    };
    let named = description.split("AADSTS").skip(1).filter_map(|it| {
        it.split(|it: char| !it.is_ascii_digit())
            .next()?
            .parse()
            .ok()
    });
    let mut codes = refusal.error_codes.iter().copied().chain(named).peekable();
    let first = codes.peek().copied();
    let known = codes.find_map(|code| Some((code, aadsts::advice(code, &details)?)));
    let message = if let Some((code, advice)) = &known {
        let table = match settings.table {
            "microsoft" => "",
            _ => "; use the table `[microsoft]` for Microsoft Entra",
        };
        format!("{advice}{table} (AADSTS{code})")
    } else {
        let error = &refusal.error;
        // The advice is for issuers that give no number.
        let advice = match first {
            None => standard_advice(error, &details),
            Some(_) => None,
        };
        let advice = advice.map_or_else(String::new, |it| format!("{it}; "));
        let reason = match description.as_str() {
            "" => String::new(),
            text => format!(": \"{text}\""),
        };
        format!("{advice}it answered `{error}`{reason}")
    };
    let transient = matches!(
        refusal.error.as_str(),
        "temporarily_unavailable" | "server_error"
    );
    if busy || transient || known.is_some_and(|(code, _)| aadsts::is_transient(code)) {
        OAuthError::unreachable(message)
    } else {
        OAuthError::Configuration(message)
    }
}

/// What to do about an error of RFC 6749 §5.2.
fn standard_advice(error: &str, details: &Details<'_>) -> Option<String> {
    let settings = details.settings;
    let table = settings.table;
    Some(match error {
        "invalid_client" if matches!(settings.credential, Credential::Certificate(_)) => {
            match aadsts::clock_error(details.clock_ahead) {
                Some(error) => format!(
                    "the assertion is refused, probably because this machine's clock is {error}; synchronise it (NTP)"
                ),
                None => format!(
                    "the assertion is refused; check `{table}.client_id`, and that the certificate in `{table}.certificate_file` is registered with this client"
                ),
            }
        }
        "invalid_client" => {
            let other = match &settings.credential {
                Credential::Secret(_, ClientAuth::Post) if table == "smtp.oauth" => {
                    ", or set `smtp.oauth.client_auth` = \"client_secret_basic\""
                }
                Credential::Secret(_, ClientAuth::Basic) => {
                    ", or set `smtp.oauth.client_auth` = \"client_secret_post\""
                }
                _ => "",
            };
            format!(
                "the client or its secret is wrong; check `{table}.client_id` and the secret{other}"
            )
        }
        "unauthorized_client" => {
            "the issuer does not allow this client to use client credentials; allow it there".into()
        }
        "unsupported_grant_type" => {
            "the issuer does not support client credentials; use `smtp.token_command`".into()
        }
        "invalid_scope" => format!("the issuer does not accept the scope; check `{table}.scope`"),
        _ => return None,
    })
}

/// An answer that no token endpoint gives.
fn unexpected(response: &Response, settings: &Settings, secrets: &[SecretString]) -> OAuthError {
    let url_key = settings.url_key;
    let Some(body) = &response.body else {
        return OAuthError::Configuration(format!(
            "its answer is larger than any token; check `{url_key}`"
        ));
    };
    let html = response.content_type.as_deref() == Some("text/html")
        || body.trim_ascii_start().starts_with(b"<");
    let json: Result<Value, _> = serde_json::from_slice(body);
    OAuthError::Configuration(match response.status {
        300..=399 => {
            let target = response.location.as_deref().unwrap_or_default();
            format!(
                "it redirects to \"{}\"; a request with a secret is not redirected, so set `{url_key}` to the final URL",
                clean(target, secrets)
            )
        }
        404 => format!("there is no token endpoint at this URL (status 404); check `{url_key}`"),
        status if html => format!(
            "it answered with a web page, not with a token (status {status}); check `{url_key}`, and whether a proxy or a sign-in page answers in its place"
        ),
        200..=299 if json.is_err_and(|it| it.is_eof()) => {
            return OAuthError::unreachable("its answer is cut off or empty");
        }
        200..=299 => {
            format!("its answer is not that of a token endpoint (RFC 6749); check `{url_key}`")
        }
        status => {
            format!("it refused the request without a reason (status {status}); check `{url_key}`")
        }
    })
}

/// A text from the endpoint on one line, short, and without what a terminal obeys.
fn clean(text: &str, secrets: &[SecretString]) -> String {
    let text = secrets
        .iter()
        .fold(text.to_owned(), |text, secret| redact(&text, secret));
    let shown = text.chars().take(SHOWN).map(|it| match it {
        it if it.is_whitespace() => ' ',
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' => {
            char::REPLACEMENT_CHARACTER
        }
        it if it.is_control() => char::REPLACEMENT_CHARACTER,
        it => it,
    });
    let shown: String = shown.collect();
    let shown = shown.trim();
    if text.chars().nth(SHOWN).is_some() {
        format!("{shown}…")
    } else {
        shown.to_owned()
    }
}

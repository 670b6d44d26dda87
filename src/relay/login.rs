//! AUTH (RFC 4954): the best mechanism that the relay offers for the kind of secret.
//!
//! It is used only on a connection whose certificate was verified.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncWrite};

use super::conversation::Conversation;
use super::credentials::Secret;
use super::ehlo::EhloExtensions;
use super::error::NoReply;
use crate::outcome::Reply;
use crate::secret::redact;

/// The longest command line, with its CRLF (RFC 5321 §4.5.3.1.4).
const COMMAND_LIMIT: usize = 512;
/// How many characters of a challenge are shown.
const SHOWN: usize = 300;

/// The result of a login.
#[derive(Debug)]
pub enum LoginResult {
    /// The relay's last reply.
    Reply(Reply),
    /// An access token was refused: the decoded challenge, if there was one, and the relay's last reply.
    TokenRefused(Option<String>, Reply),
}

/// The best mechanism of AUTH that is offered for this kind of secret.
///
/// # Errors
/// What is offered instead, and what to do about it.
pub fn mechanism(secret: &Secret, extensions: &EhloExtensions) -> Result<&'static str, String> {
    let preferred = match secret {
        Secret::Password(_) => ["PLAIN", "LOGIN"],
        Secret::Printed(_) | Secret::Issued(_) => ["XOAUTH2", "OAUTHBEARER"],
    };
    let mut mechanisms = preferred.into_iter();
    let offered = mechanisms.find(|it| extensions.offers_auth(it));
    offered.ok_or_else(|| no_mechanism(&preferred.join(" or "), extensions))
}

/// Logs in with the mechanism that [`mechanism`] gave for this secret.
pub async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    conversation: &mut Conversation<S>,
    mechanism: &str,
    username: &str,
    relay: (&str, u16),
    secret: &Secret,
) -> Result<LoginResult, NoReply> {
    match secret {
        Secret::Printed(token) => bearer(conversation, mechanism, username, relay, token).await,
        Secret::Issued(token) => {
            bearer(conversation, mechanism, username, relay, token.secret()).await
        }
        Secret::Password(password) if mechanism == "PLAIN" => {
            let response = format!("\0{username}\0{}", password.expose_secret());
            let response = SecretString::from(BASE64.encode(response));
            let reply = first_response(conversation, mechanism, &response).await;
            reply.map(LoginResult::Reply)
        }
        Secret::Password(password) => {
            let mut reply = conversation.auth("AUTH LOGIN").await?;
            for response in [username, password.expose_secret()] {
                if reply.code != 334 {
                    break;
                }
                reply = conversation.auth(&BASE64.encode(response)).await?;
            }
            Ok(LoginResult::Reply(reply))
        }
    }
}

/// Logs in with an access token: by XOAUTH2 (Microsoft Learn, "Authenticate an IMAP, POP or SMTP
/// connection using OAuth") or by OAUTHBEARER (RFC 7628).
async fn bearer<S: AsyncRead + AsyncWrite + Unpin>(
    conversation: &mut Conversation<S>,
    mechanism: &str,
    username: &str,
    (host, port): (&str, u16),
    token: &SecretString,
) -> Result<LoginResult, NoReply> {
    let bearer = token.expose_secret();
    // `end` answers the challenge after which the refusal follows (RFC 7628 §3.2.3).
    let (response, end) = if mechanism == "XOAUTH2" {
        let response = format!("user={username}\x01auth=Bearer {bearer}\x01\x01");
        (response, "")
    } else {
        // A saslname (RFC 5801 §4).
        let name = username.replace('=', "=3D").replace(',', "=2C");
        let response =
            format!("n,a={name},\x01host={host}\x01port={port}\x01auth=Bearer {bearer}\x01\x01");
        (response, "AQ==")
    };
    let response = SecretString::from(BASE64.encode(response));
    let hidden = |mut reply: Reply| {
        reply.text = redact(&redact(&reply.text, token), &response);
        reply
    };
    let reply = hidden(first_response(conversation, mechanism, &response).await?);
    match reply.code {
        334 => {
            let challenge = redact(&describe(&reply), token);
            let reply = hidden(conversation.auth(end).await?);
            Ok(LoginResult::TokenRefused(Some(challenge), reply))
        }
        _ if reply.class() == 5 => Ok(LoginResult::TokenRefused(None, reply)),
        _ => Ok(LoginResult::Reply(reply)),
    }
}

/// Sends the first response on the line of AUTH, or behind a 334 if that line would be too long
/// (RFC 4954 §4), as it is with most access tokens.
async fn first_response<S: AsyncRead + AsyncWrite + Unpin>(
    conversation: &mut Conversation<S>,
    mechanism: &str,
    response: &SecretString,
) -> Result<Reply, NoReply> {
    let response = response.expose_secret();
    let command = format!("AUTH {mechanism}");
    if command.len() + 1 + response.len() + 2 <= COMMAND_LIMIT {
        return conversation.auth(&format!("{command} {response}")).await;
    }
    let reply = conversation.auth(&command).await?;
    match reply.code {
        334 => conversation.auth(response).await,
        _ => Ok(reply),
    }
}

fn no_mechanism(wanted: &str, extensions: &EhloExtensions) -> String {
    let takes_tokens = extensions.offers_auth("XOAUTH2") || extensions.offers_auth("OAUTHBEARER");
    let offered = match extensions.auth.as_slice() {
        [] => "no AUTH at all".to_owned(),
        some => format!("only {}", some.join(", ")),
    };
    let fix = if takes_tokens {
        "it requires an access token: use `[microsoft]` for Microsoft 365, otherwise `[smtp.oauth]` or `smtp.token_command`"
    } else if extensions.auth.is_empty() {
        "use the submission port (465 or 587), or remove the login if the relay allows this machine by its address"
    } else {
        "ask its operator how programs log in"
    };
    format!("it offers {offered}, but this login needs {wanted}; {fix}")
}

/// The challenge to a refused token, which is JSON in base64, as text: `status 401, schemes bearer`.
fn describe(challenge: &Reply) -> String {
    let decoded = BASE64.decode(challenge.text.trim()).unwrap_or_default();
    let json = serde_json::from_slice::<serde_json::Map<_, _>>(&decoded).unwrap_or_default();
    let words: Vec<String> = json
        .iter()
        .map(|(key, value)| match value.as_str() {
            Some(text) => format!("{key} {text}"),
            None => format!("{key} {value}"),
        })
        .map(|it| it.replace(char::is_control, " "))
        .collect();
    match words.as_slice() {
        [] => "no reason given".into(),
        some => some.join(", ").chars().take(SHOWN).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_xoauth2_challenge_is_described_in_words() {
        let reply = |text: &str| crate::outcome::testing::reply(&format!("334 {text}"));
        let json =
            BASE64.encode(r#"{"status":"401","schemes":"bearer","scope":"https://mail.example/"}"#);

        let words = describe(&reply(&json));
        for word in [
            "status 401",
            "schemes bearer",
            "scope https://mail.example/",
        ] {
            assert!(words.contains(word), "{words}");
        }
        assert_eq!(describe(&reply("???")), "no reason given");
    }
}

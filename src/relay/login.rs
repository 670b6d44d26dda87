//! AUTH (RFC 4954): the best mechanism that the relay offers for the kind of secret.
//!
//! It is used only on a connection whose certificate was verified.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite};

use super::conversation::Conversation;
use super::credentials::Secret;
use super::ehlo::EhloExtensions;
use super::error::NoReply;
use crate::outcome::Reply;

/// The result of a login.
#[derive(Debug)]
pub enum LoginResult {
    /// The relay's last reply.
    Reply(Reply),
    /// XOAUTH2 was refused: the decoded challenge, and the relay's last reply.
    TokenRefused(String, Reply),
    /// The relay offers no mechanism that fits.
    NoMechanism(String),
}

/// Logs in with the best mechanism that is offered for this kind of secret.
pub async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    conversation: &mut Conversation<S>,
    extensions: &EhloExtensions,
    username: &str,
    secret: &Secret,
) -> Result<LoginResult, NoReply> {
    match secret {
        Secret::Token(token) if extensions.offers_auth("XOAUTH2") => {
            let token = token.expose_secret();
            let response = format!("user={username}\x01auth=Bearer {token}\x01\x01");
            let command = format!("AUTH XOAUTH2 {}", BASE64.encode(response));
            let challenge = conversation.auth(&command).await?;
            if challenge.code != 334 {
                return Ok(LoginResult::Reply(challenge));
            }
            // The refusal follows only after an empty response.
            let reply = conversation.auth("").await?;
            Ok(LoginResult::TokenRefused(describe(&challenge), reply))
        }
        Secret::Password(password) if extensions.offers_auth("PLAIN") => {
            let response = format!("\0{username}\0{}", password.expose_secret());
            let command = format!("AUTH PLAIN {}", BASE64.encode(response));
            conversation.auth(&command).await.map(LoginResult::Reply)
        }
        Secret::Password(password) if extensions.offers_auth("LOGIN") => {
            let mut reply = conversation.auth("AUTH LOGIN").await?;
            for response in [username, password.expose_secret()] {
                if reply.code != 334 {
                    break;
                }
                reply = conversation.auth(&BASE64.encode(response)).await?;
            }
            Ok(LoginResult::Reply(reply))
        }
        secret => Ok(LoginResult::NoMechanism(no_mechanism(secret, extensions))),
    }
}

fn no_mechanism(secret: &Secret, extensions: &EhloExtensions) -> String {
    let wanted = match secret {
        Secret::Token(_) => "XOAUTH2",
        Secret::Password(_) => "PLAIN or LOGIN",
    };
    let offered = match extensions.auth.as_slice() {
        [] => "no AUTH at all".to_owned(),
        some => format!("only {}", some.join(", ")),
    };
    let fix = match secret {
        Secret::Password(_) if extensions.offers_auth("XOAUTH2") => {
            "it requires an access token: set `smtp.token_command`"
        }
        _ if extensions.auth.is_empty() => {
            "use the submission port (465 or 587), or remove the login if the relay allows this machine by its address"
        }
        _ => "ask its operator how programs log in",
    };
    format!("it offers {offered}, but this login needs {wanted}; {fix}")
}

/// An XOAUTH2 challenge, which is JSON in base64, as text: `status 401, schemes bearer`.
fn describe(challenge: &Reply) -> String {
    let decoded = BASE64.decode(challenge.text.trim()).unwrap_or_default();
    let json = serde_json::from_slice::<serde_json::Map<_, _>>(&decoded).unwrap_or_default();
    let words: Vec<String> = json
        .iter()
        .map(|(key, value)| match value.as_str() {
            Some(text) => format!("{key} {text}"),
            None => format!("{key} {value}"),
        })
        .collect();
    match words.as_slice() {
        [] => "no reason given".into(),
        some => some.join(", "),
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

//! Logging in (RFC 4954): a secret from where it is kept, and the words of AUTH.
//!
//! A secret is read when it is needed, stays out of every message and log, and goes
//! only over a connection whose certificate was verified. How it is refused is told in
//! the relay's words and in ours.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::process::Command;
use tokio::time::timeout;

use super::{Conversation, Offers, Silence};
use crate::config::{Login, Proof, Smtp};
use crate::exit::{self, Exit, Failure};
use crate::outcome::Reply;

/// How long a token command may take.
const TOKEN_DEADLINE: Duration = Duration::from_mins(1);

/// A secret, and how it is shown to the relay.
pub enum Secret {
    /// For PLAIN and LOGIN.
    Password(SecretString),
    /// For XOAUTH2.
    Token(SecretString),
}

/// Proves that the secret of a login, where there is one, is there and fit to be used, as
/// far as that can be known without running a program.
///
/// # Errors
/// When it is missing or empty (78), or open to everyone (77).
pub fn check(smtp: &Smtp) -> exit::Result<()> {
    match smtp.login.as_ref().map(|it| &it.proof) {
        None | Some(Proof::TokenCommand(_)) => Ok(()),
        Some(proof) => password(proof).map(|_| ()),
    }
}

/// The secret for one connection; a token command is run each time, for tokens expire.
///
/// # Errors
/// Why there is none. The secret is in no message.
pub async fn secret(login: &Login) -> exit::Result<Secret> {
    match &login.proof {
        Proof::TokenCommand(command) => {
            let token = token(command).await.map_err(|error| Failure {
                exit: Exit::Unavailable,
                error,
            })?;
            Ok(Secret::Token(token))
        }
        proof => password(proof).map(Secret::Password),
    }
}

fn password(proof: &Proof) -> exit::Result<SecretString> {
    let wrong = |error| Failure {
        exit: Exit::Config,
        error,
    };
    match proof {
        Proof::PasswordFile(path) => read_file(path, "smtp.password_file", false),
        Proof::PasswordEnv(name) => std::env::var(name)
            .map_err(|_| {
                anyhow::anyhow!(
                    "the environment variable `{name}`, named by `smtp.password_env`, is not set; set it where the program runs, cron included"
                )
            })
            .and_then(|it| one_line(&it, &format!("the environment variable `{name}`")))
            .map_err(wrong),
        Proof::PasswordCredential(name) => {
            let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") else {
                return Err(wrong(anyhow::anyhow!(
                    "`smtp.password_credential` works only as a systemd service with `LoadCredential={name}:…`: $CREDENTIALS_DIRECTORY is not set"
                )));
            };
            read_file(
                &Path::new(&folder).join(name),
                "smtp.password_credential",
                true,
            )
        }
        Proof::TokenCommand(_) => Err(wrong(anyhow::anyhow!("a token is no password"))),
    }
}

/// A secret in a file; systemd's own folder is trusted, any other must not be open to everyone.
fn read_file(path: &Path, key: &str, trusted: bool) -> exit::Result<SecretString> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| {
        let message = format!(
            "cannot read `{key}` (`{shown}`): {error}; its only line must be the password, and only this user may read it"
        );
        Failure::new(Exit::Config, message)
    })?;
    if !trusted && metadata.permissions().mode() & 0o004 != 0 {
        let message = format!(
            "`{key}` (`{shown}`) is readable by everyone; run `chmod 600 {shown}`, and change the password if others may have seen it"
        );
        return Err(Failure::new(Exit::NoPermission, message));
    }
    let text = std::fs::read(path)
        .with_context(|| format!("cannot read `{key}` (`{shown}`)"))
        .map_err(|error| Failure {
            exit: Exit::NoPermission,
            error,
        })?;
    let text = String::from_utf8(text)
        .map_err(|_| anyhow::anyhow!("`{key}` (`{shown}`) is not UTF-8; save it as UTF-8"));
    text.and_then(|it| one_line(&it, &format!("`{key}` (`{shown}`)")))
        .map_err(|error| Failure {
            exit: Exit::Config,
            error,
        })
}

/// The only line of a text, without its end.
fn one_line(text: &str, what: &str) -> Result<SecretString> {
    let line = text.trim_end_matches(['\r', '\n']);
    ensure!(!line.is_empty(), "{what} is empty; it must be one line");
    ensure!(
        !line.contains(|it: char| it.is_control()),
        "{what} must be one line without control characters"
    );
    Ok(SecretString::from(line))
}

/// What the program prints. Its own complaints reach the message, its output never does.
async fn token(command: &[String]) -> Result<SecretString> {
    let (program, arguments) = command.split_first().context("there is no program")?;
    let running = Command::new(program)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output();
    let seconds = TOKEN_DEADLINE.as_secs();
    let output = timeout(TOKEN_DEADLINE, running)
        .await
        .with_context(|| {
            format!("`smtp.token_command` (`{program}`) gave no token within {seconds} s; run it by hand to see why")
        })?
        .map_err(|error| {
            anyhow::anyhow!("cannot run `smtp.token_command` (`{program}`): {error}; give its whole path")
        })?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let complaint: String = complaint.trim().chars().take(300).collect();
        bail!(
            "`smtp.token_command` (`{program}`) failed ({}) and said \"{complaint}\"; run it by hand to see why",
            output.status
        );
    }
    let text = String::from_utf8(output.stdout)
        .map_err(|_| anyhow::anyhow!("`smtp.token_command` (`{program}`) printed no text; it must print the token and nothing else"))?;
    one_line(
        &text,
        &format!("what `smtp.token_command` (`{program}`) printed"),
    )
}

/// What came of a login.
#[derive(Debug)]
pub enum Answer {
    /// The relay's last reply.
    Reply(Reply),
    /// The relay offers no mechanism that fits.
    NoMechanism(String),
    /// XOAUTH2 was refused; what the relay said in its challenge, and its last reply.
    TokenRefused(String, Reply),
}

/// Logs in with the best mechanism that is offered for this kind of secret.
pub async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    conversation: &mut Conversation<S>,
    offers: &Offers,
    username: &str,
    secret: &Secret,
) -> Result<Answer, Silence> {
    match secret {
        Secret::Token(token) if offers.mechanism("XOAUTH2") => {
            let token = token.expose_secret();
            let response = format!("user={username}\x01auth=Bearer {token}\x01\x01");
            let reply = conversation
                .auth(&format!("AUTH XOAUTH2 {}", BASE64.encode(response)))
                .await?;
            if reply.code != 334 {
                return Ok(Answer::Reply(reply));
            }
            let why = challenge(&reply);
            // The refusal itself comes only after the client has said that it is done.
            let last = conversation.auth("").await?;
            Ok(Answer::TokenRefused(why, last))
        }
        Secret::Password(password) if offers.mechanism("PLAIN") => {
            let response = format!("\0{username}\0{}", password.expose_secret());
            let command = format!("AUTH PLAIN {}", BASE64.encode(response));
            conversation.auth(&command).await.map(Answer::Reply)
        }
        Secret::Password(password) if offers.mechanism("LOGIN") => {
            let mut reply = conversation.auth("AUTH LOGIN").await?;
            for answer in [username, password.expose_secret()] {
                if reply.code != 334 {
                    break;
                }
                reply = conversation.auth(&BASE64.encode(answer)).await?;
            }
            Ok(Answer::Reply(reply))
        }
        secret => {
            let wanted = match secret {
                Secret::Token(_) => "XOAUTH2",
                Secret::Password(_) => "PLAIN or LOGIN",
            };
            let offered = match offers.auth.as_slice() {
                [] => "no AUTH at all".to_owned(),
                some => format!("only {}", some.join(", ")),
            };
            let cure = match secret {
                Secret::Password(_) if offers.mechanism("XOAUTH2") => {
                    "it wants an access token: use `token_command`"
                }
                _ if offers.auth.is_empty() => {
                    "use the port for submission (465 or 587), or remove the login if the relay knows this machine by its address"
                }
                _ => "ask its operator how programs log in",
            };
            Ok(Answer::NoMechanism(format!(
                "it offers {offered}, not {wanted}; {cure}"
            )))
        }
    }
}

/// The words of an XOAUTH2 challenge, which is JSON in base64: `status 401, schemes bearer`.
fn challenge(reply: &Reply) -> String {
    let decoded = BASE64.decode(reply.text.trim()).unwrap_or_default();
    let json: Option<serde_json::Value> = serde_json::from_slice(&decoded).ok();
    let fields = json.as_ref().and_then(serde_json::Value::as_object);
    let words: Vec<String> = fields
        .into_iter()
        .flatten()
        .map(|(key, value)| match value.as_str() {
            Some(text) => format!("{key} {text}"),
            None => format!("{key} {value}"),
        })
        .collect();
    if words.is_empty() {
        "no reason given".into()
    } else {
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line_and_its_end_does_not_count() {
        let read = |text: &str| one_line(text, "it").map(|it| it.expose_secret().to_owned());

        assert_eq!(read("hunter2\r\n").unwrap(), "hunter2");
        assert_eq!(read(" blanks count ").unwrap(), " blanks count ");
        for wrong in ["", "\n", "a\nb", "a\0b"] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.starts_with("it "), "{error}");
        }
    }

    #[test]
    fn a_challenge_is_told_in_words() {
        let reply = |text: &str| Reply {
            code: 334,
            enhanced: None,
            text: text.into(),
        };
        let json =
            BASE64.encode(r#"{"status":"401","schemes":"bearer","scope":"https://mail.example/"}"#);

        let words = challenge(&reply(&json));
        for word in [
            "status 401",
            "schemes bearer",
            "scope https://mail.example/",
        ] {
            assert!(words.contains(word), "{words}");
        }
        assert_eq!(challenge(&reply("???")), "no reason given");
    }

    #[tokio::test]
    async fn a_token_comes_from_the_program_and_its_failure_is_told_without_it() {
        let run = |script: &str| {
            let command = ["sh", "-c", script].map(str::to_owned).to_vec();
            async move {
                token(&command)
                    .await
                    .map(|it| it.expose_secret().to_owned())
            }
        };

        assert_eq!(run("echo abc.def").await.unwrap(), "abc.def");
        let failed = run("echo s3cret; echo no network >&2; exit 7")
            .await
            .unwrap_err();
        let failed = format!("{failed:#}");
        assert!(
            failed.contains("no network") && !failed.contains("s3cret"),
            "{failed}"
        );
        assert!(
            run("true")
                .await
                .unwrap_err()
                .to_string()
                .contains("is empty")
        );
        let missing = token(&["/no/such/program".to_owned()]).await.unwrap_err();
        assert!(missing.to_string().contains("cannot run"), "{missing}");
    }
}

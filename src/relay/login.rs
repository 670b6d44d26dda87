//! Logging in (RFC 4954): a secret from where it is kept, and the words of AUTH.
//!
//! A secret is read when it is needed, stays out of every message and log, and goes
//! only over a connection whose certificate was verified. How it is refused is told in
//! the relay's words and in ours.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::process::Command;
use tokio::time::timeout;

use super::conversation::{Conversation, NoReply};
use super::ehlo_extensions::EhloExtensions;
use crate::config::{CredentialSource, Login, Smtp};
use crate::exit::{self, CommandError, Exit};
use crate::files::{self, writable_by_everyone};
use crate::outcome::Reply;

/// The largest file of a password, and the most that a token command may print.
const SECRET_LIMIT: u64 = 64 * 1024;
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
/// When it is missing or empty (78), or open to everyone (77), which a program counts as, too,
/// if everyone can change it.
pub fn check(smtp: &Smtp) -> exit::Result<()> {
    match smtp.login.as_ref().map(|it| &it.credential) {
        None => Ok(()),
        Some(CredentialSource::TokenCommand(command)) => check_program(command),
        Some(proof) => password(proof).map(|_| ()),
    }
}

/// Refuses to run a program that everyone can change, or with a file that everyone can change
/// as an argument, such as a script. One that cannot be found is reported when it is run.
fn check_program(command: &[String]) -> exit::Result<()> {
    let program = command.first().and_then(|it| find_program(it));
    let arguments = command.iter().skip(1).map(PathBuf::from);
    let files = arguments.filter(|it| it.is_file());
    let open = (program.into_iter().map(|it| ("the program", it)))
        .chain(files.map(|it| ("the file", it)))
        .find_map(|(what, it)| writable_by_everyone(what, &it));
    match open {
        None => Ok(()),
        Some(open) => {
            let message = format!("{open}: `smtp.token_command` names it");
            Err(CommandError::new(Exit::NoPermission, message))
        }
    }
}

/// The file that is run under this name, as the system finds it.
fn find_program(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(name.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|it| rustix::fs::access(it, rustix::fs::Access::EXEC_OK).is_ok() && it.is_file())
}

/// The secret for one connection; a token command is run each time, for tokens expire.
///
/// # Errors
/// Why there is none. The secret is in no message.
pub async fn secret(login: &Login) -> exit::Result<Secret> {
    match &login.credential {
        CredentialSource::TokenCommand(command) => {
            check_program(command)?;
            let token = token(command).await.map_err(|error| CommandError {
                exit: Exit::Unavailable,
                error,
            })?;
            Ok(Secret::Token(token))
        }
        proof => password(proof).map(Secret::Password),
    }
}

fn password(proof: &CredentialSource) -> exit::Result<SecretString> {
    let wrong = |error| CommandError {
        exit: Exit::Config,
        error,
    };
    match proof {
        CredentialSource::PasswordFile(path) => read_file(path, "smtp.password_file", false),
        // Its name is not shown: it may be the password itself, by mistake.
        CredentialSource::PasswordEnv(name) => match std::env::var_os(name) {
            None => Err(anyhow::anyhow!(
                "the environment variable that `smtp.password_env` names is not set; set it where the program runs, cron included"
            )),
            Some(value) => {
                let bytes = std::os::unix::ffi::OsStringExt::into_vec(value);
                decode(bytes, "the environment variable that `smtp.password_env` names")
            }
        }
        .map_err(wrong),
        CredentialSource::PasswordCredential(name) => {
            let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") else {
                return Err(wrong(anyhow::anyhow!(
                    "`smtp.password_credential` works only as a systemd service with `LoadCredential=NAME:…`: $CREDENTIALS_DIRECTORY is not set"
                )));
            };
            read_file(
                &Path::new(&folder).join(name),
                "smtp.password_credential",
                true,
            )
        }
        CredentialSource::TokenCommand(_) => Err(wrong(anyhow::anyhow!("a token is no password"))),
    }
}

/// A secret in a file; systemd's own folder is trusted, any other must not be open to everyone.
fn read_file(path: &Path, key: &str, trusted: bool) -> exit::Result<SecretString> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| {
        // The path is not shown: it may be the password itself, by mistake.
        let message = format!(
            "cannot read the file that `{key}` names: {error}; its only line must be the password, and only this user may read it"
        );
        CommandError::new(Exit::Config, message)
    })?;
    let mode = metadata.permissions().mode();
    if !trusted && metadata.is_file() && mode & 0o006 != 0 {
        let done = if mode & 0o004 != 0 {
            "readable"
        } else {
            "writable"
        };
        let message = format!(
            "`{key}` (`{shown}`) is {done} by everyone; run `chmod 600 {shown}`, and change the password if others may have seen it"
        );
        return Err(CommandError::new(Exit::NoPermission, message));
    }
    let bytes = files::read(path, SECRET_LIMIT).map_err(|error| {
        let exit = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Exit::NoPermission,
            _ => Exit::Config,
        };
        let message =
            format!("cannot read `{key}` (`{shown}`): {error}; its only line must be the password");
        CommandError::new(exit, message)
    })?;
    decode(bytes, &format!("`{key}` (`{shown}`)")).map_err(|error| CommandError {
        exit: Exit::Config,
        error,
    })
}

/// The only line of a text in UTF-8, without a byte-order mark and without its end. The bytes
/// are in no message.
fn decode(bytes: Vec<u8>, what: &str) -> Result<SecretString> {
    let utf_16 = bytes.starts_with(b"\xff\xfe")
        || bytes.starts_with(b"\xfe\xff")
        || bytes.iter().take(4).filter(|it| **it == 0).count() == 2;
    ensure!(!utf_16, "{what} is UTF-16; save it as UTF-8");
    let text = String::from_utf8(bytes)
        .map_err(|_| anyhow::anyhow!("{what} is not UTF-8; save it as UTF-8"))?;
    let text = SecretString::from(text);
    one_line(text.expose_secret(), what)
}

/// The only line of a text, without a byte-order mark and without its end.
fn one_line(text: &str, what: &str) -> Result<SecretString> {
    let line = text.strip_prefix('\u{feff}').unwrap_or(text);
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line);
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
    let mut running = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            // Its name is not shown: it may be the token itself, by mistake.
            anyhow::anyhow!(
                "cannot run the program of `smtp.token_command`: {error}; give its whole path"
            )
        })?;
    let (mut stdout, mut stderr) = (running.stdout.take(), running.stderr.take());
    let printed = async {
        let printed = limited(stdout.as_mut()).await?;
        // A program that prints without end is not waited for.
        if printed.len() as u64 > SECRET_LIMIT {
            return Err(files::too_large(SECRET_LIMIT));
        }
        Ok(printed)
    };
    let complained = async {
        let complaint = limited(stderr.as_mut()).await?;
        if let Some(stream) = &mut stderr {
            tokio::io::copy(stream, &mut tokio::io::sink()).await?;
        }
        Ok(complaint)
    };
    let ended = timeout(TOKEN_DEADLINE, async {
        let (printed, complaint) = tokio::try_join!(printed, complained)?;
        std::io::Result::Ok((printed, complaint, running.wait().await?))
    });
    let seconds = TOKEN_DEADLINE.as_secs();
    let ended = ended
        .await
        .with_context(|| {
            format!("`smtp.token_command` (`{program}`) gave no token within {seconds} s; run it by hand to see why")
        })?;
    let (printed, complaint, status) = ended.map_err(|error| {
        anyhow::anyhow!(
            "cannot read what `smtp.token_command` (`{program}`) prints: {error}; it must print the token and nothing else"
        )
    })?;
    if !status.success() {
        let complaint = String::from_utf8_lossy(&complaint);
        let complaint: String = complaint.trim().chars().take(300).collect();
        bail!(
            "`smtp.token_command` (`{program}`) failed ({status}) and said \"{complaint}\"; run it by hand to see why"
        );
    }
    decode(
        printed,
        &format!("what `smtp.token_command` (`{program}`) printed"),
    )
}

/// The first bytes of a stream: one more than the limit, where there are more.
async fn limited(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream
            .take(SECRET_LIMIT + 1)
            .read_to_end(&mut bytes)
            .await?;
    }
    Ok(bytes)
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
    offers: &EhloExtensions,
    username: &str,
    secret: &Secret,
) -> Result<Answer, NoReply> {
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
        let reply = |text: &str| crate::outcome::testing::reply(&format!("334 {text}"));
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
        for endless in ["yes", "cat /dev/zero", "yes >&2 | yes"] {
            let error = run(endless).await.unwrap_err().to_string();
            assert!(error.contains("it is larger than 64 KiB"), "{error}");
        }
        let talkative = "head -c 1000000 /dev/zero >&2; echo abc";
        assert_eq!(run(talkative).await.unwrap(), "abc");
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

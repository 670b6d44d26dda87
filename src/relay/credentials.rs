//! The credentials of a login: read from their source when they are needed, and never part of a message or log.

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::error::SetupError;
use super::step::TokenFacts;
use crate::config::{CredentialSource, SecretSource, Smtp};
use crate::files::{self, writable_by_everyone};
use crate::http::Proxies;
use crate::oauth::{Claims, MicrosoftApi, Settings, Token, TokenSource, token_in_json};
use crate::secret;

/// The most that a token command may print.
const OUTPUT_LIMIT: u64 = 64 * 1024;
/// How long a token command may take.
const TOKEN_DEADLINE: Duration = Duration::from_mins(1);

/// A secret, which determines the mechanisms of AUTH that fit.
pub enum Secret {
    /// For PLAIN and LOGIN.
    Password(SecretString),
    /// For XOAUTH2 and OAUTHBEARER, from a program.
    Printed(SecretString),
    /// For XOAUTH2 and OAUTHBEARER, from an issuer.
    Issued(Token),
}

/// Where the secret of each login comes from. The connections of a run share it, so that they share
/// an access token.
pub struct Credentials(Source);

enum Source {
    Password(SecretSource),
    Command(Vec<String>),
    Tokens(Box<TokenSource>),
}

impl Credentials {
    /// Checks the credentials of the configured login, as far as possible without a connection and
    /// without running a program; `None` if no login is configured.
    ///
    /// # Errors
    /// If the secret is missing or empty, or if everyone may read or change it; for a token command, if
    /// everyone may change the program; for an issuer of tokens, also if the certificate, the proxy or
    /// `ca_file` cannot be used.
    pub fn check(smtp: &Smtp) -> Result<Option<Self>, SetupError> {
        let Some(login) = &smtp.login else {
            return Ok(None);
        };
        let tokens = |settings| -> Result<Source, SetupError> {
            let proxies = Proxies::new(|name| std::env::var(name).ok());
            let tokens = TokenSource::new(settings, proxies, Timestamp::now)?;
            Ok(Source::Tokens(Box::new(tokens)))
        };
        let source = match &login.credential {
            CredentialSource::Password(source) => {
                secret::read(source, "password")?;
                Source::Password(source.clone())
            }
            CredentialSource::TokenCommand(command) => {
                check_command(command)?;
                Source::Command(command.clone())
            }
            CredentialSource::Issuer(issuer) => tokens(Settings::issuer(issuer))?,
            CredentialSource::Microsoft(microsoft) => {
                tokens(Settings::microsoft(microsoft, MicrosoftApi::Smtp))?
            }
        };
        Ok(Some(Self(source)))
    }

    /// The secret for one connection. A token command runs each time, because tokens expire.
    pub(super) async fn secret(&self) -> Result<Secret, SetupError> {
        Ok(match &self.0 {
            Source::Password(source) => Secret::Password(secret::read(source, "password")?),
            Source::Command(command) => {
                check_command(command)?;
                let token = token(command).await.map_err(SetupError::NoToken)?;
                Secret::Printed(token)
            }
            Source::Tokens(tokens) => Secret::Issued(tokens.token().await?),
        })
    }

    /// The token that replaces one of an issuer, if it was dropped in the meantime; other secrets stay.
    pub(super) async fn replaced(&self, secret: Secret) -> Result<Secret, SetupError> {
        match (&self.0, secret) {
            (Source::Tokens(tokens), Secret::Issued(_)) => {
                Ok(Secret::Issued(tokens.token().await?))
            }
            (_, secret) => Ok(secret),
        }
    }

    /// Gets an access token before the connection is opened, because an issuer may be slow and a relay
    /// does not wait. It is in memory afterwards. Other credentials are read when they are needed.
    pub(super) async fn prepare(&self) -> Result<Option<TokenFacts>, SetupError> {
        match &self.0 {
            Source::Tokens(tokens) => {
                let token = tokens.token().await?;
                Ok(Some(TokenFacts {
                    source: tokens.endpoint(),
                    valid_for: Some(token.valid_for()),
                    claims: Claims::read(token.expose()),
                }))
            }
            Source::Password(_) | Source::Command(_) => Ok(None),
        }
    }

    /// Drops a token that was refused.
    pub(super) fn invalidate(&self, token: &Token) {
        if let Source::Tokens(tokens) = &self.0 {
            tokens.invalidate(token);
        }
    }
}

/// Refuses a program that everyone can change, or one with such a file (a script) as an argument.
/// A program that does not exist is reported when it is run.
fn check_command(command: &[String]) -> Result<(), SetupError> {
    let program = command.first().and_then(|it| find_program(it));
    let arguments = command.iter().skip(1).map(PathBuf::from);
    let files = arguments.filter(|it| it.is_file());
    let writable = (program.into_iter().map(|it| ("the program", it)))
        .chain(files.map(|it| ("the file", it)))
        .find_map(|(what, it)| writable_by_everyone(what, &it));
    writable.map_or(Ok(()), |it| {
        let message = format!("{it}: `smtp.token_command` runs it");
        Err(SetupError::NoPermission(message))
    })
}

/// The file that running this name executes.
fn find_program(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(name.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|it| rustix::fs::access(it, rustix::fs::Access::EXEC_OK).is_ok() && it.is_file())
}

/// The output of the program, or why there is no token. The error shows its stderr, never its stdout.
async fn token(command: &[String]) -> Result<SecretString, String> {
    let (program, arguments) = command
        .split_first()
        .expect("the configuration names a program");
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let what = format!("`smtp.token_command` (`{program}`)");
    let (printed, errors, status) = timeout(TOKEN_DEADLINE, output(command, &what))
        .await
        .map_err(|_| {
            let seconds = TOKEN_DEADLINE.as_secs();
            format!("{what} gave no token within {seconds} s; run it by hand to see why")
        })??;
    if !status.success() {
        let errors = String::from_utf8_lossy(&errors);
        let errors: String = errors.trim().chars().take(300).collect();
        return Err(format!(
            "{what} failed ({status}) and printed \"{errors}\"; run it by hand to see why"
        ));
    }
    let place = format!("the output of {what}");
    if printed.trim_ascii_start().starts_with(b"{") {
        return token_in_json(&printed).map_err(|why| format!("{place} {why}"));
    }
    secret::only_line(&printed, &place).map_err(|error| error.to_string())
}

/// Runs a program; returns its stdout, the beginning of its stderr, and its exit status.
async fn output(
    mut command: Command,
    what: &str,
) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>, ExitStatus), String> {
    // The program is not shown: by mistake, it may be the token.
    let mut child = command.spawn().map_err(|error| {
        format!("cannot run the program of `smtp.token_command`: {error}; give its full path")
    })?;
    let mut stdout = child.stdout.take().expect("it is piped");
    let mut stderr = child.stderr.take().expect("it is piped");
    let ended = tokio::try_join!(
        async {
            let printed = Zeroizing::new(beginning(&mut stdout).await?);
            // A program with endless output is not waited for.
            if printed.len() as u64 > OUTPUT_LIMIT {
                return Err(files::too_large(OUTPUT_LIMIT));
            }
            Ok(printed)
        },
        async {
            let errors = beginning(&mut stderr).await?;
            tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
            Ok(errors)
        },
    );
    let ended = match ended {
        Ok((printed, errors)) => child.wait().await.map(|status| (printed, errors, status)),
        Err(error) => Err(error),
    };
    ended.map_err(|error| {
        format!(
            "cannot read the output of {what}: {error}; it must print the token and nothing else"
        )
    })
}

/// The first bytes of a stream: one more than the limit, if there are more.
async fn beginning(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream
        .take(OUTPUT_LIMIT + 1)
        .read_to_end(&mut bytes)
        .await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[tokio::test]
    async fn a_token_command_s_errors_are_shown_and_its_output_is_not() {
        let run = |script: &str| {
            let command = ["sh", "-c", script].map(str::to_owned).to_vec();
            async move {
                token(&command)
                    .await
                    .map(|it| it.expose_secret().to_owned())
            }
        };

        assert_eq!(run("echo abc.def").await.unwrap(), "abc.def");
        let json = r#"echo '{"token_type":"Bearer","expires_in":3599,"access_token":"abc.def"}'"#;
        assert_eq!(run(json).await.unwrap(), "abc.def");
        for wrong in [r#"echo '{"token":"s3cret"}'"#, "echo '{s3cret'"] {
            let error = run(wrong).await.unwrap_err();
            assert!(error.contains("no access token"), "{error}");
            assert!(!error.contains("s3cret\""), "{error}");
        }
        let failed = run("echo s3cret; echo no network >&2; exit 7")
            .await
            .unwrap_err();
        assert!(
            failed.contains("no network") && !failed.contains("s3cret"),
            "{failed}"
        );
        for endless in ["yes", "cat /dev/zero", "yes >&2 | yes"] {
            let error = run(endless).await.unwrap_err();
            assert!(error.contains("it is larger than 64 KiB"), "{error}");
        }
        let talkative = "head -c 1000000 /dev/zero >&2; echo abc";
        assert_eq!(run(talkative).await.unwrap(), "abc");
        assert!(run("true").await.unwrap_err().contains("is empty"));
        let missing = token(&["/no/such/program".to_owned()]).await.unwrap_err();
        assert!(missing.contains("cannot run"), "{missing}");
    }
}

//! The secret of a login: read from its source when it is needed, and never part of a message or log.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::error::SetupError;
use crate::config::{CredentialSource, Login, Smtp};
use crate::files::{self, writable_by_everyone};

/// The largest password file, and the most that a token command may print.
const SECRET_LIMIT: u64 = 64 * 1024;
/// How long a token command may take.
const TOKEN_DEADLINE: Duration = Duration::from_mins(1);

/// A secret, which determines the mechanisms of AUTH that fit.
pub enum Secret {
    /// For PLAIN and LOGIN.
    Password(SecretString),
    /// For XOAUTH2.
    Token(SecretString),
}

/// Checks the credentials of the configured login, as far as possible without running a program.
///
/// # Errors
/// If the secret is missing or empty, or if everyone may read or change it; for a token command, if
/// everyone may change the program.
pub fn check(smtp: &Smtp) -> Result<(), SetupError> {
    match smtp.login.as_ref().map(|it| &it.credential) {
        None => Ok(()),
        Some(CredentialSource::TokenCommand(command)) => check_command(command),
        Some(source) => password(source).map(drop),
    }
}

/// The secret for one connection. A token command runs each time, because tokens expire.
pub async fn secret(login: &Login) -> Result<Secret, SetupError> {
    match &login.credential {
        CredentialSource::TokenCommand(command) => {
            check_command(command)?;
            let token = token(command).await.map_err(SetupError::NoToken)?;
            Ok(Secret::Token(token))
        }
        source => password(source).map(Secret::Password),
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

fn password(source: &CredentialSource) -> Result<SecretString, SetupError> {
    match source {
        CredentialSource::PasswordFile(path) => read_file(path, "smtp.password_file", false),
        CredentialSource::PasswordEnv(name) => {
            // The name is not shown: by mistake, it may be the password.
            let what = "the environment variable that `smtp.password_env` names";
            let value = std::env::var_os(name).map(OsString::into_vec);
            let missing =
                || format!("{what} is not set; set it where the program runs, cron included");
            let password = value.ok_or_else(missing);
            password
                .and_then(|it| decode(it, what))
                .map_err(SetupError::Unusable)
        }
        CredentialSource::PasswordCredential(name) => {
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                SetupError::Unusable("`smtp.password_credential` works only in a systemd service with `LoadCredential=NAME:…`: $CREDENTIALS_DIRECTORY is not set".into())
            })?;
            let path = Path::new(&folder).join(name);
            read_file(&path, "smtp.password_credential", true)
        }
        CredentialSource::TokenCommand(_) => Err(SetupError::Unusable(
            "a token command gives no password".into(),
        )),
    }
}

/// A secret in a file. Files in systemd's credential folder are `trusted`; others must not be accessible to
/// everyone.
fn read_file(path: &Path, key: &str, trusted: bool) -> Result<SecretString, SetupError> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| {
        // The path is not shown: by mistake, it may be the password.
        SetupError::Unusable(format!(
            "cannot read the file that `{key}` names: {error}; its only line must be the password, and only this user may read it"
        ))
    })?;
    let mode = metadata.permissions().mode();
    if !trusted && metadata.is_file() && mode & 0o006 != 0 {
        let access = if mode & 0o004 != 0 {
            "readable"
        } else {
            "writable"
        };
        return Err(SetupError::NoPermission(format!(
            "`{key}` (`{shown}`) is {access} by everyone; run `chmod 600 {shown}`, and change the password if others may have seen it"
        )));
    }
    let bytes = files::read(path, SECRET_LIMIT).map_err(|error| {
        let message =
            format!("cannot read `{key}` (`{shown}`): {error}; its only line must be the password");
        match error.kind() {
            io::ErrorKind::PermissionDenied => SetupError::NoPermission(message),
            _ => SetupError::Unusable(message),
        }
    })?;
    decode(bytes, &format!("`{key}` (`{shown}`)")).map_err(SetupError::Unusable)
}

/// The only line of a UTF-8 text, without byte-order mark and line end. The error does not show the text.
fn decode(bytes: Vec<u8>, what: &str) -> Result<SecretString, String> {
    let utf_16 = bytes.starts_with(b"\xff\xfe")
        || bytes.starts_with(b"\xfe\xff")
        || bytes.iter().take(4).filter(|it| **it == 0).count() == 2;
    if utf_16 {
        return Err(format!("{what} is UTF-16; save it as UTF-8"));
    }
    // Wiped from memory when it is dropped.
    let text = String::from_utf8(bytes).map(SecretString::from);
    let text = text.map_err(|_| format!("{what} is not UTF-8; save it as UTF-8"))?;
    let text = secrecy::ExposeSecret::expose_secret(&text);
    let line = text.strip_prefix('\u{feff}').unwrap_or(text);
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        Err(format!("{what} is empty; it must be one line"))
    } else if line.contains(char::is_control) {
        Err(format!(
            "{what} must be one line without control characters"
        ))
    } else {
        Ok(SecretString::from(line))
    }
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
    decode(printed, &format!("the output of {what}"))
}

/// Runs a program; returns its stdout, the beginning of its stderr, and its exit status.
async fn output(
    mut command: Command,
    what: &str,
) -> Result<(Vec<u8>, Vec<u8>, ExitStatus), String> {
    // The program is not shown: by mistake, it may be the token.
    let mut child = command.spawn().map_err(|error| {
        format!("cannot run the program of `smtp.token_command`: {error}; give its full path")
    })?;
    let mut stdout = child.stdout.take().expect("it is piped");
    let mut stderr = child.stderr.take().expect("it is piped");
    let ended = tokio::try_join!(
        async {
            let printed = beginning(&mut stdout).await?;
            // A program with endless output is not waited for.
            if printed.len() as u64 > SECRET_LIMIT {
                return Err(files::too_large(SECRET_LIMIT));
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
        .take(SECRET_LIMIT + 1)
        .read_to_end(&mut bytes)
        .await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_secret_is_one_line_without_its_end() {
        let read = |text: &str| decode(text.into(), "it").map(|it| it.expose_secret().to_owned());

        assert_eq!(read("hunter2\r\n").unwrap(), "hunter2");
        assert_eq!(read(" blanks count ").unwrap(), " blanks count ");
        for wrong in ["", "\n", "a\nb", "a\0b"] {
            let error = read(wrong).unwrap_err();
            assert!(error.starts_with("it "), "{error}");
        }
    }

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

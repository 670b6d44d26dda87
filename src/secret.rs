//! Secrets: read from where they are kept, when they are needed, and wiped afterwards.
//!
//! No message contains a secret. Nor does it name an environment variable, or a file that cannot
//! be found: that name may be the secret itself, set by mistake.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use tracing::debug;

use crate::config::{SecretPlace, SecretSource};
use crate::files;

/// The largest file that holds a secret.
const LIMIT: u64 = 64 * 1024;

/// Why a secret cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It is missing or malformed.
    #[error("{0}")]
    Unusable(String),
    /// It may not be read, or everyone can read or change it.
    #[error("{0}")]
    Permissions(String),
}

/// Reads a secret. Messages call it `what`, such as "client secret".
///
/// # Errors
/// If it is missing, is not one line, or everyone can read or change its file.
pub fn read(source: &SecretSource, what: &str) -> Result<SecretString, SecretError> {
    read_from(source, what, |name| std::env::var_os(name))
}

fn read_from(
    source: &SecretSource,
    what: &str,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<SecretString, SecretError> {
    let key = &source.key;
    let expected = format!("its only line must be the {what}");
    let (bytes, place) = match &source.place {
        SecretPlace::File(path) => (
            read_private_file(path, key, &expected)?,
            format!("`{key}` (`{}`)", path.display()),
        ),
        SecretPlace::Env(name) => {
            let Some(value) = environment(name) else {
                return Err(SecretError::Unusable(format!(
                    "the environment variable that `{key}` names is not set; set it where the program runs, cron included"
                )));
            };
            let place = format!("the environment variable that `{key}` names");
            (Zeroizing::new(value.into_vec()), place)
        }
        SecretPlace::Credential(name) => {
            let Some(folder) = environment("CREDENTIALS_DIRECTORY") else {
                return Err(SecretError::Unusable(format!(
                    "`{key}` works only in a systemd service with `LoadCredential=NAME:…`: $CREDENTIALS_DIRECTORY is not set"
                )));
            };
            let path = Path::new(&folder).join(name);
            // The folder is systemd's, which guards it.
            let bytes = read_file(&path, key, &expected)?;
            (bytes, format!("`{key}` (`{}`)", path.display()))
        }
    };
    only_line(&bytes, &place)
}

/// Reads a file that holds a secret, and refuses one that everyone can read or change.
///
/// # Errors
/// If it cannot be read, or everyone can read or change it. `expected` says what it must contain.
pub fn read_private_file(
    path: &Path,
    key: &str,
    expected: &str,
) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let mode = std::fs::metadata(path).map(|it| (it.is_file(), it.permissions().mode()));
    if let Ok((true, mode)) = mode
        && mode & 0o006 != 0
    {
        let shown = path.display();
        let how = if mode & 0o004 != 0 {
            "readable"
        } else {
            "writable"
        };
        return Err(SecretError::Permissions(format!(
            "`{key}` (`{shown}`) is {how} by everyone; run `chmod 600 {shown}`, and replace the secret if others may have seen it"
        )));
    }
    read_file(path, key, expected)
}

fn read_file(path: &Path, key: &str, expected: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let bytes = files::read(path, LIMIT).map_err(|error| {
        let place = match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => "the file that it names".to_owned(),
            _ => format!("`{}`", path.display()),
        };
        let message = format!("cannot read `{key}` ({place}): {error}; {expected}");
        match error.kind() {
            ErrorKind::PermissionDenied => SecretError::Permissions(message),
            _ => SecretError::Unusable(message),
        }
    })?;
    debug!(key, path = %path.display(), "secret read");
    Ok(Zeroizing::new(bytes))
}

/// The only line of a text in UTF-8, without byte-order mark and line end.
///
/// # Errors
/// If it is not one line of text; the message names its `place`.
pub fn only_line(bytes: &[u8], place: &str) -> Result<SecretString, SecretError> {
    let utf_16 = bytes.starts_with(b"\xff\xfe")
        || bytes.starts_with(b"\xfe\xff")
        || bytes.iter().take(4).filter(|it| **it == 0).count() == 2;
    let refuse = |why: &str| Err(SecretError::Unusable(format!("{place} {why}")));
    if utf_16 {
        return refuse("is UTF-16; save it as UTF-8");
    }
    let Ok(text) = str::from_utf8(bytes) else {
        return refuse("is not UTF-8; save it as UTF-8");
    };
    let line = text.strip_prefix('\u{feff}').unwrap_or(text);
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return refuse("is empty; it must be one line");
    }
    if line.contains(char::is_control) {
        return refuse("must be one line without control characters");
    }
    Ok(SecretString::from(line))
}

/// Replaces a secret by `…` in a text that came from outside, also in the form in which it was
/// sent: an endpoint may repeat a request in its answer.
#[must_use]
pub fn redact(text: &str, secret: &SecretString) -> String {
    let secret = secret.expose_secret();
    let encoded: Zeroizing<String> =
        Zeroizing::new(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect());
    text.replace(secret, "…").replace(&*encoded, "…")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn source(place: SecretPlace) -> SecretSource {
        let key = "microsoft.client_secret_x".to_owned();
        SecretSource { key, place }
    }

    #[test]
    fn a_secret_is_the_only_line_of_its_file_variable_or_credential() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "hun ter2\r\n").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        let environment = |name: &str| match name {
            "SECRET" => Some("hun ter2".into()),
            "CREDENTIALS_DIRECTORY" => Some(folder.path().into()),
            _ => None,
        };
        let read = |place| read_from(&source(place), "client secret", environment);

        for place in [
            SecretPlace::File(file),
            SecretPlace::Env("SECRET".into()),
            SecretPlace::Credential("secret".into()),
        ] {
            assert_eq!(read(place).unwrap().expose_secret(), "hun ter2");
        }
        for place in [
            SecretPlace::File(folder.path().join("hunter2")),
            SecretPlace::Env("hunter2".into()),
            SecretPlace::Credential("hunter2".into()),
        ] {
            let error = read(place).unwrap_err();
            assert!(matches!(error, SecretError::Unusable(_)), "{error:?}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn what_is_not_one_line_of_text_is_refused_without_being_shown() {
        for (bytes, why) in [
            (&b""[..], "is empty"),
            (b"\n", "is empty"),
            (b"hunter2\nhunter2\n", "must be one line"),
            (b"hunter2\0", "must be one line"),
            (b"hunter2\xff", "is not UTF-8"),
            (b"\xff\xfeh\0", "is UTF-16"),
            (b"h\0u\0", "is UTF-16"),
        ] {
            let error = only_line(bytes, "it").unwrap_err().to_string();
            assert!(error.starts_with(&format!("it {why}")), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_file_that_everyone_can_read_or_change_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "hunter2").unwrap();
        for (mode, how) in [(0o644, "is readable"), (0o602, "is writable")] {
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
            let error = read(&source(SecretPlace::File(file.clone())), "client secret");
            match error {
                Err(SecretError::Permissions(text)) => assert!(text.contains(how), "{text}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_secret_is_redacted_as_it_is_and_as_it_was_sent() {
        let secret = SecretString::from("a+b /c");
        let text = "you sent a+b /c as client_secret=a%2Bb+%2Fc&scope=x";
        assert_eq!(
            redact(text, &secret),
            "you sent … as client_secret=…&scope=x"
        );
    }
}

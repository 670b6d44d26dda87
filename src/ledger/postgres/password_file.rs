//! The password file of libpq, `~/.pgpass`: lines `host:port:database:user:password`.
//!
//! <https://www.postgresql.org/docs/current/libpq-pgpass.html>. The first line that matches counts. A `*` matches
//! anything, and `\` escapes a `:` or a `\`.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::files;

/// The largest file that is read.
const LIMIT: u64 = 1024 * 1024;

/// A file of passwords.
#[derive(Default)]
pub struct PasswordFile {
    content: Zeroizing<Vec<u8>>,
    /// Why it is ignored, as libpq ignores it.
    pub warning: Option<String>,
}

/// What a password is for.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    pub host: &'a str,
    pub port: &'a str,
    pub database: &'a str,
    pub user: &'a str,
}

impl PasswordFile {
    /// Reads a file. One that is missing is empty; one that others may read is ignored with a warning.
    pub fn read(path: &Path) -> Self {
        let ignored = |why: String| Self {
            warning: Some(format!(
                "the password file `{}` is ignored: {why}",
                path.display()
            )),
            ..Self::default()
        };
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => ignored(format!(
                "its group or everyone has access to it; run `chmod 600 {}`",
                path.display()
            )),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::default(),
            Err(error) => ignored(error.to_string()),
            Ok(_) => match files::read(path, LIMIT) {
                Ok(content) => Self {
                    content: Zeroizing::new(content),
                    warning: None,
                },
                Err(error) => ignored(error.to_string()),
            },
        }
    }

    /// The password of a login, if the file has one.
    #[must_use]
    pub fn password(&self, login: Login<'_>) -> Option<SecretString> {
        let text = str::from_utf8(&self.content).ok()?;
        text.lines().find_map(|line| password_in(line, login))
    }
}

/// The password of a line, if it is for this login.
fn password_in(line: &str, login: Login<'_>) -> Option<SecretString> {
    if line.starts_with('#') {
        return None;
    }
    let mut rest = line;
    for wanted in [login.host, login.port, login.database, login.user] {
        let end = end_of_field(rest)?;
        let field = &rest[..end];
        if field != "*" && *unescaped(field) != wanted {
            return None;
        }
        rest = &rest[end + 1..];
    }
    let password = unescaped(rest);
    (!password.is_empty()).then(|| SecretString::from(password.as_str()))
}

/// Where the first `:` is that is not escaped.
fn end_of_field(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, it)| {
        let ends = it == ':' && !escaped;
        escaped = it == '\\' && !escaped;
        ends.then_some(at)
    })
}

fn unescaped(field: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(field.len()));
    let mut characters = field.chars();
    while let Some(it) = characters.next() {
        match it {
            '\\' => text.push(characters.next().unwrap_or('\\')),
            it => text.push(it),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn file(text: &str) -> PasswordFile {
        PasswordFile {
            content: Zeroizing::new(text.as_bytes().to_vec()),
            warning: None,
        }
    }

    fn login(host: &str) -> Login<'_> {
        Login {
            host,
            port: "5432",
            database: "inv:1",
            user: "ada",
        }
    }

    #[test]
    fn the_first_line_that_matches_has_the_password() {
        let lines = "# db:*:*:*:comment\n\
            other:5432:inv\\:1:ada:1\n\
            db:5433:*:*:2\n\
            db:5432:inv:ada:3\n\
            db:5432:inv\\:1:bob:4\n\
            db:5432:inv\\:1:ada:a\\\\b\\:c:d\n\
            db:*:*:*:6\n\
            d\\b:*:*:*:7\r\n\
            *:*:*:ada:8\r\n\
            \n:::\nincomplete:5432";
        for (host, expected) in [("db", "a\\b:c:d"), ("elsewhere", "8")] {
            let password = file(lines).password(login(host)).unwrap();
            assert_eq!(password.expose_secret(), expected, "{host}");
        }
        let last = Login {
            user: "eve",
            ..login("elsewhere")
        };
        assert!(file(lines).password(last).is_none());
        let sixth = Login {
            user: "eve",
            ..login("db")
        };
        assert_eq!(file(lines).password(sixth).unwrap().expose_secret(), "6");
    }

    #[test]
    fn a_file_that_others_may_read_is_ignored_with_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".pgpass");
        assert!(PasswordFile::read(&path).warning.is_none());
        std::fs::write(&path, "*:*:*:*:hunter2").unwrap();
        for (mode, usable) in [(0o600, true), (0o400, true), (0o640, false), (0o601, false)] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let read = PasswordFile::read(&path);
            assert_eq!(read.password(login("db")).is_some(), usable, "{mode:o}");
            assert_eq!(read.warning.is_none(), usable, "{mode:o}");
            assert!(!read.warning.unwrap_or_default().contains("hunter2"));
        }
    }
}

//! Which keys and lines of a configuration may contain a secret; none of them is ever printed.
//!
//! A secret may be on the line of its key, on several lines, in a separate table, or follow a syntax error. In
//! valid TOML, the positions of all values are known. In any other file, all lines from a secret on are
//! hidden, unless its line is a complete statement.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::database_url::{SCHEMES, parse_database_url};

/// Parts of the names of keys whose values are secrets or name the source of one.
const WORDS: [&str; 10] = [
    "pass",
    "pwd",
    "secret",
    "token",
    "credential",
    "key",
    "certificate",
    "login",
    "heartbeat",
    "notify",
];
/// Escapes, with which a quoted key can be spelled differently.
const ESCAPES: [&str; 3] = ["\\u", "\\U", "\\x"];

/// Whether a key, or a line, names a secret.
#[must_use]
pub fn names_a_secret(text: &str) -> bool {
    let lower = text.to_lowercase();
    WORDS.iter().any(|word| lower.contains(word))
}

/// Whether a line has a URL with a password before its host.
fn has_login_in_url(line: &str) -> bool {
    let mut authorities = line.split("://").skip(1);
    authorities.any(|it| {
        let authority = it.split(['/', '"', '\'', ' ']).next().unwrap_or_default();
        let login = authority.rsplit_once('@');
        login.is_some_and(|(login, _)| login.contains(':'))
    })
}

/// Whether a line has the URL of a database that cannot be read, so that any part of it may be a password.
fn has_unclear_database_url(line: &str) -> bool {
    let urls = SCHEMES.into_iter().flat_map(|it| line.match_indices(it));
    let mut urls = urls.map(|(at, _)| &line[at..]);
    urls.any(|it| {
        let end = it.find(['"', '\'']).unwrap_or(it.len());
        parse_database_url(it[..end].trim_end()).is_err()
    })
}

/// The lines that must not be shown.
#[derive(Debug)]
pub struct SecretLines {
    is_valid: bool,
    /// The places of values whose key or table names a secret.
    values: Vec<Range<usize>>,
    /// In a file that is not valid, the offset from which on all lines are hidden.
    hidden_from: usize,
}

impl SecretLines {
    /// The hidden lines of a file. If it is not valid, `file` is the part that could be parsed.
    pub fn of(source: &str, file: &DeTable<'_>, is_valid: bool) -> Self {
        let mut values = Vec::new();
        for (key, value) in file {
            match value.get_ref().as_table() {
                // Packages have names of the operator's choice.
                Some(packages) if key.get_ref() == "packages" => {
                    packages
                        .values()
                        .for_each(|it| collect(it, false, &mut values));
                }
                _ => collect(value, names_a_secret(key.get_ref()), &mut values),
            }
        }
        let mut secrets = Self {
            is_valid,
            values,
            hidden_from: 0,
        };
        for line in source.split_inclusive('\n') {
            if !is_valid && secrets.name_one(line) && !is_statement(line) {
                break;
            }
            secrets.hidden_from += line.len();
        }
        secrets
    }

    /// The offset from which on nothing is shown; none if each line is judged by itself.
    #[must_use]
    pub fn hidden_from(&self) -> Option<usize> {
        (!self.is_valid).then_some(self.hidden_from)
    }

    /// Whether a line names a secret, or possibly does.
    fn name_one(&self, line: &str) -> bool {
        names_a_secret(line)
            || has_login_in_url(line)
            || has_unclear_database_url(line)
            || (!self.is_valid && ESCAPES.iter().any(|it| line.contains(it)))
    }

    /// Whether one of them is the line `text` at `place`.
    #[must_use]
    pub fn include(&self, place: Range<usize>, text: &str) -> bool {
        let overlaps = |it: &Range<usize>| it.start <= place.end && place.start < it.end;
        self.hidden_from().is_some_and(|it| place.start >= it)
            || self.name_one(text)
            || self.values.iter().any(overlaps)
    }
}

fn collect(value: &Spanned<DeValue<'_>>, is_secret: bool, values: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::Table(table) => {
            for (key, value) in table {
                collect(value, is_secret || names_a_secret(key.get_ref()), values);
            }
        }
        DeValue::Array(list) if !is_secret => {
            list.iter().for_each(|it| collect(it, false, values));
        }
        _ if is_secret => values.push(value.span()),
        _ => {}
    }
}

/// Whether a line is a key with its whole value, or a comment: prose, or such a key. The lines below a table's header
/// belong to it, and those below a key whose value begins in a comment to that.
fn is_statement(line: &str) -> bool {
    let text = line.trim_start();
    let is_whole = |it: &str| !it.starts_with('[') && DeTable::parse(it).is_ok();
    match text.strip_prefix('#') {
        Some(comment) if comment.contains('=') => is_whole(comment.trim_start_matches(['#', ' '])),
        _ => is_whole(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &str) -> Vec<&str> {
        let (file, errors) = DeTable::parse_recoverable(source);
        let secrets = SecretLines::of(source, file.get_ref(), errors.is_empty());
        let mut start = 0;
        let lines = source.split('\n').filter(|line| {
            let place = start..start + line.len();
            start = place.end + 1;
            !secrets.include(place, line)
        });
        lines.collect()
    }

    #[test]
    fn lines_of_a_secret_are_hidden_and_others_shown() {
        let secrets = [
            "password = \"S\"",
            "token_command = [\n  \"S\", # x\n  'S',\n]",
            "token_command = [\n  \"S\"",
            "password = \"\"\"\nS\nx = S\n\"\"\"",
            "smtp . \"password\" = '''\nS\n'''",
            "login = { name = \"x\",\n value = \"S\" }",
            "\"p\\u0061ssword\" = [\n\"S\"\n]",
            "password = \"S\nS\"",
        ];
        for secret in secrets {
            let source = format!("host = \"a\"\n{secret}\nport = 1");
            let shown = shown(&source);
            assert_eq!(shown[0], "host = \"a\"", "{secret}");
            assert!(!shown.concat().contains('S'), "{secret}: {shown:?}");
        }
        assert_eq!(
            shown("a = [\n1,\n]\ntoken = [\n\"S\"\n]\nb = 2"),
            ["a = [", "1,", "]", "b = 2"]
        );
        assert_eq!(
            shown("[smtp.password]\nx = 1\n[limits]\ny = 2"),
            ["[limits]", "y = 2"]
        );
        assert_eq!(shown("[packages.keys]\nx = 1"), ["x = 1"]);
    }

    #[test]
    fn secret_after_a_syntax_error_is_hidden() {
        let mistakes = [
            "only_to = [\"a\"",
            "name = '''x",
            "name = \"x",
            "a = { b = [",
            "# password = [",
            "port = 1 2\n## client_secret = \"\"\"",
        ];
        for above in mistakes {
            let source = format!("{above}\n[smtp]\ntoken_command = [\n  \"S\",\n  \"x = S\"\n]");
            let shown = shown(&source);
            assert!(!shown.concat().contains('S'), "{above}: {shown:?}");
        }
    }
}

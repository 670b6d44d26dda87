//! Which keys and lines of a configuration may hold a secret; none of them is ever printed.
//!
//! A key that names a secret may have its value in any form: on its line, over several lines,
//! in a table of its own, or cut off by a mistake. A file with a mistake has no reliable
//! structure, so each line is judged by the text alone, and in doubt it is hidden.

/// Parts of the names of keys whose values are secret, or say where one is.
const WORDS: [&str; 8] = [
    "pass",
    "pwd",
    "secret",
    "token",
    "credential",
    "key",
    "certificate",
    "login",
];

/// Whether a key, or a line, names a secret.
#[must_use]
pub fn names_a_secret(text: &str) -> bool {
    let names = |text: &str| WORDS.iter().any(|word| text.contains(word));
    let lower = text.to_lowercase();
    // A key in quotes may be spelled with escapes: `"p\u0061ssword"`.
    names(&lower) || (lower.contains('\\') && names(&unescaped(&lower)))
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

/// A text with its `\x61` and `\u0061` replaced.
fn unescaped(text: &str) -> String {
    let mut pieces = text.split('\\');
    let mut unescaped = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = match piece.as_bytes().first() {
            Some(b'x') => 2,
            Some(b'u') => 4,
            _ => 0,
        };
        let code = piece.get(1..=digits).filter(|it| !it.is_empty());
        let letter = code.and_then(|it| char::from_u32(u32::from_str_radix(it, 16).ok()?));
        match letter {
            Some(letter) => {
                unescaped.extend(letter.to_lowercase());
                unescaped.push_str(&piece[1 + digits..]);
            }
            None => unescaped.push_str(piece),
        }
    }
    unescaped
}

/// For each line, whether it must not be shown.
///
/// A line belongs to the statement that begins at or above it. Where that is cannot be known
/// for certain in a file with mistakes, so two readings are made, and both must allow a line:
/// one that follows brackets and strings over lines, and one by the look of each line alone.
#[must_use]
pub fn hidden_lines(source: &str) -> Vec<bool> {
    let mut hidden = Vec::new();
    let mut value = Value::default();
    // Whether the current table, and the statement by each of the two readings, is secret.
    let (mut table, mut followed, mut looked) = (false, false, false);
    for line in source.split('\n') {
        let secret = names_a_secret(line) || has_login_in_url(line);
        let start = Start::of(line);
        let begins = value.is_complete() && start != Start::Nothing;
        match start {
            Start::Table => {
                // Packages have names of the operator's choice.
                table = secret && !line.trim_start_matches(['[', ' ']).starts_with("packages.");
                looked = secret;
            }
            Start::Key => looked = secret,
            Start::Nothing => looked |= secret,
        }
        followed = secret || (followed && !begins);
        hidden.push(table || followed || looked);
        value.follow(line, begins);
    }
    hidden
}

/// What a line looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// `[table]`
    Table,
    /// `key = …`
    Key,
    /// Anything else.
    Nothing,
}

impl Start {
    fn of(line: &str) -> Self {
        let line = line.trim();
        // An element of an array may begin with a bracket, too, but is no key.
        if let Some(name) = line.strip_prefix('[') {
            let name = name.strip_prefix('[').unwrap_or(name);
            return match name.split_once(']') {
                Some((name, _)) if is_key(name) => Self::Table,
                _ => Self::Nothing,
            };
        }
        match line.split_once('=') {
            Some((key, _)) if is_key(key) => Self::Key,
            _ => Self::Nothing,
        }
    }
}

/// Whether a text is a key as people write them: words with dots between, perhaps in quotes.
fn is_key(text: &str) -> bool {
    let plain = |it: char| it.is_alphanumeric() || matches!(it, '-' | '_' | '\\');
    text.split('.').all(|part| {
        let part = part.trim();
        let unquoted = ['"', '\''].into_iter().find_map(|quote| {
            let inner = part.strip_prefix(quote)?;
            inner.strip_suffix(quote)
        });
        let word = unquoted.unwrap_or(part);
        !word.is_empty() && word.chars().all(plain)
    })
}

/// How far a value that may go over several lines has been followed.
#[derive(Default)]
struct Value {
    /// The three quotes that end the string in which the line ended.
    string: Option<&'static str>,
    /// How many brackets are open.
    depth: u32,
}

impl Value {
    fn is_complete(&self) -> bool {
        self.string.is_none() && self.depth == 0
    }

    /// Follows the value through a line, which may begin a statement.
    fn follow(&mut self, line: &str, begins: bool) {
        let mut rest = line;
        if begins {
            rest = match Start::of(line) {
                Start::Key => line.split_once('=').map_or("", |it| it.1),
                Start::Table | Start::Nothing => "",
            };
        }
        loop {
            if let Some(end) = self.string {
                let Some((_, after)) = rest.split_once(end) else {
                    return;
                };
                self.string = None;
                rest = after;
            }
            let Some(place) = rest.find(['"', '\'', '[', ']', '{', '}', '#']) else {
                return;
            };
            rest = &rest[place..];
            let long = ["\"\"\"", "'''"]
                .into_iter()
                .find(|it| rest.starts_with(it));
            if let Some(quotes) = long {
                self.string = Some(quotes);
                rest = &rest[quotes.len()..];
                continue;
            }
            let (first, after) = rest.split_at(1);
            rest = match first {
                "#" => return,
                "[" | "{" => {
                    self.depth += 1;
                    after
                }
                "]" | "}" => {
                    self.depth = self.depth.saturating_sub(1);
                    after
                }
                // A string of one line; without an end it reaches to the end of the line.
                "\"" => after_string(after, '"'),
                _ => after_string(after, '\''),
            };
        }
    }
}

/// What follows the quote that ends a string.
fn after_string(text: &str, quote: char) -> &str {
    let mut escaped = false;
    for (place, letter) in text.char_indices() {
        if letter == quote && !escaped {
            return &text[place + 1..];
        }
        escaped = letter == '\\' && quote == '"' && !escaped;
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &str) -> Vec<&str> {
        let hidden = hidden_lines(source);
        let lines = source.split('\n').zip(hidden);
        lines.filter(|it| !it.1).map(|it| it.0).collect()
    }

    #[test]
    fn every_line_of_a_secret_is_hidden_and_the_next_statement_is_not() {
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
    fn a_mistake_above_a_secret_does_not_uncover_it() {
        let mistakes = [
            "only_to = [\"a\"",
            "name = '''x",
            "name = \"x",
            "a = { b = [",
        ];
        for above in mistakes {
            let source = format!("{above}\n[smtp]\ntoken_command = [\n  \"S\",\n  \"x = S\"\n]");
            let shown = shown(&source);
            assert!(!shown.concat().contains('S'), "{above}: {shown:?}");
        }
    }
}

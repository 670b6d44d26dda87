//! Tera as this program uses it: no value is written into HTML unescaped.
//!
//! Tera escapes values in files that end with `.html` and in what these include, unless they are marked as
//! safe. Three things mark a text as safe: the filter `safe`, which is refused here; a captured block, whose
//! values were escaped when they were written into it; and some filters on such a block. Of these only
//! `replace` could undo the escaping, with a replacement that contains markup; that is refused, too.

use tera::{Error, Kwargs, State, StringInput, Tera, TeraResult, Value};

/// Why the filter `safe` is refused.
pub const SAFE_IS_REFUSED: &str = "the filter `safe` switches off the escaping of HTML; remove it";

/// A Tera instance without templates.
pub fn engine() -> Tera {
    let mut tera = Tera::default();
    tera.autoescape_on(vec![".html"]);
    tera.set_escape_fn(escape);
    tera.register_filter("safe", safe);
    tera.register_filter("replace", replace);
    tera
}

/// Replaces Tera's filter, in case [`line_with_safe`] did not find it.
fn safe(_: Value, _: Kwargs, _: &State) -> TeraResult<Value> {
    Err(Error::message(SAFE_IS_REFUSED))
}

/// Tera's `replace`, but refuses a replacement that is marked as safe: with `<` for `&lt;`, it would undo the
/// escaping.
#[expect(clippy::needless_pass_by_value, reason = "the signature of a filter")]
fn replace(text: StringInput<'_>, arguments: Kwargs, _: &State) -> TeraResult<Value> {
    let from = arguments.must_get::<&str>("from")?;
    let to = arguments.must_get::<StringInput<'_>>("to")?;
    if to.is_safe() {
        return Err(Error::message(
            "`replace` takes no markup as `to`, only text; write the markup into the template itself",
        ));
    }
    // If the text is escaped already, the replacement must be, too.
    let mut escaped = Vec::new();
    let to = if text.is_safe() {
        escape(to.as_str(), &mut escaped)?;
        str::from_utf8(&escaped).unwrap_or_default()
    } else {
        to.as_str()
    };
    Ok(text.inherit_safety(text.as_str().replace(from, to)))
}

/// The first line that uses the filter `safe`, in an expression (`|`) or as a block (`{% filter safe %}`), with
/// any white space.
///
/// It splits the source as Tera's lexer does: text, comments, `raw` blocks and strings contain no filters.
pub fn line_with_safe(source: &str) -> Option<usize> {
    let mut rest = source;
    while let Some(start) = find_start(rest) {
        let (opening, after) = rest[start..].split_at(2);
        rest = after;
        if opening == "{#" {
            rest = rest.split_once("#}")?.1;
            continue;
        }
        let closing = if opening == "{{" { "}}" } else { "%}" };
        if opening == "{%"
            && let Some(within) = after_raw_tag(rest, "raw")
        {
            let mut within = within;
            rest = loop {
                within = within.split_once("{%")?.1;
                if let Some(after) = after_raw_tag(within, "endraw") {
                    break after;
                }
            };
            continue;
        }
        let mut before = PreviousToken::Start;
        loop {
            rest = rest.trim_ascii_start();
            let first = rest.chars().next()?;
            if let Some(after) = rest.strip_prefix(closing) {
                rest = after;
                break;
            }
            if matches!(first, '"' | '\'' | '`') {
                rest = after_string(&rest[1..], first)?;
                before = PreviousToken::Other;
                continue;
            }
            let word = rest.find(|it: char| it != '_' && !it.is_ascii_alphanumeric());
            let (word, after) = rest.split_at(word.unwrap_or(rest.len()));
            if word.is_empty() {
                before = if first == '|' {
                    PreviousToken::Pipe
                } else if before == PreviousToken::Start && first == '-' {
                    PreviousToken::Start
                } else {
                    PreviousToken::Other
                };
                rest = &rest[first.len_utf8()..];
                continue;
            }
            if word == "safe" && matches!(before, PreviousToken::Pipe | PreviousToken::FilterTag) {
                let place = source.len() - rest.len();
                return Some(source[..place].matches('\n').count() + 1);
            }
            let tag = opening == "{%" && before == PreviousToken::Start;
            before = if tag && word == "filter" {
                PreviousToken::FilterTag
            } else {
                PreviousToken::Other
            };
            rest = after;
        }
    }
    None
}

/// The token before a word in an expression or a tag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PreviousToken {
    Start,
    Pipe,
    FilterTag,
    Other,
}

/// The position of the next expression, tag or comment.
fn find_start(text: &str) -> Option<usize> {
    let starts = |it: &[u8]| matches!(it, b"{{" | b"{%" | b"{#");
    text.as_bytes().windows(2).position(starts)
}

/// The text after a tag that consists of this name, whose `{%` was just read.
fn after_raw_tag<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let text = text.strip_prefix('-').unwrap_or(text);
    let text = text.trim_ascii_start().strip_prefix(name)?;
    let text = text.trim_ascii_start();
    text.strip_prefix('-').unwrap_or(text).strip_prefix("%}")
}

/// The text after a string, whose opening quote was just read.
fn after_string(text: &str, quote: char) -> Option<&str> {
    let mut escaped = false;
    for (place, letter) in text.char_indices() {
        if letter == quote && !escaped {
            return Some(&text[place + 1..]);
        }
        escaped = letter == '\\' && !escaped;
    }
    None
}

/// Escapes as Tera does, but in longer pieces than single bytes.
fn escape(text: &str, output: &mut dyn std::io::Write) -> std::io::Result<()> {
    let mut rest = text.as_bytes();
    let reference = |byte: &u8| match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'"' => Some("&quot;"),
        b'\'' => Some("&#39;"),
        _ => None,
    };
    while let Some((place, escaped)) = rest
        .iter()
        .enumerate()
        .find_map(|(place, byte)| Some((place, reference(byte)?)))
    {
        output.write_all(&rest[..place])?;
        output.write_all(escaped.as_bytes())?;
        rest = &rest[place + 1..];
    }
    output.write_all(rest)
}

#[cfg(test)]
mod tests;

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

/// Replaces Tera's filter, where [`line_with_safe`] does not find it.
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

/// The first line that uses the filter `safe`, in an expression (`|`) or as a block (`{% filter safe %}`), so
/// that it is refused even where no sample reaches it. Comments and `raw` blocks count as well.
pub fn line_with_safe(source: &str) -> Option<usize> {
    let is_filter = |place: &usize| {
        let (before, behind) = (&source[..*place], &source[place + "safe".len()..]);
        let name = before.trim_end();
        let opened = name.rfind("{{").max(name.rfind("{%"));
        let within_tag = opened.is_some() && opened >= name.rfind("}}").max(name.rfind("%}"));
        let used = name.ends_with('|') || (name != before && name.ends_with("filter"));
        let ends = !behind.starts_with(|it: char| it == '_' || it.is_ascii_alphanumeric());
        within_tag && used && ends
    };
    let place = source
        .match_indices("safe")
        .map(|it| it.0)
        .find(is_filter)?;
    Some(source[..place].matches('\n').count() + 1)
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

//! What the HTML pages of this program share: escaping here, and the colours in `html/palette.css`.

/// A text as HTML, for content and quoted attributes, without control characters.
#[must_use]
pub fn escape(text: &str) -> String {
    encode(&text.replace(char::is_control, "\u{fffd}"))
}

/// The same for a text of several lines, in which tabs stay.
#[must_use]
pub fn escape_lines(text: &str) -> String {
    let is_harmful = |it: char| it.is_control() && it != '\t';
    let lines = text.lines();
    let lines: Vec<String> = lines
        .map(|it| encode(&it.replace(is_harmful, "\u{fffd}")))
        .collect();
    lines.join("\n")
}

fn encode(text: &str) -> String {
    let mut escaped = Vec::with_capacity(text.len());
    tera::escape_html(text, &mut escaped).expect("memory takes every write");
    String::from_utf8(escaped).expect("escaping keeps UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_ends_its_attribute_or_begins_a_tag() {
        let hostile = "\"'><script>&amp;\u{1b}\n";
        let escaped = escape(hostile);
        assert!(!escaped.contains(['"', '\'', '<', '>', '\u{1b}', '\n']));
        assert!(escaped.contains("&amp;amp;"), "{escaped}");
        assert_eq!(escape_lines("a<\r\n\tb\n"), "a&lt;\n\tb");
    }
}

//! Invisible characters, such as those that chat programs and web pages leave around an address.

/// Whether a character has no width: a zero-width space or joiner, a direction mark, a byte-order mark, a soft hyphen.
pub fn is_invisible(it: char) -> bool {
    matches!(
        it,
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}'
    )
}

/// The text without blanks and invisible characters at its ends, and whether there were invisible ones.
pub fn trim_invisible(text: &str) -> (&str, bool) {
    let trimmed = text.trim_matches(|it: char| it.is_whitespace() || is_invisible(it));
    let visible = trimmed.len() == text.trim().len();
    (trimmed, !visible)
}

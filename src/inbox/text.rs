//! Bounds of what is taken from a report.

/// How many recipients of one report are read.
pub(super) const MAX_RECIPIENTS: usize = 100;
/// How many characters of a text are kept.
const TEXT_LIMIT: usize = 500;

/// A text on one line, bounded, without control characters and marks of direction.
#[must_use]
pub fn line_of(text: &str) -> String {
    let visible = |it: char| {
        !it.is_control()
            && !matches!(it, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
    };
    let text: String = text
        .chars()
        .map(|it| if it.is_whitespace() { ' ' } else { it })
        .filter(|it| visible(*it))
        .collect();
    let words: Vec<_> = text.split(' ').filter(|it| !it.is_empty()).collect();
    words.join(" ").chars().take(TEXT_LIMIT).collect()
}

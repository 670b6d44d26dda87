//! Text for a terminal: its width in columns, truncation, padding and word wrap.
//!
//! Widths are those of Unicode (UAX #11). Programs disagree about emoji that are joined from several
//! characters, so the larger of both readings counts: a line may look shorter than computed, never longer.

use std::borrow::Cow;

use textwrap::{Options, WordSeparator, WordSplitter};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The longest label whose text is aligned when it is wrapped.
const LABEL: usize = 16;

/// How many columns a text without control characters takes.
#[must_use]
pub fn columns(text: &str) -> usize {
    text.width().max(text.chars().filter_map(char::width).sum())
}

/// The text, cut to this many columns; `…` replaces what is cut off.
#[must_use]
pub fn truncated(text: &str, width: usize) -> Cow<'_, str> {
    if columns(text) <= width {
        return Cow::Borrowed(text);
    }
    let mut end = 0;
    for (at, letter) in text.char_indices() {
        let next = at + letter.len_utf8();
        if columns(&text[..next]) + 1 > width {
            break;
        }
        end = next;
    }
    Cow::Owned(format!("{}…", text[..end].trim_end()))
}

/// The text, cut or filled up to this many columns.
#[must_use]
pub fn fitted(text: &str, width: usize) -> String {
    let text = truncated(text, width);
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(&text))))
}

/// The lines of a text, wrapped between words at this many columns. What is wrapped is indented: below the
/// text of a line that begins with a short label, else by two columns. Longer ASCII words, such as links, and
/// the source lines of an error of the configuration are kept whole.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> String {
    let lines: Vec<_> = text.split('\n').map(|it| wrap_line(it, width)).collect();
    lines.join("\n")
}

fn wrap_line(line: &str, width: usize) -> Cow<'_, str> {
    if columns(line) <= width || is_source(line) {
        return Cow::Borrowed(line);
    }
    let (first, more) = indents(line);
    let (first, more) = (" ".repeat(first), " ".repeat(more));
    let options = Options::new(width)
        .initial_indent(&first)
        .subsequent_indent(&more)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(!line.is_ascii());
    Cow::Owned(textwrap::fill(line.trim_start_matches(' '), options))
}

/// Whether a line shows the source of an error, ` 12 | key = 1`.
fn is_source(line: &str) -> bool {
    let rest = line.trim_start_matches(|it: char| it == ' ' || it.is_ascii_digit());
    rest.starts_with('|')
}

/// The indents of the first line and of those after it.
fn indents(line: &str) -> (usize, usize) {
    let first = line.len() - line.trim_start_matches(' ').len();
    let label = line[first..].find("  ").map(|it| first + it);
    let text = label.and_then(|it| Some(it + line[it..].find(|it| it != ' ')?));
    (first, text.filter(|it| *it <= LABEL).unwrap_or(first + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_columns_of_a_terminal() {
        for (text, width) in [
            ("ada", 3),
            ("山田 太郎", 9),
            ("José", 4),
            ("e\u{301}", 1),
            ("محمد", 4),
            ("한빛", 4),
            ("🚢", 2),
            // At most as wide as three separate emoji.
            ("👩\u{200d}👩\u{200d}👧", 6),
        ] {
            assert_eq!(columns(text), width, "{text}");
        }
    }

    #[test]
    fn a_truncated_text_fits_and_keeps_whole_characters() {
        for (text, width, cut) in [
            ("ada@a.example", 13, "ada@a.example"),
            ("ada@a.example", 6, "ada@a…"),
            ("山田太郎", 8, "山田太郎"),
            ("山田太郎", 7, "山田太…"),
            ("山田太郎", 6, "山田…"),
            ("cafe\u{301} au lait", 5, "cafe\u{301}…"),
            ("a long reply", 3, "a…"),
        ] {
            assert_eq!(truncated(text, width), cut, "{text} {width}");
            assert_eq!(columns(&fitted(text, width)), width, "{text} {width}");
        }
    }

    #[test]
    fn lines_are_wrapped_between_words_below_their_text() {
        for (text, width, lines) in [
            ("one two three", 13, "one two three"),
            ("one two three", 9, "one two\n  three"),
            ("  one two three", 9, "  one two\n    three"),
            (
                "from    Ada <ada@a.example>",
                20,
                "from    Ada\n        <ada@a.example>",
            ),
            (
                "packages-configuration-file",
                5,
                "packages-configuration-file",
            ),
            (
                "a:1:2: no\n1 | host = 12345678\n  | ^^^^ x x x",
                12,
                "a:1:2: no\n1 | host = 12345678\n  | ^^^^ x x x",
            ),
        ] {
            assert_eq!(wrapped(text, width), lines, "{width}");
        }
    }
}

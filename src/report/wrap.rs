//! Breaking long lines for a terminal.

/// The columns that are used.
const WIDTH: usize = 79;

/// A text for a terminal of 80 columns: longer lines are broken at blanks, and the rest is indented.
#[must_use]
pub fn wrapped(text: &str) -> String {
    wrapped_at(text, WIDTH)
}

fn wrapped_at(text: &str, width: usize) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len() + 2;
        let mut rest = line;
        let mut start = String::new();
        loop {
            let left = width.saturating_sub(start.len());
            let fits = rest.char_indices().nth(left).map_or(rest.len(), |it| it.0);
            // The blank behind the last word that fits, not one of the indentation.
            let first = rest.len() - rest.trim_start().len();
            let end = rest[..fits].rfind(' ').filter(|it| *it > first);
            let end = end.or_else(|| Some(rest[first..].find(' ')? + first));
            match end {
                Some(end) if fits < rest.len() => {
                    lines.push(format!("{start}{}", &rest[..end]));
                    rest = rest[end..].trim_start();
                    start = " ".repeat(indent);
                }
                _ => break,
            }
        }
        lines.push(format!("{start}{rest}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::wrapped_at;

    #[test]
    fn long_lines_are_broken_at_blanks_and_indented() {
        assert_eq!(wrapped_at("a short line", 20), "a short line");
        assert_eq!(
            wrapped_at("ok: tls: one two three four five six", 20),
            "ok: tls: one two\n  three four five\n  six"
        );
        assert_eq!(
            wrapped_at("ok: x\n  fix: one two three four", 16),
            "ok: x\n  fix: one two\n    three four"
        );
        let word = "https://login.example/a/very/long/address";
        assert_eq!(
            wrapped_at(&format!("see {word} now"), 12),
            format!("see\n  {word}\n  now")
        );
        assert_eq!(wrapped_at("exactly ten", 11), "exactly ten");
    }
}

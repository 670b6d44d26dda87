//! Operating system errors in messages.

/// A message without the numbers of system errors: `(os error 2)` does not help the reader.
#[must_use]
pub fn without_os_code(message: impl std::fmt::Display) -> String {
    let message = message.to_string();
    let mut pieces = message.split(" (os error ");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| {
        let rest = piece.trim_start_matches(|it: char| it.is_ascii_digit());
        text + rest.strip_prefix(')').unwrap_or(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::without_os_code;

    #[test]
    fn numbers_of_system_errors_are_removed() {
        let error = std::io::Error::from_raw_os_error(2);
        assert_eq!(without_os_code(&error), "No such file or directory");
        assert_eq!(
            without_os_code(format!("a: {error}; b")),
            "a: No such file or directory; b"
        );
        assert_eq!(without_os_code("as it is (os x)"), "as it is (os x)");
    }
}

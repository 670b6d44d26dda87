//! Numbers and times as HTML.

use jiff::Timestamp;

use super::super::formats::{local, utc};
use crate::html::escape;

/// A number with a comma every three digits.
pub fn figure(number: u64) -> String {
    let digits = number.to_string();
    let mut figure = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            figure.push(',');
        }
        figure.push(digit);
    }
    figure
}

/// A local time to the minute, with its zone; UTC to the second for programs.
pub fn time(at: Timestamp) -> String {
    format!(
        "<time datetime=\"{}\">{}</time>",
        utc(at),
        escape(&local(at))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345_678, "12,345,678"),
        ] {
            assert_eq!(figure(number), text);
        }
    }
}

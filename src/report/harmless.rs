//! Escaping of untrusted text for terminals, JSON and spreadsheets. What a relay, a list or a ledger holds
//! may be anything.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;

use crate::partners::may_be_formula;

/// Replaces control characters and those that change the direction of text. Line breaks and tabs stay.
#[must_use]
pub fn printable(text: &str) -> String {
    let shown = |it| match it {
        '\n' | '\t' => it,
        it if is_harmful(it) => char::REPLACEMENT_CHARACTER,
        it => it,
    };
    text.chars().map(shown).collect()
}

/// The same on one line, so that a value cannot imitate a line of output.
#[must_use]
pub fn one_line(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

/// Whether a terminal might interpret a character instead of showing it.
fn is_harmful(it: char) -> bool {
    // Unicode's controls of direction (UAX #9), and its own line breaks.
    let direction = matches!(
        it,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
    );
    it.is_control() || direction || matches!(it, '\u{2028}' | '\u{2029}')
}

/// A cell of a CSV that this program fills, safe in a spreadsheet that splits lines at `,`, `;` or tab.
///
/// It is one line. If it, or a part behind one of these delimiters, begins like a formula (`=`, `+`, `-`,
/// `@`; OWASP, "CSV injection"), an apostrophe precedes that. Leading quotes are ignored, as spreadsheets
/// ignore them.
#[must_use]
pub fn generated_cell(text: &str) -> String {
    let text = one_line(text);
    let mut cell = String::with_capacity(text.len());
    for part in text.split_inclusive([',', ';']) {
        if may_be_formula(part.trim_start_matches('"')) {
            cell.push('\'');
        }
        cell.push_str(part);
    }
    cell
}

/// The same JSON with every harmful character escaped as `\uXXXX`. Such characters occur only in strings,
/// where line breaks and tabs are escaped already.
#[must_use]
pub fn harmless_json(json: &str) -> String {
    let mut harmless = String::with_capacity(json.len());
    for letter in json.chars() {
        if is_harmful(letter) && letter != '\n' {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(harmless, "\\u{unit:04x}");
            }
        } else {
            harmless.push(letter);
        }
    }
    harmless
}

/// A value as harmless JSON on one line.
pub fn compact_json(value: &impl Serialize) -> io::Result<String> {
    Ok(harmless_json(&serde_json::to_string(value)?))
}

/// Writes a value as harmless JSON, indented.
pub fn write_json(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_string_pretty(value)?;
    writeln!(out, "{}", harmless_json(&json))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for text in ["=1+1", "+1", "-1", "@x", "＝1"] {
            assert!(generated_cell(text).starts_with('\''), "{text}");
        }
        assert_eq!(generated_cell("Ada"), "Ada");
        assert_eq!(generated_cell(""), "");
    }

    #[test]
    fn f17_a_generated_cell_is_no_formula_behind_any_delimiter() {
        for (text, cell) in [
            ("no;=cmd|'/C calc'!A0;", "no;'=cmd|'/C calc'!A0;"),
            ("no,@x", "no,'@x"),
            ("no\t=1", "no =1"),
            ("\t=1", " =1"),
            ("no;\"=1\"", "no;'\"=1\""),
            ("=1;=2,+3", "'=1;'=2,'+3"),
            (
                "5.7.1 rate - limited, try later",
                "5.7.1 rate - limited, try later",
            ),
        ] {
            assert_eq!(generated_cell(text), cell, "{text:?}");
        }
    }

    /// The cells of a line as a spreadsheet splits it, leniently: quotes and tabs at the
    /// beginning of a cell are dropped, whether or not they belong to another way to split it.
    fn split(line: &str, delimiter: char) -> Vec<&str> {
        let cells = line.split(delimiter);
        cells.map(|it| it.trim_start_matches(['"', '\t'])).collect()
    }

    proptest! {
        #[test]
        fn f17_no_split_of_a_reply_is_a_formula(
            reply in "[=+@,;\t\r\n\" 'a-]{0,12}",
            delimiter in prop::sample::select(vec![b',', b';', b'\t']),
        ) {
            let mut csv = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
            csv.write_record(["rejected", "550", &generated_cell(&reply), "end"]).unwrap();
            let line = String::from_utf8(csv.into_inner().unwrap()).unwrap();

            for delimiter in [',', ';', '\t'] {
                for cell in split(line.trim_end(), delimiter) {
                    prop_assert!(!may_be_formula(cell), "{cell:?} of {line:?}");
                }
            }
        }

        #[test]
        fn f20_json_is_equivalent_and_without_control_characters(text: String) {
            let json = harmless_json(&serde_json::to_string_pretty(&[&text]).unwrap());

            let read: Vec<String> = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(read, [text]);
            prop_assert!(!json.replace('\n', "").contains(is_harmful), "{json:?}");
        }
    }

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(
            printable("a\x1b[31mb\u{202e}c\nd\u{9b}"),
            "a\u{fffd}[31mb\u{fffd}c\nd\u{fffd}"
        );
        assert_eq!(one_line("a\nb\tc\u{2028}d"), "a b c\u{fffd}d");
    }
}

//! Mojibake: UTF-8 that a program read as another encoding and saved again, `RenÃ©` for `René`.
//!
//! Checked character by character, because a cell may be garbled in part. Letters and signs that
//! form a character of UTF-8 by chance are no mojibake: `CAFÉ®`.

use encoding_rs::{Encoding, MACINTOSH, WINDOWS_1252};

/// The text before it was garbled; `None` if it is not.
pub fn repaired(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    // Excel reads a CSV without byte-order mark as one of these on Windows and on a Mac.
    [WINDOWS_1252, MACINTOSH]
        .into_iter()
        .find_map(|it| repair(text, it))
}

fn repair(text: &str, encoding: &'static Encoding) -> Option<String> {
    let mut repaired = String::with_capacity(text.len());
    let (mut garbled, mut in_a_row) = (false, 0);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some((found, length)) = character(rest, encoding) {
            in_a_row += 1;
            // One character of another script may be chance, two in a row are not.
            garbled |= is_latin_or_punctuation(found) || in_a_row == 2;
            repaired.push(found);
            rest = &rest[length..];
        } else {
            in_a_row = 0;
            repaired.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    garbled.then_some(repaired)
}

/// The character whose UTF-8 bytes the first characters of the text represent, and their length.
fn character(text: &str, encoding: &'static Encoding) -> Option<(char, usize)> {
    let mut places = text.char_indices();
    let lead = byte(places.next()?.1, encoding)?;
    let length = match lead {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let mut bytes = vec![lead];
    let mut end = 0;
    for (place, it) in places.take(length - 1) {
        bytes.push(byte(it, encoding)?);
        end = place + it.len_utf8();
    }
    let found = std::str::from_utf8(&bytes).ok()?.chars().next()?;
    (!found.is_control()).then_some((found, end))
}

/// The byte that a character represents in a single-byte encoding.
fn byte(it: char, encoding: &'static Encoding) -> Option<u8> {
    if it.is_ascii() {
        return None;
    }
    if encoding == WINDOWS_1252 && matches!(it, '\u{80}'..='\u{9f}') {
        // Read as ISO 8859-1, which has controls where windows-1252 has signs.
        return u8::try_from(u32::from(it)).ok();
    }
    let mut text = [0; 4];
    let (bytes, _, lost) = encoding.encode(it.encode_utf8(&mut text));
    match (lost, &*bytes) {
        (false, [byte]) => Some(*byte),
        _ => None,
    }
}

/// The characters of European names, and the dashes and quotes that programs put in.
fn is_latin_or_punctuation(it: char) -> bool {
    matches!(it, '\u{a0}'..='\u{17f}' | '\u{2010}'..='\u{203a}' | '\u{20ac}' | '\u{2122}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn garbled_text_is_repaired() {
        let table = [
            ("RenÃ©", "René"),
            ("MÃ¼ller-LÃ¼denscheidt", "Müller-Lüdenscheidt"),
            ("Lâ€™Atelier du Port", "L’Atelier du Port"),
            ("Müller & RenÃ©", "Müller & René"),
            ("Å\u{81}Ã³dÅº", "Łódź"),
            ("Ð˜Ð²Ð°Ð½", "Иван"),
            ("å±±ç”°", "山田"),
            ("Ren√©", "René"),
            ("L‚ÄôAtelier", "L’Atelier"),
        ];

        for (garbled, was) in table {
            assert_eq!(repaired(garbled).as_deref(), Some(was), "{garbled}");
        }
    }

    #[test]
    fn correct_names_are_not_repaired() {
        let names = [
            "René",
            "CAFÉ®",
            "NESTLÉ™",
            "«Café»…",
            "«CAFÉ»",
            "São Paulo – AÇÃO",
            "Ångström",
            "Ærø",
            "ÀÉÎÕÜ",
            "Łódź",
            "Nguyễn Văn A",
            "山田 太郎",
            "محمد السيد",
            "Иван",
            "Ελένη",
        ];

        for name in names {
            assert_eq!(repaired(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_read_as_windows_1252_is_repaired(name in "[a-zà-öø-ž]{0,12}[à-öø-ž][a-z]{0,5}") {
            let (garbled, _) = WINDOWS_1252.decode_without_bom_handling(name.as_bytes());

            let repaired = repaired(&garbled);
            prop_assert_eq!(repaired.as_deref(), Some(name.as_str()));
        }

        #[test]
        fn any_text_is_checked_without_panic(text in "\\PC{0,40}") {
            let _ = repaired(&text);
        }
    }
}

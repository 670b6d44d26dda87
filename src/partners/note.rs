//! The note of a row: what the inviter adds for one partner, shown in the mail as a quotation.
//!
//! It contains no link, because only the configuration supplies links.

/// The longest note, in characters.
const LIMIT: usize = 500;

/// The text of a cell as one paragraph.
pub fn paragraph(cell: &str) -> String {
    cell.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Why a paragraph is no note.
pub fn fault(note: &str) -> Option<String> {
    const OTHERWISE: &str = "or rename the column if it is not meant for the partner";
    let length = note.chars().count();
    if length > LIMIT {
        return Some(format!(
            "the note has {length} characters, and {LIMIT} are allowed; shorten it, {OTHERWISE}"
        ));
    }
    let link = link_in(note)?.escape_debug();
    Some(format!(
        "the note contains a link, `{link}`, and the only link in a mail is that of the access package; remove it, {OTHERWISE}"
    ))
}

/// The first word that mail programs make a link of.
pub fn link_in(text: &str) -> Option<&str> {
    text.split(' ').find(|it| is_link(it))
}

/// Whether mail programs make a link of a word: it has a scheme, or begins with `www.` or with a domain and a path.
fn is_link(word: &str) -> bool {
    let word = word.to_lowercase();
    let begins = word.trim_start_matches(|it: char| !it.is_alphanumeric());
    let has_scheme = word.contains("://") || word.contains("mailto:") || word.contains("tel:+");
    let has_path = || {
        let (host, _) = begins.split_once('/')?;
        let (_, top) = host.rsplit_once('.')?;
        Some(top.len() > 1 && top.chars().all(char::is_alphabetic))
    };
    has_scheme || begins.starts_with("www.") || has_path() == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_one_paragraph_of_at_most_500_characters() {
        assert_eq!(
            paragraph(" Dear\r\n  Ada,\u{2028}see\tyou\n"),
            "Dear Ada, see you"
        );
        assert_eq!(paragraph(" \n "), "");
        assert_eq!(fault(&"é".repeat(500)), None);
        let error = fault(&"é".repeat(501)).unwrap();
        assert!(error.contains("501 characters, and 500"), "{error}");
    }

    #[test]
    fn a_note_has_no_links() {
        for link in [
            "https://evil.example",
            "(HTTP://evil.example)",
            "see:ftp://evil.example/x",
            "www.evil.example",
            "\"WWW.evil.example\"",
            "evil.example/login",
            "[x](https://evil.example)",
            "mailto:eva@evil.example",
            "<a href=https://evil.example>x</a>",
            "tel:+4912345",
        ] {
            let error = fault(&format!("Hello {link} there")).unwrap();
            assert!(error.starts_with("the note contains a link, `"), "{link}");
        }
        for plain in [
            "See you on 3/4, e.g. at 10.30, or call +33 1 23 45.",
            "Plans and/or documents: report.pdf, v1.2/v1.3",
            "Ask ada@contoso.example; {{ link }} <b>now</b>",
            "\u{4f60}\u{597d}\u{ff0c}\u{8bf7}\u{7533}\u{8bf7}\u{3002}",
        ] {
            assert_eq!(fault(plain), None, "{plain}");
        }
    }
}

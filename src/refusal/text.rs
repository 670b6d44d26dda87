//! How the text of a reply is searched.

use crate::address::Address;

/// The text, normalized, without the recipient's address, which may contain any word.
pub fn without(recipient: &Address, text: &str) -> String {
    let mut text = text.to_lowercase();
    let forms = [
        recipient.as_written().to_lowercase(),
        recipient.wire().to_lowercase(),
    ];
    for form in &forms {
        while let Some(start) = find(&text, form) {
            text.replace_range(start..start + form.len(), " ");
        }
    }
    for around in ["< >", "( )", "[ ]", "\" \"", "' '", "` `", "` '"] {
        text = text.replace(around, " ");
    }
    normalized(&text)
}

/// The text in lower case, with one blank between words.
pub fn normalized(text: &str) -> String {
    let lower = text.to_lowercase().replace('\u{2019}', "'");
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether one of the phrases, which are separated by `|`, is in a text: all its parts, joined by `+`,
/// must be found.
pub fn matches(phrases: &str, is_found: impl Fn(&str) -> bool) -> bool {
    let mut phrases = phrases.split('|');
    phrases.any(|phrase| phrase.split('+').all(&is_found))
}

/// The position of `what` in `text` as a whole, not as a part of a longer word, name or number.
pub fn find(text: &str, what: &str) -> Option<usize> {
    let part_of_word = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_';
    let begins = what.starts_with(part_of_word);
    let ends = what.ends_with(part_of_word);
    text.match_indices(what).map(|it| it.0).find(|start| {
        let before = text[..*start].chars().next_back();
        let after = text[start + what.len()..].chars().next();
        let preceded = begins && before.is_some_and(part_of_word);
        let followed = ends && after.is_some_and(part_of_word);
        !preceded && !followed
    })
}

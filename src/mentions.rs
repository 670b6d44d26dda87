//! An address inside other texts, such as notes and replies.

use std::borrow::Cow;

use crate::address::Address;

/// What replaces an address that was forgotten.
const REPLACEMENT: &str = "(forgotten)";

/// The spellings of one address.
#[derive(Clone, Debug)]
pub struct Mentions(Vec<String>);

impl Mentions {
    /// The spellings of an address: as written, as sent, and with its domain in Unicode.
    #[must_use]
    pub fn of(address: &Address) -> Self {
        let mut mentions = Self(Vec::new());
        mentions.add(&address.canonical());
        mentions.add(address.as_written());
        if let Some(unicode) = address.unicode() {
            mentions.add(&unicode);
        }
        mentions
    }

    /// Adds a spelling.
    pub fn add(&mut self, spelling: &str) {
        let spelling = spelling.to_lowercase();
        if !spelling.is_empty() && !self.0.contains(&spelling) {
            self.0.push(spelling);
        }
    }

    /// The spellings, in lower case.
    #[must_use]
    pub fn spellings(&self) -> &[String] {
        &self.0
    }

    /// Whether the text names the address.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        matches!(self.removed_from(text), Cow::Owned(_))
    }

    /// The text without the address. A longer address that contains it stays.
    #[must_use]
    pub fn removed_from<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut removed = Cow::Borrowed(text);
        for spelling in &self.0 {
            if let Some(without) = removed_spelling(&removed, spelling) {
                removed = Cow::Owned(without);
            }
        }
        removed
    }
}

fn removed_spelling(text: &str, spelling: &str) -> Option<String> {
    let mut without = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(offset) = text.get(at..).and_then(|it| it.find('@')) {
        at += offset + 1;
        if let Some((start, end)) = occurrence(text, at - 1, spelling) {
            without += &text[copied..start];
            without += REPLACEMENT;
            (copied, at) = (end, end);
        }
    }
    (copied > 0).then(|| without + &text[copied..])
}

/// The range of the spelling whose `@` is at this place, if it is a whole address.
fn occurrence(text: &str, at: usize, spelling: &str) -> Option<(usize, usize)> {
    let (local, domain) = spelling.split_once('@')?;
    let start = at.checked_sub(local.len())?;
    let found = text.get(start..at)?;
    let after = text.get(at + 1..)?;
    // Lower case can change the length of a letter, so the domain is compared letter by letter.
    let mut end = at + 1;
    let mut wanted = domain.chars();
    for letter in after.chars() {
        if wanted.as_str().is_empty() {
            break;
        }
        for lower in letter.to_lowercase() {
            if wanted.next() != Some(lower) {
                return None;
            }
        }
        end += letter.len_utf8();
    }
    let is_whole = wanted.as_str().is_empty()
        && found.eq_ignore_ascii_case(local)
        && !text[..start].ends_with(is_of_local_part)
        && !continues(&text[end..]);
    is_whole.then_some((start, end))
}

fn is_of_local_part(it: char) -> bool {
    it.is_alphanumeric() || "!#$%&*+-/=?^_{|}~.".contains(it)
}

/// Whether a domain goes on behind it.
fn continues(rest: &str) -> bool {
    let mut rest = rest.chars();
    match rest.next() {
        Some('.') => rest.next().is_some_and(char::is_alphanumeric),
        Some(it) => it.is_alphanumeric() || it == '-',
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_any_case_and_only_as_a_whole() {
        let mentions = Mentions::of(&Address::parse("Ada.L@a.example").unwrap());
        for (text, without) in [
            ("", ""),
            ("no address", "no address"),
            ("ada.l@a.example", "(forgotten)"),
            ("<ADA.L@A.Example>: ok", "<(forgotten)>: ok"),
            ("to ada.l@a.example.", "to (forgotten)."),
            (
                "`ada.l@a.example`,ada.l@a.example",
                "`(forgotten)`,(forgotten)",
            ),
            ("x.ada.l@a.example", "x.ada.l@a.example"),
            ("xada.l@a.example", "xada.l@a.example"),
            ("ada.l@a.example.org", "ada.l@a.example.org"),
            ("ada.l@a.example-b.org", "ada.l@a.example-b.org"),
            ("ada.l@a.exampl", "ada.l@a.exampl"),
            ("é@ada.l@a.example", "é@(forgotten)"),
        ] {
            assert_eq!(mentions.removed_from(text), without, "{text}");
        }
    }

    #[test]
    fn every_spelling_of_an_international_domain_is_found() {
        let mentions = Mentions::of(&Address::parse("eva@Bücher.example").unwrap());
        for text in [
            "eva@bücher.example",
            "EVA@BÜCHER.example",
            "eva@xn--bcher-kva.example",
        ] {
            assert_eq!(mentions.removed_from(text), "(forgotten)", "{text}");
        }
    }
}

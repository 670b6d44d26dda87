//! The kind of a message: messages of one kind differ only in the values of the partners' rows.
//!
//! A hash over all that the recipient reads, with the partner's values replaced by one sign. It therefore
//! depends on template, package, and everything else that changes the text, such as a condition on a value that
//! is not shown. A value that also occurs in the template's own text, or that a filter changes, makes a kind of
//! its own: there may be more kinds than necessary, but never fewer.

use mail_parser::decoders::html::add_html_token;
use memchr::memmem;

use super::parsed_message::ParsedMessage;
use crate::digest;
use crate::partners::Partner;

/// Replaces a value.
const SIGN: &str = "\u{fffc}";
/// The shortest value of another column that is replaced: shorter ones, such as `1` or `EN`, often occur in the
/// text by chance.
const SHORTEST: usize = 3;

/// The kind of the message to a partner.
pub fn of(partner: &Partner, message: &ParsedMessage) -> [u8; 8] {
    let values = values(partner);
    let package = partner.package.key.as_str();
    let texts = [&message.subject, &message.text, &decoded(&message.html)];
    let mut fields = vec![package.to_owned(), message.language.clone()];
    fields.push(format!("{:?} {:?}", message.from, message.reply_to));
    fields.extend(texts.map(|it| without(it, &values)));
    digest::short(fields)
}

/// The partner's values as they may occur in a message, the longest first.
fn values(partner: &Partner) -> Vec<String> {
    let address = partner.address.as_written().to_owned();
    let named = [&partner.name, &partner.organization].into_iter().flatten();
    let other = partner.extra.iter();
    let other = other.filter(|it| it.chars().count() >= SHORTEST);
    let mut values = vec![address, partner.address.wire()];
    values.extend(named.chain(other).cloned());
    values.sort_by(|one, other| other.len().cmp(&one.len()).then(one.cmp(other)));
    values.dedup();
    values.retain(|it| !it.is_empty());
    values
}

/// HTML with its character references decoded, so that values are found in it.
fn decoded(html: &str) -> String {
    let mut decoded = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(place) = rest.find('&') {
        decoded.push_str(&rest[..place]);
        rest = &rest[place..];
        let name = rest[1..].find(|it: char| it != '#' && !it.is_ascii_alphanumeric());
        let length = name
            .map(|it| it + 1)
            .filter(|it| rest[*it..].starts_with(';'));
        let length = length.map_or(1, |it| it + 1);
        add_html_token(&mut decoded, &rest.as_bytes()[..length], false);
        rest = &rest[length..];
    }
    decoded + rest
}

/// The text with every value replaced that is not a part of a longer word.
fn without(text: &str, values: &[String]) -> String {
    let mut text = text.to_owned();
    for value in values {
        if memmem::find(text.as_bytes(), value.as_bytes()).is_none() {
            continue;
        }
        let mut replaced = String::with_capacity(text.len());
        let mut begin = 0;
        for (place, _) in text.match_indices(value.as_str()) {
            let end = place + value.len();
            if !is_within_word(&text, place, end) {
                replaced.push_str(&text[begin..place]);
                replaced.push_str(SIGN);
                begin = end;
            }
        }
        replaced.push_str(&text[begin..]);
        text = replaced;
    }
    text
}

/// Whether a word goes on before or behind this part of a text.
fn is_within_word(text: &str, begin: usize, end: usize) -> bool {
    let joins = |one: Option<char>, other: Option<char>| {
        one.zip(other)
            .is_some_and(|(one, other)| one.is_alphanumeric() && other.is_alphanumeric())
    };
    let part = &text[begin..end];
    let (before, behind) = (text[..begin].chars().last(), text[end..].chars().next());
    // Words of these scripts are not separated.
    let is_separated = |it: &char| *it < '\u{e00}';
    joins(before.filter(is_separated), part.chars().next())
        || joins(part.chars().last(), behind.filter(is_separated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_references_are_decoded() {
        for (html, expected) in [
            (
                "<p>O&#39;Brien &amp; M&#252;ller&lt;</p>",
                "<p>O'Brien & Müller<</p>",
            ),
            ("a & b", "a & b"),
            ("&&amp;", "&&"),
            ("", ""),
        ] {
            assert_eq!(decoded(html), expected, "{html}");
        }
    }

    #[test]
    fn values_are_replaced_as_whole_words() {
        let values = ["Ada L", "Ada"].map(str::to_owned);

        for (text, expected) in [
            ("Hello Ada,", "Hello \u{fffc},"),
            ("Hello Ada L, Ada!", "Hello \u{fffc}, \u{fffc}!"),
            ("Adagio and GranAda", "Adagio and GranAda"),
            ("Ada様", "\u{fffc}様"),
            ("", ""),
        ] {
            assert_eq!(without(text, &values), expected, "{text}");
        }
    }
}

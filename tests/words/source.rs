//! The shipped templates as text: their tags, blocks and visible words.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::manner::runs_from_right_to_left;

/// The two kinds of mail.
pub const KINDS: [&str; 2] = ["invitation", "reminder"];
pub const PARTS: [&str; 6] = [
    "invitation.html",
    "invitation.subject.txt",
    "invitation.txt",
    "reminder.html",
    "reminder.subject.txt",
    "reminder.txt",
];
/// First-strong isolate, left-to-right isolate and their end (UAX #9).
pub const ISOLATES: [char; 3] = ['\u{2068}', '\u{2066}', '\u{2069}'];

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("templates")
}

pub fn source(locale: &str, part: &str) -> String {
    std::fs::read_to_string(folder().join(locale).join(part)).unwrap()
}

/// A template without its comments.
pub fn template(locale: &str, part: &str) -> String {
    replace_between(&source(locale, part), "{#", "#}", "")
}

/// The text with each piece from `open` to `close` replaced.
pub fn replace_between(text: &str, open: &str, close: &str, by: &str) -> String {
    let mut rest = text;
    let mut kept = String::new();
    while let Some((before, inside)) = rest.split_once(open) {
        let (_, after) = inside.split_once(close).unwrap();
        kept.extend([before, by]);
        rest = after;
    }
    kept + rest
}

/// The text between each `open` and `close`.
pub fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open)
        .skip(1)
        .map(move |it| it.split_once(close).unwrap().0)
}

/// What the tags of a template say after a keyword, in order.
pub fn tags<'a>(source: &'a str, keyword: &'a str) -> Vec<&'a str> {
    between(source, "{%", "%}")
        .filter_map(|it| it.trim_matches(['-', ' ']).strip_prefix(keyword))
        .collect()
}

/// The names of the values that a template uses.
pub fn variables(source: &str) -> BTreeSet<&str> {
    const VALUES: [&str; 12] = [
        "link",
        "portal_host",
        "package",
        "partner",
        "inviter",
        "sender",
        "brand",
        "unsubscribe",
        "invited_on",
        "campaign",
        "locale",
        "direction",
    ];
    between(source, "{{", "}}")
        .chain(between(source, "{%", "%}"))
        .flat_map(|it| it.split(|it: char| !(it.is_ascii_alphanumeric() || "_.".contains(it))))
        .filter(|it| VALUES.contains(&it.split('.').next().unwrap()))
        .collect()
}

/// The blocks of a locale's HTML template, as name and content.
pub fn blocks(source: &str) -> Vec<(&str, &str)> {
    between(source, "{% block ", "{% endblock %}")
        .map(|it| it.split_once(" %}").unwrap())
        .collect()
}

/// The template below its greeting, which is the first paragraph or a block.
pub fn below_the_greeting(source: &str) -> String {
    match source.split_once("{% block greeting %}") {
        Some((before, rest)) => before.to_owned() + rest.split_once("{% endblock %}").unwrap().1,
        None => source.split_once("\n\n").unwrap().1.to_owned(),
    }
}

/// Whether names inside sentences are isolated in HTML as well. In Japanese and Chinese, where no spaces separate
/// words, a tag inside a sentence looks like obfuscation to `SpamAssassin` (`HTML_OBFUSCATE_05_10`).
pub fn isolates_in_html(locale: &str) -> bool {
    !["ja", "zh-Hans", "zh-Hant"].contains(&locale)
}

/// The visible text of a piece of HTML. The markup that isolates a value becomes the characters that do so in
/// text; there, only right-to-left locales isolate addresses.
pub fn without_markup(html: &str, locale: &str) -> String {
    let mut text = html.replace("<br>", "\n").replace("&nbsp;", " ");
    let directions = [("auto", '\u{2068}'), ("ltr", '\u{2066}')];
    let isolating = if runs_from_right_to_left(locale) {
        2
    } else {
        1
    };
    for (direction, isolate) in &directions[..isolating] {
        let open = format!("<span dir=\"{direction}\">");
        while let Some((before, rest)) = text.split_once(&open) {
            let rest = rest.replacen("</span>", "\u{2069}", 1);
            text = format!("{before}{isolate}{rest}");
        }
    }
    replace_between(&text, "<", ">", "")
}

/// The visible text without values; a bar stands for each value and condition.
pub fn words_alone(source: &str, locale: &str) -> String {
    let words = replace_between(&without_markup(source, locale), "{{", "}}", "|");
    replace_between(&words, "{%", "%}", "|")
}

/// All visible text of a locale, without values.
pub fn all_words(locale: &str) -> String {
    PARTS
        .map(|part| words_alone(&template(locale, part), locale))
        .join("\n")
}

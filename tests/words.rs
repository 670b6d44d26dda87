//! The shipped words: every locale says the same things, in both parts, in its own language.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::Path;

const PARTS: [&str; 3] = [
    "invitation.subject.txt",
    "invitation.txt",
    "invitation.html",
];
/// Blocks that only the HTML part has, or that stand in the text part in other words.
const HTML_ONLY: [&str; 5] = ["title", "preheader", "introduction", "button", "whole_link"];

/// The tags of the shipped locales but `en`, which the others are held against.
fn translations() -> Vec<String> {
    let mut tags: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/templates"))
        .unwrap()
        .map(|it| it.unwrap())
        .filter(|it| it.path().is_dir())
        .map(|it| it.file_name().into_string().unwrap())
        .filter(|it| it != "en")
        .collect();
    tags.sort();
    assert!(tags.len() >= 5, "only {tags:?} were found");
    tags
}

/// A template without its comments.
fn template(locale: &str, part: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let source = std::fs::read_to_string(folder.join(locale).join(part)).unwrap();
    replace_between(&source, "{#", "#}", "")
}

/// The text with each piece from `open` to `close` replaced.
fn replace_between(text: &str, open: &str, close: &str, by: &str) -> String {
    let mut rest = text;
    let mut kept = String::new();
    while let Some((before, inside)) = rest.split_once(open) {
        let (_, after) = inside.split_once(close).unwrap();
        kept.extend([before, by]);
        rest = after;
    }
    kept + rest
}

/// What stands between each `open` and `close`.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open)
        .skip(1)
        .map(move |it| it.split_once(close).unwrap().0)
}

/// The names of the values that a template uses.
fn variables(source: &str) -> BTreeSet<&str> {
    const VALUES: [&str; 7] = [
        "link",
        "package",
        "partner",
        "sender",
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

/// The blocks of an HTML template, as name and content.
fn blocks(source: &str) -> Vec<(&str, &str)> {
    between(source, "{% block ", "endblock %}")
        .map(|it| {
            let (name, content) = it.split_once("%}").unwrap();
            (
                name.trim_end_matches(['-', ' ']),
                // What opens the tag `endblock`, with or without its dash.
                content.trim_end_matches(['{', '%', '-', ' ']),
            )
        })
        .collect()
}

/// What is to be read of a piece of HTML.
fn without_markup(html: &str) -> String {
    let broken = html.replace("<br>", "\n").replace("&nbsp;", " ");
    replace_between(&broken, "<", ">", "")
}

/// What is to be read when no value is filled in; a bar stands for each value and condition.
fn words_alone(source: &str) -> String {
    let words = replace_between(&without_markup(source), "{{", "}}", "|");
    replace_between(&words, "{%", "%}", "|")
}

/// Every run of three words in letters of English.
fn runs_of_three(text: &str) -> BTreeSet<String> {
    let words: Vec<_> = text.split([' ', '\n', '|']).collect();
    words
        .windows(3)
        .filter(|run| {
            run.iter().all(|word| {
                let letters = word.trim_matches(|it: char| it.is_ascii_punctuation());
                !letters.is_empty() && letters.chars().all(|it| it.is_ascii_alphabetic())
            })
        })
        .map(|run| run.join(" ").to_lowercase())
        .collect()
}

#[test]
fn every_locale_uses_the_same_values_and_fills_the_same_blocks() {
    for locale in translations() {
        for part in PARTS {
            assert_eq!(
                variables(&template(&locale, part)),
                variables(&template("en", part)),
                "{locale}/{part}"
            );
        }
        let names = |locale: &str| -> Vec<String> {
            let html = template(locale, "invitation.html");
            blocks(&html)
                .iter()
                .map(|(name, _)| (*name).to_owned())
                .collect()
        };
        assert_eq!(names(&locale), names("en"), "{locale}");
    }
}

#[test]
fn no_english_is_left_in_a_translation() {
    for locale in translations() {
        for part in PARTS {
            let english = runs_of_three(&words_alone(&template("en", part)));
            let ours = runs_of_three(&words_alone(&template(&locale, part)));
            let left: Vec<_> = ours.intersection(&english).collect();
            assert!(left.is_empty(), "{locale}/{part} still says {left:?}");
        }
        let english = template("en", "invitation.html");
        let html = template(&locale, "invitation.html");
        for ((name, ours), (_, english)) in blocks(&html).into_iter().zip(blocks(&english)) {
            assert_ne!(words_alone(ours), words_alone(english), "{locale}, {name}");
        }
    }
}

#[test]
fn text_and_html_say_the_same_in_every_locale() {
    for locale in translations().into_iter().chain(["en".to_owned()]) {
        let text = template(&locale, "invitation.txt");
        let html = template(&locale, "invitation.html");
        let mut compared = 0;
        for (name, content) in blocks(&html) {
            let said = without_markup(content);
            let lines = said.lines().map(str::trim).filter(|it| {
                // A line that is nothing but a condition.
                !words_alone(it).trim_matches('|').is_empty()
            });
            for line in lines.filter(|_| !HTML_ONLY.contains(&name)) {
                compared += 1;
                assert!(text.contains(line), "{locale}, {name}: {line}");
            }
        }
        assert!(
            compared >= 14,
            "{locale}: only {compared} lines were compared"
        );
    }
}

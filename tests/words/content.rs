//! Every locale says the same, in both parts, with the same values.

use std::collections::{BTreeMap, BTreeSet};

use super::manner::{MANNERS, Manner};
use super::names;
use super::source::{
    ISOLATES, KINDS, PARTS, all_words, below_the_greeting, blocks, folder, isolates_in_html,
    replace_between, tags, template, variables, without_markup, words_alone,
};

/// Blocks that only the HTML part has.
const HTML_ONLY: [&str; 5] = ["title", "preheader", "button", "whole_link", "stop"];
/// Blocks that stand for a part of the layout, which a reminder leaves empty.
const OPTIONAL: [&str; 2] = ["note", "details"];
/// The blocks inside `details`.
const DETAILS: [&str; 9] = [
    "steps",
    "step_sign_in",
    "step_again",
    "step_request",
    "step_approval",
    "approval_time",
    "access_duration",
    "sharing",
    "help",
];
/// Microsoft's terms that stay in English beside the translation.
const TERMS: [&str; 3] = ["My Access", "Microsoft", "Business justification"];

/// The words of three letters and more, without the terms that stay in English.
fn vocabulary(locale: &str) -> BTreeSet<String> {
    let mut words = all_words(locale);
    for term in TERMS {
        words = words.replace(term, "");
    }
    words
        .split(|it: char| !it.is_alphabetic())
        .filter(|it| it.chars().count() >= 3)
        .map(str::to_lowercase)
        .collect()
}

/// The blocks of the layout in reading order. It sets `introduction` at its beginning and shows it below the heading.
fn blocks_in_reading_order(layout: &str) -> Vec<&str> {
    let all = tags(layout, "block ").into_iter();
    all.filter(|it| *it != "introduction")
        .flat_map(|it| match it {
            "heading" => vec!["heading", "introduction"],
            it => vec![it],
        })
        .collect()
}

#[test]
fn eighteen_complete_locales_are_shipped() {
    let folders: Vec<_> = names(&folder())
        .into_iter()
        .filter(|it| folder().join(it).is_dir())
        .collect();

    assert_eq!(folders, MANNERS.map(|it| it.locale));
    for locale in folders {
        assert_eq!(names(&folder().join(&locale)), PARTS, "{locale}");
    }
}

#[test]
fn all_locales_have_the_same_values_and_sections() {
    for Manner {
        locale,
        greets_by_name,
        ..
    } in MANNERS
    {
        for part in PARTS {
            let (full, master) = (template(locale, part), template("en", part));
            let body = |it: &str| {
                if part.contains("subject") {
                    it.to_owned()
                } else {
                    below_the_greeting(it)
                }
            };
            let (ours, master) = (body(&full), body(&master));
            assert_eq!(variables(&ours), variables(&master), "{locale}/{part}");
            for keyword in ["if ", "elif "] {
                let (ours, master) = (tags(&ours, keyword), tags(&master, keyword));
                assert_eq!(ours, master, "{locale}/{part}");
            }
            let named = variables(&full).contains("partner.name");
            let greets = !part.contains("subject") && greets_by_name;
            assert_eq!(named, greets, "{locale}/{part}");
        }
        for kind in KINDS {
            let text = format!("{kind}.txt");
            let sections = |locale| template(locale, &text).split("\n\n").count();
            assert_eq!(sections(locale), sections("en"), "{locale}, {kind}");
        }
    }
}

#[test]
fn every_locale_fills_every_block() {
    let layout = template("", "layout.html");
    let all: BTreeSet<_> = tags(&layout, "block ").into_iter().collect();
    let without = |names: &[&str]| -> BTreeSet<&str> {
        let kept = all.iter().filter(|it| !names.contains(*it));
        kept.copied().collect()
    };
    let details = [&DETAILS[..], &["help_text"]].concat();
    for Manner { locale, .. } in MANNERS {
        let invitation = template(locale, "invitation.html");
        let filled: BTreeSet<_> = blocks(&invitation).iter().map(|it| it.0).collect();
        assert_eq!(filled, without(&["introduction", "note", "details"]));
        let reminder = template(locale, "reminder.html");
        let filled: BTreeSet<_> = blocks(&reminder).iter().map(|it| it.0).collect();
        assert_eq!(filled, without(&details), "{locale}");
        for (name, content) in blocks(&reminder) {
            let empty = OPTIONAL.contains(&name);
            assert_eq!(content.is_empty(), empty, "{locale}, {name}");
        }
    }
}

#[test]
fn no_untranslated_english_remains() {
    let english = vocabulary("en");
    for Manner { locale, shared, .. } in MANNERS {
        if locale != "en" {
            let ours = vocabulary(locale);
            let left: Vec<_> = ours.intersection(&english).collect();
            assert_eq!(left, shared, "{locale}");
        }
    }
}

#[test]
fn all_parts_name_the_portal_in_both_languages() {
    for Manner {
        locale,
        terms: [portal, justification],
        ..
    } in MANNERS
    {
        for kind in KINDS {
            for part in [format!("{kind}.txt"), format!("{kind}.html")] {
                let source = template(locale, &part);
                let words = words_alone(&source, locale);
                assert!(words.contains(portal), "{locale}/{part} lacks `{portal}`");
                let said = words.matches(justification).count();
                let expected = if kind == "invitation" { 2 } else { 0 };
                assert_eq!(said, expected, "{locale}/{part}: `{justification}`");
                // A screen reader pronounces these words as English.
                let english = match locale {
                    "en" => 0,
                    _ if part.ends_with(".html") => said + 1,
                    _ => 0,
                };
                let marked = source.matches("<span lang=\"en\"").count();
                assert_eq!(marked, english, "{locale}/{part}");
            }
        }
    }
}

#[test]
fn text_and_html_have_the_same_content_in_every_locale() {
    let layout = template("", "layout.html");
    for Manner { locale, .. } in MANNERS {
        for (kind, least) in [("invitation", 21), ("reminder", 9)] {
            let html = template(locale, &format!("{kind}.html"));
            let html: BTreeMap<_, _> = blocks(&html).into_iter().collect();
            let mut text = template(locale, &format!("{kind}.txt"));
            if !isolates_in_html(locale) {
                text = text.replace(ISOLATES, "");
            }
            let mut rest = text.as_str();
            let mut compared = 0;
            for name in blocks_in_reading_order(&layout) {
                let Some(content) = html.get(name) else {
                    continue;
                };
                let said = without_markup(content, locale);
                let said = replace_between(&said, "{%", "%}", "\n");
                let lines: Vec<_> = match name {
                    // The text part says how to use the link in its own words.
                    "whole_link" => vec!["{{ link }}"],
                    name if HTML_ONLY.contains(&name) => continue,
                    _ => {
                        let lines = said.lines().map(str::trim);
                        let wordless =
                            |it: &&str| words_alone(it, locale).trim_matches('|').is_empty();
                        lines.filter(|it| !wordless(it)).collect()
                    }
                };
                for line in lines {
                    compared += 1;
                    let Some((_, after)) = rest.split_once(line) else {
                        panic!(
                            "{locale}, {kind}, {name}: `{line}` is not in the text after what goes before it"
                        );
                    };
                    rest = after;
                }
            }
            assert!(compared >= least, "{locale}, {kind}: only {compared} lines");
        }
    }
}

#[test]
fn the_english_mails_are_short() {
    for (part, least, most) in [("invitation.txt", 130, 175), ("reminder.txt", 60, 85)] {
        let source = template("en", part);
        // The first of two alternatives: the mail with every value.
        let source = replace_between(&source, "{% elif", "{% endif %}", "");
        let source = replace_between(&source, "{%- else %}", "{%- endif %}", "");
        let source = replace_between(&source, "{% else %}", "{% endif %}", "");
        let words = words_alone(&source, "en");
        let words = words.split_whitespace();
        let count = words.filter(|it| it.contains(char::is_alphabetic)).count();
        assert!((least..=most).contains(&count), "{part}: {count} words");
    }
}

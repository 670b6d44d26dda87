//! Quotation marks, punctuation and spaces, and values that fit any sentence.

use std::collections::BTreeSet;

use super::manner::{MANNERS, Manner, runs_from_right_to_left};
use super::source::{
    ISOLATES, KINDS, PARTS, all_words, blocks, isolates_in_html, replace_between, template,
    without_markup, words_alone,
};

const QUOTES: &str = "\"“”„‟‘’‚‛«»‹›「」『』״＂";
/// Names of people and things, in any script and with any punctuation.
const NAMES: [&str; 5] = [
    "inviter.name",
    "sender.organization",
    "package.name",
    "partner.name",
    "partner.organization",
];
/// Values that are always written from left to right.
const ADDRESSES: [&str; 2] = ["partner.email", "portal_host"];

#[test]
fn quotation_marks_are_those_of_the_locale() {
    for Manner {
        locale,
        quotes: [[open, close], [begin, end]],
        marks,
        ..
    } in MANNERS
    {
        let words = all_words(locale);
        let used: BTreeSet<char> = words
            .chars()
            .filter(|it| QUOTES.contains(*it) || "'`´".contains(*it))
            .collect();
        assert_eq!(used, marks.chars().collect(), "{locale}");
        assert!(!words.contains("  ") && !words.contains("..."), "{locale}");
        let named = format!("{open}{{{{ package.name }}}}{close}");
        let quoted = format!("{begin}{{{{ partner.note }}}}{end}");
        for (part, times) in [
            ("invitation.txt", 2),
            ("invitation.html", 4),
            ("reminder.txt", 1),
            ("reminder.html", 2),
        ] {
            let said = without_markup(&template(locale, part), locale);
            let bare = said.replace(ISOLATES, "");
            assert_eq!(bare.matches(&named).count(), times, "{locale}/{part}");
            let notes = usize::from(part == "invitation.txt");
            assert_eq!(bare.matches(&quoted).count(), notes, "{locale}/{part}");
        }
    }
}

#[test]
fn punctuation_and_spaces_are_those_of_the_locale() {
    let words = all_words("fr");
    for (place, mark) in words.char_indices() {
        let before = words[..place].chars().next_back();
        let after = words[place..].chars().nth(1);
        match mark {
            ':' | '»' => assert_eq!(before, Some('\u{a0}'), "{}", &words[..place]),
            ';' | '?' | '!' => assert_eq!(before, Some('\u{202f}'), "{}", &words[..place]),
            '«' => assert_eq!(after, Some('\u{a0}'), "{}", &words[..place]),
            _ => {}
        }
    }
    for locale in ["ja", "zh-Hans", "zh-Hant"] {
        for line in all_words(locale).lines() {
            let line = line.trim_start_matches(|it: char| it.is_ascii_digit() || it == '.');
            assert!(
                !line.contains(|it| ",.;:?!()".contains(it)),
                "{locale}: {line}"
            );
            // A space between Chinese or Japanese and Latin letters, and no tag inside a word.
            let letters: Vec<char> = line.chars().collect();
            for pair in letters.windows(2) {
                let [latin, other] = [0, 1].map(|it| pair[it].is_ascii_alphabetic());
                let wide = |it: char| it.is_alphabetic() && !it.is_ascii();
                let joined = (latin && wide(pair[1])) || (other && wide(pair[0]));
                assert!(!joined, "{locale}: {line}");
            }
        }
        for part in PARTS {
            assert!(
                !template(locale, part).contains("<strong>"),
                "{locale}/{part}"
            );
        }
    }
    let words = all_words("ar");
    assert!(!words.contains(|it| ",;?".contains(it)), "{words}");
    let words = all_words("es");
    assert_eq!(words.matches('¿').count(), words.matches('?').count());
    // Prepositions of one letter must not end a line.
    for locale in ["cs", "pl"] {
        for kind in KINDS {
            let html = template(locale, &format!("{kind}.html"));
            for (name, content) in blocks(&html) {
                let content = replace_between(content, "{{", "}}", "|");
                let content = replace_between(&content, "{%", "%}", " ");
                let words: Vec<_> = content.split([' ', '\n', '>', '(']).collect();
                let alone =
                    |it: &&&str| it.chars().count() == 1 && it.starts_with(char::is_alphabetic);
                assert_eq!(words.iter().find(alone), None, "{locale}, {name}");
            }
        }
    }
}

/// What stands behind each value where there is one, without isolates.
fn behind_values(locale: &str, part: &str) -> Vec<(String, String)> {
    let said = without_markup(&template(locale, part), locale).replace(ISOLATES, "");
    let said = replace_between(&said, "{% else %}", "{% endif %}", "");
    let said = replace_between(&said, "{%", "%}", "");
    let mut pieces = said.split("{{ ").skip(1);
    let mut found = Vec::new();
    while let Some((value, after)) = pieces.next().and_then(|it| it.split_once("}}")) {
        found.push((value.trim().to_owned(), after.to_owned()));
    }
    found
}

#[test]
fn no_value_takes_a_suffix_or_particle() {
    const KOREAN: [&str; 9] = ["은", "는", "이", "가", "을", "를", "와", "과", "로"];
    for Manner { locale, .. } in MANNERS {
        for part in PARTS {
            for (value, after) in behind_values(locale, part) {
                let mut letters = after.chars();
                let (first, second) = (letters.next(), letters.next());
                let letter = |it: Option<char>| it.is_some_and(char::is_alphabetic);
                let attached = match locale {
                    "ja" | "zh-Hans" | "zh-Hant" => false,
                    "ko" => KOREAN.iter().any(|it| after.starts_with(it)),
                    _ => {
                        letter(first)
                            || (first == Some('’') || first == Some('-')) && letter(second)
                    }
                };
                assert!(!attached, "{locale}/{part}: {value}{after}");
            }
        }
    }
}

/// Otherwise "S.A." or "Ltd." would end with two full stops.
#[test]
fn no_sentence_ends_with_a_name_or_an_address() {
    let mut dates = 0;
    for Manner { locale, .. } in MANNERS {
        for part in PARTS {
            for (value, after) in behind_values(locale, part) {
                let ends = after.starts_with(['.', '。', '!', '?', '！', '？']);
                // Dates are written by the program, and end with no full stop in any shipped language.
                let date = ["package.respond_by", "invited_on"].contains(&value.as_str());
                assert!(!ends || date, "{locale}/{part}: {value}{after}");
                dates += usize::from(ends);
            }
        }
    }
    assert!(dates > 20, "{dates}");
}

/// Text and HTML in which each value has its own direction, and so its punctuation on the right side.
#[test]
fn names_inside_sentences_are_isolated() {
    for Manner { locale, .. } in MANNERS {
        let mut pieces: Vec<String> = Vec::new();
        let rtl = runs_from_right_to_left(locale);
        for kind in KINDS {
            pieces.push(template(locale, &format!("{kind}.txt")));
            if rtl {
                pieces.push(template(locale, &format!("{kind}.subject.txt")));
            }
            if !isolates_in_html(locale) {
                continue;
            }
            let html = template(locale, &format!("{kind}.html"));
            let blocks = blocks(&html).into_iter();
            // A title and a preview take no markup.
            let blocks = blocks.filter(|it| rtl || !["title", "preheader"].contains(&it.0));
            pieces.extend(blocks.map(|(_, content)| without_markup(content, locale)));
        }
        let mut isolated = 0;
        for line in pieces.iter().flat_map(|it| it.lines()) {
            let words = words_alone(line, locale);
            // A value alone on a line is a paragraph with its own direction.
            let Some(first) = words.chars().find(|it| it.is_alphabetic()) else {
                continue;
            };
            assert!(!rtl || !first.is_ascii(), "{locale}: {line}");
            for (place, _) in line.match_indices("{{") {
                let (before, value) = line.split_at(place);
                let (value, after) = value.split_once("}}").unwrap();
                let is = |names: &[&str]| names.iter().any(|it| value.contains(it));
                let start = match value {
                    _ if is(&NAMES) => '\u{2068}',
                    _ if rtl && is(&ADDRESSES) => '\u{2066}',
                    _ => continue,
                };
                assert!(
                    before.ends_with(start) && after.starts_with('\u{2069}'),
                    "{locale}: {line}"
                );
                isolated += 1;
            }
        }
        let least = if isolates_in_html(locale) { 24 } else { 12 };
        assert!(isolated >= least, "{locale}: {isolated}");
        let html = template(locale, "invitation.html");
        for address in ADDRESSES {
            let address = format!("<span dir=\"ltr\">{{{{ {address} }}}}</span>");
            assert!(html.contains(&address), "{locale}");
        }
    }
}

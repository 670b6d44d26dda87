//! The shipped templates: every locale says the same in both parts, in its own language and
//! typography. The snapshots are the mails.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::support::Workplace;
use mail_parser::MessageParser;

const PARTS: [&str; 3] = [
    "invitation.html",
    "invitation.subject.txt",
    "invitation.txt",
];
/// Blocks that only the HTML part has.
const HTML_ONLY: [&str; 3] = ["title", "preheader", "button"];
/// Microsoft's terms that stay in English beside the translation.
const TERMS: [&str; 3] = ["My Access", "Microsoft", "Business justification"];
/// First-strong isolate, left-to-right isolate and their end (UAX #9).
const ISOLATES: [char; 3] = ['\u{2068}', '\u{2066}', '\u{2069}'];
const QUOTES: &str = "\"“”„‟‘’‚‛«»‹›「」『』״＂";

/// The properties of a locale's text.
struct Manner {
    locale: &'static str,
    /// The names of the portal and of the request's field, either of which a reader may see.
    terms: [&'static str; 2],
    /// The quotation marks around a package's name.
    quotes: [&'static str; 2],
    /// All marks that may be used, the apostrophe included.
    marks: &'static str,
    /// Words that are the same in English.
    shared: &'static [&'static str],
    /// Whether Microsoft's terms are uncertain.
    to_review: bool,
}

/// Every locale that is shipped.
#[rustfmt::skip]
const MANNERS: [Manner; 17] = [
    Manner { locale: "ar", terms: ["بوابة My Access", "مبرر العمل (Business justification)"], quotes: ["«", "»"], marks: "«»", shared: &["incognito"], to_review: true },
    Manner { locale: "cs", terms: ["portálu Můj přístup (My Access)", "obchodní odůvodnění (Business justification)"], quotes: ["„", "“"], marks: "„“", shared: &[], to_review: true },
    Manner { locale: "de", terms: ["Microsoft-Portal „Mein Zugriff“ (My Access)", "geschäftlichen Begründung (Business justification)"], quotes: ["„", "“"], marks: "„“", shared: &["browser", "link", "links", "normal", "portal"], to_review: false },
    Manner { locale: "en", terms: ["Microsoft’s My Access portal", "business justification"], quotes: ["“", "”"], marks: "“”’", shared: &[], to_review: false },
    Manner { locale: "es", terms: ["portal Mi acceso (My Access)", "justificación comercial (Business justification)"], quotes: ["“", "”"], marks: "“”", shared: &["normal", "portal"], to_review: false },
    Manner { locale: "fr", terms: ["portail Mon Accès (My Access)", "justification métier (Business justification)"], quotes: ["«\u{a0}", "\u{a0}»"], marks: "«»’", shared: &["justification", "message", "minutes", "normal", "page", "questions"], to_review: false },
    Manner { locale: "he", terms: ["פורטל My Access", "הצדקה עסקית (Business justification)"], quotes: ["״", "״"], marks: "״", shared: &[], to_review: true },
    Manner { locale: "it", terms: ["portale Accesso personale (My Access)", "motivazione aziendale (Business justification)"], quotes: ["“", "”"], marks: "“”’", shared: &["account", "browser", "incognito", "link", "password"], to_review: false },
    Manner { locale: "ja", terms: ["マイ アクセス ポータル（My Access）", "業務上の正当な理由（Business justification）"], quotes: ["「", "」"], marks: "「」", shared: &[], to_review: false },
    Manner { locale: "ko", terms: ["내 액세스(My Access) 포털", "비즈니스 근거(Business justification)"], quotes: ["‘", "’"], marks: "‘’“”", shared: &[], to_review: true },
    Manner { locale: "nl", terms: ["Microsoft-portal ‘Mijn toegang’ (My Access)", "zakelijke rechtvaardiging (Business justification)"], quotes: ["‘", "’"], marks: "‘’", shared: &["account", "browser", "link", "links", "open", "portal"], to_review: true },
    Manner { locale: "pl", terms: ["„Mój dostęp” (My Access)", "uzasadnienie biznesowe (Business justification)"], quotes: ["„", "”"], marks: "„”", shared: &["incognito", "link"], to_review: false },
    Manner { locale: "pt-BR", terms: ["portal Meus Acessos (My Access)", "justificativa de negócios (Business justification)"], quotes: ["“", "”"], marks: "“”", shared: &["for", "link", "links", "normal", "portal"], to_review: false },
    Manner { locale: "sv", terms: ["portal Min åtkomst (My Access)", "affärsmotivering (Business justification)"], quotes: ["”", "”"], marks: "”", shared: &["portal"], to_review: true },
    Manner { locale: "tr", terms: ["Erişimim (My Access) portal", "İş gerekçesi (Business justification)"], quotes: ["“", "”"], marks: "“”’", shared: &["normal"], to_review: true },
    Manner { locale: "zh-Hans", terms: ["“我的访问权限”门户（My Access）", "业务理由（Business justification）"], quotes: ["“", "”"], marks: "“”", shared: &[], to_review: false },
    Manner { locale: "zh-Hant", terms: ["「我的存取權」入口網站（My Access）", "業務理由（Business justification）"], quotes: ["「", "」"], marks: "「」", shared: &[], to_review: false },
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("templates")
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn source(locale: &str, part: &str) -> String {
    std::fs::read_to_string(folder().join(locale).join(part)).unwrap()
}

/// A template without its comments.
fn template(locale: &str, part: &str) -> String {
    replace_between(&source(locale, part), "{#", "#}", "")
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

/// The text between each `open` and `close`.
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

/// The conditions of a template, in order.
fn conditions(source: &str) -> Vec<&str> {
    between(source, "{%", "%}")
        .filter_map(|it| it.trim_matches(['-', ' ']).strip_prefix("if "))
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

fn runs_from_right_to_left(locale: &str) -> bool {
    ["ar", "he"].contains(&locale)
}

/// The visible text of a piece of HTML. In right-to-left locales, the markup
/// that isolates a value becomes the characters that do so in text.
fn without_markup(html: &str, locale: &str) -> String {
    let mut text = html.replace("<br>", "\n").replace("&nbsp;", " ");
    if runs_from_right_to_left(locale) {
        for (direction, isolate) in [("auto", '\u{2068}'), ("ltr", '\u{2066}')] {
            let open = format!("<span dir=\"{direction}\">");
            while let Some((before, rest)) = text.split_once(&open) {
                let rest = rest.replacen("</span>", "\u{2069}", 1);
                text = format!("{before}{isolate}{rest}");
            }
        }
    }
    replace_between(&text, "<", ">", "")
}

/// The visible text without values; a bar stands for each value and condition.
fn words_alone(source: &str, locale: &str) -> String {
    let words = replace_between(&without_markup(source, locale), "{{", "}}", "|");
    replace_between(&words, "{%", "%}", "|")
}

/// All visible text of a locale, without values.
fn all_words(locale: &str) -> String {
    PARTS
        .map(|part| words_alone(&template(locale, part), locale))
        .join("\n")
}

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

#[test]
fn seventeen_complete_locales_are_shipped() {
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
    for Manner { locale, .. } in MANNERS {
        for part in PARTS {
            let (ours, master) = (template(locale, part), template("en", part));
            assert_eq!(variables(&ours), variables(&master), "{locale}/{part}");
            assert_eq!(conditions(&ours), conditions(&master), "{locale}/{part}");
        }
        let blocks = |locale| -> Vec<String> {
            let html = template(locale, "invitation.html");
            let names = blocks(&html).into_iter().map(|(name, _)| name.to_owned());
            names.collect()
        };
        assert_eq!(blocks(locale), blocks("en"), "{locale}");
        let sections = |locale| template(locale, "invitation.txt").split("\n\n").count();
        assert_eq!(sections(locale), sections("en"), "{locale}");
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
fn both_parts_name_the_portal_in_both_languages() {
    for Manner { locale, terms, .. } in MANNERS {
        for part in ["invitation.txt", "invitation.html"] {
            let words = words_alone(&template(locale, part), locale);
            for term in terms {
                assert!(words.contains(term), "{locale}/{part} lacks `{term}`");
            }
        }
    }
}

#[test]
fn text_and_html_have_the_same_content_in_every_locale() {
    let layout = template("", "layout.html");
    for Manner { locale, .. } in MANNERS {
        let html = template(locale, "invitation.html");
        let html: BTreeMap<_, _> = blocks(&html).into_iter().collect();
        let text = template(locale, "invitation.txt");
        let mut rest = text.as_str();
        let mut compared = 0;
        // The layout defines the reading order.
        for (name, _) in blocks(&layout) {
            let said = without_markup(html[name], locale);
            let lines: Vec<_> = if name == "whole_link" {
                // Only the whole link leads to the request page: the last sentence.
                let sentences = said.trim_end_matches(['.', '。']);
                let why = sentences.rsplit(['.', '。']).next().unwrap();
                vec![why.trim(), "{{ link }}"]
            } else if HTML_ONLY.contains(&name) {
                continue;
            } else {
                // A line with only a condition has no text.
                let wordless = |it: &&str| words_alone(it, locale).trim_matches('|').is_empty();
                let lines = said.lines().map(str::trim);
                lines.filter(|it| !wordless(it)).collect()
            };
            for line in lines {
                compared += 1;
                let Some((_, after)) = rest.split_once(line) else {
                    panic!(
                        "{locale}, {name}: `{line}` is not in the text after what goes before it"
                    );
                };
                rest = after;
            }
        }
        assert!(
            compared >= 18,
            "{locale}: only {compared} lines were compared"
        );
    }
}

#[test]
fn quotation_marks_are_those_of_the_locale() {
    for Manner {
        locale,
        quotes: [open, close],
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
        for (part, times) in [("invitation.txt", 1), ("invitation.html", 2)] {
            let said = without_markup(&template(locale, part), locale);
            let bare = said.replace(ISOLATES, "");
            let named = format!("{open}{{{{ package.name }}}}{close}");
            assert_eq!(bare.matches(&named).count(), times, "{locale}/{part}");
            // Korean uses different marks for text to be typed and for names.
            let justified = match locale {
                "ko" => "“{{ package.justification }}”".to_owned(),
                _ => format!("{open}{{{{ package.justification }}}}{close}"),
            };
            assert_eq!(bare.matches(&justified).count(), 1, "{locale}/{part}");
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
        }
    }
    let words = all_words("ar");
    assert!(!words.contains(|it| ",;?".contains(it)), "{words}");
    let words = all_words("es");
    assert_eq!(words.matches('¿').count(), words.matches('?').count());
    // Prepositions of one letter must not end a line.
    for locale in ["cs", "pl"] {
        let html = template(locale, "invitation.html");
        for (name, content) in blocks(&html) {
            let content = replace_between(content, "{{", "}}", "|");
            let content = replace_between(&content, "{%", "%}", " ");
            let words: Vec<_> = content.split([' ', '\n', '>', '(']).collect();
            let alone = |it: &&&str| it.chars().count() == 1 && it.starts_with(char::is_alphabetic);
            assert_eq!(words.iter().find(alone), None, "{locale}, {name}");
        }
    }
}

#[test]
fn no_value_takes_a_suffix_or_particle() {
    const KOREAN: [&str; 9] = ["은", "는", "이", "가", "을", "를", "와", "과", "로"];
    for Manner { locale, .. } in MANNERS {
        for part in PARTS {
            let said = without_markup(&template(locale, part), locale).replace(ISOLATES, "");
            // What follows a value when there is one.
            let said = replace_between(&said, "{% else %}", "{% endif %}", "");
            let said = replace_between(&said, "{%", "%}", "");
            for after in said.split("}}").skip(1) {
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
                assert!(
                    !attached,
                    "{locale}/{part}: }}}}{}",
                    &after[..after.len().min(30)]
                );
            }
        }
    }
}

#[test]
fn right_to_left_locales_isolate_values() {
    for locale in ["ar", "he"] {
        let text = template(locale, "invitation.txt");
        let html = template(locale, "invitation.html");
        let html = blocks(&html).into_iter().map(|(_, content)| content);
        let html: Vec<_> = html.map(|it| without_markup(it, locale)).collect();
        let lines = text.lines().chain(html.iter().flat_map(|it| it.lines()));
        let mut isolated = 0;
        for line in lines {
            let words = words_alone(line, locale);
            // A value alone on a line is a paragraph with its own direction.
            let Some(first) = words.chars().find(|it| it.is_alphabetic()) else {
                continue;
            };
            assert!(!first.is_ascii(), "{locale}: {line}");
            for (place, _) in line.match_indices("{{") {
                let (before, value) = line.split_at(place);
                let (value, after) = value.split_once("}}").unwrap();
                // Dates are written in the language of the locale.
                if value.contains("respond_by") {
                    continue;
                }
                let start = if value.contains("email") {
                    '\u{2066}'
                } else {
                    '\u{2068}'
                };
                assert!(
                    before.ends_with(start) && after.starts_with('\u{2069}'),
                    "{locale}: {line}"
                );
                isolated += 1;
            }
        }
        assert_eq!(isolated, 18, "{locale}");
    }
    for Manner { locale, .. } in MANNERS {
        let html = template(locale, "invitation.html");
        let address = "<span dir=\"ltr\">{{ partner.email }}</span>";
        assert!(html.contains(address), "{locale}");
    }
}

#[test]
fn unreviewed_locales_are_marked() {
    let page = include_str!("../docs/templates.md");
    for Manner {
        locale, to_review, ..
    } in MANNERS
    {
        for part in PARTS {
            let asked = source(locale, part).starts_with("{# To be reviewed by a native speaker: ");
            assert_eq!(asked, to_review, "{locale}/{part}");
        }
        let row = format!("| `{locale}` | ");
        let row = page.lines().find(|it| it.starts_with(&row)).unwrap();
        assert_eq!(row.contains("to be reviewed"), to_review, "{row}");
    }
}

/// The text parts that a preview writes, with their subjects: the first of each language.
fn mails(workplace: &Workplace, config: &Path) -> BTreeMap<String, String> {
    let out = workplace.file("review");
    let output = workplace.run(&[
        "preview",
        "--config",
        config.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_eq!(output.code, 0, "{output:?}");
    let messages = out.join("messages");
    let mut mails = BTreeMap::new();
    for name in names(&messages).iter().filter(|it| it.ends_with(".eml")) {
        let message = std::fs::read(messages.join(name)).unwrap();
        let message = MessageParser::default().parse(&message).unwrap();
        let language = message.header_raw("Content-Language").unwrap().trim();
        let subject = message.subject().unwrap();
        let text = message.body_text(0).unwrap().replace("\r\n", "\n");
        mails
            .entry(language.to_owned())
            .or_insert_with(|| format!("Subject: {subject}\n\n{text}"));
    }
    mails
}

#[test]
fn every_locale_matches_its_snapshots() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workplace = Workplace::new(1);
    let full = mails(&workplace, &root.join("config.example.toml"));

    // The same job without optional values: no name, organisation, description, justification,
    // last day, contact or name of the sender.
    let optional = [
        "description.",
        "justification.",
        "respond_by",
        "contact",
        "reply_to",
    ];
    let lines: Vec<_> = include_str!("../config.example.toml")
        .lines()
        .filter(|line| !optional.iter().any(|it| line.starts_with(it)))
        .collect();
    let templates = format!("directory = \"{}\"", folder().display());
    let bare = lines
        .join("\n")
        .replace(
            "Contoso Partner Access <partner-access@contoso.example>",
            "partner-access@contoso.example",
        )
        .replace("# directory = \"templates\"", &templates)
        .replace("partners.example.csv", "bare.csv");
    workplace.write("bare.toml", &bare);
    let rows = MANNERS
        .map(|it| format!("projects@{0}.example,{0}\n", it.locale))
        .concat();
    workplace.write("bare.csv", &format!("email,locale\n{rows}"));
    let bare = mails(&workplace, &workplace.file("bare.toml"));

    for Manner { locale, .. } in MANNERS {
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!(format!("{locale}_with_everything"), full[locale]);
            insta::assert_snapshot!(format!("{locale}_with_an_address_alone"), bare[locale]);
        });
    }
}

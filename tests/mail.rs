//! The delivered mail for any values in the list: values are shown verbatim and change no markup,
//! and an absent value leaves no gap.

use crate::support::LINK;
use crate::support::mail::{Mail, Values};
use crate::support::page::Page;
use crate::support::showcase::{self, Brand};

/// Gmail clips the HTML of a mail at about this size.
const CLIPPED_BY_GMAIL: usize = 102 * 1024;

/// Every tag with the names of its attributes, and the values of links and styles.
fn skeleton(mail: &Mail) -> Vec<String> {
    let acting = ["href", "style", "class"];
    let page = Page::read(&mail.html);
    page.elements
        .iter()
        .map(|element| {
            let attributes = element.attributes.iter().map(|(key, value)| {
                let value = acting.contains(&key.as_str()).then_some(value);
                format!(" {key}={}", value.unwrap_or(&String::new()))
            });
            format!("<{}{}>", element.name, attributes.collect::<String>())
        })
        .collect()
}

#[test]
fn values_are_shown_verbatim_and_do_not_change_the_markup() {
    let long = "NameOfTwoHundred".repeat(13)[..200].to_owned();
    let hostile = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' style='position:fixed' onclick='alert(1)",
        "--><!--[if mso]><v:rect href=\"https://evil.example\"><![endif]-->",
        "</title></style></td></table><h1>Contoso</h1>",
        "{{7*7}}{% include \"x\" %}{# gone #}",
        "&lt;b&gt; &amp; &#106;avascript:",
        "محمد عبد الله (فرنسا)",
        "ABC אבג 123 (DEF)",
        "👩‍💻 Zoë 🇫🇷",
        "山田　太郎",
        &long,
    ];
    let harmless = Values::all("Ada").in_every_locale();

    for value in hostile {
        let mails = Values::all(value).in_every_locale();
        assert_eq!(mails.len(), harmless.len());
        for (mail, harmless) in mails.iter().zip(&harmless) {
            let locale = &mail.locale;
            assert_eq!(skeleton(mail), skeleton(harmless), "{locale}: {value}");
            // Organisation, package, description, justification, contact, partner and company, some twice.
            let shown = Page::read(&mail.html).words.matches(value).count();
            let expected = Page::read(&harmless.html).words.matches("Ada").count();
            assert!(expected >= 9, "{expected}");
            assert_eq!(shown, expected, "{locale}: {value}");
            let written = mail.text.matches(value).count();
            assert_eq!(
                written,
                harmless.text.matches("Ada").count(),
                "{locale}: {value}"
            );
            let lines = mail.text.lines().count();
            assert_eq!(lines, harmless.text.lines().count(), "{locale}: {value}");
            let beginning: String = value.chars().take(20).collect();
            assert!(mail.subject.contains(&beginning), "{}", mail.subject);
        }
    }
}

#[test]
fn the_text_part_is_well_formed_with_all_values_or_none() {
    let all = Values::all("Ada").in_every_locale();
    for mail in Values::BARE.in_every_locale().iter().chain(&all) {
        let locale = &mail.locale;
        let text = mail.text.replace("\r\n", "\n");
        assert!(
            text.contains(&format!("\n\n{LINK}\n\n")),
            "{locale}: {text}"
        );
        assert!(!text.contains("\n\n\n"), "{locale}: {text}");
        assert!(!text.starts_with('\n') && text.ends_with('\n') && !text.ends_with("\n\n"));
        for line in text.lines() {
            assert_eq!(line.trim(), line, "{locale}");
            let holes = [
                "  ", " ,", "“”", "„“", "«»", "« »", "「」", "()", "（）", "{", "}",
            ];
            let found: Vec<_> = holes.iter().filter(|it| line.contains(**it)).collect();
            assert!(found.is_empty(), "{locale}: {found:?} in {line}");
        }
        // The subject contains the same value in another sentence.
        assert_eq!(mail.subject.trim(), mail.subject, "{locale}");
        assert!(!mail.subject.contains("  "), "{locale}: {}", mail.subject);
    }
}

#[test]
fn the_longest_mail_is_below_gmails_clip_size() {
    // Four bytes per letter, and a character that HTML escapes with five.
    let longest = "𝔄&".repeat(128);
    let story = longest.repeat(16);
    let values = Values {
        description: &story,
        justification: &story,
        ..Values::all(&longest)
    };

    for mail in values.in_every_locale() {
        assert!(mail.html.contains("𝔄&amp;"));
        assert!(
            mail.html.len() <= CLIPPED_BY_GMAIL,
            "{}: {} bytes",
            mail.locale,
            mail.html.len()
        );
    }
    let typical = &Values::all("Contoso Partner Access").in_every_locale()[0];
    assert!(typical.bytes.len() <= 48 * 1024, "{}", typical.bytes.len());
}

/// Without the link and the values of the list and the configuration.
#[test]
fn the_english_invitation_has_at_most_170_words() {
    const VALUES: [&str; 13] = [
        LINK,
        "myaccess.microsoft.com",
        "Siobhán O'Brien",
        "Harbour Works Ltd",
        "Amelia Hart",
        "Contoso Ltd.",
        "Project space",
        "Plans and documents of the harbour project",
        "We spoke about this on Tuesday: the drawings of pier 4 are in the project space.",
        "Work on the harbour project",
        "two working days",
        "one year",
        "Contoso Partner Desk",
    ];
    let mails = showcase::invitations(Brand::Without);
    let english = mails.iter().find(|it| it.locale == "en").unwrap();
    let mut text = english.text.clone();
    for value in VALUES {
        assert!(text.contains(value), "{value}: {text}");
        text = text.replace(value, "");
    }
    let words = text
        .split_whitespace()
        .filter(|it| it.contains(char::is_alphabetic) && !it.contains('@'));
    let words: Vec<_> = words.collect();
    assert!(
        (100..=170).contains(&words.len()),
        "{}: {words:?}",
        words.len()
    );
}

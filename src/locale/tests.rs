#![expect(clippy::too_many_lines, reason = "a table is read line by line")]

use jiff::civil::date;
use proptest::prelude::*;

use super::{Locale, MatchKind};

/// The locales that are shipped.
const OURS: [&str; 18] = [
    "en", "fr", "de", "es", "it", "pt-BR", "pt-PT", "nl", "pl", "sv", "cs", "tr", "ja", "ko",
    "zh-Hans", "zh-Hant", "ar", "he",
];

fn locale(tag: &str) -> Locale {
    Locale::parse(tag).unwrap()
}

fn nearest(wanted: &str, available: &[&str]) -> Option<(String, MatchKind)> {
    let available: Vec<_> = available.iter().map(|it| locale(it)).collect();
    locale(wanted)
        .nearest(&available)
        .map(|(found, step)| (found.to_string(), step))
}

#[test]
fn nearest_locale_has_the_same_language_and_script() {
    use MatchKind::{Exact, Parent, SameScript};
    let table = [
        // As the templates are named, however it is written.
        ("en", Some(("en", Exact))),
        ("EN", Some(("en", Exact))),
        ("pt-BR", Some(("pt-BR", Exact))),
        ("PT_br", Some(("pt-BR", Exact))),
        ("zh-hans", Some(("zh-Hans", Exact))),
        ("zh_HANT", Some(("zh-Hant", Exact))),
        // Aliases: withdrawn codes, three letters where two are there, parts of a macrolanguage.
        ("iw", Some(("he", Exact))),
        ("iw_IL", Some(("he", Parent))),
        ("deu", Some(("de", Exact))),
        ("fra", Some(("fr", Exact))),
        ("fra-CA", Some(("fr", Parent))),
        ("spa", Some(("es", Exact))),
        ("jpn", Some(("ja", Exact))),
        ("ces", Some(("cs", Exact))),
        ("arb", Some(("ar", Exact))),
        ("cmn", Some(("zh-Hans", SameScript))),
        ("cmn-Hant", Some(("zh-Hant", Exact))),
        ("cmn-TW", Some(("zh-Hant", Parent))),
        ("en-UK", Some(("en", Parent))),
        ("de-DD", Some(("de", Parent))),
        // Regions, by CLDR's parents.
        ("en-AU", Some(("en", Parent))),
        ("en-150", Some(("en", Parent))),
        ("en-001", Some(("en", Parent))),
        ("en-Latn-US", Some(("en", Parent))),
        ("fr_FR", Some(("fr", Parent))),
        ("FR-ca", Some(("fr", Parent))),
        ("de_AT", Some(("de", Parent))),
        ("de-CH", Some(("de", Parent))),
        ("es-419", Some(("es", Parent))),
        ("es-MX", Some(("es", Parent))),
        ("es_US", Some(("es", Parent))),
        ("it-CH", Some(("it", Parent))),
        ("nl-BE", Some(("nl", Parent))),
        ("pl_PL", Some(("pl", Parent))),
        ("sv-FI", Some(("sv", Parent))),
        ("cs-CZ", Some(("cs", Parent))),
        ("tr-CY", Some(("tr", Parent))),
        ("ja_JP", Some(("ja", Parent))),
        ("ja-Jpan-JP", Some(("ja", Parent))),
        ("ko-KP", Some(("ko", Parent))),
        ("ar-EG", Some(("ar", Parent))),
        ("ar-001", Some(("ar", Parent))),
        ("he-IL", Some(("he", Parent))),
        // Portuguese: of Brazil without a region, of Portugal in other countries.
        ("pt", Some(("pt-BR", SameScript))),
        ("pt-PT", Some(("pt-PT", Exact))),
        ("pt-AO", Some(("pt-PT", Parent))),
        ("pt_MZ", Some(("pt-PT", Parent))),
        // Chinese: the script decides, and without one the region tells it.
        ("zh", Some(("zh-Hans", SameScript))),
        ("zh-CN", Some(("zh-Hans", SameScript))),
        ("zh-SG", Some(("zh-Hans", SameScript))),
        ("zh-Hans-TW", Some(("zh-Hans", SameScript))),
        ("zh-TW", Some(("zh-Hant", Parent))),
        ("zh-HK", Some(("zh-Hant", Parent))),
        ("zh-MO", Some(("zh-Hant", Parent))),
        ("zh-Hant-HK", Some(("zh-Hant", Parent))),
        ("zh-Hant-TW", Some(("zh-Hant", Parent))),
        ("zh-Hans-CN", Some(("zh-Hans", SameScript))),
        ("zh-Hant-CN", Some(("zh-Hant", Parent))),
        // Extensions, private use and variants say nothing about the words.
        ("de-DE-u-co-phonebk", Some(("de", Parent))),
        ("ja-u-ca-japanese", Some(("ja", Exact))),
        ("en-US-x-private", Some(("en", Parent))),
        ("fr-t-en", Some(("fr", Exact))),
        ("de-1901", Some(("de", Parent))),
        ("es_ES_tradnl", Some(("es", Parent))),
        // Hindi in Latin letters: CLDR names English as its parent.
        ("hi-Latn", Some(("en", Parent))),
        // Our language, but not in letters that its reader asked for.
        ("he-Latn", None),
        ("ko-Latn", None),
        ("ja-Latn", None),
        ("zh-Latn-pinyin", None),
        ("ar-Latn", None),
        ("en-Shaw", None),
        ("tr-Arab", None),
        // Neighbours by script, by macrolanguage or by what their readers also know.
        ("no", None),
        ("nb", None),
        ("nb-NO", None),
        ("nn", None),
        ("da", None),
        ("fo", None),
        ("af", None),
        ("fy", None),
        ("gsw", None),
        ("lb", None),
        ("gl", None),
        ("ca-ES-valencia", None),
        ("sk", None),
        ("az", None),
        ("yi", None),
        ("fa", None),
        ("ur-PK", None),
        ("pa-Arab", None),
        ("uz-Cyrl", None),
        ("sr-Latn", None),
        ("sr_RS", None),
        ("sh", None),
        ("ro", None),
        ("mo", None),
        ("in", None),
        ("tl", None),
        ("yue", None),
        ("yue-Hans-CN", None),
        ("wuu", None),
        ("vi", None),
        ("mul", None),
        ("xyz", None),
    ];

    for (wanted, expected) in table {
        let expected = expected.map(|(tag, step)| (tag.to_owned(), step));
        assert_eq!(nearest(wanted, &OURS), expected, "{wanted}");
    }
}

#[test]
fn nearest_region_is_own_parent_or_most_common() {
    let table = [
        ("pt-AO", ["pt-BR", "pt-PT"], "pt-PT"),
        ("pt", ["pt-PT", "pt-BR"], "pt-BR"),
        ("en", ["en-AU", "en-US"], "en-US"),
        ("de-AT", ["de-CH", "de-DE"], "de-DE"),
        ("fr-BE", ["fr-CA", "fr-FR"], "fr-FR"),
        ("es-AR", ["es-419", "es-ES"], "es-419"),
        ("zh-Hant", ["zh-HK", "zh-TW"], "zh-TW"),
        ("nb", ["en", "no"], "no"),
        ("sh", ["sr", "sr-Latn"], "sr-Latn"),
        ("mo", ["it", "ro"], "ro"),
        ("tl", ["en", "fil"], "fil"),
        ("in-ID", ["en", "id"], "id"),
    ];

    for (wanted, available, expected) in table {
        let found = nearest(wanted, &available).map(|(tag, _)| tag);
        assert_eq!(found.as_deref(), Some(expected), "{wanted}");
    }
    assert_eq!(nearest("sr-Latn", &["sr", "hr"]), None);
    assert_eq!(nearest("sr", &["sr-Latn"]), None);
    assert_eq!(nearest("hi-Latn", &["hi"]), None);
    assert_eq!(nearest("pa-PK", &["pa"]), None);
}

#[test]
fn what_is_not_a_tag_is_refused() {
    for text in [
        "",
        "f",
        "C",
        "french please",
        "french",
        "Deutsch",
        "español",
        "日本語",
        "../../etc",
        "de/../en",
        "de_DE.UTF-8",
        "zh-CHT",
        "en--US",
        "-en",
        "en-",
        "en US",
        "i-klingon",
        "x-private",
        "root",
        "und",
        "und-FR",
        "12",
        "en-US-u-nu-latn-x-aaaaaaaa-bbbbbbbb-c",
    ] {
        assert!(Locale::parse(text).is_err(), "{text}");
    }
}

#[test]
fn dates_follow_the_locale() {
    let table = [
        ("en", "March 1, 2027", "December 31, 2027"),
        ("fr", "1er mars 2027", "31 décembre 2027"),
        ("de", "1. März 2027", "31. Dezember 2027"),
        ("es", "1 de marzo de 2027", "31 de diciembre de 2027"),
        ("it", "1º marzo 2027", "31 dicembre 2027"),
        ("pt-BR", "1º de março de 2027", "31 de dezembro de 2027"),
        ("pt-PT", "1 de março de 2027", "31 de dezembro de 2027"),
        ("nl", "1 maart 2027", "31 december 2027"),
        ("pl", "1 marca 2027", "31 grudnia 2027"),
        ("sv", "1 mars 2027", "31 december 2027"),
        ("cs", "1. března 2027", "31. prosince 2027"),
        ("tr", "1 Mart 2027", "31 Aralık 2027"),
        ("ja", "2027年3月1日", "2027年12月31日"),
        ("ko", "2027년 3월 1일", "2027년 12월 31일"),
        ("zh-Hans", "2027年3月1日", "2027年12月31日"),
        ("zh-Hant", "2027年3月1日", "2027年12月31日"),
        ("ar", "1 مارس 2027", "31 ديسمبر 2027"),
        ("he", "1 במרץ 2027", "31 בדצמבר 2027"),
    ];
    assert_eq!(table.map(|(tag, ..)| tag), OURS);

    for (tag, first, last) in table {
        assert_eq!(locale(tag).write_date(date(2027, 3, 1)), first, "{tag}");
        assert_eq!(locale(tag).write_date(date(2027, 12, 31)), last, "{tag}");
    }
    // Only the first of a month has an ordinal: in every French, and in the Portuguese of Brazil.
    assert_eq!(locale("fr").write_date(date(2027, 3, 11)), "11 mars 2027");
    assert_eq!(
        locale("fr-CA").write_date(date(2027, 4, 1)),
        "1er avril 2027"
    );
    assert_eq!(
        locale("pt-PT").write_date(date(2027, 4, 1)),
        "1 de abril de 2027"
    );
}

#[test]
fn arabic_and_hebrew_run_from_right_to_left() {
    for tag in OURS {
        let expected = if ["ar", "he"].contains(&tag) {
            "rtl"
        } else {
            "ltr"
        };
        assert_eq!(locale(tag).direction(), expected, "{tag}");
    }
    assert_eq!(locale("he-IL").direction(), "rtl");
    assert_eq!(locale("pa-Arab").direction(), "rtl");
    assert_eq!(locale("ar-Latn").direction(), "ltr");
}

proptest! {
    #[test]
    fn parsed_tag_is_stable(text in "[a-zA-Z]{2,3}([-_][A-Za-z]{4})?([-_][A-Za-z]{2})?") {
        if let Ok(locale) = Locale::parse(&text) {
            prop_assert_eq!(Locale::parse(&locale.to_string()).unwrap(), locale);
        }
    }
    #[test]
    fn any_text_is_a_short_plain_tag_or_refused(
        text in prop_oneof![any::<String>(), "[a-zA-Z0-9_-]{0,40}"],
    ) {
        if let Ok(locale) = Locale::parse(&text) {
            let tag = locale.to_string();
            prop_assert!(tag.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-'), "{}", tag);
            let shipped: Vec<_> = ["ar", "de", "en", "fr", "pt-BR", "zh-Hans", "sr"]
                .iter()
                .map(|it| Locale::parse(it).unwrap())
                .collect();
            if let Some((nearest, _)) = locale.nearest(&shipped) {
                prop_assert!(shipped.contains(nearest));
            }
        }
    }
}

use proptest::prelude::*;

use super::{LanguageCell, LanguageError};

fn tag(cell: &str) -> String {
    let read = LanguageCell::read(cell).unwrap_or_else(|error| panic!("{cell}: {error}"));
    assert_eq!(read.probably, None, "{cell}");
    read.locale.to_string()
}

#[test]
fn names_tags_and_posix_locales_are_read() {
    let table = [
        ("fr", "fr"),
        ("fr-CA", "fr-CA"),
        ("fr_FR", "fr-FR"),
        ("fr_FR.UTF-8", "fr-FR"),
        ("fr_FR@euro", "fr-FR"),
        ("de_DE.ISO-8859-15@euro", "de-DE"),
        ("pt_BR", "pt-BR"),
        ("sr_RS@latin", "sr-Latn-RS"),
        ("zh-CHS", "zh-Hans"),
        ("zh_cht", "zh-Hant"),
        ("deu", "de"),
        ("iw", "he"),
        ("\u{feff}fr ", "fr"),
        ("French", "fr"),
        ("FRANÇAIS", "fr"),
        ("french (Canada)", "fr-CA"),
        ("Français (Belgique)", "fr-BE"),
        ("Deutsch (Österreich)", "de-AT"),
        ("German (Klingon Empire)", "de"),
        ("Portuguese (Brazil)", "pt-BR"),
        ("Português", "pt"),
        ("Brazilian Portuguese", "pt-BR"),
        ("Flemish", "nl-BE"),
        ("Čeština", "cs"),
        ("Türkçe", "tr"),
        ("Svenska", "sv"),
        ("日本語", "ja"),
        ("한국어", "ko"),
        ("Chinese", "zh"),
        ("中文（繁體）", "zh-Hant"),
        ("简体中文", "zh-Hans"),
        ("Chinese (Simplified, China)", "zh-Hans-CN"),
        ("Chinese (Taiwan)", "zh-TW"),
        ("Simplified Chinese", "zh-Hans"),
        ("العربية", "ar"),
        ("עברית", "he"),
        ("English (United States)", "en-US"),
        ("vi", "vi"),
        ("uk", "uk"),
    ];

    for (cell, expected) in table {
        assert_eq!(tag(cell), expected, "{cell}");
    }
}

/// The names that a list may have if its sender works in any of the shipped languages.
#[test]
fn shipped_languages_are_known_by_their_names_in_shipped_languages() {
    for (language, names) in [
        ("en", ["English", "Englisch", "anglais", "inglés", "英語"]),
        (
            "fr",
            [
                "Français",
                "Französisch",
                "French",
                "francese",
                "フランス語",
            ],
        ),
        ("de", ["Deutsch", "allemand", "German", "tedesco", "德语"]),
        (
            "es",
            ["Español", "Spanisch", "espagnol", "hiszpański", "الإسبانية"],
        ),
        (
            "it",
            ["Italiano", "Italienisch", "italien", "włoski", "イタリア語"],
        ),
        (
            "nl",
            [
                "Nederlands",
                "Niederländisch",
                "Dutch",
                "olandese",
                "オランダ語",
            ],
        ),
        (
            "pl",
            ["Polski", "Polnisch", "polonais", "polska", "폴란드어"],
        ),
        (
            "sv",
            ["Svenska", "Schwedisch", "suédois", "szwedzki", "瑞典语"],
        ),
        (
            "cs",
            ["Čeština", "Tschechisch", "tchèque", "czeski", "チェコ語"],
        ),
        ("tr", ["Türkçe", "Türkisch", "turc", "turecki", "טורקית"]),
        ("ja", ["日本語", "Japanisch", "japonais", "Japonca", "日语"]),
        ("ko", ["한국어", "Koreanisch", "coréen", "韓文", "Korece"]),
        ("ar", ["العربية", "Arabisch", "arabe", "ערבית", "Arapça"]),
        (
            "he",
            ["עברית", "Hebräisch", "hébreu", "العبرية", "İbranice"],
        ),
        (
            "pt-BR",
            [
                "Português (Brasil)",
                "Portugiesisch (Brasilien)",
                "portugais (Brésil)",
                "ポルトガル語 (ブラジル)",
                "葡萄牙语（巴西）",
            ],
        ),
        (
            "pt-PT",
            [
                "Português (Portugal)",
                "Portugiesisch (Portugal)",
                "European Portuguese",
                "portugais européen",
                "Portekizce (Portekiz)",
            ],
        ),
        (
            "zh-Hans",
            [
                "简体中文",
                "Chinesisch (vereinfacht)",
                "chinois (simplifié)",
                "中国語 (簡体字)",
                "chiński uproszczony",
            ],
        ),
        (
            "zh-Hant",
            [
                "繁體中文",
                "Chinesisch (traditionell)",
                "chinois traditionnel",
                "中国語 (繁体字)",
                "중국어(번체)",
            ],
        ),
    ] {
        for name in names {
            assert_eq!(tag(name), language, "{name}");
        }
    }
}

#[test]
fn names_are_the_same_without_accents_and_in_capitals() {
    for (cell, language) in [
        ("Francais", "fr"),
        ("FRANZÖSISCH", "fr"),
        ("Franzosisch", "fr"),
        ("espanol", "es"),
        ("Turkce", "tr"),
        ("ingilizce", "en"),
        ("INGILIZCE", "en"),
        ("cestina", "cs"),
        ("الاسبانية", "es"),
        ("Portugais (Bresil)", "pt-BR"),
    ] {
        assert_eq!(tag(cell), language, "{cell}");
    }
}

#[test]
fn tags_that_are_no_language_are_refused_with_the_one_that_is_meant() {
    for (cell, meant) in [
        ("jp", "ja"),
        ("JP", "ja"),
        ("jp-JP", "ja-JP"),
        ("cz", "cs"),
        ("cz_CZ.UTF-8", "cs-CZ"),
        ("kr", "ko"),
        ("gr", "el"),
        ("ua", "uk"),
        ("us", "en"),
        ("gb", "en-GB"),
        ("at", "de-AT"),
        ("mx", "es-MX"),
        ("ger", "de"),
        ("fre", "fr"),
    ] {
        let error = LanguageCell::read(cell).unwrap_err();
        let is_meant = matches!(&error, LanguageError::Mistyped { meant: it, .. } if it == meant);
        assert!(is_meant, "{cell}: {error:?}");
        assert!(
            error
                .to_string()
                .ends_with(&format!("did you mean `{meant}`?"))
        );
    }
    assert_eq!(
        LanguageCell::read("xx"),
        Err(LanguageError::Unregistered("xx".into()))
    );
    for cell in [
        "",
        "C",
        "Frensh",
        "French and German",
        "???",
        "fr;de",
        "French (Canada",
    ] {
        assert_eq!(
            LanguageCell::read(cell),
            Err(LanguageError::Unknown),
            "{cell}"
        );
    }
}

#[test]
fn tags_that_are_rarely_meant_are_doubted() {
    for (cell, locale, probably) in [
        ("tw", "tw", "zh-TW"),
        ("cn", "cn", "zh-CN"),
        ("dk", "dk", "da"),
        ("SE", "se", "sv"),
        ("br", "br", "pt-BR"),
    ] {
        let read = LanguageCell::read(cell).unwrap();
        // Twi is a part of Akan for CLDR.
        if cell != "tw" {
            assert_eq!(read.locale.to_string(), locale, "{cell}");
        }
        assert_eq!(read.probably.as_deref(), Some(probably), "{cell}");
    }
}

proptest! {
    #[test]
    fn any_cell_is_a_language_or_an_error(cell in "\\PC{0,12}|[a-zA-Z_@.()-]{0,12}") {
        let _ = LanguageCell::read(&cell);
    }
}

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

#[test]
fn every_shipped_language_has_names() {
    for (language, english, own) in [
        ("en", "English", "English"),
        ("fr", "French", "Français"),
        ("de", "German", "Deutsch"),
        ("es", "Spanish", "Español"),
        ("it", "Italian", "Italiano"),
        ("pt-BR", "Portuguese (Brazil)", "Português (Brasil)"),
        ("nl", "Dutch", "Nederlands"),
        ("pl", "Polish", "Polski"),
        ("sv", "Swedish", "Svenska"),
        ("cs", "Czech", "Čeština"),
        ("tr", "Turkish", "Türkçe"),
        ("ja", "Japanese", "日本語"),
        ("ko", "Korean", "한국어"),
        ("zh-Hans", "Chinese (Simplified)", "简体中文"),
        ("zh-Hant", "Chinese (Traditional)", "繁體中文"),
        ("ar", "Arabic", "العربية"),
        ("he", "Hebrew", "עברית"),
    ] {
        assert_eq!(tag(english), language);
        assert_eq!(tag(own), language);
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

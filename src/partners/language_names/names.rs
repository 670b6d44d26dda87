//! Names of the shipped languages, in English and in the language itself, and of regions and scripts beside them.

use super::super::header_match::fold;

/// Languages; names are compared as `header_match::fold` makes them, which drops blanks and hyphens.
const LANGUAGES: [(&str, &str); 24] = [
    ("en", "English"),
    ("fr", "French;Français;Francais"),
    ("de", "German;Deutsch"),
    ("es", "Spanish;Español;Espanol;Castilian;Castellano"),
    ("it", "Italian;Italiano"),
    ("pt", "Portuguese;Português;Portugues"),
    (
        "pt-BR",
        "Brazilian Portuguese;Português brasileiro;Português do Brasil",
    ),
    ("nl", "Dutch;Nederlands"),
    ("nl-BE", "Flemish;Vlaams"),
    ("pl", "Polish;Polski"),
    ("sv", "Swedish;Svenska"),
    ("cs", "Czech;Čeština;Česky"),
    ("tr", "Turkish;Türkçe;Turkce"),
    ("ja", "Japanese;日本語"),
    ("ko", "Korean;한국어;한국말"),
    ("zh", "Chinese;Mandarin;中文;汉语;漢語"),
    (
        "zh-Hans",
        "Simplified Chinese;Chinese Simplified;简体中文;中文简体;简体",
    ),
    (
        "zh-Hant",
        "Traditional Chinese;Chinese Traditional;繁體中文;正體中文;中文繁體;繁體;繁体中文",
    ),
    ("ar", "Arabic;العربية;عربي"),
    ("he", "Hebrew;עברית"),
    ("en-GB", "British English"),
    ("en-US", "American English"),
    ("fr-CA", "Canadian French;Français canadien"),
    ("de-CH", "Swiss German"),
];

/// Regions and scripts in parentheses; others do not change the language.
const REGIONS: [(&str, &str); 34] = [
    ("Hans", "Simplified;简体;简;S"),
    ("Hant", "Traditional;繁體;正體;繁;T"),
    ("AR", "Argentina"),
    ("AT", "Austria;Österreich"),
    ("AU", "Australia"),
    ("BE", "Belgium;België;Belgique;Belgien"),
    ("BR", "Brazil;Brasil"),
    ("CA", "Canada"),
    ("CH", "Switzerland;Schweiz;Suisse;Svizzera"),
    ("CL", "Chile"),
    ("CN", "China;PRC;Mainland China;中国;中国大陆"),
    ("CO", "Colombia"),
    ("CZ", "Czechia;Czech Republic;Česko;Česká republika"),
    ("DE", "Germany;Deutschland"),
    ("EG", "Egypt;مصر"),
    ("ES", "Spain;España"),
    ("FI", "Finland"),
    ("FR", "France"),
    ("GB", "United Kingdom;UK;Great Britain;GB"),
    ("HK", "Hong Kong;Hong Kong SAR;香港"),
    ("IE", "Ireland"),
    ("IL", "Israel;ישראל"),
    ("IT", "Italy;Italia"),
    ("JP", "Japan;日本"),
    ("KR", "Korea;South Korea;대한민국"),
    ("LU", "Luxembourg;Luxemburg"),
    ("MO", "Macao;Macau;Macao SAR;澳門"),
    ("MX", "Mexico;México"),
    ("NL", "Netherlands;Nederland"),
    ("PL", "Poland;Polska"),
    ("PT", "Portugal"),
    ("SE", "Sweden;Sverige"),
    ("TW", "Taiwan;台灣;臺灣"),
    ("US", "United States;United States of America;USA;US"),
];

/// The tag of a language that is named, with a region or script in parentheses if there is one.
pub fn tag_of(text: &str) -> Option<String> {
    let text = text.replace('（', "(").replace('）', ")");
    let (name, inside) = match text.split_once('(') {
        Some((name, inside)) => (name, inside.trim_end().strip_suffix(')')?),
        None => (text.as_str(), ""),
    };
    let mut tag = find(&LANGUAGES, name)?.to_owned();
    let mut regions: Vec<&str> = inside
        .split(',')
        .filter_map(|it| find(&REGIONS, it))
        .collect();
    // A script precedes a region.
    regions.sort_by_key(|it| std::cmp::Reverse(it.len()));
    for region in regions {
        if !tag.contains('-') || region.len() == 2 && tag.len() == 7 {
            tag = format!("{tag}-{region}");
        }
    }
    Some(tag)
}

fn find(table: &[(&'static str, &str)], name: &str) -> Option<&'static str> {
    let name = fold(name);
    let found = table
        .iter()
        .find(|(_, names)| names.split(';').any(|it| fold(it) == name));
    found.map(|(tag, _)| *tag)
}

//! Codes that are mistaken for those of languages.

/// The two-letter languages of the IANA registry (RFC 5646), deprecated ones included.
const REGISTERED: &str = "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy \
    da de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii \
    ik in io is it iu iw ja ji jv jw ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi \
    mk ml mn mo mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd \
    se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa \
    wo xh yi yo za zh zu";

/// Codes that are taken for a language by mistake: of countries (`kr` is Kanuri, but Korea is meant), and the
/// bibliographic ones of ISO 639-2, which are not registered as tags.
const MISTYPED: [(&str, &str); 26] = [
    ("jp", "ja"),
    ("cz", "cs"),
    ("kr", "ko"),
    ("jap", "ja"),
    ("ger", "de"),
    ("fre", "fr"),
    ("cze", "cs"),
    ("dut", "nl"),
    ("chi", "zh"),
    ("gre", "el"),
    ("rum", "ro"),
    ("per", "fa"),
    ("slo", "sk"),
    ("alb", "sq"),
    ("arm", "hy"),
    ("baq", "eu"),
    ("bur", "my"),
    ("geo", "ka"),
    ("ice", "is"),
    ("mac", "mk"),
    ("mao", "mi"),
    ("may", "ms"),
    ("tib", "bo"),
    ("wel", "cy"),
    ("esp", "es"),
    ("ptb", "pt-BR"),
];

/// Codes that are read unchanged although another language is probably meant: `tw` is Twi, `se` Northern Sami,
/// `br` Breton; `cn` and `dk` are none.
const RARELY_MEANT: [(&str, &str); 7] = [
    ("tw", "zh-TW"),
    ("cn", "zh-CN"),
    ("dk", "da"),
    ("se", "sv"),
    ("br", "pt-BR"),
    ("ee", "et"),
    ("si", "sl"),
];

/// Tags of Windows and .NET from before RFC 4646.
const LEGACY: [(&str, &str); 2] = [("zh-chs", "zh-Hans"), ("zh-cht", "zh-Hant")];

/// Whether a two-letter code in lower case is a language.
pub fn is_registered(code: &str) -> bool {
    REGISTERED.split_whitespace().any(|it| it == code)
}

/// The language that is meant by a code in lower case that is none.
pub fn mistyped(code: &str) -> Option<&'static str> {
    find(&MISTYPED, code)
}

/// The language that is probably meant by a code in lower case.
pub fn rarely_meant(code: &str) -> Option<&'static str> {
    find(&RARELY_MEANT, code)
}

/// What a tag of an old program is called today.
pub fn legacy(tag: &str) -> Option<&'static str> {
    find(&LEGACY, &tag.to_lowercase())
}

fn find(table: &[(&str, &'static str)], code: &str) -> Option<&'static str> {
    let found = table.iter().find(|(it, _)| *it == code);
    found.map(|(_, meant)| *meant)
}

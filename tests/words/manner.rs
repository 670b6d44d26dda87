//! What each shipped locale's text is like.

/// The properties of a locale's text.
pub struct Manner {
    pub locale: &'static str,
    /// The names of the portal and of the request's field, either of which a reader may see.
    pub terms: [&'static str; 2],
    /// The quotation marks around a package's name, and around a note.
    pub quotes: [[&'static str; 2]; 2],
    /// All marks that may be used, the apostrophe included.
    pub marks: &'static str,
    /// Words that are the same in English.
    pub shared: &'static [&'static str],
    /// Whether the greeting names the partner. A Czech or Polish greeting does so only with a form of address that
    /// depends on the gender.
    pub greets_by_name: bool,
    /// Whether Microsoft's terms are uncertain.
    pub to_review: bool,
}

/// Quotation marks that are the same around a name and around a note.
const fn marks(open: &'static str, close: &'static str) -> [[&'static str; 2]; 2] {
    [[open, close], [open, close]]
}

/// Every locale that is shipped.
#[rustfmt::skip]
pub const MANNERS: [Manner; 18] = [
    Manner { locale: "ar", terms: ["بوابة My Access", "مبرر العمل (Business justification)"], quotes: marks("«", "»"), marks: "«»", shared: &[], greets_by_name: true, to_review: true },
    Manner { locale: "cs", terms: ["Můj přístup (My Access)", "zdůvodnění (Business justification)"], quotes: marks("„", "“"), marks: "„“", shared: &[], greets_by_name: false, to_review: true },
    Manner { locale: "de", terms: ["Microsoft-Portal „Mein Zugriff“ (My Access)", "geschäftlichen Begründung (Business justification)"], quotes: marks("„", "“"), marks: "„“", shared: &["browser", "link", "normal", "portal"], greets_by_name: true, to_review: false },
    Manner { locale: "en", terms: ["Microsoft’s My Access portal", "business justification"], quotes: marks("“", "”"), marks: "“”’", shared: &[], greets_by_name: true, to_review: false },
    Manner { locale: "es", terms: ["portal Mi acceso (My Access)", "justificación comercial (Business justification)"], quotes: marks("“", "”"), marks: "“”", shared: &["normal", "portal", "use"], greets_by_name: true, to_review: false },
    Manner { locale: "fr", terms: ["portail Mon Accès (My Access)", "justification métier (Business justification)"], quotes: marks("«\u{a0}", "\u{a0}»"), marks: "«»’", shared: &["code", "contact", "justification", "message", "normal", "page"], greets_by_name: true, to_review: false },
    Manner { locale: "he", terms: ["פורטל My Access", "הצדקה עסקית (Business justification)"], quotes: marks("״", "״"), marks: "״", shared: &[], greets_by_name: true, to_review: true },
    Manner { locale: "it", terms: ["portale Accesso personale (My Access)", "motivazione aziendale (Business justification)"], quotes: marks("“", "”"), marks: "“”’", shared: &["account", "browser", "link", "privacy"], greets_by_name: true, to_review: false },
    Manner { locale: "ja", terms: ["マイ アクセス ポータル（My Access）", "業務上の正当な理由（Business justification）"], quotes: marks("「", "」"), marks: "「」", shared: &[], greets_by_name: true, to_review: false },
    Manner { locale: "ko", terms: ["내 액세스(My Access) 포털", "비즈니스 근거(Business justification)"], quotes: [["‘", "’"], ["“", "”"]], marks: "‘’“”", shared: &[], greets_by_name: true, to_review: true },
    Manner { locale: "nl", terms: ["Microsoft-portal ‘Mijn toegang’ (My Access)", "zakelijke reden (Business justification)"], quotes: marks("‘", "’"), marks: "‘’", shared: &["account", "browser", "code", "contact", "link", "open", "portal"], greets_by_name: true, to_review: true },
    Manner { locale: "pl", terms: ["„Mój dostęp” (My Access)", "uzasadnienia biznesowego (Business justification)"], quotes: marks("„", "”"), marks: "„”", shared: &["link", "portal"], greets_by_name: false, to_review: false },
    Manner { locale: "pt-BR", terms: ["portal Meus Acessos (My Access)", "justificativa de negócios (Business justification)"], quotes: marks("“", "”"), marks: "“”", shared: &["link", "normal", "portal", "use"], greets_by_name: true, to_review: false },
    Manner { locale: "pt-PT", terms: ["portal Meu Acesso (My Access)", "justificação (Business justification)"], quotes: marks("«", "»"), marks: "«»", shared: &["normal", "portal"], greets_by_name: true, to_review: true },
    Manner { locale: "sv", terms: ["portal Min åtkomst (My Access)", "motivering (Business justification)"], quotes: marks("”", "”"), marks: "”", shared: &["portal"], greets_by_name: true, to_review: true },
    Manner { locale: "tr", terms: ["Erişimim (My Access) portal", "iş gerekçesi (Business justification)"], quotes: marks("“", "”"), marks: "“”’", shared: &["normal", "portal"], greets_by_name: true, to_review: true },
    Manner { locale: "zh-Hans", terms: ["“我的访问权限”门户（My Access）", "业务理由（Business justification）"], quotes: marks("“", "”"), marks: "“”", shared: &[], greets_by_name: true, to_review: false },
    Manner { locale: "zh-Hant", terms: ["「我的存取權」入口網站（My Access）", "業務理由（Business justification）"], quotes: marks("「", "」"), marks: "「」", shared: &[], greets_by_name: true, to_review: false },
];

pub fn runs_from_right_to_left(locale: &str) -> bool {
    ["ar", "he"].contains(&locale)
}

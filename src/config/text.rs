//! Texts for the mail, the same for all locales or one for each.

use super::key::Kind;
use super::values::{Value, expected, one_line};
use crate::locale::Locale;

/// A text for all locales, or one for each.
#[derive(Debug)]
pub enum LocalizedText {
    /// The same for all locales.
    Same(String),
    /// By locale.
    ByLocale(Vec<(Locale, String)>),
}

impl LocalizedText {
    /// The text for a mail in `locale`; if none is near, the one for `default`.
    ///
    /// `None` if `default` has none either, which `texts` refuses.
    #[must_use]
    pub fn in_locale(&self, locale: &Locale, default: &Locale) -> Option<&str> {
        let texts = match self {
            Self::Same(text) => return Some(text),
            Self::ByLocale(texts) => texts,
        };
        let locales: Vec<_> = texts.iter().map(|(locale, _)| locale.clone()).collect();
        let (found, _) = locale
            .nearest(&locales)
            .or_else(|| default.nearest(&locales))?;
        texts
            .iter()
            .find(|(locale, _)| locale == found)
            .map(|(_, text)| text.as_str())
    }
}

/// A text, or a table of texts by locale that has one for the default locale.
pub fn texts(default: &Locale) -> Value<'_, LocalizedText> {
    Value::new(Kind::Texts, move |value| {
        let Some(table) = value.as_table() else {
            return match value.as_str() {
                Some(_) => one_line(value).map(LocalizedText::Same),
                None => Err(expected(&Kind::Texts, value)),
            };
        };
        let mut texts = Vec::new();
        for (tag, value) in table {
            let locale =
                Locale::parse(tag.get_ref()).map_err(|error| format!("by locale: {error}"))?;
            let text =
                one_line(value.get_ref()).map_err(|error| format!("for {locale} {error}"))?;
            texts.push((locale, text));
        }
        let texts = LocalizedText::ByLocale(texts);
        match texts.in_locale(default, default) {
            Some(_) => Ok(texts),
            None => Err(format!("has no text for the default locale `{default}`")),
        }
    })
}

//! Texts for the mail, the same for all locales or one for each.

use toml::de::DeValue;

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
    /// Whether a mail in `locale` has a text of its own.
    #[must_use]
    pub fn has(&self, locale: &Locale) -> bool {
        self.nearest(locale).is_some()
    }

    /// The text for a mail in `locale`; if none is near, the one for `default`.
    ///
    /// `None` if `default` has none either, which `texts` refuses.
    #[must_use]
    pub fn in_locale(&self, locale: &Locale, default: &Locale) -> Option<&str> {
        self.nearest(locale).or_else(|| self.nearest(default))
    }

    fn nearest(&self, locale: &Locale) -> Option<&str> {
        let texts = match self {
            Self::Same(text) => return Some(text),
            Self::ByLocale(texts) => texts,
        };
        let locales: Vec<_> = texts.iter().map(|(locale, _)| locale.clone()).collect();
        let (found, _) = locale.nearest(&locales)?;
        let text = texts.iter().find(|(locale, _)| locale == found);
        text.map(|(_, text)| text.as_str())
    }
}

/// A text of one line, or a table of such texts by locale that has one for the default locale.
pub fn texts(default: &Locale) -> Value<'_, LocalizedText> {
    by_locale(default, one_line)
}

/// As [`texts`], but a text may have several lines.
pub fn paragraphs(default: &Locale) -> Value<'_, LocalizedText> {
    by_locale(default, lines)
}

/// The lines of a text, trimmed, without blank ones at its ends.
fn lines(value: &DeValue<'_>) -> Result<String, String> {
    /// More than this is no footer.
    const LIMIT: usize = 2_000;
    let Some(text) = value.as_str().filter(|it| !it.trim().is_empty()) else {
        return one_line(value);
    };
    let lines: Vec<&str> = text.trim().lines().map(str::trim).collect();
    let text = lines.join("\n");
    if text.chars().count() > LIMIT {
        return Err(format!("must have at most {LIMIT} characters"));
    }
    match text.chars().find(|it| it.is_control() && *it != '\n') {
        Some(control) => Err(format!(
            "must not contain control characters other than line breaks; remove U+{:04X}",
            u32::from(control)
        )),
        None => Ok(text),
    }
}

fn by_locale(
    default: &Locale,
    read: fn(&DeValue<'_>) -> Result<String, String>,
) -> Value<'_, LocalizedText> {
    Value::new(Kind::Texts, move |value| {
        let Some(table) = value.as_table() else {
            return match value.as_str() {
                Some(_) => read(value).map(LocalizedText::Same),
                None => Err(expected(&Kind::Texts, value)),
            };
        };
        let mut texts = Vec::new();
        for (tag, value) in table {
            let locale = Locale::parse(tag.get_ref()).map_err(|error| {
                // A missing quote can make a secret part of a quoted key.
                let of_a_tag = |it: char| it.is_alphanumeric() || matches!(it, '_' | '-');
                if tag.get_ref().chars().all(of_a_tag) {
                    format!("by locale: {error}")
                } else {
                    "by locale: a key in quotes is not a language tag such as `fr`, `pt-BR` or `zh-Hans`"
                        .to_owned()
                }
            })?;
            let text = read(value.get_ref()).map_err(|error| format!("for {locale} {error}"))?;
            texts.push((locale, text));
        }
        let texts = LocalizedText::ByLocale(texts);
        match texts.in_locale(default, default) {
            Some(_) => Ok(texts),
            None => Err(format!("has no text for the default locale `{default}`")),
        }
    })
}

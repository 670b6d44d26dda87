//! Language tags, and the nearest available locale for a requested one.
//!
//! Tags are BCP 47, canonicalised by CLDR's aliases. The search tries the most exact match first
//! and returns how it matched, so that a preview can show `fr-CA → fr`.

use std::fmt;

use icu_locale::fallback::LocaleFallbacker;
use icu_locale::subtags::region;
use icu_locale::{LanguageIdentifier, LocaleCanonicalizer, LocaleDirectionality, LocaleExpander};

/// A language, with script and region if given, in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Locale(LanguageIdentifier);

/// A text that is not a BCP 47 language tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a language tag such as `fr`, `pt-BR` or `zh-Hans`")]
pub struct NotALocale(String);

/// How a template matches a requested locale, the most exact first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum MatchKind {
    /// The template is for exactly this locale.
    Exact,
    /// CLDR names it as a parent: `fr-CA` → `fr`.
    Parent,
    /// Same language and script: `zh-CN` → `zh-Hans`.
    #[strum(serialize = "script")]
    SameScript,
}

impl Locale {
    /// Parses a tag; `_` is read as `-`, as in `fr_FR`.
    ///
    /// # Errors
    /// If it is not a well-formed tag of at most 35 characters that names a language.
    pub fn parse(text: &str) -> Result<Self, NotALocale> {
        let error = || NotALocale(text.chars().take(40).collect());
        if text.len() > 35 {
            return Err(error());
        }
        let tag = text.replace('_', "-");
        let mut locale = icu_locale::Locale::try_from_str(&tag).map_err(|_| error())?;
        LocaleCanonicalizer::new_extended().canonicalize(&mut locale);
        if locale.id.language.is_unknown() {
            return Err(error());
        }
        Ok(Self(locale.id))
    }

    /// Whether a tag is a CLDR alias of the locale that it is parsed as: `iw` for `he`.
    #[must_use]
    pub fn is_alias(tag: &str) -> bool {
        let written = icu_locale::Locale::try_from_str(&tag.replace('_', "-"));
        let read = Self::parse(tag);
        matches!((written, read), (Ok(written), Ok(read)) if written.id != read.0)
    }

    /// The nearest of `available`, and how it matches.
    #[must_use]
    pub fn nearest<'a>(&self, available: &'a [Self]) -> Option<(&'a Self, MatchKind)> {
        if let Some(exact) = available.iter().find(|it| *it == self) {
            return Some((exact, MatchKind::Exact));
        }
        let fallbacker = LocaleFallbacker::new();
        let mut chain = fallbacker
            .for_config(icu_locale::fallback::LocaleFallbackConfig::default())
            .fallback_for((&self.0).into());
        while !chain.get().is_unknown() {
            let parent = chain.get().into_locale().id;
            if let Some(found) = available.iter().find(|it| it.0 == parent) {
                return Some((found, MatchKind::Parent));
            }
            chain.step();
        }
        let wanted = self.maximized();
        let usual = Self((wanted.language, wanted.script, None).into()).maximized();
        available
            .iter()
            .map(|it| (it, it.maximized()))
            .filter(|(_, it)| it.language == wanted.language && it.script == wanted.script)
            // Of several regions, the requested one, else the most common one: `de-AT` → `de-DE`.
            .min_by_key(|(_, it)| (it.region != wanted.region, it.region != usual.region))
            .map(|(found, _)| (found, MatchKind::SameScript))
    }

    /// `rtl` for right-to-left scripts, otherwise `ltr`.
    #[must_use]
    pub fn direction(&self) -> &'static str {
        if LocaleDirectionality::new_extended().is_right_to_left(&self.0) {
            "rtl"
        } else {
            "ltr"
        }
    }

    /// The tag with its likely script and region.
    fn maximized(&self) -> LanguageIdentifier {
        let mut full = self.0.clone();
        LocaleExpander::new_extended().maximize(&mut full);
        full
    }

    /// A date in the long form of this locale; in ISO form if CLDR has no data for it.
    #[must_use]
    pub fn write_date(&self, date: jiff::civil::Date) -> String {
        use icu_datetime::{DateTimeFormatter, fieldsets::YMD, input::Date};

        let iso = Date::try_new_iso(
            date.year().into(),
            date.month().unsigned_abs(),
            date.day().unsigned_abs(),
        );
        let formatter = DateTimeFormatter::try_new(
            icu_locale::Locale::from(self.0.clone()).into(),
            YMD::long(),
        );
        let (Ok(iso), Ok(formatter)) = (iso, formatter) else {
            return date.to_string();
        };
        let written = formatter.format(&iso).to_string();
        // CLDR's pattern has no ordinals, which these languages use for the first of a month.
        let ordinal = match self.0.language.as_str() {
            "fr" => "1er",
            "it" => "1º",
            "pt" if self.maximized().region == Some(region!("BR")) => "1º",
            _ => return written,
        };
        match written.strip_prefix("1 ") {
            Some(rest) => format!("{ordinal} {rest}"),
            None => written,
        }
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests;

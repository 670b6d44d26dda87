//! Languages: which one a partner asked for, and which of ours comes nearest.
//!
//! Tags are BCP 47, canonicalised by CLDR's aliases. The search goes from the
//! surest to the vaguest step and says which one it took, so that a preview can
//! show `fr-CA → fr` instead of surprising anybody.

use std::fmt;

use icu_locale::fallback::LocaleFallbacker;
use icu_locale::{LanguageIdentifier, LocaleCanonicalizer, LocaleDirectionality, LocaleExpander};

/// A language, perhaps with script and region, in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Locale(LanguageIdentifier);

/// A text that is not a BCP 47 language tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a language tag such as `fr`, `pt-BR` or `zh-Hans`")]
pub struct NotALocale(String);

/// How a template was found for a wanted locale, from the surest to the vaguest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The template is for exactly this locale.
    Exact,
    /// CLDR names it as a parent: `fr-CA` → `fr`.
    Parent,
    /// Same language and script: `zh-CN` → `zh-Hans`.
    SameScript,
}

impl Locale {
    /// Reads a tag; `_` is taken for `-`, as in `fr_FR`.
    ///
    /// # Errors
    /// When it is not a well-formed tag of at most 35 characters that names a language.
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

    /// The nearest of `available`, with the step that found it.
    #[must_use]
    pub fn nearest<'a>(&self, available: &'a [Self]) -> Option<(&'a Self, Step)> {
        if let Some(exact) = available.iter().find(|it| *it == self) {
            return Some((exact, Step::Exact));
        }
        let fallbacker = LocaleFallbacker::new();
        let mut chain = fallbacker
            .for_config(icu_locale::fallback::LocaleFallbackConfig::default())
            .fallback_for((&self.0).into());
        while !chain.get().is_unknown() {
            let parent = chain.get().into_locale().id;
            if let Some(found) = available.iter().find(|it| it.0 == parent) {
                return Some((found, Step::Parent));
            }
            chain.step();
        }
        let wanted = self.maximized();
        available
            .iter()
            .find(|it| {
                let ours = it.maximized();
                ours.language == wanted.language && ours.script == wanted.script
            })
            .map(|found| (found, Step::SameScript))
    }

    /// `rtl` for scripts that run from right to left, else `ltr`.
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

    /// A date as people of this locale write it, with the month as a word.
    ///
    /// Where CLDR has no data for the locale, the ISO form stands in.
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
        match (iso, formatter) {
            (Ok(iso), Ok(formatter)) => formatter.format(&iso).to_string(),
            _ => date.to_string(),
        }
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Locale, Step};

    fn locale(tag: &str) -> Locale {
        Locale::parse(tag).unwrap()
    }

    #[test]
    fn the_nearest_template_is_found_by_parent_and_by_script() {
        let ours = ["ar", "en", "fr", "he", "pt-BR", "zh-Hans", "zh-Hant"].map(locale);
        let table = [
            ("fr", Some(("fr", Step::Exact))),
            ("fr_FR", Some(("fr", Step::Parent))),
            ("FR-ca", Some(("fr", Step::Parent))),
            ("en-AU", Some(("en", Step::Parent))),
            ("iw", Some(("he", Step::Exact))),
            ("ar-EG", Some(("ar", Step::Parent))),
            ("pt", Some(("pt-BR", Step::SameScript))),
            ("pt-PT", Some(("pt-BR", Step::SameScript))),
            ("zh-CN", Some(("zh-Hans", Step::SameScript))),
            ("zh-TW", Some(("zh-Hant", Step::Parent))),
            ("zh-HK", Some(("zh-Hant", Step::Parent))),
            ("zh", Some(("zh-Hans", Step::SameScript))),
            ("de", None),
            ("ja-JP", None),
        ];

        for (wanted, expected) in table {
            let found = locale(wanted).nearest(&ours);
            let found = found.map(|(locale, step)| (locale.to_string(), step));
            let expected = expected.map(|(tag, step)| (tag.to_owned(), step));
            assert_eq!(found, expected, "{wanted}");
        }
    }

    #[test]
    fn what_is_not_a_tag_is_refused() {
        for text in [
            "",
            "f",
            "french please",
            "../../etc",
            "de/../en",
            "und",
            "12",
        ] {
            assert!(Locale::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn dates_and_direction_follow_the_locale() {
        let date = jiff::civil::date(2099, 12, 31);

        assert_eq!(locale("en").write_date(date), "December 31, 2099");
        assert_eq!(locale("fr").write_date(date), "31 décembre 2099");
        assert_eq!(locale("ja").write_date(date), "2099年12月31日");
        assert_eq!(locale("ar").direction(), "rtl");
        assert_eq!(locale("he-IL").direction(), "rtl");
        assert_eq!(locale("fr").direction(), "ltr");
    }

    proptest! {
        #[test]
        fn a_tag_read_back_is_the_same_tag(text in "[a-zA-Z]{2,3}([-_][A-Za-z]{4})?([-_][A-Za-z]{2})?") {
            if let Ok(locale) = Locale::parse(&text) {
                prop_assert_eq!(Locale::parse(&locale.to_string()).unwrap(), locale);
            }
        }
    }
}

//! The language in a cell, as people and programs write it: a tag, a POSIX locale, or a name such as
//! `Français` or `Portuguese (Brazil)`.

mod codes;
mod names;

use icu_locale::subtags::{Region, language};
use icu_locale::{LanguageIdentifier, LocaleExpander};

use super::invisible::trim_invisible;
use crate::locale::Locale;

/// A language as it was read from a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanguageCell {
    /// The language.
    pub locale: Locale,
    /// The tag that was probably meant, if the one in the cell is rarely used: `zh-TW` for `tw`, which is Twi.
    pub probably: Option<String>,
}

/// Why a cell names no language.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LanguageError {
    /// No tag and no known name.
    #[error(
        "it is neither a language tag such as `fr`, `pt-BR` or `zh-Hans` nor the name of a language that is shipped"
    )]
    Unknown,
    /// A tag that is no registered language, or hardly ever meant.
    #[error("`{written}` is not the tag of that language; did you mean `{meant}`?")]
    Mistyped {
        /// The language in the cell.
        written: String,
        /// What was probably meant.
        meant: String,
    },
    /// A tag that is no registered language, without a likely one.
    #[error("`{0}` is not a registered language (ISO 639-1)")]
    Unregistered(String),
}

impl LanguageCell {
    /// Reads a cell.
    ///
    /// # Errors
    /// If it names no language, or a tag that is registered for none.
    pub fn read(cell: &str) -> Result<Self, LanguageError> {
        let (text, _) = trim_invisible(cell);
        if let Some(tag) = names::tag_of(text) {
            return Self::certain(&tag);
        }
        let tag = without_posix(text);
        let mut subtags = tag.splitn(2, '-');
        let primary = subtags.next().unwrap_or_default().to_lowercase();
        let rest = subtags.next();
        if let Some(tag) = codes::legacy(&tag) {
            return Self::certain(tag);
        }
        let meant = |language: &str| match rest {
            Some(rest) => format!("{language}-{rest}"),
            None => language.to_owned(),
        };
        if let Some(language) = codes::mistyped(&primary) {
            return Err(LanguageError::Mistyped {
                meant: meant(language),
                written: primary,
            });
        }
        let locale = Locale::parse(&tag).map_err(|_| LanguageError::Unknown)?;
        let probably = codes::rarely_meant(&primary).map(str::to_owned);
        if probably.is_none() && primary.len() == 2 && !codes::is_registered(&primary) {
            return Err(match language_of_region(&primary) {
                Some(meant) => LanguageError::Mistyped {
                    meant,
                    written: primary,
                },
                None => LanguageError::Unregistered(primary),
            });
        }
        Ok(Self { locale, probably })
    }

    fn certain(tag: &str) -> Result<Self, LanguageError> {
        let locale = Locale::parse(tag).map_err(|_| LanguageError::Unknown)?;
        Ok(Self {
            locale,
            probably: None,
        })
    }
}

/// A POSIX locale (`fr_FR.UTF-8`, `sr_RS@latin`) as a tag; any other text with `-` for `_`.
fn without_posix(text: &str) -> String {
    let (name, modifier) = text.split_once('@').unwrap_or((text, ""));
    let (name, _) = name.split_once('.').unwrap_or((name, ""));
    let tag = name.replace('_', "-");
    let script = match modifier {
        "latin" => "-Latn",
        "cyrillic" => "-Cyrl",
        _ => return tag,
    };
    match tag.split_once('-') {
        Some((language, region)) => format!("{language}{script}-{region}"),
        None => tag + script,
    }
}

/// The usual language of a region, by CLDR's likely subtags: `ja` for `jp`, `de-AT` for `at`.
fn language_of_region(code: &str) -> Option<String> {
    let region = Region::try_from_str(code).ok()?;
    let expander = LocaleExpander::new_extended();
    let mut locale = LanguageIdentifier {
        region: Some(region),
        ..LanguageIdentifier::UNKNOWN
    };
    // CLDR leaves out English, which is what it takes for an unknown region, too.
    if ["us", "gb", "au", "nz", "ie", "ca", "za"].contains(&code) {
        locale.language = language!("en");
    }
    expander.maximize(&mut locale);
    if locale.language.is_unknown() {
        return None;
    }
    expander.minimize(&mut locale);
    Some(locale.to_string())
}

#[cfg(test)]
mod tests;

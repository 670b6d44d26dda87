//! `[templates]`: where the templates are, and the default locale.

use std::path::{Path, PathBuf};

use super::reader::Section;
use super::values::{choice, locale, path};
use crate::locale::Locale;

/// Where the templates are.
#[derive(Debug)]
pub struct TemplateFolder {
    /// The folder with `layout.html` and one folder a locale.
    pub directory: PathBuf,
    /// For rows without a locale.
    pub default_locale: Locale,
    /// For rows with a locale without a template.
    pub missing_locale: MissingLocale,
    /// Whether each locale needs the templates of a reminder, because `[reminders]` is configured.
    pub with_reminders: bool,
    /// The images that the templates may show, each with its key: those of `[brand]`.
    pub images: Vec<(&'static str, PathBuf)>,
}

/// What to do with a row whose locale has no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MissingLocale {
    /// Use the default locale.
    Default,
    /// The row is bad.
    Refuse,
}

impl TemplateFolder {
    pub(super) fn read(section: &mut Section<'_>, folder: &Path) -> Self {
        let missing_locale = [
            ("default", MissingLocale::Default),
            ("refuse", MissingLocale::Refuse),
        ];
        Self {
            directory: section
                .key("directory", "`layout.html` and one folder for each locale")
                .or("\"templates\"", path(folder)),
            default_locale: section
                .key("default_locale", "for rows without a locale")
                .or("\"en\"", locale()),
            missing_locale: section
                .key(
                    "missing_locale",
                    "or \"refuse\": a locale without a template makes the row bad",
                )
                .or("\"default\"", choice(&missing_locale)),
            with_reminders: false,
            images: Vec::new(),
        }
    }
}

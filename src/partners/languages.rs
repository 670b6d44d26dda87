//! The languages that the list asks for, and how many partners ask for each.

use std::collections::BTreeMap;

use super::error::ListError;
use super::list::Partners;
use super::row::{self, LanguageCache, Rules};
use crate::locale::Locale;

/// The most different tags; a column with more is no list of languages.
const TAGS: usize = 1_000;

/// A language tag of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedLanguage {
    /// The cell; none if it is empty.
    pub tag: Option<String>,
    /// The locale that it means.
    pub locale: Option<Locale>,
    /// How many partners ask for it.
    pub partners: u64,
    /// Whether it has no template, and that makes these rows bad.
    pub refused: bool,
}

impl Partners {
    /// The languages of the good rows, and those that rows are refused for, the most frequent
    /// first; and how many partners have other tags, beyond the first thousand.
    ///
    /// # Errors
    /// If the copy cannot be read.
    pub fn languages(&self) -> Result<(Vec<RequestedLanguage>, u64), ListError> {
        let mut found: BTreeMap<Option<String>, RequestedLanguage> = BTreeMap::new();
        let mut others = 0;
        let mut cache = LanguageCache::new();
        let lenient = Rules {
            required: None,
            ..self.rules.clone()
        };
        let mut records = self.snapshot.records(self.layout.data_start);
        while let Some(row) = records.next_record()? {
            let Ok(Some(partner)) = row::parse(&self.layout, &row, &lenient, &mut cache) else {
                continue;
            };
            let refused = self.rules.refuses(partner.locale.as_ref());
            if self.bad_lines.contains(&row.line) && !refused {
                continue;
            }
            let tag = self.layout.locale_cell(&row);
            if found.len() == TAGS && !found.contains_key(&tag) {
                others += 1;
                continue;
            }
            let requested = found
                .entry(tag.clone())
                .or_insert_with(|| RequestedLanguage {
                    tag,
                    locale: partner.locale,
                    partners: 0,
                    refused,
                });
            requested.partners += 1;
        }
        let mut languages: Vec<RequestedLanguage> = found.into_values().collect();
        languages.sort_by_key(|it| std::cmp::Reverse(it.partners));
        Ok((languages, others))
    }
}

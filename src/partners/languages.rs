//! Which languages a file asks for, in the words of its cells, and how many partners do.

use std::collections::{BTreeMap, HashMap};

use super::list::Partners;
use super::row;
use crate::exit::{self, Exit, OrExit};
use crate::locale::Locale;

/// How many different tags are told apart; a file of a million different ones is no list of languages.
const TAGS: usize = 1_000;

/// What one tag is, and how many partners have it in their row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedLanguage {
    /// The cell; none where it is empty.
    pub tag: Option<String>,
    /// What it is read as.
    pub locale: Option<Locale>,
    /// How many partners ask for it.
    pub partners: u64,
    /// Whether no template comes near it and that makes these rows bad.
    pub refused: bool,
}

impl Partners {
    /// The languages that the good rows ask for, and those that rows are refused for; the
    /// most frequent first. With it, how many partners have none of the tags told apart.
    ///
    /// # Errors
    /// When the copy cannot be read.
    pub fn languages(&self) -> exit::Result<(Vec<RequestedLanguage>, u64)> {
        let mut found: BTreeMap<Option<String>, RequestedLanguage> = BTreeMap::new();
        let mut others = 0;
        let mut locales = HashMap::new();
        let lenient = self.rules.without_locales();
        let mut rows = self.rows();
        while let Some(row) = rows.next_row().or_exit(Exit::CannotWrite)? {
            let Ok(Some(partner)) = row::parse(&self.layout, &row, &lenient, &mut locales) else {
                continue;
            };
            let refused = self.rules.refuses(partner.locale.as_ref());
            if self.bad_lines.contains(&row.line) && !refused {
                continue;
            }
            let tag = self.layout.locale_cell(&row).map(str::to_owned);
            if let Some(asked) = found.get_mut(&tag) {
                asked.partners += 1;
            } else if found.len() < TAGS {
                let asked = RequestedLanguage {
                    tag: tag.clone(),
                    locale: partner.locale,
                    partners: 1,
                    refused,
                };
                found.insert(tag, asked);
            } else {
                others += 1;
            }
        }
        let mut languages: Vec<RequestedLanguage> = found.into_values().collect();
        languages.sort_by_key(|it| std::cmp::Reverse(it.partners));
        Ok((languages, others))
    }
}

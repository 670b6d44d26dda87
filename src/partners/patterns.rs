//! Where the value of a field comes from: one column, or a pattern such as `{First name} {Last name}`.
//!
//! A pattern is parsed with the configuration and resolved once against the header of the list.

use std::borrow::Cow;

use super::header_match::{self, HeaderError};
use crate::config::{Pattern, PatternPart};

/// The columns of a list that make up the value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellSource {
    parts: Vec<PatternPart<usize>>,
}

impl CellSource {
    /// Finds the columns of a pattern in the header of a list.
    ///
    /// # Errors
    /// If the list lacks one, or has several that a header could mean.
    pub fn resolve(pattern: &Pattern, headers: &[String]) -> Result<Self, HeaderError> {
        let parts = pattern.parts().iter().map(|part| {
            Ok(match part {
                PatternPart::Text(text) => PatternPart::Text(text.clone()),
                PatternPart::Column(header) => {
                    PatternPart::Column(header_match::find(headers, header)?)
                }
            })
        });
        let parts = parts.collect::<Result<_, HeaderError>>()?;
        Ok(Self { parts })
    }

    /// The place of its column, if it is one alone.
    #[must_use]
    pub fn only_column(&self) -> Option<usize> {
        match self.parts.as_slice() {
            [PatternPart::Column(place)] => Some(*place),
            _ => None,
        }
    }

    /// The cells of one column.
    #[must_use]
    pub fn column(place: usize) -> Self {
        Self {
            parts: vec![PatternPart::Column(place)],
        }
    }

    /// The cells of two columns, with a blank between them.
    #[must_use]
    pub fn joined(first: usize, second: usize) -> Self {
        Self {
            parts: vec![
                PatternPart::Column(first),
                PatternPart::Text(" ".into()),
                PatternPart::Column(second),
            ],
        }
    }

    /// The places of its columns, in the order of the pattern.
    pub fn columns(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().filter_map(|it| match it {
            PatternPart::Column(place) => Some(*place),
            PatternPart::Text(_) => None,
        })
    }

    /// The value in a row, trimmed.
    ///
    /// In a pattern, runs of blanks become one. If cells are empty, commas and semicolons at the ends
    /// go, too; if all are empty, the value is empty, whatever the text around them is.
    #[must_use]
    pub fn value<'a>(&self, cells: &'a [String]) -> Cow<'a, str> {
        let cell = |place: usize| cells.get(place).map_or("", |it| it.trim());
        if let [PatternPart::Column(place)] = self.parts.as_slice() {
            return Cow::Borrowed(cell(*place));
        }
        let filled = self.columns().filter(|it| !cell(*it).is_empty()).count();
        if filled == 0 {
            return Cow::Borrowed("");
        }
        let mut joined = String::new();
        for part in &self.parts {
            joined.push_str(match part {
                PatternPart::Text(text) => text,
                PatternPart::Column(place) => cell(*place),
            });
        }
        let words: Vec<&str> = joined.split_whitespace().collect();
        let value = words.join(" ");
        if filled == self.columns().count() {
            return Cow::Owned(value);
        }
        let dangling = |it: char| it.is_whitespace() || matches!(it, ',' | ';');
        Cow::Owned(value.trim_matches(dangling).to_owned())
    }

    /// The header, or the pattern, for people.
    #[must_use]
    pub fn describe(&self, headers: &[String]) -> String {
        let header = |place: usize| headers.get(place).map_or("", |it| it.trim());
        if let [PatternPart::Column(place)] = self.parts.as_slice() {
            return header(*place).to_owned();
        }
        let escaped = |text: &str| text.replace('{', "{{").replace('}', "}}");
        self.parts
            .iter()
            .map(|part| match part {
                PatternPart::Text(text) => escaped(text),
                PatternPart::Column(place) => format!("{{{}}}", header(*place)),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CellSource, HeaderError, Pattern};

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|it| (*it).to_owned()).collect()
    }

    fn source(pattern: &str) -> CellSource {
        let headers = strings(&["Title", "First name", "Last name", "a {b}"]);
        CellSource::resolve(&Pattern::parse(pattern).unwrap(), &headers).unwrap()
    }

    #[test]
    fn patterns_join_cells_and_close_gaps() {
        let full = ["Dr.", " Ada ", "Lovelace", "x"];
        let table = [
            ("First name", full, "Ada"),
            ("first_name", full, "Ada"),
            ("{First name}", full, "Ada"),
            ("{First name} {Last name}", full, "Ada Lovelace"),
            ("{Title} {first-name} {LAST NAME}", full, "Dr. Ada Lovelace"),
            (
                "{Title} {First name} {Last name}",
                ["", "Ada", "", ""],
                "Ada",
            ),
            (
                "{Title} {First name} {Last name}",
                ["Dr.", "", "Lovelace", ""],
                "Dr. Lovelace",
            ),
            ("{Last name}, {First name}", full, "Lovelace, Ada"),
            (
                "{Last name}, {First name}",
                ["", "", "Lovelace", ""],
                "Lovelace",
            ),
            ("{Last name}, {First name}", ["", "Ada", "", ""], "Ada"),
            ("Dear {First name}", ["Dr.", "", "", ""], ""),
            ("{{{First name}}}", full, "{Ada}"),
            ("a {{b}}", full, "x"),
        ];

        for (pattern, cells, expected) in table {
            assert_eq!(
                source(pattern).value(&strings(&cells)),
                expected,
                "{pattern} {cells:?}"
            );
        }
        // A row may be shorter than the header.
        let short = strings(&["Dr.", "Ada"]);
        assert_eq!(source("{First name} {Last name}").value(&short), "Ada");
    }

    #[test]
    fn a_header_that_the_list_lacks_is_refused() {
        let headers = strings(&["First name", "Last name"]);

        let pattern = Pattern::parse("{First name} {Lastname 2}").unwrap();
        let error = CellSource::resolve(&pattern, &headers).unwrap_err();

        let expected = HeaderError::Unknown("Lastname 2".into());
        assert_eq!(error, expected);
    }

    #[test]
    fn a_source_describes_itself_as_it_can_be_configured() {
        let headers = strings(&["Title", "First name", "Last name", "a {b}"]);

        assert_eq!(source("first-name").describe(&headers), "First name");
        let described = source("{{ {first-name} {Last name}").describe(&headers);
        assert_eq!(described, "{{ {First name} {Last name}");
        assert_eq!(source(&described), source("{{ {First name} {Last name}"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_pattern_or_an_error(text in "[a{} ]{0,12}", cell in any::<String>()) {
            if let Ok(pattern) = Pattern::parse(&text)
                && let Ok(source) = CellSource::resolve(&pattern, &strings(&["a", "aa"]))
            {
                let value = source.value(&[cell]).into_owned();
                prop_assert_eq!(value.trim(), &value);
            }
        }
    }
}

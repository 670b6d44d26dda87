//! Where the value of a field comes from: one column, or a pattern such as `{First name} {Last name}`.
//!
//! A pattern is parsed with the configuration and resolved once against the header of the list.

use std::borrow::Cow;

use super::header_match::{self, HeaderError};

/// A header or a pattern, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part<String>>,
}

/// A part of a pattern; columns by header or by place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part<C> {
    Text(String),
    Column(C),
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// `{Name`.
    #[error("a `{{` has no `}}`; write a header in braces, or `{{{{` for a brace")]
    Unclosed,
    /// `Name}`.
    #[error("a `}}` has no `{{`; write a header in braces, or `}}}}` for a brace")]
    Unopened,
    /// `{}` or `{ }`.
    #[error("there is no header between `{{` and `}}`")]
    NoHeader,
    /// Nothing, or text without any header.
    #[error("it names no column")]
    NoColumn,
}

impl Pattern {
    /// Parses a header, or a pattern with headers in braces. `{{` and `}}` stand for braces.
    ///
    /// # Errors
    /// If braces are not paired or no column is named.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut has_column = false;
        let mut rest = text;
        while let Some(place) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(place);
            literal.push_str(before);
            if let Some(after) = brace.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = brace.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else if let Some(inside) = brace.strip_prefix('{') {
                let (header, after) = inside.split_once('}').ok_or(PatternError::Unclosed)?;
                if header.contains('{') {
                    return Err(PatternError::Unclosed);
                }
                if header.trim().is_empty() {
                    return Err(PatternError::NoHeader);
                }
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(Part::Column(header.trim().to_owned()));
                has_column = true;
                rest = after;
            } else {
                return Err(PatternError::Unopened);
            }
        }
        literal.push_str(rest);
        if !has_column {
            if literal.trim().is_empty() {
                return Err(PatternError::NoColumn);
            }
            // Without a header in braces, the whole text is a header.
            let header = literal.trim().to_owned();
            return Ok(Self {
                parts: vec![Part::Column(header)],
            });
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    /// Finds the columns of the pattern in the header of a list.
    ///
    /// # Errors
    /// If the list lacks one, or has several that a header could mean.
    pub fn resolve(&self, headers: &[String]) -> Result<CellSource, HeaderError> {
        let mut parts = Vec::new();
        for part in &self.parts {
            parts.push(match part {
                Part::Text(text) => Part::Text(text.clone()),
                Part::Column(header) => Part::Column(header_match::find(headers, header)?),
            });
        }
        Ok(CellSource { parts })
    }
}

/// The columns of a list that make up the value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellSource {
    parts: Vec<Part<usize>>,
}

impl CellSource {
    /// The cells of one column.
    #[must_use]
    pub fn column(place: usize) -> Self {
        Self {
            parts: vec![Part::Column(place)],
        }
    }

    /// The cells of two columns, with a blank between them.
    #[must_use]
    pub fn joined(first: usize, second: usize) -> Self {
        Self {
            parts: vec![
                Part::Column(first),
                Part::Text(" ".into()),
                Part::Column(second),
            ],
        }
    }

    /// The places of its columns, in the order of the pattern.
    pub fn columns(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().filter_map(|it| match it {
            Part::Column(place) => Some(*place),
            Part::Text(_) => None,
        })
    }

    /// The value in a row, trimmed.
    ///
    /// In a pattern, runs of blanks become one. If cells are empty, commas and semicolons at the ends
    /// go, too; if all are empty, the value is empty, whatever text stands around them.
    #[must_use]
    pub fn value<'a>(&self, cells: &'a [String]) -> Cow<'a, str> {
        let cell = |place: usize| cells.get(place).map_or("", |it| it.trim());
        if let [Part::Column(place)] = self.parts.as_slice() {
            return Cow::Borrowed(cell(*place));
        }
        let filled = self.columns().filter(|it| !cell(*it).is_empty()).count();
        if filled == 0 {
            return Cow::Borrowed("");
        }
        let mut joined = String::new();
        for part in &self.parts {
            joined.push_str(match part {
                Part::Text(text) => text,
                Part::Column(place) => cell(*place),
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
        if let [Part::Column(place)] = self.parts.as_slice() {
            return header(*place).to_owned();
        }
        let escaped = |text: &str| text.replace('{', "{{").replace('}', "}}");
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => escaped(text),
                Part::Column(place) => format!("{{{}}}", header(*place)),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CellSource, HeaderError, Pattern, PatternError};

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|it| (*it).to_owned()).collect()
    }

    fn source(pattern: &str) -> CellSource {
        let headers = strings(&["Title", "First name", "Last name", "a {b}"]);
        Pattern::parse(pattern).unwrap().resolve(&headers).unwrap()
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
    fn malformed_patterns_are_refused() {
        for (pattern, error) in [
            ("{First name", PatternError::Unclosed),
            ("{First {Last name}", PatternError::Unclosed),
            ("First name}", PatternError::Unopened),
            ("{First name} }", PatternError::Unopened),
            ("{}", PatternError::NoHeader),
            ("{ } x", PatternError::NoHeader),
            ("", PatternError::NoColumn),
            ("  ", PatternError::NoColumn),
        ] {
            assert_eq!(Pattern::parse(pattern), Err(error), "{pattern}");
        }
    }

    #[test]
    fn a_header_that_the_list_lacks_is_refused_with_the_nearest() {
        let headers = strings(&["First name", "Last name"]);

        let error = Pattern::parse("{First name} {Lastname 2}")
            .unwrap()
            .resolve(&headers)
            .unwrap_err();

        let expected = HeaderError::Unknown {
            wanted: "Lastname 2".into(),
            nearest: Some("Last name".into()),
        };
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
                && let Ok(source) = pattern.resolve(&strings(&["a", "aa"]))
            {
                let value = source.value(&[cell]).into_owned();
                prop_assert_eq!(value.trim(), &value);
            }
        }
    }
}

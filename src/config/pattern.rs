//! A value of `partners.columns`: a header, or a pattern such as `{First name} {Last name}`.

/// A header or a pattern, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<PatternPart<String>>,
}

/// A part of a pattern; columns by header or by place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternPart<C> {
    /// Literal text.
    Text(String),
    /// The cell of a column.
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
    /// Parses a header, or a pattern with headers in braces. `{{` and `}}` are literal braces.
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
                    parts.push(PatternPart::Text(std::mem::take(&mut literal)));
                }
                parts.push(PatternPart::Column(header.trim().to_owned()));
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
                parts: vec![PatternPart::Column(header)],
            });
        }
        if !literal.is_empty() {
            parts.push(PatternPart::Text(literal));
        }
        Ok(Self { parts })
    }

    /// Its parts, in their order.
    #[must_use]
    pub fn parts(&self) -> &[PatternPart<String>] {
        &self.parts
    }

    /// The header, if it is one alone.
    #[must_use]
    pub fn only_header(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [PatternPart::Column(header)] => Some(header),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pattern, PatternError};

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
}

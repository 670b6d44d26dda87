//! Types of values: from TOML to a final type, or what was expected.
//!
//! An error is the second half of a message that begins with the key: "must be a list, not a
//! table".

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Span, SpanRelativeTo};
use toml::Spanned;
use toml::de::DeValue;

use super::key::Kind;
use crate::locale::Locale;

/// The type of a value, and how it is read.
pub struct Value<'r, T> {
    /// The type for messages.
    pub kind: Kind,
    /// Returns the value, or what was expected.
    pub read: ReadValue<'r, T>,
}

/// A function that reads a value.
pub type ReadValue<'r, T> = Box<dyn Fn(&DeValue<'_>) -> Result<T, String> + 'r>;

impl<'r, T: 'r> Value<'r, T> {
    /// A type whose reader describes its errors.
    pub fn new(kind: Kind, read: impl Fn(&DeValue<'_>) -> Result<T, String> + 'r) -> Self {
        let read = Box::new(read);
        Self { kind, read }
    }

    /// A type whose only error is that the value does not belong to it.
    pub fn of_kind(kind: Kind, read: impl Fn(&DeValue<'_>) -> Option<T> + 'r) -> Self {
        let expected_kind = kind.clone();
        Self::new(kind, move |value| {
            read(value).ok_or_else(|| expected(&expected_kind, value))
        })
    }

    /// The same type with its values converted.
    pub fn map<U: 'r>(self, change: impl Fn(T) -> U + 'r) -> Value<'r, U> {
        let Self { kind, read } = self;
        Value::new(kind, move |value| read(value).map(&change))
    }

    /// The value of a default in TOML.
    pub fn default(&self, toml: &str) -> T {
        let value = DeValue::parse(toml).expect("a default is TOML");
        (self.read)(value.get_ref()).expect("a default is a possible value")
    }
}

/// A text of one line, not blank.
pub fn text<'r>() -> Value<'r, String> {
    Value::new(Kind::Text("a text"), one_line)
}

/// A text of one line that `parse` accepts.
pub fn parsed_text<'r, T: 'r>(
    what: &'static str,
    parse: impl Fn(&str) -> Option<T> + 'r,
) -> Value<'r, T> {
    Value::new(Kind::Text(what), move |value| {
        parse(&one_line(value)?).ok_or_else(|| expected(&Kind::Text(what), value))
    })
}

/// The path of a file, relative to `folder`.
pub fn path(folder: &Path) -> Value<'_, PathBuf> {
    Value::new(Kind::Path, one_line).map(|it| folder.join(it))
}

/// A language tag.
pub fn locale<'r>() -> Value<'r, Locale> {
    Value::new(Kind::Text("a locale"), |value| {
        Locale::parse(&one_line(value)?).map_err(|error| format!("must be a locale: {error}"))
    })
}

/// A whole number within `range`.
pub fn number<'r>(range: RangeInclusive<u32>) -> Value<'r, u32> {
    Value::of_kind(Kind::Number(range.clone()), move |value| {
        let number = value.as_integer()?;
        let number = u32::from_str_radix(number.as_str(), number.radix()).ok()?;
        range.contains(&number).then_some(number)
    })
}

/// The number of a port.
pub fn port<'r>() -> Value<'r, u16> {
    number(1..=65_535).map(|it| u16::try_from(it).expect("the range ends at 65535"))
}

/// A time span of at least a second; a day has 24 hours.
pub fn duration<'r>() -> Value<'r, SignedDuration> {
    Value::of_kind(Kind::TimeSpan, |value| {
        let span: Span = value.as_str()?.parse().ok()?;
        let day = SpanRelativeTo::days_are_24_hours();
        let duration = span.to_duration(day).ok()?;
        (duration >= SignedDuration::from_secs(1)).then_some(duration)
    })
}

/// True or false.
pub fn switch<'r>() -> Value<'r, bool> {
    Value::of_kind(Kind::Switch, |value| match value {
        DeValue::Boolean(truth) => Some(*truth),
        _ => None,
    })
}

/// One of a few words, each with its value.
pub fn choice<'r, T: Copy + 'r>(choices: &'r [(&'static str, T)]) -> Value<'r, T> {
    let words = choices.iter().map(|(word, _)| *word).collect();
    Value::of_kind(Kind::Choice(words), |value| {
        let text = value.as_str()?;
        let chosen = choices.iter().find(|(word, _)| *word == text);
        chosen.map(|(_, choice)| *choice)
    })
}

/// A list of values of one type.
pub fn list<'r, T: 'r>(element: Value<'r, T>) -> Value<'r, Vec<T>> {
    let Value { kind, read } = element;
    let kind = Kind::List(Box::new(kind));
    let expected_kind = kind.clone();
    Value::new(kind, move |value| match value.as_array() {
        Some(list) => list.iter().map(|it| read(it.get_ref())).collect(),
        None => Err(expected(&expected_kind, value)),
    })
}

/// A table of texts, whatever their keys.
pub fn text_table<'r>() -> Value<'r, Vec<(String, String)>> {
    Value::new(Kind::TextTable, |value| {
        let table = value.as_table();
        let table = table.ok_or_else(|| expected(&Kind::TextTable, value))?;
        let text = |(key, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
            let key = key.get_ref().trim();
            let text = one_line(value.get_ref());
            let text = text.map_err(|error| format!("for `{}` {error}", key.escape_debug()))?;
            Ok((key.to_owned(), text))
        };
        table.iter().map(text).collect()
    })
}

/// A text, or a list of texts.
pub fn text_or_list<'r>() -> Value<'r, Vec<String>> {
    let list = list(text());
    Value::new(Kind::TextOrList, move |value| match value {
        DeValue::String(_) => one_line(value).map(|it| vec![it]),
        _ => (list.read)(value),
    })
}

/// Reads a text of one line, not blank.
pub fn one_line(value: &DeValue<'_>) -> Result<String, String> {
    let text = value
        .as_str()
        .ok_or_else(|| expected(&Kind::Text("a text"), value))?;
    if text.trim().is_empty() {
        return Err("must not be empty".into());
    }
    if let Some(control) = text.chars().find(|it| it.is_control()) {
        return Err(format!(
            "must be one line without control characters; remove U+{:04X}",
            u32::from(control)
        ));
    }
    Ok(text.trim().to_owned())
}

/// `must be X, not Y`, with the value found if it is short.
pub fn expected(kind: &Kind, found: &DeValue<'_>) -> String {
    let found = match found {
        DeValue::String(text) if text.len() <= 60 => format!("\"{}\"", text.escape_debug()),
        DeValue::String(_) => "a text of this length".into(),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    };
    format!("must be {kind}, not {found}")
}

/// The message for a value that must not be shown: only the expected type.
pub fn without_value(expectation: &str) -> &str {
    expectation
        .split_once(", not ")
        .map_or(expectation, |(expected, _)| expected)
}

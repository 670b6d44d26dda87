//! The declaration of a key of the configuration.
//!
//! The call that reads a key declares it, so that there is one place to add or change it. Messages,
//! the fingerprint and the test of `config.example.toml` use the declarations.

use std::fmt;
use std::ops::RangeInclusive;

/// The declaration of a key.
#[derive(Clone, Debug)]
pub struct Key {
    /// The key with its tables: `smtp.port`.
    pub path: String,
    /// The type of its value.
    pub kind: Kind,
    /// Whether it must be set.
    pub presence: Presence,
    /// Whether its value names the source of a secret.
    pub secret: bool,
    /// Its purpose, in the words of `config.example.toml`.
    pub description: &'static str,
}

/// Whether a key must be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It must be set.
    Required,
    /// It must be set unless this key of its table is.
    RequiredWithout(&'static str),
    /// It may be unset.
    Optional,
    /// Its default, in TOML.
    Default(&'static str),
}

/// The type of a value. Messages write it after "must be".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text, with a description of its content.
    Text(&'static str),
    /// The path of a file or folder.
    Path,
    /// A time span of at least a second.
    TimeSpan,
    /// A whole number.
    Number(RangeInclusive<u32>),
    /// True or false.
    Switch,
    /// One of these words.
    Choice(Vec<&'static str>),
    /// A TOML date, or the same as a text.
    Date,
    /// A list of values of one type.
    List(Box<Kind>),
    /// A text, or a list of texts.
    TextOrList,
    /// A text, or a table of texts by locale.
    Texts,
    /// A table of texts, whatever their keys.
    TextTable,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(what) => f.write_str(what),
            Self::Path => f.write_str("a text"),
            Self::TimeSpan => f.write_str("a time span such as \"90s\", \"30m\", \"8h\" or \"5d\""),
            Self::Switch => f.write_str("true or false"),
            Self::Number(range) => {
                let (first, last) = (range.start(), range.end());
                write!(f, "a whole number from {first} to {last}")
            }
            Self::Choice(words) => {
                let words: Vec<_> = words.iter().map(|it| format!("{it:?}")).collect();
                f.write_str(&words.join(" or "))
            }
            Self::Date => f.write_str("a date such as 2027-03-31"),
            Self::List(_) => f.write_str("a list"),
            Self::TextOrList => f.write_str("a text or a list of texts"),
            Self::TextTable => f.write_str("a table of texts such as { \"FRA-2\" = \"fr\" }"),
            Self::Texts => f.write_str("a text, or a table of texts by locale"),
        }
    }
}

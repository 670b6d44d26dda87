//! ConfigReader TOML into final types, collecting everything that is wrong.
//!
//! A [`Section`] is asked for its keys one by one. The call names the key, its type, its default
//! and its description; that is the only place where a key is declared. A key in the file that
//! was not asked for is unknown. All errors are reported together, each with its line.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::key::{Key, Kind, Presence};
use super::problems::{NAME_SHOWN, Problems, cut};
use super::secrets::names_a_secret;
use super::values::{Value, expected, without_value};

/// What reading a file brings together: its errors, and the keys that were declared.
#[derive(Default)]
pub struct ConfigReader {
    /// Everything that is wrong.
    pub problems: Problems,
    /// In the order in which they were asked for.
    pub keys: RefCell<Vec<Key>>,
}

/// One table of the file, and which of its keys were asked for.
pub struct Section<'a> {
    name: String,
    table: Option<&'a DeTable<'a>>,
    span: Range<usize>,
    known: Vec<&'static str>,
    reading: &'a ConfigReader,
}

impl<'a> Section<'a> {
    /// The whole file.
    #[must_use]
    pub fn root(file: &'a Spanned<DeTable<'a>>, reading: &'a ConfigReader) -> Self {
        Self {
            name: String::new(),
            table: Some(file.get_ref()),
            span: 0..0,
            known: Vec::new(),
            reading,
        }
    }

    /// A table within, empty where the file has none.
    pub fn section(&mut self, key: &'static str) -> Self {
        let value = self.get(key);
        Self {
            name: self.path(key),
            table: value.and_then(|it| self.table_of(key, it)),
            span: value.map_or(0..0, Spanned::span),
            known: Vec::new(),
            reading: self.reading,
        }
    }

    /// Whether it is not there, or has nothing in it.
    pub fn is_empty(&self) -> bool {
        self.table.is_none_or(DeTable::is_empty)
    }

    /// Whether it has this key.
    pub fn contains(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// How many keys it has.
    pub fn len(&self) -> usize {
        self.table.map_or(0, DeTable::len)
    }

    /// The tables within, whatever they are called: `[packages.x]`.
    pub fn each_section(&mut self) -> Vec<(String, Self)> {
        let Some(table) = self.table else {
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (key, value) in table {
            let name = key.get_ref().to_string();
            let section = Section {
                name: self.path(&name),
                table: self.table_of(&name, value),
                span: key.span(),
                known: Vec::new(),
                reading: self.reading,
            };
            sections.push((name, section));
        }
        sections.sort_by_key(|(_, section)| section.span.start);
        sections
    }

    /// Declares a key; the call that follows says whether it must be set, and reads it.
    pub fn key(&mut self, name: &'static str, description: &'static str) -> Declaration<'_, 'a> {
        Declaration {
            section: self,
            name,
            description,
        }
    }

    /// Adds a problem at a key, or at the section where the key is absent.
    pub fn problem(&mut self, key: &'static str, message: impl Into<String>) {
        let span = self.get(key).map_or(self.span.clone(), Spanned::span);
        self.reading.problems.add(span, message, None);
    }

    /// Adds a problem at a part of a text, where its `length` in bytes shows that it stands
    /// there as it is, between two quotes.
    pub fn problem_within(
        &mut self,
        key: &'static str,
        part: Option<Range<usize>>,
        length: usize,
        message: impl Into<String>,
    ) {
        let mut span = self.get(key).map_or(self.span.clone(), Spanned::span);
        if let Some(part) = part
            && span.len() == length + 2
        {
            span = span.start + 1 + part.start..span.start + 1 + part.end;
        }
        self.reading.problems.add(span, message, None);
    }

    /// Reports every key that nobody asked for, with the nearest that is known.
    pub fn finish(self) {
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            // No key is so long, and to compare takes time by its length.
            let nearest = self
                .known
                .iter()
                .filter(|_| name.len() <= NAME_SHOWN)
                .map(|known| (strsim::damerau_levenshtein(known, name), known))
                .filter(|(distance, known)| *distance <= known.len().max(name.len()) / 2)
                .min();
            let cure = match nearest {
                Some((_, known)) => format!("did you mean `{known}`?"),
                None => format!("known keys here: {}", self.known.join(", ")),
            };
            // In quotes anything may be a key, lines that a missing quote has swallowed among them.
            let bare = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-');
            let message = if name.chars().all(bare) {
                format!("unknown key `{}`", cut(&self.path(name)))
            } else {
                "unknown key in quotes".into()
            };
            self.reading.problems.add(key.span(), message, Some(cure));
        }
    }

    fn get(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.find(key)
    }

    fn find(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        let mut keys = self.table?.iter();
        keys.find(|(name, _)| name.get_ref() == key)
            .map(|(_, value)| value)
    }

    fn table_of(&self, key: &str, value: &'a Spanned<DeValue<'a>>) -> Option<&'a DeTable<'a>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let kind = Kind::Text("a table with its name in brackets above it");
            let message = self.expects(key, &expected(&kind, value.get_ref()));
            self.reading.problems.add(value.span(), message, None);
        }
        table
    }

    /// What a key must be, and what was found instead unless that may be a secret.
    fn expects(&self, key: &str, expectation: &str) -> String {
        let path = self.path(key);
        let expectation = if names_a_secret(&path) {
            without_value(expectation)
        } else {
            expectation
        };
        format!("`{}` {expectation}", cut(&path))
    }

    fn path(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }
}

/// A key under declaration.
pub struct Declaration<'s, 'a> {
    section: &'s mut Section<'a>,
    name: &'static str,
    description: &'static str,
}

impl Declaration<'_, '_> {
    /// A key that must be set; `None` only after the problem is on the list.
    pub fn required<T>(self, value: Value<'_, T>) -> Option<T> {
        let Self { section, name, .. } = &self;
        if section.find(name).is_none() {
            let message = format!("`{}` is missing", cut(&section.path(name)));
            let span = section.span.clone();
            section.reading.problems.add_missing(span, message);
        }
        self.read(Presence::Required, false, value)
    }

    /// A key that may be unset.
    pub fn optional<T>(self, value: Value<'_, T>) -> Option<T> {
        self.read(Presence::Optional, false, value)
    }

    /// A key that may be unset, and whose value leads to a secret.
    pub fn secret<T>(self, value: Value<'_, T>) -> Option<T> {
        self.read(Presence::Optional, true, value)
    }

    /// A key with a default, which is written in TOML.
    pub fn or<'r, T: 'r>(self, default: &'static str, value: Value<'r, T>) -> T {
        let otherwise = value.default(default);
        self.read(Presence::Default(default), false, value)
            .unwrap_or(otherwise)
    }

    fn read<T>(self, presence: Presence, secret: bool, value: Value<'_, T>) -> Option<T> {
        let Self {
            section,
            name,
            description,
        } = self;
        let Value { kind, read } = value;
        section.reading.keys.borrow_mut().push(Key {
            path: section.path(name),
            kind,
            presence,
            secret,
            description,
        });
        let found = section.get(name)?;
        let read = read(found.get_ref()).map_err(|expectation| {
            let message = section.expects(name, &expectation);
            section.reading.problems.add(found.span(), message, None);
        });
        read.ok()
    }
}

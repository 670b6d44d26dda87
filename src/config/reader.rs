//! Reads TOML into final types and collects all errors.
//!
//! The code that needs a key asks a [`Section`] for it, with its type, its default and its
//! description; that is the only place where a key is declared. A key of the file that was not
//! asked for is unknown.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::key::{Key, Kind, Presence};
use super::names::nearest;
use super::problems::{ProblemCollector, cut};
use super::secrets::names_a_secret;
use super::values::{Value, expected, path, without_value};

/// Collects the errors of a file and the declared keys.
#[derive(Default)]
pub struct ConfigReader {
    /// The errors.
    pub problems: ProblemCollector,
    /// All declared keys, in the order in which they were asked for.
    pub keys: RefCell<Vec<Key>>,
}

/// One table of the file, and which of its keys were asked for.
pub struct Section<'a> {
    name: String,
    table: Option<&'a DeTable<'a>>,
    span: Range<usize>,
    known: Vec<&'static str>,
    reader: &'a ConfigReader,
}

impl<'a> Section<'a> {
    /// The whole file.
    #[must_use]
    pub fn root(file: &'a Spanned<DeTable<'a>>, reader: &'a ConfigReader) -> Self {
        Self {
            name: String::new(),
            table: Some(file.get_ref()),
            span: 0..0,
            known: Vec::new(),
            reader,
        }
    }

    /// Reads the table of this name, which is empty if the file has none. Its keys that `read` does not ask for are
    /// unknown.
    pub fn read<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Self) -> T) -> T {
        let mut section = self.section(key);
        let value = read(&mut section);
        section.finish();
        value
    }

    /// The table of this name, empty if the file has none. Unknown keys are not reported.
    pub fn section(&mut self, key: &'static str) -> Self {
        let value = self.get(key);
        let span = value.map_or(0..0, Spanned::span);
        self.child(key, value, span)
    }

    fn child(
        &self,
        key: &str,
        value: Option<&'a Spanned<DeValue<'a>>>,
        span: Range<usize>,
    ) -> Self {
        Self {
            name: self.path(key),
            table: value.and_then(|it| self.table_of(key, it)),
            span,
            known: Vec::new(),
            reader: self.reader,
        }
    }

    /// Whether it is there, perhaps with nothing in it.
    pub fn is_given(&self) -> bool {
        self.table.is_some()
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

    /// The tables in it, whatever their names: `[packages.x]`.
    pub fn each_section(&mut self) -> Vec<(String, Self)> {
        let mut sections: Vec<_> = self
            .table
            .into_iter()
            .flatten()
            .map(|(key, value)| {
                let name = key.get_ref().to_string();
                let section = self.child(&name, Some(value), key.span());
                (name, section)
            })
            .collect();
        sections.sort_by_key(|(_, section)| section.span.start);
        sections
    }

    /// Declares a key; the next call defines whether it must be set, and reads it.
    pub fn key(&mut self, name: &'static str, description: &'static str) -> Declaration<'_, 'a> {
        Declaration {
            section: self,
            name,
            description,
        }
    }

    /// Reads the key `ca_file`, which several tables have; `folder` is what its path is relative to.
    pub fn ca_file(&mut self, folder: &Path) -> Option<PathBuf> {
        self.key("ca_file", "certificates to trust beside the system's")
            .optional(path(folder))
    }

    /// Adds an error at a key, or at the section if the key is absent.
    pub fn problem(&mut self, key: &'static str, message: impl Into<String>) {
        self.problem_within(key, None, 0, message);
    }

    /// Adds an error at a part of a text if the text is written without escapes, that is, if it has `length` bytes
    /// in the file, too; otherwise at the whole text.
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
            let text = span.start + 1;
            span = text + part.start..text + part.end;
        }
        self.reader.problems.add(span, message, None);
    }

    /// The first of the alternatives that are given; adds an error at the second if there is one.
    pub fn only_one<T>(
        &mut self,
        given: Vec<(&'static str, T)>,
        message: impl Into<String>,
    ) -> Option<(&'static str, T)> {
        if let Some((second, _)) = given.get(1) {
            self.problem(second, message);
        }
        given.into_iter().next()
    }

    /// Reports all keys that were not asked for, each with the nearest known one.
    pub fn finish(&self) {
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let nearest = nearest(name, self.known.iter().copied());
            let fix = match nearest {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known keys here: {}", self.known.join(", ")),
            };
            // A missing quote can make a secret part of a quoted key.
            let bare = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-');
            let message = if name.chars().all(bare) {
                format!("unknown key `{}`", cut(&self.path(name)))
            } else {
                "unknown key in quotes".into()
            };
            self.reader.problems.add(key.span(), message, Some(fix));
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
            self.reader.problems.add(value.span(), message, None);
        }
        table
    }

    /// Adds the expected type and the value found, unless that may be a secret.
    fn expects(&self, key: &str, expectation: &str) -> String {
        let path = self.path(key);
        let expectation = if names_a_secret(&path) {
            without_value(expectation)
        } else {
            expectation
        };
        format!("`{}` {expectation}", cut(&path))
    }

    /// A key of this table with its tables: `smtp.port`.
    pub fn path(&self, key: &str) -> String {
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
    /// A key that must be set; returns `None` only after reporting an error.
    pub fn required<T>(self, value: Value<'_, T>) -> Option<T> {
        self.report_missing("");
        self.read(Presence::Required, false, value)
    }

    /// Adds an error if the file does not have the key, with what follows the statement.
    fn report_missing(&self, more: &str) {
        let Self { section, name, .. } = self;
        if section.find(name).is_none() {
            let message = format!("`{}` is missing{more}", cut(&section.path(name)));
            let span = section.span.clone();
            section.reader.problems.add_missing(span, message);
        }
    }

    /// A key that must be set unless the key `other` of this table sets it.
    pub fn required_without<T>(
        self,
        other: &'static str,
        set: Option<T>,
        value: Value<'_, T>,
    ) -> Option<T> {
        if set.is_none() {
            let other = self.section.path(other);
            self.report_missing(&format!(", or `{other}` in its place"));
        }
        self.read(Presence::RequiredWithout(other), false, value)
            .or(set)
    }

    /// A key that may be unset.
    pub fn optional<T>(self, value: Value<'_, T>) -> Option<T> {
        self.read(Presence::Optional, false, value)
    }

    /// A key that may be unset, and whose value names the source of a secret.
    pub fn secret<T>(self, value: Value<'_, T>) -> Option<T> {
        self.read(Presence::Optional, true, value)
    }

    /// A key with a default, written in TOML.
    pub fn or<'r, T: 'r>(self, default: &'static str, value: Value<'r, T>) -> T {
        self.or_set(default, None, value)
    }

    /// A key with a default, written in TOML, or another one that a further key has set.
    pub fn or_set<'r, T: 'r>(
        self,
        default: &'static str,
        set: Option<T>,
        value: Value<'r, T>,
    ) -> T {
        let otherwise = set.unwrap_or_else(|| value.default(default));
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
        section.reader.keys.borrow_mut().push(Key {
            path: section.path(name),
            kind,
            presence,
            secret,
            description,
        });
        let found = section.get(name)?;
        if found
            .get_ref()
            .as_str()
            .is_some_and(|it| it.trim().is_empty())
        {
            let path = section.path(name);
            section.reader.problems.add_unfilled(found.span(), path);
            return None;
        }
        let read = read(found.get_ref()).map_err(|expectation| {
            let message = section.expects(name, &expectation);
            section.reader.problems.add(found.span(), message, None);
        });
        read.ok()
    }
}

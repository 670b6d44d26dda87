//! Reading TOML into final types, collecting everything that is wrong.
//!
//! A [`Section`] hands out its keys one by one, each to a function that turns the
//! value into its final type or says what was expected. What nobody asked for is
//! an unknown key. So one run tells all mistakes at once, each with its place, and
//! a value's rule stands beside the key that it belongs to.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::values::expected;

/// One thing that is wrong, and where.
#[derive(Debug)]
pub struct Problem {
    span: Range<usize>,
    message: String,
    cure: Option<String>,
}

/// Everything that is wrong with the file so far.
#[derive(Debug, Default)]
pub struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Adds one.
    pub fn add(&self, span: Range<usize>, message: impl Into<String>, cure: Option<String>) {
        self.0.borrow_mut().push(Problem {
            span,
            message: message.into(),
            cure,
        });
    }

    /// Adds a key that is missing; the first of them comes with the cure for all.
    fn add_missing(&self, span: Range<usize>, message: String) {
        const CURE: &str = "`access-invite init DIR` writes a configuration that shows every key";
        let told = self
            .0
            .borrow()
            .iter()
            .any(|it| it.cure.as_deref() == Some(CURE));
        self.add(span, message, (!told).then(|| CURE.to_owned()));
    }

    /// The list for people, in the order of the file, or `None` where all is well.
    #[must_use]
    pub fn render(self, path: &Path, source: &str) -> Option<String> {
        let mut problems = self.0.into_inner();
        problems.sort_by_key(|it| it.span.start);
        let texts: Vec<_> = problems
            .iter()
            .map(|it| it.render(&path.display().to_string(), source))
            .collect();
        (!texts.is_empty()).then(|| texts.join("\n"))
    }
}

impl Problem {
    /// The message with the line and a caret under the place, unless the line may hold a secret.
    fn render(&self, path: &str, source: &str) -> String {
        let start = self.span.start.min(source.len());
        let line_start = source[..start].rfind('\n').map_or(0, |it| it + 1);
        let line_end = source[start..]
            .find('\n')
            .map_or(source.len(), |it| start + it);
        let span = start..self.span.end.clamp(start, line_end.max(start));
        let line = source[..start].matches('\n').count() + 1;
        let column = source[line_start..start].chars().count() + 1;

        let mut text = if may_hold_a_secret(source, line_start, line_end) {
            format!(
                "{path}:{line}:{column}: {} (the line is not shown, it may hold a secret)",
                self.message
            )
        } else {
            let title = format!("{path}:{line}:{column}: {}", self.message);
            let shown = &source[line_start..line_end];
            let place = span.start - line_start..span.end - line_start;
            let snippet = Snippet::source(shown)
                .line_start(line)
                .annotation(AnnotationKind::Primary.span(place));
            let group = Level::ERROR.no_name().primary_title(title).element(snippet);
            Renderer::plain().render(&[group])
        };
        if let Some(cure) = &self.cure {
            text.push_str("\n  = ");
            text.push_str(cure);
        }
        text
    }
}

/// Whether a line, or the key that a value over several lines belongs to, speaks of a secret.
fn may_hold_a_secret(source: &str, line_start: usize, line_end: usize) -> bool {
    const WORDS: [&str; 7] = [
        "pass",
        "pwd",
        "secret",
        "token",
        "credential",
        "key",
        "login",
    ];
    let key_line = source[..line_start]
        .rmatch_indices('=')
        .next()
        .map_or("", |(place, _)| {
            let start = source[..place].rfind('\n').map_or(0, |it| it + 1);
            &source[start..place]
        });
    let within_string = source[..line_start].matches("\"\"\"").count() % 2 == 1
        || source[..line_start].matches("'''").count() % 2 == 1;
    let speaks = |text: &str| {
        let text = text.to_lowercase();
        WORDS.iter().any(|word| text.contains(word))
    };
    speaks(&source[line_start..line_end]) || (within_string && speaks(key_line))
}

/// One table of the file, and which of its keys were asked for.
pub struct Section<'a> {
    name: String,
    table: Option<&'a DeTable<'a>>,
    span: Range<usize>,
    known: Vec<&'static str>,
    problems: &'a Problems,
}

impl<'a> Section<'a> {
    /// The whole file.
    #[must_use]
    pub fn root(file: &'a Spanned<DeTable<'a>>, problems: &'a Problems) -> Self {
        Self {
            name: String::new(),
            table: Some(file.get_ref()),
            span: 0..0,
            known: Vec::new(),
            problems,
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
            problems: self.problems,
        }
    }

    /// Whether it is not there, or has nothing in it.
    pub fn is_empty(&self) -> bool {
        self.table.is_none_or(DeTable::is_empty)
    }

    /// The tables within, whatever they are called: `[packages.x]`.
    pub fn each_section(&mut self) -> Vec<(String, Range<usize>, Self)> {
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
                problems: self.problems,
            };
            sections.push((name, key.span(), section));
        }
        sections.sort_by_key(|(_, span, _)| span.start);
        sections
    }

    /// A key that may be absent.
    pub fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.get(key)?;
        match read(value.get_ref()) {
            Ok(value) => Some(value),
            Err(expectation) => {
                let message = format!("`{}` {expectation}", self.path(key));
                self.problems.add(value.span(), message, None);
                None
            }
        }
    }

    /// A key that must be there; `None` only after the problem is on the list.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        if self.get(key).is_none() {
            let message = format!("`{}` is missing", self.path(key));
            self.problems.add_missing(self.span.clone(), message);
        }
        self.optional(key, read)
    }

    /// A key with a default.
    pub fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> T {
        self.optional(key, read).unwrap_or(default)
    }

    /// Adds a problem at a key, or at the section where the key is absent.
    pub fn problem(&mut self, key: &'static str, message: impl Into<String>) {
        let span = self.get(key).map_or(self.span.clone(), Spanned::span);
        self.problems.add(span, message, None);
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
        self.problems.add(span, message, None);
    }

    /// Reports every key that nobody asked for, with the nearest that is known.
    pub fn finish(self) {
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let nearest = self
                .known
                .iter()
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
                format!("unknown key `{}`", self.path(name))
            } else {
                "unknown key in quotes".into()
            };
            self.problems.add(key.span(), message, Some(cure));
        }
    }

    fn get(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table
            .and_then(|table| table.iter().find(|(name, _)| name.get_ref() == key))
            .map(|(_, value)| value)
    }

    fn table_of(&self, key: &str, value: &'a Spanned<DeValue<'a>>) -> Option<&'a DeTable<'a>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let message = format!(
                "`{}` {}",
                self.path(key),
                expected(
                    "a table with its name in brackets above it",
                    value.get_ref()
                )
            );
            self.problems.add(value.span(), message, None);
        }
        table
    }

    fn path(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }
}

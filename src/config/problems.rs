//! The errors of a configuration, and their text.
//!
//! Work and output are bounded, however many errors a file has.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::secrets::SecretLines;

/// How many errors are shown; if a file has more, most have the same cause.
const SHOWN: usize = 200;
/// The longest name of a key that is shown, in characters.
const NAME_SHOWN: usize = 80;

/// An error of the configuration.
#[derive(Debug)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The bytes of the file at fault.
    pub span: Range<usize>,
    /// What is wrong, and what was expected.
    pub message: String,
    /// How to fix it, such as the nearest key.
    pub fix: Option<String>,
    /// Whether the line may contain a secret and must not be shown.
    pub is_secret: bool,
}

/// The errors found so far: the first ones, and how many there are.
#[derive(Debug, Default)]
pub struct ProblemCollector {
    /// By position; errors at one position in the order in which they were found.
    first: RefCell<BTreeMap<(usize, usize), Problem>>,
    total: Cell<usize>,
    /// Whether a missing key was reported, with the fix for all of them.
    missing: Cell<bool>,
    /// Errors of values that reach beyond this offset are left out.
    readable: Cell<Option<usize>>,
    /// The keys with an empty text, which a new configuration leaves to be filled in: position and path.
    unfilled: RefCell<Vec<(usize, String)>>,
}

impl ProblemCollector {
    /// Leaves out errors that are added from now on, if their place reaches beyond this offset. What a value is there
    /// is uncertain, so that the message could quote a secret.
    pub fn stop_reading_at(&self, offset: usize) {
        self.readable.set(Some(offset));
    }

    /// Adds an error.
    pub fn add(&self, span: Range<usize>, message: impl Into<String>, fix: Option<String>) {
        if self.readable.get().is_some_and(|it| span.end > it) {
            return;
        }
        let number = self.total.replace(self.total.get() + 1);
        let mut first = self.first.borrow_mut();
        let problem = Problem {
            line: 0,
            message: message.into(),
            fix,
            is_secret: true,
            span: span.clone(),
        };
        first.insert((span.start, number), problem);
        if first.len() > SHOWN {
            first.pop_last();
        }
    }

    /// Adds a missing key; the first one comes with the fix for all.
    pub fn add_missing(&self, span: Range<usize>, message: String) {
        const FIX: &str =
            "`access-invite init DIR --example` writes a configuration with every key";
        let reported = self.missing.replace(true);
        self.add(span, message, (!reported).then(|| FIX.to_owned()));
    }

    /// Adds a key that is not filled in. All of them are reported as one error.
    pub fn add_unfilled(&self, span: Range<usize>, path: String) {
        self.unfilled.borrow_mut().push((span.start, path));
    }

    /// All errors in the order of the file, or `None` if there are none.
    #[must_use]
    pub fn finish(self, path: &Path, source: &str, secrets: &SecretLines) -> Option<Problems> {
        let total = self.total.get();
        let ends = source.match_indices('\n').map(|(at, _)| at + 1);
        let starts: Vec<usize> = std::iter::once(0).chain(ends).collect();
        let line_of = |at: usize| starts.partition_point(|it| *it <= at);
        let place = |mut problem: Problem| {
            problem.span.start = problem.span.start.min(source.len());
            problem.line = line_of(problem.span.start);
            let line = line_at(source, problem.span.start);
            problem.is_secret = secrets.include(line.clone(), &source[line]);
            problem
        };
        let mut unfilled = self.unfilled.into_inner();
        unfilled.sort_unstable();
        let unfilled: Vec<_> = unfilled
            .into_iter()
            .map(|(at, path)| (line_of(at), path))
            .collect();
        (total > 0 || !unfilled.is_empty()).then(|| Problems {
            path: path.display().to_string(),
            source: source.to_owned(),
            shown: self.first.into_inner().into_values().map(place).collect(),
            total,
            unfilled,
        })
    }
}

/// The errors of a file.
#[derive(Debug)]
pub struct Problems {
    path: String,
    source: String,
    /// The first of them, in the order of the file.
    pub shown: Vec<Problem>,
    /// How many there are.
    pub total: usize,
    /// The keys that are not filled in, with their lines.
    pub unfilled: Vec<(usize, String)>,
}

impl fmt::Display for Problems {
    /// Each error with its line and a caret under its place, unless the line may contain a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.shown.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            self.render(problem, f)?;
        }
        match self.total - self.shown.len() {
            0 => {}
            more => write!(f, "\n{}: and {more} more errors", self.path)?,
        }
        if self.unfilled.is_empty() {
            return Ok(());
        }
        if self.total > 0 {
            f.write_str("\n")?;
        }
        self.render_unfilled(f)
    }
}

impl Problems {
    fn render_unfilled(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not filled in yet:", self.path)?;
        for (line, key) in self.unfilled.iter().take(SHOWN) {
            write!(f, "\n  line {line}: {}", cut(key))?;
        }
        let (keys, them) = match self.unfilled.len() {
            1 => ("1 key is empty".to_owned(), "it"),
            keys => (format!("{keys} keys are empty"), "them"),
        };
        write!(
            f,
            "\n{keys}; set {them} as the comments in the file explain"
        )
    }

    fn render(&self, problem: &Problem, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { line, message, .. } = problem;
        let range = line_at(&self.source, problem.span.start);
        let shown = &self.source[range.clone()];
        // A place within a text with escapes is a guess, and may be within a character.
        let start = shown.floor_char_boundary(problem.span.start - range.start);
        let end = shown.ceil_char_boundary(problem.span.end.saturating_sub(range.start));
        let column = shown[..start].chars().count() + 1;
        let title = format!("{}:{line}:{column}: {message}", self.path);
        if problem.is_secret {
            write!(
                f,
                "{title} (the line is not shown, because it may contain a secret)"
            )?;
        } else {
            let snippet = Snippet::source(shown)
                .line_start(*line)
                .annotation(AnnotationKind::Primary.span(start..end.max(start)));
            let group = Level::ERROR.no_name().primary_title(title).element(snippet);
            f.write_str(&Renderer::plain().render(&[group]))?;
        }
        match &problem.fix {
            Some(fix) => write!(f, "\n  = {fix}"),
            None => Ok(()),
        }
    }
}

/// The line that contains a byte, without its line end.
fn line_at(source: &str, offset: usize) -> Range<usize> {
    let start = source[..offset].rfind('\n').map_or(0, |it| it + 1);
    let end = source[start..].find('\n');
    start..end.map_or(source.len(), |it| start + it)
}

/// The name of a key for a message, truncated if it is longer than any known key.
pub fn cut(name: &str) -> String {
    match name.char_indices().nth(NAME_SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

//! What is wrong with a configuration, each with its place, shown as far as no secret is in it.
//!
//! The work and the output are bounded, however many mistakes a file has.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::secrets::hidden_lines;

/// How many problems are shown; a file with more has one cause for most of them.
const SHOWN: usize = 200;
/// How much of a key's name is shown.
pub const NAME_SHOWN: usize = 80;

/// One thing that is wrong, and where.
#[derive(Debug)]
struct Problem {
    /// Where it begins and ends, in bytes.
    span: (usize, usize),
    message: String,
    cure: Option<String>,
}

/// Everything that is wrong with the file so far: the first problems, and how many there are.
#[derive(Debug, Default)]
pub struct Problems {
    /// By place; what stands at one place, in the order in which it was found.
    first: RefCell<BTreeMap<(usize, usize), Problem>>,
    total: Cell<usize>,
    /// Whether the cure for missing keys is among them.
    missing: Cell<bool>,
}

impl Problems {
    /// Adds one.
    pub fn add(&self, span: Range<usize>, message: impl Into<String>, cure: Option<String>) {
        let number = self.total.get();
        self.total.set(number + 1);
        let mut first = self.first.borrow_mut();
        let problem = Problem {
            span: (span.start, span.end),
            message: message.into(),
            cure,
        };
        first.insert((span.start, number), problem);
        if first.len() > SHOWN {
            first.pop_last();
        }
    }

    /// Adds a key that is missing; the first of them comes with the cure for all.
    pub fn add_missing(&self, span: Range<usize>, message: String) {
        const CURE: &str = "`access-invite init DIR` writes a configuration that shows every key";
        let told = self.missing.replace(true);
        self.add(span, message, (!told).then(|| CURE.to_owned()));
    }

    /// The list for people, in the order of the file, or `None` where all is well.
    #[must_use]
    pub fn render(self, path: &Path, source: &str) -> Option<String> {
        let total = self.total.get();
        if total == 0 {
            return None;
        }
        let lines = Lines::of(source);
        let path = path.display().to_string();
        let first = self.first.into_inner();
        let mut texts: Vec<_> = first.values().map(|it| it.render(&path, &lines)).collect();
        if total > first.len() {
            texts.push(format!("{path}: and {} more errors", total - first.len()));
        }
        Some(texts.join("\n"))
    }
}

/// The file by lines, and which of them must not be shown.
struct Lines<'a> {
    source: &'a str,
    starts: Vec<usize>,
    hidden: Vec<bool>,
}

impl<'a> Lines<'a> {
    fn of(source: &'a str) -> Self {
        let ends = source.match_indices('\n').map(|(place, _)| place + 1);
        Self {
            source,
            starts: std::iter::once(0).chain(ends).collect(),
            hidden: hidden_lines(source),
        }
    }

    /// The line in which a byte stands: its number from 0, and its text.
    fn at(&self, place: usize) -> (usize, &'a str) {
        let number = self.starts.partition_point(|it| *it <= place) - 1;
        let next = self.starts.get(number + 1);
        let end = next.map_or(self.source.len(), |it| it - 1);
        (number, &self.source[self.starts[number]..end])
    }
}

impl Problem {
    /// The message with the line and a caret under the place, unless the line may hold a secret.
    fn render(&self, path: &str, lines: &Lines<'_>) -> String {
        let start = self.span.0.min(lines.source.len());
        let (number, shown) = lines.at(start);
        let within = (start - lines.starts[number]).min(shown.len());
        let end = self.span.1.saturating_sub(lines.starts[number]);
        let line = number + 1;
        let column = shown[..within].chars().count() + 1;

        let mut text = if lines.hidden[number] {
            format!(
                "{path}:{line}:{column}: {} (the line is not shown, it may hold a secret)",
                self.message
            )
        } else {
            let title = format!("{path}:{line}:{column}: {}", self.message);
            let place = within..end.clamp(within, shown.len());
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

/// A name in a message, cut where it is longer than any that is meant.
pub fn cut(name: &str) -> String {
    match name.char_indices().nth(NAME_SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

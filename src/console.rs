//! The terminal of a command: results to stdout, messages to stderr, answers from stdin.
//!
//! Everything printed passes through here: control characters are replaced, lines are wrapped at the width of
//! a terminal, and the severity or state at the beginning of a line is coloured.

use std::ffi::OsStr;
use std::io::{BufRead, IsTerminal, Write, stderr, stdout};
use std::os::fd::AsFd;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use rustix::termios::tcgetwinsize;

use crate::finding::{Finding, Severity};
use crate::log::{Fields, Level, LogFormat, json_line, without_names};
use crate::report::{printable, wrapped};

/// How much is kept of what was written to stderr.
const KEPT: usize = 64 * 1024;

/// Where a command writes and reads.
pub struct Console<'a> {
    /// Results.
    pub out: &'a mut dyn Write,
    /// Messages.
    pub err: &'a mut dyn Write,
    /// Answers.
    pub input: &'a mut dyn BufRead,
    /// Whether questions can be answered: stdin and stderr are both a terminal.
    pub interactive: bool,
    /// The terminals of stdout and stderr.
    pub screen: Screen,
    /// The clock.
    pub clock: fn() -> Timestamp,
    /// How messages are written, and which.
    pub messages: Messages,
}

/// How messages are written to stderr, and which.
#[derive(Clone, Debug, Default)]
pub struct Messages {
    /// The format of each line.
    pub format: LogFormat,
    /// Whether only errors are written.
    pub quiet: bool,
    /// Whether diagnostic lines are written between them, which progress bars would overwrite.
    pub verbose: bool,
    /// The messages so far, for a notification.
    kept: String,
}

/// The terminals of stdout and stderr, as far as they are terminals.
#[derive(Clone, Copy, Debug, Default)]
pub struct Screen {
    /// The terminal of stdout.
    pub out: Option<Size>,
    /// The terminal of stderr.
    pub err: Option<Size>,
    /// Whether they show colours.
    pub colour: bool,
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Its width.
    pub columns: usize,
    /// Its height.
    pub rows: usize,
}

impl Size {
    /// The size of a terminal, the usual one if it is not known; `None` if this is none.
    fn of(stream: &(impl AsFd + IsTerminal)) -> Option<Self> {
        const USUAL: Size = Size {
            columns: 80,
            rows: 24,
        };
        let size = || tcgetwinsize(stream).ok().filter(|it| it.ws_col > 0);
        stream.is_terminal().then(|| {
            size().map_or(USUAL, |it| Size {
                columns: it.ws_col.into(),
                rows: it.ws_row.into(),
            })
        })
    }
}

impl Screen {
    /// The terminals of this process.
    #[must_use]
    pub fn detect() -> Self {
        let variable = |name| std::env::var_os(name);
        Self {
            out: Size::of(&stdout()),
            err: Size::of(&stderr()),
            colour: allows_colour(variable("NO_COLOR").as_deref(), variable("TERM").as_deref()),
        }
    }
}

/// Whether a terminal may show colours: `NO_COLOR` with any value but an empty one forbids them
/// (<https://no-color.org>), and a terminal of the type `dumb` has none.
fn allows_colour(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|it| it != "dumb")
}

/// The text as a terminal shows it: wrapped and, if it has colours, with its first word coloured.
fn shown(text: &str, size: Option<Size>, colour: bool) -> String {
    let text = printable(text);
    let Some(size) = size else { return text };
    let text = wrapped(&text, size.columns);
    if colour { coloured(&text) } else { text }
}

/// Colours the severity or state at the beginning of each line, also behind a number.
fn coloured(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let start = line
            .find(|it: char| it != ' ' && !it.is_ascii_digit())
            .unwrap_or(line.len());
        let length = line[start..].find(|it: char| !it.is_ascii_alphabetic());
        let end = length.map_or(line.len(), |it| start + it);
        match colour_of(&line[start..end]) {
            None => line.to_owned(),
            Some(code) => format!(
                "{}\x1b[{code}m{}\x1b[0m{}",
                &line[..start],
                &line[start..end],
                &line[end..]
            ),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The colour of a severity or a state (ECMA-48, SGR): red needs a person, yellow attention.
fn colour_of(word: &str) -> Option<&'static str> {
    match word {
        "error" => Some("1;31"),
        "rejected" | "expired" | "bounced" | "unknown" | "refused" => Some("31"),
        "warning" | "deferred" | "armed" => Some("33"),
        "ok" | "accepted" | "delivered" => Some("32"),
        "note" | "pending" | "abandoned" | "suppressed" => Some("36"),
        _ => None,
    }
}

impl Messages {
    /// Messages in this format.
    #[must_use]
    pub fn new(format: LogFormat, quiet: bool, verbose: bool) -> Self {
        Self {
            format,
            quiet,
            verbose,
            kept: String::new(),
        }
    }

    fn keep(&mut self, text: &str) {
        if self.kept.len() + text.len() < KEPT {
            self.kept += text;
            self.kept += "\n";
        }
    }

    /// The messages so far as text, with masked addresses unless they may be named; of a long text, the beginning.
    #[must_use]
    pub fn kept(&self) -> String {
        printable(&without_names(&self.kept))
    }
}

impl Console<'_> {
    /// The current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Prints a line of results. Write errors are reported at the end, see [`crate::output`].
    pub fn print(&mut self, text: &str) {
        let Screen { out, colour, .. } = self.screen;
        let _ = writeln!(self.out, "{}", shown(text, out, colour));
    }

    /// Prints a message, whose level follows from its first word.
    pub fn eprint(&mut self, text: &str) {
        self.eprint_as(Level::of(text), text);
    }

    /// Prints a message of this level.
    pub fn eprint_as(&mut self, level: Level, text: &str) {
        let prefixes = ["error: ", "warning: ", "note: "];
        let message = prefixes.iter().find_map(|it| text.strip_prefix(it));
        self.write(level, text, message.unwrap_or(text), Vec::new());
    }

    /// Prints the error that ends the command with this exit code.
    pub fn fail(&mut self, error: &str, exit_code: u8) {
        let fields = vec![("exit_code", exit_code.into())];
        self.write(Level::Error, &format!("error: {error}"), error, fields);
    }

    /// Prints findings as messages.
    pub fn report<'f>(&mut self, findings: impl IntoIterator<Item = &'f Finding>) {
        for finding in findings {
            let level = match finding.severity {
                Severity::Ok | Severity::Note => Level::Note,
                Severity::Warning => Level::Warning,
                Severity::Error => Level::Error,
            };
            let fields = [
                ("check", finding.check),
                ("where", &finding.at),
                ("fix", &finding.fix),
            ];
            let fields = fields.into_iter().filter(|it| !it.1.is_empty());
            let fields = fields.map(|(name, text)| (name, text.into())).collect();
            self.write(level, &finding.text(), &finding.what, fields);
        }
    }

    /// Writes a message as `text`, or in JSON as `message` with fields.
    fn write(&mut self, level: Level, text: &str, message: &str, fields: Fields) {
        if self.messages.quiet && level < Level::Error {
            return;
        }
        self.messages.keep(text);
        let Screen { err, colour, .. } = self.screen;
        let line = match self.messages.format {
            LogFormat::Text => shown(text, err, colour),
            LogFormat::Json => json_line(self.now(), level, message, fields),
        };
        let _ = writeln!(self.err, "{line}");
    }

    /// Prints what a question is about, also with `--quiet` if it is asked.
    pub fn explain(&mut self, text: &str) {
        let quiet = self.messages.quiet;
        self.messages.quiet &= !self.interactive;
        self.eprint_as(Level::Note, text);
        self.messages.quiet = quiet;
    }

    /// Asks a question. Any answer but `y` or `yes` is a no.
    pub fn confirm(&mut self, question: &str) -> bool {
        let question = format!("{question} [y/N]");
        let question = shown(&question, self.screen.err, false);
        let _ = write!(self.err, "{question} ");
        let _ = self.err.flush();
        let mut answer = String::new();
        let read = self.input.read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    }

    /// Whether progress is shown: on a terminal, and not between the lines of `-v`.
    fn shows_progress(&self) -> bool {
        self.interactive && !self.messages.quiet && !self.messages.verbose
    }

    /// A counter of work whose size is not known; hidden unless progress is shown.
    #[must_use]
    pub fn counter(&self, what: &'static str) -> ProgressBar {
        if !self.shows_progress() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{pos} {msg}").expect("the template is valid");
        let bar = ProgressBar::new_spinner()
            .with_style(style)
            .with_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    /// A progress bar for this many messages; hidden unless progress is shown. Its message follows the
    /// counts, and is cut at the width of the terminal.
    #[must_use]
    pub fn progress(&self, messages: u64) -> ProgressBar {
        if !self.shows_progress() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(messages);
        let columns = self.screen.err.map_or(80, |it| it.columns);
        let width = (columns / 6).clamp(5, 30);
        let template = format!("{{bar:{width}}} {{pos}}/{{len}}{{wide_msg}}");
        let style = ProgressStyle::with_template(&template);
        let bar = bar.with_style(style.expect("the template is valid"));
        // indicatif skips a redraw that follows another too soon; the tick draws it later.
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NARROW: Size = Size {
        columns: 20,
        rows: 10,
    };

    #[test]
    fn no_color_with_a_value_and_dumb_terminals_forbid_colour() {
        for (no_color, term, expected) in [
            (None, Some("xterm"), true),
            (None, None, true),
            (Some(""), Some("xterm"), true),
            (Some("1"), Some("xterm"), false),
            (Some("0"), None, false),
            (None, Some("dumb"), false),
        ] {
            let found = allows_colour(no_color.map(OsStr::new), term.map(OsStr::new));
            assert_eq!(found, expected, "{no_color:?} {term:?}");
        }
    }

    #[test]
    fn severities_and_states_are_coloured_on_a_terminal_only() {
        let text = "error: no\n  2 unknown: ask\nrejected  a@b.example\nunknowns";
        let red = "\x1b[1;31merror\x1b[0m: no\n  2 \x1b[31munknown\x1b[0m: ask\n\x1b[31mrejected\x1b[0m  a@b.example\nunknowns";
        let wide = Some(Size {
            columns: 80,
            ..NARROW
        });

        assert_eq!(shown(text, wide, true), red);
        assert_eq!(shown(text, wide, false), text);
        assert_eq!(shown(text, None, true), text);
    }

    #[test]
    fn text_is_wrapped_on_a_terminal_only_and_cannot_bring_its_own_codes() {
        let text = "warning: the list has \x1b[31mred\x1b[0m cells";
        let safe = "warning: the list has \u{fffd}[31mred\u{fffd}[0m cells";

        assert_eq!(shown(text, None, true), safe);
        assert_eq!(
            shown(text, Some(NARROW), false),
            "warning: the list\n  has \u{fffd}[31mred\u{fffd}[0m\n  cells"
        );
    }
}

//! The terminal of a command: results to stdout, messages to stderr, answers from stdin.

use std::io::{BufRead, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

use crate::finding::Finding;
use crate::report::printable;

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
    /// Whether stdout is a terminal.
    pub out_is_terminal: bool,
    /// The clock.
    pub clock: fn() -> Timestamp,
}

impl Console<'_> {
    /// The current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Prints a line of results. Write errors are reported at the end, see [`crate::output`].
    pub fn print(&mut self, text: &str) {
        let _ = writeln!(self.out, "{}", printable(text));
    }

    /// Prints a message.
    pub fn eprint(&mut self, text: &str) {
        let _ = writeln!(self.err, "{}", printable(text));
    }

    /// Prints findings as messages.
    pub fn report<'f>(&mut self, findings: impl IntoIterator<Item = &'f Finding>) {
        for finding in findings {
            self.eprint(&finding.text());
        }
    }

    /// Asks a question. Any answer but `y` or `yes` is a no.
    pub fn confirm(&mut self, question: &str) -> bool {
        let _ = write!(self.err, "{} [y/N] ", printable(question));
        let _ = self.err.flush();
        let mut answer = String::new();
        let read = self.input.read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    }

    /// A counter of work whose size is not known; hidden unless the console is interactive.
    #[must_use]
    pub fn counter(&self, what: &'static str) -> ProgressBar {
        if !self.interactive {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{pos} {msg}").expect("the template is valid");
        let bar = ProgressBar::new_spinner()
            .with_style(style)
            .with_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    /// A progress bar for this many messages; hidden unless the console is interactive.
    #[must_use]
    pub fn progress(&self, messages: u64) -> ProgressBar {
        if !self.interactive {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(messages);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len}, {eta} to go{msg}");
        let bar = bar.with_style(style.expect("the template is valid"));
        // indicatif skips a redraw that follows another too soon; the tick draws it later.
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

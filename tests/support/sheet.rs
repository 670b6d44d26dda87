//! Collects the output of runs in one text for a snapshot: paths, ports and other values that
//! differ between runs are replaced.

use std::fmt::Write;

use super::{Output, Workplace};

/// The text so far.
#[derive(Default)]
pub struct Sheet(String);

impl Sheet {
    /// Adds the output of a run, under a title.
    pub fn note(&mut self, title: &str, workplace: &Workplace, output: &Output) {
        let printed = normalized(workplace, &format!("{}{}", output.stdout, output.stderr));
        writeln!(self.0, "{title} → {}", output.code).unwrap();
        for line in printed.lines() {
            writeln!(self.0, "{}", format!("  {line}").trim_end()).unwrap();
        }
        self.0.push('\n');
    }

    /// The whole text.
    pub fn text(self) -> String {
        self.0
    }
}

/// A text without the values that differ between runs.
pub fn normalized(workplace: &Workplace, printed: &str) -> String {
    let manifest = env!("CARGO_MANIFEST_DIR");
    let printed = printed
        .replace(&*workplace.path().to_string_lossy(), "/job")
        .replace(manifest, "");
    // On some machines `localhost` also has an IPv6 address.
    let mut pieces = printed.split(" (and nothing answers at its other address ");
    let mut printed = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        printed += piece.split_once(')').map_or(piece, |(_, after)| after);
    }
    let mut text = String::new();
    let mut rest = printed.as_str();
    while let Some(start) = rest.find(|it: char| it.is_ascii_hexdigit()) {
        text.push_str(&rest[..start]);
        let run = &rest[start..];
        let end = run
            .find(|it: char| !it.is_ascii_hexdigit())
            .unwrap_or(run.len());
        let (run, after) = run.split_at(end);
        let number = run.bytes().all(|it| it.is_ascii_digit());
        if run.len() == 32 {
            text.push_str("MESSAGE-ID");
        } else if run.len() == 16 {
            text.push_str("DIGEST");
        } else if number && text.ends_with(':') && matches!(run.len(), 4 | 5) {
            text.push_str("PORT");
        } else if number && (after.starts_with(" ms: ") || after.starts_with(" days, on")) {
            text.push('N');
        } else if number && text.ends_with("(process ") {
            text.push_str("PID");
        } else {
            text.push_str(run);
        }
        rest = after;
    }
    text + rest
}

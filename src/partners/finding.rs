//! Errors and warnings about single rows.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// How many characters of a cell are shown.
const SHOWN: usize = 60;
/// How many lines of equal findings are shown.
const LINES_SHOWN: usize = 5;

/// The kinds of warnings about good rows, the gravest first, each with its short name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumCount, strum::IntoStaticStr)]
pub enum WarningKind {
    /// The domain of the address looks like another one.
    #[strum(serialize = "look-alike domain")]
    LookAlike,
    /// A text that was decoded by another encoding than its own.
    #[strum(serialize = "garbled text")]
    Garbled,
    /// A placeholder in place of a value.
    #[strum(serialize = "placeholder")]
    Placeholder,
    /// The tag of a language that is rarely meant.
    #[strum(serialize = "rare language")]
    RareLanguage,
    /// Invisible characters at the ends of a cell were removed.
    #[strum(serialize = "invisible characters")]
    Invisible,
    /// An address of the sender's organisation.
    #[strum(serialize = "own organisation")]
    OwnOrganisation,
    /// An address at a mail service that is open to everyone.
    #[strum(serialize = "consumer mail service")]
    Consumer,
}

/// An error or a warning about a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFinding {
    /// The line where the row begins, as an editor counts.
    pub line: u64,
    /// The line where it ends; a later one if a quoted cell has line breaks.
    pub last_line: u64,
    /// The header of the cell.
    pub column: Option<String>,
    /// The cell, shortened.
    pub value: Option<String>,
    /// What is wrong or unusual, and how to fix it.
    pub reason: String,
}

impl RowFinding {
    /// `14`, or `14-17`.
    fn lines(&self) -> String {
        if self.last_line > self.line {
            format!("{}-{}", self.line, self.last_line)
        } else {
            self.line.to_string()
        }
    }

    /// `column email, "nobody": …`, without the line.
    #[must_use]
    pub fn without_line(&self) -> String {
        let place = self.describe("");
        let place = place.trim_start_matches([',', ' ']);
        let colon = if place.is_empty() { "" } else { ": " };
        format!("{place}{colon}{}", self.reason)
    }

    /// The lines, then the column and the value if there are any.
    fn describe(&self, lines: &str) -> String {
        let column = self.column.as_ref().map(|it| format!(", column {it}"));
        let value = self.value.as_ref().map(|it| format!(", \"{it}\""));
        format!(
            "{lines}{}{}",
            column.unwrap_or_default(),
            value.unwrap_or_default()
        )
    }
}

impl fmt::Display for RowFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.describe(&self.lines()), self.reason)
    }
}

/// Findings with equal ones as one. Memory is bounded: distinct ones beyond a limit are only counted.
#[derive(Debug, Default)]
pub struct Findings {
    kept: Vec<EqualFindings>,
    /// The index of each kept one, by column, value and reason.
    index: HashMap<(Option<String>, Option<String>, String), usize>,
    /// How many are left out.
    left_out: u64,
}

/// A finding, and where else it is true.
#[derive(Clone, Debug)]
pub struct EqualFindings {
    first: RowFinding,
    /// The first lines, the one of `first` included.
    lines: Vec<String>,
    count: u64,
}

impl Findings {
    /// Adds a finding; beyond `limit` distinct ones it is only counted.
    pub fn add(&mut self, finding: RowFinding, limit: usize) {
        let key = (
            finding.column.clone(),
            finding.value.clone(),
            finding.reason.clone(),
        );
        if let Some(index) = self.index.get(&key) {
            let equal = &mut self.kept[*index];
            equal.count += 1;
            if equal.lines.len() < LINES_SHOWN {
                equal.lines.push(finding.lines());
            }
        } else if self.kept.len() < limit {
            self.index.insert(key, self.kept.len());
            self.kept.push(EqualFindings {
                lines: vec![finding.lines()],
                first: finding,
                count: 1,
            });
        } else {
            self.left_out += 1;
        }
    }

    /// How many there are, equal ones included.
    pub fn total(&self) -> u64 {
        self.left_out + self.kept.iter().map(|it| it.count).sum::<u64>()
    }

    /// The kept ones in the order of their first lines.
    pub fn kept(&self) -> Vec<&EqualFindings> {
        let mut kept: Vec<&EqualFindings> = self.kept.iter().collect();
        kept.sort_by_key(|it| it.first.line);
        kept
    }

    /// The first `shown` as lines `FILE:LINE, column …`, and how many are left out.
    pub fn lines(&self, path: &Path, shown: usize) -> Vec<String> {
        let path = path.display();
        let kept = self.kept();
        let (shown, hidden) = kept.split_at(kept.len().min(shown));
        let mut lines: Vec<_> = shown.iter().map(|it| format!("{path}:{it}")).collect();
        let hidden = self.left_out + hidden.iter().map(|it| it.count).sum::<u64>();
        if hidden > 0 {
            lines.push(format!("{path}: and {hidden} more like these"));
        }
        lines
    }
}

impl EqualFindings {
    /// The lines of the first one: `14`, or `14-17`.
    pub fn place(&self) -> &str {
        &self.lines[0]
    }

    /// The finding without the lines of the first one.
    pub fn without_place(&self) -> String {
        let text = self.to_string();
        text[self.place().len()..]
            .trim_start_matches([',', ':', ' '])
            .to_owned()
    }
}

/// `7, column locale, "Français" in 41 rows, first lines 7, 9, 12: …`.
impl fmt::Display for EqualFindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == 1 {
            return self.first.fmt(f);
        }
        let described = self.first.describe(&self.lines[0]);
        let (count, lines) = (self.count, self.lines.join(", "));
        let first = if self.count > LINES_SHOWN as u64 {
            "first "
        } else {
            ""
        };
        let reason = &self.first.reason;
        write!(
            f,
            "{described} in {count} rows, {first}lines {lines}: {reason}"
        )
    }
}

/// The beginning of a cell, with control characters escaped.
pub fn excerpt(cell: &str) -> String {
    let shown: String = cell.chars().take(SHOWN).collect();
    let cut = if shown.len() < cell.len() { "…" } else { "" };
    format!("{}{cut}", shown.escape_debug())
}

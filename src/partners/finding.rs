//! Errors and warnings about single rows.

use std::fmt;
use std::path::Path;

/// How many characters of a cell are shown.
const SHOWN: usize = 60;

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

impl fmt::Display for RowFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.line)?;
        if self.last_line > self.line {
            write!(f, "-{}", self.last_line)?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        if let Some(value) = &self.value {
            write!(f, ", \"{value}\"")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// Findings as lines `FILE:LINE, column …`, and how many of the `total` are left out.
pub fn listed(path: &Path, shown: &[RowFinding], total: u64) -> Vec<String> {
    let path = path.display();
    let mut lines: Vec<_> = shown.iter().map(|it| format!("{path}:{it}")).collect();
    let rest = total - shown.len() as u64;
    if rest > 0 {
        lines.push(format!("{path}: and {rest} more like these"));
    }
    lines
}

/// The beginning of a cell, with control characters escaped.
pub fn excerpt(cell: &str) -> String {
    let shown: String = cell.chars().take(SHOWN).collect();
    let cut = if shown.len() < cell.len() { "…" } else { "" };
    format!("{}{cut}", shown.escape_debug())
}

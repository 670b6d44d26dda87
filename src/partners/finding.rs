//! What is found in a row: what makes it bad, or what deserves a second look.

use std::fmt;

/// How much of a bad value is shown.
const SHOWN: usize = 60;

/// What is found in a row: what makes it bad, or what deserves a second look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFinding {
    /// The line where the row begins, as an editor counts.
    pub line: u64,
    /// The line where it ends; a later one where a quoted cell has line breaks.
    pub last_line: u64,
    /// The header of the cell at fault.
    pub column: Option<String>,
    /// What stands there, shortened.
    pub value: Option<String>,
    /// Why it cannot be used, or what is odd.
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

/// The beginning of a cell, with nothing in it that a terminal would obey.
pub fn excerpt(cell: &str) -> String {
    let shown: String = cell.chars().take(SHOWN).collect();
    let cut = if shown.len() < cell.len() { "…" } else { "" };
    format!("{}{cut}", shown.escape_debug())
}

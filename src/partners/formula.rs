//! Cells that a spreadsheet could take for formulas (OWASP, "CSV injection").

/// Whether a spreadsheet could take a cell for a formula.
#[must_use]
pub fn may_be_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

/// Whether an apostrophe precedes a cell of the list in the results: it could be a formula, and is neither
/// a telephone number nor an amount.
#[must_use]
pub fn is_guarded_in_results(cell: &str) -> bool {
    let number = |it: char| it.is_ascii_digit() || " +-.,/()".contains(it);
    may_be_formula(cell) && !(cell.starts_with(['+', '-']) && cell.chars().all(number))
}

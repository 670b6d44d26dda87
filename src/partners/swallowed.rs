//! Finds rows inside a quoted cell.
//!
//! Two stray quotes can pair up so that the record between them is well-formed: `"19 inch` in one
//! row, `21 inch"` in a later one. Only the lines inside the cell show that they were rows. A line
//! looks like a row if it has as many cells as the header and an address in the column of addresses. With
//! another number of cells (programs leave out empty cells at the end, and quoted cells contain
//! delimiters and line breaks), it must also be written as programs write rows, without a blank after a delimiter.
//! Text that mentions addresses is neither.

use super::quoting::{self, REMEDY};

/// The ends of lines; CRLF is replaced before.
const LINE_ENDS: [char; 2] = ['\r', '\n'];

/// What a row of this list looks like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The byte between cells.
    pub delimiter: u8,
    /// How many cells the header has.
    pub columns: usize,
    /// Which of them holds the address.
    pub email: usize,
}

/// The error about rows in a cell of a well-formed record of several lines that begins on line
/// `first`; `None` if there are none.
pub fn find(record: &str, first: u64, shape: Shape) -> Option<String> {
    // Fast path: nearly all texts contain no address but the record's own.
    memchr::memchr_iter(b'@', record.as_bytes()).nth(1)?;
    let record = record.replace("\r\n", "\n");
    let lines: Vec<&str> = record.split(LINE_ENDS).collect();
    let cells = lines_of_cells(&record, shape.delimiter);
    let own = cells.get(shape.email).map(|(begins, _)| *begins);
    let mut rows = (0..lines.len())
        .filter(|it| Some(*it) != own && looks_like_row(lines[*it], shape))
        .peekable();
    let row = *rows.peek()?;
    // The cell that this line belongs to; for the first line, the one that continues after it.
    let inside = row.max(1);
    let (begins, ends) = *cells
        .iter()
        .find(|(begins, ends)| *begins < inside && inside <= *ends)?;
    let line = |index: usize| first + index as u64;
    let found = match rows.filter(|it| *it <= ends).count() {
        1 => format!(
            "a line that looks like a row of this list, line {}",
            line(row)
        ),
        count => format!(
            "{count} lines that look like rows of this list, the first is line {}",
            line(row)
        ),
    };
    Some(format!(
        "the quoted cell that begins on line {} and ends on line {} contains {found}; {REMEDY}; if the cell is right, remove its line breaks",
        line(begins),
        line(ends)
    ))
}

/// An address in a header of several lines: the header has swallowed a row.
pub fn address_in_header(record: &str, delimiter: u8) -> Option<&str> {
    record
        .split(LINE_ENDS)
        .flat_map(|line| line.split(char::from(delimiter)))
        .map(bare)
        .find(|it| is_address_like(it))
}

/// On which line each cell of a record begins and ends, counted from 0.
fn lines_of_cells(record: &str, delimiter: u8) -> Vec<(usize, usize)> {
    let mut line = 0;
    quoting::cells(record, delimiter)
        .into_iter()
        .map(|cell| {
            let begins = line;
            line += cell.matches(LINE_ENDS).count();
            (begins, line)
        })
        .collect()
}

fn looks_like_row(line: &str, shape: Shape) -> bool {
    let pieces: Vec<&str> = line.split(char::from(shape.delimiter)).collect();
    is_row(&pieces, shape)
        || is_row(&quoting::cells(line, shape.delimiter), shape)
        || (line.contains('"')
            && (is_row_in_pieces(&pieces, shape) || is_end_of_row(&pieces, shape)))
}

fn is_row(cells: &[&str], shape: Shape) -> bool {
    let address = |it: &&str| is_address_like(bare(it));
    let has_address = cells.get(shape.email).is_some_and(address);
    let as_programs_write = || {
        // A line of a text may end with an address and a comma, too.
        (cells.len() > 2 || cells.iter().all(|it| !it.trim().is_empty()))
            && cells.len() > 1
            && !cells[1..].iter().any(|it| it.starts_with(' '))
            && cells.iter().filter(|it| address(it)).count() == 1
    };
    has_address && (cells.len() == shape.columns || as_programs_write())
}

/// Whether a line is a row whose quoted cells are in pieces, because they contain delimiters and the
/// quotes are paired wrongly: then the address has at least as many pieces before and after it.
fn is_row_in_pieces(pieces: &[&str], shape: Shape) -> bool {
    let after = shape.columns - 1 - shape.email;
    pieces.len() > shape.columns
        && pieces[shape.email..pieces.len() - after]
            .iter()
            .any(|it| !it.starts_with(' ') && is_address_like(bare(it)))
}

/// Whether a line ends a row that began on a line before, in a quoted cell of its own: the address is
/// where it must be, counted from the end.
fn is_end_of_row(pieces: &[&str], shape: Shape) -> bool {
    let after = shape.columns - 1 - shape.email;
    let address = pieces.iter().rev().nth(after);
    pieces.len() > after + 1
        && address.is_some_and(|it| !it.starts_with(' ') && is_address_like(bare(it)))
}

/// A cell without blanks and quotes around it.
fn bare(cell: &str) -> &str {
    cell.trim_matches(|it: char| it == '"' || it.is_whitespace())
}

/// Whether a cell is meant as an address, be it a valid one or not.
fn is_address_like(cell: &str) -> bool {
    let named = cell.ends_with('>') && cell.contains('<');
    let one_word = named || !cell.contains(char::is_whitespace);
    let parts = cell.split_once('@');
    one_word && parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

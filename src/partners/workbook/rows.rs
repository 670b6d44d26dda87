//! The rows of one sheet, from the top down, with the numbers that the spreadsheet shows.

use std::io::Cursor;
use std::iter::Peekable;

use calamine::{Data, Range, XlsxCellReader};

use super::cell_text::cell_text;
use super::error::{WorkbookError, damaged, read_error};
use super::guard::guarded;

/// How many rows with content a sheet may have.
pub const ROW_LIMIT: u32 = 200_000;
/// How many bytes of text a row may have.
pub const ROW_TEXT_LIMIT: usize = 1024 * 1024;
/// ECMA-376 and OpenDocument programs alike end at column XFD and row 1,048,576.
const LAST_ROW: u32 = 1_048_576;
const COLUMNS: u32 = 16_384;

/// The bytes of a workbook.
pub(super) type Input = Cursor<Vec<u8>>;

/// A row with content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkbookRow {
    /// Its number, as the spreadsheet shows it.
    pub number: u32,
    /// Its cells from column A on, without empty ones at the end.
    pub cells: Vec<String>,
}

/// A cell with text: its row and column, counted from 0.
type TextCell = (u32, u32, String);

/// The rows with content of a sheet, from the top down. The first error is the last item.
pub struct WorkbookRows<'a> {
    cells: Peekable<Box<dyn Iterator<Item = Result<TextCell, WorkbookError>> + 'a>>,
    /// The number of the last row.
    last: u32,
    count: u32,
    ended: bool,
}

impl Iterator for WorkbookRows<'_> {
    type Item = Result<WorkbookRow, WorkbookError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let row = guarded(|| self.next_row());
        self.ended = !matches!(row, Ok(Some(_)));
        row.transpose()
    }
}

impl<'a> WorkbookRows<'a> {
    /// The rows of a sheet that is read cell by cell out of its packed part.
    pub(super) fn streamed(mut cells: XlsxCellReader<'a, Input>) -> Self {
        let cells = std::iter::from_fn(move || cells.next_cell().transpose());
        // calamine must not be asked again after the last cell.
        Self::new(cells.fuse().map(|cell| {
            let cell = cell.map_err(read_error)?;
            let (row, column) = cell.get_position();
            Ok((row, column, cell_text(cell.get_value().clone().into())))
        }))
    }

    /// The rows of a sheet that calamine holds in memory, as a rectangle of cells.
    pub(super) fn held(cells: Range<Data>) -> Self {
        let (top, left) = cells.start().unwrap_or_default();
        let (height, width) = cells.get_size();
        let at = |first: u32, index: usize| {
            u32::try_from(index).map_or(u32::MAX, |it| first.saturating_add(it))
        };
        Self::new((0..height * width).map(move |place| {
            let (row, column) = (place / width, place % width);
            let text = cells.get((row, column)).cloned().map(cell_text);
            Ok((at(top, row), at(left, column), text.unwrap_or_default()))
        }))
    }

    fn new(cells: impl Iterator<Item = Result<TextCell, WorkbookError>> + 'a) -> Self {
        let has_text = |it: &Result<TextCell, _>| !matches!(it, Ok((.., text)) if text.is_empty());
        let cells: Box<dyn Iterator<Item = _> + 'a> = Box::new(cells.filter(has_text));
        Self {
            cells: cells.peekable(),
            last: 0,
            count: 0,
            ended: false,
        }
    }

    fn next_row(&mut self) -> Result<Option<WorkbookRow>, WorkbookError> {
        let Some(first) = self.cells.next() else {
            return Ok(None);
        };
        let (row, mut column, mut text) = first?;
        let (number, last) = (row.saturating_add(1), self.last);
        if number <= last {
            return Err(damaged(format!("row {number} stands behind row {last}")));
        }
        self.last = number;
        self.count += 1;
        if self.count > ROW_LIMIT {
            return Err(WorkbookError::TooManyRows);
        }
        let (mut cells, mut length) = (Vec::new(), 0);
        loop {
            if column >= COLUMNS || number > LAST_ROW {
                return Err(damaged(
                    "a cell stands beyond the last row or column that a sheet can have",
                ));
            }
            length += text.len();
            if length > ROW_TEXT_LIMIT {
                return Err(WorkbookError::RowTooLong { row: number });
            }
            put(&mut cells, column as usize, text);
            let same_row = |it: &Result<TextCell, _>| matches!(it, Ok((next, ..)) if *next == row);
            match self.cells.next_if(same_row) {
                Some(cell) => (_, column, text) = cell?,
                None => return Ok(Some(WorkbookRow { number, cells })),
            }
        }
    }
}

/// Puts a text into its column. The cells of a row may come in any order.
fn put(cells: &mut Vec<String>, column: usize, text: String) {
    if cells.len() <= column {
        cells.resize(column + 1, String::new());
    }
    cells[column] = text;
}

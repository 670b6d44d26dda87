//! The rows of one sheet, from the top down, with the numbers that the spreadsheet shows.

use std::io::Cursor;

use calamine::{Data, Range, XlsxCellReader};

use super::cell_text::cell_text;
use super::error::WorkbookError;
use super::guard::guarded;

/// How many rows with content a sheet may have.
pub const ROW_LIMIT: u32 = 200_000;
/// How many bytes of text a row may have.
pub const ROW_TEXT_LIMIT: usize = 1024 * 1024;

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

/// The rows with content of a sheet, from the top down. The first error is the last item.
pub struct WorkbookRows<'a> {
    cells: Cells<'a>,
    /// The number of the last row.
    last: u32,
    count: u32,
    ended: bool,
}

enum Cells<'a> {
    /// Cell by cell out of the packed sheet.
    Streamed {
        cells: Box<XlsxCellReader<'a, Input>>,
        /// A cell of the next row.
        next: Option<(u32, u32, String)>,
        /// Whether the last cell has been read; calamine must not be asked again.
        ended: bool,
    },
    /// Out of a rectangle that calamine holds.
    Held { cells: Range<Data>, next: usize },
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
    /// The rows of a sheet that is read cell by cell.
    pub(super) fn streamed(cells: XlsxCellReader<'a, Input>) -> Self {
        Self::new(Cells::Streamed {
            cells: Box::new(cells),
            next: None,
            ended: false,
        })
    }

    /// The rows of a sheet that calamine holds in memory.
    pub(super) fn held(cells: Range<Data>) -> Self {
        Self::new(Cells::Held { cells, next: 0 })
    }

    fn new(cells: Cells<'a>) -> Self {
        Self {
            cells,
            last: 0,
            count: 0,
            ended: false,
        }
    }

    fn next_row(&mut self) -> Result<Option<WorkbookRow>, WorkbookError> {
        let row = match &mut self.cells {
            Cells::Streamed { ended: true, .. } => None,
            Cells::Streamed { cells, next, ended } => {
                let row = streamed_row(cells, next)?;
                *ended = next.is_none();
                row
            }
            Cells::Held { cells, next } => held_row(cells, next)?,
        };
        let Some(row) = row else {
            return Ok(None);
        };
        if row.number <= self.last {
            let (number, last) = (row.number, self.last);
            return Err(WorkbookError::Damaged(format!(
                "row {number} stands behind row {last}"
            )));
        }
        self.last = row.number;
        self.count += 1;
        if self.count > ROW_LIMIT {
            return Err(WorkbookError::TooManyRows);
        }
        Ok(Some(row))
    }
}

/// The next row with content, out of the cells in the order of the file.
fn streamed_row(
    cells: &mut XlsxCellReader<'_, Input>,
    next: &mut Option<(u32, u32, String)>,
) -> Result<Option<WorkbookRow>, WorkbookError> {
    let mut row: Option<RowBuilder> = None;
    loop {
        let (number, column, text) = if let Some(cell) = next.take() {
            cell
        } else {
            let Some(cell) = cells.next_cell()? else {
                break;
            };
            let ((number, column), value) = (cell.get_position(), cell.get_value().clone());
            (number, column, cell_text(value.into()))
        };
        if text.is_empty() {
            continue;
        }
        let row = row.get_or_insert_with(|| RowBuilder::new(number));
        if row.index != number {
            *next = Some((number, column, text));
            break;
        }
        row.put(column, text)?;
    }
    Ok(row.map(RowBuilder::finish))
}

/// The next row with content of the rectangle.
fn held_row(cells: &Range<Data>, next: &mut usize) -> Result<Option<WorkbookRow>, WorkbookError> {
    let Some((top, left)) = cells.start() else {
        return Ok(None);
    };
    let (height, width) = cells.get_size();
    while *next < height {
        let place = *next;
        *next += 1;
        let index = u32::try_from(place).map_or(u32::MAX, |it| top.saturating_add(it));
        let mut row = RowBuilder::new(index);
        for column in 0..width {
            let text = cells.get((place, column)).cloned().map(cell_text);
            if let Some(text) = text.filter(|it| !it.is_empty()) {
                let column = u32::try_from(column).unwrap_or(u32::MAX);
                row.put(left.saturating_add(column), text)?;
            }
        }
        if !row.cells.is_empty() {
            return Ok(Some(row.finish()));
        }
    }
    Ok(None)
}

/// A row whose cells arrive one by one.
struct RowBuilder {
    /// Counted from 0.
    index: u32,
    cells: Vec<String>,
    length: usize,
}

impl RowBuilder {
    fn new(index: u32) -> Self {
        Self {
            index,
            cells: Vec::new(),
            length: 0,
        }
    }

    fn put(&mut self, column: u32, text: String) -> Result<(), WorkbookError> {
        // ECMA-376 and OpenDocument programs alike end at column XFD and row 1,048,576.
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        if column >= 16_384 || self.index >= 1_048_576 {
            return Err(WorkbookError::Damaged(
                "a cell stands beyond the last row or column that a sheet can have".into(),
            ));
        }
        self.length += text.len();
        if self.length > ROW_TEXT_LIMIT {
            return Err(WorkbookError::RowTooLong {
                row: self.index + 1,
            });
        }
        if self.cells.len() <= column {
            self.cells.resize(column + 1, String::new());
        }
        self.cells[column] = text;
        Ok(())
    }

    fn finish(self) -> WorkbookRow {
        WorkbookRow {
            number: self.index + 1,
            cells: self.cells,
        }
    }
}

//! Workbooks: the rows of one sheet as text, with the row numbers that the spreadsheet shows.
//!
//! calamine parses; everything around it keeps memory bounded, because calamine allocates whatever a
//! file declares. No input may cause a panic: what calamine does not expect is a damaged workbook.
//! Hidden rows and columns are read like others, and formulas by the value that was saved with them.

mod budget;
mod cell_text;
mod error;
mod ods_cells;
mod xls_stream;
mod zip_parts;

use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use calamine::{Data, Ods, Range, Reader, SheetType, SheetVisible, Xls, Xlsx, XlsxCellReader};

use self::cell_text::cell_text;
pub use self::error::WorkbookError;
use self::zip_parts::ZipKind;

/// The largest file that is read, in bytes.
pub const FILE_LIMIT: u64 = 64 * 1024 * 1024;
/// How many rows with content a sheet may have.
pub const ROW_LIMIT: u32 = 200_000;
/// How many bytes of text a row may have.
pub const ROW_TEXT_LIMIT: usize = 1024 * 1024;

/// How a zipped file begins, and thus `.xlsx`, `.xlsm` and `.ods` (APPNOTE.TXT §4.3.7).
const ZIP: &[u8] = b"PK\x03\x04";
/// How a compound file begins, and thus `.xls` and encrypted workbooks (MS-CFB §2.2).
const COMPOUND: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

type Input = Cursor<Vec<u8>>;

/// A workbook in memory.
pub struct Workbook {
    /// The worksheets in the order of their tabs, with whether a person sees them.
    sheets: Vec<(String, bool)>,
    content: Content,
}

enum Content {
    Xlsx(Box<Xlsx<Input>>),
    Xls(Box<Xls<Input>>),
    Ods(Box<Ods<Input>>),
}

/// A row with content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkbookRow {
    /// Its number, as the spreadsheet shows it.
    pub number: u32,
    /// Its cells from column A on, without empty ones at the end.
    pub cells: Vec<String>,
}

impl Workbook {
    /// Whether a file that begins so may be a workbook, whatever it is called.
    #[must_use]
    pub fn begins_like_one(beginning: &[u8]) -> bool {
        beginning.starts_with(ZIP) || beginning.starts_with(COMPOUND)
    }

    /// Opens a file.
    ///
    /// # Errors
    /// If it cannot be read, is too large, encrypted, damaged, or no workbook.
    pub fn open(path: &Path) -> Result<Self, WorkbookError> {
        let mut bytes = Vec::new();
        let file = File::open(path)?;
        file.take(FILE_LIMIT + 1).read_to_end(&mut bytes)?;
        Self::from_bytes(bytes)
    }

    /// Reads a workbook out of the bytes of a file.
    ///
    /// # Errors
    /// If it is too large, encrypted, damaged, or no workbook.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, WorkbookError> {
        if bytes.len() as u64 > FILE_LIMIT {
            return Err(WorkbookError::FileTooLarge);
        }
        guarded(|| {
            let content = if bytes.starts_with(ZIP) {
                match zip_parts::check(&bytes)? {
                    ZipKind::Xlsx => Content::Xlsx(Box::new(Xlsx::new(Cursor::new(bytes))?)),
                    ZipKind::Ods => Content::Ods(Box::new(Ods::new(Cursor::new(bytes))?)),
                }
            } else if bytes.starts_with(COMPOUND) {
                let checked = xls_stream::check(&bytes)?;
                drop(bytes);
                Content::Xls(Box::new(Xls::new(Cursor::new(checked))?))
            } else {
                return Err(WorkbookError::NotAWorkbook);
            };
            let sheets = match &content {
                Content::Xlsx(it) => it.sheets_metadata(),
                Content::Xls(it) => it.sheets_metadata(),
                Content::Ods(it) => it.sheets_metadata(),
            };
            let sheets = sheets
                .iter()
                .filter(|it| it.typ == SheetType::WorkSheet)
                .map(|it| (it.name.clone(), it.visible == SheetVisible::Visible))
                .collect();
            Ok(Self { sheets, content })
        })
    }

    /// The names of the worksheets, in the order of their tabs.
    pub fn sheet_names(&self) -> impl Iterator<Item = &str> {
        self.sheets.iter().map(|(name, _)| name.as_str())
    }

    /// The rows of the sheet with this name, else of the first one that is not hidden.
    ///
    /// # Errors
    /// If there is no such sheet, or it is damaged.
    pub fn rows(&mut self, sheet: Option<&str>) -> Result<WorkbookRows<'_>, WorkbookError> {
        let name = self.sheet(sheet)?.to_owned();
        let cells = guarded(|| {
            Ok(match &mut self.content {
                Content::Xlsx(it) => Cells::Streamed {
                    cells: Box::new(it.worksheet_cells_reader(&name)?),
                    next: None,
                    ended: false,
                },
                Content::Xls(it) => Cells::of_range(it.worksheet_range(&name)?),
                Content::Ods(it) => Cells::of_range(it.worksheet_range(&name)?),
            })
        })?;
        Ok(WorkbookRows {
            cells,
            last: 0,
            count: 0,
            ended: false,
        })
    }

    /// The name of the wanted sheet, in any case if no other differs only by that.
    fn sheet(&self, wanted: Option<&str>) -> Result<&str, WorkbookError> {
        let Some(wanted) = wanted else {
            let visible = self.sheets.iter().find(|(_, visible)| *visible);
            let first = visible.or(self.sheets.first());
            return first
                .map(|(name, _)| name.as_str())
                .ok_or(WorkbookError::NoSheet);
        };
        let lower = wanted.to_lowercase();
        self.sheet_names()
            .find(|it| *it == wanted)
            .or_else(|| self.sheet_names().find(|it| it.to_lowercase() == lower))
            .ok_or_else(|| WorkbookError::UnknownSheet {
                wanted: wanted.to_owned(),
                available: self.sheet_names().map(str::to_owned).collect(),
            })
    }
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

impl Cells<'_> {
    fn of_range(cells: Range<Data>) -> Self {
        Self::Held { cells, next: 0 }
    }
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

impl WorkbookRows<'_> {
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

/// Turns a panic of calamine into an error: it indexes bytes of damaged files without asking.
fn guarded<T>(read: impl FnOnce() -> Result<T, WorkbookError>) -> Result<T, WorkbookError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(WorkbookError::Damaged("it cannot be parsed".into())))
}

#[cfg(test)]
mod tests;

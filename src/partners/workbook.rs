//! Workbooks: the rows of one sheet as text, with the row numbers that the spreadsheet shows.
//!
//! calamine parses; everything around it keeps memory bounded, because calamine allocates whatever a
//! file declares. No input may cause a panic: what calamine does not expect is a damaged workbook.
//! Hidden rows and columns are read like others, and formulas by the value that was saved with them.

mod budget;
mod cell_text;
mod error;
mod guard;
mod ods_cells;
mod rows;
mod xls_cells;
mod xls_records;
mod xls_stream;
mod xls_texts;
mod zip_parts;

use std::io::Cursor;

use calamine::{Ods, Reader, SheetType, SheetVisible, Sheets, Xls, Xlsx};

pub use self::error::WorkbookError;
use self::error::read_error;
use self::guard::guarded;
use self::rows::Input;
use self::rows::WorkbookRows;
use self::zip_parts::ZipKind;

/// The largest file that is read, in bytes.
pub const FILE_LIMIT: u64 = 64 * 1024 * 1024;
/// How a zipped file begins, and thus `.xlsx`, `.xlsm` and `.ods` (APPNOTE.TXT §4.3.7).
const ZIP: &[u8] = b"PK\x03\x04";
/// How a compound file begins, and thus `.xls` and encrypted workbooks (MS-CFB §2.2).
const COMPOUND: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// A workbook in memory.
pub struct Workbook {
    /// The worksheets in the order of their tabs, with whether a person sees them.
    sheets: Vec<(String, bool)>,
    content: Sheets<Input>,
}

impl Workbook {
    /// Whether a file that begins so may be a workbook, whatever it is called.
    #[must_use]
    pub fn begins_like_one(beginning: &[u8]) -> bool {
        beginning.starts_with(ZIP) || beginning.starts_with(COMPOUND)
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
                let kind = zip_parts::check(&bytes)?;
                let bytes = Cursor::new(bytes);
                match kind {
                    ZipKind::Xlsx => Sheets::Xlsx(Xlsx::new(bytes).map_err(read_error)?),
                    ZipKind::Ods => Sheets::Ods(Ods::new(bytes).map_err(read_error)?),
                }
            } else if bytes.starts_with(COMPOUND) {
                let checked = xls_stream::check(&bytes)?;
                drop(bytes);
                Sheets::Xls(Xls::new(Cursor::new(checked)).map_err(read_error)?)
            } else {
                return Err(WorkbookError::NotAWorkbook);
            };
            let sheets = content.sheets_metadata();
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
        guarded(|| {
            Ok(match &mut self.content {
                Sheets::Xlsx(it) => {
                    WorkbookRows::streamed(it.worksheet_cells_reader(&name).map_err(read_error)?)
                }
                held => WorkbookRows::held(held.worksheet_range(&name).map_err(read_error)?),
            })
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

#[cfg(test)]
mod tests;

//! The memory that the cells of an `.xls` sheet need after calamine has expanded them.

use super::budget::MemoryBudget;
use super::error::{WorkbookError, damaged};
use super::xls_records::{XlsRecord, double_word, kind, word};

/// More columns are not possible in this format.
const COLUMNS: u16 = 256;

/// Counts what calamine allocates for one sheet.
pub fn count_cells(
    stream: &[u8],
    texts: &[u64],
    begins: usize,
    budget: &mut MemoryBudget,
) -> Result<(), WorkbookError> {
    let mut area = Area::default();
    let mut depth = 0_u32;
    let mut place = begins;
    while let Some(XlsRecord { kind, data }) = XlsRecord::at(stream, place) {
        place = data.end;
        let cells = &stream[data];
        // Each sheet of the list is walked, so that many for one place take time.
        budget.spend(0, 4)?;
        match kind {
            kind::BOF => depth += 1,
            kind::END if depth <= 1 => break,
            kind::END => depth -= 1,
            _ if depth > 1 => {}
            kind::TEXT | kind::RICH_TEXT => {
                area.add(cells, 1)?;
                budget.spend(1, 3 * cells.len() as u64)?;
            }
            kind::FORMULA_TEXT => budget.spend(1, 3 * cells.len() as u64)?,
            kind::SHARED_TEXT => {
                area.add(cells, 1)?;
                let text = double_word(cells, 6).and_then(|it| texts.get(it));
                budget.spend(1, text.copied().unwrap_or(0))?;
            }
            kind::NUMBERS => {
                let count = cells.len().saturating_sub(6) / 6;
                area.add(cells, count)?;
                budget.spend(count as u64, 0)?;
            }
            kind::NUMBER | kind::SHORT_NUMBER | kind::BOOLEAN | kind::FORMULA => {
                area.add(cells, 1)?;
                budget.spend(2, 0)?;
            }
            _ => {}
        }
    }
    budget.spend(area.cells(), 0)
}

/// The smallest rectangle that holds all cells.
#[derive(Default)]
struct Area {
    corners: Option<[u16; 4]>,
}

impl Area {
    /// Adds `count` cells from the row and column that a record begins with.
    fn add(&mut self, record: &[u8], count: usize) -> Result<(), WorkbookError> {
        let (Some(row), Some(column)) = (word(record, 0), word(record, 2)) else {
            return Err(damaged("a record is too short"));
        };
        let end = usize::from(column) + count.max(1) - 1;
        let last = u16::try_from(end).ok().filter(|it| *it < COLUMNS);
        let Some(last) = last else {
            return Err(damaged(format!(
                "row {} has more than 256 columns",
                u32::from(row) + 1
            )));
        };
        let [top, left, bottom, right] = self.corners.unwrap_or([row, column, row, last]);
        let corners = [
            top.min(row),
            left.min(column),
            bottom.max(row),
            right.max(last),
        ];
        self.corners = Some(corners);
        Ok(())
    }

    fn cells(&self) -> u64 {
        self.corners.map_or(0, |[top, left, bottom, right]| {
            (u64::from(bottom - top) + 1) * (u64::from(right - left) + 1)
        })
    }
}

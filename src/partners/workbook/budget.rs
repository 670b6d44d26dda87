//! The memory that a workbook may need, counted before calamine expands it.
//!
//! A few bytes of a file can stand for gigabytes: packed parts, repeated rows, one string in a million
//! cells, a cell in the last corner of a sheet. calamine allocates what the file asks for.

use super::error::WorkbookError;

/// The memory that the cells of all sheets may need.
const LIMIT: u64 = 512 * 1024 * 1024;
/// What calamine keeps for a cell: its value, its formula and its place.
const CELL: u64 = 64;

/// Counts what calamine will allocate.
#[derive(Debug, Default)]
pub struct MemoryBudget {
    spent: u64,
}

impl MemoryBudget {
    /// Adds `count` cells that hold `text` bytes together.
    pub fn spend(&mut self, count: u64, text: u64) -> Result<(), WorkbookError> {
        let cells = count.saturating_mul(CELL);
        self.spent = self.spent.saturating_add(cells).saturating_add(text);
        if self.spent > LIMIT {
            return Err(WorkbookError::ContentTooLarge(
                "its cells would take more than 512 MiB",
            ));
        }
        Ok(())
    }
}

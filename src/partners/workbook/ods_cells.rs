//! How many cells an OpenDocument table expands to (ODF 1.2 part 1, §9.1).
//!
//! Rows and columns that repeat are written once. calamine expands them, first each row, then the
//! smallest rectangle that holds all filled cells.

use std::io::BufRead;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::budget::MemoryBudget;
use super::error::{WorkbookError, damaged};

/// The most columns that calamine expands a row to.
const COLUMNS: u64 = 16_384;
/// The most rows that calamine expands a table to.
const ROWS: u64 = 1_048_576;

/// Reads a `content.xml` and counts what its cells take.
pub fn check(part: &mut impl BufRead) -> Result<(), WorkbookError> {
    let mut xml = Reader::from_reader(part);
    xml.config_mut().expand_empty_elements = true;
    let mut budget = MemoryBudget::default();
    let mut table = Table::default();
    let mut row = Row::default();
    let mut cell = None;
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match xml.read_event_into(&mut buffer).map_err(damaged)? {
            Event::Start(start) => match start.name().0 {
                "table:table" => table = Table::default(),
                "table:table-row" => {
                    let times = repeated(&start, "table:number-rows-repeated")?;
                    let times = times.min(ROWS - table.rows.min(ROWS));
                    row = Row {
                        times,
                        ..Row::default()
                    };
                }
                "table:table-cell" | "table:covered-table-cell" => {
                    cell = Some(Cell::begin(&start)?);
                }
                name => {
                    if let Some(cell) = &mut cell {
                        let spaces = if name == "text:s" {
                            repeated(&start, "text:c")?
                        } else {
                            1
                        };
                        cell.text = cell.text.saturating_add(spaces);
                        budget.spend(0, cell.text / 1024)?;
                    }
                }
            },
            Event::Text(text) => {
                if let Some(cell) = &mut cell {
                    cell.text = cell.text.saturating_add(text.len() as u64);
                }
            }
            Event::End(end) => match end.name().0 {
                "table:table-cell" | "table:covered-table-cell" => {
                    if let Some(cell) = cell.take() {
                        row.push(&cell, &mut budget)?;
                    }
                }
                "table:table-row" => table.push(&row, &mut budget)?,
                _ => {}
            },
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

/// One element of a row.
struct Cell {
    times: u64,
    /// Its text in bytes, or that of its attributes; zero only if it is empty for calamine, too.
    text: u64,
}

impl Cell {
    fn begin(start: &BytesStart<'_>) -> Result<Self, WorkbookError> {
        let mut text = 0;
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(damaged)?;
            let key = attribute.key.0;
            if key.starts_with("office:") || key.starts_with("calcext:") || key == "table:formula" {
                text += 1 + attribute.value.len() as u64;
            }
        }
        Ok(Self {
            times: repeated(start, "table:number-columns-repeated")?,
            text,
        })
    }
}

/// One element of a table; its cells as calamine lays them out.
#[derive(Default)]
struct Row {
    times: u64,
    cells: u64,
    /// Empty cells that count only if another cell follows.
    empty: u64,
    filled: bool,
    text: u64,
}

impl Row {
    fn push(&mut self, cell: &Cell, budget: &mut MemoryBudget) -> Result<(), WorkbookError> {
        let before = self.cells;
        self.cells = (self.cells + self.empty).min(COLUMNS);
        self.empty = 0;
        let times = cell.times.min(COLUMNS - self.cells);
        if cell.text == 0 {
            self.empty = times;
        } else {
            self.cells += times;
            self.filled = true;
            let text = cell.text.saturating_mul(times);
            self.text = self.text.saturating_add(text);
            budget.spend(0, text)?;
        }
        budget.spend(self.cells - before, 0)
    }
}

/// The rows of a table so far.
#[derive(Default)]
struct Table {
    rows: u64,
    width: u64,
    first: Option<u64>,
    /// The rows from the first to the last filled one.
    height: u64,
}

impl Table {
    fn push(&mut self, row: &Row, budget: &mut MemoryBudget) -> Result<(), WorkbookError> {
        // A row beyond the last possible one is not repeated, but what is before it is expanded.
        if row.filled {
            let first = *self.first.get_or_insert(self.rows);
            let area = self.height * self.width;
            self.height = self.rows + row.times - first;
            self.width = self.width.max(row.cells);
            budget.spend(self.height * self.width - area, 0)?;
            budget.spend(0, row.text.saturating_mul(row.times))?;
        }
        self.rows += row.times;
        Ok(())
    }
}

/// How often an element repeats.
fn repeated(start: &BytesStart<'_>, key: &str) -> Result<u64, WorkbookError> {
    let attribute = start
        .attributes()
        .with_checks(false)
        .filter_map(Result::ok)
        .find(|it| it.key.0 == key);
    match attribute {
        Some(attribute) => attribute.value.trim().parse().map_err(damaged),
        None => Ok(1),
    }
}

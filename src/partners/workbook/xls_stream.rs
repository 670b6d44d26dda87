//! The stream of records in an `.xls` file (MS-XLS §2.1), reduced to those that hold cells.
//!
//! Records that calamine would parse without need (names, formulas, dimensions) are renamed to a type
//! that it ignores, and what the cells take is counted. calamine then reads a new container that
//! holds exactly the bytes that were checked.

use std::collections::HashSet;
use std::io::{Cursor, Read, Write};
use std::ops::Range;

use cfb::{CompoundFile, Version};

use super::budget::Budget;
use super::error::WorkbookError;

/// A type that MS-XLS does not define.
const IGNORED: [u8; 2] = [0xff, 0x7f];
/// More columns are not possible in this format.
const COLUMNS: u16 = 256;

/// Types of records (MS-XLS §2.3).
mod kind {
    pub const FORMULA: u16 = 0x0006;
    pub const END: u16 = 0x000a;
    pub const FILE_PASS: u16 = 0x002f;
    pub const CONTINUE: u16 = 0x003c;
    pub const BOUND_SHEET: u16 = 0x0085;
    pub const NUMBERS: u16 = 0x00bd;
    pub const RICH_TEXT: u16 = 0x00d6;
    pub const SHARED_TEXTS: u16 = 0x00fc;
    pub const SHARED_TEXT: u16 = 0x00fd;
    pub const NUMBER: u16 = 0x0203;
    pub const TEXT: u16 = 0x0204;
    pub const BOOLEAN: u16 = 0x0205;
    pub const FORMULA_TEXT: u16 = 0x0207;
    pub const SHORT_NUMBER: u16 = 0x027e;
    pub const BOF: u16 = 0x0809;
    /// What calamine needs to read values: code page, date system, formats, and the above.
    pub const KEPT: [u16; 14] = [
        0x0022,
        0x0042,
        0x00e0,
        0x041e,
        FILE_PASS,
        BOUND_SHEET,
        NUMBERS,
        RICH_TEXT,
        SHARED_TEXTS,
        SHARED_TEXT,
        NUMBER,
        TEXT,
        BOOLEAN,
        FORMULA_TEXT,
    ];
}

/// The same workbook, reduced and checked, as a new container.
pub fn check(bytes: &[u8]) -> Result<Vec<u8>, WorkbookError> {
    let mut stream = extract(bytes)?;
    let globals = reduce(&mut stream)?;
    let mut budget = Budget::default();
    for sheet in &globals.sheets {
        count_cells(&stream, &globals, *sheet, &mut budget)?;
    }
    let damaged = |error: std::io::Error| WorkbookError::Damaged(error.to_string());
    let empty = Cursor::new(Vec::new());
    let mut container = CompoundFile::create_with_version(Version::V3, empty).map_err(damaged)?;
    let mut copy = container.create_stream("/Workbook").map_err(damaged)?;
    copy.write_all(&stream).map_err(damaged)?;
    copy.flush().map_err(damaged)?;
    drop(copy);
    Ok(container.into_inner().into_inner())
}

/// The stream of records out of the container.
fn extract(bytes: &[u8]) -> Result<Vec<u8>, WorkbookError> {
    let damaged = |error: std::io::Error| WorkbookError::Damaged(error.to_string());
    let mut container = CompoundFile::open(Cursor::new(bytes)).map_err(damaged)?;
    if container.is_stream("/EncryptedPackage") {
        return Err(WorkbookError::Encrypted);
    }
    let names = ["/Workbook", "/Book"];
    let Some(name) = names.into_iter().find(|it| container.is_stream(it)) else {
        return Err(WorkbookError::NotAWorkbook);
    };
    let mut stream = Vec::new();
    container
        .open_stream(name)
        .and_then(|it| it.take(bytes.len() as u64).read_to_end(&mut stream))
        .map_err(damaged)?;
    Ok(stream)
}

/// What the records before the first sheet say.
#[derive(Default)]
struct Globals {
    /// Where the sheets begin.
    sheets: Vec<usize>,
    /// How many bytes each shared text has at most.
    texts: Vec<u64>,
}

/// One record: its type, and where its data stand.
struct Record {
    kind: u16,
    data: Range<usize>,
}

impl Record {
    fn at(stream: &[u8], place: usize) -> Option<Self> {
        let kind = word(stream, place)?;
        let begin = place + 4;
        let end = begin + usize::from(word(stream, place + 2)?);
        (end <= stream.len()).then_some(Self {
            kind,
            data: begin..end,
        })
    }
}

/// Renames the records that are not needed, and empties formulas, whose values stand beside them.
fn reduce(stream: &mut [u8]) -> Result<Globals, WorkbookError> {
    let mut globals = Globals::default();
    let mut in_globals = true;
    let mut beginnings = HashSet::new();
    let mut shared: Vec<Range<usize>> = Vec::new();
    let mut in_shared = false;
    let mut place = 0;
    while let Some(Record { kind, data }) = Record::at(stream, place) {
        match kind {
            kind::CONTINUE if in_shared => shared.push(data.clone()),
            kind::CONTINUE => {}
            kind::FILE_PASS if word(stream, data.start) != Some(0) => {
                return Err(WorkbookError::Encrypted);
            }
            kind::BOF => {
                beginnings.insert(place);
            }
            kind::END => in_globals = false,
            kind::BOUND_SHEET if in_globals => {
                globals.sheets.extend(double_word(stream, data.start));
            }
            kind::SHARED_TEXTS if in_globals => shared = vec![data.clone()],
            kind::FORMULA => {
                if let Some(length) = stream[data.clone()].get_mut(20..22) {
                    length.fill(0);
                }
            }
            kind::SHORT_NUMBER => {}
            _ if kind::KEPT.contains(&kind) => {}
            _ => stream[place..place + 2].copy_from_slice(&IGNORED),
        }
        if kind != kind::CONTINUE {
            in_shared = kind == kind::SHARED_TEXTS;
        }
        place = data.end;
    }
    if !globals.sheets.iter().all(|it| beginnings.contains(it)) {
        return Err(WorkbookError::Damaged(
            "a sheet does not begin where the list of sheets says".into(),
        ));
    }
    let segments: Vec<&[u8]> = shared.into_iter().map(|it| &stream[it]).collect();
    globals.texts = text_lengths(&segments);
    Ok(globals)
}

/// How many bytes of UTF-8 each text of the shared table takes at most (MS-XLS §2.4.265, §2.5.293).
///
/// Ends early where the table is malformed; calamine ends there, too.
fn text_lengths(segments: &[&[u8]]) -> Vec<u64> {
    let mut lengths = Vec::new();
    let mut segments = segments.iter().copied();
    let mut rest = segments.next().and_then(|it| it.get(8..)).unwrap_or(&[]);
    loop {
        if rest.is_empty() {
            match segments.next() {
                Some(next) => rest = next,
                None => return lengths,
            }
        }
        let (Some(characters), Some(flags)) = (word(rest, 0), rest.get(2)) else {
            return lengths;
        };
        let (rich, extended) = (flags & 8 != 0, flags & 4 != 0);
        let mut wide = flags & 1 != 0;
        rest = &rest[3..];
        let mut behind = 0;
        if rich {
            behind += 4 * usize::from(word(rest, 0).unwrap_or(0));
            rest = rest.get(2..).unwrap_or(&[]);
        }
        if extended {
            behind += double_word(rest, 0).unwrap_or(0);
            rest = rest.get(4..).unwrap_or(&[]);
        }
        lengths.push(3 * u64::from(characters));
        let mut left = usize::from(characters);
        while left > 0 {
            let width = if wide { 2 } else { 1 };
            let taken = left.min(rest.len() / width);
            left -= taken;
            rest = &rest[taken * width..];
            if left > 0 {
                // The characters go on behind a byte that says how wide they are from here on.
                let Some((flags, next)) = segments.next().and_then(<[u8]>::split_first) else {
                    return lengths;
                };
                wide = flags & 1 != 0;
                rest = next;
            }
        }
        while behind > rest.len() {
            behind -= rest.len();
            match segments.next() {
                Some(next) => rest = next,
                None => return lengths,
            }
        }
        rest = &rest[behind..];
    }
}

/// Counts what calamine allocates for one sheet.
fn count_cells(
    stream: &[u8],
    globals: &Globals,
    begins: usize,
    budget: &mut Budget,
) -> Result<(), WorkbookError> {
    let mut area = Area::default();
    let mut depth = 0_u32;
    let mut place = begins;
    while let Some(Record { kind, data }) = Record::at(stream, place) {
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
                let text = double_word(cells, 6).and_then(|it| globals.texts.get(it));
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
            return Err(WorkbookError::Damaged("a record is too short".into()));
        };
        let end = usize::from(column) + count.max(1) - 1;
        let last = u16::try_from(end).ok().filter(|it| *it < COLUMNS);
        let Some(last) = last else {
            return Err(WorkbookError::Damaged(format!(
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

fn word(bytes: &[u8], place: usize) -> Option<u16> {
    let bytes = bytes.get(place..place + 2)?;
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

fn double_word(bytes: &[u8], place: usize) -> Option<usize> {
    let bytes = bytes.get(place..place + 4)?;
    usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
}

//! The stream of records in an `.xls` file (MS-XLS §2.1), reduced to those that hold cells.
//!
//! Records that calamine would parse without need (names, formulas, dimensions) are renamed to a type
//! that it ignores, and what the cells take is counted. calamine then reads a new container that
//! holds exactly the bytes that were checked.

use std::collections::HashSet;
use std::io::{Cursor, Read, Write};
use std::ops::Range;

use cfb::{CompoundFile, Version};

use super::budget::MemoryBudget;
use super::error::{WorkbookError, damaged};
use super::xls_cells::count_cells;
use super::xls_records::{XlsRecord, double_word, kind, word};
use super::xls_texts::text_lengths;

/// A type that MS-XLS does not define.
const IGNORED: [u8; 2] = [0xff, 0x7f];

/// The same workbook, reduced and checked, as a new container.
pub fn check(bytes: &[u8]) -> Result<Vec<u8>, WorkbookError> {
    let mut stream = extract(bytes)?;
    let globals = reduce(&mut stream)?;
    let mut budget = MemoryBudget::default();
    for sheet in &globals.sheets {
        count_cells(&stream, &globals.texts, *sheet, &mut budget)?;
    }
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

/// Renames the records that are not needed, and empties formulas, whose values are separate.
fn reduce(stream: &mut [u8]) -> Result<Globals, WorkbookError> {
    let mut globals = Globals::default();
    let mut in_globals = true;
    let mut beginnings = HashSet::new();
    let mut shared: Vec<Range<usize>> = Vec::new();
    let mut in_shared = false;
    let mut place = 0;
    while let Some(XlsRecord { kind, data }) = XlsRecord::at(stream, place) {
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
            _ if kind::KEPT.contains(&kind) => {}
            _ => stream[place..place + 2].copy_from_slice(&IGNORED),
        }
        if kind != kind::CONTINUE {
            in_shared = kind == kind::SHARED_TEXTS;
        }
        place = data.end;
    }
    if !globals.sheets.iter().all(|it| beginnings.contains(it)) {
        return Err(damaged(
            "a sheet does not begin where the list of sheets says",
        ));
    }
    let segments: Vec<&[u8]> = shared.into_iter().map(|it| &stream[it]).collect();
    globals.texts = text_lengths(&segments);
    Ok(globals)
}

//! The parts of a zipped workbook (`.xlsx`, `.xlsm`, `.ods`), unpacked once to count their bytes.
//!
//! The sizes that an archive declares are not believed: each part is unpacked to its end, and nothing
//! is kept. What a part would make calamine allocate is counted on the way.

use std::io::{self, BufReader, Cursor, Read};

use quick_xml::Reader;
use quick_xml::events::Event;
use zip::ZipArchive;

use super::error::{WorkbookError, damaged};
use super::ods_cells;

/// What all parts may have together, unpacked.
pub const UNPACKED_LIMIT: u64 = 256 * 1024 * 1024;

/// What a zipped file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZipKind {
    /// Office Open XML, with or without macros.
    Xlsx,
    /// OpenDocument.
    Ods,
}

/// Checks the sizes of all parts, and says which kind of workbook they make.
pub fn check(bytes: &[u8]) -> Result<ZipKind, WorkbookError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    let mut left = UNPACKED_LIMIT;
    let mut kind = None;
    for place in 0..archive.len() {
        let file = archive.by_index(place).map_err(damaged)?;
        let name = file.name().map_err(damaged)?.replace('\\', "/");
        let name = name.to_ascii_lowercase();
        let mut part = BufReader::new(file.take(left));
        let checked = match name.as_str() {
            "xl/workbook.bin" => Err(WorkbookError::Unsupported(
                "the binary format of Excel (.xlsb)",
            )),
            "content.xml" => {
                kind.get_or_insert(ZipKind::Ods);
                ods_cells::check(&mut part)
            }
            _ if name.ends_with("workbook.xml") => {
                kind = Some(ZipKind::Xlsx);
                Ok(())
            }
            _ if name.ends_with("sharedstrings.xml") => check_string_count(&mut part),
            _ => Ok(()),
        };
        let drained = io::copy(&mut part, &mut io::sink());
        left = part.get_ref().limit();
        if left == 0 {
            return Err(WorkbookError::ContentTooLarge(
                "unpacked, it has more than 256 MiB",
            ));
        }
        checked?;
        drained.map_err(damaged)?;
    }
    kind.ok_or(WorkbookError::NotAWorkbook)
}

/// calamine reserves room for as many strings as the table declares.
fn check_string_count(part: &mut impl io::BufRead) -> Result<(), WorkbookError> {
    let mut xml = Reader::from_reader(part);
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match xml.read_event_into(&mut buffer).map_err(damaged)? {
            Event::Start(table) | Event::Empty(table) if table.local_name().as_ref() == "sst" => {
                for attribute in table.attributes().with_checks(false) {
                    let attribute = attribute.map_err(damaged)?;
                    let count = attribute.value.trim().parse::<u64>();
                    if attribute.key.0.ends_with("Count")
                        && count.is_ok_and(|it| it > UNPACKED_LIMIT / 8)
                    {
                        return Err(damaged(
                            "its table of texts declares more texts than it can hold",
                        ));
                    }
                }
                return Ok(());
            }
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

//! Workbooks that would take more memory than they may.

use std::io::{Cursor, Read, Write};

use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::super::rows::ROW_LIMIT;
use super::super::{FILE_LIMIT, Workbook, WorkbookError};
use super::{fixture, rows, xlsx};

/// The archive with one part changed, or with another part.
pub fn with_part(archive: &[u8], part: &str, change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut old = ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut new = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_level(Some(1));
    let mut is_new = true;
    for place in 0..old.len() {
        let mut file = old.by_index(place).unwrap();
        let name = file.name().unwrap().into_owned();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        if name == part {
            is_new = false;
            bytes = change(&bytes);
        }
        new.start_file(name, options).unwrap();
        new.write_all(&bytes).unwrap();
    }
    if is_new {
        new.start_file(part, options).unwrap();
        new.write_all(&change(&[])).unwrap();
    }
    new.finish().unwrap().into_inner()
}

/// Replaces text in a part; it must be there.
fn replaced(archive: &[u8], part: &str, from: &str, to: &str) -> Vec<u8> {
    with_part(archive, part, |bytes| {
        let text = std::str::from_utf8(bytes).unwrap();
        assert!(text.contains(from), "{part} lacks {from}");
        text.replacen(from, to, 1).into_bytes()
    })
}

fn line(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|it| (*it).to_owned()).collect()
}

#[test]
fn a_file_that_is_too_large_is_refused_unread() {
    let mut bytes = fixture("cells.xlsx");
    bytes.resize(usize::try_from(FILE_LIMIT).unwrap() + 1, 0);

    let error = Workbook::from_bytes(bytes).err().unwrap();

    assert!(matches!(error, WorkbookError::FileTooLarge), "{error}");
    assert!(error.to_string().ends_with("export the sheet as CSV UTF-8"));
}

#[test]
fn rows_beyond_the_limit_are_refused() {
    let book = with_part(&fixture("cells.xlsx"), "xl/worksheets/sheet2.xml", |_| {
        let rows = (1..=ROW_LIMIT + 1)
            .map(|it| format!("<row r=\"{it}\"><c r=\"A{it}\" t=\"str\"><v>a</v></c></row>"));
        let rows: String = rows.collect();
        format!("<worksheet><sheetData>{rows}</sheetData></worksheet>").into_bytes()
    });
    let mut book = Workbook::from_bytes(book).unwrap();

    let mut read = 0;
    let mut error = None;
    for row in book.rows(None).unwrap() {
        assert!(error.is_none(), "the error is the last item");
        match row {
            Ok(_) => read += 1,
            Err(found) => error = Some(found),
        }
    }

    assert_eq!(read, ROW_LIMIT);
    assert!(
        matches!(error, Some(WorkbookError::TooManyRows)),
        "{error:?}"
    );
}

#[test]
fn a_part_that_unpacks_to_too_much_is_refused() {
    let bomb = with_part(&fixture("cells.xlsx"), "xl/media/bomb.png", |_| {
        vec![0; 257 * 1024 * 1024]
    });
    assert!(bomb.len() < 8 * 1024 * 1024);

    let error = rows(bomb, None).unwrap_err();

    assert!(
        matches!(error, WorkbookError::ContentTooLarge(_)),
        "{error}"
    );
}

#[test]
fn a_table_of_texts_that_declares_too_many_is_refused() {
    let book = xlsx("Texts", [line(&["a"]).as_slice()]);
    let huge = replaced(
        &book,
        "xl/sharedStrings.xml",
        "uniqueCount=\"1\"",
        "uniqueCount=\"99999999999999\"",
    );

    let error = rows(huge, None).unwrap_err();

    assert!(matches!(error, WorkbookError::Damaged(_)), "{error}");
}

#[test]
fn a_row_with_too_much_text_is_refused() {
    let long = "x".repeat(30_000);
    let row: Vec<String> = std::iter::repeat_n(long, 40).collect();
    let short = line(&["a"]);

    let error = rows(xlsx("Wide", [short.as_slice(), &row]), None).unwrap_err();

    assert!(
        matches!(error, WorkbookError::RowTooLong { row: 2 }),
        "{error}"
    );
}

#[test]
fn cells_in_far_corners_are_read_without_what_lies_between() {
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    sheet.write_string(0, 0, "first").unwrap();
    sheet.write_string(1_048_575, 16_383, "last").unwrap();

    let read = rows(book.save_to_buffer().unwrap(), None).unwrap();

    assert_eq!(read.len(), 2);
    assert_eq!((read[1].number, read[1].cells.len()), (1_048_576, 16_384));
}

#[test]
fn repeated_cells_of_opendocument_are_counted_before_they_are_expanded() {
    let ods = fixture("partners.ods");
    let with_rows = |rows: &str| {
        let end = "</table:table-row>";
        replaced(&ods, "content.xml", end, &format!("{end}{rows}"))
    };
    let at_the_end = |rows: &str| {
        let end = "</table:table>";
        replaced(&ods, "content.xml", end, &format!("{rows}{end}"))
    };
    let row = |times: u32, columns: u32, text: &str| {
        format!(
            "<table:table-row table:number-rows-repeated=\"{times}\"><table:table-cell table:number-columns-repeated=\"{columns}\" office:value-type=\"string\"><text:p>{text}</text:p></table:table-cell></table:table-row>"
        )
    };

    assert_eq!(
        rows(with_rows(&row(1_000, 100, "x")), None).unwrap().len(),
        1_027
    );
    for too_much in [
        row(1_000_000, 100, "x"),
        row(1, 16_384, "x").repeat(2_000),
        row(60_000, 1, &"x".repeat(10_000)),
        row(1, 10_000, &"x".repeat(100_000)),
        format!("{}{}", row(1, 16_384, "x"), row(50_000, 1, "x")),
    ] {
        let error = rows(with_rows(&too_much), None).unwrap_err();
        assert!(
            matches!(error, WorkbookError::ContentTooLarge(_)),
            "{error}"
        );
    }
    let behind_empty_rows = at_the_end(&row(1, 100, "x"));
    let error = rows(behind_empty_rows, None).unwrap_err();
    assert!(
        matches!(error, WorkbookError::ContentTooLarge(_)),
        "{error}"
    );
    let blanks = replaced(
        &ods,
        "content.xml",
        "<text:p>email</text:p>",
        "<text:p><text:s text:c=\"9999999999\"/></text:p>",
    );
    let error = rows(blanks, None).unwrap_err();
    assert!(
        matches!(error, WorkbookError::ContentTooLarge(_)),
        "{error}"
    );
}

#[test]
fn empty_rows_to_the_end_of_an_opendocument_sheet_cost_nothing() {
    let ods = replaced(
        &fixture("partners.ods"),
        "content.xml",
        "</table:table>",
        "<table:table-row table:number-rows-repeated=\"1048500\"><table:table-cell table:number-columns-repeated=\"16384\"/></table:table-row></table:table>",
    );

    assert_eq!(rows(ods, None).unwrap().len(), 27);
}

mod damaged;
mod limits;

use super::rows::WorkbookRow;
use super::{Workbook, WorkbookError};

/// The bytes of a fixture.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/lists/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

/// All rows of a sheet, or the first error.
pub fn rows(bytes: Vec<u8>, sheet: Option<&str>) -> Result<Vec<WorkbookRow>, WorkbookError> {
    Workbook::from_bytes(bytes)?.rows(sheet)?.collect()
}

/// A workbook as Excel writes it, with one sheet of texts.
pub fn xlsx<'a>(name: &str, lines: impl IntoIterator<Item = &'a [String]>) -> Vec<u8> {
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet().set_name(name).unwrap();
    for (row, cells) in (0..).zip(lines) {
        for (column, cell) in (0..).zip(cells) {
            sheet.write_string(row, column, cell).unwrap();
        }
    }
    book.save_to_buffer().unwrap()
}

fn example() -> Vec<Vec<String>> {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/partners.example.csv");
    csv::ReaderBuilder::new()
        .has_headers(false)
        .from_path(example)
        .unwrap()
        .records()
        .map(|it| it.unwrap().iter().map(str::to_owned).collect())
        .collect()
}

#[test]
fn the_shipped_example_is_the_same_in_every_format() {
    let example = example();
    let mut expected = Vec::new();
    for (number, cells) in (1..).zip(&example) {
        let length = cells.iter().rposition(|it| !it.is_empty()).unwrap() + 1;
        let cells = cells[..length].to_vec();
        expected.push(WorkbookRow { number, cells });
    }
    let written = xlsx("Partners", example.iter().map(Vec::as_slice));

    assert_eq!(rows(written, None).unwrap(), expected);
    for name in ["partners.xls", "partners.ods"] {
        assert_eq!(rows(fixture(name), None).unwrap(), expected, "{name}");
    }
}

#[test]
fn cells_of_every_kind_are_read_alike_in_every_format() {
    let expected = [
        (3, vec!["email", "value", "kind"]),
        (4, vec!["p4@a.example", "007", "text with leading zeros"]),
        (5, vec!["p5@a.example", "12", "whole number"]),
        (6, vec!["p6@a.example", "0.3", "fraction"]),
        (7, vec!["p7@a.example", "33612345678", "telephone number"]),
        (8, vec!["p8@a.example", "2026-11-29", "date"]),
        (
            9,
            vec!["p9@a.example", "2026-11-29T14:30:00", "date and time"],
        ),
        (10, vec!["p10@a.example", "14:30:00", "time of day"]),
        (11, vec!["p11@a.example", "TRUE", "boolean"]),
        (12, vec!["p12@a.example", "Ada Lovelace", "formula"]),
        (13, vec!["p13@a.example", "#N/A", "error"]),
        (14, vec!["p14@a.example", "hidden", "hidden row"]),
        // Row 15 is empty.
        (16, vec!["p16@a.example", "merged"]),
        (
            17,
            vec!["p17@a.example", "  two\nlines  ", "blanks and a line break"],
        ),
        (18, vec!["p18@a.example", "Zoé 張偉", "not Latin"]),
        (19, vec!["p19@a.example", "FALSE", "formula of truth"]),
        (21, vec!["", "", "", "", "", "far away"]),
    ];
    let expected = expected.map(|(number, cells)| WorkbookRow {
        number,
        // Two columns in front are empty.
        cells: [vec!["", ""], cells]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect(),
    });

    for name in ["cells.xlsx", "cells.xls", "cells.ods"] {
        let read = rows(fixture(name), None).unwrap();
        for (row, expected) in read.iter().zip(&expected) {
            let length = row.cells.len().max(expected.cells.len());
            let padded = |row: &WorkbookRow| {
                let mut cells = row.cells.clone();
                cells.resize(length, String::new());
                (row.number, cells)
            };
            assert_eq!(padded(row), padded(expected), "{name}");
        }
        assert_eq!(read.len(), expected.len(), "{name}");
    }
}

#[test]
fn a_sheet_is_chosen_by_name_else_the_first_that_is_visible() {
    for name in ["cells.xlsx", "cells.xls", "cells.ods"] {
        let mut book = Workbook::from_bytes(fixture(name)).unwrap();

        let names: Vec<_> = book.sheet_names().map(str::to_owned).collect();
        assert_eq!(names, ["Notes", "Kinds of cells"], "{name}");
        let mut first = |sheet| book.rows(sheet).unwrap().next().unwrap().unwrap().cells;
        assert_eq!(first(Some("Notes")), ["nothing here"], "{name}");
        assert_eq!(first(Some("KINDS of cells")).len(), 5, "{name}");
        assert_eq!(first(None).len(), 5, "{name}");
        let error = book.rows(Some("Partners")).err().unwrap();
        assert_eq!(
            error.to_string(),
            "there is no sheet `Partners`; the workbook has `Notes`, `Kinds of cells`"
        );
    }
}

#[test]
fn a_sheet_of_a_chart_is_no_list() {
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet().set_name("Data").unwrap();
    sheet.write_string(0, 0, "email").unwrap();
    let mut chart = rust_xlsxwriter::Chart::new(rust_xlsxwriter::ChartType::Column);
    chart.add_series().set_values("Data!$A$1:$A$1");
    let charts = book.add_chartsheet().set_name("Chart").unwrap();
    charts.insert_chart(0, 0, &chart).unwrap();
    let bytes = book.save_to_buffer().unwrap();

    let error = rows(bytes, Some("Chart")).unwrap_err();

    let expected = "there is no sheet `Chart`; the workbook has `Data`";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn an_empty_sheet_has_no_rows() {
    assert_eq!(rows(xlsx("Empty", []), None).unwrap(), []);
}

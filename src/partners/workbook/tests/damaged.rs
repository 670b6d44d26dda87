//! Files that are no workbook, encrypted, or damaged. None may cause a panic.

use std::io::{Cursor, Read, Write};

use cfb::{CompoundFile, Version};

use super::super::{Workbook, WorkbookError};
use super::limits::with_part;
use super::{fixture, rows};

/// A compound file with one stream.
fn compound(name: &str, stream: &[u8]) -> Vec<u8> {
    let empty = Cursor::new(Vec::new());
    let mut file = CompoundFile::create_with_version(Version::V3, empty).unwrap();
    file.create_stream(name).unwrap().write_all(stream).unwrap();
    file.into_inner().into_inner()
}

/// The stream of records of an `.xls` file.
fn records(name: &str) -> Vec<u8> {
    let mut file = CompoundFile::open(Cursor::new(fixture(name))).unwrap();
    let mut stream = Vec::new();
    let mut workbook = file.open_stream("/Workbook").unwrap();
    workbook.read_to_end(&mut stream).unwrap();
    stream
}

fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [&kind.to_le_bytes(), &length.to_le_bytes(), data].concat()
}

#[test]
fn encrypted_workbooks_are_told_from_damaged_ones() {
    let manifest = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).unwrap();
        let encrypted = "<manifest:file-entry manifest:full-path=\"content.xml\"><manifest:encryption-data/></manifest:file-entry></manifest:manifest>";
        text.replace("</manifest:manifest>", encrypted).into_bytes()
    };
    let ods = with_part(&fixture("cells.ods"), "META-INF/manifest.xml", manifest);
    let file_pass = [record(0x809, &[0; 16]), record(0x2f, &[1, 0, 1, 0])].concat();

    for bytes in [
        fixture("encrypted.xlsx"),
        compound("/EncryptedPackage", b"secret"),
        compound("/Workbook", &file_pass),
        ods,
    ] {
        let error = rows(bytes, None).unwrap_err();
        assert!(matches!(error, WorkbookError::Encrypted), "{error}");
    }
}

#[test]
fn files_that_are_no_workbook_are_told_so() {
    let word = with_part(&fixture("cells.xlsx"), "xl/workbook.xml", <[u8]>::to_vec);
    let word = {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file("word/document.xml", options).unwrap();
        archive.write_all(&word[..100]).unwrap();
        archive.finish().unwrap().into_inner()
    };
    for bytes in [
        Vec::new(),
        b"email,name\nada@a.example,Ada\n".to_vec(),
        b"<html><table><tr><td>email</td></tr></table></html>".to_vec(),
        b"\x89PNG\r\n\x1a\n".to_vec(),
        compound("/WordDocument", b"text"),
        word,
    ] {
        assert!(!bytes.starts_with(b"email") || !Workbook::begins_like_one(&bytes));
        let error = rows(bytes, None).unwrap_err();
        assert!(matches!(error, WorkbookError::NotAWorkbook), "{error}");
    }
    let binary = with_part(&fixture("cells.xlsx"), "xl/workbook.bin", |_| vec![0]);
    let error = rows(binary, None).unwrap_err();
    assert!(matches!(error, WorkbookError::Unsupported(_)), "{error}");
}

#[test]
fn records_that_would_take_gigabytes_are_refused() {
    let stream = records("partners.xls");
    let place = |kind: u16| {
        let mut at = 0;
        while at + 4 <= stream.len() {
            let word = |at: usize| u16::from_le_bytes([stream[at], stream[at + 1]]);
            if word(at) == kind {
                return at + 4;
            }
            at += 4 + usize::from(word(at + 2));
        }
        panic!("no record {kind:#x}");
    };
    let changed = |at: usize, bytes: &[u8]| {
        let mut stream = stream.clone();
        stream[at..at + bytes.len()].copy_from_slice(bytes);
        rows(compound("/Workbook", &stream), None)
    };

    // A cell in a column that cannot be.
    let far = changed(place(0xfd) + 2, &[0xff, 0xff]).unwrap_err();
    assert!(matches!(far, WorkbookError::Damaged(_)), "{far}");
    // The last row that can be, with nothing before it.
    let last = changed(place(0xfd), &[0xff, 0xff]).unwrap();
    assert_eq!(last.last().unwrap().number, 65_536);
    // Dimensions of four billion rows.
    let dimensions = changed(place(0x200), &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).unwrap();
    assert_eq!(dimensions.len(), 27);
    // A sheet that begins elsewhere.
    let elsewhere = changed(place(0x85), &[1, 0, 0, 0]).unwrap_err();
    assert!(
        matches!(elsewhere, WorkbookError::Damaged(_)),
        "{elsewhere}"
    );
}

#[test]
fn one_text_in_a_million_cells_is_counted_as_often() {
    let text = "x".repeat(8_000);
    let mut table = [1_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat();
    table.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
    table.push(0);
    table.extend(text.as_bytes());
    let bof = record(0x809, &[0, 6, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let globals = [
        bof.clone(),
        record(0x85, &[0, 0, 0, 0, 0, 0, 1, 0, b'S']),
        record(0xfc, &table),
        record(0x0a, &[]),
    ];
    let mut stream = globals.concat();
    let begin = u32::try_from(stream.len()).unwrap().to_le_bytes();
    stream[bof.len() + 4..bof.len() + 8].copy_from_slice(&begin);
    stream.extend(&bof);
    for row in 0..u16::MAX {
        let [low, high] = row.to_le_bytes();
        stream.extend(record(0xfd, &[low, high, 0, 0, 0, 0, 0, 0, 0, 0]));
    }
    stream.extend(record(0x0a, &[]));

    let error = rows(compound("/Workbook", &stream), None).unwrap_err();

    assert!(
        matches!(error, WorkbookError::ContentTooLarge(_)),
        "{error}"
    );
}

/// How many variants of each file are tried; more by `WORKBOOK_FUZZ`.
fn tries() -> usize {
    let wanted = std::env::var("WORKBOOK_FUZZ").ok();
    wanted.and_then(|it| it.parse().ok()).unwrap_or(60)
}

/// Changes a few bytes, cuts pieces out or doubles them.
fn mutate(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(1..6) {
        let begin = random.usize(..bytes.len().max(1)).min(bytes.len());
        let end = (begin + random.usize(1..64)).min(bytes.len());
        match random.u8(..6) {
            0 => drop(bytes.drain(begin..end)),
            1 => {
                let piece = bytes[begin..end].to_vec();
                bytes.splice(begin..begin, piece);
            }
            2 => bytes[begin..end].fill(*random.choice(&[0, 0xff, b'9']).unwrap()),
            _ => {
                if let Some(byte) = bytes.get_mut(begin) {
                    *byte = random.u8(..);
                }
            }
        }
    }
}

/// Reads all sheets; whatever the bytes are, this returns.
fn read(bytes: Vec<u8>) {
    if let Ok(mut book) = Workbook::from_bytes(bytes) {
        let names: Vec<_> = book.sheet_names().map(str::to_owned).collect();
        for name in names {
            if let Ok(rows) = book.rows(Some(&name)) {
                for row in rows.flatten() {
                    assert!(row.number > 0 && !row.cells.is_empty());
                }
            }
        }
    }
}

#[test]
fn damaged_files_cause_no_panic() {
    let mut random = fastrand::Rng::with_seed(16);
    for name in [
        "cells.xlsx",
        "partners.ods",
        "cells.xls",
        "partners.xls",
        "encrypted.xlsx",
    ] {
        let whole = fixture(name);
        for _ in 0..tries() {
            let mut bytes = whole.clone();
            mutate(&mut bytes, &mut random);
            read(bytes);
        }
    }
}

#[test]
fn damaged_parts_and_records_cause_no_panic() {
    let mut random = fastrand::Rng::with_seed(17);
    for (name, parts) in [
        (
            "cells.xlsx",
            &[
                "xl/worksheets/sheet2.xml",
                "xl/sharedStrings.xml",
                "xl/workbook.xml",
                "xl/styles.xml",
            ][..],
        ),
        ("cells.ods", &["content.xml", "META-INF/manifest.xml"][..]),
    ] {
        let whole = fixture(name);
        for part in parts {
            for _ in 0..tries() {
                let seed = random.u64(..);
                read(with_part(&whole, part, |bytes| {
                    let mut bytes = bytes.to_vec();
                    mutate(&mut bytes, &mut fastrand::Rng::with_seed(seed));
                    bytes
                }));
            }
        }
    }
    for name in ["cells.xls", "partners.xls"] {
        let whole = records(name);
        for _ in 0..tries() {
            let mut stream = whole.clone();
            mutate(&mut stream, &mut random);
            read(compound("/Workbook", &stream));
        }
    }
}

//! Copies the list once, a workbook as CSV, and refuses what is neither.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use encoding_rs::UTF_8;
use sha2::{Digest, Sha256};
use tracing::debug;

use super::csv_format::find_header;
use super::encoding::{self, DecodedText};
use super::error::ListError;
use super::quoting::quoted;
use super::records::Records;
use super::temp_copy::{CHUNK, CopyReader};
use super::workbook::{self, Workbook, WorkbookError};
use crate::config::PartnerFile;
use crate::files;

/// First bytes of files that are no list, in any case of their letters.
const MAGIC: [(&[u8], &str); 21] = [
    (b"PK\x05\x06", "an empty archive"),
    (b"%PDF", "a PDF document"),
    (b"{\\rtf", "an RTF document"),
    (b"SQLite format 3\0", "a SQLite database"),
    (b"BEGIN:VCARD", "an address book (vCard)"),
    (b"\x1f\x8b", "a packed archive"),
    (b"\x28\xb5\x2f\xfd", "a packed archive"),
    (b"\xfd7zXZ\0", "a packed archive"),
    (b"7z\xbc\xaf", "a packed archive"),
    (b"Rar!\x1a", "a packed archive"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF89a", "a picture"),
    (b"\xff\xfe\0\0", "UTF-32 text"),
    (b"\0\0\xfe\xff", "UTF-32 text"),
    (b"<!DOCTYPE", "a web page, perhaps a sign-in page"),
    (b"<html", "a web page, perhaps a sign-in page"),
    (b"<table", "a web page, perhaps a sign-in page"),
    (b"<?xml", "an XML document"),
    (b"{\"", "JSON"),
    (b"[{", "JSON"),
];

/// The largest list: ten million partners.
const FILE_LIMIT: u64 = 1024 * 1024 * 1024;
/// The longest header line whose delimiter is detected.
const HEADER_LIMIT: usize = 64 * 1024;

/// The copy, and how to read it.
#[derive(Debug)]
pub struct Snapshot {
    /// The copy of the text.
    pub text: DecodedText,
    /// The line and the offset of the header.
    pub header: (u64, u64),
    /// The byte between cells.
    pub delimiter: u8,
    /// Whether it is the copy of a workbook, with a record for each row of the sheet.
    pub is_workbook: bool,
    /// SHA-256 over the bytes of the original.
    pub digest: [u8; 32],
}

impl Snapshot {
    /// The records from a line and its offset on.
    pub fn records(&self, start: (u64, u64)) -> Records<CopyReader> {
        let reader = CopyReader::new(&self.text.file, start.1);
        let mut records = Records::new(reader, self.delimiter, start);
        records.rows_are_lines = self.is_workbook;
        records
    }
}

/// Copies the file into a temporary one in `folder` and brings it to UTF-8.
///
/// # Errors
/// If it cannot be read, is no CSV, or is not in the encoding that it should be in.
pub fn copy(partners: &PartnerFile, folder: &Path) -> Result<Snapshot, ListError> {
    let path = &partners.path;
    let unreadable = |error| ListError::Unreadable {
        path: path.display().to_string(),
        error,
    };
    // The file may grow while it is read.
    let mut file = open(path).map_err(unreadable)?.take(FILE_LIMIT);
    debug!(path = %path.display(), "list opened");
    let raw = Arc::new(tempfile::tempfile_in(folder)?);
    let mut digest = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = file.read(&mut buffer).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
        (&*raw).write_all(&buffer[..read])?;
    }
    let digest = digest.finalize().into();
    let beginning = CopyReader::new(&raw, 0).bytes(CHUNK)?;
    if Workbook::begins_like_one(&beginning) {
        return of_workbook(partners, &raw, digest, folder);
    }
    if let Some(sheet) = &partners.sheet {
        return Err(ListError::NotAList(format!(
            "`{}` is no workbook and has no sheet `{}`; remove `partners.sheet`, or set `partners.file` to the workbook",
            path.display(),
            sheet.escape_debug()
        )));
    }
    if let Some(kind) = other_kind(&beginning) {
        return Err(ListError::NotAList(format!(
            "`{}` is {kind}, not a CSV file or a workbook; save or export the list as CSV UTF-8",
            path.display()
        )));
    }
    let text = encoding::to_utf8(path, &raw, partners.encoding, folder)?;
    let start = CopyReader::new(&text.file, text.begins).bytes(HEADER_LIMIT)?;
    let (delimiter, (line, skipped)) = find_header(&start);
    Ok(Snapshot {
        header: (line, text.begins + skipped),
        delimiter: partners.delimiter.unwrap_or(delimiter),
        is_workbook: false,
        digest,
        text,
    })
}

/// Copies a sheet as CSV, each row on the line of its number.
fn of_workbook(
    partners: &PartnerFile,
    raw: &Arc<File>,
    digest: [u8; 32],
    folder: &Path,
) -> Result<Snapshot, ListError> {
    let unusable = |error: WorkbookError| match error {
        WorkbookError::Io(error) => ListError::Copy(error),
        error => ListError::NotAList(format!("{}: {error}", partners.path.display())),
    };
    if raw.metadata()?.len() > workbook::FILE_LIMIT {
        return Err(unusable(WorkbookError::FileTooLarge));
    }
    let mut bytes = Vec::new();
    CopyReader::new(raw, 0).read_to_end(&mut bytes)?;
    let mut workbook = Workbook::from_bytes(bytes).map_err(unusable)?;
    let delimiter = partners.delimiter.unwrap_or(b',');
    let between = char::from(delimiter);
    let file = Arc::new(tempfile::tempfile_in(folder)?);
    let mut out = BufWriter::new(&*file);
    let mut line = 1;
    for row in workbook.rows(partners.sheet.as_deref()).map_err(unusable)? {
        let row = row.map_err(unusable)?;
        for _ in line..row.number {
            out.write_all(b"\n")?;
        }
        line = row.number + 1;
        let cells = row.cells.iter().map(|cell| {
            let cell = cell.replace("\r\n", "\n").replace('\r', "\n");
            quoted(&cell, between)
        });
        let cells: Vec<String> = cells.collect();
        out.write_all(cells.join(&between.to_string()).as_bytes())?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    drop(out);
    Ok(Snapshot {
        text: DecodedText {
            file,
            begins: 0,
            encoding: UTF_8,
            has_bom: true,
            guess: None,
        },
        header: (1, 0),
        delimiter,
        is_workbook: true,
        digest,
    })
}

fn open(path: &Path) -> io::Result<File> {
    let file = files::open(path)?;
    if file.metadata()?.len() > FILE_LIMIT {
        return Err(files::too_large(FILE_LIMIT));
    }
    Ok(file)
}

/// The type of a file that is not CSV, by its first bytes.
fn other_kind(start: &[u8]) -> Option<&'static str> {
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let start = start.trim_ascii_start();
    let begins_with = |magic: &[u8]| {
        let start = start.get(..magic.len());
        start.is_some_and(|it| it.eq_ignore_ascii_case(magic))
    };
    let found = MAGIC.iter().find(|(magic, _)| begins_with(magic));
    found.map(|(_, kind)| *kind)
}

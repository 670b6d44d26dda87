//! Copies the list once, and refuses what is no CSV.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::csv_format::{CsvFormat, find_header};
use super::encoding;
use super::error::ListError;
use super::temp_copy::{CHUNK, CopyReader};
use crate::config::PartnerFile;
use crate::files;

const WORKBOOK: &str =
    "an Excel, Numbers or OpenDocument workbook; in it, choose \"Save as\" and \"CSV UTF-8\"";
const OLD_WORKBOOK: &str = "an old Excel workbook; in it, choose \"Save as\" and \"CSV UTF-8\"";
const WEB_PAGE: &str = "a web page, perhaps that of a sign-in; download the list itself";
const XML: &str = "an XML document; open it in Excel, choose \"Save as\" and \"CSV UTF-8\"";
const ARCHIVE: &str = "a packed archive; unpack it first";
const PICTURE: &str = "a picture; export the list itself as CSV UTF-8";
const JSON: &str = "JSON; export the list as CSV UTF-8";
const UTF_32: &str = "UTF-32 text, which few programs write; save it as CSV UTF-8";

/// First bytes of files that are no CSV, in any case of their letters.
const MAGIC: [(&[u8], &str); 23] = [
    (b"PK\x03\x04", WORKBOOK),
    (b"PK\x05\x06", WORKBOOK),
    (b"\xd0\xcf\x11\xe0", OLD_WORKBOOK),
    (b"%PDF", "a PDF document; export the list as CSV UTF-8"),
    (b"{\\rtf", "an RTF document; export the list as CSV UTF-8"),
    (
        b"SQLite format 3\0",
        "a SQLite database; export the list as CSV UTF-8",
    ),
    (
        b"BEGIN:VCARD",
        "an address book (vCard); export it as CSV UTF-8",
    ),
    (b"\x1f\x8b", ARCHIVE),
    (b"\x28\xb5\x2f\xfd", ARCHIVE),
    (b"\xfd7zXZ\0", ARCHIVE),
    (b"7z\xbc\xaf", ARCHIVE),
    (b"Rar!\x1a", ARCHIVE),
    (b"\x89PNG", PICTURE),
    (b"\xff\xd8\xff", PICTURE),
    (b"GIF89a", PICTURE),
    (b"\xff\xfe\0\0", UTF_32),
    (b"\0\0\xfe\xff", UTF_32),
    (b"<!DOCTYPE", WEB_PAGE),
    (b"<html", WEB_PAGE),
    (b"<table", WEB_PAGE),
    (b"<?xml", XML),
    (b"{\"", JSON),
    (b"[{", JSON),
];

/// The largest list: ten million partners.
const FILE_LIMIT: u64 = 1024 * 1024 * 1024;
/// The longest header line whose delimiter is detected.
const HEADER_LIMIT: usize = 64 * 1024;

/// The copy, and how to read it.
#[derive(Debug)]
pub struct Snapshot {
    /// The text as UTF-8, in a file without a name.
    pub copy: Arc<File>,
    /// Where the text begins in the copy, which is after its byte-order mark.
    pub begins: u64,
    /// The line and the offset of the header.
    pub header: (u64, u64),
    /// How the original is written.
    pub format: CsvFormat,
    /// SHA-256 over the bytes of the original.
    pub digest: [u8; 32],
}

/// Copies the file into a temporary one in `folder` and brings it to UTF-8. Also returns the
/// warning about a guessed encoding.
///
/// # Errors
/// If it cannot be read, is no CSV, or is not in the encoding that it should be in.
pub fn copy(
    partners: &PartnerFile,
    folder: &Path,
) -> Result<(Snapshot, Option<String>), ListError> {
    let path = &partners.path;
    let unreadable = |error| ListError::Unreadable {
        path: path.display().to_string(),
        error,
    };
    // The file may grow while it is read.
    let mut file = open(path).map_err(unreadable)?.take(FILE_LIMIT);
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
    if let Some(kind) = other_kind(&CopyReader::new(&raw, 0).bytes(CHUNK)?) {
        let message = format!("`{}` is {kind}", path.display());
        return Err(ListError::NotAList(message));
    }
    let text = encoding::to_utf8(path, &raw, partners.encoding, folder)?;
    let start = CopyReader::new(&text.file, text.begins).bytes(HEADER_LIMIT)?;
    let (delimiter, (line, skipped)) = find_header(&start);
    let snapshot = Snapshot {
        copy: text.file,
        begins: text.begins,
        header: (line, text.begins + skipped),
        format: CsvFormat {
            encoding: text.encoding,
            has_bom: text.has_bom,
            delimiter: partners.delimiter.unwrap_or(delimiter),
        },
        digest: digest.finalize().into(),
    };
    Ok((snapshot, text.guess))
}

fn open(path: &Path) -> io::Result<File> {
    let file = files::open(path)?;
    if file.metadata()?.len() > FILE_LIMIT {
        return Err(files::too_large(FILE_LIMIT));
    }
    Ok(file)
}

/// What a file is instead of a CSV, by its first bytes.
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

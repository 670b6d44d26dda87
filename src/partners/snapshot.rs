//! Copies the list once, refuses what is no CSV, and finds the delimiter.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::Context;
use sha2::{Digest, Sha256};

use super::encoding::{self, DecodedText};
use super::scratch::{CHUNK, nameless, write};
use crate::config::PartnerFile;
use crate::exit::{self, CommandError, Exit, OrExit};
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

/// What the first bytes of a file give away, in any case of their letters.
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

/// The longest header line that is looked at for the delimiter.
const HEADER_LIMIT: usize = 64 * 1024;

/// Where reading starts: the line's number and its offset in the copy.
pub type Start = (u64, u64);

/// The copy, and how to read it.
pub struct Snapshot {
    /// The text as UTF-8, in a file without a name.
    pub text: DecodedText,
    /// SHA-256 over the bytes of the original.
    pub digest: [u8; 32],
    /// The byte between cells.
    pub delimiter: u8,
    /// Where the header stands.
    pub start: Start,
}

/// Copies the file into a nameless one in `scratch` and brings it to UTF-8.
///
/// # Errors
/// When it cannot be read, is no CSV, or is not in the encoding that it should be in.
pub fn copy(partners: &PartnerFile, scratch: &Path) -> exit::Result<Snapshot> {
    let path = &partners.path;
    // It may grow while it is read.
    let mut file = open(path)?.take(FILE_LIMIT);
    let mut raw = nameless(scratch)?;
    let mut buffer = vec![0; CHUNK];
    let mut first = true;
    let mut digest = Sha256::new();
    loop {
        let read = file
            .read(&mut buffer)
            .with_context(|| format!("cannot read `{}`", path.display()))
            .or_exit(Exit::BadInput)?;
        if std::mem::take(&mut first) {
            refuse_binary(path, &buffer[..read])?;
        }
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
        write(&mut raw, &buffer[..read])?;
    }
    let mut text = encoding::to_utf8(path, raw, partners.encoding, scratch)?;
    let (found, start) = look_at_header(&mut text.file, text.begins)
        .context("cannot read the copy of the partner file")
        .or_exit(Exit::CannotWrite)?;
    Ok(Snapshot {
        text,
        digest: digest.finalize().into(),
        delimiter: partners.delimiter.unwrap_or(found),
        start,
    })
}

fn open(path: &Path) -> exit::Result<File> {
    let exit_of = |error: &std::io::Error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => Exit::NoPermission,
        _ => Exit::BadInput,
    };
    let opened = files::open(path).and_then(|file| match file.metadata()?.len() {
        length if length > FILE_LIMIT => Err(files::too_large(FILE_LIMIT)),
        _ => Ok(file),
    });
    opened.map_err(|error| {
        let message = format!(
            "cannot read the partner file `{}`: {error}; `partners.file` names it",
            path.display()
        );
        CommandError::new(exit_of(&error), message)
    })
}

fn refuse_binary(path: &Path, start: &[u8]) -> exit::Result<()> {
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let start = start.trim_ascii_start();
    let begins_with = |magic: &[u8]| {
        let start = start.get(..magic.len());
        start.is_some_and(|it| it.eq_ignore_ascii_case(magic))
    };
    match MAGIC.iter().find(|(magic, _)| begins_with(magic)) {
        None => Ok(()),
        Some((_, what)) => Err(CommandError::new(
            Exit::BadInput,
            format!("`{}` is {what}", path.display()),
        )),
    }
}

/// The delimiter by Excel's `sep=` line or by the header, and where the header stands.
fn look_at_header(copy: &mut File, begins: u64) -> std::io::Result<(u8, Start)> {
    copy.seek(SeekFrom::Start(begins))?;
    let mut start = Vec::new();
    copy.take(HEADER_LIMIT as u64).read_to_end(&mut start)?;
    let line = start.split(|it| *it == b'\n' || *it == b'\r').next();
    let line = line.unwrap_or_default();
    let unquoted = line.strip_prefix(b"\"").unwrap_or(line);
    if unquoted
        .get(..4)
        .is_some_and(|it| it.eq_ignore_ascii_case(b"sep="))
        && let Some(delimiter) = unquoted.get(4)
        && (delimiter.is_ascii_punctuation() || delimiter.is_ascii_whitespace())
        && *delimiter != b'"'
    {
        let skipped = line.len()
            + if start[line.len()..].starts_with(b"\r\n") {
                2
            } else {
                1
            };
        let skipped = skipped.min(start.len());
        return Ok((*delimiter, (2, begins + skipped as u64)));
    }
    let header = start
        .split(|it| *it == b'\n' || *it == b'\r')
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let mut quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    for byte in header {
        quoted ^= *byte == b'"';
        if let Some((_, count)) = counts.iter_mut().find(|(it, _)| it == byte && !quoted) {
            *count += 1;
        }
    }
    // Ties go to the first, so a header of one column is read with commas.
    let (delimiter, _) = counts
        .into_iter()
        .rev()
        .max_by_key(|(_, count)| *count)
        .unwrap_or((b',', 0));
    Ok((delimiter, (1, begins)))
}

//! The file as it comes: copied, told from what is no CSV, and brought to UTF-8.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::Context;

use crate::exit::{self, Exit, Failure, OrExit};

/// What the first bytes of a file give away.
const MAGIC: [(&[u8], &str); 8] = [
    (
        b"PK\x03\x04",
        "an Excel or OpenDocument workbook; in it, choose \"Save as\" and \"CSV UTF-8\"",
    ),
    (
        b"\xd0\xcf\x11\xe0",
        "an old Excel workbook; in it, choose \"Save as\" and \"CSV UTF-8\"",
    ),
    (b"%PDF", "a PDF document; export the list as CSV UTF-8"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (
        b"SQLite format 3\0",
        "a SQLite database; export the list as CSV UTF-8",
    ),
    (
        b"\xff\xfe",
        "UTF-16 text, which is not available yet; save it as CSV UTF-8",
    ),
    (
        b"\xfe\xff",
        "UTF-16 text, which is not available yet; save it as CSV UTF-8",
    ),
    (
        b"<!DOCTYPE",
        "a web page, perhaps that of a sign-in; download the list itself",
    ),
];

/// The longest header line that is looked at for the delimiter.
const HEADER_LIMIT: usize = 64 * 1024;

/// Where reading starts: the line's number and its offset in the copy.
pub type Start = (u64, u64);

/// Copies the file into a nameless one in `scratch`, as UTF-8 without byte-order mark.
///
/// Returns the copy, the delimiter, and where the header stands.
pub fn copy(path: &Path, delimiter: Option<u8>, scratch: &Path) -> exit::Result<(File, u8, Start)> {
    let mut file = open(path)?;
    let mut copy = tempfile::tempfile_in(scratch)
        .with_context(|| format!("cannot copy the partner file into `{}`", scratch.display()))
        .or_exit(Exit::CannotWrite)?;
    let mut buffer = vec![0; 64 * 1024];
    let mut kept = 0;
    let mut first = true;
    let mut place = Place { line: 1, byte: 0 };
    loop {
        let read = file
            .read(&mut buffer[kept..])
            .with_context(|| format!("cannot read `{}`", path.display()))
            .or_exit(Exit::BadInput)?;
        let mut chunk = &buffer[..kept + read];
        if first {
            refuse_binary(path, chunk)?;
            chunk = chunk.strip_prefix(b"\xef\xbb\xbf").unwrap_or(chunk);
            first = false;
        }
        let good = place.utf8_prefix(path, chunk, read == 0)?;
        copy.write_all(&chunk[..good])
            .context("cannot copy the partner file")
            .or_exit(Exit::CannotWrite)?;
        if read == 0 {
            break;
        }
        let rest = chunk[good..].to_vec();
        buffer[..rest.len()].copy_from_slice(&rest);
        kept = rest.len();
    }
    let (found, start) = look_at_header(&mut copy)
        .context("cannot read the copy of the partner file")
        .or_exit(Exit::CannotWrite)?;
    Ok((copy, delimiter.unwrap_or(found), start))
}

fn open(path: &Path) -> exit::Result<File> {
    let exit_of = |error: &std::io::Error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => Exit::NoPermission,
        _ => Exit::BadInput,
    };
    let metadata = std::fs::metadata(path);
    // A pipe or a device might never end, so only regular files are opened at all.
    if metadata.as_ref().is_ok_and(|it| !it.is_file()) {
        let message = format!(
            "the partner file `{}` is not a regular file",
            path.display()
        );
        return Err(Failure::new(Exit::BadInput, message));
    }
    metadata
        .and_then(|_| File::open(path))
        .map_err(|error| Failure {
            exit: exit_of(&error),
            error: anyhow::Error::new(error)
                .context(format!("cannot read the partner file `{}`", path.display())),
        })
}

fn refuse_binary(path: &Path, start: &[u8]) -> exit::Result<()> {
    match MAGIC.iter().find(|(magic, _)| start.starts_with(magic)) {
        None => Ok(()),
        Some((_, what)) => Err(Failure::new(
            Exit::BadInput,
            format!("`{}` is {what}", path.display()),
        )),
    }
}

/// How far the copying has come.
struct Place {
    line: u64,
    byte: u64,
}

impl Place {
    /// How much of `chunk` is whole UTF-8; at the `end` that must be all of it.
    fn utf8_prefix(&mut self, path: &Path, chunk: &[u8], end: bool) -> exit::Result<usize> {
        let error = std::str::from_utf8(chunk).err();
        let good = error.map_or(chunk.len(), |it| it.valid_up_to());
        if let Some(nul) = chunk[..good].iter().position(|byte| *byte == 0) {
            let message = format!(
                "`{}` has a NUL byte at offset {}, so it is not a CSV file in UTF-8; save it as CSV UTF-8",
                path.display(),
                self.byte + nul as u64
            );
            return Err(Failure::new(Exit::BadInput, message));
        }
        self.line += chunk[..good].iter().filter(|it| **it == b'\n').count() as u64;
        self.byte += good as u64;
        if error.is_some_and(|it| it.error_len().is_some() || end) {
            let message = format!(
                "{}:{}: byte 0x{:02X} at offset {} is not UTF-8; the file is perhaps in windows-1252 or another encoding of one byte a character: save it as CSV UTF-8",
                path.display(),
                self.line,
                chunk[good],
                self.byte
            );
            return Err(Failure::new(Exit::BadInput, message));
        }
        Ok(good)
    }
}

/// The delimiter by Excel's `sep=` line or by the header, and where the header stands.
fn look_at_header(copy: &mut File) -> std::io::Result<(u8, Start)> {
    copy.seek(SeekFrom::Start(0))?;
    let mut start = Vec::new();
    copy.take(HEADER_LIMIT as u64).read_to_end(&mut start)?;
    let line = start.split(|it| *it == b'\n' || *it == b'\r').next();
    let line = line.unwrap_or_default();
    let unquoted = line.strip_prefix(b"\"").unwrap_or(line);
    if unquoted
        .get(..4)
        .is_some_and(|it| it.eq_ignore_ascii_case(b"sep="))
        && let Some(delimiter) = unquoted.get(4)
    {
        let skipped = line.len()
            + if start[line.len()..].starts_with(b"\r\n") {
                2
            } else {
                1
            };
        let skipped = skipped.min(start.len());
        return Ok((*delimiter, (2, skipped as u64)));
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
    Ok((delimiter, (1, 0)))
}

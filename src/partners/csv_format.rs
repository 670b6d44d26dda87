//! How the file is written, and where its header begins.

use encoding_rs::Encoding;

use super::known_headers::is_version;

/// How the file is written, so that another can be written like it.
#[derive(Clone, Copy, Debug)]
pub struct CsvFormat {
    /// The encoding of its bytes.
    pub encoding: &'static Encoding,
    /// Whether it begins with a byte-order mark.
    pub has_bom: bool,
    /// The byte between cells.
    pub delimiter: u8,
}

/// The delimiter, by Excel's `sep=` line or by the header, and where the header begins: its line
/// and how many bytes of `start` precede it.
pub fn find_header(start: &[u8]) -> (u8, (u64, u64)) {
    let mut lines = start.split(|it| matches!(it, b'\n' | b'\r'));
    let first = lines.next().unwrap_or_default();
    let setting = first.strip_prefix(b"\"").unwrap_or(first);
    if let Some((key, [delimiter, ..])) = setting.split_at_checked(4)
        && key.eq_ignore_ascii_case(b"sep=")
        && (delimiter.is_ascii_punctuation() || delimiter.is_ascii_whitespace())
        && *delimiter != b'"'
    {
        let line_end = &start[first.len()..];
        let line_end = if line_end.starts_with(b"\r\n") {
            2
        } else {
            line_end.len().min(1)
        };
        return (*delimiter, (2, (first.len() + line_end) as u64));
    }
    let header = std::iter::once(first)
        .chain(lines)
        .find(|it| !it.trim_ascii().is_empty() && !is_version(&String::from_utf8_lossy(it)));
    let unquoted = header
        .unwrap_or_default()
        .split(|it| *it == b'"')
        .step_by(2);
    let unquoted: Vec<&u8> = unquoted.flatten().collect();
    // Of equal counts the last is taken, so a header of one column is read with commas.
    let delimiter = [b'\t', b';', b',']
        .into_iter()
        .max_by_key(|it| unquoted.iter().filter(|byte| **byte == it).count());
    (delimiter.unwrap_or(b','), (1, 0))
}

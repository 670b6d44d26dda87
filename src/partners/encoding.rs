//! Finds the encoding of the file and brings its text to UTF-8.
//!
//! Nothing is replaced or left out: either every byte belongs to a character, or the file is
//! refused with the line and the offset of the first that does not. Without a byte-order mark
//! and without `partners.encoding`, the file is UTF-8 if it can be, otherwise a reported guess.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use super::decode::{DecodeFault, MalformedBytes, decode, label};
use super::error::ListError;
use super::temp_copy::CopyReader;
use super::windows1252::{EncodingGuess, guess};

/// The file as UTF-8.
#[derive(Debug)]
pub struct DecodedText {
    /// The bytes.
    pub file: Arc<File>,
    /// Where the text begins, which is after its byte-order mark.
    pub begins: u64,
    /// The encoding of the original.
    pub encoding: &'static Encoding,
    /// Whether the original begins with a byte-order mark.
    pub has_bom: bool,
    /// The warning about a guessed encoding.
    pub guess: Option<String>,
}

/// Brings `raw`, the copy of `path`, to UTF-8; `folder` is for a temporary file.
///
/// # Errors
/// If the bytes do not fit the encoding, or none can be found.
pub fn to_utf8(
    path: &Path,
    raw: &Arc<File>,
    named: Option<&'static Encoding>,
    folder: &Path,
) -> Result<DecodedText, ListError> {
    let start = CopyReader::new(raw, 0).bytes(4)?;
    let bom = Encoding::for_bom(&start);
    let (mut encoding, begins) = match (named, bom) {
        (Some(named), Some((bom, _))) if named != bom => {
            return Err(ListError::NotAList(format!(
                "`{}` begins with the byte-order mark of {}, but `partners.encoding` is {}; set it to \"auto\"",
                path.display(),
                label(bom),
                label(named)
            )));
        }
        (_, Some((bom, length))) => (bom, length as u64),
        (named, None) => (named.unwrap_or(UTF_8), 0),
    };
    let mut warning = None;
    let mut decoded = decode(raw, begins, encoding, folder)?;
    if let (Err(DecodeFault::Malformed(at)), None, None) = (&decoded, named, bom) {
        let guess = guess(raw, at)?;
        let described = describe_guess(&guess, path, at);
        if !matches!(guess, EncodingGuess::Windows1252 { .. }) {
            return Err(ListError::NotAList(described));
        }
        warning = Some(described);
        encoding = WINDOWS_1252;
        decoded = decode(raw, begins, encoding, folder)?;
    }
    let file = decoded.map_err(|fault| {
        ListError::NotAList(describe_fault(
            &fault,
            path,
            encoding,
            named.is_some(),
            &start,
        ))
    })?;
    Ok(DecodedText {
        file,
        begins: if encoding == UTF_8 { begins } else { 0 },
        encoding,
        has_bom: bom.is_some(),
        guess: warning,
    })
}

/// Says why the file cannot be read in `encoding`; `start` are its first bytes.
fn describe_fault(
    fault: &DecodeFault,
    path: &Path,
    encoding: &'static Encoding,
    is_configured: bool,
    start: &[u8],
) -> String {
    let label = label(encoding);
    match fault {
        DecodeFault::Malformed(at) if is_configured => format!(
            "{}: not valid {label}, which `partners.encoding` names; set it to the encoding of the file, or save the file as CSV UTF-8 and set \"auto\"",
            at.describe(path)
        ),
        DecodeFault::Malformed(at) => format!(
            "{}: not valid {label}, although the file begins with the byte-order mark of {label}; it is damaged or joined from two files: export it again",
            at.describe(path)
        ),
        DecodeFault::Nul(line) => {
            let utf_16 = match start {
                [first, 0, second, 0] if *first != 0 && *second != 0 => Some("utf-16le"),
                [0, first, 0, second] if *first != 0 && *second != 0 => Some("utf-16be"),
                _ => None,
            };
            let fix = match utf_16 {
                Some(name) => format!(
                    "it looks like UTF-16 without byte-order mark: set `partners.encoding = \"{name}\"`"
                ),
                None => "it is no CSV file in that encoding: save it as CSV UTF-8".into(),
            };
            format!(
                "{}:{line}: the file contains a NUL character here when it is read as {label}; {fix}",
                path.display()
            )
        }
    }
}

/// Says what the file, which is not UTF-8 because of the bytes `at`, probably is, and what to do.
fn describe_guess(guess: &EncodingGuess, path: &Path, at: &MalformedBytes) -> String {
    let bytes = at.describe(path);
    match guess {
        EncodingGuess::Windows1252 { reading } => format!(
            "`{}` is not UTF-8 and looks like windows-1252, so it is read as that: line {} has {reading}; if that is right, set `partners.encoding = \"windows-1252\"`, otherwise save the file as CSV UTF-8",
            path.display(),
            at.line
        ),
        EncodingGuess::Mixed => format!(
            "{bytes} is not UTF-8, but other parts of the file are; it is damaged or joined from files in two encodings: export it again as CSV UTF-8 (if all of it is in one other encoding, set `partners.encoding` to that)"
        ),
        EncodingGuess::Undecided {
            readings: Some(readings),
        } => format!(
            "{bytes} is not UTF-8, and the encoding cannot be detected with certainty; here it reads {readings}: set `partners.encoding` to the right one, or save the file as CSV UTF-8"
        ),
        EncodingGuess::Undecided { readings: None } => format!(
            "{bytes} is not UTF-8, and the file does not look like text; export it again as CSV UTF-8"
        ),
    }
}

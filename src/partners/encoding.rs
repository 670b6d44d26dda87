//! Which encoding the file is in, and its text as UTF-8.
//!
//! Nothing is replaced or left out: either every byte belongs to a character, or the file is
//! refused with the line and the offset where that ends. Without a byte-order mark and without
//! `partners.encoding` it is UTF-8 if it can be, otherwise a guess, which is reported.

use std::fs::File;
use std::path::Path;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use super::decode::{DecodeFault, Spot, decode, label};
use super::scratch::{nameless, read_at, write};
use super::windows1252::{EncodingGuess, guess};
use crate::exit::{self, CommandError, Exit};

/// The file as UTF-8.
pub struct DecodedText {
    /// The bytes.
    pub file: File,
    /// Where the text begins, which is after its byte-order mark.
    pub begins: u64,
    /// What the bytes of the original meant.
    pub encoding: &'static Encoding,
    /// Whether the original began with a byte-order mark.
    pub has_bom: bool,
    /// What was guessed about the encoding, in words.
    pub guess: Option<String>,
}

/// Brings `raw`, the copy of `path`, to UTF-8; another file in `scratch` is only written if it must be.
///
/// # Errors
/// When the bytes do not fit the encoding, or when none can be told.
pub fn to_utf8(
    path: &Path,
    raw: File,
    named: Option<&'static Encoding>,
    scratch: &Path,
) -> exit::Result<DecodedText> {
    let mut start = [0; 4];
    let length = read_at(&raw, &mut start, 0)?;
    let mark = Encoding::for_bom(&start[..length]);
    if let (Some(named), Some((bom, _))) = (named, mark)
        && named != bom
    {
        return Err(refused(format!(
            "`{}` begins with the byte-order mark of {}, but `partners.encoding` names {}; set it to \"auto\"",
            path.display(),
            label(bom),
            label(named)
        )));
    }
    let begins = mark.map_or(0, |(_, length)| length as u64);
    let encoding = named.or(mark.map(|(bom, _)| bom)).unwrap_or(UTF_8);
    if encoding != UTF_8 {
        return transcode(path, &raw, (encoding, begins), named, scratch);
    }
    // What is UTF-8 already needs no second copy.
    match decode(&raw, begins, UTF_8, |_| Ok(()))? {
        None => Ok(DecodedText {
            file: raw,
            begins,
            encoding,
            has_bom: mark.is_some(),
            guess: None,
        }),
        Some(DecodeFault::Malformed(spot)) if named.is_none() && mark.is_none() => {
            let guess = guess(&raw, &spot)?;
            let described = describe_guess(&guess, path, &spot);
            if !matches!(guess, EncodingGuess::Windows1252 { .. }) {
                return Err(refused(described));
            }
            let text = transcode(path, &raw, (WINDOWS_1252, 0), named, scratch)?;
            Ok(DecodedText {
                guess: Some(described),
                ..text
            })
        }
        Some(fault) => Err(refusal(&fault, path, UTF_8, named, &start[..length])),
    }
}

/// Writes the text that `raw` holds in `encoding` from an offset on into a file of its own.
fn transcode(
    path: &Path,
    raw: &File,
    (encoding, begins): (&'static Encoding, u64),
    named: Option<&'static Encoding>,
    scratch: &Path,
) -> exit::Result<DecodedText> {
    let mut file = nameless(scratch)?;
    match decode(raw, begins, encoding, |text| write(&mut file, text))? {
        None => Ok(DecodedText {
            file,
            begins: 0,
            encoding,
            has_bom: begins > 0,
            guess: None,
        }),
        Some(fault) => Err(refusal(&fault, path, encoding, named, &[])),
    }
}

/// Says why the file cannot be read in `encoding`; `start` are its first bytes.
fn refusal(
    fault: &DecodeFault,
    path: &Path,
    encoding: &'static Encoding,
    named: Option<&'static Encoding>,
    start: &[u8],
) -> CommandError {
    let label = label(encoding);
    refused(match fault {
        DecodeFault::Malformed(spot) if named.is_some() => format!(
            "{}: no text in {label}, which `partners.encoding` names; name the encoding that the file is in, or save it as CSV UTF-8 and set \"auto\"",
            spot.describe(path)
        ),
        DecodeFault::Malformed(spot) => format!(
            "{}: no text in {label}, although the file begins with the byte-order mark of {label}; it is damaged or joined from two files, so export it again",
            spot.describe(path)
        ),
        DecodeFault::Nul(line) => {
            let cure = match start {
                [first, 0, second, 0] if *first != 0 && *second != 0 => {
                    "it looks like UTF-16 without byte-order mark: set `partners.encoding = \"utf-16le\"`"
                }
                [0, first, 0, second] if *first != 0 && *second != 0 => {
                    "it looks like UTF-16 without byte-order mark: set `partners.encoding = \"utf-16be\"`"
                }
                _ => "it is no CSV file in that encoding, so save it as CSV UTF-8",
            };
            format!(
                "{}:{line}: a NUL character stands here when the file is read as {label}; {cure}",
                path.display()
            )
        }
    })
}

/// Says what the file, which is not UTF-8 at `spot`, probably is, and what to do about it.
fn describe_guess(guess: &EncodingGuess, path: &Path, spot: &Spot) -> String {
    let place = spot.describe(path);
    match guess {
        EncodingGuess::Windows1252 { reading } => format!(
            "`{}` is not UTF-8 and looks like windows-1252, so it is read as that: line {} has {reading}; if that reads right, set `partners.encoding = \"windows-1252\"`, else save the file as CSV UTF-8",
            path.display(),
            spot.line
        ),
        EncodingGuess::Mixed => format!(
            "{place} is not UTF-8, but other parts of the file are; it is damaged or joined from files in two encodings: export it again as CSV UTF-8 (if all of it is in one other encoding, name that as `partners.encoding`)"
        ),
        EncodingGuess::Undecided { readings } => format!(
            "{place} is not UTF-8, and which encoding it is in cannot be told for certain; here it reads {readings}: set `partners.encoding` to the right one, or save the file as CSV UTF-8"
        ),
        EncodingGuess::NoText => format!(
            "{place} is not UTF-8, and the file looks like no text at all; export it again as CSV UTF-8"
        ),
    }
}

/// The file cannot be used as a whole.
fn refused(message: String) -> CommandError {
    CommandError::new(Exit::BadInput, message)
}

//! Which encoding the bytes are in, and the bytes brought to UTF-8.
//!
//! Nothing is replaced and nothing left out: either every byte belongs to a character,
//! or the file is refused with the line and the offset where that ends. What no mark and
//! no configuration names is UTF-8 where it can be, and else a guess, which is told.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Context;
use encoding_rs::{DecoderResult, Encoding, UTF_8, WINDOWS_1252};

use super::guess::guess;
use super::lines::LineCount;
use super::source::{nameless, write};
use crate::exit::{self, Exit, Failure, OrExit};

/// How much is read at once.
pub const CHUNK: usize = 64 * 1024;

/// The file as UTF-8.
pub struct Text {
    /// The bytes.
    pub file: File,
    /// Where the text begins, which is after its byte-order mark.
    pub begins: u64,
    /// What the bytes of the original meant.
    pub encoding: &'static Encoding,
    /// Whether the original began with a byte-order mark.
    pub marked: bool,
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
) -> exit::Result<Text> {
    let mut start = [0; 4];
    let length = read_at(&raw, &mut start, 0)?;
    let mark = Encoding::for_bom(&start[..length]);
    if let (Some(named), Some((marked, _))) = (named, mark)
        && named != marked
    {
        return Err(refused(format!(
            "`{}` begins with the byte-order mark of {}, but `partners.encoding` names {}; set it to \"auto\"",
            path.display(),
            label(marked),
            label(named)
        )));
    }
    let begins = mark.map_or(0, |(_, length)| length as u64);
    let encoding = named.or(mark.map(|(marked, _)| marked)).unwrap_or(UTF_8);
    if encoding != UTF_8 {
        return transcode(path, &raw, (encoding, begins), named, scratch);
    }
    // What is UTF-8 already needs no second copy.
    match decode(&raw, begins, UTF_8, |_| Ok(()))? {
        None => Ok(Text {
            file: raw,
            begins,
            encoding,
            marked: mark.is_some(),
            guess: None,
        }),
        Some(Stop::Malformed(spot)) if named.is_none() && mark.is_none() => {
            let said = guess(path, &raw, &spot)?;
            let text = transcode(path, &raw, (WINDOWS_1252, 0), named, scratch)?;
            Ok(Text {
                guess: Some(said),
                ..text
            })
        }
        Some(stop) => Err(stop.refusal(path, UTF_8, named, &start[..length])),
    }
}

/// Writes the text that `raw` holds in `encoding` from an offset on into a file of its own.
fn transcode(
    path: &Path,
    raw: &File,
    (encoding, begins): (&'static Encoding, u64),
    named: Option<&'static Encoding>,
    scratch: &Path,
) -> exit::Result<Text> {
    let mut file = nameless(scratch)?;
    match decode(raw, begins, encoding, |text| write(&mut file, text))? {
        None => Ok(Text {
            file,
            begins: 0,
            encoding,
            marked: begins > 0,
            guess: None,
        }),
        Some(stop) => Err(stop.refusal(path, encoding, named, &[])),
    }
}

/// Why the text cannot be read on.
enum Stop {
    Malformed(Spot),
    /// On this line.
    Nul(u64),
}

/// Bytes that do not fit.
pub struct Spot {
    /// The line, as an editor counts.
    pub line: u64,
    /// The place of the first of them in the file.
    pub offset: u64,
    bytes: Vec<u8>,
}

impl Spot {
    /// `partners.csv:2: byte 0xE9 at offset 26`
    pub fn describe(&self, path: &Path) -> String {
        let bytes: Vec<_> = self.bytes.iter().map(|it| format!("0x{it:02X}")).collect();
        let noun = if bytes.len() == 1 { "byte" } else { "bytes" };
        format!(
            "{}:{}: {noun} {} at offset {}",
            path.display(),
            self.line,
            bytes.join(" "),
            self.offset
        )
    }
}

impl Stop {
    fn refusal(
        &self,
        path: &Path,
        encoding: &'static Encoding,
        named: Option<&'static Encoding>,
        start: &[u8],
    ) -> Failure {
        let label = label(encoding);
        refused(match self {
            Self::Malformed(spot) if named.is_some() => format!(
                "{}: no text in {label}, which `partners.encoding` names; name the encoding that the file is in, or save it as CSV UTF-8 and set \"auto\"",
                spot.describe(path)
            ),
            Self::Malformed(spot) => format!(
                "{}: no text in {label}, although the file begins with the byte-order mark of {label}; it is damaged or joined from two files, so export it again",
                spot.describe(path)
            ),
            Self::Nul(line) => {
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
}

/// Gives the text piece by piece to `keep`; says where it stops being text, if it does.
fn decode(
    raw: &File,
    begins: u64,
    encoding: &'static Encoding,
    mut keep: impl FnMut(&[u8]) -> exit::Result<()>,
) -> exit::Result<Option<Stop>> {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut lines = LineCount::from(1);
    let (mut input, mut output) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut passed = begins;
    loop {
        let read = read_at(raw, &mut input, passed)?;
        let mut rest = &input[..read];
        loop {
            let (result, taken, given) =
                decoder.decode_to_utf8_without_replacement(rest, &mut output, read == 0);
            let text = &output[..given];
            passed += taken as u64;
            rest = &rest[taken..];
            if let Some(nul) = text.iter().position(|it| *it == 0) {
                lines.pass(&text[..nul]);
                return Ok(Some(Stop::Nul(lines.line)));
            }
            lines.pass(text);
            keep(text)?;
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(length, after) => {
                    let mut bytes = vec![0; length.into()];
                    let offset = passed - u64::from(after) - u64::from(length);
                    read_at(raw, &mut bytes, offset)?;
                    return Ok(Some(Stop::Malformed(Spot {
                        line: lines.line,
                        offset,
                        bytes,
                    })));
                }
            }
        }
        if read == 0 {
            return Ok(None);
        }
    }
}

/// The name for the configuration.
pub fn label(encoding: &'static Encoding) -> String {
    encoding.name().to_lowercase()
}

/// The file cannot be used as a whole.
pub fn refused(message: String) -> Failure {
    Failure::new(Exit::BadInput, message)
}

/// Fills as much of `buffer` as the copy has from `offset` on.
pub fn read_at(raw: &File, buffer: &mut [u8], offset: u64) -> exit::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        let read = raw
            .read_at(&mut buffer[filled..], offset + filled as u64)
            .context("cannot read the copy of the partner file")
            .or_exit(Exit::CannotWrite)?;
        if read == 0 {
            break;
        }
        filled += read;
    }
    Ok(filled)
}

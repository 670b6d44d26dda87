//! Decodes a file strictly: every byte belongs to a character, or the first that does not is named.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use encoding_rs::{DecoderResult, Encoding, UTF_8};

use super::lines::LineCount;
use super::temp_copy::{CHUNK, CopyReader};

/// Why bytes are no text in an encoding.
#[derive(Debug)]
pub enum DecodeFault {
    /// Bytes that are no character.
    Malformed(MalformedBytes),
    /// A NUL character on this line.
    Nul(u64),
}

/// Bytes that are no character in an encoding.
#[derive(Debug)]
pub struct MalformedBytes {
    /// The line, as an editor counts.
    pub line: u64,
    /// The offset of the first of them in the file.
    pub offset: u64,
    bytes: Vec<u8>,
}

impl MalformedBytes {
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

/// Decodes `raw` from an offset on into a temporary file in `folder`. What is UTF-8 already is
/// only checked, and returned as it is.
pub fn decode(
    raw: &Arc<File>,
    begins: u64,
    encoding: &'static Encoding,
    folder: &Path,
) -> io::Result<Result<Arc<File>, DecodeFault>> {
    let copy = if encoding == UTF_8 {
        raw.clone()
    } else {
        Arc::new(tempfile::tempfile_in(folder)?)
    };
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut lines = LineCount::from(1);
    let mut reader = CopyReader::new(raw, begins);
    let (mut input, mut output) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut passed = begins;
    loop {
        let read = reader.read(&mut input)?;
        let mut rest = &input[..read];
        loop {
            let (result, taken, given) =
                decoder.decode_to_utf8_without_replacement(rest, &mut output, read == 0);
            let text = &output[..given];
            passed += taken as u64;
            rest = &rest[taken..];
            let nul = memchr::memchr(0, text);
            lines.pass(&text[..nul.unwrap_or(given)]);
            if nul.is_some() {
                return Ok(Err(DecodeFault::Nul(lines.line)));
            }
            if encoding != UTF_8 {
                (&*copy).write_all(text)?;
            }
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(length, after) => {
                    let offset = passed - u64::from(after) - u64::from(length);
                    return Ok(Err(DecodeFault::Malformed(MalformedBytes {
                        line: lines.line,
                        offset,
                        bytes: CopyReader::new(raw, offset).bytes(length.into())?,
                    })));
                }
            }
        }
        if read == 0 {
            return Ok(Ok(copy));
        }
    }
}

/// The name of an encoding for the configuration.
pub fn label(encoding: &'static Encoding) -> String {
    encoding.name().to_lowercase()
}

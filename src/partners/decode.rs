//! Decodes a file strictly: every byte belongs to a character, or the place where that ends is named.

use std::fs::File;
use std::path::Path;

use encoding_rs::{DecoderResult, Encoding};

use super::lines::LineCount;
use super::scratch::{CHUNK, read_at};
use crate::exit;

/// Why bytes are no text in an encoding.
#[derive(Debug)]
pub enum DecodeFault {
    /// Bytes that do not fit.
    Malformed(Spot),
    /// A NUL character on this line.
    Nul(u64),
}

/// Bytes that do not fit an encoding.
#[derive(Debug)]
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

/// Passes the text piece by piece to `keep`; returns where it stops being text, if it does.
pub fn decode(
    raw: &File,
    begins: u64,
    encoding: &'static Encoding,
    mut keep: impl FnMut(&[u8]) -> exit::Result<()>,
) -> exit::Result<Option<DecodeFault>> {
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
                return Ok(Some(DecodeFault::Nul(lines.line)));
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
                    return Ok(Some(DecodeFault::Malformed(Spot {
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

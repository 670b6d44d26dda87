//! Text to bytes in the encoding of the list, the inverse of reading it in [`crate::partners`].

use std::fs::File;
use std::io::{self, BufWriter, Write};

use encoding_rs::{Encoder, EncoderResult, Encoding, UTF_16BE, UTF_16LE};

/// A character of the list can be read in its encoding, but not written.
#[derive(Debug, thiserror::Error)]
#[error("a character cannot be written")]
pub struct Unmappable;

/// A file that is written in an encoding.
pub struct EncodingWriter<'a> {
    out: BufWriter<&'a File>,
    encoding: OutputEncoding,
}

enum OutputEncoding {
    Utf16(fn(u16) -> [u8; 2]),
    Other(Encoder),
}

impl<'a> EncodingWriter<'a> {
    /// Begins the file, with a byte-order mark if `has_bom`.
    pub fn begin(file: &'a File, encoding: &'static Encoding, has_bom: bool) -> io::Result<Self> {
        // The encoders of the WHATWG standard write UTF-8 instead of UTF-16.
        let encoding = match encoding {
            it if it == UTF_16LE => OutputEncoding::Utf16(u16::to_le_bytes),
            it if it == UTF_16BE => OutputEncoding::Utf16(u16::to_be_bytes),
            other => OutputEncoding::Other(other.new_encoder()),
        };
        let out = BufWriter::with_capacity(64 * 1024, file);
        let mut encoded = Self { out, encoding };
        if has_bom {
            encoded.write_original("\u{feff}")?;
        }
        Ok(encoded)
    }

    /// Writes text of the list, which must be kept character for character.
    pub fn write_original(&mut self, text: &str) -> io::Result<()> {
        self.write(text, None)
    }

    /// Writes text of this program; characters that the encoding lacks become `?`.
    pub fn write_generated(&mut self, text: &str) -> io::Result<()> {
        self.write(text, Some("?"))
    }

    fn write(&mut self, mut text: &str, instead: Option<&str>) -> io::Result<()> {
        match &mut self.encoding {
            OutputEncoding::Utf16(bytes) => {
                for unit in text.encode_utf16() {
                    self.out.write_all(&bytes(unit))?;
                }
            }
            OutputEncoding::Other(encoder) => {
                while !encode(encoder, &mut text, &mut self.out, false)? {
                    let mut instead = instead.ok_or_else(|| io::Error::other(Unmappable))?;
                    encode(encoder, &mut instead, &mut self.out, false)?;
                }
            }
        }
        Ok(())
    }

    /// Writes what is buffered.
    pub fn finish(mut self) -> io::Result<()> {
        if let OutputEncoding::Other(encoder) = &mut self.encoding {
            encode(encoder, &mut "", &mut self.out, true)?;
        }
        self.out.flush()
    }
}

/// Encodes from the front of `rest`. Stops behind a character that the encoding lacks, and returns false.
fn encode(
    encoder: &mut Encoder,
    rest: &mut &str,
    out: &mut impl Write,
    last: bool,
) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    loop {
        let (result, read, written) =
            encoder.encode_from_utf8_without_replacement(rest, &mut buffer, last);
        out.write_all(&buffer[..written])?;
        *rest = &rest[read..];
        match result {
            EncoderResult::InputEmpty => return Ok(true),
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(_) => return Ok(false),
        }
    }
}

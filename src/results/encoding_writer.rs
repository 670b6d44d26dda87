//! Text to bytes in the encoding of the list, the inverse of reading it in [`crate::partners`].

use std::fs::File;
use std::io::{self, BufWriter, Write};

use encoding_rs::{Encoder, EncoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::error::WriteError;

/// A file that is written in an encoding.
pub struct EncodingWriter<'a> {
    out: BufWriter<&'a File>,
    encoding: OutputEncoding,
}

enum OutputEncoding {
    Utf8,
    Utf16(fn(u16) -> [u8; 2]),
    Other(Encoder),
}

impl<'a> EncodingWriter<'a> {
    /// Begins the file, with a byte-order mark if `has_bom`.
    pub fn begin(
        file: &'a File,
        encoding: &'static Encoding,
        has_bom: bool,
    ) -> Result<Self, WriteError> {
        // The encoders of the WHATWG standard write UTF-8 instead of UTF-16.
        let encoding = match encoding {
            it if it == UTF_8 => OutputEncoding::Utf8,
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
    pub fn write_original(&mut self, text: &str) -> Result<(), WriteError> {
        self.write(text, |_| Err(WriteError::Unmappable))
    }

    /// Writes text of this program; characters that the encoding lacks become `?`.
    pub fn write_generated(&mut self, text: &str) -> Result<(), WriteError> {
        self.write(text, |_| Ok("?"))
    }

    fn write(
        &mut self,
        text: &str,
        instead: impl Fn(char) -> Result<&'static str, WriteError>,
    ) -> Result<(), WriteError> {
        match &mut self.encoding {
            OutputEncoding::Utf8 => self.out.write_all(text.as_bytes())?,
            OutputEncoding::Utf16(bytes) => {
                for unit in text.encode_utf16() {
                    self.out.write_all(&bytes(unit))?;
                }
            }
            OutputEncoding::Other(encoder) => {
                let mut rest = text;
                while let Some(unmappable) = encode(encoder, &mut rest, &mut self.out, false)? {
                    encode(encoder, &mut instead(unmappable)?, &mut self.out, false)?;
                }
            }
        }
        Ok(())
    }

    /// Writes what is buffered.
    pub fn finish(mut self) -> Result<(), WriteError> {
        if let OutputEncoding::Other(encoder) = &mut self.encoding {
            encode(encoder, &mut "", &mut self.out, true)?;
        }
        Ok(self.out.flush()?)
    }
}

/// Encodes from the front of `rest`, up to a character that the encoding lacks.
fn encode(
    encoder: &mut Encoder,
    rest: &mut &str,
    out: &mut impl Write,
    last: bool,
) -> io::Result<Option<char>> {
    let mut buffer = [0; 4096];
    loop {
        let (result, read, written) =
            encoder.encode_from_utf8_without_replacement(rest, &mut buffer, last);
        out.write_all(&buffer[..written])?;
        *rest = &rest[read..];
        match result {
            EncoderResult::InputEmpty => return Ok(None),
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(it) => return Ok(Some(it)),
        }
    }
}

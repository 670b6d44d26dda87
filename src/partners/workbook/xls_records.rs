//! Records of the stream in an `.xls` file (MS-XLS §2.1.4): a type, a length and data, little-endian.

use std::ops::Range;

/// Types of records (MS-XLS §2.3).
pub mod kind {
    pub const FORMULA: u16 = 0x0006;
    pub const END: u16 = 0x000a;
    pub const FILE_PASS: u16 = 0x002f;
    pub const CONTINUE: u16 = 0x003c;
    pub const BOUND_SHEET: u16 = 0x0085;
    pub const NUMBERS: u16 = 0x00bd;
    pub const RICH_TEXT: u16 = 0x00d6;
    pub const SHARED_TEXTS: u16 = 0x00fc;
    pub const SHARED_TEXT: u16 = 0x00fd;
    pub const NUMBER: u16 = 0x0203;
    pub const TEXT: u16 = 0x0204;
    pub const BOOLEAN: u16 = 0x0205;
    pub const FORMULA_TEXT: u16 = 0x0207;
    pub const SHORT_NUMBER: u16 = 0x027e;
    pub const BOF: u16 = 0x0809;
    /// What calamine needs to read values: code page, date system, formats, and the above.
    pub const KEPT: [u16; 15] = [
        0x0022,
        0x0042,
        0x00e0,
        0x041e,
        FILE_PASS,
        BOUND_SHEET,
        NUMBERS,
        RICH_TEXT,
        SHARED_TEXTS,
        SHARED_TEXT,
        NUMBER,
        SHORT_NUMBER,
        TEXT,
        BOOLEAN,
        FORMULA_TEXT,
    ];
}

/// One record: its type and the position of its data.
pub struct XlsRecord {
    pub kind: u16,
    pub data: Range<usize>,
}

impl XlsRecord {
    /// The record that begins at a place; none if the stream ends before it does.
    pub fn at(stream: &[u8], place: usize) -> Option<Self> {
        let kind = word(stream, place)?;
        let begin = place + 4;
        let end = begin + usize::from(word(stream, place + 2)?);
        (end <= stream.len()).then_some(Self {
            kind,
            data: begin..end,
        })
    }
}

/// The two bytes at a place.
pub fn word(bytes: &[u8], place: usize) -> Option<u16> {
    let bytes = bytes.get(place..place + 2)?;
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

/// The four bytes at a place.
pub fn double_word(bytes: &[u8], place: usize) -> Option<usize> {
    let bytes = bytes.get(place..place + 4)?;
    usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
}

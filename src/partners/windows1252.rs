//! Guesses the encoding of a file that is not UTF-8 and has no byte-order mark.
//!
//! The only guess that is acted on is windows-1252, and only if chardetng and the heuristic here
//! agree. Otherwise the error shows the cell at fault as the likely encodings read it, so that
//! the operator sees which one to configure.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{
    BIG5, EUC_KR, Encoding, GB18030, MACINTOSH, SHIFT_JIS, WINDOWS_1250, WINDOWS_1251, WINDOWS_1252,
};

use super::decode::{MalformedBytes, label};
use super::temp_copy::{CHUNK, CopyReader};

/// How many bytes before and after a malformed one may belong to the cell that is shown.
const REACH: usize = 40;
/// How many readings of a cell are shown.
const READINGS: usize = 4;

/// The usual encodings of lists that are not in UTF-8, the likeliest first.
const CANDIDATES: [&Encoding; 8] = [
    WINDOWS_1252,
    WINDOWS_1250,
    WINDOWS_1251,
    MACINTOSH,
    SHIFT_JIS,
    GB18030,
    BIG5,
    EUC_KR,
];

/// What the encoding of a file may be that is not UTF-8.
#[derive(Debug)]
pub enum EncodingGuess {
    /// windows-1252.
    Windows1252 {
        /// How the cell at fault reads in it, in quotes.
        reading: String,
    },
    /// Partly UTF-8, partly another encoding.
    Mixed,
    /// One of several encodings.
    Undecided {
        /// How the cell at fault reads in each; none if the file is no text at all.
        readings: Option<String>,
    },
}

/// Guesses the encoding of `raw`, which is not UTF-8 because of the bytes `at`.
///
/// # Errors
/// If the copy cannot be read.
pub fn guess(raw: &Arc<File>, at: &MalformedBytes) -> io::Result<EncodingGuess> {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    let mut heuristic = Windows1252Heuristic {
        seen: [false; 256],
        before: b'\n',
        previous: b'\n',
        letters_in_a_row: 0,
        plausible: true,
    };
    let mut reader = CopyReader::new(raw, 0);
    let mut chunk = vec![0; CHUNK];
    let (mut utf8, mut others) = (0, 0);
    loop {
        let read = reader.read(&mut chunk)?;
        let chunk = &chunk[..read];
        detector.feed(chunk, read == 0);
        heuristic.pass(chunk);
        for piece in chunk.utf8_chunks() {
            utf8 += piece.valid().chars().filter(|it| !it.is_ascii()).count();
            others += piece.invalid().len();
        }
        if read == 0 {
            break;
        }
    }
    let detected = detector.guess(None, Utf8Detection::Deny);
    let is_windows_1252 = heuristic.plausible_as(detected);
    // Bytes in Asian encodings are valid UTF-8 by chance, in windows-1252 hardly ever, in Cyrillic
    // ones now and then (`Пё`).
    if utf8 > 0 && detected.is_single_byte() && (is_windows_1252 || utf8 > others / 4) {
        return Ok(EncodingGuess::Mixed);
    }
    let cell = cell_around(raw, at.offset)?;
    if is_windows_1252 && let Some(reading) = read_as(WINDOWS_1252, &cell) {
        return Ok(EncodingGuess::Windows1252 { reading });
    }
    let readings = readings(detected, &cell);
    Ok(EncodingGuess::Undecided { readings })
}

/// Whether bytes may be windows-1252. chardetng falls back on it when nothing else fits, and takes
/// a few letters of Cyrillic or Mac encodings for it.
struct Windows1252Heuristic {
    seen: [bool; 256],
    before: u8,
    previous: u8,
    letters_in_a_row: u8,
    plausible: bool,
}

impl Windows1252Heuristic {
    fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.seen[usize::from(*byte)] = true;
            self.letters_in_a_row = match byte {
                0xc0.. => self.letters_in_a_row.saturating_add(1),
                _ => 0,
            };
            let fits = match byte {
                b'\t' | b'\n' | b'\r' => true,
                0x81 | 0x8d | 0x8f | 0x90 | 0x9d => false,
                // Š, Œ, Ž, Ÿ, opening quotes and daggers do not follow a small letter.
                0x82..=0x84 | 0x86..=0x8c | 0x8e | 0x98 | 0x9f => {
                    !self.previous.is_ascii_lowercase()
                }
                // No Western name has three letters with marks side by side.
                0xc0.. => self.letters_in_a_row < 3,
                // Quotes and signs do not occur between two letters, as apostrophes do.
                b'A'..=b'Z' | b'a'..=b'z' => {
                    !(self.before.is_ascii_alphabetic() && is_sign(self.previous))
                }
                _ => !byte.is_ascii_control(),
            };
            self.plausible &= fits;
            self.before = self.previous;
            self.previous = *byte;
        }
    }

    /// Whether the detected encoding is windows-1252, or reads the same: `é` does in windows-1250.
    fn plausible_as(&self, detected: &'static Encoding) -> bool {
        let seen: Vec<u8> = (0..=u8::MAX)
            .filter(|it| self.seen[usize::from(*it)])
            .collect();
        let read = |it: &'static Encoding| {
            it.decode_without_bom_handling_and_without_replacement(&seen)
                .map(std::borrow::Cow::into_owned)
        };
        self.plausible && detected.is_single_byte() && read(detected) == read(WINDOWS_1252)
    }
}

/// Double and single opening quotes, `€`, `†`, `‰`, `•`, `™` and their like in windows-1252.
fn is_sign(byte: u8) -> bool {
    matches!(byte, 0x80 | 0x82 | 0x84 | 0x86..=0x89 | 0x8b | 0x93..=0x95 | 0x98 | 0x99 | 0x9b)
}

/// `"René" in windows-1250 or windows-1252, "Renй" in windows-1251`
fn readings(detected: &'static Encoding, cell: &[u8]) -> Option<String> {
    let mut readings: Vec<(String, Vec<String>)> = Vec::new();
    let others = CANDIDATES.into_iter().filter(|it| *it != detected);
    for candidate in [detected].into_iter().chain(others) {
        let Some(reading) = read_as(candidate, cell) else {
            continue;
        };
        let label = label(candidate);
        if let Some((_, labels)) = readings.iter_mut().find(|(it, _)| *it == reading) {
            labels.push(label);
        } else if readings.len() < READINGS {
            readings.push((reading, vec![label]));
        }
    }
    let readings: Vec<_> = readings
        .into_iter()
        .map(|(reading, labels)| format!("{reading} in {}", labels.join(" or ")))
        .collect();
    (!readings.is_empty()).then(|| readings.join(", "))
}

/// The bytes of the cell around an offset, as far as they are near.
fn cell_around(raw: &Arc<File>, offset: u64) -> io::Result<Vec<u8>> {
    let before = usize::try_from(offset).map_or(REACH, |it| it.min(REACH));
    let bytes = CopyReader::new(raw, offset - before as u64).bytes(2 * REACH)?;
    let (before, after) = bytes.split_at(before);
    let edge = |it: &u8| b",;\t\"\r\n".contains(it);
    let begin = before.iter().rposition(edge).map_or(0, |it| it + 1);
    let end = after.iter().position(edge).unwrap_or(after.len());
    Ok([&before[begin..], &after[..end]].concat())
}

/// How bytes read in an encoding, in quotes; `None` if they are no writing in it.
fn read_as(encoding: &'static Encoding, bytes: &[u8]) -> Option<String> {
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes)?;
    let private_use = |it: char| matches!(it, '\u{e000}'..='\u{f8ff}');
    let writing = !text.chars().any(|it| it.is_control() || private_use(it));
    writing.then(|| format!("\"{}\"", text.trim().escape_debug()))
}

//! Searches files for a text, in whatever encoding mail, spreadsheets and databases store it.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Workplace;

/// The files below the workplace that contain the text, in any case of its letters.
pub fn files_with(workplace: &Workplace, text: &str) -> Vec<PathBuf> {
    let files = workplace.bytes().into_iter();
    let found = files.filter(|(_, bytes)| contains(bytes, text));
    found.map(|it| it.0).collect()
}

/// Whether the bytes contain the text: as UTF-8, UTF-16, base64 or quoted-printable, with escapes of JSON, HTML
/// or URLs, also across line breaks.
pub fn contains(bytes: &[u8], text: &str) -> bool {
    let plain = text.to_ascii_lowercase();
    // In either order of the bytes, if the last zero is left out.
    let wide: Vec<u8> = plain.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let lower = bytes.to_ascii_lowercase();
    let soft_breaks = replaced(&replaced(&lower, b"=\r\n", b""), b"=\n", b"");
    let escaped = ["=40", "&#64;", "&#x40;", "\\u0040", "%40"].map(|it| plain.replace('@', it));
    let joined: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|it| !b"\r\n".contains(it))
        .collect();
    let texts = std::iter::once(plain.as_str()).chain(escaped.iter().map(String::as_str));
    texts
        .into_iter()
        .any(|it| is_in(&lower, it.as_bytes()) || is_in(&soft_breaks, it.as_bytes()))
        || is_in(&lower, &wide[..wide.len() - 1])
        || in_base64(text)
            .iter()
            .any(|it| is_in(&joined, it.as_bytes()))
}

/// The text in base64, wherever it begins within three bytes, without the digits that depend on its neighbours.
fn in_base64(text: &str) -> Vec<String> {
    let encoded = |skipped: usize| {
        let encoded = STANDARD.encode("\0".repeat(skipped) + text);
        let start = [0, 2, 3][skipped];
        let whole = (skipped + text.len()) * 8 / 6;
        encoded[start..whole].to_owned()
    };
    (0..3).map(encoded).collect()
}

fn is_in(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|it| it == wanted)
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(&first) = rest.first() {
        if rest.starts_with(from) {
            result.extend_from_slice(to);
            rest = &rest[from.len()..];
        } else {
            result.push(first);
            rest = &rest[1..];
        }
    }
    result
}

#[test]
fn a_text_is_found_in_every_encoding() {
    let text = "ada@a.example";
    let wide: Vec<u8> = "x, Ada@A.example"
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    for bytes in [
        b"to ADA@a.example.".to_vec(),
        wide,
        b"ada=40a.example".to_vec(),
        b"ada@a.ex=\r\nample".to_vec(),
        STANDARD.encode("ada@a.example").into_bytes(),
        STANDARD.encode("<ada@a.example>").into_bytes(),
        STANDARD.encode("  ada@a.example ").into_bytes(),
        STANDARD
            .encode("   ada@a.example")
            .replace("YS5", "YS\r\n5")
            .into_bytes(),
        br#""ada\u0040a.example""#.to_vec(),
    ] {
        assert!(
            contains(&bytes, text),
            "{:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
    assert!(!contains(b"bob@a.example", text));
}

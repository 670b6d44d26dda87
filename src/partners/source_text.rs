//! The text of the file as it was written, so that it can be written again.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::form::Form;
use super::list::Partners;
use super::scratch::CHUNK;

impl Partners {
    /// How the file is written.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// The names of all columns, as they stand.
    #[must_use]
    pub fn headers(&self) -> &[String] {
        self.layout.headers()
    }

    /// Where the header's text stands; what is before it belongs to no row.
    #[must_use]
    pub fn header(&self) -> Range<u64> {
        self.layout.place()
    }

    /// Where the text as a whole stands, without its byte-order mark.
    ///
    /// # Errors
    /// When the copy cannot be asked.
    pub fn whole(&self) -> io::Result<Range<u64>> {
        Ok(self.begins..self.copy.metadata()?.len())
    }

    /// The text at a place, piece by piece.
    pub fn text(&self, place: Range<u64>) -> impl Iterator<Item = io::Result<String>> {
        let mut at = place.start;
        std::iter::from_fn(move || {
            let length = usize::try_from(place.end - at).unwrap_or(CHUNK).min(CHUNK);
            if length == 0 {
                return None;
            }
            let mut bytes = vec![0; length];
            if let Err(error) = self.copy.read_exact_at(&mut bytes, at) {
                return Some(Err(error));
            }
            // A character that is cut at the end waits for the next piece.
            let whole = match std::str::from_utf8(&bytes) {
                Ok(_) => length,
                Err(error) if error.valid_up_to() > 0 => error.valid_up_to(),
                Err(error) => return Some(Err(io::Error::other(error))),
            };
            bytes.truncate(whole);
            at += whole as u64;
            Some(String::from_utf8(bytes).map_err(io::Error::other))
        })
    }
}

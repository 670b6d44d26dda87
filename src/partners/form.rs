//! How the file is written.

use encoding_rs::Encoding;

/// How the file is written, so that another can be written like it.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// What its bytes mean.
    pub encoding: &'static Encoding,
    /// Whether it begins with a byte-order mark.
    pub has_bom: bool,
    /// The byte between cells.
    pub delimiter: u8,
}

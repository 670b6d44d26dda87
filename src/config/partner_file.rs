//! `[partners]`: where the list is, and how to read it.

use std::path::{Path, PathBuf};

use encoding_rs::{Encoding, X_USER_DEFINED};

use super::reader::Section;
use super::values::{Value, choice, parsed_text, path, text};

/// The list of partners, and how to read it.
#[derive(Debug)]
pub struct PartnerFile {
    /// The CSV file.
    pub path: PathBuf,
    /// Its encoding; `None` means that it is detected.
    pub encoding: Option<&'static Encoding>,
    /// The byte between cells; `None` means that it is detected in the header.
    pub delimiter: Option<u8>,
    /// The headers of the known columns.
    pub columns: Columns,
    /// What to do when rows are bad.
    pub bad_rows: BadRows,
}

/// What to do when rows are bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRows {
    /// Send nothing.
    Refuse,
    /// Send to the good rows and report the bad ones.
    Skip,
}

impl PartnerFile {
    pub(super) fn read(mut section: Section<'_>, folder: &Path) -> Option<Self> {
        let file = section
            .key("file", "the list of partners (CSV)")
            .required(path(folder));
        let encoding = section
            .key("encoding", "detected; or a name")
            .or("\"auto\"", encoding());
        let delimiters = [
            ("auto", None),
            (",", Some(b',')),
            (";", Some(b';')),
            ("\t", Some(b'\t')),
        ];
        let delimiter = section
            .key(
                "delimiter",
                "detected in the header; or \",\" \";\" \"\\t\"",
            )
            .or("\"auto\"", choice(&delimiters));
        let columns = Columns::read(section.section("columns"));
        let bad_rows = section
            .key("bad_rows", "or \"skip\": mail the good rows")
            .or(
                "\"refuse\"",
                choice(&[("refuse", BadRows::Refuse), ("skip", BadRows::Skip)]),
            );
        section.finish();
        Some(Self {
            path: file?,
            encoding,
            delimiter,
            columns,
            bad_rows,
        })
    }
}

/// A label of the WHATWG Encoding Standard (§4.2); "auto" is `None`.
fn encoding<'r>() -> Value<'r, Option<&'static Encoding>> {
    let what = "\"auto\" or the name of an encoding such as \"utf-8\", \"utf-16le\", \"windows-1252\", \"windows-1250\", \"macintosh\", \"shift_jis\" or \"gb18030\"";
    parsed_text(what, |label| match label {
        "auto" => Some(None),
        // No file is in encodings that decode to nothing, or in the one for scripts.
        _ => Encoding::for_label_no_replacement(label.as_bytes())
            .filter(|it| *it != X_USER_DEFINED)
            .map(Some),
    })
}

/// A known column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The address; the only one that the file must have.
    Email,
    /// The person's name.
    Name,
    /// The partner's organisation.
    Organization,
    /// The requested language.
    Locale,
    /// The key of the access package.
    Package,
}

impl Field {
    /// All of them, in the order of the configuration.
    pub const ALL: [Self; 5] = [
        Self::Email,
        Self::Name,
        Self::Organization,
        Self::Locale,
        Self::Package,
    ];
}

/// Each known column with its key in `partners.columns` and the description of that.
const FIELDS: [(Field, &str, &str); 5] = [
    (Field::Email, "email", "header of the address"),
    (Field::Name, "name", "of the person's name"),
    (
        Field::Organization,
        "organization",
        "of the partner's organisation",
    ),
    (Field::Locale, "locale", "of the language tag"),
    (Field::Package, "package", "of the package's key"),
];

/// The headers of the known columns, in the order of [`Field`].
#[derive(Debug)]
pub struct Columns(pub [Column; FIELDS.len()]);

/// The header of a known column.
#[derive(Debug)]
pub struct Column {
    /// The column.
    pub field: Field,
    /// Its key in `partners.columns`.
    pub key: &'static str,
    /// The header, by default the key.
    pub header: String,
    /// Whether the configuration sets it; then the file must have it.
    pub configured: bool,
}

impl Columns {
    /// Whether the configuration gives the default header of this column to another one.
    #[must_use]
    pub fn is_taken(&self, column: &Column) -> bool {
        let mut others = self.0.iter().filter(|it| it.field != column.field);
        !column.configured && others.any(|it| it.configured && it.matches(&column.header))
    }

    fn read(mut section: Section<'_>) -> Self {
        let columns = FIELDS.map(|(field, key, description)| {
            let header = section.key(key, description).optional(text());
            Column {
                field,
                key,
                configured: header.is_some(),
                header: header.unwrap_or_else(|| key.to_owned()),
            }
        });
        for (index, column) in columns.iter().enumerate().filter(|(_, it)| it.configured) {
            // The default header of the address counts, too, because the file must have it.
            let other = columns.iter().enumerate().find(|(other, it)| {
                let counts = it.field == Field::Email || (it.configured && *other < index);
                *other != index && counts && it.matches(&column.header)
            });
            if let Some((_, other)) = other {
                let message = format!(
                    "`partners.columns.{}` and `partners.columns.{}` are the same header, `{}`; set each to a header of its own",
                    other.key,
                    column.key,
                    column.header.escape_debug()
                );
                section.problem(column.key, message);
            }
        }
        section.finish();
        Self(columns)
    }
}

impl Column {
    /// Whether a header is that of this column, in any case of its letters.
    #[must_use]
    pub fn matches(&self, header: &str) -> bool {
        self.header.to_lowercase() == header.to_lowercase()
    }
}

//! `[partners]`: where the list is, and how to read it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use encoding_rs::{Encoding, X_USER_DEFINED};

use super::key::Kind;
use super::pattern::Pattern;
use super::reader::Section;
use super::values::{Value, choice, one_line, parsed_text, path, text, text_table};

/// The list of partners, and how to read it.
#[derive(Debug)]
pub struct PartnerFile {
    /// The CSV file or workbook.
    pub path: PathBuf,
    /// The sheet of a workbook; `None` means the first one.
    pub sheet: Option<String>,
    /// Its encoding; `None` means that it is detected.
    pub encoding: Option<&'static Encoding>,
    /// The byte between cells; `None` means that it is detected in the header.
    pub delimiter: Option<u8>,
    /// The headers of the known columns.
    pub columns: Columns,
    /// What cells mean that are neither a language nor the key of a package.
    pub values: CellValues,
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
    pub(super) fn read(section: &mut Section<'_>, folder: &Path) -> Option<Self> {
        let file = section
            .key("file", "the list of partners (CSV or workbook)")
            .required(path(folder));
        let sheet = section
            .key("sheet", "of a workbook; unset: the first")
            .optional(text());
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
        let columns = section.read("columns", Columns::read);
        let values = section.read("values", CellValues::read);
        let bad_rows = section
            .key("bad_rows", "or \"skip\": mail the good rows")
            .or(
                "\"refuse\"",
                choice(&[("refuse", BadRows::Refuse), ("skip", BadRows::Skip)]),
            );
        Some(Self {
            path: file?,
            sheet,
            encoding,
            delimiter,
            columns,
            values,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
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
    /// The name of the person who invites.
    InviterName,
    /// The address of the person who invites.
    InviterEmail,
    /// What the inviter adds for this partner.
    Note,
}

impl Field {
    /// All of them, in the order of the configuration.
    pub const ALL: [Self; 8] = [
        Self::Email,
        Self::Name,
        Self::Organization,
        Self::Locale,
        Self::Package,
        Self::InviterName,
        Self::InviterEmail,
        Self::Note,
    ];

    /// Its key in `partners.columns`, which is also its default header.
    #[must_use]
    pub fn key(self) -> &'static str {
        self.into()
    }

    /// Whether a column with this key as its header is `partner.extra.<key>` as well: templates from before the
    /// field was known use it there.
    #[must_use]
    pub fn is_also_extra(self) -> bool {
        matches!(self, Self::InviterName | Self::InviterEmail | Self::Note)
    }
}

/// Each known column with the description of its key.
const FIELDS: [(Field, &str); Field::ALL.len()] = [
    (Field::Email, "header of the address"),
    (Field::Name, "of the person's name"),
    (Field::Organization, "of the partner's organisation"),
    (Field::Locale, "of the language tag"),
    (Field::Package, "of the package's key"),
    (Field::InviterName, "of the inviter's name"),
    (Field::InviterEmail, "of the inviter's address"),
    (Field::Note, "of a note from the inviter"),
];

/// The configured columns, in the order of [`Field`].
#[derive(Debug)]
pub struct Columns(pub [Column; FIELDS.len()]);

/// A known column.
#[derive(Debug)]
pub struct Column {
    /// The column.
    pub field: Field,
    /// The configured source of its value; the file must have these headers.
    pub pattern: Option<Pattern>,
}

impl Columns {
    fn read(section: &mut Section<'_>) -> Self {
        let columns = FIELDS.map(|(field, description)| Column {
            field,
            pattern: section.key(field.key(), description).optional(pattern()),
        });
        let headers = columns.each_ref().map(Column::header);
        for (index, column) in columns.iter().enumerate() {
            let Some(header) = headers[index].filter(|_| column.pattern.is_some()) else {
                continue;
            };
            // The default header of the address counts, too, because the file must have it.
            let other = columns.iter().enumerate().find(|(other, it)| {
                let counts = it.field == Field::Email || (it.pattern.is_some() && *other < index);
                let same =
                    headers[*other].is_some_and(|it| it.to_lowercase() == header.to_lowercase());
                *other != index && counts && same
            });
            if let Some((_, other)) = other {
                let message = format!(
                    "`partners.columns.{}` and `partners.columns.{}` are the same header, `{}`; set each to a header of its own",
                    other.field.key(),
                    column.field.key(),
                    header.escape_debug()
                );
                section.problem(column.field.key(), message);
            }
        }
        Self(columns)
    }
}

impl Column {
    /// The header, if it is one alone: the configured one, else the key.
    fn header(&self) -> Option<&str> {
        match &self.pattern {
            Some(pattern) => pattern.only_header(),
            None => Some(self.field.key()),
        }
    }
}

/// A header, or a pattern with headers in braces.
fn pattern<'r>() -> Value<'r, Pattern> {
    Value::new(
        Kind::Text("a header, or a pattern such as \"{First name} {Last name}\""),
        |value| {
            let text = one_line(value)?;
            Pattern::parse(&text).map_err(|error| format!("must be a header or a pattern: {error}"))
        },
    )
}

/// Cells and their meanings, compared exactly.
#[derive(Clone, Debug, Default)]
pub struct CellValues {
    /// Language tags by cells of the column `locale`.
    pub locale: HashMap<String, String>,
    /// Keys of packages by cells of the column `package`.
    pub package: HashMap<String, String>,
}

impl CellValues {
    fn read(section: &mut Section<'_>) -> Self {
        let mut table = |key, description| -> HashMap<String, String> {
            let table = section.key(key, description).optional(text_table());
            table.unwrap_or_default().into_iter().collect()
        };
        Self {
            locale: table("locale", "cells by language tag or name"),
            package: table("package", "cells by the package's key"),
        }
    }
}

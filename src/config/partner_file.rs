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
    /// What its bytes mean; `None` means by what they look like.
    pub encoding: Option<&'static Encoding>,
    /// The byte between cells; `None` means by the header line.
    pub delimiter: Option<u8>,
    /// The header of each known column.
    pub columns: Columns,
    /// What to do when rows are bad.
    pub bad_rows: BadRows,
}

/// What to do when rows are bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRows {
    /// Mail nobody.
    Refuse,
    /// Mail the good rows and report the bad ones.
    Skip,
}

impl PartnerFile {
    pub(super) fn read(mut section: Section<'_>, folder: &Path) -> Option<Self> {
        let file = section
            .key("file", "the list of partners (CSV)")
            .required(path(folder));
        let encoding = section
            .key("encoding", "by what its bytes look like; or a name")
            .or("\"auto\"", encoding());
        let delimiters = [
            ("auto", None),
            (",", Some(b',')),
            (";", Some(b';')),
            ("\t", Some(b'\t')),
        ];
        let delimiter = section
            .key("delimiter", "by the header line; or \",\" \";\" \"\\t\"")
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
        // Labels of encodings that decode to nothing, and one that is private to scripts, name no file.
        _ => Encoding::for_label_no_replacement(label.as_bytes())
            .filter(|it| *it != X_USER_DEFINED)
            .map(Some),
    })
}

/// The headers of the known columns.
#[derive(Debug)]
pub struct Columns {
    /// The address; required in the file.
    pub email: Column,
    /// The person's name.
    pub name: Column,
    /// The partner's organisation.
    pub organization: Column,
    /// The wanted language.
    pub locale: Column,
    /// The key of the access package.
    pub package: Column,
}

/// The header of a known column.
#[derive(Debug)]
pub struct Column {
    /// The column's own name, a key of `partners.columns`.
    pub key: &'static str,
    /// The header, by default the key.
    pub header: String,
    /// Whether the configuration names it; then the file must have it.
    pub configured: bool,
}

impl Columns {
    /// All known columns.
    #[must_use]
    pub fn all(&self) -> [&Column; 5] {
        [
            &self.email,
            &self.name,
            &self.organization,
            &self.locale,
            &self.package,
        ]
    }

    /// Whether the header of a column belongs to another one, because the configuration says so.
    #[must_use]
    pub fn is_taken(&self, column: &Column) -> bool {
        let mut others = self.all().into_iter().filter(|it| it.key != column.key);
        !column.configured && others.any(|it| it.configured && it.has_same_header(column))
    }

    fn read(mut section: Section<'_>) -> Self {
        let mut column = |key: &'static str, description: &'static str| {
            let header = section.key(key, description).optional(text());
            Column {
                key,
                configured: header.is_some(),
                header: header.unwrap_or_else(|| key.to_owned()),
            }
        };
        let columns = Self {
            email: column("email", "header of the address"),
            name: column("name", "of the person's name"),
            organization: column("organization", "of the partner's organisation"),
            locale: column("locale", "of the language tag"),
            package: column("package", "of the package's key"),
        };
        let all = columns.all();
        for (place, column) in all.iter().enumerate().filter(|(_, it)| it.configured) {
            // A header that nobody names for `email` is still the one of the addresses.
            let other = all.iter().enumerate().find(|(other, it)| {
                let counts = it.key == "email" || (it.configured && *other < place);
                *other != place && counts && it.has_same_header(column)
            });
            if let Some((_, other)) = other {
                let message = format!(
                    "`partners.columns.{}` and `partners.columns.{}` are the same header, `{}`; a header belongs to one of them",
                    other.key,
                    column.key,
                    column.header.escape_debug()
                );
                section.problem(column.key, message);
            }
        }
        section.finish();
        columns
    }
}

impl Column {
    /// Whether a header of the file is that of this column, in any case of its letters.
    #[must_use]
    pub fn matches(&self, header: &str) -> bool {
        self.header.to_lowercase() == header.to_lowercase()
    }

    /// Whether two columns have one header.
    #[must_use]
    pub fn has_same_header(&self, other: &Self) -> bool {
        self.matches(&other.header)
    }
}

//! Recognises which column is what, in the exports of usual programs and in plain lists.
//!
//! A column is only recognised if exactly one candidate for it is there. A person sees in `check` what
//! was taken for what, and configuration overrides it.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::header_match::{fold, places};
use super::patterns::CellSource;
use crate::config::Field;

/// The meaning of a header, by its name in `headers.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "kebab-case")]
enum NamePart {
    Email,
    /// Certainly the whole name.
    FullName,
    /// The whole name, or the part of it that the list does not name otherwise.
    Name,
    GivenName,
    FamilyName,
    Organization,
    Locale,
    Package,
}

/// The meaning of each known header, folded.
static KNOWN: LazyLock<HashMap<String, NamePart>> =
    LazyLock::new(|| known().map(|(part, it)| (fold(it), part)).collect());

/// All known headers with their meaning.
fn known() -> impl Iterator<Item = (NamePart, &'static str)> {
    let lines = include_str!("known_headers/headers.txt").lines();
    let lines = lines.filter(|it| !it.starts_with('#'));
    let lines = lines.filter_map(|it| it.split_once(": "));
    lines.flat_map(|(part, headers)| {
        let part = part.parse().expect("each line begins with a meaning");
        headers.split("; ").map(move |it| (part, it))
    })
}

/// What the header of a list says about a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recognized {
    /// No known header.
    Missing,
    /// One column, or two for a first and a last name.
    Source(CellSource),
    /// Several columns could be meant, by their places.
    Ambiguous(Vec<usize>),
}

/// Whether a line or its first cell is the version of a template, as in Entra's bulk files.
#[must_use]
pub fn is_version(text: &str) -> bool {
    fold(text.trim_start_matches('"')).starts_with("version:")
}

/// Whether a line only contains the version of a template.
#[must_use]
pub fn is_version_line(cells: &[String]) -> bool {
    let mut cells = cells.iter();
    cells.next().is_some_and(|it| is_version(it)) && cells.all(|it| fold(it).is_empty())
}

/// What the headers say about a field.
#[must_use]
pub fn recognize(headers: &[String], field: Field) -> Recognized {
    let folded: Vec<String> = headers.iter().map(|it| fold(it)).collect();
    let known_for = |part| places(&folded, |it| KNOWN.get(it) == Some(&part));
    let one = |part| one_of(&known_for(part));
    match field {
        Field::InviterName | Field::InviterEmail | Field::Note => {
            let key = fold(field.key());
            one_of(&places(&folded, |it| it == key))
        }
        Field::Email => one(NamePart::Email),
        Field::Organization => one(NamePart::Organization),
        Field::Locale => one(NamePart::Locale),
        Field::Package => one(NamePart::Package),
        Field::Name => match one(NamePart::FullName) {
            Recognized::Missing => {
                let [name, given, family] =
                    [NamePart::Name, NamePart::GivenName, NamePart::FamilyName].map(known_for);
                name_of_parts(&folded, &name, &given, &family)
            }
            found => found,
        },
    }
}

/// The only one of these columns.
fn one_of(places: &[usize]) -> Recognized {
    match places {
        [] => Recognized::Missing,
        [place] => Recognized::Source(CellSource::column(*place)),
        several => Recognized::Ambiguous(several.to_vec()),
    }
}

/// `name` means the whole name, or what is missing beside a given or a family name: `Prénom` and `Nom`.
fn name_of_parts(
    headers: &[String],
    name: &[usize],
    given: &[usize],
    family: &[usize],
) -> Recognized {
    let joined = |given: usize, family: usize| {
        // Family names come first in Chinese, Japanese and Korean.
        let source = if ["姓", "성"].contains(&headers[family].as_str()) {
            CellSource::joined(family, given)
        } else {
            CellSource::joined(given, family)
        };
        Recognized::Source(source)
    };
    match (name, given, family) {
        ([], [], _) => Recognized::Missing,
        ([], [given], [family]) => joined(*given, *family),
        ([family], [given], []) => joined(*given, *family),
        ([given], [], [family]) => joined(*given, *family),
        ([name], [], []) | ([name], [_], [_]) | ([], [name], []) => {
            Recognized::Source(CellSource::column(*name))
        }
        _ => {
            let mut places = [name, given, family].concat();
            places.sort_unstable();
            Recognized::Ambiguous(places)
        }
    }
}

#[cfg(test)]
mod tests;

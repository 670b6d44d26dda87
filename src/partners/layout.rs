//! The header of the list: which column is which.

use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::error::ListError;
use super::finding::excerpt;
use super::partner::Partner;
use super::quoting::REMEDY;
use super::records::{Record, Records};
use super::swallowed::{self, Shape};
use crate::config::{Column, Columns};

/// How many headers of the file an error lists.
const HEADERS_SHOWN: usize = 50;
/// The longest header that is compared with a missing one, in characters.
const COMPARED: usize = 256;

/// The header: its columns, and where it stands.
#[derive(Debug)]
pub struct Layout {
    /// The place of the header in the copy.
    pub place: Range<u64>,
    /// The line and the offset of the first row.
    pub data_start: (u64, u64),
    /// The byte between cells.
    pub delimiter: u8,
    /// The names of all columns, as written.
    pub headers: Vec<String>,
    /// The column of the address.
    pub email: usize,
    /// The column of the person's name.
    pub name: Option<usize>,
    /// The column of the partner's organisation.
    pub organization: Option<usize>,
    /// The column of the language tag.
    pub locale: Option<usize>,
    /// The column of the package's key.
    pub package: Option<usize>,
    /// All other columns with a name.
    pub extra: Vec<usize>,
    /// Their names in templates.
    pub extra_columns: Arc<[String]>,
}

impl Layout {
    /// Reads the header.
    ///
    /// # Errors
    /// If it is malformed or lacks a column; `path` is the file for the message.
    pub fn read<R: Read>(
        records: &mut Records<R>,
        names: &Columns,
        delimiter: u8,
        path: &Path,
    ) -> Result<Self, ListError> {
        let path = path.display();
        let Some(header) = records.next_record()? else {
            return Err(ListError::NotAList(format!(
                "{path}: the file is empty; its first line must name the columns, at least `email`"
            )));
        };
        let line = header.line;
        let data_start = records.position()?;
        Self::of(header, names, delimiter, data_start)
            .map_err(|reason| ListError::NotAList(format!("{path}:{line}: {reason}")))
    }

    fn of(
        header: Record,
        names: &Columns,
        delimiter: u8,
        data_start: (u64, u64),
    ) -> Result<Self, String> {
        let cells = header.cells.map_err(|fault| fault.to_string())?;
        let headers: Vec<String> = cells.iter().map(|it| it.trim().to_owned()).collect();
        if let Some(record) = &header.multi_line
            && let Some(address) = swallowed::address_in_header(record, delimiter)
        {
            return Err(format!(
                "the header extends to line {} and contains an address, `{}`; {REMEDY}",
                header.last_line,
                excerpt(address)
            ));
        }
        let mut missing = Vec::new();
        let mut find = |column| find(column, &headers, names, &mut missing);
        let email = find(&names.email)?;
        let name = find(&names.name)?;
        let organization = find(&names.organization)?;
        let locale = find(&names.locale)?;
        let package = find(&names.package)?;
        let (Some(email), true) = (email, missing.is_empty()) else {
            return Err(missing_columns(&headers, names, &missing, delimiter));
        };
        let known = [Some(email), name, organization, locale, package];
        let extra: Vec<usize> = (0..headers.len())
            .filter(|it| !known.contains(&Some(*it)) && !headers[*it].is_empty())
            .collect();
        Ok(Self {
            place: header.place,
            data_start,
            delimiter,
            email,
            name,
            organization,
            locale,
            package,
            extra_columns: extra_names(&headers, &extra)?,
            extra,
            headers,
        })
    }

    /// The header of the address.
    pub fn email_header(&self) -> &str {
        &self.headers[self.email]
    }

    /// The language tag of a row as written; none if the cell is empty.
    pub fn locale_cell<'a>(&self, row: &'a Record) -> Option<&'a str> {
        let cell = row.cells.as_ref().ok()?.get(self.locale?)?.trim();
        (!cell.is_empty()).then_some(cell)
    }

    /// The free texts of a partner, with their headers.
    pub fn texts<'a>(&'a self, partner: &'a Partner) -> impl Iterator<Item = (&'a str, &'a str)> {
        let known = [
            (self.name, &partner.name),
            (self.organization, &partner.organization),
        ];
        let known = known
            .into_iter()
            .filter_map(|(column, text)| Some((column?, text.as_deref()?)));
        let extra = self.extra.iter().copied();
        known
            .chain(extra.zip(partner.extra.iter().map(String::as_str)))
            .map(|(column, text)| (self.headers[column].as_str(), text))
    }

    /// What a row of this list looks like.
    pub fn shape(&self) -> Shape {
        Shape {
            delimiter: self.delimiter,
            columns: self.headers.len(),
            email: self.email,
        }
    }
}

/// The names of the other columns in templates: `project_lead` for `Project-Lead`.
fn extra_names(headers: &[String], extra: &[usize]) -> Result<Arc<[String]>, String> {
    let mut names: Vec<String> = Vec::new();
    for column in extra {
        let name: String = headers[*column]
            .to_lowercase()
            .chars()
            .map(|it| if it.is_alphanumeric() { it } else { '_' })
            .collect();
        if names.contains(&name) {
            return Err(format!(
                "two columns would both be `partner.extra.{name}` in templates; rename one of them"
            ));
        }
        names.push(name);
    }
    Ok(names.into())
}

/// The index of a column; a required one that the file lacks is added to `missing`.
fn find<'a>(
    column: &'a Column,
    headers: &[String],
    columns: &Columns,
    missing: &mut Vec<&'a Column>,
) -> Result<Option<usize>, String> {
    if columns.is_taken(column) {
        return Ok(None);
    }
    let mut found = (0..headers.len()).filter(|it| column.matches(&headers[*it]));
    let first = found.next();
    if found.next().is_some() {
        return Err(format!(
            "two columns have the header `{}`; rename or remove one",
            column.header
        ));
    }
    if first.is_none() && (column.configured || column.key == "email") {
        missing.push(column);
    }
    Ok(first)
}

/// Says which columns are missing, which headers the file has, and what the mistake may be.
fn missing_columns(
    headers: &[String],
    columns: &Columns,
    missing: &[&Column],
    delimiter: u8,
) -> String {
    let free: Vec<&str> = headers
        .iter()
        .map(String::as_str)
        .filter(|it| !columns.all().iter().any(|column| column.matches(it)))
        .collect();
    let mut sentences: Vec<String> = missing.iter().map(|it| lacks(it, &free)).collect();
    sentences[0] = sentences[0].replacen("There", "there", 1);
    let sentences = sentences.join(" ");
    let other = [',', ';', '\t', '|'].into_iter().find(|it| {
        *it != char::from(delimiter) && headers.iter().any(|header| header.contains(*it))
    });
    let fix = match other {
        Some('|') => "the cells seem to be separated by \"|\": write `sep=|` on a line of its own above the header".into(),
        Some(other) => format!(
            "the cells seem to be separated by \"{}\": set `partners.delimiter`",
            other.escape_debug()
        ),
        None if headers.iter().any(|it| it.contains('@')) => {
            "the first line must name the columns".into()
        }
        None if !missing.iter().any(|it| it.configured) => {
            "add it to the first line, or set `partners.columns = { email = \"…\" }`".into()
        }
        None => "correct `partners.columns` or the header".to_owned(),
    };
    format!("{sentences} The file has {}; {fix}", listed(headers))
}

/// A sentence about a missing column; `free` are the headers of no known column.
fn lacks(column: &Column, free: &[&str]) -> String {
    let Column {
        key,
        header,
        configured,
    } = column;
    let shown = header.escape_debug();
    if !configured {
        return format!("There is no column `{shown}`.");
    }
    let named = format!("There is no column `{shown}`, which `partners.columns.{key}` names");
    match nearest(header, free) {
        Some(nearest) => format!("{named}; did you mean `{}`?", excerpt(nearest)),
        None => format!("{named}."),
    }
}

/// The header that is spelt most like `wanted`, unless all are quite different.
fn nearest<'a>(wanted: &str, headers: &[&'a str]) -> Option<&'a str> {
    let wanted = wanted.to_lowercase();
    let length = wanted.chars().count();
    headers
        .iter()
        .filter_map(|it| {
            let header = it.to_lowercase();
            let longest = length.max(header.chars().count());
            // The distance takes time and memory by the product of the two lengths.
            if longest > COMPARED {
                return None;
            }
            let distance = strsim::damerau_levenshtein(&wanted, &header);
            (distance <= longest / 2).then_some((distance, *it))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, it)| it)
}

/// The headers of the file, or the first of them and how many more there are.
fn listed(headers: &[String]) -> String {
    let named = headers.iter().filter(|it| !it.is_empty());
    let total = named.clone().count();
    let shown: Vec<_> = named
        .take(HEADERS_SHOWN)
        .map(|it| format!("`{}`", excerpt(it)))
        .collect();
    match total {
        0 => "no column with a name".into(),
        _ if total > shown.len() => {
            format!("{} and {} more", shown.join(", "), total - shown.len())
        }
        _ => shown.join(", "),
    }
}

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
use crate::config::{Column, Columns, Field, first_of, nearest};

/// How many headers of the file an error lists.
const HEADERS_SHOWN: usize = 50;

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
    /// The index of each known column.
    known: [Option<usize>; 5],
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
        let mut known = [None; 5];
        for column in &names.0 {
            known[column.field as usize] = find(column, &headers, names, &mut missing)?;
        }
        if !missing.is_empty() {
            return Err(missing_columns(&headers, names, &missing, delimiter));
        }
        let extra: Vec<usize> = (0..headers.len())
            .filter(|it| !known.contains(&Some(*it)) && !headers[*it].is_empty())
            .collect();
        Ok(Self {
            place: header.place,
            data_start,
            delimiter,
            known,
            extra_columns: extra_names(&headers, &extra)?,
            extra,
            headers,
        })
    }

    /// The index of a known column, if the file has it.
    pub fn column(&self, field: Field) -> Option<usize> {
        self.known[field as usize]
    }

    /// The index of the address, which every file has.
    fn email(&self) -> usize {
        self.column(Field::Email).unwrap_or(0)
    }

    /// The header of the address.
    pub fn email_header(&self) -> &str {
        &self.headers[self.email()]
    }

    /// The language tag of a row as written; none if the cell is empty.
    pub fn locale_cell<'a>(&self, row: &'a Record) -> Option<&'a str> {
        let cell = row
            .cells
            .as_ref()
            .ok()?
            .get(self.column(Field::Locale)?)?
            .trim();
        (!cell.is_empty()).then_some(cell)
    }

    /// The free texts of a partner, with their headers.
    pub fn texts<'a>(&'a self, partner: &'a Partner) -> impl Iterator<Item = (&'a str, &'a str)> {
        let known = [
            (Field::Name, &partner.name),
            (Field::Organization, &partner.organization),
        ];
        let known = known
            .into_iter()
            .filter_map(|(field, text)| Some((self.column(field)?, text.as_deref()?)));
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
            email: self.email(),
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
    if first.is_none() && (column.configured || column.field == Field::Email) {
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
        .filter(|it| !columns.0.iter().any(|column| column.matches(it)))
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
    let shown = column.header.escape_debug();
    if !column.configured {
        return format!("There is no column `{shown}`.");
    }
    let named = format!(
        "There is no column `{shown}`, which `partners.columns.{}` names",
        column.key
    );
    match nearest(&column.header, free.iter().copied()) {
        Some(nearest) => format!("{named}; did you mean `{}`?", excerpt(nearest)),
        None => format!("{named}."),
    }
}

/// The headers of the file for a message.
fn listed(headers: &[String]) -> String {
    let named = headers.iter().filter(|it| !it.is_empty());
    let named: Vec<_> = named.map(|it| format!("`{}`", excerpt(it))).collect();
    if named.is_empty() {
        return "no column with a name".into();
    }
    first_of(named.into_iter(), HEADERS_SHOWN)
}

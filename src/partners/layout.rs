//! The header of the list: which column is which.

use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::error::ListError;
use super::finding::excerpt;
use super::formula::is_guarded_in_results;
use super::header_match::{HeaderError, places};
use super::invisible::trim_invisible;
use super::known_headers::{Recognized, is_version_line, recognize};
use super::partner::Partner;
use super::patterns::CellSource;
use super::quoting::REMEDY;
use super::records::{CsvRecord, Records};
use super::swallowed::{self, Shape};
use crate::config::{Column, Columns, Field, first_of, nearest};

/// How many headers of the file an error lists.
const HEADERS_SHOWN: usize = 50;
/// The first of the columns that this program adds to a list when it writes the results.
const OUTCOME_COLUMN: &str = "invitation_state";

/// The header: its columns and its position.
#[derive(Debug)]
pub struct Layout {
    /// The place of the header in the copy.
    pub place: Range<u64>,
    /// The line and the offset of the first row.
    pub data_start: (u64, u64),
    /// The byte between cells.
    pub delimiter: u8,
    /// The names of all columns, trimmed.
    pub headers: Vec<String>,
    /// The source of the value of each known column, by [`Field`].
    sources: Sources,
    /// The header or pattern of each source, else the key of the field.
    names: [String; Field::ALL.len()],
    /// All other columns with a name.
    pub extra: Vec<usize>,
    /// Their names in templates.
    pub extra_columns: Arc<[String]>,
    /// For each column, whether it is the source of a known field.
    pub is_known: Vec<bool>,
    /// Whether the list has outcome columns of an earlier run, so that apostrophes guard its cells.
    pub is_results: bool,
    /// Warnings.
    pub warnings: Vec<String>,
}

/// The source of the value of each known column, by [`Field`].
type Sources = [Option<CellSource>; Field::ALL.len()];

impl Layout {
    /// Reads the header. Empty lines above it and a line with the version of a template are skipped.
    ///
    /// # Errors
    /// If it is malformed or lacks a column; `path` is the file for the message.
    pub fn read<R: Read>(
        records: &mut Records<R>,
        columns: &Columns,
        delimiter: u8,
        path: &Path,
    ) -> Result<Self, ListError> {
        let path = path.display();
        let header = loop {
            let Some(record) = records.next_record()? else {
                return Err(ListError::NotAList(format!(
                    "{path}: the file is empty; its first line must name the columns, at least `email`"
                )));
            };
            let cells = record.cells.as_deref();
            let is_above =
                |it: &[String]| is_version_line(it) || it.iter().all(|it| it.trim().is_empty());
            if !cells.is_ok_and(is_above) {
                break record;
            }
        };
        let line = header.line;
        let data_start = records.position()?;
        Self::of(header, columns, delimiter, data_start)
            .map_err(|reason| ListError::NotAList(format!("{path}:{line}: {reason}")))
    }

    fn of(
        header: CsvRecord,
        columns: &Columns,
        delimiter: u8,
        data_start: (u64, u64),
    ) -> Result<Self, String> {
        let cells = header.cells.map_err(|fault| fault.to_string())?;
        if let Some(record) = &header.multi_line
            && let Some(address) = swallowed::address_in_header(record, delimiter)
        {
            return Err(format!(
                "the header extends to line {} and contains an address, `{}`; {REMEDY}",
                header.last_line,
                excerpt(address)
            ));
        }
        let mut warnings = Vec::new();
        let headers = cells.iter().map(|it| {
            let (header, had_invisible) = trim_invisible(it);
            if had_invisible {
                warnings.push(format!(
                    "the header `{}` has invisible characters at its ends, which are ignored; remove them",
                    excerpt(header)
                ));
            }
            header.to_owned()
        });
        let headers: Vec<String> = headers.collect();
        let sources = find(columns, &headers, delimiter, &mut warnings)?;
        let own = own_columns(columns, &headers, &sources);
        let extra: Vec<usize> = (0..headers.len())
            .filter(|it| !own.contains(it) && !headers[*it].is_empty())
            .collect();
        let known = |column| {
            let mut sources = sources.iter().flatten();
            sources.any(|it| it.columns().any(|it| it == column))
        };
        let is_known = (0..headers.len()).map(known).collect();
        let names = Field::ALL.map(|it| match &sources[it as usize] {
            Some(source) => source.describe(&headers),
            None => it.key().to_owned(),
        });
        Ok(Self {
            place: header.place,
            data_start,
            delimiter,
            extra_columns: extra_names(&headers, &extra)?,
            extra,
            is_known,
            is_results: headers.iter().any(|it| it == OUTCOME_COLUMN),
            sources,
            names,
            warnings,
            headers,
        })
    }

    /// The source of the value of a field, if the file has it.
    pub fn source(&self, field: Field) -> Option<&CellSource> {
        self.sources[field as usize].as_ref()
    }

    /// The header or pattern of a field, else its key.
    pub fn name(&self, field: Field) -> &str {
        &self.names[field as usize]
    }

    /// The cells of a row, without an apostrophe before what a spreadsheet could take for a formula if the
    /// list is the results of an earlier run.
    pub fn unguarded<'a>(&self, cells: &'a [String]) -> Cow<'a, [String]> {
        if !self.is_results {
            return Cow::Borrowed(cells);
        }
        let unguarded = |it: &String| match it.strip_prefix('\'') {
            Some(cell) if is_guarded_in_results(cell) => cell.to_owned(),
            _ => it.clone(),
        };
        Cow::Owned(cells.iter().map(unguarded).collect())
    }

    /// The language of a row as written; none if the cell is empty.
    pub fn locale_cell(&self, row: &CsvRecord) -> Option<String> {
        let cells = self.unguarded(row.cells.as_ref().ok()?);
        let cell = self.source(Field::Locale)?.value(&cells);
        let cell = trim_invisible(&cell).0;
        (!cell.is_empty()).then(|| cell.to_owned())
    }

    /// The free texts of a partner, each once with its header; first those of known fields.
    pub fn texts<'a>(
        &'a self,
        partner: &'a Partner,
    ) -> impl Iterator<Item = (Option<Field>, &'a str, &'a str)> {
        let known = [
            (Field::Name, &partner.name),
            (Field::Organization, &partner.organization),
            (Field::InviterName, &partner.inviter_name),
            (Field::Note, &partner.note),
        ];
        let known = known
            .into_iter()
            .filter_map(|(field, text)| Some((Some(field), self.name(field), text.as_deref()?)));
        let extra = self.extra.iter().zip(&partner.extra);
        let extra = extra.filter(|(column, _)| !self.is_known[**column]);
        known.chain(
            extra.map(|(column, text)| (None, self.headers[*column].as_str(), text.as_str())),
        )
    }

    /// What was taken for what: `email` from `E-mail Address`.
    pub fn describe(&self) -> String {
        let is_taken = |field: &Field| self.source(*field).is_some();
        let (taken, missing): (Vec<Field>, Vec<Field>) = Field::ALL.into_iter().partition(is_taken);
        let taken = taken.into_iter().map(|field| {
            let name = excerpt(self.name(field));
            format!("{} from `{name}`", field.key())
        });
        let taken: Vec<String> = taken.collect();
        // Few lists name inviters, so their absence says nothing.
        let usual = missing.into_iter().filter(|it| !it.is_also_extra());
        let missing: Vec<&str> = usual.map(Field::key).collect();
        let missing = match missing.as_slice() {
            [] => String::new(),
            missing => format!("; no {}", missing.join(", ")),
        };
        format!("{}{missing}", taken.join(", "))
    }

    /// What a row of this list looks like.
    pub fn shape(&self) -> Shape {
        Shape {
            delimiter: self.delimiter,
            columns: self.headers.len(),
            email: self
                .source(Field::Email)
                .and_then(|it| it.columns().next())
                .unwrap_or(0),
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

/// Finds the known columns: as configured, else by the key, else by a header that is known for it. Adds a
/// warning for a field that several columns could be.
fn find(
    columns: &Columns,
    headers: &[String],
    delimiter: u8,
    warnings: &mut Vec<String>,
) -> Result<Sources, String> {
    let mut sources: Sources = [const { None }; Field::ALL.len()];
    let mut missing = Vec::new();
    let mut free = headers.to_vec();
    for column in &columns.0 {
        let Some(pattern) = &column.pattern else {
            continue;
        };
        match CellSource::resolve(pattern, headers) {
            Ok(source) => {
                if let Some(own) = source.only_column() {
                    free[own].clear();
                }
                sources[column.field as usize] = Some(source);
            }
            Err(HeaderError::Unknown(wanted)) => missing.push((column, wanted)),
            Err(HeaderError::Ambiguous(wanted)) => return Err(two_columns(&wanted)),
        }
    }
    for column in columns.0.iter().filter(|it| it.pattern.is_none()) {
        let key = column.field.key();
        match by_default(column.field, &free)? {
            Recognized::Source(source) => sources[column.field as usize] = Some(source),
            Recognized::Missing if column.field == Field::Email => {
                missing.push((column, key.to_owned()));
            }
            Recognized::Missing => {}
            Recognized::Ambiguous(places) => {
                let several = places
                    .iter()
                    .map(|it| format!("`{}`", excerpt(&headers[*it])));
                let several = first_of(several, HEADERS_SHOWN);
                let message = format!(
                    "several columns could be `{key}` ({several}); set `partners.columns.{key}` to one of them"
                );
                if column.field == Field::Email {
                    return Err(message);
                }
                warnings.push(format!("none is read, because {message}"));
            }
        }
    }
    if missing.is_empty() {
        return Ok(sources);
    }
    missing.sort_by_key(|(it, _)| it.field as usize);
    let own = own_columns(columns, headers, &sources);
    Err(missing_columns(headers, &own, &missing, delimiter))
}

/// The columns that belong to one field only and are no extra columns: those that are configured or have
/// the key as their header.
fn own_columns(columns: &Columns, headers: &[String], sources: &Sources) -> Vec<usize> {
    let own = |column: &Column| {
        let place = sources[column.field as usize].as_ref()?.only_column()?;
        let is_key = headers[place].to_lowercase() == column.field.key();
        let is_own = column.pattern.is_some() || (is_key && !column.field.is_also_extra());
        is_own.then_some(place)
    };
    columns.0.iter().filter_map(own).collect()
}

/// The source of a field that is not configured. A column with exactly its key is preferred to a known
/// header, and that to the key in another case.
fn by_default(field: Field, headers: &[String]) -> Result<Recognized, String> {
    let key = field.key();
    let keys = places(headers, |it| it.to_lowercase() == key);
    let place = match keys.as_slice() {
        [] => return Ok(recognize(headers, field)),
        [place] => *place,
        _ => return Err(two_columns(key)),
    };
    Ok(match recognize(headers, field) {
        Recognized::Source(source) if headers[place] != key => Recognized::Source(source),
        _ => Recognized::Source(CellSource::column(place)),
    })
}

fn two_columns(header: &str) -> String {
    format!("two columns have the header `{header}`; rename or remove one")
}

/// Says which columns are missing, which headers the file has, and what the mistake may be. `own` are the
/// columns that were found.
fn missing_columns(
    headers: &[String],
    own: &[usize],
    missing: &[(&Column, String)],
    delimiter: u8,
) -> String {
    let free = (0..headers.len()).filter(|it| !own.contains(it));
    let free: Vec<&str> = free.map(|it| headers[it].as_str()).collect();
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
        None if !missing.iter().any(|(it, _)| it.pattern.is_some()) => {
            "add it to the first line, or set `partners.columns = { email = \"…\" }`".into()
        }
        None => "correct `partners.columns` or the header".to_owned(),
    };
    format!("{sentences} The file has {}; {fix}", listed(headers))
}

/// A sentence about a missing column; `free` are the headers of no known column.
fn lacks((column, wanted): &(&Column, String), free: &[&str]) -> String {
    let shown = wanted.escape_debug();
    if column.pattern.is_none() {
        return format!("There is no column `{shown}`.");
    }
    let named = format!(
        "There is no column `{shown}`, which `partners.columns.{}` names",
        column.field.key()
    );
    match nearest(wanted, free.iter().copied()) {
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

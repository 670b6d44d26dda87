//! The header of the list: which column is which.

use std::ops::Range;
use std::sync::Arc;

use super::finding::excerpt;
use super::partner::Partner;
use super::quoting::REMEDY;
use super::rows::{Row, Rows};
use super::swallowed::{self, Shape};
use crate::config::{Column, Columns};

/// How many headers of the file an error lists.
const HEADERS_SHOWN: usize = 50;
/// The longest header that is compared with a missing one, in characters.
const COMPARED: usize = 256;

/// Which column is which.
#[derive(Debug)]
pub struct Layout {
    delimiter: u8,
    place: Range<u64>,
    data_start: (u64, u64),
    headers: Vec<String>,
    pub(super) email: usize,
    pub(super) name: Option<usize>,
    pub(super) organization: Option<usize>,
    pub(super) locale: Option<usize>,
    pub(super) package: Option<usize>,
    pub(super) extra: Vec<usize>,
    extra_columns: Arc<[String]>,
}

impl Layout {
    /// Reads the header line; what is wrong with it is told from behind the file's name on.
    pub fn read<R: std::io::Read>(
        rows: &mut Rows<R>,
        names: &Columns,
        delimiter: u8,
    ) -> Result<Self, String> {
        let header = rows.next_row().map_err(|error| format!(": {error}"))?;
        let Some(header) = header else {
            return Err(
                ": the file is empty; its first line must name the columns, at least `email`"
                    .into(),
            );
        };
        let line = header.line;
        let headers: Vec<String> = header
            .cells
            .map_err(|reason| format!(":{line}: {reason}"))?
            .iter()
            .map(|it| it.trim().to_owned())
            .collect();
        if let Some(record) = &header.multi_line
            && let Some(address) = swallowed::address_in_header(record, delimiter)
        {
            return Err(format!(
                ":{line}: the header runs to line {} and contains an address, `{}`; {REMEDY}",
                header.last_line,
                excerpt(address)
            ));
        }
        let mut missing = Vec::new();
        let mut find = |column| find(column, &headers, line, names, &mut missing);
        let email = find(&names.email)?;
        let name = find(&names.name)?;
        let organization = find(&names.organization)?;
        let locale = find(&names.locale)?;
        let package = find(&names.package)?;
        let (Some(email), true) = (email, missing.is_empty()) else {
            return Err(missing_columns(
                &headers,
                names,
                &missing,
                (line, delimiter),
            ));
        };
        let known = [Some(email), name, organization, locale, package];
        let extra: Vec<usize> = (0..headers.len())
            .filter(|place| !known.contains(&Some(*place)) && !headers[*place].is_empty())
            .collect();
        let extra_columns = extra_names(&headers, &extra, line)?;
        let data_start = rows.place().map_err(|error| format!(": {error}"))?;
        Ok(Self {
            delimiter,
            place: header.place,
            data_start,
            headers,
            email,
            name,
            organization,
            locale,
            package,
            extra,
            extra_columns,
        })
    }

    pub fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// Where the header stands.
    pub fn place(&self) -> Range<u64> {
        self.place.clone()
    }

    /// The names of all columns, as they stand.
    pub fn headers(&self) -> &[String] {
        &self.headers
    }

    /// The number and the offset of the line below the header.
    pub fn data_start(&self) -> (u64, u64) {
        self.data_start
    }

    pub fn email_header(&self) -> &str {
        &self.headers[self.email]
    }

    pub fn extra_columns(&self) -> &Arc<[String]> {
        &self.extra_columns
    }

    /// What stands in the column of the wanted language; none where nothing does.
    pub fn locale_cell<'a>(&self, row: &'a Row) -> Option<&'a str> {
        let cell = row.cells.as_ref().ok()?.get(self.locale?)?.trim();
        (!cell.is_empty()).then_some(cell)
    }

    /// The texts of a partner that people wrote for people, with their headers.
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

/// The names under which templates reach the other columns: `project_lead` for `Project-Lead`.
fn extra_names(headers: &[String], extra: &[usize], line: u64) -> Result<Arc<[String]>, String> {
    let mut names: Vec<String> = Vec::new();
    for place in extra {
        let name: String = headers[*place]
            .to_lowercase()
            .chars()
            .map(|it| if it.is_alphanumeric() { it } else { '_' })
            .collect();
        if names.contains(&name) {
            return Err(format!(
                ":{line}: two columns would both be `partner.extra.{name}`; rename one of them"
            ));
        }
        names.push(name);
    }
    Ok(names.into())
}

/// The place of a column; one that the file lacks, although it must be there, becomes `missing`.
fn find<'a>(
    column: &'a Column,
    headers: &[String],
    line: u64,
    columns: &Columns,
    missing: &mut Vec<&'a Column>,
) -> Result<Option<usize>, String> {
    if columns.is_taken(column) {
        return Ok(None);
    }
    let mut places = (0..headers.len()).filter(|it| column.matches(&headers[*it]));
    let first = places.next();
    if places.next().is_some() {
        return Err(format!(
            ":{line}: the column `{}` stands there twice; rename or remove one",
            column.header
        ));
    }
    if first.is_none() && (column.configured || column.key == "email") {
        missing.push(column);
    }
    Ok(first)
}

/// Says which columns are missing, what stands there instead, and what may have gone wrong.
fn missing_columns(
    headers: &[String],
    columns: &Columns,
    missing: &[&Column],
    (line, delimiter): (u64, u8),
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
        u32::from(*it) != u32::from(delimiter) && headers.iter().any(|header| header.contains(*it))
    });
    let default = |it: &&Column| !it.configured;
    let remedy = match other {
        Some('|') => "the cells seem to be divided by \"|\": write `sep=|` on a line of its own above the header".into(),
        Some(other) => format!(
            "the cells seem to be divided by \"{}\": set `partners.delimiter`",
            other.escape_debug()
        ),
        None if headers.iter().any(|it| it.contains('@')) => {
            "the first line must name the columns".into()
        }
        None if missing.iter().all(default) => {
            "name it in the first line, or set `partners.columns = { email = \"…\" }`".into()
        }
        None => "correct `partners.columns` or the header".to_owned(),
    };
    format!(
        ":{line}: {sentences} The file has {}; {remedy}",
        listed(headers)
    )
}

/// A sentence about one missing column; `free` are the headers that belong to no known column.
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

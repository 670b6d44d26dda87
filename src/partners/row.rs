//! One row becomes one partner, or every reason why it cannot.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::quoting::REMEDY;
use super::rows::{Row, Rows};
use super::swallowed::{self, Shape};
use super::{Finding, Partner};
use crate::address::Address;
use crate::config::{Column, Columns, Config, MissingLocale, Package, keys_of};
use crate::locale::Locale;

/// The longest cell, in bytes.
const CELL_LIMIT: usize = 8 * 1024;
/// The longest name of a person or an organisation, in characters.
const NAME_LIMIT: usize = 256;
/// How much of a bad value is shown.
const SHOWN: usize = 60;
/// How many headers of the file an error lists.
const HEADERS_SHOWN: usize = 50;

/// Which column is which.
#[derive(Debug)]
pub struct Layout {
    delimiter: u8,
    place: Range<u64>,
    data_start: (u64, u64),
    headers: Vec<String>,
    email: usize,
    name: Option<usize>,
    organization: Option<usize>,
    locale: Option<usize>,
    package: Option<usize>,
    extra: Vec<usize>,
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

    fn shape(&self) -> Shape {
        Shape {
            delimiter: self.delimiter,
            columns: self.headers.len(),
            email: self.email,
        }
    }

    /// The partner of a row; `None` where all its cells are empty.
    pub fn partner(
        &self,
        row: &Row,
        rules: &Rules,
        locales: &mut HashMap<String, Option<Locale>>,
    ) -> Result<Option<Partner>, Vec<Finding>> {
        let whole = |reason: String| Finding {
            line: row.line,
            last_line: row.last_line,
            column: None,
            value: None,
            reason,
        };
        let cells = match &row.cells {
            Ok(cells) => cells,
            Err(reason) => return Err(vec![whole(reason.to_string())]),
        };
        if let Some(record) = &row.multi_line
            && let Some(swallowed) = swallowed::find(record, row.line, self.shape())
        {
            return Err(vec![whole(swallowed.to_string())]);
        }
        if cells.iter().all(|it| it.trim().is_empty()) {
            return Ok(None);
        }
        if cells.len() > self.headers.len() {
            let (have, want) = (cells.len(), self.headers.len());
            return Err(vec![whole(format!(
                "the row has {have} cells, the header {want}; quote a cell that holds the delimiter"
            ))]);
        }
        let mut judge = Judge {
            layout: self,
            line: row.line,
            offset: row.place.start,
            last_line: row.last_line,
            cells,
            faults: Vec::new(),
        };
        let partner = judge.partner(rules, locales);
        match partner {
            Some(partner) if judge.faults.is_empty() => Ok(Some(partner)),
            _ => Err(judge.faults),
        }
    }
}

/// What a row is judged by, beside the layout.
#[derive(Debug)]
pub struct Rules {
    packages: Vec<Arc<Package>>,
    /// The locales of the templates, where one without a template makes a row bad.
    required: Option<Vec<Locale>>,
}

impl Rules {
    pub fn new(config: &Config, templates: &[Locale]) -> Self {
        let strict = config.templates.missing_locale == MissingLocale::Refuse;
        Self {
            packages: config.packages.clone(),
            required: strict.then(|| templates.to_vec()),
        }
    }

    /// The same rules for rows in any language.
    pub fn without_locales(&self) -> Self {
        Self {
            packages: self.packages.clone(),
            required: None,
        }
    }

    /// Whether this locale makes a row bad.
    pub fn refuses(&self, locale: Option<&Locale>) -> bool {
        match (&self.required, locale) {
            (Some(templates), Some(locale)) => locale.nearest(templates).is_none(),
            _ => false,
        }
    }
}

/// One row under judgement; collects all that is wrong with it.
struct Judge<'a> {
    layout: &'a Layout,
    line: u64,
    offset: u64,
    last_line: u64,
    cells: &'a [String],
    faults: Vec<Finding>,
}

impl Judge<'_> {
    fn partner(
        &mut self,
        rules: &Rules,
        locales: &mut HashMap<String, Option<Locale>>,
    ) -> Option<Partner> {
        let layout = self.layout;
        let email = self.known(Some(layout.email), true);
        let name = self.known(layout.name, false);
        let organization = self.known(layout.organization, false);
        let tag = self.known(layout.locale, true);
        let key = self.known(layout.package, true);
        let extra = layout.extra.iter().map(|it| self.extra(*it)).collect();
        for (column, value) in [(layout.name, &name), (layout.organization, &organization)] {
            if let (Some(column), Some(value)) = (column, value)
                && value.chars().count() > NAME_LIMIT
            {
                self.fault(column, format!("it has more than {NAME_LIMIT} characters"));
            }
        }
        let locale = tag.and_then(|tag| self.locale(&tag, rules, locales));
        let package = self.package(key.as_deref(), rules);
        let address = Address::parse(email.as_deref().unwrap_or_default())
            .map_err(|error| self.fault(layout.email, error.to_string()))
            .ok();
        Some(Partner {
            line: self.line,
            offset: self.offset,
            address: address?,
            name,
            organization,
            locale,
            package: package?,
            extra_columns: layout.extra_columns.clone(),
            extra,
        })
    }

    /// A trimmed cell of a known column, `None` where it is empty.
    fn known(&mut self, column: Option<usize>, strict: bool) -> Option<String> {
        let column = column?;
        let cell = self.cells.get(column)?.trim();
        self.check(column, cell, |it| {
            is_control(it) || (strict && is_zero_width(it))
        });
        (!cell.is_empty()).then(|| cell.to_owned())
    }

    /// A trimmed cell of another column, its line breaks as LF.
    fn extra(&mut self, column: usize) -> String {
        let Some(cell) = self.cells.get(column) else {
            return String::new();
        };
        let cell = cell.trim().replace("\r\n", "\n").replace('\r', "\n");
        self.check(column, &cell, |it| {
            is_control(it) && !matches!(it, '\n' | '\t')
        });
        cell
    }

    fn check(&mut self, column: usize, cell: &str, forbidden: impl Fn(char) -> bool) {
        if cell.len() > CELL_LIMIT {
            self.fault(column, "it is longer than 8 KiB".into());
        } else if let Some(found) = cell.chars().find(|it| forbidden(*it) || is_bidi(*it)) {
            let kind = match found {
                '\n' | '\r' => "a line break",
                it if is_bidi(it) => "an invisible character that turns the direction of text",
                it if is_zero_width(it) => "an invisible zero-width character",
                _ => "a control character",
            };
            self.fault(
                column,
                format!("it has {kind} (U+{:04X})", u32::from(found)),
            );
        }
    }

    /// The locale of a cell, remembered because a file has few of them.
    fn locale(
        &mut self,
        tag: &str,
        rules: &Rules,
        locales: &mut HashMap<String, Option<Locale>>,
    ) -> Option<Locale> {
        let column = self.layout.locale?;
        let parsed = if let Some(known) = locales.get(tag) {
            known.clone()
        } else {
            let parsed = Locale::parse(tag).ok();
            if locales.len() < 1_000 {
                locales.insert(tag.to_owned(), parsed.clone());
            }
            parsed
        };
        let Some(locale) = parsed else {
            self.fault(
                column,
                "it is not a language tag such as `fr`, `pt-BR` or `zh-Hans`".into(),
            );
            return None;
        };
        if rules.refuses(Some(&locale)) {
            self.fault(column, "there is no template for this locale, and `templates.missing_locale` is \"refuse\"".into());
        }
        Some(locale)
    }

    /// The package that a cell names; the only one where it names none.
    fn package(&mut self, key: Option<&str>, rules: &Rules) -> Option<Arc<Package>> {
        let found = match (key, rules.packages.as_slice()) {
            (Some(key), packages) => packages.iter().find(|it| it.key == key),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        if found.is_none() {
            let keys = keys_of(&rules.packages);
            match (key, self.layout.package) {
                (Some(_), Some(column)) => {
                    self.fault(
                        column,
                        format!("no such package is configured (there is: {keys})"),
                    );
                }
                _ => self.faults.push(Finding {
                    line: self.line,
                    last_line: self.last_line,
                    column: Some("package".into()),
                    value: None,
                    reason: format!("it must name one of the packages: {keys}"),
                }),
            }
        }
        found.cloned()
    }

    fn fault(&mut self, column: usize, reason: String) {
        let cell = self.cells.get(column).map_or("", |it| it.trim());
        self.faults.push(Finding {
            line: self.line,
            last_line: self.last_line,
            column: Some(self.layout.headers[column].escape_debug().to_string()),
            value: (!cell.is_empty()).then(|| excerpt(cell)),
            reason,
        });
    }
}

/// The beginning of a cell, with nothing in it that a terminal would obey.
pub fn excerpt(cell: &str) -> String {
    let shown: String = cell.chars().take(SHOWN).collect();
    let cut = if shown.len() < cell.len() { "…" } else { "" };
    format!("{}{cut}", shown.escape_debug())
}

/// C0, C1 and the line and paragraph separators.
fn is_control(it: char) -> bool {
    it.is_control() || matches!(it, '\u{2028}' | '\u{2029}')
}

fn is_bidi(it: char) -> bool {
    matches!(it, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_zero_width(it: char) -> bool {
    matches!(
        it,
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}'
    )
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
            if longest > NAME_LIMIT {
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

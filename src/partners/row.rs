//! One row becomes one partner, or all reasons why it cannot.

use std::collections::HashMap;
use std::sync::Arc;

use super::finding::{RowFinding, excerpt};
use super::layout::Layout;
use super::partner::Partner;
use super::records::Record;
use super::swallowed;
use crate::address::Address;
use crate::config::{Config, Field, MissingLocale, Package, keys_of};
use crate::locale::Locale;

/// The longest cell, in bytes.
const CELL_LIMIT: usize = 8 * 1024;
/// The longest name of a person or an organisation, in characters.
const NAME_LIMIT: usize = 256;
/// How many different language tags are cached.
const CACHED_TAGS: usize = 1_000;

/// The partner of a row; `None` if all its cells are empty. `locales` caches language tags.
pub fn parse(
    layout: &Layout,
    row: &Record,
    rules: &Rules,
    locales: &mut HashMap<String, Option<Locale>>,
) -> Result<Option<Partner>, Vec<RowFinding>> {
    let refused = |reason: String| vec![finding(row, None, "", reason)];
    let cells = row.cells.as_deref();
    let cells = cells.map_err(|fault| refused(fault.to_string()))?;
    if let Some(record) = &row.multi_line
        && let Some(swallowed) = swallowed::find(record, row.line, layout.shape())
    {
        return Err(refused(swallowed));
    }
    if cells.iter().all(|it| it.trim().is_empty()) {
        return Ok(None);
    }
    let columns = layout.headers.len();
    if cells.len() > columns {
        return Err(refused(format!(
            "the row has {} cells, the header {columns}; put a cell that contains the delimiter in quotes",
            cells.len()
        )));
    }
    let mut parser = RowParser {
        layout,
        row,
        cells,
        faults: Vec::new(),
    };
    match parser.partner(rules, locales) {
        Some(partner) if parser.faults.is_empty() => Ok(Some(partner)),
        _ => Err(parser.faults),
    }
}

/// What makes a row good or bad, beside the layout.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The packages that a row may name.
    pub packages: Vec<Arc<Package>>,
    /// The locales of the templates, if a locale without a template makes a row bad.
    pub required: Option<Vec<Locale>>,
}

impl Rules {
    /// The rules of a configuration whose templates have these locales.
    pub fn new(config: &Config, templates: &[Locale]) -> Self {
        let strict = config.templates.missing_locale == MissingLocale::Refuse;
        Self {
            packages: config.packages.clone(),
            required: strict.then(|| templates.to_vec()),
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

/// Parses one row and collects all that is wrong with it.
struct RowParser<'a> {
    layout: &'a Layout,
    row: &'a Record,
    cells: &'a [String],
    faults: Vec<RowFinding>,
}

impl RowParser<'_> {
    fn partner(
        &mut self,
        rules: &Rules,
        locales: &mut HashMap<String, Option<Locale>>,
    ) -> Option<Partner> {
        let layout = self.layout;
        let email = self.known(Field::Email, true);
        let name = self.known(Field::Name, false);
        let organization = self.known(Field::Organization, false);
        let tag = self.known(Field::Locale, true);
        let key = self.known(Field::Package, true);
        let extra = layout.extra.iter().map(|it| self.extra(*it)).collect();
        for (field, value) in [(Field::Name, &name), (Field::Organization, &organization)] {
            if value
                .as_ref()
                .is_some_and(|it| it.chars().count() > NAME_LIMIT)
            {
                self.fault(
                    layout.column(field),
                    format!("it has more than {NAME_LIMIT} characters; shorten it"),
                );
            }
        }
        let locale = tag.and_then(|tag| self.locale(&tag, rules, locales));
        let package = self.package(key.as_deref(), rules);
        let address = Address::parse(email.as_deref().unwrap_or_default())
            .map_err(|error| self.fault(layout.column(Field::Email), error.to_string()))
            .ok();
        Some(Partner {
            line: self.row.line,
            offset: self.row.place.start,
            address: address?,
            name,
            organization,
            locale,
            package: package?,
            extra_columns: layout.extra_columns.clone(),
            extra,
        })
    }

    /// A trimmed cell of a known column, `None` if it is empty.
    fn known(&mut self, field: Field, strict: bool) -> Option<String> {
        let column = self.layout.column(field)?;
        let cell = self.cells.get(column)?.trim();
        self.check(column, cell, |it| {
            is_control(it) || (strict && is_zero_width(it))
        });
        (!cell.is_empty()).then(|| cell.to_owned())
    }

    /// A trimmed cell of another column, with LF for all line breaks.
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
            self.fault(Some(column), "it is longer than 8 KiB; shorten it".into());
        } else if let Some(found) = cell.chars().find(|it| forbidden(*it) || is_bidi(*it)) {
            let kind = match found {
                '\n' | '\r' => "a line break",
                it if is_bidi(it) => "an invisible character that changes the direction of text",
                it if is_zero_width(it) => "an invisible zero-width character",
                _ => "a control character",
            };
            self.fault(
                Some(column),
                format!("it contains {kind} (U+{:04X}); remove it", u32::from(found)),
            );
        }
    }

    /// The locale of a cell.
    fn locale(
        &mut self,
        tag: &str,
        rules: &Rules,
        locales: &mut HashMap<String, Option<Locale>>,
    ) -> Option<Locale> {
        let parsed = locales.get(tag).cloned().unwrap_or_else(|| {
            let parsed = Locale::parse(tag).ok();
            if locales.len() < CACHED_TAGS {
                locales.insert(tag.to_owned(), parsed.clone());
            }
            parsed
        });
        let Some(locale) = parsed else {
            self.fault(
                self.layout.column(Field::Locale),
                "it is not a language tag such as `fr`, `pt-BR` or `zh-Hans`".into(),
            );
            return None;
        };
        if rules.refuses(Some(&locale)) {
            self.fault(self.layout.column(Field::Locale), "it has no template, and `templates.missing_locale` is \"refuse\"; add a template, or set \"default\"".into());
        }
        Some(locale)
    }

    /// The package that a cell names; without a name, the only one.
    fn package(&mut self, key: Option<&str>, rules: &Rules) -> Option<Arc<Package>> {
        let found = match (key, rules.packages.as_slice()) {
            (Some(key), packages) => packages.iter().find(|it| it.key == key),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        if found.is_none() {
            let keys = keys_of(&rules.packages);
            let reason = match key {
                Some(_) => format!("no such package is configured (configured: {keys})"),
                None => format!("it must name one of the configured packages: {keys}"),
            };
            self.fault(self.layout.column(Field::Package), reason);
        }
        found.cloned()
    }

    /// Adds a fault of a cell. Of the known columns, only that of the package may be missing.
    fn fault(&mut self, column: Option<usize>, reason: String) {
        let header = column.map_or("package", |it| &self.layout.headers[it]);
        let header = header.escape_debug().to_string();
        let cell = column.and_then(|it| self.cells.get(it));
        let cell = cell.map_or("", |it| it.trim());
        let finding = finding(self.row, Some(header), cell, reason);
        self.faults.push(finding);
    }
}

/// A finding about a row, or about a cell of it.
fn finding(row: &Record, column: Option<String>, cell: &str, reason: String) -> RowFinding {
    RowFinding {
        line: row.line,
        last_line: row.last_line,
        column,
        value: (!cell.is_empty()).then(|| excerpt(cell)),
        reason,
    }
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

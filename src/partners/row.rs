//! One row becomes one partner, or all reasons why it cannot.

use std::collections::HashMap;
use std::sync::Arc;

use super::address_cell::AddressCell;
use super::finding::{RowFinding, WarningKind, excerpt};
use super::invisible::{is_invisible, trim_invisible};
use super::language_names::{LanguageCell, LanguageError};
use super::layout::Layout;
use super::note;
use super::partner::Partner;
use super::records::CsvRecord;
use super::swallowed;
use crate::address::Address;
use crate::config::{CellValues, Config, Field, MissingLocale, Package, keys_of};
use crate::locale::Locale;

/// The longest cell, in bytes.
const CELL_LIMIT: usize = 8 * 1024;
/// The longest name of a person or an organisation, in characters.
const NAME_LIMIT: usize = 256;
/// How many different language tags are cached.
const CACHED_TAGS: usize = 1_000;

/// What cells of languages mean, so that each is read once.
pub type LanguageCache = HashMap<String, Result<LanguageCell, LanguageError>>;

/// The partner of a row; `None` if all its cells are empty.
pub fn parse(
    layout: &Layout,
    row: &CsvRecord,
    rules: &Rules,
    languages: &mut LanguageCache,
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
    if !has_only_empty_surplus(cells, columns) {
        return Err(refused(format!(
            "the row has {} cells, the header {columns}; put a cell that contains the delimiter in quotes",
            cells.len()
        )));
    }
    let mut parser = RowParser {
        layout,
        row,
        cells: &layout.unguarded(cells),
        faults: Vec::new(),
        doubts: Vec::new(),
    };
    match parser.partner(rules, languages) {
        Some(partner) if parser.faults.is_empty() => Ok(Some(partner)),
        _ => Err(parser.faults),
    }
}

/// Whether all cells beyond the columns of the header are empty.
pub fn has_only_empty_surplus(cells: &[String], columns: usize) -> bool {
    cells.iter().skip(columns).all(|it| it.trim().is_empty())
}

/// What makes a row good or bad, beside the layout.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The packages that a row may name.
    pub packages: Vec<Arc<Package>>,
    /// The locales of the templates, if a locale without a template makes a row bad.
    pub required: Option<Vec<Locale>>,
    /// What cells mean that are neither a language nor the key of a package.
    pub values: CellValues,
    /// Whether a template shows the notes, so that they must be fit for a mail.
    pub shows_notes: bool,
}

impl Rules {
    /// The rules of a configuration whose templates have these locales.
    pub fn new(config: &Config, templates: &[Locale], shows_notes: bool) -> Self {
        let strict = config.templates.missing_locale == MissingLocale::Refuse;
        Self {
            packages: config.packages.clone(),
            required: strict.then(|| templates.to_vec()),
            values: config.partners.values.clone(),
            shows_notes,
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
    row: &'a CsvRecord,
    cells: &'a [String],
    faults: Vec<RowFinding>,
    doubts: Vec<(WarningKind, RowFinding)>,
}

impl RowParser<'_> {
    fn partner(&mut self, rules: &Rules, languages: &mut LanguageCache) -> Option<Partner> {
        let layout = self.layout;
        let email = self.known(Field::Email, true).unwrap_or_default();
        let mut name = self.known(Field::Name, false);
        let organization = self.known(Field::Organization, false);
        let language = self.known(Field::Locale, true);
        let key = self.known(Field::Package, true);
        let extra = layout.extra.iter().map(|it| self.extra(*it)).collect();
        let address = AddressCell::read(&email)
            .map_err(|error| self.fault(Field::Email, &email, error.to_string()))
            .ok();
        let address = address.map(|it| {
            name = name.take().or(it.name);
            it.address
        });
        let (inviter_name, inviter_email) = self.inviter();
        for (field, value) in [
            (Field::Name, &name),
            (Field::Organization, &organization),
            (Field::InviterName, &inviter_name),
        ] {
            if let Some(value) = value
                && value.chars().count() > NAME_LIMIT
            {
                let reason = format!("it has more than {NAME_LIMIT} characters; shorten it");
                self.fault(field, value, reason);
            }
        }
        let locale = language.and_then(|cell| self.locale(&cell, rules, languages));
        let package = self.package(key.as_deref(), rules);
        Some(Partner {
            line: self.row.line,
            offset: self.row.place.start,
            address: address?,
            name,
            organization,
            locale,
            package: package?,
            inviter_name,
            inviter_email,
            note: self.note(rules.shows_notes),
            extra_columns: layout.extra_columns.clone(),
            extra,
            doubts: std::mem::take(&mut self.doubts),
        })
    }

    /// The trimmed value of a known column, `None` if it is empty.
    fn known(&mut self, field: Field, strict: bool) -> Option<String> {
        let (layout, cells) = (self.layout, self.cells);
        let value = layout.source(field)?.value(cells);
        let (text, had_invisible) = trim_invisible(&value);
        if had_invisible {
            let reason = "invisible characters at its ends are left out; remove them".to_owned();
            self.doubt(WarningKind::Invisible, field, text, reason);
        }
        let forbidden = |it| is_control(it) || (strict && is_invisible(it));
        if let Some(reason) = fault_of_cell(text, forbidden) {
            self.fault(field, text, reason);
        }
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The name and the address of who invites.
    fn inviter(&mut self) -> (Option<String>, Option<Address>) {
        let name = self.known(Field::InviterName, false);
        if let Some(name) = &name
            && let Some(link) = note::link_in(name)
        {
            let reason = format!("it contains a link, `{}`; remove it", link.escape_debug());
            self.fault(Field::InviterName, name, reason);
        }
        let Some(email) = self.known(Field::InviterEmail, true) else {
            return (name, None);
        };
        match AddressCell::read(&email) {
            Ok(cell) => (name.or(cell.name), Some(cell.address)),
            Err(error) => {
                self.fault(Field::InviterEmail, &email, error.to_string());
                (name, None)
            }
        }
    }

    /// The note as one paragraph.
    fn note(&mut self, is_shown: bool) -> Option<String> {
        let cell = self.layout.source(Field::Note)?.value(self.cells);
        let text = note::paragraph(&cell);
        let fault = fault_of_cell(&cell, |it| {
            is_control(it) && !matches!(it, '\n' | '\r' | '\t')
        });
        if let Some(reason) = fault.or_else(|| is_shown.then(|| note::fault(&text))?) {
            self.fault(Field::Note, cell.trim(), reason);
        }
        (!text.is_empty()).then_some(text)
    }

    /// A trimmed cell of another column, with LF for all line breaks.
    fn extra(&mut self, column: usize) -> String {
        let Some(cell) = self.cells.get(column) else {
            return String::new();
        };
        let cell = cell.trim().replace("\r\n", "\n").replace('\r', "\n");
        // Known fields are checked by stricter rules.
        if self.layout.is_known[column] {
            return cell;
        }
        let forbidden = |it| is_control(it) && !matches!(it, '\n' | '\t');
        if let Some(reason) = fault_of_cell(&cell, forbidden) {
            let header = &self.layout.headers[column];
            let fault = finding(self.row, Some(header), cell.trim(), reason);
            self.faults.push(fault);
        }
        cell
    }

    /// The locale of a cell.
    fn locale(
        &mut self,
        cell: &str,
        rules: &Rules,
        languages: &mut LanguageCache,
    ) -> Option<Locale> {
        let read = languages.get(cell).cloned().unwrap_or_else(|| {
            let meant = rules.values.locale.get(cell);
            let read = LanguageCell::read(meant.map_or(cell, String::as_str));
            if languages.len() < CACHED_TAGS {
                languages.insert(cell.to_owned(), read.clone());
            }
            read
        });
        let LanguageCell { locale, probably } = read
            .map_err(|error| self.fault(Field::Locale, cell, error.to_string()))
            .ok()?;
        if let Some(probably) = probably {
            let reason = format!("it is read as `{locale}`; did you mean `{probably}`?");
            self.doubt(WarningKind::RareLanguage, Field::Locale, cell, reason);
        }
        if rules.refuses(Some(&locale)) {
            self.fault(Field::Locale, cell, "it has no template, and `templates.missing_locale` is \"refuse\"; add a template, or set \"default\"".into());
        }
        Some(locale)
    }

    /// The package that a cell names; without a name, the only one.
    fn package(&mut self, cell: Option<&str>, rules: &Rules) -> Option<Arc<Package>> {
        let meant = cell.map(|it| rules.values.package.get(it).map_or(it, String::as_str));
        let found = match (meant, rules.packages.as_slice()) {
            (Some(key), packages) => packages.iter().find(|it| it.key == key),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        if found.is_none() {
            let keys = keys_of(&rules.packages);
            let reason = match cell {
                Some(_) => format!(
                    "no such package is configured (configured: {keys}); correct the cell, or map it in `partners.values.package`"
                ),
                None if self.layout.source(Field::Package).is_none() => format!(
                    "the list has no such column; add it, or name the column that says which package in `partners.columns.package` (configured: {keys})"
                ),
                None => format!("it must name one of the configured packages: {keys}"),
            };
            self.fault(Field::Package, cell.unwrap_or_default(), reason);
        }
        found.cloned()
    }

    /// Adds a fault of the value of a known column.
    fn fault(&mut self, field: Field, value: &str, reason: String) {
        let fault = finding(self.row, Some(self.layout.name(field)), value, reason);
        self.faults.push(fault);
    }

    /// Adds a warning about the value of a known column.
    fn doubt(&mut self, kind: WarningKind, field: Field, value: &str, reason: String) {
        let doubt = finding(self.row, Some(self.layout.name(field)), value, reason);
        self.doubts.push((kind, doubt));
    }
}

/// What is wrong with a cell, whatever it means.
fn fault_of_cell(cell: &str, forbidden: impl Fn(char) -> bool) -> Option<String> {
    if cell.len() > CELL_LIMIT {
        return Some("it is longer than 8 KiB; shorten it".into());
    }
    let found = cell.chars().find(|it| forbidden(*it) || is_bidi(*it))?;
    let kind = match found {
        '\n' | '\r' => "a line break",
        it if is_bidi(it) => "an invisible character that changes the direction of text",
        it if is_invisible(it) => "an invisible zero-width character",
        _ => "a control character",
    };
    Some(format!(
        "it contains {kind} (U+{:04X}); remove it",
        u32::from(found)
    ))
}

/// A finding about a row, or about a cell of it.
fn finding(row: &CsvRecord, header: Option<&str>, cell: &str, reason: String) -> RowFinding {
    RowFinding {
        line: row.line,
        last_line: row.last_line,
        column: header.map(|it| it.escape_debug().to_string()),
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

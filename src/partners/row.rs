//! One row becomes one partner, or every reason why it cannot.

use std::collections::HashMap;
use std::sync::Arc;

use super::finding::{RowFinding, excerpt};
use super::layout::Layout;
use super::partner::Partner;
use super::rows::Row;
use super::swallowed;
use crate::address::Address;
use crate::config::{Config, MissingLocale, Package, keys_of};
use crate::locale::Locale;

/// The longest cell, in bytes.
const CELL_LIMIT: usize = 8 * 1024;
/// The longest name of a person or an organisation, in characters.
const NAME_LIMIT: usize = 256;

/// The partner of a row; `None` where all its cells are empty.
pub fn parse(
    layout: &Layout,
    row: &Row,
    rules: &Rules,
    locales: &mut HashMap<String, Option<Locale>>,
) -> Result<Option<Partner>, Vec<RowFinding>> {
    let whole = |reason: String| RowFinding {
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
        && let Some(swallowed) = swallowed::find(record, row.line, layout.shape())
    {
        return Err(vec![whole(swallowed.to_string())]);
    }
    if cells.iter().all(|it| it.trim().is_empty()) {
        return Ok(None);
    }
    if cells.len() > layout.headers().len() {
        let (have, want) = (cells.len(), layout.headers().len());
        return Err(vec![whole(format!(
            "the row has {have} cells, the header {want}; quote a cell that holds the delimiter"
        ))]);
    }
    let mut parser = RowParser {
        layout,
        line: row.line,
        last_line: row.last_line,
        offset: row.place.start,
        cells,
        faults: Vec::new(),
    };
    let partner = parser.partner(rules, locales);
    match partner {
        Some(partner) if parser.faults.is_empty() => Ok(Some(partner)),
        _ => Err(parser.faults),
    }
}

/// What makes a row good or bad, beside the layout.
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

/// Parses one row; collects all that is wrong with it.
struct RowParser<'a> {
    layout: &'a Layout,
    line: u64,
    last_line: u64,
    offset: u64,
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
            extra_columns: layout.extra_columns().clone(),
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
                _ => self.faults.push(RowFinding {
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
        self.faults.push(RowFinding {
            line: self.line,
            last_line: self.last_line,
            column: Some(self.layout.headers()[column].escape_debug().to_string()),
            value: (!cell.is_empty()).then(|| excerpt(cell)),
            reason,
        });
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

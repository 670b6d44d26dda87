//! The result of `check` as JSON, and the languages of the list as a table.

use std::io::{self, Write};

use comfy_table::CellAlignment;
use serde::Serialize;

use super::formats::{count, empty_table};
use super::harmless::{one_line, write_json};
use crate::config::MissingLocale;
use crate::finding::{Finding, Severity};

/// The names are an interface.
#[derive(Serialize)]
struct CheckJson<'a> {
    #[serde(flatten)]
    languages: Option<&'a Languages>,
    ok: bool,
    findings: &'a [Finding],
}

/// Writes findings, and languages if they were asked for, as one object.
///
/// # Errors
/// If `out` cannot be written.
pub fn write_check(
    out: &mut dyn Write,
    languages: Option<&Languages>,
    findings: &[Finding],
) -> io::Result<()> {
    let json = CheckJson {
        languages,
        ok: findings.iter().all(|it| it.severity != Severity::Error),
        findings,
    };
    write_json(out, &json)
}

/// The languages of a list. The names are an interface.
#[derive(Debug, Serialize)]
pub struct Languages {
    /// The locale of rows without a language, and of those without a matching template.
    pub default_locale: String,
    /// What happens to the latter.
    pub missing_locale: MissingLocale,
    /// The locales of the templates.
    pub templates: Vec<String>,
    /// The tags of the list, the most frequent first.
    pub locales: Vec<LanguageRow>,
    /// How many partners have a tag beyond the most frequent ones.
    pub more: u64,
}

/// One tag.
#[derive(Debug, Serialize)]
pub struct LanguageRow {
    /// The tag as written; `None` if the cell is empty.
    pub asked: Option<String>,
    /// The locale that it is parsed as.
    pub locale: Option<String>,
    /// The template's locale; `None` if the rows are refused.
    pub template: Option<String>,
    /// How the template was found: `exact`, `alias`, `parent`, `script`, `default` or `refused`.
    pub step: &'static str,
    /// How many partners have the tag.
    pub partners: u64,
}

impl Languages {
    /// Writes them as a table.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn write_table(&self, out: &mut dyn Write, terminal: bool) -> io::Result<()> {
        let header = ["asked for", "read as", "template", "by", "partners"];
        let mut table = empty_table(&header, terminal);
        for row in &self.locales {
            let or = |it: &Option<String>, absent: &str| match it {
                Some(text) => one_line(text),
                None => absent.to_owned(),
            };
            table.add_row([
                or(&row.asked, "(nothing)"),
                or(&row.locale, ""),
                or(&row.template, "(none)"),
                row.step.to_owned(),
                row.partners.to_string(),
            ]);
        }
        if let Some(numbers) = table.column_mut(4) {
            numbers.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(out, "{}", table.trim_fmt())?;
        if self.more > 0 {
            let more = count(self.more, "partner");
            writeln!(out, "and {more} with other tags, too many to list")?;
        }
        Ok(())
    }
}

//! Which languages the list asks for and which template each gets, as a table and as JSON.

use std::io::{self, Write};

use comfy_table::CellAlignment;
use serde::Serialize;

use super::formats::count;
use super::harmless::{harmless_json, one_line};
use super::table::empty_table;

/// How the languages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LanguagesFormat {
    /// For people.
    Text,
    /// One object, an interface.
    Json,
}

/// The languages of a list. The names are an interface.
#[derive(Debug, Serialize)]
pub struct Languages {
    /// The language of rows that ask for none, and of those that no template comes near.
    pub default_locale: String,
    /// What becomes of the latter: `default` or `refuse`.
    pub missing_locale: &'static str,
    /// The languages that there are templates for.
    pub templates: Vec<String>,
    /// What is asked for, the most frequent first.
    pub locales: Vec<LanguageRow>,
    /// How many partners ask for a tag that is not listed, because the file has too many.
    pub more: u64,
}

/// What becomes of one tag.
#[derive(Debug, Serialize)]
pub struct LanguageRow {
    /// The tag as it stands in the file; none where the cell is empty.
    pub asked: Option<String>,
    /// The locale that it is read as.
    pub locale: Option<String>,
    /// The template's locale; none where the rows are refused.
    pub template: Option<String>,
    /// How that was found: `exact`, `alias`, `parent`, `script`, `default` or `refused`.
    pub step: &'static str,
    /// How many partners have the tag in their row.
    pub partners: u64,
}

impl Languages {
    /// Writes them.
    ///
    /// # Errors
    /// When `out` takes no more.
    pub fn write(
        &self,
        out: &mut dyn Write,
        format: LanguagesFormat,
        terminal: bool,
    ) -> io::Result<()> {
        if format == LanguagesFormat::Json {
            let json = harmless_json(&serde_json::to_string_pretty(self)?);
            return writeln!(out, "{json}");
        }
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

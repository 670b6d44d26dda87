//! The access packages of a tenant as text, JSON, and TOML to paste.

use std::io::{self, Write};

use serde::Serialize;

use super::formats::count;
use super::harmless::{harmless_json, one_line, write_json};
use super::layout::wrapped;

/// The longest line of a reason without its indentation, for a terminal of 60 columns.
const WIDTH: usize = 56;

/// How `packages` writes access packages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum PackagesFormat {
    /// Human-readable
    #[default]
    Text,
    /// One JSON object
    Json,
    /// Tables to paste into the configuration
    Toml,
}

/// The access packages of a tenant. The names are an interface.
#[derive(Debug, Serialize)]
pub struct PackageList {
    /// The initial domain of the tenant, which is the directory hint of the links.
    pub tenant: String,
    /// What was searched for.
    #[serde(skip)]
    pub search: Option<String>,
    /// How many access packages the tenant has.
    #[serde(skip)]
    pub total: usize,
    /// Those that were found.
    pub packages: Vec<PackageRow>,
}

/// An access package. The names are an interface.
#[derive(Debug, Default, Serialize)]
pub struct PackageRow {
    /// The NAME of the table in TOML.
    pub key: String,
    /// The display name.
    pub name: String,
    /// What it is for, in the words of the tenant.
    pub description: String,
    /// The name of its catalog.
    pub catalog: Option<String>,
    /// The access package id.
    pub id: String,
    /// Its link; `None` if none can be composed.
    pub link: Option<String>,
    /// Whether the portal does not list it.
    pub hidden: Option<bool>,
    /// Whether partners outside the directory can request it; `None` if that is unknown.
    pub outside_partners: Option<bool>,
    /// Why they cannot, or why it is unknown.
    pub reasons: Vec<String>,
}

impl PackageList {
    /// Writes the list.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn write(&self, out: &mut dyn Write, format: PackagesFormat) -> io::Result<()> {
        match format {
            PackagesFormat::Text => self.write_text(out),
            PackagesFormat::Json => write_json(out, self),
            PackagesFormat::Toml => self.write_toml(out),
        }
    }

    /// A few lines for each package. The link has a line of its own, so that it can be copied whole.
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for package in &self.packages {
            writeln!(out, "{}", package.title())?;
            let hidden = match package.hidden {
                Some(true) => ", hidden",
                Some(false) => ", listed in the portal",
                None => "",
            };
            writeln!(out, "  {}{hidden}", package.catalog())?;
            writeln!(out, "  {}", package.verdict())?;
            for line in package.wrapped_reasons().lines() {
                writeln!(out, "    {line}")?;
            }
            if let Some(link) = &package.link {
                writeln!(out, "  {link}")?;
            }
            writeln!(out)?;
        }
        writeln!(out, "{}", self.summary())
    }

    /// A table for each package; what a reader must know is in comments.
    fn write_toml(&self, out: &mut dyn Write) -> io::Result<()> {
        for comment in self.summary().lines() {
            writeln!(out, "# {comment}")?;
        }
        for package in &self.packages {
            writeln!(out, "\n# {}", package.catalog())?;
            if package.outside_partners != Some(true) {
                writeln!(out, "# {}", package.verdict())?;
            }
            for line in package.wrapped_reasons().lines() {
                writeln!(out, "#   {line}")?;
            }
            writeln!(out, "[packages.{}]", package.key)?;
            match &package.link {
                Some(link) => writeln!(out, "link = {}", toml_text(link))?,
                None => writeln!(out, "# link = \"\"")?,
            }
            writeln!(out, "name = {}", toml_text(&package.title()))?;
            let description = one_line(&package.description);
            if !description.trim().is_empty() {
                writeln!(out, "# description = {}", toml_text(description.trim()))?;
            }
        }
        Ok(())
    }

    /// How many there are, and how many of them partners can request.
    fn summary(&self) -> String {
        let (tenant, total) = (one_line(&self.tenant), self.total as u64);
        let all = count(total, "access package");
        if total == 0 {
            return format!("{tenant} has no access packages");
        }
        let found = match &self.search {
            None => format!("{tenant}: {all}"),
            Some(search) if self.packages.is_empty() => {
                let search = one_line(search);
                return format!("{tenant}: none of {all} has a name with `{search}`");
            }
            Some(search) => {
                let (found, search) = (self.packages.len(), one_line(search));
                format!("{tenant}: {found} of {all} with `{search}` in the name")
            }
        };
        let packages = self.packages.iter();
        let requestable = packages.filter(|it| it.outside_partners == Some(true));
        let number = requestable.count();
        format!("{found}\npartners outside the directory can request {number} of them")
    }
}

impl PackageRow {
    /// The display name on one line, and the id if it has none.
    fn title(&self) -> String {
        let name = one_line(&self.name);
        match name.trim() {
            "" => format!("access package {}", self.id),
            name => name.to_owned(),
        }
    }

    fn catalog(&self) -> String {
        let name = one_line(self.catalog.as_deref().unwrap_or_default());
        match name.trim() {
            "" => "catalog: unknown".to_owned(),
            _ => format!("catalog: {name}"),
        }
    }

    fn verdict(&self) -> &'static str {
        match self.outside_partners {
            Some(true) => "partners outside the directory can request it",
            Some(false) => "partners outside the directory cannot request it:",
            None => "whether partners outside can request it is unknown:",
        }
    }

    /// The reasons; all lines of one after the first are indented.
    fn wrapped_reasons(&self) -> String {
        let reasons = self.reasons.iter();
        let wrapped = reasons.map(|it| wrapped(&one_line(it), WIDTH));
        wrapped.collect::<Vec<_>>().join("\n")
    }
}

/// A basic string of TOML. It is written like one of JSON, in which every harmful character is escaped.
fn toml_text(text: &str) -> String {
    harmless_json(&serde_json::Value::from(text).to_string())
}

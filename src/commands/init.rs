//! `init`: creates what a new job needs, and overwrites nothing.

use std::io::{ErrorKind, Write};
use std::path::Path;

use super::examples::{CONFIG, PARTNERS};
use crate::config::{Config, Provider};
use crate::console::Console;
use crate::exit::{Exit, Result, failed};
use crate::files::{create_folder, create_new, folder_of};
use crate::ledger::Ledger;

/// Name and text of a file of `templates/`.
macro_rules! template {
    ($($name:literal),+) => {
        (
            concat!($($name),+),
            include_str!(concat!("../../templates/", $($name),+)),
        )
    };
}

/// The layout, and the three files of each locale.
macro_rules! templates {
    ($($locale:literal),+) => {
        [template!("layout.html"), $(
            template!($locale, "/invitation.html"),
            template!($locale, "/invitation.subject.txt"),
            template!($locale, "/invitation.txt")
        ),+]
    };
}

const TEMPLATES: &[(&str, &str)] = &templates![
    "ar", "cs", "de", "en", "es", "fr", "he", "it", "ja", "ko", "nl", "pl", "pt-BR", "sv", "tr",
    "zh-Hans", "zh-Hant"
];

/// The configuration with the provider and the keys that it needs, whose examples must be replaced.
fn configuration(provider: Option<&Provider>) -> String {
    let mut text = CONFIG.replace("partners.example.csv", "partners.csv");
    let Some(provider) = provider else {
        return text;
    };
    let set = format!("provider = \"{}\"", provider.name);
    text = text.replacen("# provider = \"microsoft365\"", &set, 1);
    text = text.replacen("\nhost = ", "\n# host = ", 1);
    if provider.name == "microsoft365" {
        text = text.replacen("\n# [entra]\n", "\n[entra]\n", 1);
    }
    for key in provider.required_keys() {
        let start = text.find(&format!("\n[{}]\n", key.table));
        let start = start.expect("the example shows every table");
        let section = text.split_off(start);
        let unset = format!("\n# {} = ", key.name);
        let set = match key.value {
            Some(value) => format!("\n{} = \"{value}\"\n# {} = ", key.name, key.name),
            None => format!("\n{} = ", key.name),
        };
        text += &section.replacen(&unset, &set, 1);
    }
    text
}

/// Creates what is missing in `folder`.
///
/// # Errors
/// If an existing configuration is wrong (78), or something cannot be written (74).
pub fn run(folder: &Path, provider: Option<&str>, console: &mut Console<'_>) -> Result<Exit> {
    // Messages then say `config.toml` instead of `./config.toml`.
    let folder = folder.strip_prefix(".").unwrap_or(folder);
    make_folder(folder)?;
    let path = folder.join("config.toml");
    let provider = provider.and_then(Provider::named);
    create(&path, &configuration(provider), console)?;
    let config = Config::load(&path)?;
    create(&config.partners.path, PARTNERS, console)?;
    let templates = &config.templates.directory;
    if !templates.exists() {
        for (name, text) in TEMPLATES {
            write_new(&templates.join(name), text)?;
        }
        console.print(&format!("created {}", templates.display()));
    }
    let ledger = &config.ledger.file;
    if !ledger.exists() {
        make_folder(folder_of(ledger))?;
        Ledger::create(&config.ledger)?;
        console.print(&format!(
            "empty ledger created; every partner counts as not invited ({})",
            ledger.display()
        ));
    }
    Ok(Exit::Done)
}

fn make_folder(folder: &Path) -> Result<()> {
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    let what = format!("cannot create the folder `{}`", folder.display());
    create_folder(folder).map_err(failed(Exit::CannotWrite, what))
}

/// Writes a file unless it exists, and prints its name.
fn create(path: &Path, text: &str, console: &mut Console<'_>) -> Result<()> {
    if write_new(path, text)? {
        console.print(&format!("created {}", path.display()));
    }
    Ok(())
}

/// Writes a file unless it exists. Returns whether it did.
fn write_new(path: &Path, text: &str) -> Result<bool> {
    make_folder(folder_of(path))?;
    match create_new(path).and_then(|mut it| it.write_all(text.as_bytes())) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => {
            let what = format!("cannot create `{}`", path.display());
            Err(failed(Exit::CannotWrite, what)(error))
        }
    }
}

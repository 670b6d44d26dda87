//! `init`: creates what a new job needs, and overwrites nothing.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;

use crate::config::Config;
use crate::console::Console;
use crate::exit::{Exit, OrExit, Result};
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

/// The three files of each locale.
macro_rules! locales {
    ($($locale:literal),+) => {
        [$([
            template!($locale, "/invitation.html"),
            template!($locale, "/invitation.subject.txt"),
            template!($locale, "/invitation.txt"),
        ]),+]
    };
}

const CONFIG: &str = include_str!("../../config.example.toml");
const PARTNERS: &str = include_str!("../../partners.example.csv");
const LAYOUT: (&str, &str) = template!("layout.html");
const LOCALES: &[[(&str, &str); 3]] = &locales![
    "ar", "cs", "de", "en", "es", "fr", "he", "it", "ja", "ko", "nl", "pl", "pt-BR", "sv", "tr",
    "zh-Hans", "zh-Hant"
];

/// The configuration with the provider and the keys that it needs, whose examples must be replaced.
fn configuration(provider: Option<&str>) -> String {
    let mut text = CONFIG.replace("partners.example.csv", "partners.csv");
    let Some(provider) = provider else {
        return text;
    };
    let set = format!("provider = \"{provider}\"");
    text = text.replacen("# provider = \"microsoft365\"", &set, 1);
    text = text.replacen("\nhost = ", "\n# host = ", 1);
    let keys: &[(&str, &str)] = match provider {
        "microsoft365" => &[
            ("[smtp]", "username"),
            ("[microsoft]", "tenant"),
            ("[microsoft]", "client_id"),
            ("[microsoft]", "client_secret_file"),
        ],
        "azure-communication-services" => &[("[smtp]", "username"), ("[smtp]", "password_file")],
        _ => &[],
    };
    for (table, key) in keys {
        let start = text.find(&format!("\n{table}\n"));
        let start = start.expect("the example shows every table");
        let section = text.split_off(start);
        text += &section.replacen(&format!("\n# {key} = "), &format!("\n{key} = "), 1);
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
    if write_new(&path, &configuration(provider))? {
        console.print(&format!("created {}", path.display()));
    }
    let config = Config::load(&path)?;
    if let Some(parent) = config.partners.path.parent() {
        make_folder(parent)?;
    }
    if write_new(&config.partners.path, PARTNERS)? {
        console.print(&format!("created {}", config.partners.path.display()));
    }
    let templates = &config.templates.directory;
    if !templates.exists() {
        for (name, text) in LOCALES.iter().flatten().chain([&LAYOUT]) {
            let file = templates.join(name);
            make_folder(file.parent().unwrap_or(templates))?;
            write_new(&file, text)?;
        }
        console.print(&format!("created {}", templates.display()));
    }
    if !config.ledger.file.exists() {
        if let Some(parent) = config.ledger.file.parent() {
            make_folder(parent)?;
        }
        Ledger::create(&config.ledger)?;
        console.print(&format!(
            "empty ledger created; every partner counts as not invited ({})",
            config.ledger.file.display()
        ));
    }
    Ok(Exit::Done)
}

fn make_folder(folder: &Path) -> Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot create the folder `{}`", folder.display()))
        .or_exit(Exit::CannotWrite)
}

/// Writes a file unless it exists. Returns whether it did.
fn write_new(path: &Path, text: &str) -> Result<bool> {
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match opened {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        opened => opened
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot create `{}`", path.display()))
            .or_exit(Exit::CannotWrite)
            .map(|()| true),
    }
}

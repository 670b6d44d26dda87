//! `init`: creates what a new job needs, and overwrites nothing.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::examples::{CONFIG, PARTNERS};
use super::new_config::{self, configuration, next_steps};
use crate::config::{Config, ConfigError, LedgerLocation, Provider};
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result, failed};
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

/// The layout, and the files of each locale.
macro_rules! templates {
    ($($locale:literal),+) => {
        [template!("layout.html"), $(
            template!($locale, "/invitation.html"),
            template!($locale, "/invitation.subject.txt"),
            template!($locale, "/invitation.txt"),
            template!($locale, "/reminder.html"),
            template!($locale, "/reminder.subject.txt"),
            template!($locale, "/reminder.txt")
        ),+]
    };
}

const TEMPLATES: &[(&str, &str)] = &templates![
    "ar", "cs", "de", "en", "es", "fr", "he", "it", "ja", "ko", "nl", "pl", "pt-BR", "pt-PT", "sv",
    "tr", "zh-Hans", "zh-Hant"
];

/// The arguments of `init`.
#[derive(Args, Clone, Debug)]
pub struct InitOptions {
    /// The folder of the new job
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// Write a configuration for this relay
    #[arg(long, value_name = "NAME", value_parser = Provider::names())]
    pub provider: Option<String>,
    /// Write the example job: every key, and 26 partners for `send --sandbox`
    #[arg(long, conflicts_with = "provider")]
    pub example: bool,
}

/// Creates what is missing in the folder.
///
/// # Errors
/// If an existing configuration is wrong (78), or something cannot be written (74).
pub fn run(options: &InitOptions, console: &mut Console<'_>) -> Result<Exit> {
    // Messages then say `config.toml` instead of `./config.toml`.
    let folder = &options.folder;
    let folder = folder.strip_prefix(".").unwrap_or(folder);
    let provider = options.provider.as_deref().and_then(Provider::named);
    let (config, partners) = if options.example {
        let config = CONFIG.replace("partners.example.csv", "partners.csv");
        (config, PARTNERS)
    } else {
        (configuration(provider), new_config::PARTNERS)
    };
    make_folder(folder)?;
    let path = folder.join("config.toml");
    let is_new = create(&path, &config, console)?;
    let files = match Config::load(&path) {
        Ok(config) => config.files(),
        Err(ConfigError::NotFilledIn(_, files)) => files,
        Err(error) => return Err(error.into()),
    };
    create(&files.partners, partners, console)?;
    if !files.templates.exists() {
        for (name, text) in TEMPLATES {
            write_new(&files.templates.join(name), text)?;
        }
        console.print(&format!("created {}", files.templates.display()));
    }
    if let LedgerLocation::File(ledger) = &files.ledger {
        make_folder(folder_of(&ledger.file))?;
    }
    if Ledger::create_if_missing(&files.ledger)? {
        console.print(&format!(
            "empty ledger created; every partner counts as not invited ({})",
            files.ledger
        ));
    } else if let LedgerLocation::Server(server) = &files.ledger {
        console.print(&format!(
            "the tables of the ledger exist, so that nothing was to be done in the database ({})",
            server.name()
        ));
    }
    if is_new {
        let steps = if options.example {
            vec!["access-invite send --sandbox".to_owned()]
        } else {
            next_steps(provider)
        };
        print_steps(folder, &steps, console);
    }
    Ok(Exit::Done)
}

/// Prints the next steps, beginning with the change to the folder.
fn print_steps(folder: &Path, steps: &[String], console: &mut Console<'_>) {
    console.print("\nnext steps:");
    let change = format!("cd {}", folder.display());
    let change = Some(change).filter(|_| !folder.as_os_str().is_empty());
    for (number, step) in change.iter().chain(steps).enumerate() {
        console.print(&format!(" {:>2}. {step}", number + 1));
    }
}

fn make_folder(folder: &Path) -> Result<()> {
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    let what = format!("cannot create the folder `{}`", folder.display());
    create_folder(folder).map_err(failed(Exit::CannotWrite, what))
}

/// Writes a file unless it exists, and prints its name. Returns whether it did.
fn create(path: &Path, text: &str, console: &mut Console<'_>) -> Result<bool> {
    let created = write_new(path, text)?;
    if created {
        console.print(&format!("created {}", path.display()));
    }
    Ok(created)
}

/// Writes a file unless it exists. Returns whether it did.
fn write_new(path: &Path, text: &str) -> Result<bool> {
    make_folder(folder_of(path))?;
    match create_new(path).and_then(|mut it| it.write_all(text.as_bytes())) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => {
            let message = format!("cannot create `{}`: {error}", path.display());
            Err(CommandError::new(Exit::CannotWrite, message))
        }
    }
}

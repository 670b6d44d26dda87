//! `man`, `completions` and `schema`: what packages and editors need, generated from this version.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;

use crate::config::json_schema;
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::files::create_folder;

/// The arguments of `man`.
#[derive(Args, Clone, Debug)]
pub struct ManOptions {
    /// The folder for the pages
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// The arguments of `completions`.
#[derive(Args, Clone, Debug)]
pub struct CompletionsOptions {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Writes a manual page for the program and for each verb: `access-invite-send.1`.
///
/// # Errors
/// If the folder or a page cannot be written (74).
pub fn man(options: &ManOptions, command: &Command) -> Result<Exit> {
    let folder = &options.folder;
    create_folder(folder).map_err(|error| cannot_write(folder, &error))?;
    let name = command.get_name().to_owned();
    write_page(folder, &name, command.clone())?;
    let verbs = command
        .get_subcommands()
        .filter(|it| it.get_name() != "help");
    for verb in verbs {
        let title = format!("{name}-{}", verb.get_name());
        // With the options of every verb, and the whole command line in the synopsis.
        let everywhere = command
            .get_arguments()
            .filter(|it| it.is_global_set())
            .cloned();
        let page = verb.clone().args(everywhere).display_name(&title);
        let page = page.bin_name(format!("{name} {}", verb.get_name()));
        write_page(folder, &title, page)?;
    }
    Ok(Exit::Done)
}

fn write_page(folder: &Path, title: &str, command: Command) -> Result<()> {
    let path = folder.join(format!("{title}.1"));
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command).title(title.to_uppercase());
    let rendered = man.render(&mut page);
    rendered
        .and_then(|()| std::fs::write(&path, &page))
        .map_err(|error| cannot_write(&path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> CommandError {
    let message = format!("cannot write `{}`: {error}", path.display());
    CommandError::new(Exit::CannotWrite, message)
}

/// Prints the completions for a shell.
pub fn completions(
    options: &CompletionsOptions,
    mut command: Command,
    out: &mut dyn Write,
) -> Exit {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, name, &mut script);
    // A failed write is reported at the end of the program, see `Output`.
    let _ = out.write_all(&script);
    Exit::Done
}

/// Prints the JSON Schema of the configuration.
pub fn schema(console: &mut Console<'_>) -> Exit {
    let schema = serde_json::to_string_pretty(&json_schema()).expect("it is JSON");
    console.print(&schema);
    Exit::Done
}

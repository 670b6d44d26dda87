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

/// Writes a manual page for the program, and for each verb, `access-invite-send.1`.
///
/// # Errors
/// If the folder or a page cannot be written (74).
pub fn man(options: &ManOptions, command: &Command) -> Result<Exit> {
    let folder = &options.folder;
    create_folder(folder).map_err(|error| cannot_write(folder, &error))?;
    write_pages(folder, command, command.get_name())?;
    Ok(Exit::Done)
}

/// Writes the page of a command, which is called by `line`, and those of its verbs.
fn write_pages(folder: &Path, command: &Command, line: &str) -> Result<()> {
    let title = line.replace(' ', "-");
    let page = command.clone().display_name(&title).bin_name(line);
    // There is no page about `help`.
    write_page(folder, &title, page.disable_help_subcommand(true))?;
    let global: Vec<_> = command
        .get_arguments()
        .filter(|it| it.is_global_set())
        .cloned()
        .collect();
    for verb in command.get_subcommands() {
        let line = format!("{line} {}", verb.get_name());
        write_pages(folder, &verb.clone().args(global.clone()), &line)?;
    }
    Ok(())
}

fn write_page(folder: &Path, title: &str, command: Command) -> Result<()> {
    let path = folder.join(format!("{title}.1"));
    let man = clap_mangen::Man::new(command)
        .title(title.to_uppercase())
        .source(concat!("access-invite ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render(&mut page).expect("memory takes everything");
    let page = String::from_utf8(page).expect("a page is text");
    // The text below the help is examples.
    let page = page.replace(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n");
    std::fs::write(&path, page).map_err(|error| cannot_write(&path, &error))
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
    clap_complete::generate(options.shell, &mut command, &name, &mut script);
    let mut script = String::from_utf8(script).expect("a script is text");
    if options.shell == Shell::Bash {
        // clap_complete writes the hyphen of the name in two ways, so that no verb is found (clap-rs/clap issue 6421).
        let wrong = name.replace('-', "__subcmd__");
        script = script.replace(&wrong, &name.replace('-', "__"));
    }
    // A failed write is reported at the end of the program, see `Output`.
    let _ = out.write_all(script.as_bytes());
    Exit::Done
}

/// Prints the JSON Schema of the configuration.
pub fn schema(console: &mut Console<'_>) -> Exit {
    let schema = serde_json::to_string_pretty(&json_schema()).expect("it is JSON");
    console.print(&schema);
    Exit::Done
}

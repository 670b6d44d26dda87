//! Verbs and options are documented, and what the documents mention exists.

use std::collections::BTreeMap;

use clap::builder::PossibleValue;
use clap::{Arg, CommandFactory};

use super::markdown::{code_spans, section, without_blocks};
use super::tables::documented;
use super::{README, page, readme_and_pages};
use access_invite::cli::Cli;

/// The command line as clap knows it.
fn command_line() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// What an argument is called in the documents: `--limit` or `ADDRESS`.
fn name_of(argument: &Arg) -> String {
    let named = argument.get_value_names().unwrap_or_default();
    match argument.get_long() {
        Some(long) => format!("--{long}"),
        None => named.first().map(ToString::to_string).unwrap_or_default(),
    }
}

#[test]
fn every_verb_has_its_section_and_its_row_in_the_readme() {
    let command = command_line();
    let verbs: Vec<&str> = command
        .get_subcommands()
        .map(clap::Command::get_name)
        .filter(|it| *it != "help")
        .collect();
    let rows = documented(README, "verb");
    let documented: Vec<&str> = rows
        .iter()
        .filter(|it| !it.contains(' '))
        .map(String::as_str)
        .collect();

    assert_eq!(documented, verbs);
    for verb in verbs {
        section_of(verb);
    }
}

/// The section about a verb, on one of the two pages of commands.
fn section_of(verb: &str) -> &'static str {
    let heading = format!("## {verb}");
    let is_there = |it: &&str| it.lines().any(|line| line == heading);
    let mut pages = ["commands.md", "record-commands.md"].map(page).into_iter();
    let page = pages.find(is_there);
    section(
        page.unwrap_or_else(|| panic!("{verb} has no section")),
        &heading,
    )
}

#[test]
fn options_and_their_documentation_match() {
    let commands = page("commands.md");
    let everywhere = documented(section(commands, "## Options of every verb"), "option");
    assert_eq!(everywhere[0], "-c FILE");
    for verb in command_line().get_subcommands() {
        let name = verb.get_name();
        if name == "help" {
            continue;
        }
        let is_own = |it: &&Arg| !everywhere.iter().any(|all| all.starts_with(&name_of(it)));
        if !verb.has_subcommands() && !verb.get_arguments().any(|it| is_own(&it)) {
            continue;
        }
        let mut shown = BTreeMap::new();
        for key in documented(section_of(name), "option") {
            let (option, values) = key.split_once(' ').unwrap_or((&key, ""));
            shown.insert(option.to_owned(), values.to_owned());
        }
        let nested = verb.get_subcommands().filter(|it| it.get_name() != "help");
        let nested = nested.flat_map(clap::Command::get_arguments);
        for argument in verb.get_arguments().chain(nested) {
            let option = name_of(argument);
            if everywhere.iter().any(|it| it.starts_with(&option)) {
                continue;
            }
            let values = shown.remove(&option);
            let values = values.unwrap_or_else(|| panic!("{name} {option} is not documented"));
            let possible = argument.get_possible_values();
            let possible: Vec<_> = possible.iter().map(PossibleValue::get_name).collect();
            // A flag has the values `true` and `false`.
            if !possible.is_empty() && argument.get_action().takes_values() {
                assert_eq!(values, possible.join("|"), "{name} {option}");
            }
        }
        assert!(shown.is_empty(), "{name} has no {shown:?}");
    }
}

#[test]
fn every_option_that_a_document_mentions_exists() {
    let command = command_line();
    // `--locked` is Cargo's.
    let mut all = ["--help", "--version", "--locked"]
        .map(str::to_owned)
        .to_vec();
    for verb in command.get_subcommands() {
        all.extend(verb.get_arguments().map(name_of));
    }
    let mut mentioned = 0;
    for (name, text) in readme_and_pages() {
        let text = without_blocks(text);
        let spans = code_spans(&text).into_iter();
        for span in spans.filter(|it| !it.starts_with("cargo ")) {
            let options = span
                .split([' ', '\n', '='])
                .filter(|it| it.starts_with("--") && it.len() > 2);
            for option in options {
                assert!(all.iter().any(|it| it == option), "{name}: `{option}`");
                mentioned += 1;
            }
        }
    }
    assert!(mentioned > 50, "only {mentioned} options are mentioned");
}

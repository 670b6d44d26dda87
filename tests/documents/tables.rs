//! The tables of the documents name what the program has, all of it and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::{Arg, CommandFactory};
use serde_json::Value;

use super::markdown::{code_spans, section, tables, tables_of, without_blocks};
use super::{PAGES, README, ROOT, page};
use crate::support::Workplace;
use crate::support::smtp::Server;
use access_invite::cli::Cli;
use access_invite::config::{Presence, declared_keys};
use access_invite::invitation::State;
use access_invite::templates::{PackageScope, PartnerScope, Scope, SenderScope};

/// The names of both sides, to be compared.
fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    names.into_iter().collect()
}

/// The keys of all tables with this first header.
fn documented(text: &str, header: &str) -> Vec<String> {
    let tables = tables_of(text, header);
    let keys = tables.iter().flat_map(|it| it.keys());
    keys.map(str::to_owned).collect()
}

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
        section(page("commands.md"), &format!("## {verb}"));
    }
}

#[test]
fn every_option_is_documented_and_every_documented_option_exists() {
    let commands = page("commands.md");
    let everywhere = documented(section(commands, "## Options of every verb"), "option");
    assert_eq!(everywhere[0], "-c FILE");
    for verb in command_line().get_subcommands() {
        let name = verb.get_name();
        if name == "help" {
            continue;
        }
        let heading = format!("## {name}");
        let mut shown = BTreeMap::new();
        for key in documented(section(commands, &heading), "option") {
            let (option, values) = key.split_once(' ').unwrap_or((&key, ""));
            shown.insert(option.to_owned(), values.to_owned());
        }
        for argument in verb.get_arguments() {
            let option = name_of(argument);
            if everywhere.iter().any(|it| it.starts_with(&option)) {
                continue;
            }
            let values = shown.remove(&option);
            let values = values.unwrap_or_else(|| panic!("{name} {option} is not documented"));
            let possible = argument.get_possible_values();
            let possible: Vec<_> = possible.iter().map(|it| it.get_name()).collect();
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
    let mut all = vec!["--help".to_owned(), "--version".to_owned()];
    for verb in command.get_subcommands() {
        all.extend(verb.get_arguments().map(name_of));
    }
    let mut mentioned = 0;
    for (name, text) in super::readme_and_pages() {
        for span in code_spans(&without_blocks(text)) {
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

#[test]
fn the_exit_codes_are_those_of_the_program() {
    let source = include_str!("../../src/exit.rs");
    let (_, codes) = source.split_once("pub enum Exit {").unwrap();
    let (codes, _) = codes.split_once("\n}").unwrap();
    let codes: Vec<&str> = codes
        .lines()
        .filter_map(|it| it.split_once(" = ")?.1.strip_suffix(','))
        .collect();
    let table = tables_of(page("states-and-exit-codes.md"), "code").remove(0);
    let shown: Vec<&str> = table.rows.iter().map(|it| it[0].as_str()).collect();

    assert!(codes.len() > 8, "{codes:?}");
    assert_eq!(shown, codes);
}

#[test]
fn the_states_are_those_of_the_program() {
    let shown = documented(page("states-and-exit-codes.md"), "state");
    let states = State::ALL.map(State::as_str);

    assert_eq!(set(shown.iter().map(String::as_str)), set(states));
    assert_eq!(shown.len(), states.len());
}

#[test]
fn the_configuration_keys_and_defaults_are_those_of_the_program() {
    let mut shown = BTreeMap::new();
    for table in tables_of(page("configuration.md"), "key") {
        for row in &table.rows {
            let key = code_spans(&row[0])[0].to_owned();
            let before = shown.insert(key, row[1].clone());
            assert_eq!(before, None, "{} stands there twice", row[0]);
        }
    }
    for key in declared_keys() {
        let default = match key.presence {
            Presence::Required => "required".to_owned(),
            Presence::Optional => "unset".to_owned(),
            Presence::Default(value) => format!("`{value}`"),
        };
        assert_eq!(shown.remove(&key.path), Some(default), "{}", key.path);
    }
    assert!(shown.is_empty(), "the program has no {shown:?}");
}

#[test]
fn the_columns_of_the_list_are_those_of_the_program() {
    let shown = documented(page("list.md"), "column");
    let keys = declared_keys();
    let known = keys
        .iter()
        .filter_map(|it| it.path.strip_prefix("partners.columns."));

    assert_eq!(set(shown.iter().map(String::as_str)), set(known));
}

/// The names of the fields of a JSON object.
fn fields(object: &Value) -> BTreeSet<&str> {
    set(object.as_object().unwrap().keys().map(String::as_str))
}

#[test]
fn the_fields_and_columns_of_results_are_those_of_the_program() {
    let server = Server::obliging();
    let mut workplace = Workplace::new(server.port());
    workplace.extra = "[results]\ncsv = \"results.csv\"".into();
    workplace.configure();
    workplace.partners(&["ada@fabrikam.example"]);
    assert_eq!(workplace.run(&["send"]).code, 0);
    let text = section(
        page("states-and-exit-codes.md"),
        "## JSON and CSV of `status`",
    );
    let [invitation, event] = &tables_of(text, "field")[..] else {
        panic!("two tables of fields are expected");
    };

    let json = workplace.run(&["status", "ada@fabrikam.example", "--format", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        fields(&json),
        set(["campaign", "counts", "invitations"]),
        "{text}"
    );
    let history = &json["invitations"][0]["history"];
    assert_eq!(set(event.keys()), fields(&history[0]));
    let with_history = set(invitation.keys().into_iter().chain(["history"]));
    assert_eq!(with_history, fields(&json["invitations"][0]));

    let csv = workplace.run(&["status", "--format", "csv"]).stdout;
    let header = csv.lines().next().unwrap();
    assert_eq!(set(invitation.keys()), set(header.split(',')));

    let results = std::fs::read_to_string(workplace.file("results.csv")).unwrap();
    let added = results.lines().next().unwrap().split(',').skip(3);
    let text = section(page("states-and-exit-codes.md"), "## Results file");
    let shown: Vec<String> = documented(text, "column");
    assert_eq!(
        shown.iter().map(String::as_str).collect::<Vec<_>>(),
        added.collect::<Vec<_>>()
    );
}

#[test]
fn the_template_variables_are_those_of_the_program() {
    fn add(path: &str, value: &Value, names: &mut BTreeSet<String>) {
        match value.as_object() {
            Some(object) => {
                for (key, value) in object {
                    add(&format!("{path}.{key}"), value, names);
                }
            }
            None => {
                names.insert(path.trim_start_matches('.').to_owned());
            }
        }
    }
    let scope = Scope {
        link: "",
        package: &PackageScope::default(),
        partner: PartnerScope {
            email: "",
            name: "",
            organization: "",
            extra: [("<column>", "")].into(),
        },
        sender: &SenderScope {
            name: String::new(),
            address: String::new(),
            organization: String::new(),
            contact: String::new(),
            reply_to: String::new(),
        },
        campaign: "",
        locale: "",
        direction: "",
    };
    let mut names = BTreeSet::new();
    add("", &serde_json::to_value(scope).unwrap(), &mut names);

    let shown = documented(page("templates.md"), "variable");
    assert_eq!(BTreeSet::from_iter(shown), names);
}

#[test]
fn the_shipped_locales_are_those_of_the_program() {
    let folder = std::fs::read_dir(Path::new(ROOT).join("templates")).unwrap();
    let folders = folder.map(|it| it.unwrap().path()).filter(|it| it.is_dir());
    let names: BTreeSet<String> = folders
        .map(|it| it.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();

    let shown = documented(page("templates.md"), "locale");
    assert_eq!(BTreeSet::from_iter(shown), names);
}

#[test]
fn the_steps_and_fields_of_check_locales_are_those_of_the_program() {
    let table = tables_of(page("templates.md"), "step").remove(0);
    // Wanted tag, template and step; the last two steps find none.
    let mut expected = Vec::new();
    for row in &table.rows {
        let names = code_spans(&row[1]);
        let step = code_spans(&row[0])[0];
        if !matches!(step, "default" | "refused") {
            expected.extend(names.chunks(2).map(|it| (it[0], it[1], step)));
        }
    }
    expected.extend([("nb", "en", "default"), ("ar-Latn", "en", "default")]);
    let workplace = Workplace::new(1);
    let check = |wanted: &[(&str, &str, &str)]| {
        let rows = wanted.iter().enumerate();
        let rows: Vec<_> = rows
            .map(|(nth, it)| format!("p{nth}@a.example,,{}\n", it.0))
            .collect();
        workplace.write(
            "partners.csv",
            &format!("email,name,locale\n{}", rows.concat()),
        );
        let output = workplace.run(&["check", "--locales", "--format", "json"]);
        serde_json::from_str::<Value>(&output.stdout).unwrap()
    };

    let shown = check(&expected);

    let rows = shown["locales"].as_array().unwrap();
    assert_eq!(rows.len(), expected.len());
    for (asked, template, step) in expected {
        let row = rows.iter().find(|it| it["asked"] == asked).unwrap();
        assert_eq!(
            (&row["template"], &row["step"]),
            (&template.into(), &step.into()),
            "{asked}"
        );
    }
    let keys = documented(page("templates.md"), "field");
    let inner = keys.iter().filter_map(|it| it.strip_prefix("locales[]."));
    assert_eq!(set(inner), fields(&rows[0]));
    let outer = keys.iter().filter(|it| !it.contains('.'));
    assert_eq!(set(outer.map(String::as_str)), fields(&shown));
}

/// The terms of the glossary, in its order.
fn glossary() -> Vec<&'static str> {
    let entries = page("glossary.md")
        .lines()
        .filter_map(|it| it.strip_prefix("- **"));
    let terms = entries.map(|it| it.split_once("**: ").unwrap().0);
    terms.collect()
}

#[test]
fn the_glossary_is_in_alphabetical_order() {
    let terms = glossary();
    let lower = |it: &&str| it.to_lowercase();
    let mut sorted = terms.clone();
    sorted.sort_by_key(lower);
    sorted.dedup_by_key(|it| lower(it));

    assert_eq!(terms, sorted);
    assert!(terms.len() > 60, "only {} terms", terms.len());
}

#[test]
fn the_glossary_has_every_state_and_every_term_that_a_table_is_keyed_by() {
    let mut wanted: BTreeSet<String> = State::ALL.map(|it| it.to_string()).into();
    wanted.extend(["not_invited".into(), "bad_row".into()]);
    wanted.extend(documented(page("templates.md"), "step"));
    wanted.extend(documented(page("operations.md"), "decision"));
    for key in declared_keys() {
        let table = key.path.split('.').next().unwrap_or_default();
        wanted.insert(table.to_owned());
    }
    for (_, text) in PAGES {
        wanted.extend(tables(text).iter().map(|it| it.header[0].clone()));
    }
    let text = page("glossary.md").to_lowercase();
    let terms = glossary();

    let is_there = |term: &str| terms.contains(&term) || text.contains(&format!("`{term}`"));
    let missing: Vec<_> = wanted.iter().filter(|it| !is_there(it)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

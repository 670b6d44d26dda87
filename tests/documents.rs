//! The documents agree with the program: tables, examples, links, and the steps of the README.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::Workplace;
use access_invite::config::{Config, Key, Presence, declared_keys};

mod commands;
pub mod examples;
mod findings;
mod glossary;
mod links;
pub mod markdown;
mod relays;
mod tables;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const EXAMPLE: &str = include_str!("../config.example.toml");
const README: &str = include_str!("../README.md");

/// The pages for administrators, by file name.
const PAGES: [(&str, &str); 17] = [
    ("commands.md", include_str!("../docs/commands.md")),
    ("configuration.md", include_str!("../docs/configuration.md")),
    ("entra.md", include_str!("../docs/entra.md")),
    ("glossary.md", include_str!("../docs/glossary.md")),
    ("install.md", include_str!("../docs/install.md")),
    ("list.md", include_str!("../docs/list.md")),
    ("microsoft365.md", include_str!("../docs/microsoft365.md")),
    ("monitoring.md", include_str!("../docs/monitoring.md")),
    ("operations.md", include_str!("../docs/operations.md")),
    ("postgresql.md", include_str!("../docs/postgresql.md")),
    ("follow-up.md", include_str!("../docs/follow-up.md")),
    (
        "record-commands.md",
        include_str!("../docs/record-commands.md"),
    ),
    ("relays.md", include_str!("../docs/relays.md")),
    ("reminders.md", include_str!("../docs/reminders.md")),
    (
        "security-and-privacy.md",
        include_str!("../docs/security-and-privacy.md"),
    ),
    (
        "states-and-exit-codes.md",
        include_str!("../docs/states-and-exit-codes.md"),
    ),
    ("templates.md", include_str!("../docs/templates.md")),
];

/// The page with this file name.
pub fn page(name: &str) -> &'static str {
    let found = PAGES.iter().find(|it| it.0 == name);
    found.unwrap_or_else(|| panic!("no page {name}")).1
}

/// The README and the pages for administrators.
fn readme_and_pages() -> impl Iterator<Item = (&'static str, &'static str)> {
    [("README.md", README)].into_iter().chain(PAGES)
}

#[test]
fn readme_and_pages_are_short_and_state_their_subject() {
    let length = README.chars().count();
    assert!(length < 10_000, "README.md has {length} characters");
    for (name, text) in PAGES {
        let length = text.chars().count();
        assert!(length <= 16_000, "{name} has {length} characters");
        let first = text.lines().nth(2).unwrap();
        assert!(first.starts_with("This page answers: "), "{name}: {first}");
        let link = format!("(docs/{name})");
        assert!(README.contains(&link), "README.md does not link to {name}");
    }
}

/// Every key of the example with its value, commented out or not; each line is parsed alone.
fn keys_of_example() -> BTreeMap<String, toml::Value> {
    fn add(path: String, value: &toml::Value, keys: &mut BTreeMap<String, toml::Value>) {
        for (key, value) in value.as_table().into_iter().flatten() {
            add(format!("{path}.{key}"), value, keys);
        }
        keys.insert(path, value.clone());
    }
    let mut keys = BTreeMap::new();
    let mut table = String::new();
    for line in EXAMPLE.lines() {
        if let Some(header) = line.trim_start_matches("# ").strip_prefix('[') {
            table = header.replace("project-space", "NAME").replace(']', ".");
        } else if let Ok(line) = line.trim_start_matches("# ").parse::<toml::Table>() {
            for (key, value) in line {
                add(format!("{table}{key}"), &value, &mut keys);
            }
        }
    }
    keys
}

#[test]
fn the_example_configuration_shows_every_key() {
    let words: Vec<_> = EXAMPLE.split(['#', ' ', '\n']).collect();
    let text: Vec<_> = words.into_iter().filter(|it| !it.is_empty()).collect();
    let text = text.join(" ");
    let shown = keys_of_example();
    let declared = declared_keys();
    assert!(declared.len() > 50, "{} keys are declared", declared.len());

    for Key {
        path,
        presence,
        description,
        ..
    } in declared
    {
        let value = shown.get(&path);
        let value = value.unwrap_or_else(|| panic!("the example does not show `{path}`"));
        if let Presence::Default(default) = presence {
            let parsed: toml::Table = format!("default = {default}").parse().unwrap();
            assert_eq!(*value, parsed["default"], "{path}");
        }
        assert!(
            description.len() > 3 && text.contains(description),
            "the example does not describe `{path}`: {description}"
        );
    }
    Config::load(&Path::new(ROOT).join("config.example.toml")).unwrap();
}

#[test]
fn each_commented_out_key_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let mut tried = 0;
    let mut table = "";
    for line in EXAMPLE.lines() {
        if line.trim_start_matches("# ").starts_with('[') {
            table = line;
        }
        let Some(bare) = line.strip_prefix("# ") else {
            continue;
        };
        let key = bare.split(" = ").next().unwrap_or_default();
        if !bare.contains(" = ") || !key.chars().all(|it| it.is_ascii_lowercase() || it == '_') {
            continue;
        }
        tried += 1;
        // The header of a table that is commented out comes with its keys.
        let header = table.trim_start_matches("# ");
        let text = EXAMPLE.replacen(table, header, 1);
        std::fs::write(&path, text.replacen(line, bare, 1)).unwrap();
        if let Err(failure) = Config::load(&path) {
            let text = failure.to_string();
            // Half a login is refused, and says which half is missing.
            assert!(text.contains(" needs "), "{bare}: {text}");
        }
    }
    assert!(tried > 20, "only {tried} keys were tried");
}

#[test]
fn the_two_commands_of_the_readme_work() {
    for command in [
        "cargo run --release -- send --sandbox --config config.example.toml",
        "cargo test",
    ] {
        assert!(README.lines().any(|it| it.trim() == command), "{command}");
    }
    let workplace = Workplace::new(1);
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml");

    let output = workplace.run(&["send", "--sandbox", "--config", example]);

    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("26 received"), "{output:?}");
    assert!(README.contains("messages for the 26 example partners"));
    assert!(workplace.file("sandbox/index.html").exists());
}

#[test]
fn the_pictures_of_the_readme_exist_and_are_small() {
    let names: Vec<&str> = README
        .split(['"', '(', ')'])
        .filter(|it| it.starts_with("docs/images/"))
        .collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for name in names {
        let path = Path::new(ROOT).join(name);
        let size = std::fs::metadata(&path).unwrap().len();
        assert!((10_000..=150_000).contains(&size), "{name}: {size} bytes");
    }
}

#[test]
fn the_architecture_page_names_files_and_functions_that_exist() {
    let page = include_str!("../docs/ARCHITECTURE.md");
    let root = Path::new(ROOT);
    for path in markdown::code_spans(page)
        .into_iter()
        .filter(|it| it.contains('/'))
    {
        let file = if path.starts_with("src/") || root.join(path).exists() {
            root.join(path)
        } else {
            root.join("src").join(path)
        };
        let sources = file.with_extension("rs");
        assert!(file.exists() || sources.exists(), "{path}");
    }
    let mut functions = 0;
    for line in page.lines().filter(|it| it.starts_with('|')) {
        let names = markdown::code_spans(line);
        for pair in names.windows(2).filter(|it| it[1].starts_with("src/")) {
            let source = std::fs::read_to_string(root.join(pair[1])).unwrap();
            let name = pair[0].rsplit("::").next().unwrap();
            let is_there = source.contains(&format!("fn {name}("));
            assert!(is_there, "there is no function `{name}` in {}", pair[1]);
            functions += 1;
        }
    }
    assert!(functions > 15, "only {functions} functions are named");
}

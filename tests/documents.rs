//! What the documents show is true: the example configuration, the README's commands and tables.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::Workplace;
use access_invite::config::{Config, Key, Presence, declared_keys};
use access_invite::exit::Exit;
use access_invite::invitation::State;

const EXAMPLE: &str = include_str!("../config.example.toml");
const README: &str = include_str!("../README.md");

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
        if let Some(header) = line.strip_prefix('[') {
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
fn the_example_configuration_shows_every_key_with_its_default_and_description() {
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
    Config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml")).unwrap();
}

#[test]
fn each_key_that_is_commented_out_works() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let mut tried = 0;
    for line in EXAMPLE.lines() {
        let Some(bare) = line.strip_prefix("# ") else {
            continue;
        };
        let key = bare.split(" = ").next().unwrap_or_default();
        if !bare.contains(" = ") || !key.chars().all(|it| it.is_ascii_lowercase() || it == '_') {
            continue;
        }
        tried += 1;
        std::fs::write(&path, EXAMPLE.replacen(line, bare, 1)).unwrap();
        if let Err(failure) = Config::load(&path) {
            let text = failure.to_string();
            // Half a login is refused, and says which half is missing.
            assert!(text.contains(" needs "), "{bare}: {text}");
        }
    }
    assert!(tried > 20, "only {tried} keys were tried");
}

#[test]
fn the_two_commands_of_the_readme_are_there_and_the_first_does_what_it_says() {
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
    assert!(README.contains("sends the twenty-six example partners"));
    assert!(workplace.file("sandbox/index.html").exists());
}

#[test]
fn the_first_send_goes_as_the_readme_tells_it() {
    let server = crate::support::smtp::Server::obliging();
    let workplace = Workplace::new(1);
    assert_eq!(workplace.run(&["init", "invitations"]).code, 0);
    let config = workplace.file("invitations/config.toml");
    let edited = std::fs::read_to_string(&config)
        .unwrap()
        .replace("@contoso.onmicrosoft.com#", "@fabrikam.onmicrosoft.com#")
        .replace(
            "host = \"smtp.example.com\"",
            &format!(
                "host = \"127.0.0.1\"\ntls = \"none\"\nport = {}",
                server.port()
            ),
        )
        .replace("# per_minute = 30 ", "per_minute = 1000 ");
    std::fs::write(&config, edited).unwrap();
    workplace.write(
        "invitations/partners.csv",
        "email,name\nada@fabrikam.example,Ada\n",
    );

    let commands = README
        .lines()
        .filter_map(|line| line.trim().strip_prefix("access-invite "))
        .filter(|it| {
            ["check", "preview", "send", "status"]
                .contains(&it.split(' ').next().unwrap_or_default())
        });
    let mut run = Vec::new();
    for command in commands {
        let arguments: Vec<&str> = command.split(' ').collect();
        let output = workplace.run_with(&arguments, |command| {
            command.current_dir(workplace.file("invitations"));
        });
        assert_eq!(output.code, 0, "{command}: {output:?}");
        run.push(command);
    }
    assert_eq!(
        run,
        [
            "check",
            "preview",
            "check --connect",
            "send --test-to you@contoso.example",
            "send",
            "status",
            "status ada@fabrikam.example",
            "preview"
        ]
    );
    assert_eq!(server.accepted().len(), 2, "the trial and the invitation");
}

#[test]
fn the_pictures_of_the_readme_are_there_and_small() {
    let names: Vec<&str> = README
        .split(['"', '(', ')'])
        .filter(|it| it.starts_with("docs/images/"))
        .collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for name in names {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let size = std::fs::metadata(&path).unwrap().len();
        assert!((10_000..=150_000).contains(&size), "{name}: {size} bytes");
    }
}

#[test]
fn the_readme_s_tables_name_every_exit_code_state_locale_and_verb() {
    let codes = [
        Exit::Done,
        Exit::Refused,
        Exit::Usage,
        Exit::Unknown,
        Exit::BadInput,
        Exit::Unavailable,
        Exit::InternalError,
        Exit::CannotWrite,
        Exit::TryLater,
        Exit::NoPermission,
        Exit::Config,
    ];
    for code in codes {
        let row = format!("| {} | ", code as u8);
        assert_eq!(
            README.lines().filter(|it| it.starts_with(&row)).count(),
            1,
            "{row}"
        );
    }
    for state in State::ALL {
        assert!(README.contains(&format!("`{state}`")), "{state}");
    }
    for folder in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/templates")).unwrap() {
        let folder = folder.unwrap();
        let row = format!("| `{}` | ", folder.file_name().display());
        assert!(
            folder.path().is_file() || README.contains(&row),
            "{row} is not in the README"
        );
    }
    let help = Workplace::new(1).run(&["--help"]).stdout;
    for verb in ["init", "check", "preview", "send", "status", "resolve"] {
        assert!(
            help.contains(&format!("  {verb} ")),
            "{verb} is not in the help"
        );
        assert!(
            README.contains(&format!("| `{verb}")),
            "{verb} is not in the README"
        );
    }
}

/// The names in backquotes of a text.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_architecture_page_names_files_and_functions_that_exist() {
    let page = include_str!("../docs/ARCHITECTURE.md");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in quoted(page).into_iter().filter(|it| it.contains('/')) {
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
        let names = quoted(line);
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

//! `init`: a short configuration to fill in, for each provider; the example; what is never overwritten.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::help::words;
use crate::support::{LINK, Output, Workplace};
use access_invite::cli;
use access_invite::config::{Config, Provider, ProviderLogin};

/// Every file under `folder`, with its text.
pub fn tree(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = PathBuf::from(path.file_name().unwrap());
        if path.is_dir() {
            files.extend(
                tree(&path)
                    .into_iter()
                    .map(|(it, text)| (name.join(it), text)),
            );
        } else {
            files.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
    files
}

/// The new configuration with a value in place of each empty text.
pub fn filled_in(workplace: &Workplace, name: &str) -> String {
    let values = BTreeMap::from([
        ("campaign", "spring"),
        ("from", "Woodgrove <access@woodgrove.example>"),
        ("organization", "Woodgrove"),
        ("link", LINK),
        ("name", "Harbour plans"),
        ("host", "smtp.woodgrove.example"),
        ("username", "access@woodgrove.example"),
        ("region", "eu-central-1"),
        ("tenant", "woodgrove.onmicrosoft.com"),
        ("client_id", "3f2c6a1e-8d4b-4c55-9a0e-6b1d7f24e890"),
    ]);
    let text = std::fs::read_to_string(workplace.file(name)).unwrap();
    let lines = text.lines().map(|line| match line.strip_suffix(" = \"\"") {
        Some(key) if !key.starts_with('#') => format!("{key} = \"{}\"", values[key]),
        _ => line.to_owned(),
    });
    lines.map(|it| it + "\n").collect()
}

/// The keys that an error lists as not filled in, each as it is named and at the line where it stands.
pub fn unfilled(output: &Output, config: &str) -> Vec<String> {
    let lines: Vec<&str> = config.lines().collect();
    let listed = output
        .stderr
        .lines()
        .filter_map(|it| it.strip_prefix("  line ")?.split_once(": "));
    listed
        .map(|(line, path)| {
            let line: usize = line.parse().unwrap();
            let key = path.rsplit('.').next().unwrap();
            assert_eq!(lines[line - 1], format!("{key} = \"\""), "{path}");
            path.to_owned()
        })
        .collect()
}

#[test]
fn check_names_every_key_that_is_not_filled_in() {
    let workplace = Workplace::new(1);
    let output = workplace.run(&["init", "new"]);
    assert_eq!(output.code, 0, "{output:?}");
    let ledger = workplace.file("new/ledger.sqlite3");
    let mode = std::fs::metadata(ledger).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let config = std::fs::read_to_string(workplace.file("new/config.toml")).unwrap();
    assert!(config.lines().count() <= 40, "{config}");
    let list = std::fs::read_to_string(workplace.file("new/partners.csv")).unwrap();
    assert_eq!(list, "email,name,organization,locale,package\n");

    let check = workplace.run(&["check", "-c", "new/config.toml"]);
    assert_eq!(check.code, 78, "{check:?}");
    assert_eq!(
        unfilled(&check, &config),
        [
            "campaign",
            "sender.from",
            "sender.organization",
            "packages.main.link",
            "packages.main.name",
            "smtp.host"
        ]
    );
    let json = workplace.run(&["check", "-c", "new/config.toml", "--format", "json"]);
    assert_eq!(json.code, 78, "{json:?}");
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let finding = &json["findings"][0];
    assert_eq!(finding["check"], "configuration");
    assert!(
        finding["what"]
            .as_str()
            .unwrap()
            .contains("packages.main.link")
    );
    assert_eq!(
        finding["fix"],
        "set them as the comments in the file explain"
    );
    // Nothing is sent, and what is missing can be created.
    assert_eq!(workplace.run(&["send", "-c", "new/config.toml"]).code, 78);
    std::fs::remove_file(workplace.file("new/partners.csv")).unwrap();
    let again = workplace.run(&["init", "new"]);
    assert_eq!(again.stdout, "created new/partners.csv\n", "{again:?}");

    workplace.write("new/config.toml", &filled_in(&workplace, "new/config.toml"));
    let check = workplace.run(&["check", "-c", "new/config.toml"]);
    assert_eq!(check.code, 0, "{check:?}");
    let empty = "has no rows below its header\n  fix: add a row for each partner, or replace it with your own list";
    assert!(check.stderr.contains(empty), "{check:?}");
    let send = workplace.run(&["send", "-c", "new/config.toml"]);
    assert_eq!((send.code, send.stderr.as_str()), (0, ""), "{send:?}");
    let rehearsal = workplace.run(&["send", "--sandbox", "-c", "new/config.toml"]);
    assert_eq!(rehearsal.code, 0, "{rehearsal:?}");
}

#[test]
fn the_configuration_of_each_provider_has_the_keys_of_its_login() {
    for name in Provider::names() {
        let provider = Provider::named(name).unwrap();
        let workplace = Workplace::new(1);

        let output = workplace.run(&["init", "job", "--provider", name]);

        assert_eq!(output.code, 0, "{name}: {output:?}");
        let config = std::fs::read_to_string(workplace.file("job/config.toml")).unwrap();
        let check = workplace.run(&["check", "-c", "job/config.toml"]);
        assert_eq!(check.code, 78, "{name}: {check:?}");
        let asked = unfilled(&check, &config);
        let has_login = provider.login != ProviderLogin::Optional;
        let keys = provider.required_keys();
        let keys = keys
            .iter()
            .filter(|it| !matches!(it.name, "password_file" | "client_secret_file" | "cloud"));
        let keys: Vec<_> = keys.map(|it| format!("{}.{}", it.table, it.name)).collect();
        assert_eq!(&asked[5..], keys, "{name}");
        assert_eq!(check.stderr.lines().count(), asked.len() + 2, "{check:?}");
        let secret = output.stdout.contains("write the secret into ");
        assert_eq!(secret, has_login, "{output:?}");

        let filled = filled_in(&workplace, "job/config.toml");
        workplace.write("job/config.toml", &filled);
        let smtp = Config::load(&workplace.file("job/config.toml"))
            .unwrap()
            .smtp;
        assert_eq!(smtp.provider.unwrap().name, name);
        assert_eq!(smtp.host, provider.host.replace("{region}", "eu-central-1"));
        assert_eq!(smtp.login.is_some(), has_login, "{name}");
    }
    let wrong = Workplace::new(1).run(&["init", "--provider", "contoso"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
}

#[test]
fn the_next_steps_can_be_followed() {
    for arguments in [&["init", "new"][..], &["init", "new", "--example"]] {
        let output = Workplace::new(1).run(arguments);
        let (_, steps) = output.stdout.split_once("\nnext steps:\n").unwrap();
        assert!(steps.starts_with("  1. cd new\n"), "{steps}");
        let mut verbs = Vec::new();
        for (number, line) in steps.lines().enumerate() {
            let start = format!(" {:>2}. ", number + 1);
            let step = line
                .strip_prefix(&start)
                .unwrap_or_else(|| panic!("{line}"));
            assert!(line.chars().count() <= 60, "{line}");
            let Some(command) = step.strip_prefix("access-invite ") else {
                continue;
            };
            let command = command.split("  ").next().unwrap();
            let command = command.replace("YOU@…", "you@woodgrove.example");
            let arguments = words(&format!("access-invite {command}"));
            cli::parse(arguments.into_iter().map(Into::into)).unwrap();
            verbs.push(command);
        }
        let expected: &[&str] = match arguments.len() {
            2 => &[
                "check",
                "preview",
                "check --connect",
                "send --test-to you@woodgrove.example",
                "send",
            ],
            _ => &["send --sandbox"],
        };
        assert_eq!(verbs, expected);
    }
}

#[test]
fn the_example_is_valid_but_does_not_send() {
    let workplace = Workplace::new(1);
    let run = |arguments: &[&str]| workplace.run(arguments);

    let output = run(&["init", "new", "--example"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        output
            .stdout
            .contains("empty ledger created; every partner counts as not invited")
    );
    let mode = |name: &str| {
        let metadata = std::fs::metadata(workplace.file(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("new/ledger.sqlite3"), 0o600);

    let check = run(&["check", "-c", "new/config.toml"]);
    assert_eq!(check.code, 0, "{check:?}");
    assert!(
        check
            .stdout
            .contains("new/config.toml is good: 26 partners, 1 package"),
        "{check:?}"
    );
    assert!(
        check
            .stderr
            .contains("the tenant of Microsoft's documentation"),
        "{check:?}"
    );
    let preview = run(&["preview", "-c", "new/config.toml"]);
    assert_eq!(preview.code, 0, "{preview:?}");
    assert!(preview.stdout.contains("26 messages"), "{preview:?}");
    let rehearsal = run(&["send", "--sandbox", "-c", "new/config.toml"]);
    assert_eq!(rehearsal.code, 0, "{rehearsal:?}");
    let send = run(&["send", "-c", "new/config.toml"]);
    assert_eq!(send.code, 78, "{send:?}");
    assert!(
        send.stderr
            .contains("copy the link of your own access package"),
        "{send:?}"
    );
}

#[test]
fn every_shipped_template_is_written() {
    let workplace = Workplace::new(1);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");

    assert_eq!(workplace.run(&["init", "new"]).code, 0);

    assert_eq!(tree(&workplace.file("new/templates")), tree(&shipped));
}

#[test]
fn nothing_is_overwritten_and_missing_files_are_added() {
    let workplace = Workplace::new(1);
    workplace.write("partners.csv", "email\nmine@a.example\n");
    let before = workplace.bytes();

    let again = workplace.run(&["init"]);
    assert_eq!((again.code, again.stdout.as_str()), (0, ""), "{again:?}");
    assert_eq!(workplace.bytes(), before);

    std::fs::remove_file(workplace.file("ledger.sqlite3")).unwrap();
    let again = workplace.run(&["init"]);
    assert!(again.stdout.contains("empty ledger created"), "{again:?}");
    workplace.write("config.toml", "campaign = 1\n");
    assert_eq!(workplace.run(&["init"]).code, 78);
}

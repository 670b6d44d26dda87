//! The examples of the documents work: command lines, configurations, and the steps of the README.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::markdown::{code_blocks, code_spans, section, without_blocks};
use super::{README, page, readme_and_pages};
use crate::help::words;
use crate::support::pki::Pki;
use crate::support::scanner::PASSWORD;
use crate::support::smtp::{Action, Call, Login, Server, Setup, Tls};
use crate::support::{Output, Workplace, binary, output_of};
use access_invite::cli;
use access_invite::config::Config;

/// Parses the command line after the program's name; `None` if it is right.
fn fault_in(arguments: &str) -> Option<String> {
    let arguments = words(arguments).into_iter().map(Into::into);
    let parsed = cli::parse(std::iter::once("access-invite".into()).chain(arguments));
    parsed
        .err()
        .filter(|it| it.exit_code() != 0)
        .map(|it| it.to_string())
}

/// How a crontab names the program, which is not on cron's path.
const UNDER_CRON: &str = "\"$HOME/.cargo/bin/access-invite\" ";

/// The command lines of the program in a line for a shell or a crontab.
fn command_lines(line: &str) -> impl Iterator<Item = &str> {
    let commands = line
        .split("&&")
        .map(|it| it.split(" >").next().unwrap_or_default().trim());
    commands.filter_map(|it| {
        it.strip_prefix("access-invite ")
            .or_else(|| it.strip_prefix(UNDER_CRON))
            .or_else(|| it.strip_prefix("cargo run --release -- "))
    })
}

#[test]
fn every_command_line_in_a_code_block_parses() {
    let mut parsed = 0;
    for (name, text) in readme_and_pages() {
        for block in code_blocks(text) {
            if !matches!(block.language, "sh" | "crontab") {
                continue;
            }
            for arguments in block.text.lines().flat_map(command_lines) {
                assert_eq!(fault_in(arguments), None, "{name}: {arguments}");
                parsed += 1;
            }
        }
    }
    assert!(parsed >= 40, "only {parsed} command lines were parsed");
}

#[test]
fn every_command_line_in_the_text_parses() {
    let digest = ["0123456789abcdef"; 4].join("-");
    let stand_ins = [
        ("ADDRESS", "ada@fabrikam.example"),
        ("DIGEST", digest.as_str()),
        ("TEXT", "x"),
    ];
    let mut parsed = 0;
    for (name, text) in readme_and_pages() {
        for span in code_spans(&without_blocks(text)) {
            let Some(arguments) = span.strip_prefix("access-invite ") else {
                continue;
            };
            let mut arguments = arguments.to_owned();
            for (placeholder, value) in stand_ins {
                arguments = arguments.replace(placeholder, value);
            }
            assert_eq!(fault_in(&arguments), None, "{name}: {span}");
            parsed += 1;
        }
    }
    assert!(parsed > 5, "only {parsed} command lines were parsed");
}

/// The smallest configuration, which the page about it shows.
pub fn smallest_configuration() -> toml::Table {
    let blocks = code_blocks(page("configuration.md"));
    let first = blocks.iter().find(|it| it.language == "toml").unwrap();
    first.text.parse().unwrap()
}

/// Adds a part of a configuration to a whole one.
pub fn merge(whole: &mut toml::Table, part: toml::Table) {
    for (key, value) in part {
        match (whole.get_mut(&key), value) {
            (Some(toml::Value::Table(whole)), toml::Value::Table(part)) => merge(whole, part),
            (_, value) => {
                whole.insert(key, value);
            }
        }
    }
}

pub fn load(configuration: &toml::Table) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, configuration.to_string()).unwrap();
    Config::load(&path).map_err(|it| it.to_string())
}

#[test]
fn every_configuration_in_a_code_block_loads() {
    let smallest = smallest_configuration();
    load(&smallest).unwrap();
    for table in ["sender", "packages", "partners", "smtp", "ledger"] {
        let mut less = smallest.clone();
        less.remove(table);
        assert!(load(&less).is_err(), "it is not the smallest: {table}");
    }
    let mut loaded = 0;
    for (name, text) in readme_and_pages() {
        for block in code_blocks(text).iter().filter(|it| it.language == "toml") {
            let mut configuration = smallest.clone();
            if block.text.contains("\nprovider = ") {
                configuration.remove("smtp");
            }
            if block.text.contains("\nurl = ") {
                configuration.remove("ledger");
            }
            merge(&mut configuration, block.text.parse().unwrap());
            if let Err(error) = load(&configuration) {
                panic!("{name}: {}: {error}", block.text);
            }
            loaded += 1;
        }
    }
    assert!(loaded > 6, "only {loaded} configurations were loaded");
}

/// A configuration after a person has edited it as a code block shows: each value is set where the file
/// has its key, commented out or not; the tables of packages are replaced.
fn edited(config: &str, block: &str) -> String {
    let mut lines: Vec<String> = config.lines().map(str::to_owned).collect();
    let packages: Vec<&str> = block
        .split("\n\n")
        .filter(|it| it.starts_with("[packages."))
        .collect();
    if !packages.is_empty() {
        let start = lines.iter().position(|it| it.starts_with("[packages."));
        let end = lines.iter().position(|it| it == "[partners]");
        lines.splice(
            start.unwrap()..end.unwrap(),
            [packages.join("\n"), String::new()],
        );
    }
    let mut wanted = "";
    for line in block.lines().filter(|it| !it.is_empty()) {
        if line.starts_with('[') {
            wanted = line;
        } else if !wanted.starts_with("[packages.") {
            let key = line.split(" = ").next().unwrap();
            let starts = [format!("{key} = "), format!("# {key} = ")];
            let mut table = String::new();
            let found = lines.iter_mut().find(|it| {
                if it.starts_with('[') {
                    table.clone_from(it);
                }
                table == wanted && starts.iter().any(|start| it.starts_with(start))
            });
            let found = found.unwrap_or_else(|| panic!("{wanted} has no {key}"));
            line.clone_into(found);
        }
    }
    lines.join("\n")
}

/// A shell in a folder, with the program and a stand-in for `xdg-open` on its path.
struct Shell<'a> {
    programs: &'a Path,
    folder: &'a Path,
}

impl Shell<'_> {
    fn run(&self, script: &str) -> Output {
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new("sh");
        command
            .args(["-e", "-c", script])
            .current_dir(self.folder)
            .env("PATH", format!("{}:{path}", self.programs.display()))
            .env_remove("ACCESS_INVITE_CONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        output_of(&mut command)
    }
}

/// Runs the command of a crontab line as cron does, in this folder: with `sh`, a short path, and hardly any
/// environment. The program is where Cargo installs it.
pub fn run_as_cron(line: &str, job: &Path) -> Output {
    let home = tempfile::tempdir().unwrap();
    let programs = home.path().join(".cargo/bin");
    std::fs::create_dir_all(&programs).unwrap();
    symlink(binary(), programs.join("access-invite")).unwrap();
    let (_, command) = line.trim().split_once("  ").unwrap();
    let command = command.replace("/srv/invitations", job.to_str().unwrap());
    output_of(
        Command::new("sh")
            .args(["-c", &command])
            .current_dir(home.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    )
}

#[test]
fn every_line_for_a_crontab_works_under_cron() {
    let mut lines = 0;
    for (name, text) in readme_and_pages() {
        for block in code_blocks(text) {
            if block.language != "crontab" {
                continue;
            }
            for line in block.text.lines() {
                let server = Server::accepting();
                let workplace = Workplace::new(server.port());
                workplace.partners(&["ada@a.example"]);

                let output = run_as_cron(line, workplace.path());

                let said = (output.code, output.stdout.as_str(), output.stderr.as_str());
                assert_eq!(said, (0, "", ""), "{name}: {line}");
                assert_eq!(server.accepted().len(), 1, "{name}: {line}");
                lines += 1;
            }
        }
    }
    assert!(lines >= 2, "only {lines} lines were run");
}

#[test]
fn the_steps_of_the_readme_send_the_first_invitations() {
    let pki = Pki::new();
    let takes = format!("\0partner-access@woodgrove.example\0{PASSWORD}");
    let setup = Setup {
        tls: Some((Tls::Implicit, pki.server("localhost"))),
        login: Some(Login {
            mechanisms: "PLAIN",
            takes: BASE64.encode(takes),
            ..Default::default()
        }),
        ..Setup::default()
    };
    let server = Server::set_up(setup, |_: &Call| Action::Normal);
    let workplace = Workplace::new(1);
    let programs = tempfile::tempdir().unwrap();
    symlink(binary(), programs.path().join("access-invite")).unwrap();
    let opener = programs.path().join("xdg-open");
    std::fs::write(&opener, "#!/bin/sh\ntest -s \"$1\"\n").unwrap();
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
    let job = workplace.file("invitations");
    let steps = section(README, "## Your first invitations in five minutes");
    let mut run = Vec::new();

    for block in code_blocks(steps) {
        let folder = if job.exists() {
            job.as_path()
        } else {
            workplace.path()
        };
        let shell = Shell {
            programs: programs.path(),
            folder,
        };
        match block.language {
            "sh" => {
                let script = block.text.replace("cargo install --locked --path .\n", "");
                let output = shell.run(&script);
                assert_eq!(output.code, 0, "{script}: {output:?}");
                run.extend(script.lines().map(str::to_owned));
                let password = job.join("smtp-password");
                if script.contains("smtp-password") {
                    let mode = std::fs::metadata(&password).unwrap().permissions().mode();
                    assert_eq!(mode & 0o777, 0o600);
                    workplace.write("invitations/smtp-password", PASSWORD);
                }
            }
            "toml" => {
                let config = std::fs::read_to_string(job.join("config.toml")).unwrap();
                let relay = format!(
                    "host = \"localhost\"\nport = {}\nca_file = \"ca.pem\"",
                    server.port()
                );
                let config = edited(&config, &block.text);
                let host = config.lines().find(|it| it.starts_with("host = ")).unwrap();
                let config = config.replace(host, &relay);
                workplace.write("invitations/config.toml", &config);
                workplace.write("invitations/ca.pem", &pki.ca_pem);
            }
            "csv" => workplace.write("invitations/partners.csv", &block.text),
            "crontab" => {
                let output = run_as_cron(&block.text, &job);
                let said = (output.code, output.stdout.as_str(), output.stderr.as_str());
                assert_eq!(said, (0, "", ""));
            }
            other => panic!("what to do with a block of {other:?}?"),
        }
    }

    assert_eq!(
        run,
        [
            "access-invite init invitations",
            "cd invitations",
            "install -m 600 /dev/null smtp-password",
            "access-invite check",
            "access-invite preview",
            "xdg-open preview/index.html",
            "access-invite check --connect",
            "access-invite send --test-to you@woodgrove.example",
            "access-invite send",
            "access-invite status",
            "access-invite status ada@fabrikam.example",
        ]
    );
    let mut reached: Vec<String> = server
        .accepted()
        .into_iter()
        .map(|it| it.recipients[0].clone())
        .collect();
    reached.sort();
    let you = "you@woodgrove.example";
    let partners = ["ada@fabrikam.example", "francois@chantiers.example"];
    assert_eq!(reached, [partners[0], partners[1], you, you]);
}

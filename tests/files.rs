//! Files and streams: only regular files are read, nothing outside the job is written, output is
//! never truncated silently, no terminal or spreadsheet executes what is shown, and files that
//! everyone can change are reported.

use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::pki::Pki;
use crate::support::scanner::PASSWORD;
use crate::support::smtp::{Action, Call, Server, Stage, reply};
use crate::support::{Output, Workplace, parallel};
use rusqlite::Connection;

fn allow(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A run with a time limit.
fn run(workplace: &Workplace, arguments: &[&str]) -> Output {
    workplace.run_under(&["timeout", "30"], arguments)
}

/// A device on which every write fails with ENOSPC.
fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// A relay that refuses Bob, and cuts the connection at Cleo's final dot.
fn partly_refusing() -> Server {
    Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some("bob@b.example")) => reply("550 5.1.1 no such user"),
        (Stage::Dot, Some("cleo@c.example")) => Action::Close,
        _ => Action::Normal,
    })
}

#[test]
fn f10_a_preview_follows_no_symbolic_link() {
    let workplace = Workplace::english(1);
    workplace.partners(&["ada@a.example"]);
    let victim = workplace.file("victim");
    let intact = || {
        let text = std::fs::read_to_string(&victim).unwrap();
        let mode = victim.metadata().unwrap().permissions().mode();
        (text.as_str(), mode & 0o777) == ("precious", 0o644)
    };
    std::fs::write(&victim, "precious").unwrap();
    allow(&victim, 0o644);
    let out = workplace.file("out");

    for verb in [
        &["preview"][..],
        &["send", "--sandbox"],
        &["send", "--dry-run"],
    ] {
        let arguments = [verb, &["--out", "out"]].concat();
        // The mark of an old preview is a link.
        std::fs::create_dir(&out).unwrap();
        symlink(&victim, out.join(".made-by-access-invite")).unwrap();
        let output = run(&workplace, &arguments);
        assert_eq!(output.code, 74, "{output:?}");
        assert!(output.stderr.contains("not from a preview"), "{output:?}");
        assert!(intact(), "{verb:?}");
        std::fs::remove_dir_all(&out).unwrap();

        // The folder is a link.
        std::fs::create_dir(workplace.file("elsewhere")).unwrap();
        symlink("elsewhere", &out).unwrap();
        let output = run(&workplace, &arguments);
        assert_eq!(output.code, 74, "{output:?}");
        assert!(
            output.stderr.contains("it is a symbolic link"),
            "{output:?}"
        );
        std::fs::remove_file(&out).unwrap();
        std::fs::remove_dir(workplace.file("elsewhere")).unwrap();

        // Every file of an old review has become a link.
        assert_eq!(run(&workplace, &arguments).code, 0);
        let files = [
            "index.html",
            "list.html",
            "review.css",
            "kinds.js",
            "print.js",
            "review.js",
            ".reviewed",
        ];
        for file in [&files[..], &["approval.txt"]].concat() {
            let _ = std::fs::remove_file(out.join(file));
            symlink(&victim, out.join(file)).unwrap();
        }
        for folder in ["messages", "data"] {
            std::fs::remove_dir_all(out.join(folder)).unwrap();
            symlink(workplace.path(), out.join(folder)).unwrap();
        }
        let output = run(&workplace, &arguments);
        assert_eq!(output.code, 0, "{output:?}");
        assert!(intact(), "{verb:?}");
        assert!(workplace.file("config.toml").exists());
        assert!(out.join("index.html").symlink_metadata().unwrap().is_file());
        std::fs::remove_dir_all(&out).unwrap();
    }

    // The folder belongs to another user; only root can set that up.
    std::fs::create_dir(&out).unwrap();
    let given = std::os::unix::fs::chown(&out, Some(12_345), None).is_ok();
    let theirs = if given { "out" } else { "/usr" };
    let output = run(&workplace, &["preview", "--out", theirs]);
    assert_eq!(output.code, 74, "{output:?}");
    assert!(
        output.stderr.contains("it belongs to another user"),
        "{output:?}"
    );
    std::fs::remove_dir(&out).unwrap();

    // Not a folder.
    std::fs::write(&out, "x").unwrap();
    let output = run(&workplace, &["preview", "--out", "out"]);
    assert_eq!(output.code, 74, "{output:?}");
    assert!(output.stderr.contains("it is not a folder"), "{output:?}");
}

#[test]
fn f10_lock_file_and_results_follow_no_symbolic_link() {
    let server = Server::accepting();
    let mut workplace = Workplace::english(server.port());
    workplace.extra = "[results]\ncsv = \"results.csv\"".into();
    workplace.configure();
    workplace.partners(&["ada@a.example"]);
    std::fs::write(workplace.file("victim"), "precious").unwrap();
    let lock = workplace.file("ledger.sqlite3.lock");
    let _ = std::fs::remove_file(&lock);
    symlink("victim", &lock).unwrap();

    let output = run(&workplace, &["send"]);

    assert_eq!(output.code, 74, "{output:?}");
    assert!(
        output.stderr.contains("it is a symbolic link"),
        "{output:?}"
    );
    assert!(server.accepted().is_empty());
    std::fs::remove_file(&lock).unwrap();

    // A pipe in its place blocks neither a run nor a read.
    let made = Command::new("mkfifo").arg(&lock).status();
    assert!(made.unwrap().success());
    assert_eq!(run(&workplace, &["send"]).code, 74);
    assert_eq!(run(&workplace, &["status"]).code, 0);
    std::fs::remove_file(&lock).unwrap();

    // The results replace no file that a run did not write, also not through a link.
    symlink("victim", workplace.file("results.csv")).unwrap();
    let output = run(&workplace, &["send"]);
    assert_eq!(output.code, 74, "{output:?}");
    assert!(server.accepted().is_empty());
    let text = std::fs::read_to_string(workplace.file("victim")).unwrap();
    assert_eq!(text, "precious");
}

#[test]
fn f11_a_failed_write_to_stdout_is_74_with_a_message() {
    let server = partly_refusing();
    let mut workplace = Workplace::english(server.port());
    workplace.smtp("connections = 1");
    workplace.partners(&["ada@a.example", "bob@b.example", "cleo@c.example"]);

    // The mail is sent and the outcome recorded; only the output is lost.
    let output = workplace.run_with(&["send"], |it| {
        it.stderr(full());
    });
    assert_eq!(output.code, 74, "{output:?}");
    let states = workplace.states();
    let state = |email: &str| &states.iter().find(|it| it.0 == email).unwrap().1;
    assert_eq!(state("ada@a.example"), "accepted");
    assert_eq!(state("bob@b.example"), "rejected");
    assert_eq!(state("cleo@c.example"), "unknown");

    for arguments in [
        &["status"][..],
        &["status", "--format", "json"],
        &["status", "--format", "csv"],
        &["status", "ada@a.example"],
        &["check"],
        &["check", "--locales"],
        &["check", "--locales", "--format", "json"],
        &["preview"],
        &["send", "--sandbox"],
        &["send", "--test-to", "me@contoso.example"],
        &[
            "resolve",
            "--all-unknown",
            "--as",
            "abandoned",
            "--note",
            "x",
        ],
        &["init", "another"],
        &["--help"],
        &["help", "send"],
        &["--version"],
    ] {
        let output = workplace.run_with(arguments, |it| {
            it.stdout(full());
        });
        assert_eq!(output.code, 74, "{arguments:?}: {output:?}");
        let words =
            "error: cannot write to stdout: No space left on device; the output is incomplete";
        assert!(output.stderr.contains(words), "{arguments:?}: {output:?}");
    }
    // The decision is recorded.
    assert!(workplace.states().iter().any(|it| it.1 == "abandoned"));
    // An earlier error keeps its code.
    let output = workplace.run_with(&["check", "-c", "nowhere.toml"], |it| {
        it.stdout(full()).stderr(full());
    });
    assert_eq!(output.code, 78);
}

#[test]
fn f11_a_closed_pipe_is_no_error() {
    let workplace = Workplace::english(1);
    workplace.many_partners(2_000);
    for arguments in [
        &["status", "--format", "json"][..],
        &["check", "--locales", "--format", "json"],
        &["preview", "--limit", "1"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = workplace.run_with(arguments, |it| {
            it.stdout(writer);
        });
        assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
    }
}

/// Puts something else at the path of a file.
type Obstacle = fn(&Path);

#[test]
fn f14_a_special_or_oversized_file_is_refused_at_once() {
    let pki = Pki::new();
    let mut workplace = Workplace::english(1);
    workplace.partners(&["ada@a.example"]);
    workplace.short_templates();
    workplace.extra = "[approval]\nfile = \"approved.txt\"".into();
    workplace.log_in(1, &pki.ca_pem, "");
    workplace.write(
        "approved.txt",
        &format!("{}\n", ["0123456789abcdef"; 4].join("-")),
    );
    let files = [
        ("config.toml", "configuration", 78),
        ("words/en/invitation.html", "template", 78),
        ("words/en/invitation.txt", "template", 78),
        ("password", "password_file", 78),
        ("ca.pem", "ca_file", 78),
        ("approved.txt", "approval", 65),
        ("partners.csv", "partner file", 65),
    ];
    let obstacles: [(Obstacle, &str); 6] = [
        (
            |it| assert!(Command::new("mkfifo").arg(it).status().unwrap().success()),
            "a named pipe, not a regular file",
        ),
        (
            |it| symlink("/dev/zero", it).unwrap(),
            "a device, not a regular file",
        ),
        (
            |it| symlink("/dev/tty", it).unwrap(),
            "a device, not a regular file",
        ),
        (
            |it| std::fs::create_dir(it).unwrap(),
            "a folder, not a regular file",
        ),
        (
            |it| drop(std::os::unix::net::UnixListener::bind(it).unwrap()),
            "a socket, not a regular file",
        ),
        // A sparse file.
        (
            |it| {
                File::create(it).unwrap().set_len(3 << 30).unwrap();
                allow(it, 0o600);
            },
            "larger than",
        ),
    ];
    for (name, what, code) in files {
        let path = workplace.file(name);
        let aside = workplace.file("aside");
        std::fs::rename(&path, &aside).unwrap();
        for (obstacle, words) in obstacles {
            // The digest is at the beginning of an approval.
            if name == "approved.txt" && words == "larger than" {
                continue;
            }
            obstacle(&path);
            for verb in ["send", "check"] {
                let begun = Instant::now();
                let output = run(&workplace, &[verb]);
                assert_eq!(output.code, code, "{name}: {output:?}");
                assert!(output.stderr.contains(what), "{name}: {output:?}");
                assert!(output.stderr.contains(words), "{name}, {words}: {output:?}");
                assert!(begun.elapsed() < Duration::from_secs(30), "{name}");
            }
            if path.is_dir() && !path.is_symlink() {
                std::fs::remove_dir(&path).unwrap();
            } else {
                std::fs::remove_file(&path).unwrap();
            }
        }
        // A link to a regular file is as good as the file.
        symlink(&aside, &path).unwrap();
        let output = run(&workplace, &["check"]);
        assert_eq!(output.code, 0, "{name}: {output:?}");
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&aside, &path).unwrap();
    }
}

#[test]
fn f15_100000_configuration_errors_are_reported_at_once() {
    let workplace = Workplace::english(1);
    let good = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let lines = |line: fn(usize) -> String| (0..100_000).map(line).collect::<String>();
    let long = "k".repeat(1_000_000);
    let cases = [
        (
            "keys",
            format!("{}{good}", lines(|it| format!("key{it} = 1\n"))),
            Some(99_800),
        ),
        (
            "more keys",
            format!("{good}\n[retries]\n{}", lines(|it| format!("k{it} = 1\n"))),
            None,
        ),
        (
            "tables",
            format!("{good}\n{}", lines(|it| format!("[t{it}]\n"))),
            Some(99_800),
        ),
        (
            "packages",
            format!("{good}\n{}", lines(|it| format!("[packages.p{it}]\n"))),
            None,
        ),
        (
            "wrong packages",
            format!(
                "{good}\n{}",
                (0..999)
                    .map(|it| format!("[packages.p{it}]\n"))
                    .collect::<Vec<_>>()
                    .concat()
            ),
            Some(1_798),
        ),
        (
            "nonsense",
            format!("{good}\n{}", lines(|it| format!("?{it}\n"))),
            None,
        ),
        (
            "one key again and again",
            format!("{}{good}", lines(|_| "a = 1\n".into())),
            None,
        ),
        ("a long key", format!("{long} = 1\n{good}"), None),
        (
            "a long key in quotes",
            format!("\"{long}\" = 1\n{good}"),
            None,
        ),
        (
            "a long value",
            good.replace("\"spring\"", &format!("[\"{long}\"]")),
            None,
        ),
        (
            "a long line",
            format!("x = [{}]\n{good}", "1,".repeat(500_000)),
            None,
        ),
        ("deep", format!("x = {}\n{good}", "[".repeat(100_000)), None),
        (
            "deep keys",
            format!("{}x = 1\n{good}", "a.".repeat(100_000)),
            None,
        ),
    ];
    for (name, text, more) in cases {
        workplace.write("other.toml", &text);
        let begun = Instant::now();
        let output = run(&workplace, &["check", "-c", "other.toml"]);

        assert_eq!(output.code, 78, "{name}: {}", output.code);
        let length = output.stderr.len();
        assert!(length < 200_000, "{name}: {length} bytes");
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "{name}: {:?}",
            begun.elapsed()
        );
        if name == "packages" {
            let words = "100001 packages are configured, more than the limit of 1000";
            assert!(output.stderr.contains(words), "{}", output.stderr);
        }
        if let Some(more) = more {
            let last = output.stderr.trim_end().lines().last().unwrap();
            assert_eq!(
                last,
                format!("other.toml: and {more} more errors"),
                "{name}"
            );
        }
    }
}

#[test]
fn f17_a_reply_is_no_formula_under_any_delimiter() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Rcpt => reply("550 5.1.1 no;=cmd|'/C calc'!A0;\"=1\",@x"),
        _ => Action::Normal,
    });
    for delimiter in [',', ';', '\t'] {
        let mut workplace = Workplace::english(server.port());
        workplace.extra = "[results]\ncsv = \"results.csv\"".into();
        workplace.configure();
        let list =
            "email,name,note\nada@a.example,Ada,\"x;-y\"\n".replace(',', &delimiter.to_string());
        workplace.write("partners.csv", &list);

        let output = run(&workplace, &["send"]);
        assert_eq!(output.code, 1, "{output:?}");

        let results = std::fs::read_to_string(workplace.file("results.csv")).unwrap();
        let row = results.lines().nth(1).unwrap();
        // The cells of the list stay byte for byte.
        assert!(row.starts_with(list.lines().nth(1).unwrap()), "{row}");
        assert!(row.contains("no;'=cmd|'/C calc'!A0;'"), "{row}");
        let csv = run(&workplace, &["status", "--format", "csv"]).stdout;
        assert!(csv.contains("no;'=cmd|'/C calc'!A0;'"), "{csv}");
        for text in [
            row.strip_prefix(list.lines().nth(1).unwrap()).unwrap(),
            csv.as_str(),
        ] {
            for cell in text.split([',', ';', '\t', '\n']) {
                let cell = cell.trim_start_matches('"');
                assert!(
                    !cell.starts_with(['=', '+', '-', '@']),
                    "{cell:?} of {text}"
                );
            }
        }
    }
}

#[test]
fn f20_escape_sequences_in_the_ledger_are_not_executed() {
    const EVIL: &str =
        "\x1b]0;owned\x07\x1b[2J\u{9b}31m\u{202e}\u{200f}\u{2028}\nforged: line\r\tx";
    let server = partly_refusing();
    let mut workplace = Workplace::english(server.port());
    workplace.smtp("connections = 1");
    workplace.partners(&["ada@a.example", "bob@b.example", "cleo@c.example"]);
    assert_eq!(workplace.run(&["send"]).code, 3);
    let ledger = Connection::open(workplace.file("ledger.sqlite3")).unwrap();
    ledger
        .execute_batch(&format!(
            "UPDATE invitation SET package = 'p{EVIL}', email = email || '{EVIL}', name = '{EVIL}',
                organization = '{EVIL}', locale = '{EVIL}', template_locale = '{EVIL}',
                message_id = message_id || '{EVIL}';
             UPDATE invitation SET address = '{EVIL}' WHERE address LIKE 'ada%';
             UPDATE history SET phase = '{EVIL}', enhanced_code = '{EVIL}', reply = '{EVIL}',
                relay = '{EVIL}', note = '{EVIL}', message_id = '{EVIL}';
             INSERT INTO invitation SELECT id + 100, 'spring{EVIL}', package_id, 'ada@a.example', occasion,
                package, email, name, organization, locale, template_locale, state, generation,
                message_id, attempts, deferrals, repeat, created_at, updated_at, accepted_at,
                deferred_since, next_attempt_at, message_date, message_sha256, latest, room
                FROM invitation WHERE state = 'accepted';"
        ))
        .unwrap();
    drop(ledger);

    let verbs = [
        &["status"][..],
        &["status", "--format", "json"],
        &["status", "--format", "csv"],
        &["status", "cleo@c.example"],
        &["status", "cleo@c.example", "--format", "json"],
        &["check"],
        &["preview"],
        &["send", "--sandbox"],
        &["send"],
        &["resolve", "cleo@c.example", "--as", "resend", "--note", "x"],
        &[
            "resolve",
            "bob@b.example",
            "--as",
            "abandoned",
            "--note",
            "x",
        ],
        &[
            "resolve",
            "--all-unknown",
            "--as",
            "abandoned",
            "--note",
            "x",
        ],
    ];
    for arguments in verbs {
        // Every run of the binary is checked for control characters.
        let output = run(&workplace, arguments);
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(
            !said.contains(['\u{200f}', '\u{2028}']),
            "{arguments:?}: {said:?}"
        );
        assert!(!said.contains("\nforged"), "{arguments:?}: {said}");
        if arguments.ends_with(&["json"]) {
            let json: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
            let name = json["invitations"][0]["name"].as_str();
            assert_eq!(name, Some(EVIL), "{arguments:?}");
        }
    }
    // The campaign's name in the ledger also appears in a message.
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write("config.toml", &config.replace("\"spring\"", "\"summer\""));
    let output = run(&workplace, &["send"]);
    assert_eq!(output.code, 65, "{output:?}");
    assert!(!output.stderr.contains("\nforged"), "{output:?}");
}

#[test]
fn f21_a_world_writable_file_is_a_warning() {
    let server = Server::accepting();
    let mut workplace = Workplace::english(server.port());
    workplace.partners(&["ada@a.example"]);
    workplace.short_templates();
    workplace.extra = "[approval]\nfile = \"approval/approved.txt\"".into();
    workplace.configure();
    std::fs::create_dir(workplace.file("approval")).unwrap();
    workplace.write(
        "approval/approved.txt",
        &format!("{}\n", ["0123456789abcdef"; 4].join("-")),
    );
    let warned = |path: &str, mode: u32, words: &str| {
        let path = workplace.file(path);
        let before = path.metadata().unwrap().permissions().mode();
        for (mode, expected) in [(before | 0o020, false), (mode, true)] {
            allow(&path, mode);
            for verb in ["check", "preview"] {
                let output = run(&workplace, &[verb]);
                assert_eq!(output.code, 0, "{output:?}");
                assert_eq!(
                    output.stderr.contains(words),
                    expected,
                    "{path:?}: {output:?}"
                );
            }
        }
        allow(&path, before);
    };

    warned(
        "config.toml",
        0o666,
        "the configuration `config.toml` is writable by everyone\n  fix: run `chmod o-w config.toml`",
    );
    warned(
        "words/en/invitation.txt",
        0o646,
        "the template `words/en/invitation.txt` is writable by everyone",
    );
    warned(
        "words/en",
        0o777,
        "everyone can replace the template `words/en/invitation.html`",
    );
    warned(
        "words",
        0o757,
        "the template folder `words` is writable by everyone",
    );
    warned(
        "approval/approved.txt",
        0o602,
        "the approval `approval/approved.txt` is writable by everyone",
    );
    warned(
        "approval",
        0o777,
        "everyone can replace the approval `approval/approved.txt`",
    );
    warned(
        "partners.csv",
        0o666,
        "the partner file `partners.csv` is writable by everyone",
    );
    warned(
        ".",
        0o777,
        "everyone can replace the configuration `config.toml`",
    );
    // In a sticky folder such as `/tmp`, nobody else can replace a file.
    allow(workplace.path(), 0o1777);
    let output = run(&workplace, &["check"]);
    assert!(!output.stderr.contains("the configuration"), "{output:?}");
    allow(workplace.path(), 0o700);
}

#[test]
fn f21_no_command_runs_from_a_world_writable_file() {
    let server = Server::accepting();
    let mut workplace = Workplace::english(server.port());
    workplace.partners(&["ada@a.example"]);
    std::fs::create_dir(workplace.file("bin")).unwrap();
    workplace.write("bin/token", "#!/bin/sh\ntouch ran\necho token\n");
    allow(&workplace.file("bin/token"), 0o755);
    let program = workplace.file("bin/token").display().to_string();
    let with = |workplace: &mut Workplace, program: &str| {
        workplace.smtp = format!(
            "host = \"localhost\"\nport = {}\ntls = \"starttls\"\nusername = \"ada\"\ntoken_command = [\"{program}\"]",
            server.port()
        );
        workplace.configure();
    };
    let refused = |workplace: &Workplace, words: &str| {
        for verb in ["send", "check"] {
            let output = workplace.run_with(&[verb], |it| {
                it.env(
                    "PATH",
                    format!("{}:/usr/bin:/bin", workplace.file("bin").display()),
                );
            });
            assert_eq!(output.code, 77, "{output:?}");
            assert!(output.stderr.contains(words), "{output:?}");
        }
    };

    with(&mut workplace, &program);
    assert_eq!(run(&workplace, &["check"]).code, 0);
    allow(&workplace.file("config.toml"), 0o646);
    refused(
        &workplace,
        "the configuration `config.toml` is writable by everyone; run `chmod o-w config.toml`: everyone could change the program",
    );
    allow(&workplace.file("config.toml"), 0o664);
    allow(workplace.path(), 0o777);
    refused(&workplace, "everyone can replace the configuration");
    allow(workplace.path(), 0o700);

    // The program itself, by its path and by its name alone.
    for name in [program.as_str(), "token"] {
        with(&mut workplace, name);
        allow(&workplace.file("bin/token"), 0o757);
        refused(&workplace, "bin/token` is writable by everyone");
        allow(&workplace.file("bin/token"), 0o775);
        allow(&workplace.file("bin"), 0o777);
        refused(&workplace, "everyone can replace the program");
        allow(&workplace.file("bin"), 0o755);
    }
    // A script that is an argument.
    workplace.smtp = workplace
        .smtp
        .replace("[\"token\"]", &format!("[\"sh\", \"{program}\"]"));
    workplace.configure();
    assert_eq!(run(&workplace, &["check"]).code, 0);
    allow(&workplace.file("bin/token"), 0o646);
    refused(&workplace, "bin/token` is writable by everyone");
    assert!(!workplace.file("ran").exists());
}

#[test]
fn f8_a_file_size_limit_ends_a_run_with_74() {
    // Blocks of 512 or 1,024 bytes: from too few for anything to enough for everything.
    let limits = [0, 1, 8, 40, 120, 400, 1_000, 100_000];
    parallel::for_each(4, &limits, |&blocks: &u32| {
        let server = Server::accepting();
        let mut workplace = Workplace::english(server.port());
        workplace.smtp("connections = 2");
        workplace.extra = "[results]\ncsv = \"results.csv\"".into();
        workplace.configure();
        workplace.many_partners(60);
        let limit = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let limited = |arguments: &[&str]| workplace.run_under(&["sh", "-c", &limit], arguments);

        let output = limited(&["send"]);

        if blocks < 8 {
            assert_eq!(output.code, 74, "{blocks}: {output:?}");
            let told = ["File too large", "(`ulimit -f`)"];
            assert!(
                told.iter().any(|it| output.stderr.contains(it)),
                "{blocks}: {output:?}"
            );
        }
        assert!(matches!(output.code, 0 | 74), "{blocks}: {output:?}");
        assert_eq!(
            output.code == 0,
            server.accepted().len() == 60 && output.stderr.is_empty(),
            "{blocks}: {output:?}"
        );
        let preview = limited(&["preview"]);
        assert!(matches!(preview.code, 0 | 74), "{blocks}: {preview:?}");
        if blocks == 0 {
            assert_eq!(preview.code, 74, "{preview:?}");
            // Files are limited, pipes are not.
            assert_eq!(limited(&["status"]).code, 0);
        }
        let after = workplace.run(&["send"]);
        assert!(matches!(after.code, 0 | 3), "{blocks}: {after:?}");
        crate::support::oracle::check(&workplace, &server, 60, 2);
    });
}

#[test]
fn f8_output_to_a_file_at_its_size_limit_is_74() {
    let workplace = Workplace::english(1);
    let into = "ulimit -f 0; exec \"$0\" \"$@\" > status.json";
    let output = workplace.run_under(&["sh", "-c", into], &["status", "--format", "json"]);
    assert_eq!(output.code, 74, "{output:?}");
    assert!(
        output
            .stderr
            .contains("cannot write to stdout: File too large"),
        "{output:?}"
    );
}

#[test]
fn r8_a_password_file_may_have_a_bom_and_one_line_end() {
    use base64::Engine;
    let password = format!("{PASSWORD}-äöü€");
    let takes = base64::engine::general_purpose::STANDARD.encode(format!("\0ada\0{password}"));
    let pki = Pki::new();
    let setup = crate::support::smtp::Setup {
        tls: Some((crate::support::smtp::Tls::StartTls, pki.server("localhost"))),
        login: Some(crate::support::smtp::Login {
            mechanisms: "PLAIN",
            takes,
            ..Default::default()
        }),
        ..crate::support::smtp::Setup::default()
    };
    let server = Server::set_up(setup, |_: &Call| Action::Normal);
    let mut workplace = Workplace::english(server.port());
    workplace.partners(&["ada@a.example"]);
    workplace.log_in(server.port(), &pki.ca_pem, "tls = \"starttls\"");
    let utf_16 = |bytes: fn(u16) -> [u8; 2], mark: &str| {
        let text = format!("{mark}{password}\r\n");
        text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>()
    };
    for good in [
        password.clone(),
        format!("{password}\n"),
        format!("{password}\r\n"),
        format!("\u{feff}{password}\r\n"),
    ] {
        std::fs::write(workplace.file("password"), good).unwrap();
        let output = run(&workplace, &["check", "--connect"]);
        assert_eq!(output.code, 0, "{output:?}");
        assert!(output.stdout.contains("logged in as ada"), "{output:?}");
    }
    allow(&workplace.file("password"), 0o602);
    let output = run(&workplace, &["check"]);
    assert_eq!(output.code, 77, "{output:?}");
    assert!(output.stderr.contains("writable by everyone"), "{output:?}");
    allow(&workplace.file("password"), 0o600);
    for (wrong, words) in [
        (utf_16(u16::to_le_bytes, "\u{feff}"), "is UTF-16"),
        (utf_16(u16::to_be_bytes, "\u{feff}"), "is UTF-16"),
        (utf_16(u16::to_le_bytes, ""), "is UTF-16"),
        (
            format!("{PASSWORD}-\u{e4}")
                .chars()
                .map(|it| it as u8)
                .collect(),
            "is not UTF-8",
        ),
        (format!("{password}\n\n").into_bytes(), "must be one line"),
        (b"\xef\xbb\xbf\r\n".to_vec(), "is empty"),
    ] {
        std::fs::write(workplace.file("password"), wrong).unwrap();
        let output = run(&workplace, &["check"]);
        assert_eq!(output.code, 78, "{output:?}");
        assert!(output.stderr.contains(words), "{words}: {output:?}");
    }
    // From the environment, the same.
    workplace.smtp = workplace.smtp.replace(
        "password_file = \"password\"",
        "password_env = \"RELAY_PASSWORD\"",
    );
    workplace.configure();
    let output = workplace.run_with(&["check", "--connect"], |it| {
        it.env("RELAY_PASSWORD", format!("\u{feff}{password}\r\n"))
            .stdin(Stdio::null());
    });
    assert_eq!(output.code, 0, "{output:?}");
}

//! `results.csv`: the list with the outcome of each row.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::support::Workplace;
use crate::support::smtp::{Action, Call, Server, Stage, reply};

/// A job on one connection that writes `results.csv`.
fn workplace(port: u16) -> Workplace {
    let mut workplace = Workplace::new(port);
    workplace.smtp += "\nconnections = 1";
    workplace.extra = "[results]\ncsv = \"results.csv\"".into();
    workplace.configure();
    workplace
}

/// The results by column name, row by row.
fn results(workplace: &Workplace) -> Vec<BTreeMap<String, String>> {
    let bytes = std::fs::read(workplace.file("results.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(&bytes[..]);
    reader.deserialize().map(|it| it.unwrap()).collect()
}

/// Address and state of each row.
fn states(workplace: &Workplace) -> Vec<(String, String)> {
    results(workplace)
        .iter()
        .map(|it| (it["email"].clone(), it["invitation_state"].clone()))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(email, state)| ((*email).to_owned(), (*state).to_owned()))
        .collect()
}

#[test]
fn each_row_has_state_reply_times_and_message_id() {
    let server = Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some("bob@b.example")) => reply("550 5.1.1 =cmd() no such user"),
        (Stage::Rcpt, Some("cleo@c.example")) => reply("451 4.7.1 greylisted; come back"),
        (Stage::Dot, Some("dan@d.example")) => Action::Close,
        _ => Action::Normal,
    });
    let mut workplace = workplace(server.port());
    workplace.extra += "\n[packages.old]\nlink = \"https://myaccess.microsoft.com/@fabrikam.onmicrosoft.com#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b12\"\nname = \"Old\"\nrespond_by = 2020-01-31";
    workplace.configure();
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write(
        "config.toml",
        &config.replace("[partners]", "[partners]\nbad_rows = \"skip\""),
    );
    workplace.write(
        "partners.csv",
        "email;package;team\nada@a.example;project;North\nbob@b.example;project;South\n\ncleo@c.example;project;\ndan@d.example;project;\nnobody;project;West\neva@e.example;old;\n",
    );

    let output = workplace.run(&["send"]);

    assert_eq!(output.code, 3, "{output:?}");
    let bytes = std::fs::read(workplace.file("results.csv")).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(b';')
        .from_reader(text.as_bytes());
    let rows: Vec<BTreeMap<String, String>> = reader.deserialize().map(|it| it.unwrap()).collect();
    let seen: Vec<_> = rows
        .iter()
        .map(|it| {
            [
                "email",
                "team",
                "invitation_state",
                "invitation_smtp_code",
                "invitation_enhanced_code",
                "invitation_note",
                "invitation_attempts",
            ]
            .map(|column| it[column].as_str())
        })
        .collect();
    assert_eq!(
        seen,
        [
            [
                "ada@a.example",
                "North",
                "accepted",
                "250",
                "2.0.0",
                "",
                "1"
            ],
            [
                "bob@b.example",
                "South",
                "rejected",
                "550",
                "5.1.1",
                "",
                "1"
            ],
            ["cleo@c.example", "", "deferred", "451", "4.7.1", "", "1"],
            [
                "dan@d.example",
                "",
                "unknown",
                "",
                "",
                rows[3]["invitation_note"].as_str(),
                "1"
            ],
            [
                "nobody",
                "West",
                "bad_row",
                "",
                "",
                "column email: it is not an address, because it has no `@`",
                ""
            ],
            [
                "eva@e.example",
                "",
                "not_invited",
                "",
                "",
                "closed: the last day to respond was 2020-01-31",
                ""
            ],
        ]
    );
    assert_eq!(rows[1]["invitation_reply"], "'=cmd() no such user");
    assert_eq!(rows[2]["invitation_reply"], "greylisted; come back");
    assert!(
        rows[3]["invitation_note"].contains("connection"),
        "{rows:?}"
    );
    // The other columns match `status`.
    let status = workplace.status();
    for invitation in status["invitations"].as_array().unwrap() {
        let row = rows
            .iter()
            .find(|it| it["email"] == invitation["email"])
            .unwrap();
        for column in [
            "state",
            "attempts",
            "message_id",
            "created_at",
            "updated_at",
            "accepted_at",
            "next_attempt_at",
            "relay",
            "template_locale",
        ] {
            let said = &invitation[column];
            let said = said
                .as_str()
                .map_or_else(|| said.to_string(), str::to_owned);
            assert_eq!(
                row[&format!("invitation_{column}")],
                said.replace("null", ""),
                "{column}"
            );
        }
    }
    // The lines are those of the list, blank ones included.
    let list = std::fs::read_to_string(workplace.file("partners.csv")).unwrap();
    for (line, result) in list.lines().zip(text.lines()) {
        assert!(result.starts_with(line), "{line:?}: {result:?}");
    }
    assert_eq!(list.lines().count(), text.lines().count());
}

#[test]
fn results_keep_the_format_of_every_list_program() {
    for name in [
        "excel-fr",
        "excel-de",
        "excel-ja",
        "excel-ja-shift-jis",
        "excel-mac",
        "excel-sep",
        "google-sheets",
        "libreoffice",
        "hand",
    ] {
        let server = Server::accepting();
        let workplace = workplace(server.port());
        let list = std::fs::read(format!(
            "{}/tests/fixtures/{name}.csv",
            env!("CARGO_MANIFEST_DIR")
        ))
        .unwrap();
        std::fs::write(workplace.file("partners.csv"), &list).unwrap();
        let named = match name {
            "excel-mac" => "encoding = \"macintosh\"\n",
            "excel-ja-shift-jis" => "encoding = \"shift_jis\"\n",
            _ => "",
        };
        let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
        let config = config.replace(
            "[partners]\n",
            &format!("[partners]\n{named}columns = {{ name = \"contact\" }}\n"),
        );
        workplace.write("config.toml", &config);

        let output = workplace.run(&["send"]);

        assert_eq!(output.code, 0, "{name}: {output:?}");
        let results = std::fs::read(workplace.file("results.csv")).unwrap();
        // The list byte for byte, with additional cells before some line ends.
        let mut more = results.iter();
        let mut added = Vec::new();
        for byte in &list {
            for other in more.by_ref() {
                if other == byte {
                    break;
                }
                added.push(*other);
            }
        }
        added.extend(more.copied());
        assert_eq!(
            added.len() + list.len(),
            results.len(),
            "{name}: a byte of the list is missing"
        );
        added.retain(|it| *it != 0);
        let added = String::from_utf8(added).unwrap();
        assert_eq!(
            added.matches("accepted").count(),
            1 + server.accepted().len(),
            "{name}: {added}"
        );
    }
}

#[test]
fn a_run_that_ends_early_writes_results() {
    // The relay refuses us.
    let refusing = Server::start(|call: &Call| match call.stage {
        Stage::Banner => reply("554 5.7.1 not you"),
        _ => Action::Normal,
    });
    let refused = workplace(refusing.port());
    refused.partners(&["ada@a.example", "bob@b.example"]);
    assert_eq!(refused.run(&["send"]).code, 69);
    assert_eq!(
        states(&refused),
        pairs(&[("ada@a.example", "pending"), ("bob@b.example", "pending")])
    );

    // The daily limit.
    let obliging = Server::accepting();
    let mut limited = workplace(obliging.port());
    limited.limits = "per_day = 1".into();
    limited.configure();
    limited.partners(&["ada@a.example", "bob@b.example"]);
    assert_eq!(limited.run(&["send"]).code, 75);
    assert_eq!(
        states(&limited),
        pairs(&[("ada@a.example", "accepted"), ("bob@b.example", "pending")])
    );

    // Rows that `--only` or `--limit` excludes.
    let chosen = workplace(obliging.port());
    chosen.partners(&["ada@a.example", "bob@b.example"]);
    assert_eq!(chosen.run(&["send", "--only", "bob@b.example"]).code, 0);
    assert_eq!(
        states(&chosen),
        pairs(&[
            ("ada@a.example", "not_invited"),
            ("bob@b.example", "accepted")
        ])
    );
}

#[test]
fn a_signal_ends_a_run_with_its_results_written() {
    let (reached, waiting) = channel();
    let reached = Mutex::new(reached);
    let server = Server::start(move |call: &Call| {
        if call.stage == Stage::Dot {
            let _ = reached.lock().unwrap().send(());
            return Action::Delay(Duration::from_millis(500), Box::new(Action::Normal));
        }
        Action::Normal
    });
    let workplace = workplace(server.port());
    workplace.partners(&["ada@a.example", "bob@b.example", "cleo@c.example"]);
    let run = workplace.start(&["send"]);
    waiting.recv().unwrap();

    run.signal("TERM");

    assert_eq!(run.wait().code, 75);
    assert_eq!(
        states(&workplace),
        pairs(&[
            ("ada@a.example", "accepted"),
            ("bob@b.example", "pending"),
            ("cleo@c.example", "pending")
        ])
    );
}

#[test]
fn an_idle_run_rewrites_the_same_results() {
    let server = Server::accepting();
    let workplace = workplace(server.port());
    workplace.partners(&["ada@a.example"]);
    assert_eq!(workplace.run(&["send"]).code, 0);
    let first = std::fs::read(workplace.file("results.csv")).unwrap();

    let again = workplace.run(&["send"]);
    assert_eq!(
        (again.code, again.stdout.as_str(), again.stderr.as_str()),
        (0, "", "")
    );
    assert_eq!(std::fs::read(workplace.file("results.csv")).unwrap(), first);

    workplace.partners(&["ada@a.example", "bob@b.example"]);
    assert_eq!(workplace.run(&["send"]).code, 0);
    assert_eq!(
        states(&workplace),
        pairs(&[("ada@a.example", "accepted"), ("bob@b.example", "accepted")])
    );
}

#[test]
fn sandbox_and_read_only_verbs_write_no_results() {
    let server = Server::accepting();
    let workplace = workplace(server.port());
    workplace.partners(&["ada@a.example"]);

    for verb in [
        &["check"][..],
        &["preview"],
        &["send", "--dry-run"],
        &["send", "--sandbox"],
        &["send", "--test-to", "me@contoso.example"],
        &["status"],
    ] {
        let output = workplace.run(verb);
        assert_eq!(output.code, 0, "{output:?}");
        assert!(!workplace.file("results.csv").exists(), "{verb:?}");
    }
}

#[test]
fn results_never_overwrite_another_file() {
    let server = Server::accepting();
    let mut workplace = workplace(server.port());
    workplace.partners(&["ada@a.example"]);
    std::os::unix::fs::symlink("partners.csv", workplace.file("a-link")).unwrap();
    std::fs::hard_link(workplace.file("ledger.sqlite3"), workplace.file("b-link")).unwrap();
    std::fs::create_dir(workplace.file("folder")).unwrap();
    let before = workplace.bytes().len();
    let files = [
        "partners.csv",
        "./partners.csv",
        "folder/../config.toml",
        "ledger.sqlite3",
        "ledger.sqlite3-wal",
        "ledger.sqlite3.lock",
        "a-link",
        "b-link",
    ];
    for name in files {
        workplace.extra = format!("[results]\ncsv = \"{name}\"");
        workplace.configure();
        for verb in ["check", "send"] {
            let output = workplace.run(&[verb]);
            assert_eq!(output.code, 78, "{name}: {output:?}");
            assert!(
                output.stderr.contains("would overwrite"),
                "{name}: {output:?}"
            );
        }
    }
    std::fs::remove_file(workplace.file("b-link")).unwrap();
    let templates = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/en/results.csv");
    workplace.extra = format!("[results]\ncsv = \"{templates}\"");
    workplace.configure();
    assert_eq!(workplace.run(&["send"]).code, 78);

    workplace.extra = "[results]\ncsv = \"notes.txt\"".into();
    workplace.configure();
    workplace.write("notes.txt", "do not lose me");
    for verb in ["check", "send"] {
        let output = workplace.run(&[verb]);
        assert_eq!(output.code, 74, "{output:?}");
        assert!(output.stderr.contains("is not overwritten"), "{output:?}");
    }
    assert_eq!(server.connections(), 0);
    assert_eq!(
        std::fs::read_to_string(workplace.file("notes.txt")).unwrap(),
        "do not lose me"
    );
    std::fs::remove_file(workplace.file("notes.txt")).unwrap();
    assert_eq!(
        workplace.bytes().len(),
        before + 1,
        "lock and witness came, the link went"
    );
}

#[test]
fn a_symbolic_link_to_the_results_is_kept() {
    let server = Server::accepting();
    let workplace = workplace(server.port());
    workplace.partners(&["ada@a.example"]);
    std::fs::create_dir(workplace.file("share")).unwrap();
    workplace.write("share/today.csv", "");
    std::os::unix::fs::symlink("share/today.csv", workplace.file("results.csv")).unwrap();

    assert_eq!(workplace.run(&["send"]).code, 0);

    assert!(workplace.file("results.csv").is_symlink());
    assert_eq!(states(&workplace), pairs(&[("ada@a.example", "accepted")]));
    let mode = std::fs::metadata(workplace.file("share/today.csv"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        std::fs::read_dir(workplace.file("share")).unwrap().count(),
        1
    );
}

#[test]
fn unwritable_results_end_with_74_after_recording() {
    let (server, keeper) = Server::holding(Stage::Dot, 0);
    let workplace = workplace(server.port());
    workplace.partners(&["ada@a.example"]);

    let output = std::thread::scope(|scope| {
        let run = scope.spawn(|| workplace.run(&["send"]));
        keeper.wait();
        std::fs::create_dir(workplace.file("results.csv")).unwrap();
        keeper.release();
        run.join().unwrap()
    });

    assert_eq!(output.code, 74, "{output:?}");
    assert!(
        output.stderr.contains("cannot write the results"),
        "{output:?}"
    );
    assert_eq!(workplace.state(), "accepted");
    std::fs::remove_dir(workplace.file("results.csv")).unwrap();
    assert_eq!(workplace.run(&["send"]).code, 0);
    assert_eq!(states(&workplace), pairs(&[("ada@a.example", "accepted")]));
}

/// A job with written results, which take a while to write again.
fn long_list(server: &Server) -> Workplace {
    let workplace = workplace(server.port());
    let more: Vec<_> = (0..20_000).map(|it| format!("p{it}@a.example")).collect();
    workplace.partners(&more.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(workplace.run(&["send", "--limit", "1"]).code, 0);
    workplace
}

/// Whether unfinished results exist, of this run or of a killed one.
fn unfinished(workplace: &Workplace) -> bool {
    std::fs::read_dir(workplace.path())
        .unwrap()
        .filter_map(Result::ok)
        .filter(|it| it.file_name().to_string_lossy().ends_with(".unfinished"))
        .any(|it| it.metadata().is_ok_and(|it| it.len() > 0))
}

/// A run that is writing its results.
fn writing(workplace: &Workplace) -> crate::support::Running {
    let mut run = workplace.start(&["send", "--limit", "1"]);
    while !unfinished(workplace) {
        assert!(run.is_running(), "the run ended before the write was seen");
    }
    run
}

#[test]
fn a_signal_during_the_write_keeps_the_old_results() {
    let server = Server::accepting();
    let workplace = long_list(&server);
    let before = std::fs::read(workplace.file("results.csv")).unwrap();

    let run = writing(&workplace);
    run.signal("TERM");
    let output = run.wait();

    assert_eq!(output.code, 74, "{output:?}");
    let words = "the results `results.csv` were not updated (stopped by SIGTERM)";
    assert!(output.stderr.contains(words), "{output:?}");
    let after = std::fs::read(workplace.file("results.csv")).unwrap();
    assert!(after == before && !unfinished(&workplace));
    assert_eq!(server.accepted().len(), 2);
}

#[test]
fn a_kill_during_the_write_keeps_the_old_results() {
    let server = Server::accepting();
    let workplace = long_list(&server);
    let before = std::fs::read(workplace.file("results.csv")).unwrap();

    writing(&workplace).kill();

    assert_eq!(server.accepted().len(), 2);
    let after = std::fs::read(workplace.file("results.csv")).unwrap();
    assert!(after == before && unfinished(&workplace));
    assert_eq!(workplace.run(&["send", "--limit", "0"]).code, 0);
    assert!(!unfinished(&workplace));
    let accepted = states(&workplace);
    let accepted = accepted.iter().filter(|(_, state)| state == "accepted");
    assert_eq!(accepted.count(), 2);
}

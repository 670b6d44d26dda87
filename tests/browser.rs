//! The HTML pages in a real browser: headless Chromium, driven by `tests/browser/`.
//! `.ci/run` installs Chromium, with fonts for every script, and runs these tests.
//!
//! Screenshots: `ACCESS_INVITE_SCREENSHOTS=target/screenshots cargo test --test integration browser:: -- --ignored`.
//! The pictures of the README in `docs/images` come from these tests, with the same names.

#![allow(
    clippy::unwrap_used,
    clippy::format_collect,
    reason = "a test that cannot go on fails"
)]

use crate::support::browser::look;
use crate::support::smtp::{Action, Call, Server, Stage};
use crate::support::story::Story;
use crate::support::{LINK, Workplace};
use serde_json::json;

mod mail;

/// Names that contain markup or control characters; each must be shown as text.
const HOSTILE: [&str; 12] = [
    "</script><script>pwned1=1</script>",
    "\"><img src=x onerror=pwned2=1>",
    "'-(pwned3=1)-'",
    "]]><!--<b>",
    "${pwned4=1}{{ 7*7 }}{% raw %}",
    "javascript:pwned5=1",
    "__proto__",
    "&lt;b&gt;&amp;",
    "\\\");pwned6=1;//",
    "نور الهدى عبد الرحمن",
    "שרה כהן <sara@x.example>",
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW",
];

/// Writes a review of hostile values to `hostile`, and the expected texts to `hostile.json`.
fn hostile(workplace: &Workplace) {
    let package = "</script><img src=x onerror=pwned7=1>";
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let second = LINK.replace("8e1f8f5a", "9e1f8f5a");
    let config = std::fs::read_to_string(workplace.file("config.toml"))
        .unwrap()
        .replace("\"spring\"", "\"<svg onload=pwned9=1>\"")
        .replace(
            "\"Contoso\"",
            "\"Contoso </style><script>pwned8=1</script>\"",
        )
        .replace("\"Project space\"", &format!("\"{package}\""))
        .replace(
            "[partners]",
            &format!("[packages.\"__proto__\"]\nlink = \"{second}\"\nname = \"Other\"\n[partners]"),
        );
    let rows: String = HOSTILE
        .iter()
        .enumerate()
        .map(|(number, name)| {
            let package = if *name == "__proto__" {
                "__proto__"
            } else {
                "project"
            };
            let name = quoted(name);
            format!("p{number}@a.example,{name},{name},{package}\n")
        })
        .collect();
    workplace.write(
        "hostile.toml",
        &config.replace("partners.csv", "hostile.csv"),
    );
    workplace.write(
        "hostile.csv",
        &format!("email,name,organization,package\n{rows}"),
    );
    let made = workplace.run(&["preview", "-c", "hostile.toml", "--out", "hostile"]);
    assert_eq!(made.code, 0, "{made:?}");
    let expected = json!({"names": HOSTILE, "package": package});
    workplace.write("hostile.json", &expected.to_string());
}

#[test]
#[ignore = "needs Chromium; .ci/run calls it"]
fn the_review_searches_filters_pages_and_escapes() {
    let server = Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(who)) if who.starts_with("late") => {
            Action::Reply(b"450 4.2.1 later\r\n".to_vec())
        }
        _ => Action::Normal,
    });
    let mut workplace = Workplace::new(server.port());
    let run = |workplace: &Workplace, arguments: &[&str]| {
        let output = workplace.run(arguments);
        assert_eq!(output.code, 0, "{output:?}");
    };
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml");
    run(&workplace, &["preview", "-c", example, "--out", "example"]);
    run(&workplace, &["send", "--sandbox", "-c", example]);
    // Three languages, with and without a name: six kinds.
    let row = |it: usize| {
        let name = if it % 10 == 9 {
            String::new()
        } else {
            format!("Person {it}")
        };
        format!(
            "p{it}@a{it}.example,{name},{}\n",
            ["en", "fr", "he"][it % 3]
        )
    };
    let rows: String = (0..60).map(row).collect();
    workplace.write("partners.csv", &format!("email,name,locale\n{rows}"));
    run(&workplace, &["preview", "--out", "kinds"]);
    run(&workplace, &["preview", "-c", example, "--out", "torn"]);
    std::fs::remove_file(workplace.file("torn/data/list-0001.js")).unwrap();
    hostile(&workplace);

    // One row is accepted, one is pending; then a name changes and a row is added.
    workplace.extra = "[approval]\nfile = \"approved.txt\"".into();
    workplace.configure();
    let list = "email,name\nada@a.example,Ada\nbob@b.example,Bob\neva@e.example,Eva\n";
    let gone = "gone@g.example,Gone\nlate@gmail.com,Late\n";
    workplace.write("partners.csv", &format!("email,name\n{gone}"));
    run(&workplace, &["preview"]);
    run(&workplace, &["preview", "--out", "second"]);
    std::fs::copy(
        workplace.file("preview/approval.txt"),
        workplace.file("approved.txt"),
    )
    .unwrap();
    assert_eq!(workplace.run(&["send"]).code, 75);
    workplace.write("partners.csv", &format!("{list}{gone}"));
    run(&workplace, &["preview", "--out", "second"]);
    workplace.write(
        "partners.csv",
        &format!(
            "{}new@n.example,New\n{gone}",
            list.replace(",Ada", ",Ada Lovelace")
        ),
    );
    run(&workplace, &["preview", "--out", "second"]);

    let resend = ["resolve", "gone@g.example", "--as", "resend", "--note", "x"];
    run(&workplace, &resend);
    run(&workplace, &["preview", "--out", "again"]);

    workplace.write("partners.csv", "email,name\n");
    run(&workplace, &["preview", "--out", "empty"]);

    let report = look("gallery.mjs", workplace.path());

    assert_eq!(report.problems, [""; 0]);
    assert_eq!(report.looked, 26);
}

#[test]
#[ignore = "needs Chromium; .ci/run calls it"]
fn a_review_of_10000_messages_opens_in_two_seconds() {
    let workplace = Workplace::new(1);
    let rows: String = (0..10_000)
        .map(|it| {
            let locale = ["en", "fr"][it % 2];
            format!(
                "person.{it}@company{}.example,Person {it},{locale}\n",
                it % 997
            )
        })
        .collect();
    workplace.write("partners.csv", &format!("email,name,locale\n{rows}"));
    let preview = workplace.run(&["preview", "--out", "many"]);
    assert_eq!(preview.code, 0, "{preview:?}");

    let report = look("many.mjs", workplace.path());

    assert_eq!(report.problems, [""; 0]);
    assert_eq!(report.looked, 1);
}

/// Writes the reports that `report.mjs` looks at.
fn write_report(workplace: &Workplace, config: &str, out: &str) {
    let made = workplace.run(&["report", "-c", config, "--out", out]);
    assert_eq!(made.code, 0, "{made:?}");
}

#[test]
#[ignore = "needs Chromium; .ci/run calls it"]
fn the_report_is_searched_filtered_printed_and_escaped() {
    let story = Story::of(200);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report.html");
    let (exit, said) = story.command(&["report", "--out", out.to_str().unwrap()]);
    assert_eq!(exit as u8, 0, "{said}");

    let server = Server::start(|call: &Call| match call.stage {
        Stage::Rcpt => Action::Reply(
            b"550 5.1.1 </script><img src=x onerror=pwned10=1> no such user\r\n".to_vec(),
        ),
        _ => Action::Normal,
    });
    let workplace = Workplace::new(server.port());
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    write_report(&workplace, "config.toml", &at("empty.html"));
    hostile(&workplace);
    let sent = workplace.run(&["send", "-c", "hostile.toml", "--new-campaign"]);
    assert_ne!(sent.code, 78, "{sent:?}");
    write_report(&workplace, "hostile.toml", &at("hostile.html"));
    std::fs::copy(workplace.file("hostile.json"), at("hostile.json")).unwrap();

    let report = look("report.mjs", folder.path());

    assert_eq!(report.problems, [""; 0]);
    assert_eq!(report.looked, 11);
}

#[test]
#[ignore = "needs Chromium; .ci/run calls it"]
fn a_report_of_10000_partners_opens_at_once() {
    let server = Server::accepting();
    let workplace = Workplace::new(server.port());
    let row = |it: usize| {
        let (company, locale) = (it % 997, ["en", "fr"][it % 2]);
        format!("person.{it}@company{company}.example,Person {it},Company {company},{locale}\n")
    };
    let rows: String = (0..10_000).map(row).collect();
    workplace.write(
        "partners.csv",
        &format!("email,name,organization,locale\n{rows}"),
    );
    assert_eq!(workplace.run(&["send"]).code, 0);
    write_report(&workplace, "config.toml", "report.html");

    let report = look("report_many.mjs", workplace.path());

    assert_eq!(report.problems, [""; 0]);
    assert_eq!(report.looked, 1);
}

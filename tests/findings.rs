//! `check` as text and as JSON: the same findings, for a good job and for bad ones.

use serde_json::Value;

use crate::support::Workplace;
use crate::support::sheet::Sheet;
use crate::support::smtp::{Action, Call, Server, Stage};

/// Runs `check` in both forms, which end with the same exit code. Returns the JSON.
fn check(sheet: &mut Sheet, title: &str, workplace: &Workplace, options: &[&str]) -> Value {
    let text = workplace.run(&[&["check"], options].concat());
    sheet.note(title, workplace, &text);
    let json = workplace.run(&[&["check", "--format", "json"], options].concat());
    sheet.note(&format!("{title}, as JSON"), workplace, &json);
    assert_eq!(json.code, text.code, "{title}");
    let found: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(found["ok"], json.code == 0, "{title}");
    found
}

fn severities(found: &Value) -> Vec<(&str, &str)> {
    let findings = found["findings"].as_array().unwrap().iter();
    let text = |it: &Value, key: &str| it[key].as_str().is_some();
    let findings = findings.inspect(|it| {
        for key in ["check", "severity", "where", "what", "fix"] {
            assert!(text(it, key), "{key}: {it}");
        }
    });
    findings
        .map(|it| {
            (
                it["check"].as_str().unwrap(),
                it["severity"].as_str().unwrap(),
            )
        })
        .collect()
}

#[test]
fn check_reports_the_same_findings_as_text_and_json() {
    let server = Server::accepting();
    let mut workplace = Workplace::new(server.port());
    let mut sheet = Sheet::default();
    let good = [
        ("columns", "note"),
        ("example", "note"),
        ("example", "note"),
        ("partners", "ok"),
        ("packages", "ok"),
        ("templates", "ok"),
        ("plan", "note"),
    ];

    workplace.partners(&["ada@a.example", "bob@b.example"]);
    let found = check(&mut sheet, "a good job", &workplace, &[]);
    assert_eq!(severities(&found), good);
    let found = check(&mut sheet, "a good relay", &workplace, &["--connect"]);
    assert_eq!(severities(&found)[..7], good);
    let of_relay = [
        ("connect", "ok"),
        ("ehlo", "ok"),
        ("login", "note"),
        ("relay", "ok"),
        ("size", "ok"),
        ("duration", "note"),
        ("sender", "note"),
    ];
    assert_eq!(severities(&found)[7..], of_relay);

    workplace.limits = "only_to = [\"@a.example\"]\nnew_per_run = 1".into();
    workplace.configure();
    workplace.partners(&["ada@a.example", "bob@gmail.com"]);
    let found = check(&mut sheet, "warnings", &workplace, &[]);
    let warnings = [("only_to", "warning"), ("new_per_run", "warning")];
    let found = severities(&found);
    let expected = [
        &[("partners", "warning")],
        &good[..3],
        &warnings,
        &good[3..],
    ]
    .concat();
    assert_eq!(found, expected);

    workplace.partners(&["nobody", "bob@b.example"]);
    workplace.extra = "[results]\ncsv = \"notes.txt\"".into();
    workplace.configure();
    workplace.write("notes.txt", "not results");
    let found = check(&mut sheet, "errors", &workplace, &["--connect"]);
    assert_eq!(
        severities(&found),
        [
            ("results", "error"),
            ("partners", "error"),
            ("partners", "error"),
            ("columns", "note"),
            ("example", "note"),
        ]
    );

    workplace.write("config.toml", "campaing = \"spring\"\n");
    let found = check(&mut sheet, "no configuration", &workplace, &[]);
    assert_eq!(severities(&found), [("configuration", "error")]);

    insta::assert_snapshot!(sheet.text());
}

#[test]
fn a_relay_that_refuses_is_an_error_in_json() {
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Ehlo => Action::Reply(b"554 5.7.1 not you\r\n".to_vec()),
        _ => Action::Normal,
    });
    let workplace = Workplace::new(server.port());
    workplace.partners(&["ada@a.example"]);

    let output = workplace.run(&["check", "--connect", "--format", "json"]);

    assert_eq!(output.code, 69, "{output:?}");
    let found: Value = serde_json::from_str(&output.stdout).unwrap();
    let errors = severities(&found).into_iter().filter(|it| it.1 == "error");
    assert_eq!(errors.collect::<Vec<_>>(), [("relay", "error")]);
    assert_eq!(found["ok"], false);
    assert!(output.stdout.contains("554 5.7.1 not you"), "{output:?}");
}

#[test]
fn locales_and_findings_are_in_one_object() {
    let workplace = Workplace::new(1);
    workplace.partners(&["ada@a.example"]);

    let output = workplace.run(&["check", "--locales", "--format", "json"]);

    let found: Value = serde_json::from_str(&output.stdout).unwrap();
    for key in [
        "default_locale",
        "missing_locale",
        "templates",
        "locales",
        "more",
    ] {
        assert!(!found[key].is_null(), "{key}: {found}");
    }
    assert_eq!(found["ok"], true);
    assert_eq!(severities(&found).len(), 6);
}

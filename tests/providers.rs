//! Known relays: what `check` says about each, and what is kept of their replies.

use serde_json::Value;

use crate::support::Workplace;
use crate::support::sheet::Sheet;
use crate::support::smtp::{Action, Call, Server, Stage};
use access_invite::config::Provider;

/// A login that needs no file.
const LOGIN: &str = "username = \"ada@woodgrove.example\"\npassword_env = \"PASSWORD\"";
const APP: &str = "[microsoft]\ntenant = \"contoso.onmicrosoft.com\"\nclient_id = \"00001111-aaaa-2222-bbbb-3333cccc4444\"\nclient_secret_env = \"PASSWORD\"\n";

/// A job whose `[smtp]` has only these lines.
fn job(lines: &str, table: &str) -> Workplace {
    let mut workplace = Workplace::new(1);
    lines.clone_into(&mut workplace.smtp);
    workplace.limits = "new_per_run = 100".into();
    table.clone_into(&mut workplace.extra);
    workplace.configure();
    workplace.partners(&["eva@e.example"]);
    workplace
}

fn check(workplace: &Workplace, options: &[&str]) -> crate::support::Output {
    workplace.run_with(&[&["check"], options].concat(), |command| {
        command.env("PASSWORD", crate::support::scanner::PASSWORD);
    })
}

#[test]
fn check_says_what_each_provider_expects_and_changes() {
    let mut sheet = Sheet::default();
    for provider in Provider::all() {
        let keys = provider.required_keys();
        let region = keys.iter().find(|it| it.name == "region");
        let region = region.map(|it| format!("region = \"{}\"", it.value.unwrap()));
        let login = if provider.name == "postfix" {
            ""
        } else {
            LOGIN
        };
        let lines = format!(
            "provider = \"{}\"\n{}\n{login}",
            provider.name,
            region.unwrap_or_default()
        );
        let workplace = job(&lines, "");

        let output = check(&workplace, &[]);

        assert_eq!(output.code, 0, "{}: {output:?}", provider.name);
        sheet.note(provider.name, &workplace, &output);
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn a_provider_that_does_not_fit_is_explained() {
    let mut sheet = Sheet::default();
    let gov = format!("{APP}cloud = \"us-gov\"\n");
    let user = "username = \"ada@woodgrove.example\"";
    for (title, lines, table) in [
        (
            "no region",
            format!("provider = \"amazon-ses\"\n{LOGIN}"),
            "",
        ),
        (
            "another region",
            format!("provider = \"mailgun\"\nregion = \"us\"\n{LOGIN}"),
            "",
        ),
        (
            "another cloud",
            format!("provider = \"microsoft365\"\n{user}"),
            &gov,
        ),
        (
            "no national cloud",
            format!("provider = \"microsoft365-gov\"\n{user}"),
            APP,
        ),
        (
            "no table",
            format!("provider = \"microsoft365\"\n{user}"),
            "",
        ),
        ("no secret", "provider = \"sendgrid\"".to_owned(), ""),
    ] {
        let workplace = job(&lines, table);

        let output = check(&workplace, &[]);

        assert_eq!(output.code, 78, "{title}: {output:?}");
        sheet.note(title, &workplace, &output);
    }
    insta::assert_snapshot!(sheet.text());
}

/// The findings about the provider, each with severity and place.
fn findings(workplace: &Workplace) -> Vec<(String, String)> {
    let output = check(workplace, &["--format", "json"]);
    assert_eq!(output.code, 0, "{output:?}");
    let found: Value = serde_json::from_str(&output.stdout).unwrap();
    let findings = found["findings"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    findings
        .filter(|it| it["check"] == "provider")
        .map(|it| (text(&it["severity"]), text(&it["where"])))
        .collect()
}

#[test]
fn a_sender_that_the_login_may_not_use_is_a_warning() {
    // The sender is access@contoso.example.
    for (provider, username, is_warned) in [
        ("microsoft365", "access@contoso.example", false),
        ("microsoft365", "Access@Contoso.Example", false),
        ("microsoft365", "ada@contoso.example", true),
        ("gmail", "ada@gmail.example", true),
        ("ionos", "ada@contoso.example", false),
        ("ionos", "ada@woodgrove.example", true),
        ("ovh", "ada@woodgrove.example", true),
        // A name that is no address says nothing about the sender.
        ("ionos", "ada", false),
        ("postfix", "", false),
    ] {
        let login = format!("username = \"{username}\"\npassword_env = \"PASSWORD\"");
        let login = if username.is_empty() { "" } else { &login };
        let mut workplace = job(&format!("provider = \"{provider}\"\n{login}"), "");
        workplace.limits += "\nper_day = 100";
        workplace.configure();

        let found = findings(&workplace);

        let warning = ("warning".to_owned(), "sender.from".to_owned());
        let expected = if is_warned { vec![warning] } else { vec![] };
        assert_eq!(found, expected, "{provider} {username}");
    }
}

#[test]
fn the_note_about_limits_ends_when_they_are_set() {
    let ionos =
        "provider = \"ionos\"\nusername = \"ada@contoso.example\"\npassword_env = \"PASSWORD\"";
    let mut workplace = job(ionos, "");
    let note = ("note".to_owned(), "limits".to_owned());
    assert_eq!(findings(&workplace), [note]);

    workplace.limits += "\nper_minute = 8";
    workplace.configure();

    assert_eq!(findings(&workplace), []);
}

#[test]
fn the_relay_s_id_of_an_accepted_message_is_kept() {
    let id = "0102018f2a6b1c3d-4e5f6071-8293-44a5-b6c7-d8e9fa0b1c2d-000000";
    let server = Server::start(move |call: &Call| match call.stage {
        Stage::Dot => Action::Reply(format!("250 Ok {id}\r\n").into_bytes()),
        _ => Action::Normal,
    });
    let workplace = Workplace::new(server.port());
    workplace.partners(&["eva@e.example"]);

    assert_eq!(workplace.run(&["send"]).code, 0);

    let json = workplace.run(&["status", "eva@e.example", "--format", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    let reply = json["invitations"][0]["reply"].as_str().unwrap();
    assert!(reply.contains(id), "{json}");
    let csv = workplace.run(&["status", "--format", "csv"]).stdout;
    assert!(csv.contains(id), "{csv}");
}

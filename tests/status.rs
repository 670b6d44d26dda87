//! `status` across campaigns, and what it shows without a terminal.

use serde_json::Value;

use crate::support::Workplace;
use crate::support::smtp::{Action, Call, Server, Stage};

/// A ledger with the campaigns `spring` (three partners, one rejected) and `autumn` (one), in a job that is now
/// configured for `autumn`.
fn two_campaigns() -> Workplace {
    let server = Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(who)) if who.starts_with("bob") => {
            Action::Reply(b"550 5.1.1 no such user\r\n".to_vec())
        }
        _ => Action::Normal,
    });
    let workplace = Workplace::english(server.port());
    workplace.partners(&["ada@a.example", "bob@b.example", "cleo@c.example"]);
    assert_eq!(workplace.run(&["send"]).code, 1);
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let config = config.replace("campaign = \"spring\"", "campaign = \"autumn\"");
    workplace.write("config.toml", &config);
    workplace.partners(&["ada@a.example"]);
    let sent = workplace.run(&["send", "--new-campaign"]);
    assert_eq!(sent.code, 0, "{sent:?}");
    workplace
}

fn json(workplace: &Workplace, campaign: &[&str]) -> Value {
    let arguments = [&["status", "--format", "json"], campaign].concat();
    let output = workplace.run(&arguments);
    assert_eq!(output.code, 0, "{output:?}");
    serde_json::from_str(&output.stdout).unwrap()
}

#[test]
fn another_campaign_or_all_can_be_shown() {
    let workplace = two_campaigns();

    let own = json(&workplace, &[]);
    assert_eq!(own["campaign"], "autumn");
    assert_eq!(own["counts"]["accepted"], 1);
    assert!(own["invitations"][0].get("campaign").is_none(), "{own}");

    let spring = json(&workplace, &["--campaign", "spring"]);
    assert_eq!(spring["campaign"], "spring");
    assert_eq!(
        (&spring["counts"]["accepted"], &spring["counts"]["rejected"]),
        (&2.into(), &1.into())
    );
    assert_eq!(spring["invitations"][2]["campaign"], "spring");

    let all = json(&workplace, &["--campaign", "all"]);
    assert_eq!(all["campaign"], Value::Null);
    assert_eq!(all["counts"]["accepted"], 3);
    let invitations = all["invitations"].as_array().unwrap().iter();
    let campaigns: Vec<_> = invitations
        .map(|it| it["campaign"].as_str().unwrap())
        .collect();
    assert_eq!(campaigns, ["autumn", "spring", "spring", "spring"]);
    let ada = json(&workplace, &["--campaign", "all", "ada@a.example"]);
    assert_eq!(ada["invitations"].as_array().unwrap().len(), 2);
    let bob = json(&workplace, &["--campaign", "all", "bob@b.example"]);
    assert_eq!(bob["invitations"].as_array().unwrap().len(), 1);

    let csv = workplace
        .run(&["status", "--campaign", "all", "--format", "csv"])
        .stdout;
    assert!(
        csv.lines().next().unwrap().ends_with(",access_by,campaign"),
        "{csv}"
    );
    assert!(csv.lines().nth(1).unwrap().ends_with(",autumn"), "{csv}");

    let unknown = workplace.run(&["status", "--campaign", "sping"]);
    assert_eq!(unknown.code, 65);
    assert!(
        unknown
            .stderr
            .contains("has no campaign `sping`, only `autumn`, `spring`; did you mean `spring`?"),
        "{unknown:?}"
    );
    assert_eq!(workplace.run(&["status", "bob@b.example"]).code, 65);
}

#[test]
fn text_names_other_campaigns_and_advises_about_the_configured_one() {
    let workplace = two_campaigns();

    let own = workplace.run(&["status"]).stdout;
    assert!(
        own.contains("\nother campaigns: spring (--campaign NAME|all)\n"),
        "{own}"
    );
    let spring = workplace.run(&["status", "--campaign", "spring"]).stdout;
    assert!(
        spring.starts_with("campaign spring: 3 invitations: 2 accepted, 1 rejected\n"),
        "{spring}"
    );
    assert!(
        !spring.contains("resolve"),
        "resolve does not apply to it: {spring}"
    );
    let all = workplace.run(&["status", "--campaign", "all"]).stdout;
    let titles: Vec<_> = all
        .lines()
        .filter(|it| it.starts_with("campaign "))
        .collect();
    assert_eq!(titles.len(), 2, "{all}");
}

#[test]
fn without_a_terminal_all_rows_are_shown_whole_in_the_order_of_enrolment() {
    let long = format!("550 5.1.1 {} no such user\r\n", "x".repeat(200));
    let server = Server::start(move |call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(who)) if who.starts_with("p7@") => Action::Reply(long.clone().into()),
        _ => Action::Normal,
    });
    let mut workplace = Workplace::english(server.port());
    workplace.smtp("connections = 1");
    workplace.many_partners(60);
    assert_eq!(workplace.run(&["send"]).code, 1);

    let shown = workplace.run(&["status"]).stdout;

    assert!(
        shown.contains(&format!("{} no such user\n", "x".repeat(200))),
        "{shown}"
    );
    let rows = shown.lines().filter(|it| it.contains("@a"));
    let order: Vec<_> = rows
        .map(|it| it.split_whitespace().nth(1).unwrap())
        .collect();
    let expected: Vec<_> = (0..60)
        .map(|it| format!("p{it}@a{}.example", it % 5))
        .collect();
    assert_eq!(order, expected);
    assert_eq!(workplace.run(&["status", "--all"]).stdout, shown);
    assert!(shown.contains(" UTC  "), "times have a zone: {shown}");
    assert!(
        shown.contains("\nneeds a decision:\n  1 rejected: "),
        "{shown}"
    );
    let accepted = workplace.run(&["status", "--state", "accepted"]).stdout;
    assert_eq!(accepted.lines().filter(|it| it.contains("@a")).count(), 59);
}

//! The question of `send`: everything that a person decides about.

use std::path::Path;

use crate::support::Workplace;
use crate::support::smtp::{Action, Call, Server, Stage};
use access_invite::commands::send::{self, SendOptions};
use access_invite::console::{Console, Messages, Screen};

const OTHER_ID: &str = "3f2c6a1e-8d4b-4c55-9a0e-6b1d7f24e890";

/// Runs `send` as on a terminal, answers no, and returns what was asked, without repeated blanks.
fn asked(workplace: &Workplace, options: &SendOptions) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut console = Console {
        out: &mut out,
        err: &mut err,
        input: &mut &b"no\n"[..],
        interactive: true,
        screen: Screen::default(),
        clock: jiff::Timestamp::now,
        messages: Messages::default(),
    };
    let path = workplace.file("config.toml");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime
        .block_on(send::run(Path::new(&path), options, &mut console))
        .unwrap();
    let asked = String::from_utf8(err).unwrap();
    let lines = asked
        .lines()
        .map(|it| it.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn contains(asked: &str, lines: &[&str]) {
    for line in lines {
        assert!(asked.contains(line), "{line}:\n{asked}");
    }
}

/// Three partners of two packages; bob is deferred, and due again.
fn job() -> (Server, Workplace) {
    let server = Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(who)) if who.starts_with("bob") => {
            Action::Reply(b"450 4.2.1 later\r\n".to_vec())
        }
        _ => Action::Normal,
    });
    let mut workplace = Workplace::new(server.port());
    workplace.retry = "first_after = \"1s\"\nmax_after = \"1s\"".into();
    let link = crate::support::LINK.replace("8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11", OTHER_ID);
    workplace.extra = format!("[packages.plans]\nlink = \"{link}\"\nname = \"Harbour plans\"\n");
    workplace.configure();
    workplace.write(
        "partners.csv",
        "email,package,locale\nada@a.example,project,fr\nbob@b.example,plans,de\n",
    );
    assert_eq!(workplace.run(&["send"]).code, 75);
    std::thread::sleep(std::time::Duration::from_millis(1600));
    workplace.write(
        "partners.csv",
        "email,package,locale\nada@a.example,project,fr\nbob@b.example,plans,de\ncleo@c.example,plans,en\ndan@d.example,plans,en\n",
    );
    (server, workplace)
}

#[test]
fn the_question_has_sender_packages_partners_relay_and_duration() {
    let (server, workplace) = job();

    let asked = asked(&workplace, &SendOptions::default());

    contains(
        &asked,
        &[
            "from Contoso Access <access@contoso.example>\n",
            "reply to desk@contoso.example\n",
            "campaign spring\n",
            "packages 3 plans (Harbour plans)\n",
            "languages 1 de, 2 en\n",
            "partners 2 new, 1 tried before, 1 skipped (1 accepted already)\n",
            &format!("relay 127.0.0.1:{}\n", server.port()),
            "duration as fast as the relay replies, over 2 connections\n",
            "Send 3 messages? [y/N]",
        ],
    );
    assert_eq!(server.accepted().len(), 1, "the answer was no");
}

#[test]
fn the_duration_knows_the_limits_per_minute_and_day_and_the_longest_run() {
    let server = Server::accepting();
    let mut workplace = Workplace::new(server.port());
    workplace.many_partners(50);
    let mut asked_with = |limits: &str| {
        workplace.limits = format!("new_per_run = 100\n{limits}");
        workplace.configure();
        asked(&workplace, &SendOptions::default())
    };

    let minutes = asked_with("per_minute = 10");
    contains(
        &minutes,
        &["duration at least 4 min, by the limit of 10 a minute; 2 connections\n"],
    );
    let short = asked_with("per_minute = 10\nmax_runtime = \"90s\"");
    contains(&short, &["`limits.max_runtime` ends the run after 2 min\n"]);
    let day = asked_with("per_minute = 10\nper_day = 20");
    contains(
        &day,
        &[
            "at least 1 min,",
            "the daily limit ends the run after 20 messages; the other 30 can follow from 20",
        ],
    );
}

#[test]
fn the_question_names_what_approves_and_the_digest() {
    let server = Server::accepting();
    let mut workplace = Workplace::new(server.port());
    workplace.partners(&["ada@a.example"]);
    contains(
        &asked(&workplace, &SendOptions::default()),
        &["approval not required; inputs "],
    );
    workplace.extra = "[approval]\nfile = \"approved.txt\"".into();
    workplace.configure();
    assert_eq!(workplace.run(&["preview"]).code, 0);
    std::fs::copy(
        workplace.file("preview/approval.txt"),
        workplace.file("approved.txt"),
    )
    .unwrap();
    let approval = std::fs::read_to_string(workplace.file("approved.txt")).unwrap();
    let digest = approval
        .lines()
        .find_map(|it| it.strip_prefix("digest "))
        .unwrap();
    let groups: Vec<_> = digest.split('-').map(|it| &it[..4]).collect();
    let inputs = format!(
        "/approved.txt; inputs {}…, preview/ shows none\n",
        groups.join("…-")
    );
    contains(
        &asked(&workplace, &SendOptions::default()),
        &["approval by ", &inputs],
    );
}

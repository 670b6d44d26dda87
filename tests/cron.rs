//! The mail that cron sends about a run that failed: what the run printed, below its command line.

use std::fmt::Write;

use crate::documents::examples::run_as_cron;
use crate::documents::markdown::code_blocks;
use crate::documents::page;
use crate::support::ports::ClosedPort;
use crate::support::smtp::{Action, Call, Server, Stage, reply};
use crate::support::{Output, Workplace};

/// The line of the page about operations.
fn line() -> String {
    let blocks = code_blocks(page("operations.md"));
    let crontab = blocks.iter().find(|it| it.language == "crontab").unwrap();
    crontab.text.trim().to_owned()
}

/// The mail about a run of the job.
fn mail(workplace: &Workplace, port: u16) -> (i32, String) {
    let line = line();
    let Output {
        code,
        stdout,
        stderr,
    } = run_as_cron(&line, workplace.path());
    let (_, command) = line.split_once("  ").unwrap();
    let mut mail = String::new();
    writeln!(mail, "Subject: Cron <ops@host> {command}\n").unwrap();
    let folder = workplace.path().to_str().unwrap();
    let body = format!("{stdout}{stderr}")
        .replace(folder, "/srv/invitations")
        .replace(&port.to_string(), "PORT");
    // A Message-ID depends on the key of the ledger.
    let words = body.split_inclusive([' ', '@']);
    let is_id = |it: &&str| it.len() == 33 && it.ends_with('@');
    mail.extend(words.map(|it| if is_id(&it) { "ID@" } else { it }));
    (code, mail)
}

#[test]
fn the_mail_of_cron_says_what_failed_and_how_to_fix_it() {
    let closed = ClosedPort::reserve();
    let workplace = Workplace::new(closed.port());
    workplace.partners(&["ada@a.example"]);
    let (code, down) = mail(&workplace, closed.port());
    assert_eq!(code, 69);

    workplace.partners(&[
        "ada@a.example",
        "bob@b.example,x,",
        "carl",
        "dora@d.example",
    ]);
    let (code, list) = mail(&workplace, closed.port());
    assert_eq!(code, 65);

    let server = Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some("no@b.example")) => reply("550 5.1.1 no such user"),
        (Stage::Dot, Some("lost@c.example")) => Action::Close,
        _ => Action::Normal,
    });
    let workplace = Workplace::new(server.port());
    workplace.partners(&["ada@a.example", "no@b.example", "lost@c.example"]);
    let (code, some) = mail(&workplace, server.port());
    assert_eq!(code, 3);

    insta::assert_snapshot!([down, list, some].join("\n----\n\n"));
}

//! The review that `preview` and the sandbox write: its counts are those of the send, it tells who was mailed
//! before, it can be shared with a group, and its command approves just what it shows.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use mail_parser::MessageParser;
use serde_json::{Value, json};

use crate::support::smtp::{Accepted, Action, Call, Server, Stage, reply};
use crate::support::{LINK, Workplace};

/// The value that a data file of a review holds.
fn data(workplace: &Workplace, review: &str, part: &str) -> Value {
    let file = workplace.file(&format!("{review}/data/{part}.js"));
    let text = std::fs::read_to_string(file).unwrap();
    let arguments = text.strip_prefix("review(").unwrap();
    let arguments = arguments.strip_suffix(");\n").unwrap();
    let call: Value = serde_json::from_str(&format!("[{arguments}]")).unwrap();
    call[3].clone()
}

/// Pairs of a name and a count.
fn counts(pairs: &Value) -> BTreeMap<String, u64> {
    let pairs = pairs.as_array().unwrap().iter();
    let pair = |it: &Value| (it[0].as_str().unwrap().to_owned(), it[1].as_u64().unwrap());
    pairs.map(pair).collect()
}

/// How many messages a relay received, by a property of each.
fn count(messages: &[Accepted], property: impl Fn(&[u8]) -> String) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for message in messages {
        *counts.entry(property(&message.data)).or_default() += 1;
    }
    counts
}

fn language(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let line = text
        .lines()
        .find_map(|it| it.strip_prefix("Content-Language: "));
    line.unwrap().to_owned()
}

/// A job with two packages, `project` and `plans`, that skips bad rows.
fn two_packages(workplace: &Workplace) {
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let second = LINK.replace("8e1f8f5a", "9e1f8f5a");
    let plans = format!("[packages.plans]\nlink = \"{second}\"\nname = \"Plans\"\n");
    let partners = "[partners]\nbad_rows = \"skip\"\n";
    let partners = config.replace("[partners]\n", &format!("{plans}{partners}"));
    workplace.write("config.toml", &partners);
}

fn package(message: &[u8]) -> String {
    let parsed = MessageParser::default().parse(message).unwrap();
    let text = parsed.body_text(0).unwrap();
    if text.contains("9e1f8f5a") {
        "plans".into()
    } else {
        "project".into()
    }
}

/// A relay that defers `late`, and rejects `gone`.
fn partly_refusing() -> Server {
    Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some(who)) if who.starts_with("late") => reply("450 4.2.1 later"),
        (Stage::Rcpt, Some(who)) if who.starts_with("gone") => reply("550 5.1.1 no such user"),
        _ => Action::Normal,
    })
}

#[test]
fn counts_of_a_review_are_those_of_the_send() {
    let server = partly_refusing();
    let workplace = Workplace::new(server.port());
    two_packages(&workplace);
    let first = "done@a.example,Ada,fr,project\nagain@a.example,Bob,en,plans\nlate@a.example,Late,en,project\ngone@a.example,Gone,en,project\n";
    let header = "email,name,locale,package\n";
    workplace.write("partners.csv", &format!("{header}{first}"));
    workplace.run(&["send"]);
    let sent = server.accepted().len();
    assert_eq!(sent, 2);
    let resend = [
        "resolve",
        "again@a.example",
        "--as",
        "resend",
        "--note",
        "x",
    ];
    assert_eq!(workplace.run(&resend).code, 0);
    let more = "eva@xn--bcher-kva.example,Eva,he,plans\neva@bücher.example,Eva,he,project\ndan@d.example,,fr-CA,plans\nnobody,Nobody,fr,plans\ntwice@t.example,T,fr,project\ntwice@t.example,T,fr,project\n";
    workplace.write("partners.csv", &format!("{header}{first}{more}"));

    let preview = workplace.run(&["preview", "--out", "review"]);
    let limited = workplace.run(&["preview", "--out", "limited", "--limit", "2"]);
    workplace.run(&["send"]);

    assert_eq!(
        (preview.code, limited.code),
        (0, 0),
        "{preview:?} {limited:?}"
    );
    let said = "5 messages (1 en, 2 fr, 2 he) would be sent, 3 partners not mailed, 2 bad rows skipped; open review/index.html";
    assert!(preview.stdout.contains(said), "{preview:?}");
    let messages = server.accepted().split_off(sent);
    let summary = data(&workplace, "review", "summary");
    assert_eq!(summary["messages"], messages.len());
    assert_eq!(counts(&summary["templates"]), count(&messages, language));
    assert_eq!(counts(&summary["packages"]), count(&messages, package));
    assert_eq!(
        (&summary["first"], &summary["again"]),
        (&json!(4), &json!(1))
    );
    // Twelve rows, each once: mailed or not.
    let reasons = counts(&summary["reasons"]);
    assert_eq!(
        reasons,
        BTreeMap::from([
            ("accepted already".to_owned(), 1),
            ("bad row".to_owned(), 2),
            ("deferred, not due yet".to_owned(), 1),
            ("rejected".to_owned(), 1),
        ])
    );
    assert_eq!(summary["left_out"], 5);
    let skipped = data(&workplace, "review", "skipped-0001");
    let bad = skipped.as_array().unwrap().iter();
    let bad: Vec<_> = bad.filter(|it| it[5] == "bad row").collect();
    assert_eq!(bad[0][1], "line 9");
    let why = "column email, \"nobody\": it is not an address, because it has no `@`";
    assert_eq!(bad[0][6], why);
    assert!(
        bad[1][6]
            .as_str()
            .unwrap()
            .contains("line 10 has the same address")
    );

    let summary = data(&workplace, "limited", "summary");
    assert_eq!(summary["messages"], 2);
    assert_eq!(counts(&summary["reasons"])["beyond --limit"], 3);
    assert_eq!(summary["about"]["approval"], Value::Null);
}

#[test]
fn a_resend_that_changed_makes_room_under_a_limit_as_in_the_send() {
    let server = Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Dot, Some("ada@a.example")) => Action::Close,
        _ => Action::Normal,
    });
    let workplace = Workplace::new(server.port());
    workplace.write("partners.csv", "email,name\nada@a.example,Ada\n");
    assert_eq!(workplace.run(&["send"]).code, 3);
    let resend = ["resolve", "ada@a.example", "--as", "resend", "--note", "x"];
    assert_eq!(workplace.run(&resend).code, 0);
    let list = "email,name\nada@a.example,Ada Lovelace\nbob@b.example,Bob\n";
    workplace.write("partners.csv", list);

    let preview = workplace.run(&["preview", "--limit", "1"]);
    workplace.run(&["send", "--limit", "1"]);

    assert!(
        preview.stdout.contains("1 message (1 en) would be sent"),
        "{preview:?}"
    );
    let row = &data(&workplace, "preview", "list-0001")[0];
    assert_eq!(row[2], "bob@b.example");
    let recipients: Vec<_> = server
        .accepted()
        .into_iter()
        .map(|it| it.recipients)
        .collect();
    assert_eq!(recipients, [["bob@b.example"]]);
}

#[test]
fn a_review_tells_when_and_by_which_message_id_somebody_was_mailed() {
    let server = Server::accepting();
    let workplace = Workplace::new(server.port());
    workplace.partners(&["done@a.example", "again@a.example"]);
    assert_eq!(workplace.run(&["send"]).code, 0);
    let sent = server.accepted();
    let id_of = |who: &str| {
        let message = sent.iter().find(|it| it.recipients[0].starts_with(who));
        let parsed = MessageParser::default()
            .parse(&message.unwrap().data)
            .unwrap();
        (
            parsed.message_id().unwrap().to_owned(),
            parsed.date().unwrap().to_timestamp(),
        )
    };
    let resend = [
        "resolve",
        "again@a.example",
        "--as",
        "resend",
        "--note",
        "x",
    ];
    assert_eq!(workplace.run(&resend).code, 0);

    assert_eq!(workplace.run(&["preview"]).code, 0);

    let second = |at: &Value| {
        at.as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
            .as_second()
    };
    let (id, date) = id_of("done");
    let earlier = &data(&workplace, "preview", "skipped-0001")[0][8];
    assert_eq!(earlier["message_id"], *id);
    assert_eq!(second(&earlier["at"]), date);
    assert_eq!(earlier["state"], "accepted");
    // The message that is due has a Message-ID of its own.
    let (id, _) = id_of("again");
    let message = &data(&workplace, "preview", "messages-0001")[0];
    assert_eq!(message[9]["message_id"], *id);
    assert_eq!(message[9]["state"], "accepted");
    assert_eq!(message[9]["attempts"], 1);
    assert!(!message[3].as_str().unwrap().contains(&id), "{message}");
}

/// The mode and the group of a folder and all that is in it.
fn access(folder: &Path) -> Vec<(String, u32, u32)> {
    let mut found = Vec::new();
    let mut paths = vec![folder.to_owned()];
    while let Some(path) = paths.pop() {
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            paths.extend(entries.map(|it| it.unwrap().path()));
        }
        let kind = if metadata.is_dir() { "folder" } else { "file" };
        let mode = metadata.permissions().mode() & 0o777;
        found.push((kind.to_owned(), mode, metadata.gid()));
    }
    found.sort();
    found.dedup();
    found
}

#[test]
fn a_shared_review_is_readable_by_its_group_only_and_until_it_is_written_again() {
    let workplace = Workplace::new(1);
    workplace.partners(&["ada@a.example"]);
    let out = workplace.file("out");
    std::fs::create_dir(&out).unwrap();
    let own = out.metadata().unwrap().gid();
    // Only root can give the folder to a foreign group.
    let group = chown(&out, None, Some(4321)).map_or(own, |()| 4321);

    for verb in [
        &["preview"][..],
        &["send", "--dry-run"],
        &["send", "--sandbox"],
    ] {
        let arguments = [verb, &["--out", "out"]].concat();
        // A mask that would take the group's right away.
        let umask = ["sh", "-c", "umask 077; exec \"$@\"", "sh"];
        let shared = workplace.run_under(&umask, &[&arguments[..], &["--shared"]].concat());
        assert_eq!(shared.code, 0, "{shared:?}");
        let expected = [
            ("file".to_owned(), 0o640, group),
            ("folder".to_owned(), 0o750, group),
        ];
        assert_eq!(access(&out), expected, "{verb:?}");

        let private = workplace.run(&arguments);
        assert_eq!(private.code, 0, "{private:?}");
        let mut modes: Vec<_> = access(&out).into_iter().map(|it| it.1).collect();
        modes.dedup();
        assert_eq!(modes, [0o600, 0o700], "{verb:?}");
    }
    let usage = workplace.run(&["send", "--shared"]);
    assert_eq!(usage.code, 2, "{usage:?}");
}

#[test]
fn a_review_that_cannot_be_shared_is_refused() {
    let workplace = Workplace::new(1);
    workplace.partners(&["ada@a.example"]);
    let out = workplace.file("out");
    std::fs::create_dir(&out).unwrap();
    // Only root can give a folder to a group that its owner is no member of.
    if chown(&out, Some(1234), Some(4321)).is_err() {
        return;
    }
    for name in [".", "ledger.sqlite3", "config.toml", "partners.csv"] {
        chown(workplace.file(name), Some(1234), Some(1234)).unwrap();
    }
    let user = ["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups"];

    let refused = workplace.run_under(&user, &["preview", "--out", "out", "--shared"]);

    assert_eq!(refused.code, 74, "{refused:?}");
    let why = "cannot use `out` for the review: it cannot be shared with its group (gid 4321): its mode is 0750, not 2750; use a group that you are a member of";
    assert!(refused.stderr.contains(why), "{refused:?}");
    assert!(!out.join("index.html").exists());
    let private = workplace.run_under(&user, &["preview", "--out", "out"]);
    assert_eq!(private.code, 0, "{private:?}");
}

#[test]
fn the_command_of_a_review_approves_just_what_it_shows() {
    let server = Server::accepting();
    let mut workplace = Workplace::new(server.port());
    workplace.extra = "[approval]\nfile = \"it's approved.txt\"".into();
    workplace.configure();
    workplace.partners(&["ada@a.example"]);
    let command = || {
        let preview = workplace.run(&["preview", "--out", "what is sent"]);
        assert_eq!(preview.code, 0, "{preview:?}");
        let about = &data(&workplace, "what is sent", "summary")["about"];
        let command = about["approval"]["command"].as_str().unwrap().to_owned();
        assert!(
            command.contains(about["digest"].as_str().unwrap()),
            "{command}"
        );
        command
    };
    // The reader of the review works in another folder.
    let run = |command: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir("/");
        shell.status().unwrap().success()
    };

    let old = command();
    workplace.partners(&["ada@a.example", "bob@b.example"]);
    let new = command();
    assert!(!run(&old), "the old command approves another review");
    assert!(!workplace.file("it's approved.txt").exists());
    assert_eq!(workplace.run(&["send"]).code, 65);
    assert!(run(&new), "{new}");
    assert_eq!(workplace.run(&["send"]).code, 0);
    assert_eq!(server.accepted().len(), 2);

    // Without a file, the command sends.
    workplace.extra = String::new();
    workplace.configure();
    workplace.partners(&["cleo@c.example"]);
    assert_eq!(workplace.run(&["preview"]).code, 0);
    let about = data(&workplace, "preview", "summary")["about"].clone();
    let command = about["approval"]["command"].as_str().unwrap();
    let (program, arguments) = command.split_once(' ').unwrap();
    assert_eq!(program, "access-invite");
    let command = format!("'{}' {arguments}", crate::support::binary().display());
    assert!(run(&command), "{command}");
    assert_eq!(server.accepted().len(), 3);
}

//! Approvals, end to end: a scheduled `send` mails exactly the approved messages.

#![allow(
    clippy::unwrap_used,
    clippy::format_collect,
    reason = "a test that cannot go on fails"
)]

use std::path::Path;

use crate::support::Workplace;
use crate::support::smtp::Server;

const LIST: &str = "email,name\nada@a.example,Ada\nbob@b.example,Bob\neva@e.example,Eva\n";

/// A job with `[approval] required` and its own templates.
fn job(port: u16) -> Workplace {
    let mut workplace = Workplace::new(port);
    workplace.extra = "[approval]\nfile = \"approved.txt\"".into();
    workplace.configure();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    for (from, to) in [("", "words"), ("en", "words/en"), ("fr", "words/fr")] {
        std::fs::create_dir_all(workplace.file(to)).unwrap();
        for entry in std::fs::read_dir(shipped.join(from)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.file_name().unwrap();
                std::fs::copy(&path, workplace.file(to).join(name)).unwrap();
            }
        }
    }
    let shipped = format!("directory = \"{}\"", shipped.display());
    edit(&workplace, "config.toml", &shipped, "directory = \"words\"");
    workplace.write("partners.csv", LIST);
    workplace
}

fn edit(workplace: &Workplace, file: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(workplace.file(file)).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    workplace.write(file, &text.replacen(from, to, 1));
}

/// The steps of `docs/operations.md`.
fn approve(workplace: &Workplace) {
    let page = include_str!("../docs/operations.md");
    assert!(page.contains("\naccess-invite preview\ncp preview/approval.txt approved.txt\n"));
    let preview = workplace.run(&["preview"]);
    assert_eq!(preview.code, 0, "{preview:?}");
    std::fs::copy(
        workplace.file("preview/approval.txt"),
        workplace.file("approved.txt"),
    )
    .unwrap();
}

/// The digest that a preview prints.
fn digest(workplace: &Workplace) -> String {
    let preview = workplace.run(&["preview"]);
    let line = preview
        .stdout
        .lines()
        .find_map(|it| it.strip_prefix("digest of the inputs: "));
    let line = line.unwrap_or_else(|| panic!("{preview:?}"));
    line.split(',').next().unwrap().to_owned()
}

/// Runs a send that must fail, and returns its message.
fn refused(workplace: &Workplace, arguments: &[&str]) -> String {
    // The ledger is opened, and the result is the same afterwards.
    let files = || {
        let files = workplace.bytes().into_iter();
        files
            .filter(|(path, _)| !path.to_string_lossy().contains("ledger.sqlite3"))
            .collect::<Vec<_>>()
    };
    let (before, states) = (files(), workplace.states());
    let send = workplace.run(&[&["send"], arguments].concat());
    assert_eq!(send.code, 65, "{send:?}");
    assert!(send.stderr.contains("nothing was sent"), "{send:?}");
    assert!(files() == before, "a file was written");
    assert_eq!(workplace.states(), states);
    send.stderr
}

#[test]
fn send_requires_approval_of_the_exact_messages() {
    let server = Server::accepting();
    let workplace = job(server.port());

    let error = refused(&workplace, &[]);
    assert!(
        error.contains("there is no `approved.txt`; review the messages with `access-invite preview`, then run `cp preview/approval.txt approved.txt`"),
        "{error}"
    );
    let preview = workplace.run(&["preview"]);
    assert!(
        preview
            .stdout
            .contains("to approve it: cp preview/approval.txt approved.txt"),
        "{preview:?}"
    );
    assert!(
        preview
            .stderr
            .contains("warning: a real send would stop: not approved"),
        "{preview:?}"
    );
    let check = workplace.run(&["check"]);
    assert_eq!(check.code, 0, "{check:?}");
    assert!(
        check
            .stderr
            .contains("a real send would stop: not approved"),
        "{check:?}"
    );
    // Sandbox runs send no mail and need no approval.
    assert_eq!(workplace.run(&["send", "--sandbox"]).code, 0);
    assert_eq!(
        workplace.run(&["send", "--test-to", "me@c.example"]).code,
        0
    );
    let tried = server.accepted().len();

    approve(&workplace);
    let sent = workplace.run(&["send"]);
    assert_eq!((sent.code, sent.stderr.as_str()), (0, ""), "{sent:?}");
    assert_eq!(server.accepted().len(), tried + 3);
    // The approval also covers later runs.
    assert_eq!(workplace.run(&["send"]).code, 0);
    let preview = workplace.run(&["preview"]);
    assert!(preview.stdout.contains(", already approved"), "{preview:?}");
    assert!(!preview.stderr.contains("would stop"), "{preview:?}");

    workplace.write("partners.csv", &format!("{LIST}new@n.example,New\n"));
    let connections = server.connections();
    refused(&workplace, &[]);
    assert_eq!(server.connections(), connections);
    approve(&workplace);
    assert_eq!(workplace.run(&["send"]).code, 0);
    assert_eq!(server.accepted().len(), tried + 4);
}

#[test]
fn an_approval_error_names_the_changed_part() {
    let workplace = job(1);
    approve(&workplace);
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();

    edit(
        &workplace,
        "config.toml",
        "host = \"127.0.0.1\"",
        "host = \"localhost\"\nhello = \"x.example\"",
    );
    edit(
        &workplace,
        "config.toml",
        "reply_to = \"desk@contoso.example\"\n",
        "",
    );
    let error = refused(&workplace, &[]);
    assert!(
        error.contains(
            "\nconfiguration: `smtp.hello` added; `sender.reply_to` removed; `smtp.host` changed\n"
        ),
        "{error}"
    );
    assert!(
        !error.contains("\nlinks:")
            && !error.contains("\ntemplates:")
            && !error.contains("\npartners:"),
        "{error}"
    );

    workplace.write("config.toml", &config);
    edit(&workplace, "config.toml", "@fabrikam.", "@fabrikam2.");
    let error = refused(&workplace, &[]);
    assert!(error.contains("\nlinks: `project` changed\n"), "{error}");
    assert!(!error.contains("\nconfiguration:"), "{error}");

    workplace.write("config.toml", &config);
    edit(&workplace, "words/fr/invitation.txt", "Bonjour", "Salut");
    std::fs::create_dir(workplace.file("words/de")).unwrap();
    for part in ["subject.txt", "txt", "html"] {
        std::fs::copy(
            workplace.file(&format!("words/en/invitation.{part}")),
            workplace.file(&format!("words/de/invitation.{part}")),
        )
        .unwrap();
    }
    workplace.write(
        "partners.csv",
        "email,name\nada@a.example,Ada Lovelace\neva@e.example,Eva\nnew@n.example,New\nnewer@n.example,Newer\n",
    );
    let error = refused(&workplace, &[]);
    assert!(
        error.contains("\ntemplates: `de/invitation.html`, `de/invitation.subject.txt`, `de/invitation.txt` added; `fr/invitation.txt` changed\n"),
        "{error}"
    );
    assert!(
        error.contains(
            "\npartners: rows: 2 added (partners.csv:4, 5), 1 removed, 1 changed (partners.csv:2)\n"
        ),
        "{error}"
    );

    std::fs::remove_dir_all(workplace.file("words/de")).unwrap();
    edit(&workplace, "words/fr/invitation.txt", "Salut", "Bonjour");
    workplace.write("partners.csv", &LIST.replace('\n', "\r\n"));
    let error = refused(&workplace, &[]);
    assert!(
        error.contains("\npartners: the good rows of `partners.csv` are the same"),
        "{error}"
    );
}

#[test]
fn formatting_and_secret_location_do_not_change_the_digest() {
    let server = Server::accepting();
    let workplace = job(server.port());
    approve(&workplace);
    let before = digest(&workplace);

    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let (limits, rest) = config.split_once("[limits]").unwrap();
    let (values, rest) = rest.split_once("[retry]").unwrap();
    let reordered = format!("# Reviewed.\n{limits}[retry]{rest}\n[limits] # how much\n{values}")
        .replace("per_day = 1000000", "per_day = 1_000_000");
    assert_ne!(reordered, config);
    workplace.write("config.toml", &reordered);
    assert_eq!(digest(&workplace), before);
    let sent = workplace.run(&["send"]);
    assert_eq!((sent.code, sent.stderr.as_str()), (0, ""), "{sent:?}");

    let login = |proof: &str| {
        let tls = config.replace("tls = \"none\"", &format!("username = \"ada\"\n{proof}"));
        workplace.write("config.toml", &tls);
        digest(&workplace)
    };
    let one = login("password_env = \"HUNTER_ONE\"");
    assert_eq!(login("password_env = \"HUNTER_TWO\""), one);
    assert_ne!(login("password_credential = \"HUNTER_ONE\""), one);
    let approval = std::fs::read_to_string(workplace.file("preview/approval.txt")).unwrap();
    assert!(
        !approval.contains("HUNTER") && !approval.contains("@a.example"),
        "{approval}"
    );
    assert!(
        approval.contains(" smtp.password_credential\n"),
        "{approval}"
    );
}

#[test]
fn a_digest_alone_approves_and_names_the_changed_part() {
    let server = Server::accepting();
    let mut workplace = Workplace::new(server.port());
    workplace.write("partners.csv", LIST);
    let digest = digest(&workplace);
    let preview = workplace.run(&["preview"]);
    let command = format!("approve it: access-invite send --approved {digest}");
    assert!(preview.stdout.contains(&command), "{preview:?}");

    let usage = workplace.run(&["send", "--approved", "1234"]);
    assert_eq!(usage.code, 2, "{usage:?}");
    let usage = workplace.run(&["send", "--sandbox", "--approved", &digest]);
    assert_eq!(usage.code, 2, "{usage:?}");

    // The preview still exists, so the error names the difference.
    workplace.write("partners.csv", &format!("{LIST}new@n.example,New\n"));
    let error = refused(&workplace, &["--approved", &digest]);
    assert!(
        error.contains("\npartners: rows: 1 added (partners.csv:5)\n"),
        "{error}"
    );
    assert!(error.contains("pass the digest that it prints"), "{error}");

    // The preview is missing, or is another one.
    assert_eq!(workplace.run(&["preview"]).code, 0);
    let error = refused(&workplace, &["--approved", &digest]);
    assert!(
        error.contains("\npartners: changed (only the digest is at hand, so it is unknown how)\n"),
        "{error}"
    );
    assert!(!error.contains("\nconfiguration:"), "{error}");

    workplace.write("partners.csv", LIST);
    let sent = workplace.run(&["send", "--approved", &digest]);
    assert_eq!((sent.code, sent.stderr.as_str()), (0, ""), "{sent:?}");
    assert_eq!(server.accepted().len(), 3);

    // The file may hold the digest alone; any other content is an error.
    workplace.extra = "[approval]\nfile = \"approved.txt\"".into();
    workplace.configure();
    workplace.write("approved.txt", &format!("{digest}\n"));
    assert_eq!(workplace.run(&["send"]).code, 0);
    workplace.write("approved.txt", "yes\n");
    let error = workplace.run(&["send"]);
    assert_eq!(error.code, 65, "{error:?}");
    assert!(
        error.stderr.contains("`approved.txt` is not an approval"),
        "{error:?}"
    );
    let preview = workplace.run(&["preview"]);
    assert_eq!(preview.code, 0, "{preview:?}");
    assert!(preview.stderr.contains("is not an approval"), "{preview:?}");
}

#[test]
fn a_partial_preview_removes_the_approval_proposal() {
    let workplace = job(1);
    assert_eq!(workplace.run(&["preview"]).code, 0);
    assert!(workplace.file("preview/approval.txt").exists());

    for part in [&["--limit", "1"], &["--only", "ada@a.example"]] {
        let preview = workplace.run(&[&["preview"], &part[..]].concat());
        assert_eq!(preview.code, 0, "{preview:?}");
        assert!(
            preview
                .stdout
                .contains("a partial preview cannot be approved"),
            "{preview:?}"
        );
        assert!(!workplace.file("preview/approval.txt").exists());
    }
}

//! `export`, and decisions about partners who were reached in another way.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::smtp::{Action, Call, Server, Stage, reply};
use crate::support::{LINK, Workplace};
use mail_parser::MessageParser;

/// The files of a folder, with their modes, without the hidden mark.
fn files(folder: &Path) -> Vec<(String, u32)> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let files = entries.map(|it| {
        let mode = it.metadata().unwrap().permissions().mode() & 0o777;
        (it.file_name().into_string().unwrap(), mode)
    });
    let mut files: Vec<_> = files.filter(|it| !it.0.starts_with('.')).collect();
    files.sort();
    files
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).into_iter().map(|it| it.0).collect()
}

#[test]
fn drafts_are_what_a_send_would_mail_and_nothing_is_recorded() {
    let server = Server::accepting();
    let mut workplace = Workplace::new(server.port());
    workplace.short_templates();
    workplace.partners(&["ada@a.example"]);
    assert_eq!(workplace.run(&["send"]).code, 0);
    workplace.partners(&["ada@a.example", "bob@b.example", "eva@e.example"]);
    let before = workplace.status();

    let output = workplace.run(&["export", "drafts"]);

    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    assert!(
        output
            .stdout
            .contains("not exported: ada@a.example (accepted already)\n")
    );
    assert!(
        output
            .stdout
            .contains("2 drafts written to `drafts`, nothing sent, nothing recorded")
    );
    assert_eq!(workplace.status(), before);
    assert_eq!(server.accepted().len(), 1);
    let folder = workplace.file("drafts");
    let mode = std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
    let bob = "0001-bob@b.example.eml".to_owned();
    let eva = "0002-eva@e.example.eml".to_owned();
    assert_eq!(files(&folder), [(bob.clone(), 0o600), (eva, 0o600)]);
    let draft = std::fs::read(folder.join(bob)).unwrap();
    assert!(draft.starts_with(b"X-Unsent: 1\r\n"));
    let parsed = MessageParser::default().parse(&draft).unwrap();
    assert_eq!(
        parsed.to().unwrap().first().unwrap().address(),
        Some("bob@b.example")
    );
    assert_eq!(
        parsed.reply_to().unwrap().first().unwrap().address(),
        Some("desk@contoso.example")
    );
    assert_eq!((parsed.message_id(), parsed.date()), (None, None));
    let sent = MessageParser::default()
        .parse(&server.accepted()[0].data)
        .unwrap()
        .subject()
        .map(str::to_owned);
    assert_eq!(parsed.subject().map(str::to_owned), sent);
    assert!(parsed.body_text(0).unwrap().contains(LINK));
    assert!(parsed.body_html(0).unwrap().contains(LINK));
}

#[test]
fn texts_come_with_a_list_that_no_spreadsheet_takes_for_formulas() {
    let mut workplace = Workplace::new(1);
    workplace.short_templates();
    workplace.write(
        "partners.csv",
        "email,name,organization\nada@a.example,\"=cmd|'/C calc'!A0\",\"Analytical, Engines\"\nbob/x@b.example,Bob,\n",
    );

    let output = workplace.run(&["export", "texts", "--format", "text"]);

    assert_eq!(output.code, 0, "{output:?}");
    let folder = workplace.file("texts");
    assert_eq!(
        names(&folder),
        [
            "0001-ada@a.example.txt",
            "0002-bob_x@b.example.txt",
            "list.csv"
        ]
    );
    assert!(files(&folder).iter().all(|it| it.1 == 0o600));
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(
        read("0001-ada@a.example.txt"),
        format!("Hello =cmd|'/C calc'!A0,\n\n{LINK}\n")
    );
    assert_eq!(
        read("list.csv"),
        format!(
            "\u{feff}file,email,name,organization,package,locale,subject,link\n0001-ada@a.example.txt,ada@a.example,'=cmd|'/C calc'!A0,\"Analytical, Engines\",project,en,Invitation,{LINK}\n0002-bob_x@b.example.txt,bob/x@b.example,Bob,,project,en,Invitation,{LINK}\n"
        )
    );
}

#[test]
fn an_export_selects_as_a_preview_does_and_replaces_only_an_export() {
    let mut workplace = Workplace::new(1);
    workplace.short_templates();
    workplace.partners(&["ada@a.example", "bob@b.example", "eva@e.example"]);
    let folder = workplace.file("out");
    let export = |more: &[&str]| workplace.run(&[&["export", "out"][..], more].concat());

    assert_eq!(export(&["--limit", "2"]).code, 0);
    assert_eq!(
        names(&folder),
        ["0001-ada@a.example.eml", "0002-bob@b.example.eml"]
    );
    std::fs::write(folder.join("mine.txt"), "x").unwrap();
    assert_eq!(
        export(&["--only", "eva@e.example", "--format", "text"]).code,
        0
    );
    assert_eq!(
        names(&folder),
        ["0001-eva@e.example.txt", "list.csv", "mine.txt"]
    );
    let nobody = export(&["--only", "zoe@z.example"]);
    assert_eq!(nobody.code, 65, "{nobody:?}");
    assert_eq!(names(&folder).len(), 3, "a failed export removes nothing");

    std::fs::create_dir(workplace.file("other")).unwrap();
    workplace.write("other/notes.txt", "x");
    std::os::unix::fs::symlink(&folder, workplace.file("link")).unwrap();
    for (place, why) in [
        ("other", "it holds files that are not from an export"),
        ("link", "it is a symbolic link"),
        ("partners.csv", "it is not a folder"),
    ] {
        let refused = workplace.run(&["export", place]);
        assert_eq!(refused.code, 74, "{refused:?}");
        assert!(refused.stderr.contains(why), "{refused:?}");
    }
    assert_eq!(names(&workplace.file("other")), ["notes.txt"]);
}

#[test]
fn a_message_that_fails_verification_stops_an_export_before_the_first_file() {
    let mut workplace = Workplace::new(1);
    workplace.words(
        "{{ link }}\n{% if partner.name == \"Eva\" %}https://other.example/{% endif %}\n",
        "<a class=\"button\" href=\"{{ link }}\">here</a> <p>{{ link }}</p>",
    );
    workplace.write(
        "partners.csv",
        "email,name\nada@a.example,Ada\neva@e.example,Eva\n",
    );

    let output = workplace.run(&["export", "out"]);

    assert_eq!(output.code, 78, "{output:?}");
    assert!(
        output
            .stderr
            .contains("`https://other.example/` is in the text")
    );
    assert_eq!(names(&workplace.file("out")), Vec::<String>::new());
}

/// Refuses `deferred@…` temporarily, and others that begin with `gone` permanently.
fn relay() -> Server {
    Server::start(|call: &Call| match call.stage {
        Stage::Rcpt if call.line.contains("deferred") => reply("450 4.2.1 busy"),
        Stage::Rcpt if call.line.contains("gone") => reply("550 5.1.1 no such user"),
        _ => Action::Normal,
    })
}

#[test]
fn who_is_invited_in_another_way_is_recorded_and_not_mailed() {
    let server = relay();
    let mut workplace = Workplace::new(server.port());
    workplace.short_templates();
    workplace.partners(&["deferred@a.example", "gone@a.example"]);
    assert_eq!(workplace.run(&["send"]).code, 1);
    workplace.partners(&[
        "deferred@a.example",
        "gone@a.example",
        "new@a.example",
        "no@a.example",
        "mailed@a.example",
    ]);
    let resolve = |address: &str, decision: &str| {
        workplace.run(&["resolve", address, "--as", decision, "--note", "by phone"])
    };

    // By its address, one whom mail did not reach can be exported, too.
    let export = workplace.run(&[
        "export",
        "out",
        "--only",
        "gone@a.example",
        "deferred@a.example",
    ]);
    assert_eq!(export.code, 0, "{export:?}");
    assert_eq!(names(&workplace.file("out")).len(), 2);
    for (address, decision, expected) in [
        (
            "new@a.example",
            "accepted",
            "new@a.example (project): not recorded → accepted\n",
        ),
        (
            "no@a.example",
            "abandoned",
            "no@a.example (project): not recorded → abandoned\n",
        ),
        (
            "deferred@a.example",
            "accepted",
            "deferred@a.example (project): deferred → accepted\n",
        ),
    ] {
        let output = resolve(address, decision);
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (0, expected),
            "{output:?}"
        );
    }
    for (address, decision, why) in [
        (
            "new@a.example",
            "accepted",
            "new@a.example is accepted; `--as accepted` applies only to",
        ),
        (
            "gone@a.example",
            "accepted",
            "gone@a.example is rejected; `--as accepted` applies only to",
        ),
        (
            "zoe@z.example",
            "accepted",
            "and no good row of `partners.csv` names it",
        ),
        (
            "mailed@a.example",
            "resend",
            "no invitation to mailed@a.example is recorded",
        ),
        (
            "mailed@a.example",
            "delivered",
            "no invitation to mailed@a.example is recorded",
        ),
    ] {
        let output = resolve(address, decision);
        assert_eq!(output.code, 65, "{output:?}");
        assert!(output.stderr.contains(why), "{output:?}");
    }

    let sent = workplace.run(&["send"]);

    assert_eq!(sent.code, 0, "{sent:?}");
    let recipients: Vec<String> = server
        .accepted()
        .iter()
        .map(|it| it.recipients[0].clone())
        .collect();
    assert_eq!(recipients, ["mailed@a.example"]);
    let status = workplace.status();
    let new = status["invitations"].as_array().unwrap().iter();
    let new = new
        .clone()
        .find(|it| it["email"] == "new@a.example")
        .unwrap();
    assert!(new["accepted_at"].is_string(), "{new}");
    assert_eq!(
        (&new["attempts"], &new["note"]),
        (&0.into(), &"by phone".into())
    );
}

#[test]
fn a_pending_invitation_can_be_closed_by_a_person() {
    // Nothing is replied to MAIL, so all that is due stays pending.
    let server = Server::start(|call: &Call| match call.stage {
        Stage::Mail => reply("451 4.3.2 try later"),
        _ => Action::Normal,
    });
    let mut workplace = Workplace::new(server.port());
    workplace.short_templates();
    workplace.partners(&["ada@a.example", "bob@b.example"]);
    workplace.run(&["send"]);
    workplace.all_are("pending");

    for (address, decision) in [
        ("ada@a.example", "accepted"),
        ("bob@b.example", "abandoned"),
    ] {
        let output = workplace.run(&["resolve", address, "--as", decision, "--note", "x"]);
        let expected = format!("{address} (project): pending → {decision}\n");
        assert_eq!((output.code, output.stdout), (0, expected));
    }

    let export = workplace.run(&["export", "out"]);
    assert!(
        export.stdout.contains("nothing is due, so `out` is empty"),
        "{export:?}"
    );
}

#[test]
fn a_partner_who_is_listed_for_several_packages_needs_one() {
    let workplace = Workplace::new(1);
    let second = LINK.replace("0b11", "0b12");
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let archive =
        format!("[packages.archive]\nlink = \"{second}\"\nname = \"Archive\"\n[partners]");
    workplace.write("config.toml", &config.replace("[partners]", &archive));
    workplace.write(
        "partners.csv",
        "email,package\nada@a.example,project\nada@a.example,archive\n",
    );
    let resolve = |more: &[&str]| {
        let decision = [
            "resolve",
            "ada@a.example",
            "--as",
            "accepted",
            "--note",
            "x",
        ];
        workplace.run(&[&decision[..], more].concat())
    };

    let which = resolve(&[]);
    assert_eq!(which.code, 65, "{which:?}");
    assert!(
        which
            .stderr
            .contains("is listed for project and archive; select one with `--package`")
    );
    let archive = resolve(&["--package", "archive"]);
    assert_eq!(
        archive.stdout, "ada@a.example (archive): not recorded → accepted\n",
        "{archive:?}"
    );
    assert_eq!(
        workplace.states(),
        [("ada@a.example".into(), "accepted".into())]
    );
}

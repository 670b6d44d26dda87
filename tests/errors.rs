//! Every kind of error and warning as users see it, in one snapshot per subject: what failed, where, why,
//! and how to fix it.
//!
//! Review changed messages in `tests/snapshots/`.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    clippy::format_collect,
    clippy::semicolon_if_nothing_returned,
    reason = "a test that cannot go on fails"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::support::pki::Pki;
use crate::support::ports::ClosedPort;
use crate::support::scanner::{PASSWORD, STALE_TOKEN};
use crate::support::sheet::Sheet;
use crate::support::smtp::{Action, Call, Login, Server, Setup, Stage, Tls, reply};
use crate::support::{LINK, Workplace};

const GOOD: &str = "campaign = \"spring\"
[sender]
from = \"Contoso Access <access@contoso.example>\"
organization = \"Contoso\"
[packages.project]
link = \"LINK\"
name = \"Project space\"
[partners]
file = \"partners.csv\"
[smtp]
host = \"smtp.example.com\"
[ledger]
file = \"ledger.sqlite3\"
";

fn good() -> String {
    GOOD.replace("LINK", LINK)
}

fn allow(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_command_line() {
    let workplace = Workplace::new(1);
    let mut sheet = Sheet::default();
    for arguments in [
        &[][..],
        &["sned"],
        &["send", "--limit", "few"],
        &["send", "--only", "nobody"],
        &["send", "--only", "\x1b[31mada\x07@a.example"],
        &["send", "--dry-run", "--sandbox"],
        &["send", "--out", "elsewhere"],
        &["status", "--state", "sent"],
        &["status", "--format", "xml"],
        &["resolve", "ada@a.example"],
        &["resolve", "--as", "accepted", "--note", "x"],
        &["resolve", "ada@a.example", "--as", "sent", "--note", "x"],
        &[
            "resolve", "--state", "pending", "--as", "resend", "--note", "x",
        ],
        &[
            "resolve", "--state", "expired", "--as", "resend", "--note", "x",
        ],
        &[
            "resolve", "--state", "expired", "--as", "accepted", "--note", "x", "--yes",
        ],
        &["check", "--fast"],
        &["send", "--approved", "yes"],
    ] {
        let output = workplace.run(arguments);
        assert_eq!(output.code, 2, "{arguments:?}: {output:?}");
        let typed: Vec<_> = arguments
            .iter()
            .map(|it| it.escape_debug().to_string())
            .collect();
        sheet.note(&typed.join(" "), &workplace, &output);
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn the_configuration() {
    let workplace = Workplace::new(1);
    workplace.partners(&["ada@a.example"]);
    let mut sheet = Sheet::default();
    let mut with = |title: &str, text: &str| {
        workplace.write("other.toml", text);
        let output = workplace.run(&["check", "-c", "other.toml"]);
        assert_eq!(output.code, 78, "{title}: {output:?}");
        sheet.note(title, &workplace, &output);
    };
    let set = |table: &str, line: &str| {
        let header = format!("[{table}]\n");
        if GOOD.contains(&header) {
            good().replace(&header, &format!("{header}{line}\n"))
        } else {
            format!("{}{header}{line}\n", good())
        }
    };

    with("nothing in it", "");
    with("not closed", &good().replace("\"spring\"", "\"spring"));
    with("a key twice", &set("smtp", "host = \"a.example\""));
    with(
        "several things at once",
        &good()
            .replace("organization", "organisation")
            .replace("host =", "port = \"465\"\nhots ="),
    );
    with(
        "a list for a text",
        &good().replace("\"spring\"", "[\"spring\"]"),
    );
    with("a text for a table", "smtp = \"smtp.example.com\"\n");
    with(
        "a control character",
        &good().replace("spring", "spr\\u0007ing"),
    );
    with(
        "a sender that is none",
        &good().replace("access@contoso", "contoso"),
    );
    with("tls", &set("smtp", "tls = \"ssl\""));
    with("in clear", &set("smtp", "tls = \"none\""));
    for host in [
        "[::1",
        "[127.0.0.1]",
        "[fe80::1%eth0]",
        "127.1",
        "smtp.example.com:587",
        "https://smtp.example.com",
    ] {
        with(
            &format!("the host `{host}`"),
            &good().replace("\"smtp.example.com\"", &format!("\"{host}\"")),
        );
    }
    with("a number too large", &set("smtp", "connections = 1000"));
    with(
        "a dot deadline",
        &set("smtp", "deadlines = { dot = \"5s\" }"),
    );
    with("a password in it", &set("smtp", "password = \"hunter2\""));
    with("half a login", &set("smtp", "username = \"ada\""));
    with("the other half", &set("smtp", "password_env = \"P\""));
    with(
        "two proofs",
        &set(
            "smtp",
            "username = \"ada\"\npassword_env = \"P\"\npassword_file = \"p\"",
        ),
    );
    with("an encoding", &set("partners", "encoding = \"utf-7\""));
    with("a delimiter", &set("partners", "delimiter = \"|\""));
    with(
        "two columns under one header",
        &set(
            "partners",
            "columns = { name = \"Contact\", organization = \"contact\" }",
        ),
    );
    with("a time span", &set("retry", "first_after = \"soon\""));
    with("retry", &set("retry", "first_after = \"9h\""));
    with("only_to", &set("limits", "only_to = [\"contoso\"]"));
    with(
        "a date",
        &set("packages.project", "respond_by = \"31.12.2027\""),
    );
    with(
        "a locale",
        &set("templates", "default_locale = \"english\""),
    );
    with(
        "a text in no default locale",
        &good().replace("name = \"Project space\"", "name = { fr = \"Espace\" }"),
    );
    with(
        "two packages, one id",
        &format!(
            "{}[packages.twin]\nlink = \"{LINK}\"\nname = \"Twin\"\n",
            good()
        ),
    );
    with(
        "the results over the list",
        &set("results", "csv = \"partners.csv\""),
    );

    let missing = workplace.run(&["check", "-c", "nowhere.toml"]);
    sheet.note("no file", &workplace, &missing);
    std::fs::create_dir(workplace.file("folder.toml")).unwrap();
    let folder = workplace.run(&["check", "-c", "folder.toml"]);
    sheet.note("a folder", &workplace, &folder);
    std::fs::write(workplace.file("latin.toml"), b"campaign = \"\xe9t\xe9\"").unwrap();
    let latin = workplace.run(&["check", "-c", "latin.toml"]);
    sheet.note("not UTF-8", &workplace, &latin);
    assert_eq!((missing.code, folder.code, latin.code), (78, 78, 78));
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn the_link() {
    const ID: &str = "8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11";
    let at = "https://myaccess.microsoft.com/@fabrikam.com";
    let links = [
        format!(" {LINK}"),
        format!("{LINK}\\u200b"),
        format!("{LINK}\\u00a0"),
        LINK.replacen("micro", "mіcro", 1),
        LINK.replace('#', "＃"),
        LINK.replace("-2f0b", "–2f0b"),
        format!("{at}#/access-packages/8e1f8f5a…"),
        format!("{LINK}."),
        format!("https://myaccess.microsoft.com/@<directory_hint>#/access-packages/{ID}"),
        format!("{at}#/access-packages/{{id}}"),
        "myaccess.microsoft.com/@fabrikam.com".into(),
        "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fmyaccess".into(),
        "https://urldefense.com/v3/__https://myaccess.microsoft.com/__;Iw!!x$".into(),
        LINK.replace("https", "http"),
        format!("https://myaccess.microsoft.com@fabrikam.com#/access-packages/{ID}"),
        LINK.replace(".com/", ".com.evil.example/"),
        LINK.replace("microsoft.com/", "microsoft.com:8443/"),
        LINK.replace('#', "%23"),
        format!("https://myaccess.microsoft.com/#/access-packages/{ID}"),
        format!("https://myaccess.microsoft.com/fabrikam.com#/access-packages/{ID}"),
        LINK.replace('#', "?x=1#"),
        at.to_owned(),
        format!("{at}#/access-packages/active/{ID}"),
        format!("{at}#/access-reviews"),
        format!("{at}#/access-packages/"),
        format!("{at}#/access-packages/8e1f8f5a"),
        format!("{LINK}/details"),
        format!("{at}#/access-packages/00000000-0000-0000-0000-000000000000"),
        LINK.replace("https://myaccess", "https://MyAccess"),
    ];
    let workplace = Workplace::new(1);
    let mut sheet = Sheet::default();
    let mut explanations = Vec::new();
    for link in &links {
        workplace.write("other.toml", &good().replace(LINK, link));

        let output = workplace.run(&["check", "-c", "other.toml"]);

        assert_eq!(output.code, 78, "{link}: {output:?}");
        // Line and column, the message, and the wrong part.
        let (first, marked) = output.stderr.split_once('\n').unwrap();
        assert!(first.contains("other.toml:6:"), "{first}");
        explanations.push(first.split_once(": `").unwrap().1.to_owned());
        let [_, source, mark, ..] = marked.lines().collect::<Vec<_>>()[..] else {
            panic!("{output:?}");
        };
        let why = crate::support::Output {
            code: output.code,
            stdout: String::new(),
            stderr: format!(
                "{}\n{source}\n{mark}\n",
                first.split_once("error: ").unwrap().1
            ),
        };
        sheet.note("a link", &workplace, &why);
    }
    explanations.sort();
    explanations.dedup();
    assert!(explanations.len() >= 27, "only {}", explanations.len());
    let warned = [
        LINK.replace("/@", "/%40"),
        LINK.replace("fabrikam.onmicrosoft.com", ID),
        LINK.replace("microsoft.com/", "microsoft.us/"),
        LINK.replace("fabrikam.on", "contoso.on"),
    ];
    workplace.partners(&["ada@a.example"]);
    for link in warned {
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let templates = format!("[templates]\ndirectory = \"{}\"\n", templates.display());
        workplace.write("other.toml", &(good().replace(LINK, &link) + &templates));
        let output = workplace.run(&["check", "-c", "other.toml"]);
        assert_eq!(output.code, 0, "{link}: {output:?}");
        sheet.note(&format!("\"{link}\""), &workplace, &output);
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn the_list() {
    let mut workplace = Workplace::new(1);
    workplace.extra = format!(
        "[packages.archive]\nlink = \"{}\"\nname = \"Archive\"",
        LINK.replace("0b11", "0b12")
    );
    workplace.configure();
    let mut sheet = Sheet::default();
    let mut with = |title: &str, bytes: &[u8]| {
        std::fs::write(workplace.file("partners.csv"), bytes).unwrap();
        let output = workplace.run(&["send"]);
        assert_eq!(output.code, 65, "{title}: {output:?}");
        sheet.note(title, &workplace, &output);
    };

    let long = "x".repeat(9_000);
    let name = "n".repeat(300);
    with(
        "every reason for a bad row",
        format!(
            "email,name,locale,package,note\n\
             nobody,,,project,\n\
             ada@localhost,,,project,\n\
             ada@[127.0.0.1],,,project,\n\
             Ada <ada@localhost>,,,project,\n\
             a@a.example;b@b.example,,,project,\n\
             ada lovelace@a.example,,,project,\n\
             -ada@a.example,,,project,\n\
             \"\"\"ada\"\"@a.example\",,,project,\n\
             josé@a.example,,,project,\n\
             ada_gmail.com#EXT#@contoso.onmicrosoft.com,,,project,\n\
             ada@a..example,,,project,\n\
             ,Ada,,project,\n\
             ad\u{200b}a@a.example,,,project,\n\
             \u{202e}ada@a.example,,,project,\n\
             b@b.example,\"two\nlines\",,project,\n\
             c@c.example,\u{7},,project,\n\
             d@d.example,{name},,project,\n"
        )
        .as_bytes(),
    );
    with(
        "more reasons for a bad row",
        format!(
            "email,name,locale,package,note\n\
             e@e.example,,jp,project,\n\
             f@f.example,,,projekt,\n\
             g@g.example,,,,\n\
             h@h.example,,,project,{long}\n\
             i@i.example,,,project,x,y\n\
             j@j.example,,,project,\n\
             J@j.EXAMPLE,,,project,\n\
             \"k@k.example,,,project,\n"
        )
        .as_bytes(),
    );
    with("empty", b"");
    with("no column of addresses", b"post,name\nada@a.example,Ada\n");
    with("no header", b"ada@a.example,Ada\n");
    with("another delimiter", b"email|name\nada@a.example|Ada\n");
    with(
        "quotes paired wrongly",
        b"email,name,note,package\nada@a.example,Ada,\"19 inch,project\nbob@b.example,Bob,,project\ndee@d.example,Dee,\"21 inch,project\neva@e.example,Eva,\"19 inch,project\nfay@f.example,Fay,,project\ngus@g.example,Gus,21 inch\",project\n",
    );
    with("the column twice", b"email,name,Email\n");
    with(
        "two columns, one variable",
        b"email,project lead,project-lead\n",
    );
    with("a workbook", b"PK\x03\x04rest");
    with("an old workbook", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest");
    with("a PDF", b"%PDF-1.7");
    with("a web page", b"<!DOCTYPE html>");
    with("UTF-16 without mark", b"e\0m\0a\0i\0l\0\n\0");
    with("UTF-16 cut short", b"\xff\xfee\0m\0a\0i\0l");
    with(
        "two encodings",
        "email,name\nada@a.example,René\nbob@b.example,Ren"
            .bytes()
            .chain(*b"\xe9\n")
            .collect::<Vec<_>>()
            .as_slice(),
    );
    with(
        "Cyrillic",
        b"email,name\nada@a.example,\xc8\xe2\xe0\xed\xee\xe2 \xcf\xb8\xf2\xf0\n",
    );
    with(
        "no text",
        b"email,name\nada@a.example,\xff\xfe\x01\x02\x90\x81\n",
    );
    std::fs::remove_file(workplace.file("partners.csv")).unwrap();
    let missing = workplace.run(&["send"]);
    sheet.note("no file", &workplace, &missing);
    std::fs::create_dir(workplace.file("partners.csv")).unwrap();
    let folder = workplace.run(&["send"]);
    sheet.note("a folder", &workplace, &folder);
    std::fs::remove_dir(workplace.file("partners.csv")).unwrap();
    assert_eq!((missing.code, folder.code), (65, 65));

    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let columns = "[partners]\ncolumns = { name = \"First name\", locale = \"Language\" }";
    workplace.write("config.toml", &config.replace("[partners]", columns));
    workplace.write("partners.csv", "email,Given name,Langue,package\n");
    let columns = workplace.run(&["send"]);
    assert_eq!(columns.code, 65, "{columns:?}");
    sheet.note(
        "configured columns that are not there",
        &workplace,
        &columns,
    );
    workplace.write("config.toml", &config);

    // Warnings.
    workplace.write("partners.csv", "email,name,package\nada@contoso.example,RenÃ©,project\nbob@gmail.com,Bob,project\neva@cоntoso.com,Eva,archive\n");
    let warned = workplace.run(&["check"]);
    assert_eq!(warned.code, 0, "{warned:?}");
    sheet.note("warnings", &workplace, &warned);
    std::fs::write(
        workplace.file("partners.csv"),
        b"email,name,package\nada@a.example,Ren\xe9,project\n",
    )
    .unwrap();
    sheet.note("a guess", &workplace, &workplace.run(&["check"]));
    workplace.write("partners.csv", "email,package\n");
    sheet.note("nobody in it", &workplace, &workplace.run(&["check"]));
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.write(
        "config.toml",
        &config.replace(
            "[partners]",
            "[partners]\nencoding = \"utf-16le\"\nbad_rows = \"skip\"",
        ),
    );
    workplace.write(
        "partners.csv",
        "\u{feff}email,package\nada@a.example,project\n",
    );
    sheet.note(
        "another mark than is configured",
        &workplace,
        &workplace.run(&["send"]),
    );
    workplace.write(
        "config.toml",
        &config.replace("[partners]", "[partners]\nbad_rows = \"skip\""),
    );
    workplace.write("partners.csv", "email,package\nnobody,project\n");
    sheet.note(
        "bad rows to be skipped",
        &workplace,
        &workplace.run(&["check"]),
    );
    sheet.note(
        "somebody who is not in it",
        &workplace,
        &workplace.run(&["preview", "--only", "eva@e.example"]),
    );
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn the_templates() {
    let workplace = Workplace::new(1);
    workplace.partners(&["ada@a.example"]);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let config = config.replace(&*shipped.to_string_lossy(), "templates");
    workplace.write("config.toml", &config);
    let english = shipped.join("en");
    let mut sheet = Sheet::default();
    let mut with = |title: &str, change: &dyn Fn(&Path)| {
        let folder = workplace.file("templates");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("en")).unwrap();
        std::fs::copy(shipped.join("layout.html"), folder.join("layout.html")).unwrap();
        for part in std::fs::read_dir(&english).unwrap() {
            let part = part.unwrap();
            std::fs::copy(part.path(), folder.join("en").join(part.file_name())).unwrap();
        }
        // Line numbers must not depend on the shipped templates.
        std::fs::write(folder.join("en/invitation.txt"), "{{ link }}\n").unwrap();
        change(&folder);
        let output = workplace.run(&["preview"]);
        assert_eq!(output.code, 78, "{title}: {output:?}");
        sheet.note(title, &workplace, &output);
    };
    let add = |folder: &Path, name: &str, more: &str| {
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(path, text + more).unwrap();
    };

    with("no folder", &|it| std::fs::remove_dir_all(it).unwrap());
    with("nothing in it", &|it| {
        std::fs::remove_dir_all(it.join("en")).unwrap()
    });
    with("a folder that is no locale", &|it| {
        std::fs::create_dir(it.join("english")).unwrap()
    });
    with("a locale twice", &|it| {
        std::fs::create_dir(it.join("EN")).unwrap();
        for part in [
            "invitation.txt",
            "invitation.html",
            "invitation.subject.txt",
        ] {
            std::fs::write(it.join("EN").join(part), "x").unwrap();
        }
    });
    with("a part missing", &|it| {
        std::fs::remove_file(it.join("en/invitation.txt")).unwrap()
    });
    with("a name that is not escaped", &|it| {
        add(it, "en/footer.htm", "x")
    });
    with("escaping switched off", &|it| {
        std::fs::write(it.join("en/invitation.html"), "{{ partner.name | safe }}").unwrap()
    });
    with("not closed", &|it| {
        add(it, "en/invitation.txt", "{% if link")
    });
    with("a terminal's colours", &|it| {
        add(it, "en/invitation.txt", "\x1b[31m{{ pakage }}\x1b[0m")
    });
    with("an unknown variable", &|it| {
        add(it, "en/invitation.txt", "{{ partner.nmae }}")
    });
    with("too large", &|it| {
        add(it, "en/invitation.txt", &"x".repeat(300_000))
    });
    with("without end", &|it| {
        add(
            it,
            "en/invitation.txt",
            "{% for i in range(end=600000) %}xx{% endfor %}",
        )
    });
    with("an empty subject", &|it| {
        std::fs::write(it.join("en/invitation.subject.txt"), "\n").unwrap()
    });
    with("a long subject", &|it| {
        std::fs::write(it.join("en/invitation.subject.txt"), "x".repeat(201)).unwrap()
    });
    with("no link in the text", &|it| {
        std::fs::write(it.join("en/invitation.txt"), "Hello").unwrap()
    });
    with("the link twice", &|it| {
        add(it, "en/invitation.txt", "\n{{ link }}\n")
    });
    with("the link in a sentence", &|it| {
        std::fs::write(it.join("en/invitation.txt"), "Go to {{ link }}.").unwrap()
    });
    with("another link", &|it| {
        let text = std::fs::read_to_string(it.join("layout.html")).unwrap();
        let text = text.replacen(
            "</body>",
            "<a href=\"https://example.com/\">x</a></body>",
            1,
        );
        std::fs::write(it.join("layout.html"), text).unwrap();
    });
    with("a picture", &|it| {
        let text = std::fs::read_to_string(it.join("layout.html")).unwrap();
        std::fs::write(
            it.join("layout.html"),
            text.replacen("</body>", "<img alt=\"\"></body>", 1),
        )
        .unwrap();
    });
    with("no button", &|it| {
        let text = std::fs::read_to_string(it.join("layout.html")).unwrap();
        std::fs::write(
            it.join("layout.html"),
            text.replace("class=\"button\"", "class=\"knob\""),
        )
        .unwrap();
    });
    with("not UTF-8", &|it| {
        std::fs::write(it.join("en/invitation.txt"), b"\xe9").unwrap()
    });
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn secrets_and_certificates() {
    let mut workplace = Workplace::new(1);
    workplace.partners(&["ada@a.example"]);
    let place = workplace.file("password");
    workplace.write(
        "damaged.pem",
        "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
    );
    workplace.write(
        "strange.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let two_lines = format!("{PASSWORD}\n{PASSWORD}\n");
    let file = "username = \"ada\"\npassword_file = \"password\"";
    let none: Option<(&[u8], u32)> = None;
    let mut sheet = Sheet::default();
    for (title, lines, password, code) in [
        ("no file", file, none, 78),
        (
            "open to everyone",
            file,
            Some((PASSWORD.as_bytes(), 0o644)),
            77,
        ),
        ("empty", file, Some((b"\n", 0o600)), 78),
        ("two lines", file, Some((two_lines.as_bytes(), 0o600)), 78),
        ("not UTF-8", file, Some((b"\xe9\xe8", 0o600)), 78),
        (
            "no variable",
            "username = \"ada\"\npassword_env = \"NOT_SET\"",
            none,
            78,
        ),
        (
            "no systemd",
            "username = \"ada\"\npassword_credential = \"password\"",
            none,
            78,
        ),
        ("no CA file", "ca_file = \"ca.pem\"", none, 78),
        (
            "no certificate in it",
            "ca_file = \"partners.csv\"",
            none,
            78,
        ),
        ("a damaged one", "ca_file = \"damaged.pem\"", none, 78),
        ("a strange one", "ca_file = \"strange.pem\"", none, 78),
    ] {
        let _ = std::fs::remove_file(&place);
        if let Some((text, mode)) = password {
            std::fs::write(&place, text).unwrap();
            allow(&place, mode);
        }
        workplace.smtp = format!("host = \"localhost\"\nport = 1\n{lines}");
        workplace.configure();
        let output = workplace.run(&["send"]);
        assert_eq!(output.code, code, "{title}: {output:?}");
        sheet.note(title, &workplace, &output);
    }
    let _ = std::fs::remove_file(&place);
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn the_ledger() {
    let workplace = Workplace::new(1);
    workplace.partners(&["ada@a.example"]);
    let ledger = workplace.file("ledger.sqlite3");
    let fresh = std::fs::read(&ledger).unwrap();
    let mut sheet = Sheet::default();
    let mut with = |title: &str, change: &dyn Fn(), code: i32| {
        let _ = std::fs::remove_dir(&ledger);
        std::fs::write(&ledger, &fresh).unwrap();
        allow(&ledger, 0o600);
        change();
        let output = workplace.run(&["send"]);
        assert_eq!(output.code, code, "{title}: {output:?}");
        sheet.note(title, &workplace, &output);
    };
    let sql = |statement: &str| {
        rusqlite::Connection::open(&ledger)
            .unwrap()
            .execute_batch(statement)
            .unwrap();
    };

    with("open to everyone", &|| allow(&ledger, 0o644), 77);
    with(
        "some other file",
        &|| std::fs::write(&ledger, "email,name\n".repeat(200)).unwrap(),
        65,
    );
    with(
        "some other database",
        &|| sql("PRAGMA application_id = 7"),
        65,
    );
    with("from tomorrow", &|| sql("PRAGMA user_version = 99"), 65);
    with("empty", &|| std::fs::write(&ledger, "").unwrap(), 65);
    with(
        "damaged",
        &|| {
            let mut bytes = fresh.clone();
            bytes[4096 + 8..8192].fill(0xff);
            std::fs::write(&ledger, bytes).unwrap();
        },
        65,
    );
    with("missing", &|| std::fs::remove_file(&ledger).unwrap(), 78);
    with(
        "a folder",
        &|| {
            std::fs::remove_file(&ledger).unwrap();
            std::fs::create_dir(&ledger).unwrap();
        },
        65,
    );
    std::fs::remove_dir(&ledger).unwrap();
    let none = workplace.run(&["preview"]);
    assert_eq!(none.code, 0, "{none:?}");
    sheet.note("none yet, for a preview", &workplace, &none);
    let none = workplace.run(&[
        "resolve",
        "ada@a.example",
        "--as",
        "accepted",
        "--note",
        "x",
    ]);
    assert_eq!(none.code, 78, "{none:?}");
    sheet.note("none yet, for a decision", &workplace, &none);
    doubtful_ledgers(&mut sheet);
    insta::assert_snapshot!(sheet.text());
}

/// Messages if nothing proves that the ledger is the newest one.
fn doubtful_ledgers(sheet: &mut Sheet) {
    let server = Server::accepting();
    let workplace = Workplace::new(server.port());
    workplace.partners(&["ada@a.example"]);
    let (ledger, witness) = (
        workplace.file("ledger.sqlite3"),
        workplace.file("ledger.sqlite3.witness"),
    );
    let fresh = std::fs::read(&ledger).unwrap();
    assert_eq!(workplace.run(&["send"]).code, 0);
    let sent = std::fs::read(&ledger).unwrap();
    let seen = std::fs::read(&witness).unwrap();
    let accept = ["resolve", "--accept-older-ledger", "--note", "lost"];
    let mut with =
        |title: &str, ledger_has: &[u8], witness_has: Option<&[u8]>, verb: &[&str], code: i32| {
            std::fs::write(&ledger, ledger_has).unwrap();
            match witness_has {
                Some(bytes) => std::fs::write(&witness, bytes).unwrap(),
                None => std::fs::remove_file(&witness).unwrap(),
            }
            let output = workplace.run(verb);
            assert_eq!(output.code, code, "{title}: {output:?}");
            sheet.note(title, &workplace, &output);
        };

    with("older than its witness", &fresh, Some(&seen), &["send"], 65);
    with("older, for a look", &fresh, Some(&seen), &["status"], 0);
    with("older, nobody to ask", &fresh, Some(&seen), &accept, 2);
    with("without its witness", &sent, None, &["send"], 65);
    with("a damaged witness", &sent, Some(&seen[..99]), &["send"], 65);
    with(
        "no witness at all",
        &sent,
        Some(b"email,name"),
        &["send"],
        65,
    );
    with(
        "the newest, to be accepted",
        &sent,
        Some(&seen),
        &accept,
        65,
    );
    std::fs::remove_file(&ledger).unwrap();
    let output = workplace.run(&["init", "."]);
    assert_eq!(output.code, 65, "{output:?}");
    sheet.note("init beside a witness", &workplace, &output);
}

#[test]
fn guards_and_decisions() {
    let server = Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Dot, Some("una@u.example")) => Action::Close,
        (Stage::Rcpt, Some("rex@r.example")) => reply("550 5.1.1 no such user"),
        (Stage::Rcpt, Some("defne@d.example")) => reply("451 4.7.1 greylisted, come back"),
        _ => Action::Normal,
    });
    let mut workplace = Workplace::new(server.port());
    workplace.smtp += "\nconnections = 1";
    workplace.limits = "only_to = [\"@a.example\"]\nnew_per_run = 2\nper_minute = 1000".into();
    workplace.configure();
    workplace.partners(&["ada@a.example", "bob@b.example", "cleo@c.example"]);
    let mut sheet = Sheet::default();
    for (title, verb) in [
        ("a send with two guards", "send"),
        ("a preview", "preview"),
        ("a check", "check"),
    ] {
        sheet.note(title, &workplace, &workplace.run(&[verb]));
    }
    workplace.limits = "per_day = 5".into();
    workplace.configure();
    workplace.partners(&[
        "ada@a.example",
        "una@u.example",
        "rex@r.example",
        "defne@d.example",
        "eva@e.example",
        "fay@f.example",
        "gus@g.example",
        "hal@h.example",
    ]);
    let mixed = workplace.run(&["send"]);
    assert_eq!(mixed.code, 3, "{mixed:?}");
    sheet.note(
        "some accepted, some not, and a daily limit",
        &workplace,
        &mixed,
    );
    let resolve =
        |more: &[&str]| workplace.run(&[&["resolve"][..], more, &["--note", "seen"]].concat());
    for (title, more) in [
        ("nobody", &["zoe@z.example", "--as", "accepted"][..]),
        ("not unknown", &["ada@a.example", "--as", "accepted"]),
        ("not abandoned", &["ada@a.example", "--as", "abandoned"]),
        (
            "not to be sent again",
            &["defne@d.example", "--as", "resend"],
        ),
        (
            "no such package",
            &["una@u.example", "--as", "accepted", "--package", "projekt"],
        ),
    ] {
        let output = resolve(more);
        assert_eq!(output.code, 65, "{title}: {output:?}");
        sheet.note(title, &workplace, &output);
    }
    let status = workplace.run(&["status", "zoe@z.example"]);
    sheet.note("the status of nobody", &workplace, &status);
    let package = workplace.run(&["status", "--package", "projekt"]);
    sheet.note("the status of no package", &workplace, &package);
    assert_eq!((status.code, package.code), (65, 65));
    let unknown_id = "8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b13";
    let package = workplace.run(&["status", "--package", unknown_id]);
    assert_eq!(package.code, 65, "{package:?}");
    sheet.note(
        "the status of a package by an unknown id",
        &workplace,
        &package,
    );
    let renamed = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    let former = renamed.replace("[packages.project]", "[packages.store]");
    workplace.write("config.toml", &former);
    let package = workplace.run(&["status", "--package", "project"]);
    assert_eq!(package.code, 65, "{package:?}");
    sheet.note("a package by its former name", &workplace, &package);
    let other = renamed.replace("3c6c1d9c0b11", "3c6c1d9c0b13");
    workplace.write("config.toml", &other);
    let package = resolve(&["una@u.example", "--as", "accepted", "--package", "project"]);
    assert_eq!(package.code, 65, "{package:?}");
    sheet.note("a package under a new id", &workplace, &package);
    workplace.write("config.toml", &renamed);
    workplace.write(
        "partners.csv",
        "email,name,locale\nuna@u.example,Una Other,\n",
    );
    let changed = resolve(&["una@u.example", "--as", "resend"]);
    assert_eq!(changed.code, 65, "{changed:?}");
    sheet.note("another message", &workplace, &changed);

    // A list that differs from the approved one, a new campaign, the documentation's link, two packages.
    let preview = workplace.run(&["preview"]);
    let (_, digest) = preview.stdout.split_once("--approved ").unwrap();
    let digest = digest.split_whitespace().next().unwrap().to_owned();
    workplace.partners(&["ada@a.example", "eva@e.example"]);
    let approved = workplace.run(&["send", "--approved", &digest]);
    assert_eq!(approved.code, 65, "{approved:?}");
    sheet.note("another list than was approved", &workplace, &approved);
    let config = std::fs::read_to_string(workplace.file("config.toml")).unwrap();
    workplace.partners(&["ada@a.example"]);
    workplace.write("config.toml", &config.replace("spring", "sprnig"));
    let campaign = workplace.run(&["send"]);
    assert_eq!(campaign.code, 65, "{campaign:?}");
    sheet.note("a new campaign", &workplace, &campaign);
    workplace.write(
        "config.toml",
        &config.replace("@fabrikam.on", "@contoso.on"),
    );
    let documentation = workplace.run(&["send"]);
    assert_eq!(documentation.code, 78, "{documentation:?}");
    sheet.note("the documentation's link", &workplace, &documentation);
    let second = LINK.replace("0b11", "0b12");
    workplace.write(
        "config.toml",
        &config.replace("per_day = 5", "per_minute = 1000").replace(
            "[partners]",
            &format!("[packages.archive]\nlink = \"{second}\"\nname = \"Archive\"\n[partners]"),
        ),
    );
    workplace.write("partners.csv", "email,package\nada@a.example,archive\n");
    assert_eq!(workplace.run(&["send"]).code, 3);
    let which = resolve(&["ada@a.example", "--as", "resend"]);
    assert_eq!(which.code, 65, "{which:?}");
    sheet.note("one of two packages", &workplace, &which);
    workplace.partners(&["ada@a.example"]);
    workplace.write("notes.csv", "mine");
    workplace.write(
        "config.toml",
        &format!("{config}[results]\ncsv = \"notes.csv\"\n"),
    );
    let results = workplace.run(&["send"]);
    assert_eq!(results.code, 74, "{results:?}");
    sheet.note(
        "somebody else's file in the place of the results",
        &workplace,
        &results,
    );
    workplace.write(
        "config.toml",
        &format!("{config}[results]\ncsv = \"nowhere/results.csv\"\n"),
    );
    sheet.note(
        "results without a folder",
        &workplace,
        &workplace.run(&["send"]),
    );
    let out = workplace.file("mine");
    std::fs::create_dir(&out).unwrap();
    workplace.write("mine/thesis.txt", "mine");
    let kept = workplace.run(&["preview", "--out", "mine"]);
    assert_eq!(kept.code, 74, "{kept:?}");
    sheet.note("a preview over somebody's files", &workplace, &kept);
    insta::assert_snapshot!(sheet.text());
}

const PARTNERS: [&str; 3] = ["ada@a.example", "bob@b.example", "cleo@c.example"];

/// A job that sends in clear to this server.
fn in_clear(server: &Server) -> Workplace {
    in_clear_at(server.port())
}

fn in_clear_at(port: u16) -> Workplace {
    let mut workplace = Workplace::new(port);
    workplace.smtp += "\nconnections = 1\ndeadlines = { banner = \"1s\" }";
    workplace.configure();
    workplace.partners(&PARTNERS);
    workplace
}

/// Runs several jobs at the same time, because a busy relay is retried for a while.
fn send_all(jobs: &[(&str, Workplace)]) -> String {
    let ended: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = jobs
            .iter()
            .map(|(_, workplace)| scope.spawn(|| workplace.run(&["send"])))
            .collect();
        runs.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let mut sheet = Sheet::default();
    for ((title, workplace), output) in jobs.iter().zip(ended) {
        assert_eq!(output.code, 69, "{title}: {output:?}");
        sheet.note(title, workplace, &output);
    }
    sheet.text()
}

#[test]
fn the_relay() {
    let cases = [
        (
            "it does not want us",
            Stage::Banner,
            "554 5.7.1 your address is on a list",
        ),
        ("it is busy", Stage::Banner, "421 4.3.2 try later"),
        (
            "it wants a login",
            Stage::Mail,
            "530 5.7.57 client not authenticated to send mail",
        ),
        (
            "it does not let us send as that",
            Stage::Mail,
            "550 5.7.60 SendAsDenied; not allowed to send as this sender",
        ),
        (
            "the quota is used up",
            Stage::Dot,
            "550 5.7.233 SubmissionQuotaExceeded",
        ),
        (
            "it speaks no SMTP",
            Stage::Banner,
            "HTTP/1.1 400 Bad Request",
        ),
        (
            "its words would turn a terminal red",
            Stage::Banner,
            "554 \x1b[31mred\x07 \u{9b}31m \u{202e}turned",
        ),
        ("three alike", Stage::Rcpt, "550 5.7.1 rejected by policy"),
        ("it loses every connection", Stage::Rcpt, "no reply at all"),
        ("it speaks TLS already", Stage::Banner, "\x15\x03\x03"),
    ];
    let servers = cases.map(|(_, stage, text)| Server::replying(stage, text));
    let silent = Server::start(|call: &Call| match call.stage {
        Stage::Banner => Action::Delay(Duration::from_secs(3), Box::new(Action::Normal)),
        _ => Action::Normal,
    });
    let mut jobs: Vec<_> = cases
        .iter()
        .zip(&servers)
        .map(|((title, ..), server)| (*title, in_clear(server)))
        .collect();
    let refusing = Server::replying(Stage::Dot, "550 5.7.1 rejected by policy");
    let many = in_clear(&refusing);
    let domains: Vec<_> = (0..11).map(|it| format!("p@d{it}.example")).collect();
    many.partners(&domains.iter().map(String::as_str).collect::<Vec<_>>());
    jobs.push(("ten alike", many));
    jobs.push(("it says nothing", in_clear(&silent)));
    let closed = ClosedPort::reserve();
    jobs.push(("nobody listens", in_clear_at(closed.port())));

    insta::assert_snapshot!(send_all(&jobs));
}

#[test]
fn refusals() {
    let server = Server::start(|call: &Call| match (call.stage, call.recipient) {
        (Stage::Rcpt, Some("ada@a.example")) => reply("550 5.7.1 <ada@a.example>: not now"),
        (Stage::Rcpt, Some("bob@b.example")) => reply("550 5.1.1 <bob@b.example>: User unknown"),
        _ => Action::Normal,
    });
    let mut workplace = in_clear(&server);
    workplace.retry = "first_after = \"1s\"\nmax_after = \"1s\"\ngive_up_after = \"1s\"".into();
    workplace.configure();
    let mut sheet = Sheet::default();
    let mut send = |title: &str, code: i32| {
        let output = workplace.run(&["send"]);
        assert_eq!(output.code, code, "{output:?}");
        sheet.note(title, &workplace, &output);
    };

    send("one without evidence and one with", 1);
    std::thread::sleep(Duration::from_millis(1_200));
    send("one that has expired", 1);
    send("it still waits for a person", 1);
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn tls_and_login() {
    let pki = Pki::new();
    let setup = |mechanisms: &'static str| Setup {
        tls: Some((Tls::StartTls, pki.server("localhost"))),
        login: Some(Login {
            mechanisms,
            takes: "another".into(),
            challenge: "eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIn0=".into(),
            ..Default::default()
        }),
        ..Setup::default()
    };
    let presenting = |certificate| Setup {
        tls: Some((Tls::StartTls, certificate)),
        ..setup("PLAIN")
    };
    let bare = || Setup {
        tls: None,
        ..setup("PLAIN")
    };
    let tampered = Action::Reply(b"220 go\r\n250 AUTH PLAIN\r\n".to_vec());
    let starttls = || "tls = \"starttls\"\npassword_file = \"password\"".to_owned();
    let implicit = starttls().replace("starttls", "implicit");
    let token = |program: &str| format!("tls = \"starttls\"\ntoken_command = {program}");
    let script = |script: &str| token(&format!("[\"sh\", \"-c\", \"{script}\"]"));
    let stale = script("cat token");
    let fails = script("printf '\\\\033[31mno network' >&2; exit 7");
    let other = presenting(pki.server("other.example"));
    let unknown = presenting(Pki::new().server("localhost"));
    let cases = [
        ("no STARTTLS", bare(), starttls()),
        ("STARTTLS tampered with", setup("PLAIN"), starttls()),
        (
            "an expired certificate",
            presenting(pki.expired("localhost")),
            starttls(),
        ),
        ("a certificate for another name", other, starttls()),
        ("an unknown issuer", unknown, starttls()),
        (
            "a certificate of its own",
            presenting(Pki::self_signed("localhost", false)),
            starttls(),
        ),
        (
            "an authority's certificate",
            presenting(Pki::self_signed("localhost", true)),
            starttls(),
        ),
        (
            "a certificate that is not valid yet",
            presenting(pki.not_yet("localhost")),
            starttls(),
        ),
        (
            "a certificate with a common name only",
            presenting(pki.common_name_only("localhost")),
            starttls(),
        ),
        (
            "a certificate with a short key",
            presenting(pki.short_key("localhost")),
            starttls(),
        ),
        (
            "a certificate for clients",
            presenting(pki.for_clients("localhost")),
            starttls(),
        ),
        ("no cipher suite in common", bare(), implicit.clone()),
        ("an older TLS", bare(), implicit.clone()),
        ("TLS where there is none", bare(), implicit),
        ("a wrong password", setup("PLAIN"), starttls()),
        ("another mechanism", setup("XOAUTH2 CRAM-MD5"), starttls()),
        ("no mechanism", setup(""), starttls()),
        ("a stale token", setup("XOAUTH2"), stale),
        ("a token command that fails", setup("XOAUTH2"), fails),
        (
            "a token command that says nothing",
            setup("XOAUTH2"),
            script("true"),
        ),
        (
            "a token command that is not there",
            setup("XOAUTH2"),
            token("\"./no-such-program\""),
        ),
    ];
    let jobs = cases.into_iter().map(|(title, setup, lines)| {
        let answer = if title.contains("tampered") {
            tampered.clone()
        } else {
            Action::Normal
        };
        // The alerts `handshake_failure` and `protocol_version`.
        let alert = match title {
            "no cipher suite in common" => b"\x15\x03\x03\x00\x02\x02\x28".as_slice(),
            "an older TLS" => b"\x15\x03\x01\x00\x02\x02\x46",
            _ => b"",
        };
        let relay = Server::set_up(setup, move |call: &Call| match call.stage {
            Stage::StartTls => answer.clone(),
            Stage::Connect => Action::Reply(alert.to_vec()),
            _ => Action::Normal,
        });
        let mut workplace = Workplace::new(relay.port());
        workplace.write("ca.pem", &pki.ca_pem);
        workplace.write("password", PASSWORD);
        workplace.write("token", STALE_TOKEN);
        allow(&workplace.file("password"), 0o600);
        workplace.smtp = format!(
            "host = \"localhost\"\nport = {}\nca_file = \"ca.pem\"\nusername = \"ada\"\n{lines}",
            relay.port()
        );
        workplace.configure();
        workplace.partners(&PARTNERS);
        (relay, (title, workplace))
    });
    let (relays, jobs): (Vec<_>, Vec<_>) = jobs.unzip();

    insta::assert_snapshot!(send_all(&jobs));
    assert!(relays.iter().all(|it| it.count("MAIL") == 0));
}

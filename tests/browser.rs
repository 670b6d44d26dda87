//! What people see, opened in a real browser: headless Chromium, driven by `tests/browser/`.
//! Run by `.ci/run`, which installs it, with fonts for every script.
//!
//! To look oneself: `ACCESS_INVITE_SCREENSHOTS=target/screenshots cargo test --test browser -- --ignored`.

#![allow(
    clippy::unwrap_used,
    clippy::format_collect,
    reason = "a test that cannot go on fails"
)]

mod support;

use std::path::{Path, PathBuf};

use access_invite::locale::Locale;
use mail_parser::{HeaderValue, MessageParser};
use serde_json::{Value, json};
use support::browser::look;
use support::{LINK, Workplace};

/// The tags of the shipped locales.
fn locales() -> Vec<String> {
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let mut tags: Vec<_> = std::fs::read_dir(templates)
        .unwrap()
        .map(|it| it.unwrap())
        .filter(|it| it.path().is_dir())
        .map(|it| it.file_name().into_string().unwrap())
        .collect();
    tags.sort();
    tags
}

/// Every message of a review, in order.
fn messages(folder: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "eml") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths.iter().map(|it| std::fs::read(it).unwrap()).collect()
}

/// The mail of every locale for one kind of data, as HTML files in `folder`, and what each must be.
fn mail(folder: &Path, kind: &str, config: &str, row: &str) -> Vec<Value> {
    let workplace = Workplace::new(1);
    workplace.write("config.toml", config);
    let rows: String = locales()
        .iter()
        .map(|it| format!("someone@{}.example,{row},{it}\n", it.to_lowercase()))
        .collect();
    workplace.write(
        "partners.csv",
        &format!("email,name,organization,locale\n{rows}"),
    );
    let preview = workplace.run(&["preview", "--out", "review"]);
    assert_eq!(preview.code, 0, "{preview:?}");

    let pages: Vec<_> = messages(&workplace.file("review"))
        .iter()
        .map(|message| {
            let message = MessageParser::default().parse(message).unwrap();
            let Some(HeaderValue::Text(locale)) = message.header("Content-Language") else {
                panic!("a message without Content-Language");
            };
            let file = format!("{kind}-{locale}.html");
            std::fs::write(folder.join(&file), &*message.body_html(0).unwrap()).unwrap();
            json!({
                "file": file,
                "name": format!("mail-{locale}-{kind}"),
                "language": locale,
                "direction": Locale::parse(locale).unwrap().direction(),
                "link": LINK,
                "picture": true,
            })
        })
        .collect();
    assert_eq!(pages.len(), locales().len());
    pages
}

/// A configuration with `package` and `sender` as further lines of these tables.
fn config(organization: &str, name: &str, sender: &str, package: &str) -> String {
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    format!(
        "campaign = \"spring\"\n[sender]\nfrom = \"access@contoso.example\"\norganization = \"{organization}\"\n{sender}\n[packages.project]\nlink = \"{LINK}\"\nname = \"{name}\"\n{package}\n[partners]\nfile = \"partners.csv\"\n[templates]\ndirectory = \"{}\"\n[smtp]\nhost = \"smtp.example.com\"\n[ledger]\nfile = \"ledger.sqlite3\"\n",
        templates.display()
    )
}

#[test]
#[ignore = "needs Chromium; .ci/run calls it"]
fn the_mail_is_whole_and_readable_in_every_locale_scheme_and_width() {
    let folder = tempfile::tempdir().unwrap();
    let short = config("Contoso", "Project space", "", "");
    let mut pages = mail(folder.path(), "short", &short, ",");
    let words = "Association internationale pour l’aménagement durable des ports et des estuaires ";
    let unbroken =
        "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft";
    let long = config(
        &format!("{words}{unbroken}"),
        &format!("{unbroken}/{unbroken}"),
        &format!("reply_to = \"{unbroken} <a-very-long-name-for-a-shared-mailbox-of-partners@partner-access.contoso.example>\"\ncontact = \"{words}{unbroken}, +33 1 23 45 67 89\"").replace('ä', "ae"),
        &format!("description = \"{}{unbroken}{unbroken}\"\njustification = \"{words}{unbroken}\"\nrespond_by = 2099-12-31", words.repeat(6)),
    );
    let row = format!(
        "\"{} {}\",\"{words}{unbroken}\"",
        "N".repeat(99),
        "Ada ".repeat(25)
    );
    pages.extend(mail(folder.path(), "long", &long, &row));
    std::fs::write(folder.path().join("pages.json"), json!(pages).to_string()).unwrap();

    let report = look("mail.mjs", folder.path());

    assert_eq!(report.problems, [""; 0]);
    assert_eq!(report.looked, locales().len() * 2 * 2 * 2);
}

/// The other side of the test above: each fault is found in a page that has it.
#[test]
#[ignore = "needs Chromium; .ci/run calls it"]
fn the_browser_tells_a_broken_page() {
    let good = format!(
        "<!DOCTYPE html><html lang=\"en\" dir=\"ltr\"><title>x</title><main><h1>x</h1><p><a class=\"button\" href=\"{LINK}\">Open</a></p><p><a href=\"{LINK}\" style=\"word-break:break-all\">{LINK}</a></p></main></html>"
    );
    let faults = [
        ("", "", ""),
        (
            "<h1>x</h1>",
            "<h1>x</h1><img src=\"https://contoso.example/x.png\" alt=\"\">",
            "requests https://contoso.example/x.png",
        ),
        (
            "<h1>x</h1>",
            "<h1>x</h1><script>console.error('oops')</script>",
            "console error: oops",
        ),
        (
            "<h1>x</h1>",
            "<h1>x</h1><script>throw Error('oops')</script>",
            "script error: oops",
        ),
        (
            "<h1>x</h1>",
            "<h1>x</h1><script>alert(1)</script>",
            "opens a dialog: 1",
        ),
        (
            "<h1>x</h1>",
            "<h1>x</h1><p style=\"width:900px\">x</p>",
            "px wide in 320 px",
        ),
        (
            "<h1>x</h1>",
            "<h1>x</h1><p style=\"color:#aaa;background:#fff\">grey words</p>",
            "axe: color-contrast",
        ),
        ("lang=\"en\"", "lang=\"fr\"", "is in fr, not in en"),
        ("dir=\"ltr\"", "dir=\"rtl\"", "runs rtl, not ltr"),
        ("b11\">Open", "b1\">Open", "links lead to"),
        ("b11</a>", "b11.</a>", "the whole link reads"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut pages = Vec::new();
    for (number, (what, by, _)) in faults.iter().enumerate() {
        let file = format!("{number}.html");
        assert!(good.contains(what), "{what}");
        std::fs::write(folder.path().join(&file), good.replacen(what, by, 1)).unwrap();
        pages.push(json!({"file": file, "name": format!("page-{number}"), "language": "en", "direction": "ltr", "link": LINK}));
    }
    std::fs::write(folder.path().join("pages.json"), json!(pages).to_string()).unwrap();

    let report = look("mail.mjs", folder.path());

    for (number, (.., problem)) in faults.iter().enumerate() {
        let name = format!("page-{number}-light-320: ");
        let found: Vec<_> = report
            .problems
            .iter()
            .filter(|it| it.starts_with(&name))
            .collect();
        if problem.is_empty() {
            assert!(found.is_empty(), "{found:?}");
        } else {
            assert!(
                found.iter().any(|it| it.contains(problem)),
                "{problem}: {found:?}"
            );
        }
    }
}

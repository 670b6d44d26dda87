//! What people see, opened in a real browser: headless Chromium, driven by `tests/browser/`.
//! Run by `.ci/run`, which installs it, with fonts for every script.
//!
//! To look oneself: `ACCESS_INVITE_SCREENSHOTS=target/screenshots cargo test --test browser -- --ignored`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::browser::look;
use support::mail::{self, Mail, Values, locales};
use support::{LINK, Workplace};

/// Writes the pages of these messages, and gives what each must be.
fn pages(folder: &Path, kind: &str, link: &str, mails: &[Mail]) -> Vec<Value> {
    mails
        .iter()
        .map(|mail| {
            let name = format!("mail-{}-{kind}", mail.locale);
            let file = format!("{name}.html");
            std::fs::write(folder.join(&file), &mail.html).unwrap();
            json!({
                "file": file,
                "name": name,
                "language": mail.locale,
                "direction": mail.direction(),
                "link": link,
                "picture": true,
            })
        })
        .collect()
}

/// The first message of each locale of the example that the README shows.
fn example() -> Vec<Mail> {
    let workplace = Workplace::new(1);
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
    let config = config.to_str().unwrap();
    let preview = workplace.run(&["preview", "--out", "review", "--config", config]);
    assert_eq!(preview.code, 0, "{preview:?}");
    let mut mails = mail::read(&workplace.file("review"));
    mails.sort_by(|one, other| one.locale.cmp(&other.locale));
    mails.dedup_by(|one, other| one.locale == other.locale);
    mails
}

#[test]
#[ignore = "needs Chromium; .ci/run calls it"]
fn the_mail_is_whole_and_readable_in_every_locale_scheme_and_width() {
    let folder = tempfile::tempdir().unwrap();
    let words = "Association internationale pour l’aménagement durable des ports et des estuaires ";
    let unbroken =
        "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft";
    let organization = format!("{words}{unbroken}");
    let package = format!("{unbroken}/{unbroken}");
    let description = format!("{}{unbroken}{unbroken}", words.repeat(6));
    let name = format!("{} {}", "N".repeat(120), "Ada ".repeat(20));
    let long = Values {
        organization: &organization,
        reply_to: "a-very-long-name-for-a-shared-mailbox-of-partners@partner-access.contoso.example",
        contact: &organization,
        package: &package,
        description: &description,
        justification: &organization,
        respond_by: "2099-12-31",
        partner: &name,
        partner_organization: &organization,
    };
    let mut all = pages(
        folder.path(),
        "short",
        LINK,
        &Values::BARE.in_every_locale(),
    );
    all.extend(pages(folder.path(), "long", LINK, &long.in_every_locale()));
    let example_link = LINK.replace("fabrikam", "contoso");
    let mut examples = pages(folder.path(), "example", &example_link, &example());
    // Two for the README.
    for (locale, scheme, width) in [("fr", "light", 700), ("ar", "dark", 375)] {
        let page = examples.iter_mut().find(|it| it["language"] == locale);
        page.unwrap()["covers"] = json!([{
            "name": format!("readme-mail-{locale}"),
            "scheme": scheme, "width": width, "height": 700, "scale": 1.5,
        }]);
    }
    all.extend(examples);
    std::fs::write(folder.path().join("pages.json"), json!(all).to_string()).unwrap();

    let report = look("mail.mjs", folder.path());

    assert_eq!(report.problems, [""; 0]);
    assert!(all.len() > 2 * locales().len(), "no example was found");
    assert_eq!(report.looked, all.len() * 5 + 2);
}

/// The other side of the test above: each fault is found in a page that has it.
#[test]
#[ignore = "needs Chromium; .ci/run calls it"]
fn the_browser_tells_a_broken_page() {
    let button = "<!--[if mso]><v:roundrect href=\"LINK\" style=\"width:200px\" fillcolor=\"#008475\"><center>Open</center></v:roundrect><![endif]--><a class=\"button\" href=\"LINK\">Open</a>";
    let good = format!(
        "<!DOCTYPE html><html lang=\"en\" dir=\"ltr\"><title>x</title><body><main><h1>x</h1><p>{button}</p><table><tr><td><a href=\"LINK\" style=\"word-wrap:break-word;word-break:break-all\">LINK</a></td></tr></table></main></body></html>"
    )
    .replace("<table>", "<table width=\"100%\" style=\"table-layout:fixed\">")
    .replace("LINK", LINK);
    let after_heading = |it: &str| ("<h1>x</h1>", format!("<h1>x</h1>{it}"));
    let with = |what: &'static str, by: &str| (what, by.to_owned());
    let table = [
        (with("", ""), ""),
        (
            after_heading("<img src=\"https://contoso.example/x.png\" alt=\"\">"),
            "requests https://contoso.example/x.png",
        ),
        (
            after_heading("<script>console.error('oops')</script>"),
            "console error: oops",
        ),
        (
            after_heading("<script>throw Error('oops')</script>"),
            "script error: oops",
        ),
        (
            after_heading("<script>alert(1)</script>"),
            "opens a dialog: 1",
        ),
        (
            after_heading("<p style=\"width:900px\">x</p>"),
            "px wide in 320 px",
        ),
        (
            after_heading("<p style=\"color:#aaa;background:#fff\">x</p>"),
            "contrast 2.32",
        ),
        (
            after_heading("<p role=\"nonsense\">x</p>"),
            "axe: aria-roles",
        ),
        (with("lang=\"en\"", "lang=\"fr\""), "is in fr, not in en"),
        (with("dir=\"ltr\"", "dir=\"rtl\""), "runs rtl, not ltr"),
        (
            with("<h1>", "<h1 style=\"text-align:center\">"),
            "from where its line begins",
        ),
        (with("b11\">Open", "b1\">Open"), "links lead to"),
        (with("b11</a>", "b11.</a>"), "the whole link reads"),
        (
            with("style=\"word-wrap", "style=\"user-select:none;word-wrap"),
            "the whole link is copied as",
        ),
        (
            with("<td>", "<td><div style=\"height:9px;overflow:hidden\">"),
            "is cut off or covered",
        ),
        (with("<center>Open", "<center>Go"), "Outlook's button reads"),
        (
            with("roundrect href=\"https", "roundrect href=\"http"),
            "Outlook's button leads to",
        ),
        (with("width:200px", "width:60px"), "px wide in 60 px"),
        (with("#008475", "#0b5f55"), "on Outlook's button"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut pages = Vec::new();
    for (number, ((what, by), _)) in table.iter().enumerate() {
        let file = format!("{number}.html");
        assert!(good.contains(what), "{what}");
        std::fs::write(folder.path().join(&file), good.replacen(what, by, 1)).unwrap();
        pages.push(json!({"file": file, "name": format!("page-{number}"), "language": "en", "direction": "ltr", "link": LINK, "views": [["light", 320]]}));
    }
    std::fs::write(folder.path().join("pages.json"), json!(pages).to_string()).unwrap();

    let report = look("mail.mjs", folder.path());

    for (number, (_, problem)) in table.iter().enumerate() {
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

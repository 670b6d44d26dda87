//! The mail of every locale, with each kind of values, with and without a brand, as Chromium shows it.

#![allow(
    clippy::too_many_lines,
    reason = "a table of cases belongs to its test"
)]

use std::path::Path;

use crate::support::LINK;
use crate::support::browser::look;
use crate::support::mail::{Mail, Values, example, locales};
use crate::support::showcase::{self, Brand};
use serde_json::{Value, json};

/// A colour scheme, or what is left where most styles are dropped, and a width.
type View = (&'static str, u32);

/// The views of a mail that people look at.
const PICTURES: [View; 4] = [("light", 375), ("light", 700), ("dark", 375), ("dark", 700)];

/// Writes the pages of these messages, and returns what each must contain and of which views pictures are made.
fn pages(folder: &Path, kind: &str, link: &str, mails: &[Mail], pictures: &[View]) -> Vec<Value> {
    mails
        .iter()
        .map(|mail| {
            let file = format!("{}-{kind}.html", mail.locale);
            std::fs::write(folder.join(&file), mail.page()).unwrap();
            // The one for light mode comes first.
            let logos = match &mail.images()[..] {
                [] => Value::Null,
                [light, dark] => json!({"light": light, "dark": dark}),
                other => panic!("{other:?}"),
            };
            json!({
                "file": file,
                "kind": kind,
                "language": mail.locale,
                "direction": mail.direction(),
                "link": link,
                "logos": logos,
                "pictures": pictures,
            })
        })
        .collect()
}

#[test]
#[ignore = "needs Chromium; .ci/run calls it"]
fn the_mail_renders_in_every_locale_scheme_and_width() {
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
        &[("least", 320)],
    );
    let narrow = [("light", 320)];
    let long = long.in_every_locale();
    all.extend(pages(folder.path(), "long", LINK, &long, &narrow));
    let example_link = LINK.replace("fabrikam", "contoso");
    let example = example();
    let mut examples = pages(folder.path(), "example", &example_link, &example, &PICTURES);
    // Two for the README.
    for (locale, scheme, width) in [("fr", "light", 700), ("ar", "dark", 375)] {
        let page = examples.iter_mut().find(|it| it["language"] == locale);
        page.unwrap()["covers"] = json!([{
            "name": format!("readme-mail-{locale}"),
            "scheme": scheme, "width": width, "height": 700, "scale": 1.5,
        }]);
    }
    all.extend(examples);
    for (kind, brand) in [("inviter", Brand::Without), ("brand", Brand::With)] {
        let mails = showcase::invitations(brand);
        all.extend(pages(folder.path(), kind, LINK, &mails, &PICTURES));
    }
    let reminders = showcase::reminders(Brand::With);
    let pictures = [("light", 375), ("dark", 700)];
    all.extend(pages(
        folder.path(),
        "reminder",
        LINK,
        &reminders,
        &pictures,
    ));
    std::fs::write(folder.path().join("pages.json"), json!(all).to_string()).unwrap();

    let report = look("mail.mjs", folder.path());

    assert_eq!(report.problems, [""; 0]);
    assert!(all.len() > 5 * locales().len(), "no example was found");
    assert_eq!(report.looked, all.len() * 9 + 2);
}

/// Counterpart of the test above: each fault is detected in a page that has it.
#[test]
#[ignore = "needs Chromium; .ci/run calls it"]
fn the_browser_check_detects_a_broken_page() {
    let button = "<!--[if mso]><v:roundrect href=\"LINK\" style=\"width:200px\" fillcolor=\"#008475\"><center>Open</center></v:roundrect><![endif]--><a class=\"button\" href=\"LINK\" style=\"display:inline-block;padding:14px\">Open</a>";
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
        (
            with("b11\" style=\"display", "b1\" style=\"display"),
            "links lead to",
        ),
        (with("b11</a>", "b11.</a>"), "the whole link reads"),
        (
            with("style=\"word-wrap", "style=\"user-select:none;word-wrap"),
            "the whole link is copied as",
        ),
        (
            with("<td>", "<td><div style=\"height:9px;overflow:hidden\">"),
            "is cut off or covered",
        ),
        (
            after_heading("<div style=\"height:9px;overflow:hidden\"><br>x</div>"),
            "text is cut off: x",
        ),
        (
            after_heading("<div style=\"height:2px\">behind</div><div>over</div>"),
            "text is covered: behind by over",
        ),
        (
            after_heading("<img src=\"data:,\" alt=\"\">"),
            "shows these images: data:,",
        ),
        (
            after_heading("<img src=\"data:,\" alt=\"x\">"),
            "is missing",
        ),
        (with("padding:14px", "padding:1px"), "px high"),
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
        pages.push(json!({"file": file, "kind": number, "language": "en", "direction": "ltr", "link": LINK, "views": [["light", 320]]}));
    }
    std::fs::write(folder.path().join("pages.json"), json!(pages).to_string()).unwrap();

    let report = look("mail.mjs", folder.path());

    for (number, (_, problem)) in table.iter().enumerate() {
        let name = format!("mail-en-{number}-light-320: ");
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

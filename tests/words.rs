//! The shipped templates: every locale says the same in both parts, in its own language and
//! typography. The snapshots are the mails.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::page::Page;
use crate::support::{LINK, Workplace};
use mail_parser::MessageParser;
use serde_json::json;

use manner::{MANNERS, Manner, runs_from_right_to_left};
use source::{PARTS, folder, source};

mod content;
mod manner;
mod source;
mod typography;
mod values;

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn unreviewed_locales_are_marked() {
    let page = include_str!("../docs/templates.md");
    for Manner {
        locale, to_review, ..
    } in MANNERS
    {
        for part in PARTS {
            let asked = source(locale, part).starts_with("{# To be reviewed by a native speaker: ");
            assert_eq!(asked, to_review, "{locale}/{part}");
        }
        let row = format!("| `{locale}` | ");
        let row = page.lines().find(|it| it.starts_with(&row)).unwrap();
        assert_eq!(row.contains("to be reviewed"), to_review, "{row}");
    }
}

/// One mail of a preview.
struct Mail {
    subject: String,
    text: String,
    html: String,
}

impl Mail {
    /// Subject and text, without the random id of the invitation.
    fn snapshot(&self) -> String {
        let text = match self.text.split_once("?subject=") {
            Some((before, rest)) => {
                format!("{before}?subject=ID\n{}", rest.split_once('\n').unwrap().1)
            }
            None => self.text.clone(),
        };
        format!("Subject: {}\n\n{text}", self.subject)
    }
}

/// The mails that a preview writes: the first of each language.
fn mails(workplace: &Workplace, config: &Path) -> BTreeMap<String, Mail> {
    let out = workplace.file("review");
    let output = workplace.run(&[
        "preview",
        "--config",
        config.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_eq!(output.code, 0, "{output:?}");
    let messages = out.join("messages");
    let mut mails = BTreeMap::new();
    for name in names(&messages).iter().filter(|it| it.ends_with(".eml")) {
        let message = std::fs::read(messages.join(name)).unwrap();
        let message = MessageParser::default().parse(&message).unwrap();
        let language = message.header_raw("Content-Language").unwrap().trim();
        let mail = Mail {
            subject: message.subject().unwrap().to_owned(),
            text: message.body_text(0).unwrap().replace("\r\n", "\n"),
            html: message.body_html(0).unwrap().into_owned(),
        };
        mails.entry(language.to_owned()).or_insert(mail);
    }
    mails
}

/// The mails of the example job with the shipped templates, these lines replaced, and one partner in each locale.
fn job(
    workplace: &Workplace,
    changes: &[(&str, &str)],
    columns: &str,
    cells: &str,
) -> BTreeMap<String, Mail> {
    let templates = format!("directory = \"{}\"", folder().display());
    let mut config = include_str!("../config.example.toml")
        .replace("# directory = \"templates\"", &templates)
        .replace("partners.example.csv", "list.csv");
    for (line, by) in changes {
        let is_it = |it: &&str| it.starts_with(line);
        assert!(config.lines().any(|it| is_it(&it)), "{line}");
        let lines = config.lines().map(|it| if is_it(&it) { by } else { it });
        let lines: Vec<_> = lines.filter(|it| !it.is_empty()).collect();
        config = lines.join("\n");
    }
    workplace.write("job.toml", &config);
    let row = |it: &Manner| format!("projects@{0}.example,{0},{cells}\n", it.locale);
    let rows: String = MANNERS.iter().map(row).collect();
    workplace.write("list.csv", &format!("email,locale,{columns}\n{rows}"));
    mails(workplace, &workplace.file("job.toml"))
}

#[test]
fn every_locale_matches_its_snapshots() {
    let workplace = Workplace::new(1);
    let full = job(
        &workplace,
        &[
            ("# unsubscribe", "unsubscribe = true"),
            ("# approval_time", "approval_time = \"2 d.\""),
            ("# access_duration", "access_duration = \"1 y.\""),
            ("organization = ", "organization = \"Contoso S.A.\""),
            (
                "# footer",
                "footer = \"\"\"Contoso S.A.\n1 Harbour Street, London\"\"\"",
            ),
            (
                "# privacy_url",
                "privacy_url = \"https://contoso.example/privacy\"",
            ),
        ],
        "name,organization,inviter_name,inviter_email,note",
        "Ada Lovelace,Engines Ltd.,Amelia Hart,amelia.hart@contoso.example,As agreed on the phone: here is your access!",
    );
    // Without optional values: no name, organisation, description, justification, last day, contact or name of
    // the sender, no inviter and no note; and nothing to pass on.
    let bare = job(
        &workplace,
        &[
            ("from = ", "from = \"partner-access@contoso.example\""),
            ("description.", ""),
            ("justification.", ""),
            ("respond_by", ""),
            ("contact", ""),
            ("reply_to", ""),
            ("# sharing", "sharing = false"),
        ],
        "name",
        "",
    );

    for Manner { locale, .. } in MANNERS {
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!(format!("{locale}_with_everything"), full[locale].snapshot());
            insta::assert_snapshot!(format!("{locale}_with_an_address_alone"), bare[locale].snapshot());
        });
    }
}

/// A reminder as the templates render it.
fn reminder(tera: &tera::Tera, locale: &str, brand: &serde_json::Value) -> [String; 3] {
    let direction = if runs_from_right_to_left(locale) {
        "rtl"
    } else {
        "ltr"
    };
    let scope = json!({
        "link": LINK, "portal_host": "myaccess.microsoft.com", "campaign": "2026",
        "locale": locale, "direction": direction, "unsubscribe": "", "invited_on": "2026-03-01",
        "package": { "name": "Project space", "description": "Plans", "justification": "Work", "respond_by": "2026-04-01",
            "sharing": "true", "approval_time": "2 d.", "access_duration": "1 y." },
        "partner": { "email": "ada@engines.example", "name": "Ada Lovelace", "organization": "Engines Ltd.",
            "note": "As agreed on the phone", "extra": {} },
        "inviter": { "name": "Amelia Hart", "email": "amelia.hart@contoso.example" },
        "sender": { "name": "", "address": "access@contoso.example", "organization": "Contoso S.A.",
            "contact": "+33 1 23 45 67 89", "reply_to": "partners@contoso.example" },
        "brand": brand,
    });
    let context = tera::Context::from_serialize(&scope).unwrap();
    ["subject.txt", "txt", "html"].map(|it| {
        tera.render(&format!("{locale}/reminder.{it}"), &context)
            .unwrap()
    })
}

#[test]
fn every_reminder_matches_its_snapshot_and_leads_to_the_link() {
    let mut tera = tera::Tera::default();
    tera.autoescape_on(vec![".html"]);
    let locales = MANNERS.map(|it| it.locale);
    let files = locales.iter().flat_map(|locale| {
        let parts = PARTS.iter().filter(|it| it.starts_with("reminder"));
        parts.map(move |it| (format!("{locale}/{it}"), source(locale, it)))
    });
    let layout = [("layout.html".to_owned(), source("", "layout.html"))];
    tera.add_raw_templates(files.chain(layout).collect::<Vec<_>>())
        .unwrap();
    let plain = json!({ "color": "#008475", "text_color": "#006b60", "dark_color": "#7fd6c6", "on_color": "#ffffff",
        "logo": "", "logo_dark": "", "footer": "", "privacy_url": "" });
    let own = json!({ "color": "#5b2d8c", "text_color": "#5b2d8c", "dark_color": "#c9a8ec", "on_color": "#ffffff",
        "logo": "cid:logo", "logo_dark": "cid:dark", "footer": "Contoso S.A.\nLondon", "privacy_url": "https://contoso.example/privacy" });

    for locale in locales {
        let [subject, text, html] = reminder(&tera, locale, &plain);
        assert_eq!(text.lines().filter(|it| *it == LINK).count(), 1, "{locale}");
        assert_eq!(html.matches(LINK).count(), 4, "{locale}");
        let page = Page::read(&html);
        let buttons = page
            .elements
            .iter()
            .filter(|it| it.get("class") == Some("button"));
        let buttons: Vec<_> = buttons.map(|it| it.get("href")).collect();
        assert_eq!(buttons, [Some(LINK)], "{locale}");
        assert!(
            !html.contains("As agreed") && !text.contains("As agreed"),
            "{locale}"
        );
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!(format!("{locale}_reminder"), format!("Subject: {}\n\n{text}", subject.trim()));
        });

        let [_, text, html] = reminder(&tera, locale, &own);
        let shown = [
            "cid:logo",
            "cid:dark",
            "Contoso S.A.</span><br><span dir=\"auto\">London",
            "https://contoso.example/privacy",
        ];
        for it in shown {
            assert!(html.contains(it), "{locale}: {it}");
        }
        assert!(
            !html.contains("#008475") && !html.contains("#006b60") && !html.contains("#7fd6c6"),
            "{locale}"
        );
        let end = "\nhttps://contoso.example/privacy\n";
        assert!(
            text.contains("\n\nContoso S.A.\nLondon\n\n") && text.ends_with(end),
            "{locale}"
        );
    }
}

//! The values of the second edition are shown verbatim, whatever they contain, and change no markup.

use std::collections::BTreeMap;

use super::{Mail, job};
use crate::support::Workplace;
use crate::support::page::Page;

/// The mails with this text as inviter, note, approval time, duration of the access and footer.
fn mails(value: &str) -> BTreeMap<String, Mail> {
    // A JSON string is a TOML string.
    let text = serde_json::to_string(value).unwrap();
    let line = |key: &str| format!("{key} = {text}");
    let [approval, duration, footer] = ["approval_time", "access_duration", "footer"].map(line);
    let cell = format!("\"{}\"", value.replace('"', "\"\""));
    job(
        &Workplace::new(1),
        &[
            ("# approval_time", &approval),
            ("# access_duration", &duration),
            ("# footer", &footer),
        ],
        "inviter_name,inviter_email,note",
        &format!("{cell},amelia.hart@contoso.example,{cell}"),
    )
}

/// Every tag with its class.
fn skeleton(html: &str) -> Vec<String> {
    let page = Page::read(html);
    let tag = |name: &str, class: Option<&str>| format!("{name}.{}", class.unwrap_or_default());
    let tags = page.elements.iter();
    tags.map(|it| tag(&it.name, it.get("class"))).collect()
}

#[test]
fn inviter_note_and_footer_are_shown_verbatim_in_every_locale() {
    let long = "NameOfTwoHundred".repeat(13)[..200].to_owned();
    let hostile = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' style='position:fixed' onclick='alert(1)",
        "</title></style></td></table><h1>Contoso</h1>",
        "{{7*7}}{% include \"x\" %}{# gone #}",
        "محمد عبد الله (فرنسا)",
        "👩‍💻 Zoë 🇫🇷",
        &long,
    ];
    let harmless = mails("Ada");

    for value in hostile {
        for (locale, mail) in mails(value) {
            let expected = &harmless[&locale];
            let (shown, usual) = (skeleton(&mail.html), skeleton(&expected.html));
            assert_eq!(shown, usual, "{locale}: {value}");
            let [shown, usual] = [(&mail, value), (expected, "Ada")].map(|(mail, it)| {
                let html = Page::read(&mail.html).words;
                [html.matches(it).count(), mail.text.matches(it).count()]
            });
            // In title, preview, heading, note, signature, facts and footer.
            assert!(usual[0] >= 8 && usual[1] >= 6, "{locale}: {usual:?}");
            assert_eq!(shown, usual, "{locale}: {value}");
        }
    }
}

//! Brand, inviter, note and the links that a mail may have, by templates that show all of them.

use super::*;
use crate::partners::Partners;

/// A PNG of 64 by 32 pixels, as far as its header goes.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x40\0\0\0\x20\x08\x06\0\0\0\0\0\0\0";
/// A JPEG of 64 by 32 pixels, as far as its header goes.
const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xc0\0\x11\x08\0\x20\0\x40\x03\x01\x22\0\x02\x11\x01\x03\x11\x01\xff\xd9";

const TEXT: &str = "Hello {{ partner.name }}
{{ inviter.name }} <{{ inviter.email }}> note: {{ partner.note }}
{{ package.respond_by }}|{{ package.sharing }}|{{ package.approval_time }}|{{ package.access_duration }}|{{ portal_host }}|
{{ link }}
{{ unsubscribe }}
{{ brand.footer }}
{% if brand.privacy_url %}Privacy: {{ brand.privacy_url }}.{% endif %}
";
const HTML: &str = "{% if brand.logo %}<img src=\"{{ brand.logo }}\" alt=\"{{ sender.organization }}\">{% endif %}
{% if brand.logo_dark %}<img src=\"{{ brand.logo_dark }}\" alt=\"\">{% endif %}
<p style=\"color:{{ brand.text_color }}\">{{ partner.name }} {{ inviter.name }}</p><blockquote>{{ partner.note }}</blockquote>
<a class=\"button\" href=\"{{ link }}\" style=\"background:{{ brand.color }};color:{{ brand.on_color }}\">Open</a> <p>{{ link }}</p>
<p>{{ portal_host }} {{ package.approval_time }} {{ package.access_duration }}</p><pre>{{ brand.footer }}</pre>
{% if inviter.email %}<a href=\"mailto:{{ inviter.email }}\">{{ inviter.email }}</a>{% endif %}
<a href=\"mailto:{{ sender.reply_to }}\">x</a>
{% if unsubscribe %}<a href=\"{{ unsubscribe }}\">no more</a>{% endif %}
{% if brand.privacy_url %}<a href=\"{{ brand.privacy_url }}\">Privacy</a>{% endif %}
<style>@media (prefers-color-scheme:dark) { p { color:{{ brand.dark_color }} } }</style>";

const BRAND: &str = "[brand]
logo = \"logo.png\"
logo_dark = \"dark.jpg\"
color = \"#0B57D0\"
footer = \"Contoso Ltd\\n1 Harbour Street <London>\"
privacy_url = \"https://contoso.example/privacy?a=1&b=2\"
[packages.project]
sharing = false
approval_time = { en = \"two days\", fr = \"deux jours\" }
access_duration = \"one year\"
inviter = \"Zoë O'Neil <zoe@contoso.example>\"
respond_by = 2099-12-31
";

/// A job in a folder, whose configuration has these tables, and whose templates are these in `en` and `fr`.
struct Job {
    folder: tempfile::TempDir,
    config: Arc<Config>,
    composer: Composer,
}

fn job(tables: &str, text: &str, html: &str) -> Result<Job, String> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, content) in [("logo.png", PNG), ("dark.jpg", JPEG)] {
        std::fs::write(at(name), content).unwrap();
    }
    for locale in ["en", "fr"] {
        let en = at("templates").join(locale);
        std::fs::create_dir_all(&en).unwrap();
        std::fs::write(en.join("invitation.subject.txt"), "Hello").unwrap();
        std::fs::write(en.join("invitation.txt"), text).unwrap();
        std::fs::write(en.join("invitation.html"), html).unwrap();
    }
    let (brand, package) = tables
        .split_once("[packages.project]\n")
        .unwrap_or((tables, ""));
    let source = GOOD
        .replace(
            "[sender]\n",
            "[sender]\nunsubscribe = true\ncontact = \"Desk, +33 1 23\"\n",
        )
        .replace("[partners]\n", &format!("{package}{brand}[partners]\n"));
    std::fs::write(at("config.toml"), source).unwrap();
    let config = Arc::new(Config::load(&at("config.toml")).map_err(|it| it.to_string())?);
    let templates = Templates::load(&config.templates).map_err(|it| it.to_string())?;
    let composer = Composer::new(&config, &Arc::new(templates));
    Ok(Job {
        folder,
        config,
        composer,
    })
}

impl Job {
    fn partner(&self, locale: &str) -> Partner {
        Partner {
            extra_columns: Arc::new([]),
            extra: Vec::new(),
            ..partner(&self.config, locale, Some("Ada"), None)
        }
    }

    fn compose(&self, partner: &Partner) -> Result<String, String> {
        let composed = self
            .composer
            .draft(partner, ID, None)
            .compose_and_verify(date());
        let (message, _) = composed.map_err(|it| it.to_string())?;
        Ok(String::from_utf8(message.bytes).unwrap())
    }
}

fn text_of(message: &str) -> String {
    let parsed = MessageParser::default().parse(message).unwrap();
    parsed.body_text(0).unwrap().replace("\r\n", "\n")
}

fn html_of(message: &str) -> String {
    let parsed = MessageParser::default().parse(message).unwrap();
    parsed.body_html(0).unwrap().into_owned()
}

#[test]
fn each_new_variable_has_its_value_in_both_parts() {
    let job = job(BRAND, TEXT, HTML).unwrap();
    let message = job.compose(&job.partner("fr-CA")).unwrap();

    let text = text_of(&message);
    let id = crate::invitation::invite_id(ID);
    for expected in [
        "Zoë O'Neil <zoe@contoso.example> note: \n",
        "31 décembre 2099||deux jours|one year|myaccess.microsoft.com|\n",
        &format!("\nmailto:access@contoso.example?subject={id}\n"),
        "\nContoso Ltd\n1 Harbour Street <London>\n",
        "\nPrivacy: https://contoso.example/privacy?a=1&b=2.\n",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in {text}");
    }
    let html = html_of(&message);
    for expected in [
        "<img src=\"cid:logo.",
        "@contoso.example\" alt=\"Contoso\">",
        "color:#0b57d0\"",
        "background:#0b57d0;color:#ffffff",
        "<pre>Contoso Ltd\r\n1 Harbour Street &lt;London&gt;</pre>",
        "href=\"https://contoso.example/privacy?a=1&amp;b=2\"",
    ] {
        assert!(html.contains(expected), "{expected:?} is not in {html}");
    }
}

#[test]
fn without_configuration_every_new_variable_is_empty_and_the_colours_are_the_shipped_ones() {
    let job = job("", TEXT, HTML).unwrap();
    let message = job.compose(&job.partner("en")).unwrap();

    let text = text_of(&message);
    let expected =
        "Hello Ada\n <> note: \n|true||||".replace("||||", "|||myaccess.microsoft.com|\n");
    assert!(text.starts_with(&expected), "{text}");
    let html = html_of(&message);
    assert!(html.contains("background:#008475;color:#ffffff"), "{html}");
    assert!(
        html.contains("color:#006b60") && html.contains("color:#7fd6c6"),
        "{html}"
    );
    assert!(!html.contains("<img") && !message.contains("multipart/related"));
}

#[test]
fn the_inviter_of_the_row_comes_before_that_of_the_package_and_gets_the_replies() {
    let job = job(BRAND, TEXT, HTML).unwrap();
    let address = |it: &str| Some(Address::parse(it).unwrap());
    let of_package = ("Zoë O'Neil", "zoe@contoso.example", "zoe@contoso.example");
    for (name, email, expected) in [
        (None, None, of_package),
        (
            Some("Grace"),
            address("grace@a.example"),
            ("Grace", "grace@a.example", "grace@a.example"),
        ),
        (
            None,
            address("grace@bücher.example"),
            (
                "",
                "grace@xn--bcher-kva.example",
                "grace@xn--bcher-kva.example",
            ),
        ),
        // Nobody else gets the replies to a person without an address.
        (Some("Grace"), None, ("Grace", "", "")),
    ] {
        let partner = Partner {
            inviter_name: name.map(str::to_owned),
            inviter_email: email,
            ..job.partner("en")
        };
        let message = job.compose(&partner).unwrap();
        let parsed = MessageParser::default().parse(&message).unwrap();
        let reply_to = parsed.reply_to().and_then(|it| it.first()?.address());
        let text = text_of(&message);
        let (shown, _) = text.split_once(" note").unwrap();

        assert_eq!(shown, format!("Hello Ada\n{} <{}>", expected.0, expected.1));
        assert_eq!(reply_to.unwrap_or_default(), expected.2);
    }
}

#[test]
fn a_mail_offers_to_unsubscribe_by_the_id_of_its_invitation() {
    let job = job("", TEXT, HTML).unwrap();
    let message = job.compose(&job.partner("en")).unwrap();
    let parsed = MessageParser::default().parse(&message).unwrap();

    let id = parsed.header_raw("X-Access-Invite-Id").unwrap().trim();
    let header = parsed.header_raw("List-Unsubscribe").unwrap().trim();
    assert_eq!(
        header,
        format!("<mailto:access@contoso.example?subject={id}>")
    );
    let other = message.replacen(
        "List-Unsubscribe: <mailto:a",
        "List-Unsubscribe: <mailto:b",
        1,
    );
    let verified = job
        .composer
        .verify_again(&job.partner("en"), ID, other.as_bytes());
    let error = verified.unwrap_err().to_string();
    assert!(
        error.contains("the header List-Unsubscribe reads"),
        "{error}"
    );
}

#[test]
fn dates_are_written_as_the_partner_s_region_writes_them_in_the_language_of_the_mail() {
    let job = job(BRAND, TEXT, HTML).unwrap();
    for (locale, expected) in [
        ("en", "December 31, 2099|"),
        ("en-GB", "31 December 2099|"),
        ("en-US", "December 31, 2099|"),
        ("fr-CA", "31 décembre 2099|"),
        // No template: the mail is in the default language, and so is its date.
        ("de-AT", "December 31, 2099|"),
        ("", "December 31, 2099|"),
    ] {
        let text = text_of(&job.compose(&job.partner(locale)).unwrap());
        assert!(text.contains(&format!("\n{expected}")), "{locale}: {text}");
    }
}

#[test]
fn logos_that_the_html_shows_are_parts_beside_it_and_no_others() {
    let all = job(BRAND, TEXT, HTML).unwrap();
    let message = all.compose(&all.partner("en")).unwrap();
    let parsed = MessageParser::default().parse(&message).unwrap();

    let kinds: Vec<String> = parsed
        .parts
        .iter()
        .map(|it| {
            use mail_parser::MimeHeaders as _;
            let found = it.content_type().unwrap();
            format!("{}/{}", found.ctype(), found.subtype().unwrap())
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "multipart/alternative",
            "text/plain",
            "multipart/related",
            "text/html",
            "image/png",
            "image/jpeg"
        ]
    );
    assert_eq!(parsed.parts[4].contents(), PNG);
    assert!(message.contains("Content-Disposition: inline; filename=\"logo.png\"\r\n"));
    assert!(message.contains("multipart/related; type=\"text/html\""));

    let one = HTML.replace("brand.logo_dark }}", "brand.logo }}");
    let one = job(BRAND, TEXT, &one).unwrap();
    let message = one.compose(&one.partner("en")).unwrap();
    assert_eq!(message.matches("Content-ID").count(), 1);
    assert!(message.contains("image/png") && !message.contains("image/jpeg"));
}

#[test]
fn a_message_with_another_image_than_the_logo_is_refused() {
    let job = job(BRAND, TEXT, HTML).unwrap();
    let partner = job.partner("en");
    let good = job.compose(&partner).unwrap();
    let start = good.find("iVBOR").unwrap();
    let mut other_bytes = good.clone();
    other_bytes.replace_range(start + 24..start + 25, "z");
    let last = good.rfind("--+").unwrap();
    let part = "--+0123456789abcdef0123456789abcdef+\r\nContent-Type: image/png\r\nContent-ID: <x@y>\r\nContent-Disposition: inline\r\n\r\nx\r\n";
    let id = good.find("Content-ID: <logo.").unwrap();
    for (bytes, why) in [
        (other_bytes, "the logo `brand.logo` differs from its file"),
        (
            good.replacen("inline; filename", "attachment; filename", 1),
            "differs from its file",
        ),
        (
            good.replacen("image/png", "image/gif", 1),
            "differs from its file",
        ),
        (
            [&good[..id], &good[id..].replacen("<logo.", "<l0go.", 1)].concat(),
            "differs from its file",
        ),
        (
            [&good[..last], part, &good[last..]].concat(),
            "more parts than text, HTML and its logos",
        ),
        (
            good.replacen("multipart/related", "multipart/mixed", 1),
            "are not related to the HTML",
        ),
    ] {
        assert_ne!(bytes, good, "{why}");
        let verified = job.composer.verify_again(&partner, ID, bytes.as_bytes());
        let error = verified.expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn links_and_images_beyond_those_allowed_are_refused_with_what_to_do_instead() {
    let page = |more: &str| format!("{HTML}{more}");
    let line = |more: &str| format!("{TEXT}{more}\n");
    let target = |it: &str| page(&format!("<a href=\"{it}\">x</a>"));
    for good in [
        page("<a href=\"tel:+33123\">call</a>"),
        page("<p>It begins with {{ portal_host }}.</p>"),
        page("<!--[if mso]><img src=\"{{ brand.logo }}\"><![endif]-->"),
    ] {
        let job = job(BRAND, TEXT, &good).unwrap();
        job.compose(&job.partner("en")).unwrap();
    }
    let refused = "in the text, but only the access package link and";
    for (text, html, why) in [
        (line("https://evil.example/"), HTML.to_owned(), refused),
        (
            line("See https://myaccess.microsoft.com/."),
            HTML.to_owned(),
            "write `{{ portal_host }}`",
        ),
        (line("http://contoso.example"), HTML.to_owned(), refused),
        (line("mailto:eva@evil.example"), HTML.to_owned(), refused),
        (
            line("https://contoso.example/privacy?a=1&b=22"),
            HTML.to_owned(),
            refused,
        ),
        (line("{{ partner.extra.site }}"), HTML.to_owned(), refused),
        (
            TEXT.to_owned(),
            page("<p>https://evil.example/</p>"),
            refused,
        ),
        (
            TEXT.to_owned(),
            target("https://{{ portal_host }}/"),
            "write `{{ portal_host }}`",
        ),
        (
            TEXT.to_owned(),
            target("https://contoso.example/"),
            "or set `brand.privacy_url` if",
        ),
        (
            TEXT.to_owned(),
            target("tel:+33124"),
            "the number into `sender.contact`",
        ),
        (
            TEXT.to_owned(),
            target("mailto:{{ partner.email }}"),
            "is linked, but only",
        ),
        (
            TEXT.to_owned(),
            page("<img src=\"https://evil.example/p.gif\">"),
            "`<img>` is not allowed",
        ),
        (
            TEXT.to_owned(),
            page("<img src=\"cid:x@y\">"),
            "except for a logo that is sent with it",
        ),
        (
            TEXT.to_owned(),
            page("<img alt=\"x\">"),
            "`<img>` is not allowed",
        ),
        (
            TEXT.to_owned(),
            page("<img srcset=\"{{ brand.logo }}\">"),
            "the attribute `srcset`",
        ),
        (
            TEXT.to_owned(),
            page("<image src=\"{{ brand.logo }}\">"),
            "the attribute `src`",
        ),
        (
            TEXT.to_owned(),
            page("<!--[if mso]><v:fill src=\"{{ brand.logo }}\"><![endif]-->"),
            "the attribute `src`",
        ),
        (
            TEXT.to_owned(),
            page("<!--[if mso]><img src=\"x\"><![endif]-->"),
            "`<img>` is not allowed",
        ),
        (
            TEXT.to_owned(),
            page("<style>p { background:url({{ brand.logo }}) }</style>"),
            "`url(` in a style",
        ),
    ] {
        let job = job(BRAND, &text, &html).unwrap();
        let partner = Partner {
            extra_columns: Arc::from(["site".to_owned()]),
            extra: vec!["https://evil.example".into()],
            ..job.partner("en")
        };
        let error = job.compose(&partner).expect_err(why);
        assert!(error.contains(why), "{why:?} is not in {error}");
    }
}

#[test]
fn templates_of_the_first_edition_compose_as_they_are() {
    let first =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/templates-first-edition");
    for full in [true, false] {
        let config = Arc::new(config(&first, full));
        let templates = Arc::new(Templates::load(&config.templates).unwrap());
        let composer = Composer::new(&config, &templates);
        let columns = Arc::from(["note".to_owned()]);
        assert_eq!(composer.check_templates(&columns), Vec::<String>::new());
        for locale in ["en", "he", "fr"] {
            let partner = Partner {
                note: Some("Not shown.".into()),
                inviter_name: Some("Grace".into()),
                ..partner(&config, locale, Some("Ada"), None)
            };
            composer
                .draft(&partner, ID, None)
                .compose_and_verify(date())
                .unwrap();
        }
        assert_eq!(templates.unused.len(), 9);
        assert!(!templates.show_notes());
    }
}

#[test]
fn logos_and_texts_that_cannot_be_used_are_explained() {
    let failed = |tables: &str| job(tables, TEXT, HTML).map(|_| ()).unwrap_err();
    for (tables, why) in [
        (
            "[brand]\nlogo = \"config.toml\"\n",
            "(`brand.logo`) is no PNG or JPEG image",
        ),
        ("[brand]\nlogo = \"none.png\"\n", "cannot read the logo `"),
        (
            "[brand]\nlogo_dark = \"dark.jpg\"\n",
            "`brand.logo_dark` needs `brand.logo`",
        ),
        (
            "[brand]\ncolor = \"green\"\n",
            "must be a colour such as \"#0b57d0\", not \"green\"",
        ),
        (
            "[brand]\nprivacy_url = \"contoso.example\"\n",
            "must be the address of a page",
        ),
        ("[brand]\nfooter = \"a\\u0007\"\n", "remove U+0007"),
        (
            "[brand]\nfooter = { fr = \"x\" }\n",
            "no text for the default locale `en`",
        ),
        (
            "[packages.project]\ninviter = \"Zoë\"\n",
            "must be a mailbox",
        ),
        (
            "[packages.project]\nsharing = \"yes\"\n",
            "must be true or false",
        ),
        (
            "[packages.project]\napproval_time = 2\n",
            "must be a text, or a table of texts",
        ),
    ] {
        let error = failed(tables);
        assert!(error.contains(why), "{why:?} is not in {error}");
    }
}

/// Text of any kind, as people and attackers write it, in one line.
fn words() -> impl Strategy<Value = String> {
    let hostile = prop::sample::select(vec![
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "{{ link }}{% raw %}",
        "--><!--[if mso]><v:rect href=\"x\">",
        "a, b; \"c\" \\ <d@e.example>",
        "محمد عبد الله (فرنسا)",
        "👩‍💻 Zoë",
        "=?utf-8?q?x?=",
    ]);
    prop_oneof![
        4 => "[^\\p{C}\\p{Zl}\\p{Zp}:]{1,120}".prop_map(|it| it.split_whitespace().collect::<Vec<_>>().join(" ")),
        2 => hostile.prop_map(str::to_owned),
        1 => Just("n".repeat(250)),
        1 => Just("漢".repeat(250)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_inviter_and_note_make_a_bad_row_or_a_message_that_passes(
        inviter in words(),
        email in prop_oneof!["[a-z.+%&=?]{1,12}@[a-zé]{1,10}\\.example", words()],
        note in prop_oneof![words(), any::<String>(), "[a-z/.:]{0,600}"],
        locale in prop::sample::select(vec!["en-GB", "fr", "ar", ""]),
    ) {
        let job = job(BRAND, TEXT, HTML).unwrap();
        let path = job.folder.path().join("partners.csv");
        let mut writer = csv::Writer::from_path(&path).unwrap();
        writer.write_record(["email", "locale", "inviter_name", "inviter_email", "note"]).unwrap();
        writer.write_record(["ada@a.example", locale, &inviter, &email, &note]).unwrap();
        drop(writer);

        // A NUL makes it no text at all.
        if let Ok(partners) = Partners::read(&job.config, &[], true, job.folder.path()) {
            let partners = Arc::new(partners);
            prop_assert_eq!(partners.good() + partners.bad(), 1);
            for partner in partners.iter() {
                let partner = partner.unwrap();
                prop_assert!(partner.note.as_ref().is_none_or(|it| it.chars().count() <= 500));
                let message = job.compose(&partner);
                prop_assert!(message.is_ok(), "{:?}: {}", partner, message.unwrap_err());
                let text = text_of(&message.unwrap());
                let shown = format!("note: {}\n", partner.note.unwrap_or_default());
                prop_assert!(text.contains(&shown), "{shown:?} is not in {text}");
            }
        }
    }

    #[test]
    fn any_text_of_brand_and_package_makes_a_message_that_passes(
        footer in prop::collection::vec(words(), 1..4),
        approval in words(),
        duration in words(),
        inviter in words(),
    ) {
        let plain = |text: &str| toml::Value::from(text.trim()).to_string();
        let name: String = inviter.chars().filter(|it| !"<>\"\\".contains(*it)).collect();
        let tables = format!(
            "[brand]\nfooter = {}\n[packages.project]\napproval_time = {}\naccess_duration = {}\ninviter = {}\n",
            plain(&footer.join("\n")),
            plain(&approval),
            plain(&duration),
            plain(&format!("{} <zoe@contoso.example>", name.trim())),
        );
        let job = job(&tables, TEXT, HTML);
        prop_assume!(job.is_ok());
        let job = job.unwrap();
        let message = job.compose(&job.partner("en"));
        prop_assert!(message.is_ok(), "{tables}: {}", message.unwrap_err());
    }
}

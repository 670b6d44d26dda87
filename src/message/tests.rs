#![expect(clippy::too_many_lines, reason = "a table is read line by line")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use mail_parser::MessageParser;
use proptest::prelude::*;

use super::*;
use crate::address::Address;
use crate::config::Config;
use crate::config::testing::GOOD;
use crate::invitation::Invited;
use crate::locale::Locale;
use crate::partners::{Partner, Partners};
use crate::templates::Templates;

mod second_edition;

const ID: &str = "0123456789abcdef0123456789abcdef@contoso.example";

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("templates")
}

/// A configuration with every optional key, or with none, over the templates in `directory`.
fn config(directory: &Path, full: bool) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let (package, sender) = if full {
        (
            "description = { en = \"Plans of the harbour\", fr = \"Plans du port\" }\njustification = \"Work on the harbour\"\nrespond_by = 2099-12-31",
            "reply_to = \"Schalter, Größe & Co <partners@bücher.example>\"\ncontact = \"Partner Desk, +33 1 23 45 67 89\"",
        )
    } else {
        ("", "")
    };
    let source = GOOD
        .replace("Partner Access", r#"Contoso \"Access\""#)
        .replace("\"Contoso\"", &format!("\"Contoso & Söhne\"\n{sender}"))
        .replace("Project space", "Project <space>")
        .replace(
            "[partners]",
            &format!(
                "{package}\n[templates]\ndirectory = \"{}\"\n[partners]",
                directory.display()
            ),
        );
    std::fs::write(&path, source).unwrap();
    Config::load(&path).unwrap()
}

fn partner(
    config: &Config,
    locale: &str,
    name: Option<&str>,
    organization: Option<&str>,
) -> Partner {
    Partner {
        line: 2,
        offset: 0,
        address: Address::parse("Ada.O'Brien@bücher.example").unwrap(),
        name: name.map(str::to_owned),
        organization: organization.map(str::to_owned),
        locale: (!locale.is_empty()).then(|| Locale::parse(locale).unwrap()),
        package: config.packages[0].clone(),
        inviter_name: None,
        inviter_email: None,
        note: None,
        extra_columns: Arc::from(["note".to_owned()]),
        extra: vec!["{{ link }} <b>".to_owned()],
        doubts: Vec::new(),
    }
}

/// What composes by the shipped templates, with every optional key or with none.
fn composing(full: bool) -> (Arc<Config>, Arc<Templates>, Composer) {
    let config = Arc::new(config(&shipped(), full));
    let templates = Arc::new(Templates::load(&config.templates).unwrap());
    let composer = Composer::new(&config, &templates);
    (config, templates, composer)
}

fn date() -> Timestamp {
    "2026-11-23T08:30:00Z".parse().unwrap()
}

/// A folder of templates for `en`, each part given or a plain one.
fn templates(subject: &str, text: &str, html: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let en = folder.path().join("en");
    std::fs::create_dir(&en).unwrap();
    let or = |given: &str, plain: &str| {
        if given.is_empty() {
            plain.to_owned()
        } else {
            given.to_owned()
        }
    };
    std::fs::write(en.join("invitation.subject.txt"), or(subject, "Hello\n")).unwrap();
    std::fs::write(en.join("invitation.txt"), or(text, "Hello\n\n{{ link }}\n")).unwrap();
    std::fs::write(
        en.join("invitation.html"),
        or(
            html,
            "<p><a class=\"button\" href=\"{{ link }}\">Open</a></p><p>{{ link }}</p>",
        ),
    )
    .unwrap();
    folder
}

fn compose_with(folder: &Path) -> Result<Message, String> {
    let config = Arc::new(config(folder, true));
    let templates = Arc::new(Templates::load(&config.templates).map_err(|it| it.to_string())?);
    let composer = Composer::new(&config, &templates);
    composer
        .draft(&partner(&config, "en", Some("Ada"), None), ID, None)
        .compose_and_verify(date())
        .map(|(message, _)| message)
        .map_err(|it| it.to_string())
}

#[test]
fn every_shipped_locale_passes_with_full_empty_and_hostile_data() {
    let names = [
        None,
        Some("Ada"),
        Some("<script>alert(1)</script>"),
        Some("\"><img src=x onerror=alert(1)>"),
        Some("O'Brien, \"Zoë\" \\ & Söhne"),
        Some("{{ 7*7 }}{% include \"x\" %}"),
        Some("محمد عبد الله"),
        Some("山田 太郎"),
        Some("👩‍💻 Ada"),
        Some("https://evil.example/ <a href='https://evil.example'>x</a>"),
    ];
    for full in [true, false] {
        let (config, templates, composer) = composing(full);
        let long = "n".repeat(256);
        for locale in &templates.locales {
            for name in names.into_iter().chain([Some(long.as_str())]) {
                let partner = partner(&config, &locale.to_string(), name, name);
                let verified = composer
                    .draft(&partner, ID, None)
                    .compose_and_verify(date());
                assert!(
                    verified.is_ok(),
                    "{locale} {name:?}: {:#}",
                    verified.unwrap_err()
                );
            }
        }
    }
}

#[test]
fn a_message_has_exactly_the_expected_headers_and_language() {
    let (config, _, composer) = composing(true);

    let partner = partner(&config, "fr-CA", Some("Zoë Müller-Lüdenscheidt"), None);
    let (message, _) = composer
        .draft(&partner, ID, None)
        .compose_and_verify(date())
        .unwrap();

    let text = String::from_utf8(message.bytes.clone()).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    insta::assert_snapshot!(head.replace("\r\n", "\n"));
    let parsed = MessageParser::default().parse(&message.bytes).unwrap();
    assert_eq!(
        parsed.to().unwrap().first().unwrap().address(),
        Some("Ada.O'Brien@xn--bcher-kva.example")
    );
    assert!(parsed.body_text(0).unwrap().contains("31 décembre 2099"));
    assert!(parsed.body_text(0).unwrap().contains("Espace projet"));
}

#[test]
fn the_fingerprint_covers_all_but_the_date() {
    let (config, _, composer) = composing(true);
    let compose = |name: &str, id: &str, date| {
        composer
            .draft(&partner(&config, "en", Some(name), None), id, None)
            .compose(date)
            .unwrap()
    };
    let base = compose("Ada", ID, date());

    let later = compose("Ada", ID, date() + jiff::SignedDuration::from_hours(1000));
    assert_ne!(later.sha256(), base.sha256());
    assert_eq!(later.fingerprint(), base.fingerprint());
    assert_ne!(compose("Eva", ID, date()).fingerprint(), base.fingerprint());
    assert_ne!(
        compose("Ada", &"f".repeat(32), date()).fingerprint(),
        base.fingerprint()
    );
    assert_eq!(compose("Ada", ID, date()).bytes, base.bytes);
}

#[test]
fn a_message_other_than_the_verified_one_is_not_composed() {
    let (config, _, composer) = composing(true);
    let ada = partner(&config, "fr", Some("Ada"), None);
    let eva = partner(&config, "fr", Some("Eva"), None);
    let german = partner(&config, "de", Some("Ada"), None);
    let fingerprint = composer
        .draft(&ada, ID, None)
        .compose(date())
        .unwrap()
        .fingerprint();
    let other = "f".repeat(32);

    let later = date() + jiff::SignedDuration::from_hours(1000);
    for date in [date(), later] {
        let sent = composer
            .draft(&ada, ID, None)
            .compose_verified(date, fingerprint);
        assert_eq!(
            sent.unwrap(),
            composer.draft(&ada, ID, None).compose(date).unwrap()
        );
    }
    for (partner, id) in [(&ada, &*other), (&german, ID), (&eva, ID)] {
        let error = composer
            .draft(partner, id, None)
            .compose_verified(date(), fingerprint);
        assert_eq!(
            error.unwrap_err().to_string(),
            "is not the one that was verified; nothing more is sent"
        );
    }
}

#[test]
fn templates_that_break_a_rule_fail_verification() {
    let button = "<a class=\"button\" href=\"{{ link }}\">Open</a>";
    let table = [
        ("", "Hello\n", "", "the link is missing"),
        ("", "Hello {{ link }}\n", "", "is not alone on its line"),
        ("", "{{ link }}\n{{ link }}\n", "", "2 times"),
        ("", "{{ link }}.\n", "", "not alone on its line"),
        ("", "{{ link | upper }}\n", "", "the link is missing"),
        (
            "",
            "",
            "<p>{{ link }}</p>",
            "there must be exactly one `<a class=\"button\">`",
        ),
        (
            "",
            "",
            &format!("{button}{button} {{{{ link }}}}"),
            "there must be exactly one",
        ),
        ("", "", button, "not visible as text"),
        (
            "",
            "",
            &format!("{button}<p>{{{{ link }}}}.</p>"),
            "with spaces or tags around it",
        ),
        (
            "",
            "",
            &format!("{button}<p>{{{{ link }}}} {{{{ link }}}}</p>"),
            "visible as text once",
        ),
        (
            "",
            "",
            &format!("{button}<title>{{{{ link }}}}</title>"),
            "not visible as text",
        ),
        (
            "",
            "",
            &format!("{button} {{{{ link }}}} <a href=\"https://x.example\">x</a>"),
            "but only the access package link and",
        ),
        (
            "",
            "",
            &format!(
                "{button} {{{{ link }}}} <!--[if mso]><v:rect href=\"https://x.example\"><![endif]-->"
            ),
            "but only the access package link and",
        ),
        (
            "",
            "",
            &format!("{button} {{{{ link }}}} <a href=\"mailto:x@x.example\">x</a>"),
            "but only the access package link and",
        ),
        (
            "",
            "",
            &format!("{button} {{{{ link }}}} <a href=\"\">x</a>"),
            "`` is linked, but only the access package link and",
        ),
        (
            "",
            "",
            &format!(
                "{button} {{{{ link }}}} <noscript><a href=\"https://x.example\">x</a></noscript>"
            ),
            "`<noscript>` is not allowed",
        ),
        (
            "",
            "",
            &format!(
                "{button} {{{{ link }}}} <!--[if mso]><v:rect href=\"https://x.example\" <![endif]-->"
            ),
            "but only the access package link and",
        ),
        (
            "",
            "",
            "<a class=\"x\" class=\"button\" href=\"{{ link }}\">Open</a> {{ link }}",
            "there must be exactly one",
        ),
        (
            "",
            "",
            "<a class=\"button\" href=\"https://x.example\" href=\"{{ link }}\">Open</a> {{ link }}",
            "with `{{ link }}` as its `href`",
        ),
        (
            "",
            "",
            &format!("{button} {{{{ link }}}} <img src=\"https://x.example/p.gif\">"),
            "`<img>` is not allowed",
        ),
        (
            "",
            "",
            &format!("{button} {{{{ link }}}} <script>1</script>"),
            "`<script>` is not allowed",
        ),
        (
            "",
            "",
            &format!("{button} {{{{ link }}}} <p onclick=\"x\">x</p>"),
            "the attribute `onclick`",
        ),
        (
            "",
            "",
            &format!("{button} {{{{ link }}}} <style>p {{ background: URL(x) }}</style>"),
            "`url(` in a style",
        ),
        (
            "",
            "",
            &format!("{button} {{{{ link }}}} <p style=\"background: url(x)\">x</p>"),
            "`url(` in a style",
        ),
        (
            "",
            "",
            &format!("{button} {{{{ link }}}} {}", "much ".repeat(21_000)),
            "Gmail hides everything after 104448",
        ),
    ];

    for (subject, text, html, reason) in table {
        let folder = templates(subject, text, html);
        let error = compose_with(folder.path()).map(|_| ()).expect_err(reason);
        assert!(error.contains(reason), "{reason:?} is not in {error}");
    }
    let plain = templates("", "", "");
    compose_with(plain.path()).unwrap();
}

#[test]
fn broken_templates_are_reported_with_file_and_line() {
    let table = [
        (
            "Hello {{ partner.nmae }}",
            "",
            "en/invitation.subject.txt:1:",
        ),
        ("Hello {% if %}", "", "en/invitation.subject.txt:1:"),
        ("\n", "", "must render one line that is not empty"),
        ("a\nb", "", "must render one line"),
        ("{{ partner.extra.nothing }}", "", "nothing"),
        ("{{ get_env(name=\"HOME\") }}", "", "get_env"),
        ("{% include \"../secret.txt\" %}", "", "secret.txt"),
        (
            "",
            "<p>{{ partner.name | safe }}</p>",
            "invitation.html:1: the filter `safe`",
        ),
        (
            "",
            "<p>{{ partner.name |\n  safe }}</p>",
            "invitation.html:2: the filter `safe`",
        ),
        (
            "",
            "{% if false %}{% filter upper | safe %}x{% endfilter %}{% endif %}",
            "invitation.html:1: the filter `safe`",
        ),
        (
            "{{ package.name | safe }}",
            "",
            "invitation.subject.txt:1: the filter `safe`",
        ),
        (
            "{% for a in range(end=100000) %}{% for b in range(end=1000) %}aaaaaaaaaa{% endfor %}{% endfor %}",
            "",
            "more than 512 KiB",
        ),
    ];

    for (subject, html, reason) in table {
        let folder = templates(subject, "", html);
        let error = compose_with(folder.path()).map(|_| ()).expect_err(reason);
        assert!(error.contains(reason), "{reason:?} is not in {error}");
    }
    let long = templates(&"x".repeat(201), "", "");
    assert!(
        compose_with(long.path())
            .unwrap_err()
            .contains("more than 200 characters")
    );
}

#[test]
fn template_folders_must_be_complete_and_well_named() {
    let load = |folder: &tempfile::TempDir| {
        let config = config(folder.path(), false);
        match Templates::load(&config.templates) {
            Ok(_) => String::new(),
            Err(failure) => failure.to_string(),
        }
    };

    let folder = templates("", "", "");
    std::fs::create_dir(folder.path().join("fr")).unwrap();
    std::fs::write(folder.path().join("fr/invitation.txt"), "x").unwrap();
    assert!(load(&folder).contains("`invitation.subject.txt` and `invitation.html` is missing"));

    let folder = templates("", "", "");
    std::fs::write(folder.path().join("en/part.html.tera"), "x").unwrap();
    assert!(load(&folder).contains("would not be escaped as HTML"));

    let folder = templates("", "", "");
    std::fs::create_dir(folder.path().join("french people")).unwrap();
    assert!(load(&folder).contains("is not a locale"));

    let folder = tempfile::tempdir().unwrap();
    assert!(load(&folder).contains("no template for the default locale `en`"));

    let folder = templates("", "", "");
    std::fs::write(folder.path().join("en/.hidden.html~"), "{{").unwrap();
    std::fs::write(folder.path().join("notes.md"), "{{").unwrap();
    assert_eq!(load(&folder), "");
}

#[test]
fn verification_refuses_bytes_that_a_relay_would_change() {
    let config = Arc::new(config(&shipped(), false));
    let templates = Arc::new(Templates::load(&config.templates).unwrap());
    let composer = Composer::new(&config, &templates);
    let partner = partner(&config, "en", Some("Ada"), None);
    let good = composer
        .draft(&partner, ID, None)
        .compose(date())
        .unwrap()
        .bytes;
    let id = format!("<{ID}>");
    let subject = MessageParser::default()
        .parse(&good)
        .unwrap()
        .subject()
        .unwrap()
        .to_owned();
    let sender = &config.sender;
    let expected = Expected {
        links: AllowedLinks {
            link: partner.package.link.as_str(),
            addresses: [Some(&sender.address), None],
            unsubscribe: None,
            contact: None,
            privacy_url: None,
            values: &[],
        },
        logos: &[],
        from: (sender.name.as_deref(), &sender.address),
        to: (Some("Ada"), &partner.address),
        reply_to: None,
        subject: &subject,
        message_id: &id,
        language: "en",
        in_reply_to: None,
    };
    verify(&good, &expected).unwrap();
    let text = String::from_utf8(good).unwrap();
    let table = [
        (text.replacen("\r\n", "\n", 1), "without CR"),
        (text.replacen("To: ", "To: \r", 1), "a CR without LF"),
        (text.replacen("Subject: ", "Subject: é", 1), "is not ASCII"),
        (
            text.replacen("Subject: ", &format!("Subject: {}", "x".repeat(999)), 1),
            "longer than 998",
        ),
        (
            text.replacen("To: ", "Bcc: eve@x.example\r\nTo: ", 1),
            "differs from the expected ones",
        ),
        (
            text.replacen("To: ", "To: eve@x.example, ", 1),
            "2 addresses instead of one",
        ),
        (
            text.replacen("Date: ", "Date: x\r\nDate: ", 1),
            "differs from the expected ones",
        ),
        (
            text.replacen("-Language: en", "-Language: fr", 1),
            "Content-Language reads",
        ),
        (text.trim_end().to_owned(), "does not end with CRLF"),
    ];

    for (bytes, reason) in table {
        let error = verify(bytes.as_bytes(), &expected).expect_err(reason);
        assert!(
            format!("{error:#}").contains(reason),
            "{reason:?} is not in {error:#}"
        );
    }
}

#[test]
fn a_reminder_names_its_invitation_and_says_when_that_was() {
    let invitation = Invited {
        message_id: "11111111111111111111111111111111@contoso.example".into(),
        at: "2026-11-16T12:00:00Z".parse().unwrap(),
    };
    let folder = templates("", "", "");
    let part = |name: &str, text: &str| {
        std::fs::write(folder.path().join("en").join(name), text).unwrap();
    };
    part("reminder.subject.txt", "Reminder of {{ invited_on }}\n");
    part("reminder.txt", "Hello\n\n{{ link }}\n");
    part(
        "reminder.html",
        "<p><a class=\"button\" href=\"{{ link }}\">Open</a></p><p>{{ link }}</p>",
    );
    let mut config = config(folder.path(), false);
    let ada = partner(&config, "en", Some("Ada"), None);
    let id = format!("<{ID}>");
    config.templates.with_reminders = true;
    let config = Arc::new(config);
    let templates = Arc::new(Templates::load(&config.templates).unwrap());
    let composer = Composer::new(&config, &templates);
    assert_eq!(composer.check_templates(&ada.extra_columns), [""; 0]);

    let draft = composer.draft(&ada, ID, Some(&invitation));
    let (message, _) = draft.compose_and_verify(date()).unwrap();
    let subject = "Reminder of November 16, 2026";
    let sender = &config.sender;
    let expected = Expected {
        links: AllowedLinks {
            link: ada.package.link.as_str(),
            addresses: [Some(&sender.address), None],
            unsubscribe: None,
            contact: None,
            privacy_url: None,
            values: &[],
        },
        logos: &[],
        from: (sender.name.as_deref(), &sender.address),
        to: (Some("Ada"), &ada.address),
        reply_to: None,
        subject,
        message_id: &id,
        language: "en",
        in_reply_to: Some(&invitation.message_id),
    };
    verify(&message.bytes, &expected).unwrap();
    let text = String::from_utf8(message.bytes).unwrap();
    for (header, reason) in [
        ("In-Reply-To", "the header In-Reply-To reads"),
        ("References", "the header References reads"),
    ] {
        let other = text.replacen(&format!("{header}: <1"), &format!("{header}: <2"), 1);
        assert_ne!(other, text, "{header}");
        let error = verify(other.as_bytes(), &expected).unwrap_err();
        assert!(format!("{error:#}").contains(reason), "{error:#}");
    }
    // An invitation has neither header, and cannot use the date.
    let plain = composer.draft(&ada, ID, None).compose(date()).unwrap();
    assert!(verify(&plain.bytes, &expected).is_err());
    assert!(
        !String::from_utf8(plain.bytes)
            .unwrap()
            .contains("In-Reply-To")
    );
    part("invitation.txt", "{{ invited_on }}\n\n{{ link }}\n");
    let templates = Arc::new(Templates::load(&config.templates).unwrap());
    let faults = Composer::new(&config, &templates).check_templates(&ada.extra_columns);
    assert!(faults.join("\n").contains("invited_on"), "{faults:?}");
}

/// What may stand in a cell: mostly what can be printed, and sometimes anything at all.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[^\\p{C}\\p{Zl}\\p{Zp}]{0,60}",
        2 => "[ <>&\"'={}%#@:;,.\\\\/\\[\\]-]{0,60}",
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_row_is_refused_or_its_message_passes_verification(
        name in value(),
        organization in value(),
        locale in prop_oneof!["", "[a-z]{2}(-[A-Z]{2})?", any::<String>()],
        note in value(),
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let mut config = config(&shipped(), true);
        config.partners.path = scratch.path().join("p.csv");
        let mut writer = csv::Writer::from_path(&config.partners.path).unwrap();
        writer.write_record(["email", "name", "organization", "locale", "note"]).unwrap();
        writer.write_record(["ada@a.example", &name, &organization, &locale, &note]).unwrap();
        drop(writer);
        let config = Arc::new(config);
        let templates = Arc::new(Templates::load(&config.templates).unwrap());
        let composer = Composer::new(&config, &templates);

        // A NUL makes it no text at all.
        if let Ok(partners) = Partners::read(&config, &templates.locales, true, scratch.path()) {
            let partners = Arc::new(partners);
            prop_assert_eq!(partners.good() + partners.bad(), 1);
            for partner in partners.iter() {
                let verified = composer.draft(&partner.unwrap(), ID, None).compose_and_verify(date());
                prop_assert!(verified.is_ok(), "{:#}", verified.unwrap_err());
            }
        }
    }

    #[test]
    fn no_value_breaks_a_message(
        name in "[^\\p{Cc}\\p{Zl}\\p{Zp}]{1,60}",
        organization in "[\"<>&'(){}%@,;:\\\\ a-zé漢א]{1,60}",
        full: bool,
        locale in prop::sample::select(vec!["ar", "de", "en", "es", "fr", "ja"]),
    ) {
        let (config, _, composer) = composing(full);
        let name = name.trim();
        let name = (!name.is_empty()).then_some(name);

        let partner = partner(&config, locale, name, Some(organization.trim()));
        let verified = composer.draft(&partner, ID, None).compose_and_verify(date());

        prop_assert!(verified.is_ok(), "{:#}", verified.unwrap_err());
        let (verified, _) = verified.unwrap();
        let again = composer.draft(&partner, ID, None).compose_verified(date(), verified.fingerprint());
        prop_assert_eq!(again.unwrap(), verified);
    }
}

#[test]
fn template_check_finds_faults_with_and_without_optional_values() {
    let check_templates = |folder: &tempfile::TempDir| {
        let config = Arc::new(config(folder.path(), false));
        let templates = Arc::new(Templates::load(&config.templates).unwrap());
        Composer::new(&config, &templates).check_templates(&Arc::from(["note".to_owned()]))
    };

    assert_eq!(
        check_templates(&templates("", "", "")),
        Vec::<String>::new()
    );
    let only_without = templates(
        "{% if partner.name %}x{% else %}{{ nobody }}{% endif %}",
        "",
        "",
    );
    let faults = check_templates(&only_without);
    assert!(
        faults.len() == 1 && faults[0].contains("with no optional values"),
        "{faults:?}"
    );
    let only_with = templates(
        "x{% if package.respond_by %}{{ nobody }}{% endif %}",
        "",
        "",
    );
    let faults = check_templates(&only_with);
    assert!(
        faults.len() == 1 && faults[0].contains("with all optional values"),
        "{faults:?}"
    );
    assert!(check_templates(&templates("{{ partner.extra.note }}x", "", "")).is_empty());
}

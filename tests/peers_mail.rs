//! The mail of every shipped locale as programs that this project did not write judge it: `SpamAssassin` with
//! Debian's rules, and three auto-linkers, which mail programs use for the text part.

use std::path::Path;
use std::process::Command;

use crate::support::LINK;
use crate::support::mail::{Mail, Values, example};
use crate::support::showcase::{self, Brand};
use crate::support::spamassassin;

/// The link of the example configuration.
const EXAMPLE_LINK: &str = "https://myaccess.microsoft.com/@contoso.onmicrosoft.com#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11";

/// Mail programs treat a message as spam from 5.0. One point cannot be avoided: `URI_TRY_3LD` counts a host such as
/// `myaccess.microsoft.com`.
const HIGHEST_SCORE: f64 = 1.1;

/// Invitations with the values of the example, none and all, and reminders, each in every locale, with their link.
fn mails() -> Vec<(&'static str, &'static str, Vec<Mail>)> {
    vec![
        ("example", EXAMPLE_LINK, example()),
        ("bare", LINK, Values::BARE.in_every_locale()),
        ("all values", LINK, showcase::invitations(Brand::Without)),
        ("reminder", LINK, showcase::reminders(Brand::Without)),
    ]
}

#[test]
#[ignore = "needs Debian's spamassassin; .ci/run calls it"]
fn spamassassin_scores_every_locale_at_most_1_1() {
    let mails = mails();
    let all = || {
        mails
            .iter()
            .flat_map(|(kind, _, mails)| mails.iter().map(move |it| (*kind, it)))
    };
    // SpamAssassin's own test pattern, to show that rules about texts are applied.
    let spam = b"Subject: x\r\n\r\nXJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n";

    let mut scores = spamassassin::score(all().map(|(_, it)| &it.bytes[..]).chain([&spam[..]]));

    let spam = scores.pop().unwrap();
    assert!(spam.total > 100.0, "{spam}");
    let too_high: Vec<_> = all()
        .zip(&scores)
        .filter(|(_, score)| score.total > HIGHEST_SCORE)
        .map(|((kind, mail), score)| format!("{kind}, {}: {score}", mail.locale))
        .collect();
    assert!(too_high.is_empty(), "{}", too_high.join("\n"));
    // A rule of Debian's package that hits each of them: the rules were loaded.
    let rule = |it: &spamassassin::Score| it.rules.iter().any(|(rule, _)| rule == "HTML_MESSAGE");
    assert!(scores.iter().all(rule));
}

/// What a linker of `tests/npm/links.mjs` found in one text.
#[derive(Debug, serde::Deserialize)]
struct Found {
    linker: String,
    links: Vec<Link>,
}

#[derive(Debug, serde::Deserialize)]
struct Link {
    text: String,
    target: String,
}

/// Runs the linkers on these texts.
fn linked(texts: &[&str]) -> Vec<Vec<Found>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("texts.json");
    std::fs::write(&file, serde_json::to_string(texts).unwrap()).unwrap();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/npm");
    let output = Command::new("node")
        .arg(scripts.join("links.mjs"))
        .arg(&file)
        .output()
        .expect("Node.js is installed");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    let found: Vec<Vec<Found>> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found.len(), texts.len());
    assert!(found.iter().all(|it| it.len() == 3), "{found:?}");
    found
}

/// What is wrong with the links found in a text: the package link must be one of them, once and unchanged, and
/// each of the others must be one of `others` or a part of one, as `minji.kim` in an address.
fn fault(found: &Found, link: &str, others: &[&str]) -> Option<String> {
    let (whole, rest): (Vec<_>, Vec<_>) = found.links.iter().partition(|it| it.text == link);
    let right = matches!(whole[..], [it] if it.target == link);
    let strange = |it: &Link| !others.iter().any(|other| other.contains(&it.text));
    let strange = rest.iter().find(|it| strange(it));
    (!right || strange.is_some()).then(|| format!("{}: {:?}", found.linker, found.links))
}

#[test]
#[ignore = "needs npm's programs; .ci/run calls it"]
fn auto_linkers_link_the_whole_url_of_every_text_part() {
    let mails = mails();
    let all: Vec<_> = mails
        .iter()
        .flat_map(|(kind, link, mails)| mails.iter().map(move |it| (*kind, *link, it)))
        .collect();
    let texts: Vec<_> = all.iter().map(|(.., it)| it.text.as_str()).collect();

    let found = linked(&texts);

    let mut faults = Vec::new();
    for ((kind, link, mail), found) in all.iter().zip(&found) {
        let addresses = mail.addresses();
        let mut others: Vec<_> = addresses.iter().map(String::as_str).collect();
        // The host is named as text, the contact has a telephone number, and objections are sent by mail.
        others.extend(["myaccess.microsoft.com", "+33 1 23 45 67 89"]);
        others.extend(mail.text.lines().filter(|it| it.starts_with("mailto:")));
        let fault = |it| fault(it, link, &others);
        let new = found.iter().filter_map(fault);
        faults.extend(new.map(|it| format!("{kind}, {}: {it}", mail.locale)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Counterpart of the test above: what an auto-linker makes of a link that is not alone is detected.
#[test]
#[ignore = "needs npm's programs; .ci/run calls it"]
fn auto_linkers_show_what_is_joined_to_the_link() {
    let table: [(String, &[&str]); 6] = [
        (format!("Hello,\n\n{LINK}\n\nRegards"), &[]),
        (
            format!("{LINK}x"),
            &["autolinker", "linkify-it", "linkifyjs"],
        ),
        (
            LINK.replace("#/", "#/\n"),
            &["autolinker", "linkify-it", "linkifyjs"],
        ),
        (
            format!("{LINK}\n{LINK}"),
            &["autolinker", "linkify-it", "linkifyjs"],
        ),
        (format!("{LINK}。次に"), &["linkifyjs"]),
        (
            format!("{LINK}\n\nこのリンクはmyaccess.microsoft.comで始まります。"),
            &["linkifyjs"],
        ),
    ];
    let texts: Vec<_> = table.iter().map(|(text, _)| text.as_str()).collect();

    let found = linked(&texts);

    for ((text, wrong), found) in table.iter().zip(&found) {
        let others = ["myaccess.microsoft.com"];
        let faulty = found.iter().filter(|it| fault(it, LINK, &others).is_some());
        let faulty: Vec<_> = faulty.map(|it| it.linker.as_str()).collect();
        assert_eq!(faulty, *wrong, "{text}");
    }
}

//! What `check` says about the look and the wording of the mails.

use std::collections::{BTreeMap, BTreeSet};

use super::job::Job;
use crate::color::{ENOUGH_FOR_TEXT, Rgb};
use crate::config::{LocalizedText, Package};
use crate::finding::Finding;
use crate::locale::Locale;
use crate::partners::{ListError, Partner};
use crate::templates::Templates;

/// More pixels than these, in either direction, are of no use in a mail.
const PIXELS: usize = 1_200;

/// Warnings about colour, logos, names and texts.
///
/// # Errors
/// If the list cannot be read.
pub fn findings(job: &Job) -> Result<Vec<Finding>, ListError> {
    let mut names = Names::default();
    let mut locales: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for partner in job.partners.iter() {
        let partner = partner?;
        names.add(&partner);
        let locale = job.composer.locale_for(&partner).to_string();
        let used = locales.entry(partner.package.key.clone()).or_default();
        used.insert(locale);
    }
    let path = job.partners.path().display();
    let mut found = Vec::new();
    found.extend(color(job));
    found.extend(logos(&job.templates));
    found.extend(unused(job));
    let names = names.describe();
    found.extend(names.map(|it| Finding::warning("partners", path, it)));
    for package in &job.config.packages {
        if let Some(used) = locales.get(&package.key) {
            let untranslated = untranslated(package, used);
            let at = format!("packages.{}", package.key);
            found.extend(untranslated.map(|it| Finding::warning("texts", at, it)));
        }
    }
    Ok(found)
}

/// White text needs enough contrast with the button.
fn color(job: &Job) -> Option<Finding> {
    let color = job.config.brand.color;
    let contrast = color.contrast(Rgb::WHITE);
    let message = format!(
        "white text on {color} has a contrast of {contrast:.1} : 1, and readable text needs {ENOUGH_FOR_TEXT} : 1 (WCAG 2.2, 1.4.3); choose a darker colour, such as {}",
        color.towards(Rgb::BLACK, ENOUGH_FOR_TEXT, Rgb::WHITE)
    );
    (contrast < ENOUGH_FOR_TEXT).then(|| Finding::warning("brand", "brand.color", message))
}

/// Some mail programs show an image in its own size.
fn logos(templates: &Templates) -> impl Iterator<Item = Finding> {
    let large = templates.images.iter().filter(|it| {
        let (width, height) = it.pixels;
        width.max(height) > PIXELS
    });
    large.map(|it| {
        let (width, height) = it.pixels;
        let message = format!(
            "the logo has {width} × {height} pixels, and some mail programs show it in this size; save it with at most {PIXELS} pixels in each direction"
        );
        Finding::warning("brand", it.key, message)
    })
}

/// Templates of an earlier version do not show what has been added since.
fn unused(job: &Job) -> Option<Finding> {
    let is_set = |variable: &str| {
        let keys = &job.config.keys;
        match variable.split_once('.') {
            Some(("package", key)) => keys.keys().any(|it| {
                let package = it.strip_prefix("packages.");
                package.is_some_and(|it| it.split('.').nth(1) == Some(key))
            }),
            _ => keys.keys().any(|it| it.starts_with(variable)),
        }
    };
    let unused = job.templates.unused.iter().filter(|it| is_set(it));
    let unused: Vec<String> = unused.map(|it| format!("`{it}`")).collect();
    let message = format!(
        "the configuration sets {}, but no template uses {}; add it to your templates, as docs/templates.md shows",
        unused.join(", "),
        if unused.len() == 1 { "it" } else { "them" }
    );
    let folder = job.config.templates.directory.display();
    (!unused.is_empty()).then(|| Finding::warning("templates", folder, message))
}

/// Which texts of a package are not in all of these languages.
fn untranslated(package: &Package, locales: &BTreeSet<String>) -> Option<String> {
    if locales.len() < 2 {
        return None;
    }
    let texts = [
        ("name", Some(&package.name)),
        ("description", package.description.as_ref()),
        ("justification", package.justification.as_ref()),
        ("approval_time", package.approval_time.as_ref()),
        ("access_duration", package.access_duration.as_ref()),
    ];
    let lacking = texts.into_iter().filter_map(|(key, text)| {
        let lacks = match text? {
            LocalizedText::Same(_) => "is one text for all".to_owned(),
            text @ LocalizedText::ByLocale(_) => {
                let used = locales.iter().filter_map(|it| Locale::parse(it).ok());
                let without = used.filter(|it| !text.has(it));
                let without: Vec<_> = without.map(|it| format!("`{it}`")).collect();
                if without.is_empty() {
                    return None;
                }
                format!("has none for {}", without.join(", "))
            }
        };
        Some(format!("`{key}` {lacks}"))
    });
    let lacking: Vec<String> = lacking.collect();
    let (key, _) = lacking.first()?.trim_start_matches('`').split_once('`')?;
    let used: Vec<_> = locales.iter().map(|it| format!("`{it}`")).collect();
    Some(format!(
        "mail goes out in {}, but {}; write a text for each of them, as in `{key}.{} = \"…\"`, also for a name that is the same in all",
        used.join(", "),
        lacking.join(", "),
        locales.last()?
    ))
}

/// Counts the names that begin with the family name and a comma.
#[derive(Default)]
struct Names {
    all: u64,
    reversed: u64,
    /// The first one, with its line.
    example: Option<(u64, String)>,
}

impl Names {
    fn add(&mut self, partner: &Partner) {
        let Some(name) = &partner.name else {
            return;
        };
        self.all += 1;
        if is_reversed(name) {
            self.reversed += 1;
            self.example
                .get_or_insert_with(|| (partner.line, name.clone()));
        }
    }

    /// A warning, if they are more than a fifth.
    fn describe(&self) -> Option<String> {
        let (line, name) = self
            .example
            .as_ref()
            .filter(|_| self.reversed * 5 > self.all)?;
        Some(format!(
            "{} of {} names read \"Last, First\", such as \"{}\" on line {line}, and the mails greet with them as they are; write \"First Last\", or join two columns: `name = \"{{First name}} {{Last name}}\"`",
            self.reversed,
            self.all,
            name.escape_debug()
        ))
    }
}

/// `Lovelace, Ada`, but not `Ada Lovelace, PhD`.
fn is_reversed(name: &str) -> bool {
    const BEHIND_A_NAME: &str = "jr sr ii iii iv phd md dds esq cpa mba msc bsc ma ba dr prof mr mrs ms inc ltd llc plc gmbh ag kg sa sas srl spa bv nv ab oy";
    let Some((last, first)) = name.split_once(',') else {
        return false;
    };
    let is_name = |it: &str| {
        let words = it.split_whitespace().count();
        let letter = |it: char| it.is_alphabetic() || " '’.-".contains(it);
        (1..=3).contains(&words) && it.chars().all(letter)
    };
    let title: String = first.chars().filter(|it| it.is_alphabetic()).collect();
    let title = title.to_lowercase();
    is_name(last) && is_name(first) && !BEHIND_A_NAME.split(' ').any(|it| it == title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_begins_with_the_family_name_is_recognised() {
        for (name, expected) in [
            ("Lovelace, Ada", true),
            ("LOVELACE,Ada", true),
            ("O’Brien, Zoë Marie", true),
            ("de la Cruz, Juan", true),
            ("Ada Lovelace", false),
            ("Ada Lovelace, PhD", false),
            ("Ada Lovelace, Ph.D.", false),
            ("Martin King, Jr.", false),
            ("Contoso, Inc.", false),
            ("Purchasing, building 7", false),
            ("Ada, Bob, Eva", false),
            ("Lovelace,", false),
            (", Ada", false),
        ] {
            assert_eq!(is_reversed(name), expected, "{name}");
        }
    }

    #[test]
    fn texts_that_not_all_mails_have_in_their_language_are_named_once() {
        let texts = |tags: &[&str]| {
            let text = |tag: &&str| (Locale::parse(tag).unwrap(), "x".to_owned());
            LocalizedText::ByLocale(tags.iter().map(text).collect())
        };
        let package = |name, description| {
            Package {
            key: "plans".into(),
            link: crate::link::AccessPackageLink::parse(
                "https://myaccess.microsoft.com/@fabrikam.onmicrosoft.com#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11",
                &[],
            )
            .unwrap()
            .0,
            name,
            description,
            justification: None,
            respond_by: None,
            sharing: true,
            approval_time: None,
            access_duration: None,
            inviter: None,
        }
        };
        let used = |tags: &[&str]| tags.iter().map(|it| (*it).to_owned()).collect();
        let same = || LocalizedText::Same("Plans".into());

        let one = package(same(), Some(texts(&["en", "fr"])));
        assert_eq!(untranslated(&one, &used(&["fr"])), None);
        assert_eq!(
            untranslated(&one, &used(&["de", "fr"])).unwrap(),
            "mail goes out in `de`, `fr`, but `name` is one text for all, `description` has none for `de`; write a text for each of them, as in `name.fr = \"…\"`, also for a name that is the same in all"
        );
        let all = package(texts(&["en", "fr"]), Some(texts(&["fr", "en"])));
        assert_eq!(untranslated(&all, &used(&["en", "fr"])), None);
    }
}

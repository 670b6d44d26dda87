//! NAMEs of tables `[packages.NAME]` for access packages that are not configured yet.

use std::collections::{BTreeMap, BTreeSet};

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::link::PackageId;

/// The longest NAME that is made of a display name, in bytes.
const LONGEST: usize = 40;

/// A NAME for each access package, in the same order: its display name in lower-case ASCII letters, digits and
/// hyphens, which TOML needs no quotes for. A display name without such letters gives `package-` and the first
/// digits of the id. Packages with equal names are numbered.
pub fn package_names<'a>(packages: impl IntoIterator<Item = (&'a str, PackageId)>) -> Vec<String> {
    let mut used = BTreeSet::new();
    // The next number of each base, so that many equal names take no longer than others.
    let mut next: BTreeMap<String, u32> = BTreeMap::new();
    let name = |(display_name, id): (&str, PackageId)| {
        let slug = slug(display_name);
        let base = if slug.is_empty() {
            format!("package-{}", &id.to_string()[..8])
        } else {
            slug
        };
        let number = next.entry(base.clone()).or_insert(1);
        loop {
            let name = match number {
                1 => base.clone(),
                _ => format!("{base}-{number}"),
            };
            *number += 1;
            if used.insert(name.clone()) {
                return name;
            }
        }
    };
    packages.into_iter().map(name).collect()
}

/// The letters of a text without case and accents, as people compare names: `Łódź` is `lodz`, `Straße` is
/// `strasse`.
#[must_use]
pub fn plain_letters(text: &str) -> String {
    let bare = text.nfkd().filter(|it| !is_combining_mark(*it));
    // Upper case first: `ß` becomes `SS`, and both forms of sigma become one.
    let lower = bare
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase);
    let mut plain = String::with_capacity(text.len());
    for letter in lower {
        match letter {
            'ø' => plain.push('o'),
            'ł' => plain.push('l'),
            'đ' | 'ð' => plain.push('d'),
            'þ' => plain.push_str("th"),
            'æ' => plain.push_str("ae"),
            'œ' => plain.push_str("oe"),
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => {}
            // Lower case of `İ`.
            it if is_combining_mark(it) => {}
            it => plain.push(it),
        }
    }
    plain
}

/// Words of ASCII letters and digits, joined by hyphens.
fn slug(display_name: &str) -> String {
    let mut slug = String::new();
    let plain = plain_letters(display_name);
    for word in plain.split(|it: char| !it.is_ascii_alphanumeric()) {
        let hyphen = usize::from(!slug.is_empty());
        if word.is_empty() {
            continue;
        }
        if slug.len() + hyphen + word.len() > LONGEST {
            if slug.is_empty() {
                slug.push_str(&word[..LONGEST]);
            }
            break;
        }
        if hyphen > 0 {
            slug.push('-');
        }
        slug.push_str(word);
    }
    slug
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> PackageId {
        PackageId::parse("8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11").unwrap()
    }

    #[test]
    fn a_display_name_becomes_a_key_that_toml_needs_no_quotes_for() {
        for (display_name, name) in [
            ("Harbour plans", "harbour-plans"),
            ("  Plans & Documents (2027)  ", "plans-documents-2027"),
            ("Café François", "cafe-francois"),
            ("Straße nach Łódź", "strasse-nach-lodz"),
            ("Ærø İstanbul ΣΑΣ", "aero-istanbul"),
            ("Ｈａｒｂｏｕｒ", "harbour"),
            ("港湾計画", "package-8e1f8f5a"),
            ("\u{202e}\u{1b}[31m", "31m"),
            ("", "package-8e1f8f5a"),
            ("packages.\"x\" = 1\n[smtp]", "packages-x-1-smtp"),
            (
                "a very long name of a package that goes on and on",
                "a-very-long-name-of-a-package-that-goes",
            ),
        ] {
            assert_eq!(
                package_names([(display_name, id())]),
                [name],
                "{display_name:?}"
            );
        }
        let endless = "x".repeat(500);
        assert_eq!(package_names([(endless.as_str(), id())])[0].len(), LONGEST);
    }

    #[test]
    fn equal_names_are_numbered() {
        let names = ["Plans", "plans", "Plans 2", "PLANS", "計画", "計画"];
        assert_eq!(
            package_names(names.map(|it| (it, id()))),
            [
                "plans",
                "plans-2",
                "plans-2-2",
                "plans-3",
                "package-8e1f8f5a",
                "package-8e1f8f5a-2"
            ]
        );
    }

    #[test]
    fn names_are_compared_without_case_and_accents() {
        for (one, other) in [
            ("École", "ECOLE"),
            ("e\u{301}cole", "école"),
            ("İstanbul", "istanbul"),
            ("Großmarkt", "GROSSMARKT"),
            ("ὈΔΥΣΣΕΎΣ", "οδυσσευς"),
            ("ﬁnance", "Finance"),
            ("Har\u{200b}bour", "harbour"),
        ] {
            assert_eq!(plain_letters(one), plain_letters(other), "{one}");
        }
        assert_ne!(plain_letters("plan"), plain_letters("plans"));
    }
}

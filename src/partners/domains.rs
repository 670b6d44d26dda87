//! Domains that deserve a second look before a partner is let in under them.

use unicode_security::{RestrictionLevel, RestrictionLevelDetection, confusable_detection};

/// Services that give a mailbox to anybody, by their whole domain.
const CONSUMER: [&str; 44] = [
    "163.com",
    "126.com",
    "aol.com",
    "bluewin.ch",
    "btinternet.com",
    "daum.net",
    "fastmail.com",
    "free.fr",
    "freenet.de",
    "gmail.com",
    "googlemail.com",
    "hanmail.net",
    "hey.com",
    "home.nl",
    "icloud.com",
    "laposte.net",
    "libero.it",
    "mac.com",
    "mail.com",
    "mail.ru",
    "me.com",
    "msn.com",
    "naver.com",
    "neuf.fr",
    "o2.pl",
    "orange.fr",
    "outlook.com",
    "pm.me",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "rediffmail.com",
    "rocketmail.com",
    "seznam.cz",
    "sfr.fr",
    "sina.com",
    "t-online.de",
    "telenet.be",
    "tutanota.com",
    "wanadoo.fr",
    "web.de",
    "wp.pl",
    "yandex.ru",
    "ymail.com",
];

/// Services that do so under many endings, such as `yahoo.co.jp`.
const CONSUMER_FAMILIES: [&str; 5] = ["gmx", "hotmail", "live", "outlook", "yahoo"];

/// Whether mailboxes of this domain (in lower case) are given to anybody.
pub fn is_consumer(domain: &str) -> bool {
    let family = || {
        let (first, ending) = domain.split_once('.')?;
        // `live.contoso.com` is Contoso's.
        let public = match ending.split_once('.') {
            None => true,
            Some((second, country)) => matches!(second, "co" | "com") && country.len() == 2,
        };
        Some(public && CONSUMER_FAMILIES.contains(&first))
    };
    CONSUMER.contains(&domain) || family().unwrap_or(false)
}

/// Why the domain (as A-labels) could be taken for another one; `None` where it could not.
///
/// The measure is UTS #39: a label that is not "highly restrictive" (§5.2), or whose letters
/// all pass for ASCII ones (§4), unless its whole domain is in that script.
pub fn look_alike(domain: &str) -> Option<String> {
    if !domain.split('.').any(|it| it.starts_with("xn--")) {
        return None;
    }
    let (domain, _) = idna::domain_to_unicode(domain);
    let foreign_ending = domain.rsplit('.').next().is_some_and(|it| !it.is_ascii());
    domain.split('.').find_map(|label| {
        // With a Latin letter before it, a label of Latin letters stays in one script.
        let latin = format!("a{label}").detect_restriction_level();
        if latin <= RestrictionLevel::SingleScript {
            return None;
        }
        let reading = reading(label);
        if reading.is_ascii() && !foreign_ending {
            return Some(format!(
                "`{label}` passes for `{reading}`, but {}",
                strange(label)
            ));
        }
        let mixed = label.detect_restriction_level() > RestrictionLevel::HighlyRestrictive;
        mixed.then(|| {
            format!(
                "`{label}` mixes letters of several scripts: {}",
                strange(label)
            )
        })
    })
}

/// The label as a quick reader sees it: what is not ASCII replaced by what it looks like.
fn reading(label: &str) -> String {
    let mut reading = String::new();
    for it in label.chars() {
        if it.is_ascii() {
            reading.push(it);
        } else {
            reading.extend(confusable_detection::skeleton(it.encode_utf8(&mut [0; 4])));
        }
    }
    reading
}

/// `has "а" (U+0430)`
fn strange(label: &str) -> String {
    let mut seen: Vec<char> = Vec::new();
    for it in label.chars().filter(|it| !it.is_ascii()) {
        if !seen.contains(&it) && seen.len() < 4 {
            seen.push(it);
        }
    }
    let seen: Vec<_> = seen
        .into_iter()
        .map(|it| format!("\"{it}\" (U+{:04X})", u32::from(it)))
        .collect();
    format!("it has {}", seen.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;

    fn judged(domain: &str) -> Option<String> {
        let address = Address::parse(&format!("ada@{domain}")).unwrap();
        look_alike(address.domain())
    }

    #[test]
    fn a_domain_that_passes_for_another_is_told_with_the_letters_that_do_it() {
        // Cyrillic а, р, ӏ, е; the first label is all Cyrillic, the second is mixed.
        let whole = judged("аррӏе.com").unwrap();
        assert!(
            whole.contains("passes for `apple`, but it has \"а\" (U+0430)"),
            "{whole}"
        );
        let mixed = judged("mail.cоntoso.example").unwrap();
        assert!(
            mixed.contains("passes for `contoso`, but it has \"о\" (U+043E)"),
            "{mixed}"
        );
        let greek = judged("fαbrikam.example").unwrap();
        assert!(greek.contains("(U+03B1)"), "{greek}");
        let beside = judged("жcontoso.example").unwrap();
        assert!(
            beside.contains("mixes letters of several scripts: it has \"ж\" (U+0436)"),
            "{beside}"
        );
    }

    #[test]
    fn domains_of_one_language_are_fine() {
        for domain in [
            "fabrikam.example",
            "bücher.example",
            "cœur.example",
            "søren-ærø.example",
            "straße.example",
            "почта.example",
            "оса.рф",
            "東京カメラ.example",
            "ab東京.example",
            "서울abc.example",
            "ميناء.example",
            "παράδειγμα.example",
        ] {
            assert_eq!(judged(domain), None, "{domain}");
        }
    }

    #[test]
    fn consumer_services_are_known_and_companies_are_not_among_them() {
        for domain in [
            "gmail.com",
            "hotmail.fr",
            "live.com",
            "yahoo.co.jp",
            "gmx.net",
            "yahoo.com.br",
            "web.de",
        ] {
            assert!(is_consumer(domain), "{domain}");
        }
        for domain in [
            "contoso.com",
            "live.contoso.com",
            "mygmail.com",
            "gmail.com.evil.example",
            "outlook.contoso.co.uk",
        ] {
            assert!(!is_consumer(domain), "{domain}");
        }
    }
}

//! Domains that an operator should check: consumer mail services and look-alikes.

use unicode_security::{RestrictionLevel, RestrictionLevelDetection, confusable_detection};

/// Mail services that are open to everyone, one domain a line.
const CONSUMER: &str = include_str!("consumer_domains.txt");

/// Those with many top-level domains, such as `yahoo.co.jp`.
const CONSUMER_FAMILIES: [&str; 5] = ["gmx", "hotmail", "live", "outlook", "yahoo"];

/// Whether a domain (in lower case) belongs to a mail service that is open to everyone.
#[must_use]
pub fn is_consumer(domain: &str) -> bool {
    let family = || {
        let (first, ending) = domain.split_once('.')?;
        // Not `live.contoso.com`, which is Contoso's.
        let public = match ending.split_once('.') {
            None => true,
            Some((second, country)) => matches!(second, "co" | "com") && country.len() == 2,
        };
        Some(public && CONSUMER_FAMILIES.contains(&first))
    };
    CONSUMER.lines().any(|it| it == domain) || family().unwrap_or(false)
}

/// Why a domain (as A-labels) could be taken for another one; `None` if it could not.
///
/// The criterion is UTS #39: a label that is not "highly restrictive" (§5.2), or whose letters
/// all look like ASCII ones (§4), unless the whole domain is in that script.
pub fn look_alike(domain: &str) -> Option<String> {
    if !domain.split('.').any(|it| it.starts_with("xn--")) {
        return None;
    }
    let (domain, _) = idna::domain_to_unicode(domain);
    let foreign_ending = domain.rsplit('.').next().is_some_and(|it| !it.is_ascii());
    domain.split('.').find_map(|label| {
        // With a Latin letter before it, only a label of Latin letters stays in one script.
        let with_latin = format!("a{label}").detect_restriction_level();
        if with_latin <= RestrictionLevel::SingleScript {
            return None;
        }
        let reading = reading(label);
        if reading.is_ascii() && !foreign_ending {
            return Some(format!(
                "`{label}` looks like `{reading}`, but {}",
                foreign_letters(label)
            ));
        }
        let mixed = label.detect_restriction_level() > RestrictionLevel::HighlyRestrictive;
        mixed.then(|| {
            format!(
                "`{label}` mixes letters of several scripts: {}",
                foreign_letters(label)
            )
        })
    })
}

/// The label with each letter that is not ASCII replaced by what it looks like.
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
fn foreign_letters(label: &str) -> String {
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

    fn checked(domain: &str) -> Option<String> {
        let address = Address::parse(&format!("ada@{domain}")).unwrap();
        look_alike(address.domain())
    }

    #[test]
    fn a_look_alike_is_reported_with_its_foreign_letters() {
        // Cyrillic а, р, ӏ, е; the first label is all Cyrillic, the second is mixed.
        let whole = checked("аррӏе.com").unwrap();
        assert!(
            whole.contains("looks like `apple`, but it has \"а\" (U+0430)"),
            "{whole}"
        );
        let mixed = checked("mail.cоntoso.example").unwrap();
        assert!(
            mixed.contains("looks like `contoso`, but it has \"о\" (U+043E)"),
            "{mixed}"
        );
        let greek = checked("fαbrikam.example").unwrap();
        assert!(greek.contains("(U+03B1)"), "{greek}");
        let beside = checked("жcontoso.example").unwrap();
        assert!(
            beside.contains("mixes letters of several scripts: it has \"ж\" (U+0436)"),
            "{beside}"
        );
    }

    #[test]
    fn domains_in_one_script_are_accepted() {
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
            assert_eq!(checked(domain), None, "{domain}");
        }
    }

    #[test]
    fn consumer_services_are_told_from_companies() {
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

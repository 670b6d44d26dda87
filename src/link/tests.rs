#![expect(clippy::too_many_lines, reason = "a table is read line by line")]

use proptest::prelude::*;

use super::*;

const ID: &str = "8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11";
const GOOD: &str = "https://myaccess.microsoft.com/@fabrikam.onmicrosoft.com#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11";

fn parse(text: &str) -> Result<(AccessPackageLink, Vec<LinkWarning>), LinkError> {
    AccessPackageLink::parse(text, &[])
}

#[test]
fn valid_links_are_accepted_with_their_warnings() {
    let government = "https://myaccess.microsoft.us/@army.onmicrosoft.us#/access-packages/8E1F8F5A-2F0B-4F0E-9A67-3C6C1D9C0B11";
    let table: [(&str, &[LinkWarning]); 7] = [
        (GOOD, &[]),
        (
            "https://myaccess.microsoft.com/@SAP.onmicrosoft.com#/access-packages/8E1F8F5A-2f0b-4f0e-9a67-3c6c1d9c0b11",
            &[],
        ),
        (government, &[]),
        (
            "https://myaccess.microsoft.us/@hexsi.onmicrosoft.com#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11",
            &[LinkWarning::GovernmentHostCommercialHint],
        ),
        (
            "https://myaccess.microsoft.com/%40fabrikam.com#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11",
            &[LinkWarning::EscapedAt],
        ),
        (
            "https://myaccess.microsoft.com/@3c6c1d9c-2f0b-4f0e-9a67-8e1f8f5a0b11#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11",
            &[LinkWarning::GuidHint],
        ),
        (
            "https://myaccess.microsoft.com/@contoso.onmicrosoft.com#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11",
            &[LinkWarning::Documentation],
        ),
    ];

    for (text, expected) in table {
        let (link, warnings) = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(link.as_str(), text);
        assert_eq!(warnings, expected, "{text}");
        assert_eq!(link.package_id().to_string(), ID);
    }
}

#[test]
fn each_kind_of_broken_link_has_its_own_error() {
    let at = "https://myaccess.microsoft.com/@fabrikam.com";
    let stray = |position, character, name| LinkError::StrayCharacter {
        position,
        character,
        name,
    };
    let table = [
        (String::new(), LinkError::Empty),
        (format!(" {GOOD}"), stray(1, ' ', "a blank")),
        (
            format!("{GOOD}\n"),
            stray(GOOD.len() + 1, '\n', "a line break"),
        ),
        (
            format!("{GOOD}\u{200b}"),
            stray(
                GOOD.len() + 1,
                '\u{200b}',
                "an invisible zero-width character",
            ),
        ),
        (
            GOOD.replace('#', "＃"),
            stray(GOOD.find('#').unwrap() + 1, '＃', "a full-width character"),
        ),
        (
            GOOD.replacen("micro", "mіcro", 1),
            stray(19, 'і', "a letter that only looks like a Latin one"),
        ),
        (
            GOOD.replace("-2f0b", "–2f0b"),
            stray(
                GOOD.find("-2f0b").unwrap() + 1,
                '–',
                "a dash in place of a hyphen",
            ),
        ),
        (
            format!("{at}#/access-packages/8e1f8f5a…"),
            stray(
                71,
                '…',
                "an ellipsis, where the link was cut off for display",
            ),
        ),
        (format!("{GOOD}."), LinkError::TrailingPunctuation('.')),
        (format!("{GOOD})"), LinkError::TrailingPunctuation(')')),
        (format!("{GOOD}>"), LinkError::TrailingPunctuation('>')),
        (
            format!("https://myaccess.microsoft.com/@<directory_hint>#/access-packages/{ID}"),
            LinkError::Placeholder("<directory_hint>".into()),
        ),
        (
            format!("{at}#/access-packages/{{id}}"),
            LinkError::Placeholder("{id}".into()),
        ),
        (
            "myaccess.microsoft.com/@fabrikam.com".into(),
            LinkError::NotAUrl,
        ),
        (
            "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fmyaccess".into(),
            LinkError::Wrapped("Microsoft Safe Links"),
        ),
        (
            "https://urldefense.com/v3/__https://myaccess.microsoft.com/__;Iw!!x$".into(),
            LinkError::Wrapped("Proofpoint URL Defense"),
        ),
        (
            GOOD.replace("https", "http"),
            LinkError::Scheme("http".into()),
        ),
        (
            format!("https://myaccess.microsoft.com@fabrikam.com#/access-packages/{ID}"),
            LinkError::UserInfo("fabrikam.com".into()),
        ),
        (
            GOOD.replace(".com/", ".com.evil.example/"),
            LinkError::Host("myaccess.microsoft.com.evil.example".into()),
        ),
        (
            GOOD.replace("myaccess", "myacess"),
            LinkError::Host("myacess.microsoft.com".into()),
        ),
        (
            GOOD.replace("microsoft.com/", "microsoft.com:443/"),
            LinkError::Port,
        ),
        (
            GOOD.replace("microsoft.com/", "microsoft.com:8443/"),
            LinkError::Port,
        ),
        (GOOD.replace('#', "%23"), LinkError::EncodedHash),
        (
            format!("https://myaccess.microsoft.com/#/access-packages/{ID}"),
            LinkError::HintMissing,
        ),
        (
            format!("https://myaccess.microsoft.com#/access-packages/{ID}"),
            LinkError::HintMissing,
        ),
        (
            format!("https://myaccess.microsoft.com/@#/access-packages/{ID}"),
            LinkError::HintMissing,
        ),
        (
            format!("https://myaccess.microsoft.com/fabrikam.com#/access-packages/{ID}"),
            LinkError::Hint("/fabrikam.com".into()),
        ),
        (
            format!("{at}/#/access-packages/{ID}"),
            LinkError::Hint("/@fabrikam.com/".into()),
        ),
        (
            format!("https://myaccess.microsoft.com/@fabrikam#/access-packages/{ID}"),
            LinkError::Hint("/@fabrikam".into()),
        ),
        (
            format!("{at}?tenantId=1#/access-packages/{ID}"),
            LinkError::Query,
        ),
        (format!("{at}?#/access-packages/{ID}"), LinkError::Query),
        (at.into(), LinkError::FragmentMissing),
        (format!("{at}#"), LinkError::FragmentMissing),
        (
            format!("{at}#/access-packages/active/{ID}"),
            LinkError::ActiveTab,
        ),
        (
            format!("{at}#/access-packages/active"),
            LinkError::ActiveTab,
        ),
        (
            format!("{at}#/request-history"),
            LinkError::OtherPage("/request-history".into()),
        ),
        (format!("{at}#/"), LinkError::OtherPage("/".into())),
        (format!("{at}#/access-packages"), LinkError::IdMissing),
        (format!("{at}#/access-packages/"), LinkError::IdMissing),
        (
            format!("{at}#/access-packages/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b1"),
            LinkError::Id("8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b1".into()),
        ),
        (
            format!("{at}#/access-packages/8e1f8f5a2f0b4f0e9a673c6c1d9c0b11"),
            LinkError::Id("8e1f8f5a2f0b4f0e9a673c6c1d9c0b11".into()),
        ),
        (
            format!("{at}#/access-packages/{}", "x".repeat(40)),
            LinkError::Id("x".repeat(40)),
        ),
        (
            format!("{GOOD}/details"),
            LinkError::AfterId("/details".into()),
        ),
        (format!("{GOOD}?x=1"), LinkError::AfterId("?x=1".into())),
        (format!("{GOOD}0"), LinkError::AfterId("0".into())),
        (
            format!("{at}#/access-packages/00000000-0000-0000-0000-000000000000"),
            LinkError::NilId,
        ),
        (GOOD.replace("myaccess", "MyAccess"), LinkError::NotVerbatim),
        (
            GOOD.replace("https://", "https:///"),
            LinkError::NotVerbatim,
        ),
    ];

    for (text, expected) in table {
        assert_eq!(parse(&text).map(|_| ()), Err(expected), "{text}");
    }
}

#[test]
fn every_rewriting_scanner_is_recognised_by_its_domain() {
    let table = [
        (
            "eur01.safelinks.protection.outlook.com",
            "Microsoft Safe Links",
        ),
        (
            "gcc02.safelinks.protection.office365.us",
            "Microsoft Safe Links",
        ),
        ("urldefense.com", "Proofpoint URL Defense"),
        ("urldefense.proofpoint.com", "Proofpoint URL Defense"),
        ("urldefense.us", "Proofpoint URL Defense"),
        ("linkprotect.cudasvc.com", "Barracuda Link Protection"),
        ("protect-eu.mimecast.com", "Mimecast URL Protect"),
        ("url.uk.m.mimecastprotect.com", "Mimecast URL Protect"),
    ];
    for (host, name) in table {
        let link = format!("https://{host}/?url=x");
        assert_eq!(
            parse(&link).map(|_| ()),
            Err(LinkError::Wrapped(name)),
            "{host}"
        );
    }
    for host in ["noturldefense.com", "mimecast.com.example"] {
        let link = format!("https://{host}/?url=x");
        assert_eq!(parse(&link).map(|_| ()), Err(LinkError::Host(host.into())));
    }
}

#[test]
fn each_error_has_its_place_in_the_link() {
    let at = "https://myaccess.microsoft.com/@fabrikam.com";
    let portal = "https://myaccess.microsoft.com";
    let table = [
        (
            format!("{portal}@fabrikam.com#{ROUTE}{ID}"),
            "myaccess.microsoft.com@fabrikam.com",
        ),
        (GOOD.replace('#', "%23"), "%23"),
        (portal.to_owned(), "m"),
        (format!("{portal}/"), "/"),
        (format!("{portal}?x#{ROUTE}{ID}"), "?"),
        (format!("{at}?x=1#{ROUTE}{ID}"), "?x=1"),
        (format!("{at}?x=1"), "?x=1"),
        (format!("{at}#{ROUTE}active/{ID}"), "active"),
        (format!("{at}#{ROUTE}{{id}}"), "{id}"),
        (format!("{GOOD}/details"), "/details"),
        (GOOD.replace("-2f0b", "\u{2013}2f0b"), "\u{2013}"),
        (format!("{at}#{ROUTE}"), "/"),
        (
            at.replace("@fabrikam.com", "@fabrikam") + "#" + ROUTE,
            "/@fabrikam",
        ),
    ];
    for (text, part) in table {
        let error = parse(&text).unwrap_err();
        let place = error.span(&text).unwrap();
        assert_eq!(&text[place], part, "{text}: {error}");
    }
    assert_eq!(LinkError::NotVerbatim.span(GOOD), None);
}

#[test]
fn other_hosts_must_be_configured() {
    let text = GOOD.replace("microsoft.com/", "microsoft.cn/");

    assert_eq!(
        parse(&text).map(|_| ()),
        Err(LinkError::Host("myaccess.microsoft.cn".into()))
    );
    assert!(AccessPackageLink::parse(&text, &["myaccess.microsoft.cn".into()]).is_ok());
}

proptest! {
    #[test]
    fn accepted_link_is_unchanged(
        host in "myaccess\\.microsoft\\.(com|us)",
        hint in "[a-zA-Z0-9]{1,12}(\\.[a-zA-Z0-9]{1,12}){1,3}",
        id in "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
        tail in prop_oneof![Just(String::new()), "\\PC{0,3}"],
    ) {
        let text = format!("https://{host}/@{hint}#/access-packages/{id}{tail}");

        match parse(&text) {
            Ok((link, _)) => {
                prop_assert_eq!(link.as_str(), &text);
                prop_assert!(tail.is_empty());
            }
            Err(error) => {
                prop_assert!(!tail.is_empty() || error == LinkError::NilId, "{}", error);
                let place = error.span(&text).unwrap_or(0..0);
                prop_assert!(text.get(place).is_some(), "{}", error);
            }
        }
    }

    #[test]
    fn any_text_is_parsed_without_panic(text in "\\PC{0,200}") {
        if let Err(error) = parse(&text) {
            let place = error.span(&text).unwrap_or(0..0);
            prop_assert!(text.get(place).is_some(), "{}", error);
        }
    }
}

//! Values of the core that other modules rely on: names, transitions, and the positions of errors in a link.

use std::collections::BTreeSet;

use access_invite::address::{Address, AddressError};
use access_invite::invitation::{Cause, Decision, Identity, RetrySchedule, State, next};
use access_invite::link::{AccessPackageLink, LinkError};
use access_invite::outcome::{Outcome, Phase};
use jiff::{SignedDuration, Timestamp};

use crate::support::LINK;

const ID: &str = "8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11";

#[test]
fn phases_and_outcomes_have_their_names() {
    assert_eq!(Phase::StartTls.to_string(), "starttls");
    assert_eq!(Phase::Dot.as_str(), "dot");
    assert_eq!(Outcome::Deferred.to_string(), "deferred");
    assert_eq!(State::Armed.to_string(), "armed");
    assert_eq!(Cause::Arm.as_str(), "arm");
}

#[test]
fn each_cause_has_its_transitions() {
    use State::{
        Abandoned, Accepted, Armed, Bounced, Deferred, Expired, Pending, Rejected, Suppressed,
        Unknown,
    };
    let rejected = Cause::Outcome(Outcome::Rejected);
    let resend = Cause::Person(Decision::Resend);
    let table: [(Cause, &[State]); 7] = [
        (Cause::Arm, &[Pending, Deferred]),
        (rejected, &[Armed, Pending, Deferred, Suppressed]),
        (
            Cause::Outcome(Outcome::Deferred),
            &[Armed, Pending, Deferred, Suppressed],
        ),
        (Cause::GiveUp, &[Armed, Pending, Deferred, Suppressed]),
        (Cause::ResendMismatch, &[Pending, Deferred, Suppressed]),
        (
            Cause::Person(Decision::Accepted),
            &[Unknown, Pending, Deferred],
        ),
        (
            resend,
            &[Unknown, Rejected, Bounced, Expired, Abandoned, Accepted],
        ),
    ];
    for (cause, from) in table {
        for &state in State::ALL {
            assert_eq!(
                next(Some(state), cause).is_ok(),
                from.contains(&state),
                "{state} by {cause:?}"
            );
        }
    }
}

#[test]
fn retry_pauses_are_spread() {
    let schedule = RetrySchedule {
        first_after: SignedDuration::from_mins(30),
        max_after: SignedDuration::from_hours(8),
        give_up_after: SignedDuration::from_hours(120),
    };
    let due = |id: u32| schedule.due_again(Timestamp::UNIX_EPOCH, 1, &id.to_string());
    let seconds: BTreeSet<_> = (0..200).map(|id| due(id).as_second()).collect();
    assert!(seconds.len() > 50, "{seconds:?}");
}

#[test]
fn an_address_has_parts_and_an_ascii_length() {
    let address = Address::parse("Ada@Bücher.Example").unwrap();
    assert_eq!(address.local_part(), "Ada");
    assert_eq!(address.domain(), "xn--bcher-kva.example");
    assert_eq!(address.to_string(), "Ada@Bücher.Example");

    let local = "a".repeat(64);
    let long = format!("{0}.{0}", "d".repeat(60));
    let mut ended = BTreeSet::new();
    for length in 30..60 {
        let text = format!("{local}@{long}.ü{}.example", "e".repeat(length));
        match Address::parse(&text) {
            Ok(address) => {
                let wire = address.wire().len();
                assert!(wire <= 254, "{wire}");
                ended.insert(wire);
            }
            Err(error) => assert!(matches!(
                error,
                AddressError::TooLong | AddressError::Domain(_)
            )),
        }
    }
    assert_eq!(ended.last(), Some(&254));
}

#[test]
fn a_link_gives_its_parts() {
    let (link, _) = AccessPackageLink::parse(LINK, &[]).unwrap();
    assert_eq!(link.directory_hint(), "fabrikam.onmicrosoft.com");
    assert_eq!(link.to_string(), LINK);
    let bytes = link.package_id().as_bytes();
    assert_eq!((bytes[0], bytes[15]), (0x8e, 0x11));
    let short = |address| {
        let address = Address::parse(address).unwrap();
        Identity::new("spring", link.package_id(), &address).digest()
    };
    assert_ne!(short("ada@a.example"), short("bob@a.example"));
}

#[test]
fn link_errors_show_the_position() {
    let table = [
        (
            LINK.replace("microsoft.com/", "microsoft.cn/"),
            "myaccess.microsoft.cn",
        ),
        (
            LINK.replace("microsoft.com/", "microsoft.com:8443/"),
            ":8443",
        ),
        (LINK.replace("https", "http"), "http"),
        (LINK.replace("#/", "?x=1#/"), "?x=1"),
        (
            LINK.replace(ID, "00000000-0000-0000-0000-000000000000"),
            "00000000-0000-0000-0000-000000000000",
        ),
        (format!("{LINK}."), "."),
        (
            format!("https://myaccess.microsoft.com#/access-packages/{ID}"),
            "#",
        ),
        (
            LINK.replace("access-packages/", ""),
            "#/8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11",
        ),
    ];
    for (text, part) in table {
        let error = AccessPackageLink::parse(&text, &[]).unwrap_err();
        let place = error.span(&text).unwrap();
        assert_eq!(&text[place], part, "{text}: {error}");
    }
}

#[test]
fn each_invalid_character_of_a_link_is_named() {
    for (character, expected) in [
        ('\u{a0}', "a no-break space"),
        ('\u{1}', "a control character"),
        ('\u{ad}', "a soft hyphen"),
        ('\u{200e}', "an invisible direction mark"),
        ('\u{202a}', "an invisible direction mark"),
        ('\u{2066}', "an invisible direction mark"),
        ('\\', "a character that is in no My Access link"),
        ('|', "a character that is in no My Access link"),
        ('я', "a letter that only looks like a Latin one"),
        ('€', "a character that is in no My Access link"),
    ] {
        let text = format!("{LINK}{character}");
        let error = AccessPackageLink::parse(&text, &[]).unwrap_err();
        let LinkError::StrayCharacter { name, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(name, expected);
    }
    let placeholder = LINK.replace(ID, "<id>");
    let error = AccessPackageLink::parse(&placeholder, &[]).unwrap_err();
    assert_eq!(error, LinkError::Placeholder("<id>".into()));
}

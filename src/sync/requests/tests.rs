use serde_json::{Value, json};

use super::*;
use crate::invitation::MessageIdKey;

fn hasher() -> PersonHasher {
    PersonHasher::new(&MessageIdKey([7; 32]))
}

fn at(day: &str) -> String {
    format!("2026-11-{day}T08:00:00.1234567Z")
}

fn request(email: &str, state: &str, day: &str) -> Value {
    json!({"requestType": "userAdd", "state": state, "createdDateTime": at(day),
        "requestor": {"email": email, "objectId": null, "principalName": null}})
}

fn assignment(email: &str, state: &str) -> Value {
    json!({"state": state, "target": {"email": email}, "expiredDateTime": at("28"),
        "schedule": {"startDateTime": at("27")}})
}

fn read(requests: &[Value], assignments: &[Value]) -> Vec<PersonAccess> {
    let mut people = People::new(hasher());
    for request in requests {
        people.add_request(&serde_json::from_value(request.clone()).unwrap());
    }
    for assignment in assignments {
        people.add_assignment(&serde_json::from_value(assignment.clone()).unwrap());
    }
    people.finish()
}

/// The access of an address, and the day of November of its time and of its request.
fn of(found: &[PersonAccess], address: &str) -> Option<(AccessState, String, String)> {
    let hash = match address.strip_prefix('@') {
        Some(domain) => hasher().of_domain(domain),
        None => hasher().of_address(address),
    };
    let day =
        |at: Option<Timestamp>| at.map_or_else(String::new, |it| it.strftime("%d").to_string());
    let found = found.iter().find(|it| it.person == hash)?;
    Some((found.state, day(found.at), day(found.requested_at)))
}

#[test]
fn each_state_of_request_and_assignment_gives_its_access() {
    use AccessState::{Denied, Failed, Granted, Removed, Requested};
    for (states, assigned, expected) in [
        ("submitted", None, Some(Requested)),
        ("pendingApproval", None, Some(Requested)),
        ("scheduled", None, Some(Requested)),
        ("delivering", Some("delivering"), Some(Requested)),
        ("approvedByMartians", None, Some(Requested)),
        ("unknownFutureValue", None, Some(Requested)),
        ("delivered", Some("delivered"), Some(Granted)),
        ("delivered", Some("delivering"), Some(Granted)),
        ("delivered", Some("partiallyDelivered"), Some(Granted)),
        ("delivered", Some("paused"), Some(Granted)),
        (
            "partiallyDelivered",
            Some("partiallyDelivered"),
            Some(Granted),
        ),
        ("delivered", Some("expired"), Some(Removed)),
        ("delivered", Some("deliveryFailed"), Some(Removed)),
        ("partiallyDelivered", None, Some(Removed)),
        ("denied", None, Some(Denied)),
        ("deliveryFailed", Some("deliveryFailed"), Some(Failed)),
        ("canceled", None, None),
        ("canceled", Some("delivered"), Some(Granted)),
    ] {
        let assigned: Vec<_> = assigned
            .into_iter()
            .map(|it| assignment("ada@a.example", it))
            .collect();
        let found = read(&[request("Ada@A.example", states, "10")], &assigned);
        let access = of(&found, "ada@a.example").map(|it| it.0);
        assert_eq!(access, expected, "{states} {assigned:?}");
    }
}

#[test]
fn an_assignment_without_a_request_is_access_as_well() {
    let found = read(
        &[],
        &[
            assignment("ada@a.example", "delivered"),
            assignment("ada@a.example", "delivering"),
            assignment("bob@b.example", "delivering"),
            assignment("cyd@c.example", "expired"),
        ],
    );
    let state = |address| of(&found, address).map(|it| it.0);
    assert_eq!(state("ada@a.example"), Some(AccessState::Granted));
    assert_eq!(state("bob@b.example"), Some(AccessState::Requested));
    assert_eq!(state("cyd@c.example"), None);
}

#[test]
fn the_newest_request_counts_with_the_times_of_its_steps() {
    let mut delivered = request("ada@a.example", "delivered", "11");
    delivered["completedDateTime"] = at("12").into();
    let mut removal = request("ada@a.example", "delivered", "20");
    removal["requestType"] = "userRemove".into();
    let mut undated = request("ada@a.example", "denied", "01");
    undated["createdDateTime"] = Value::Null;
    let requests = [
        removal,
        delivered,
        request("ada@a.example", "denied", "10"),
        request("ada@a.example", "canceled", "09"),
        undated,
    ];
    let ada = assignment("ada@a.example", "delivered");

    for assigned in [
        vec![ada.clone()],
        vec![assignment("ada@a.example", "expired"), ada],
    ] {
        let found = read(&requests, &assigned);
        assert_eq!(
            of(&found, "ada@a.example"),
            Some((AccessState::Granted, "12".into(), "11".into()))
        );
    }
    let removed = read(&requests, &[assignment("ada@a.example", "expired")]);
    assert_eq!(
        of(&removed, "ada@a.example"),
        Some((AccessState::Removed, "28".into(), "11".into()))
    );
    // Reading a page twice changes nothing.
    let twice = [&requests[..], &requests[..]].concat();
    assert_eq!(read(&twice, &[]), read(&requests, &[]));
}

#[test]
fn people_are_found_by_mail_address_then_by_guest_name_then_by_domain() {
    let mut guest = request("", "denied", "10");
    guest["requestor"] = json!({"email": null,
        "principalName": "Ana_Maria_p.example#EXT#@contoso.onmicrosoft.com"});
    let mut alias = request("new@q.example", "delivering", "11");
    alias["requestor"]["principalName"] = "old_q.example#ext#@contoso.onmicrosoft.com".into();
    // Another person has that address by now.
    let other = request("old@q.example", "denied", "05");
    let mut internal = request("", "denied", "10");
    internal["requestor"]["principalName"] = "eva@contoso.example".into();
    let mut nobody = request("", "denied", "10");
    nobody["requestor"] = Value::Null;
    let requests = [
        alias,
        guest,
        other,
        internal,
        nobody,
        request("not an address", "denied", "10"),
        request("eve@gmail.com", "delivering", "10"),
        request("bob@r.example", "denied", "12"),
        request("cyd@r.example", "submitted", "01"),
    ];

    let found = read(&requests, &[]);

    let state = |address| of(&found, address).map(|it| it.0);
    assert_eq!(state("ana_maria@p.example"), Some(AccessState::Denied));
    assert_eq!(state("@p.example"), Some(AccessState::Denied));
    assert_eq!(state("new@q.example"), Some(AccessState::Requested));
    assert_eq!(state("old@q.example"), Some(AccessState::Denied));
    assert_eq!(state("eve@gmail.com"), Some(AccessState::Requested));
    assert_eq!(state("@gmail.com"), None);
    assert_eq!(state("@r.example"), Some(AccessState::Requested));
    assert_eq!(state("@contoso.example"), None);
    assert_eq!(found.len(), 6 + 3);
    assert!(found.is_sorted_by(|a, b| a.person < b.person));
}

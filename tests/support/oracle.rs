//! The invariants that hold whatever goes wrong, checked from outside: what the relay took
//! against what the ledger says (I1–I7).
//!
//! The relay's witness is the file that it writes, through to the disk, before it answers a dot.

use std::collections::BTreeMap;

use super::smtp::Server;
use super::{Workplace, scanner};

/// Compares ledger and relay at any time, and returns the states by address. `partners` is the number of
/// rows in the list, `doubts` how many may be `unknown` or `armed`: one per connection and crash.
pub fn check(
    workplace: &Workplace,
    server: &Server,
    partners: usize,
    doubts: usize,
) -> BTreeMap<String, String> {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for recipients in server.witnessed() {
        assert_eq!(recipients.len(), 1, "one recipient a message");
        *taken.entry(recipients[0].clone()).or_default() += 1;
    }
    let states: BTreeMap<String, String> = workplace.states().into_iter().collect();

    let twice: Vec<_> = taken.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "I1, invited twice: {twice:?}");
    // Enrolment is all or nothing, so the ledger knows everybody or nobody.
    assert!(
        states.len() == partners || (states.is_empty() && taken.is_empty()),
        "I2, {} of {partners} are on record",
        states.len()
    );
    for (address, state) in &states {
        let has_it = taken.contains_key(address);
        match state.as_str() {
            "accepted" => assert!(
                has_it,
                "I3, {address} is accepted, but the relay has it not"
            ),
            // In doubt, or a person decided.
            "unknown" | "armed" | "abandoned" => {}
            _ => assert!(!has_it, "I5, {address} is {state}, but the relay has it"),
        }
    }
    for address in taken.keys() {
        let state = states.get(address).map(String::as_str);
        assert!(
            matches!(state, Some("accepted" | "unknown" | "armed" | "abandoned")),
            "I4, the relay has {address}, which is {state:?}"
        );
    }
    let doubtful = states
        .values()
        .filter(|it| matches!(it.as_str(), "unknown" | "armed"))
        .count();
    assert!(
        doubtful <= doubts,
        "I7, {doubtful} are in doubt, more than {doubts}"
    );
    states
}

/// After a run without a fault: nobody is forgotten, and only the doubtful are left (I6).
pub fn check_settled(workplace: &Workplace, server: &Server, partners: usize, doubts: usize) {
    check_settled_but(workplace, server, partners, doubts, &[]);
}

/// As [`check_settled`], where some were refused for good.
pub fn check_settled_but(
    workplace: &Workplace,
    server: &Server,
    partners: usize,
    doubts: usize,
    also: &[&str],
) {
    let states = check(workplace, server, partners, doubts);
    let left: Vec<_> = states
        .into_iter()
        .filter(|(_, state)| !matches!(state.as_str(), "accepted" | "unknown"))
        .filter(|(_, state)| !also.contains(&state.as_str()))
        .collect();
    assert!(left.is_empty(), "I6, left behind: {left:?}");
}

/// Nobody on the way to the relay could read a secret, a command of a login or of a message, or
/// an address: nothing but the greeting came in clear.
pub fn nothing_in_clear(server: &Server) {
    let words = [
        "AUTH ",
        "MAIL FROM",
        "RCPT TO",
        "DATA\r\n",
        "@contoso.example",
    ];
    for (connection, bytes) in server.tapped().iter().enumerate() {
        let secret = scanner::secret_in(bytes);
        assert_eq!(secret, None, "connection {connection}, in clear");
        for word in words {
            let found = bytes.windows(word.len()).any(|it| it == word.as_bytes());
            assert!(!found, "connection {connection}: {word:?} in clear");
        }
    }
}

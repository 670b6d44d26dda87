//! The invariants of docs/RELIABILITY.md, checked from outside: the messages that the relay accepted
//! against the ledger (I1–I7).
//!
//! The relay's journal is a file that it syncs before it replies to a final dot.

use std::collections::{BTreeMap, BTreeSet};

use super::smtp::Server;
use super::{Workplace, scanner};

/// Compares ledger and relay at any time, and returns the states by address. `partners` is the number of
/// rows in the list, `unknowns` how many may be `unknown` or `armed`: one per connection and crash.
pub fn check(
    workplace: &Workplace,
    server: &Server,
    partners: usize,
    unknowns: usize,
) -> BTreeMap<String, String> {
    let synced = server.synced().into_iter().map(|recipients| {
        assert_eq!(recipients.len(), 1, "one recipient a message");
        recipients[0].clone()
    });
    check_accepted(workplace, synced, partners, unknowns)
}

/// As [`check`], while runs send: what the relay accepted is read before and after the ledger.
pub fn check_live(
    workplace: &Workplace,
    server: &Server,
    partners: usize,
    unknowns: usize,
) -> BTreeMap<String, String> {
    let before: BTreeSet<String> = server.synced().concat().into_iter().collect();
    let states: BTreeMap<String, String> = workplace.states().into_iter().collect();
    let after = server.synced().concat();
    let in_between = |address: &String| after.contains(address) && !before.contains(address);
    // A message that was accepted in between may have any state; it counts as its state says.
    let accepted = after.iter().filter(|address| {
        let state = states.get(*address).map(String::as_str);
        !in_between(address) || matches!(state, Some("accepted" | "unknown" | "armed"))
    });
    compare(&states, accepted.cloned(), partners, unknowns);
    states
}

/// As [`check`], for a relay that accepted a message for each of these recipients.
pub fn check_accepted(
    workplace: &Workplace,
    accepted: impl IntoIterator<Item = String>,
    partners: usize,
    unknowns: usize,
) -> BTreeMap<String, String> {
    let states: BTreeMap<String, String> = workplace.states().into_iter().collect();
    compare(&states, accepted, partners, unknowns);
    states
}

fn compare(
    states: &BTreeMap<String, String>,
    accepted: impl IntoIterator<Item = String>,
    partners: usize,
    unknowns: usize,
) {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for recipient in accepted {
        *taken.entry(recipient).or_default() += 1;
    }
    let twice: Vec<_> = taken.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "I1, invited twice: {twice:?}");
    // Enrolment is atomic, so the ledger has all rows or none.
    assert!(
        states.len() == partners || (states.is_empty() && taken.is_empty()),
        "I2, {} of {partners} have a record",
        states.len()
    );
    for (address, state) in states {
        let has_it = taken.contains_key(address);
        match state.as_str() {
            "accepted" => assert!(
                has_it,
                "I3, {address} is accepted, but the relay did not accept it"
            ),
            // Unknown, or decided by an operator.
            "unknown" | "armed" | "abandoned" => {}
            _ => assert!(
                !has_it,
                "I5, {address} is {state}, but the relay accepted it"
            ),
        }
    }
    for address in taken.keys() {
        let state = states.get(address).map(String::as_str);
        assert!(
            matches!(state, Some("accepted" | "unknown" | "armed" | "abandoned")),
            "I4, the relay accepted {address}, which is {state:?}"
        );
    }
    let undecided = states
        .values()
        .filter(|it| matches!(it.as_str(), "unknown" | "armed"))
        .count();
    assert!(
        undecided <= unknowns,
        "I7, {undecided} are unknown or armed, more than {unknowns}"
    );
}

/// After a run without faults: nothing is pending, and only unknown rows are left (I6).
pub fn check_settled(workplace: &Workplace, server: &Server, partners: usize, unknowns: usize) {
    check_settled_but(workplace, server, partners, unknowns, &[]);
}

/// As [`check_settled`], with further final states.
pub fn check_settled_but(
    workplace: &Workplace,
    server: &Server,
    partners: usize,
    unknowns: usize,
    also: &[&str],
) {
    let states = check(workplace, server, partners, unknowns);
    let left: Vec<_> = states
        .into_iter()
        .filter(|(_, state)| !matches!(state.as_str(), "accepted" | "unknown"))
        .filter(|(_, state)| !also.contains(&state.as_str()))
        .collect();
    assert!(left.is_empty(), "I6, not settled: {left:?}");
}

/// Checks that the bytes on the wire reveal no secret, no command of a login or a message, and
/// no address.
pub fn nothing_in_clear(server: &Server) {
    let words = [
        "AUTH ",
        "MAIL FROM",
        "RCPT TO",
        "DATA\r\n",
        "@contoso.example",
    ];
    for (connection, bytes) in server.bytes_received().iter().enumerate() {
        let secret = scanner::secret_in(bytes);
        assert_eq!(secret, None, "connection {connection}, in clear");
        for word in words {
            let found = bytes.windows(word.len()).any(|it| it == word.as_bytes());
            assert!(!found, "connection {connection}: {word:?} in clear");
        }
    }
}

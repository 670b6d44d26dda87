//! The results of verifying a ledger, whichever store it is in.

use std::collections::BTreeSet;

use super::columns::Columns;
use crate::invitation::{MessageIdKey, Occasion};

/// The result of one check: what was checked, and what is wrong or, if nothing is, what was found.
pub struct Verified {
    /// The check.
    pub check: &'static str,
    /// What was found; an error if it must not be so.
    pub result: std::result::Result<String, String>,
}

impl Verified {
    /// Whether the tables have the parts that this program creates; `known` describes them.
    #[must_use]
    pub fn tables(found: &BTreeSet<String>, wanted: &BTreeSet<String>, known: String) -> Self {
        let missing: Vec<_> = wanted.difference(found).cloned().collect();
        let foreign: Vec<_> = found.difference(wanted).cloned().collect();
        let result = match (missing.as_slice(), foreign.as_slice()) {
            ([], []) => Ok(known),
            ([], foreign) => Err(format!(
                "{} was not created by this program",
                foreign.join(", ")
            )),
            (missing, _) => Err(format!("{} is missing or different", missing.join(", "))),
        };
        Self {
            check: "tables",
            result,
        }
    }

    /// Whether the change counter is not behind a run; `highest` is that of the last run.
    #[must_use]
    pub fn counter(changes: i64, runs: i64, highest: i64) -> Self {
        let result = if changes < highest {
            Err(format!(
                "the counter of changes is {changes}, but a run made change {highest}"
            ))
        } else {
            Ok(format!("{changes} changes by {runs} runs"))
        };
        Self {
            check: "changes",
            result,
        }
    }
}

/// Whether the state of each invitation is that of its latest event, and its Message-ID that of its identity.
pub struct Sums<'a> {
    key: &'a MessageIdKey,
    checked: u64,
    faults: Vec<String>,
}

impl<'a> Sums<'a> {
    pub fn new(key: &'a MessageIdKey) -> Self {
        Self {
            key,
            checked: 0,
            faults: Vec::new(),
        }
    }

    /// Checks an invitation, in a row of its identity, number and state, the state in its latest event, its generation
    /// and its Message-ID.
    pub fn add<R: Columns>(&mut self, row: &R) -> std::result::Result<(), R::Error> {
        let identity = row.identity(0)?;
        let id: i64 = row.number(4)?;
        let (state, latest) = (row.text(5)?, row.optional_text(6)?);
        let (generation, message_id) = (row.number(7)?, row.text(8)?);
        self.checked += 1;
        if latest != Some(state) {
            let latest = latest.unwrap_or("missing");
            self.faults.push(format!(
                "invitation {id} is {state}, but its latest event is {latest}"
            ));
        }
        let domain = message_id.split_once('@').map_or("", |it| it.1);
        if identity.occasion == Occasion::Invitation
            && identity.message_id(self.key, generation, domain) != message_id
        {
            self.faults
                .push(format!("invitation {id} has the Message-ID of another one"));
        }
        Ok(())
    }

    /// What was found.
    pub fn result(self) -> Verified {
        Verified {
            check: "invitations",
            result: match self.faults.as_slice() {
                [] => Ok(format!(
                    "{} with their states, histories and Message-IDs",
                    self.checked
                )),
                [first] => Err(first.clone()),
                [first, rest @ ..] => Err(format!("{first}; {} more are wrong", rest.len())),
            },
        }
    }
}

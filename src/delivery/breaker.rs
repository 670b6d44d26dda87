//! The circuit breaker: a relay that permanently refuses many recipients alike refuses the sender, not them.
//!
//! It counts the permanent refusals (5yz) on all connections of a run, direct evidence included, and opens
//! after a number of similar ones without an acceptance in between. That stops the run. Until the next
//! acceptance, later runs are careful: a few refusals stop them.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::address::Address;
use crate::invitation::{Identity, State};
use crate::outcome::{Phase, Reply};

/// The notice that the ledger keeps from the opening to the next acceptance.
pub const OPEN: &str = "breaker open";
/// The breaker opens after this many domains were refused alike,
const MAX_DOMAINS: usize = 10;
/// or this many recipients,
const MAX_RECIPIENTS: usize = 25;
/// or this many recipients if it opened in an earlier run and no message was accepted since.
const MAX_RECIPIENTS_IF_CAREFUL: usize = 3;

/// Refusals with the same phase, code and enhanced code are similar.
type RefusalKind = (Phase, u16, Option<String>);

/// The recipients of similar refusals since the last acceptance.
#[derive(Debug, Default)]
struct SimilarRefusals {
    recipients: HashSet<String>,
    domains: HashSet<String>,
}

/// A row whose outcome was recorded.
#[derive(Clone, Debug)]
pub struct SettledRow {
    pub identity: Identity,
    pub recipient: Address,
    /// The state that was recorded.
    pub state: State,
    /// How often the invitation was deferred before.
    pub deferrals: u32,
    /// Whether the breaker has returned the invitation from `expired` before.
    pub was_reopened: bool,
}

/// The result of noting a refusal.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct BreakerUpdate {
    /// Whether it is the first of its kind in this run.
    pub first: bool,
    /// If it opens the breaker: how many recipients at how many domains were refused alike.
    pub opens: Option<(usize, usize)>,
}

/// Counts the refusals of a run, on all its connections.
#[derive(Debug, Default)]
pub struct Breaker {
    /// Whether it has opened in this run.
    open: bool,
    /// Whether the ledger contains the notice.
    pub noted: bool,
    /// Whether the relay has accepted a message in this run.
    pub accepted: bool,
    alike: HashMap<RefusalKind, SimilarRefusals>,
    seen: HashSet<RefusalKind>,
    /// The first recipients, up to two, that were refused without direct evidence.
    undetermined: BTreeSet<String>,
    /// The rows that are deferred again if the relay refuses the sender.
    pub to_defer_again: Vec<SettledRow>,
}

impl Breaker {
    /// The breaker of a new run. `noted` says that it opened in an earlier one.
    pub fn new(noted: bool) -> Self {
        Self {
            noted,
            ..Self::default()
        }
    }

    /// Notes an acceptance.
    pub fn accepted(&mut self) {
        self.accepted = true;
        self.alike.clear();
    }

    /// Replaces the recipients that were refused alike by those of all runs, on whatever machines, since the last
    /// acceptance: canonical addresses.
    pub fn replace_alike(&mut self, phase: Phase, reply: &Reply, recipients: &[String]) {
        let kind = (phase, reply.code, reply.enhanced.clone());
        let domain = |it: &String| {
            it.rsplit_once('@')
                .map_or(String::new(), |it| it.1.to_owned())
        };
        let refused = SimilarRefusals {
            recipients: recipients.iter().take(MAX_RECIPIENTS).cloned().collect(),
            domains: recipients.iter().map(domain).collect(),
        };
        self.alike.insert(kind, refused);
    }

    /// Notes a permanent refusal.
    pub fn refused(&mut self, phase: Phase, reply: &Reply, refused: SettledRow) -> BreakerUpdate {
        let kind: RefusalKind = (phase, reply.code, reply.enhanced.clone());
        let first = self.seen.insert(kind.clone());
        let who = refused.recipient.canonical();
        if refused.state != State::Rejected && self.undetermined.len() < 2 {
            self.undetermined.insert(who.clone());
        }
        let alike = self.alike.entry(kind).or_default();
        if alike.recipients.len() < MAX_RECIPIENTS {
            alike.recipients.insert(who);
            alike.domains.insert(refused.recipient.domain().to_owned());
        }
        let (recipients, domains) = (alike.recipients.len(), alike.domains.len());
        let many = recipients >= MAX_RECIPIENTS || domains >= MAX_DOMAINS;
        // It opened in an earlier run, and no message was accepted since.
        let careful = self.noted && !self.accepted;
        let opens = !self.open && (many || (careful && recipients >= MAX_RECIPIENTS_IF_CAREFUL));
        if opens {
            self.open = true;
            self.noted = true;
        }
        // Only once: after that, an expired row remains expired.
        if refused.state == State::Rejected
            || (refused.state == State::Expired && !refused.was_reopened)
        {
            self.to_defer_again.push(refused);
        }
        BreakerUpdate {
            first,
            opens: opens.then_some((recipients, domains)),
        }
    }

    /// Whether no message was accepted, and several were refused without evidence about the recipients.
    pub fn nobody_was_accepted(&self) -> bool {
        !self.accepted && self.undetermined.len() >= 2
    }
}

#[cfg(test)]
mod tests {
    use super::{Breaker, BreakerUpdate, Identity, Phase, SettledRow, State};
    use crate::address::Address;
    use crate::link::PackageId;
    use crate::outcome::testing::reply;

    fn refuse(breaker: &mut Breaker, text: &str, address: &str, state: State) -> BreakerUpdate {
        let reply = reply(text);
        let recipient = Address::parse(address).unwrap();
        let id = PackageId::parse("8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11").unwrap();
        let refused = SettledRow {
            identity: Identity::new("spring", id, &recipient),
            recipient,
            state,
            deferrals: 0,
            was_reopened: false,
        };
        breaker.refused(Phase::Rcpt, &reply, refused)
    }

    /// At which refusal it opens, where each recipient is at the domain of this number.
    fn opens_at(
        breaker: &mut Breaker,
        texts: &[&str],
        domain: impl Fn(usize) -> usize,
    ) -> Option<usize> {
        (1..100).find(|number| {
            let text = texts[number % texts.len()];
            let address = format!("p{number}@d{}.example", domain(*number));
            let noted = refuse(breaker, text, &address, State::Deferred);
            noted.opens.is_some()
        })
    }

    #[test]
    fn ten_domains_or_25_recipients_refused_alike_open_it() {
        let own_domain = |number| number;
        let one_company = |_| 0;
        let text = ["550 5.7.1"];

        assert_eq!(
            opens_at(&mut Breaker::new(false), &text, own_domain),
            Some(10)
        );
        assert_eq!(
            opens_at(&mut Breaker::new(false), &text, one_company),
            Some(25)
        );
        // Direct evidence counts as well.
        let mut breaker = Breaker::new(false);
        let opened = (1..100).find(|number| {
            let address = format!("p{number}@a.example");
            let noted = refuse(&mut breaker, "550 5.1.1", &address, State::Rejected);
            noted.opens.is_some()
        });
        assert_eq!(opened, Some(25));
        assert_eq!(breaker.to_defer_again.len(), 25);
        // One recipient of many packages is one.
        let mut breaker = Breaker::new(false);
        for _ in 0..100 {
            let noted = refuse(&mut breaker, "550", "a@a.example", State::Deferred);
            assert_eq!(noted.opens, None);
        }
    }

    #[test]
    fn different_kinds_are_counted_separately() {
        let texts = ["550 5.7.1", "554 5.7.1", "550"];
        let opened = opens_at(&mut Breaker::new(false), &texts, |number| number);
        assert_eq!(opened, Some(28), "the tenth of the first kind");
    }

    #[test]
    fn an_acceptance_resets_the_counts_and_the_careful_state() {
        let mut breaker = Breaker::new(false);
        for number in 0..9 {
            let address = format!("p@d{number}.example");
            refuse(&mut breaker, "550 5.7.1", &address, State::Deferred);
        }
        breaker.accepted();
        assert_eq!(opens_at(&mut breaker, &["550 5.7.1"], |it| it), Some(10));

        let careful = opens_at(&mut Breaker::new(true), &["550 5.7.1"], |_| 0);
        assert_eq!(careful, Some(3));
        let mut breaker = Breaker::new(true);
        breaker.accepted();
        assert_eq!(opens_at(&mut breaker, &["550 5.7.1"], |it| it), Some(10));
    }

    #[test]
    fn the_first_refusal_of_each_kind_is_reported() {
        let mut breaker = Breaker::new(false);
        let mut first = |text| refuse(&mut breaker, text, "a@a.example", State::Deferred).first;
        assert!(first("550 5.7.1") && !first("550 5.7.1") && first("550") && first("554 5.7.1"));
    }

    #[test]
    fn two_refusals_without_evidence_and_no_acceptance_are_found() {
        let mut breaker = Breaker::new(false);
        refuse(&mut breaker, "550 5.1.1", "a@a.example", State::Rejected);
        refuse(&mut breaker, "550 5.7.1", "b@b.example", State::Deferred);
        refuse(&mut breaker, "550 5.7.1", "b@b.example", State::Deferred);
        assert!(!breaker.nobody_was_accepted(), "one is not enough");
        refuse(&mut breaker, "554", "c@c.example", State::Expired);
        assert!(breaker.nobody_was_accepted());
        breaker.accepted();
        assert!(!breaker.nobody_was_accepted());
    }
}

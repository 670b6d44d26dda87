//! The breaker: a relay that permanently refuses many recipients alike refuses us, not them.
//!
//! It watches the permanent refusals (5yz) of a run over all connections, those with direct evidence
//! included, and opens when so many of one kind came without an acceptance in between. That ends the run.
//! Until the next acceptance, later runs are careful: a few refusals end them.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::address::Address;
use crate::invitation::{self, Identity};
use crate::outcome::{Phase, Reply};

/// The notice in the ledger that ensure_no_unsolicited_data from the opening to the next acceptance.
pub const OPEN: &str = "breaker open";
/// So many domains refused alike open it,
const DOMAINS: usize = 10;
/// or so many recipients,
const RECIPIENTS: usize = 25;
/// or so many recipients where it opened in an earlier run and nobody was accepted since.
const CAREFUL: usize = 3;

/// What makes two refusals alike.
type Kind = (Phase, u16, Option<String>);

/// Who was refused in one way since the last acceptance.
#[derive(Debug, Default)]
struct SimilarRefusals {
    recipients: HashSet<String>,
    domains: HashSet<String>,
}

/// A permanent refusal that was recorded.
#[derive(Clone, Debug)]
pub struct Refused {
    pub identity: Identity,
    pub recipient: Address,
    /// What the ledger made of it.
    pub state: invitation::State,
    /// How often the invitation was deferred before.
    pub deferrals: u32,
    /// Whether the breaker has returned the invitation from `expired` before.
    pub put_back: bool,
}

/// What a refusal changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct BreakerUpdate {
    /// It is the first of its kind in this run.
    pub first: bool,
    /// It opens the breaker: so many recipients at so many domains were refused alike.
    pub opens: Option<(usize, usize)>,
}

/// How many refusals it takes to open it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    /// It opened in an earlier run, and nobody was accepted since.
    Careful,
    Open,
}

/// Watches the refusals of a run, over all its connections.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    /// Whether the ledger has the notice of an opening.
    noted: bool,
    /// Whether anybody was accepted in this run.
    accepted: bool,
    alike: HashMap<Kind, SimilarRefusals>,
    seen: HashSet<Kind>,
    /// The first recipients, up to two, who were refused without direct evidence.
    undetermined: BTreeSet<String>,
    /// Who is deferred again where the relay refuses us.
    to_put_back: Vec<Refused>,
}

impl Breaker {
    /// The beginning of a run; `noted` says that it opened in an earlier one.
    pub fn new(noted: bool) -> Self {
        Self {
            state: if noted { State::Careful } else { State::Closed },
            noted,
            accepted: false,
            alike: HashMap::new(),
            seen: HashSet::new(),
            undetermined: BTreeSet::new(),
            to_put_back: Vec::new(),
        }
    }

    /// The relay takes our mail.
    pub fn accepted(&mut self) {
        self.accepted = true;
        if self.state == State::Careful {
            self.state = State::Closed;
        }
        self.alike.clear();
    }

    /// Whether the relay has taken a message in this run.
    pub fn has_accepted(&self) -> bool {
        self.accepted
    }

    /// Whether a notice of an opening is to be removed, after an acceptance; true once.
    pub fn take_notice(&mut self) -> bool {
        std::mem::take(&mut self.noted)
    }

    /// Notes a permanent refusal.
    pub fn refused(&mut self, phase: Phase, reply: &Reply, refused: Refused) -> BreakerUpdate {
        let kind: Kind = (phase, reply.code, reply.enhanced.clone());
        let first = self.seen.insert(kind.clone());
        let who = refused.recipient.canonical();
        if refused.state != invitation::State::Rejected && self.undetermined.len() < 2 {
            self.undetermined.insert(who.clone());
        }
        let alike = self.alike.entry(kind).or_default();
        if alike.recipients.len() < RECIPIENTS {
            alike.recipients.insert(who);
            alike.domains.insert(refused.recipient.domain().to_owned());
        }
        let (recipients, domains) = (alike.recipients.len(), alike.domains.len());
        let many = recipients >= RECIPIENTS || domains >= DOMAINS;
        let opens = match self.state {
            State::Closed => many,
            State::Careful => many || recipients >= CAREFUL,
            State::Open => false,
        };
        if opens {
            self.state = State::Open;
            self.noted = true;
        }
        // Once is enough: then what expires stays so, or it would be tried for ever.
        if refused.state == invitation::State::Rejected
            || (refused.state == invitation::State::Expired && !refused.put_back)
        {
            self.to_put_back.push(refused);
        }
        BreakerUpdate {
            first,
            opens: opens.then_some((recipients, domains)),
        }
    }

    /// Whether nobody was accepted, and several were refused without evidence that it is about them.
    pub fn nobody_was_accepted(&self) -> bool {
        !self.accepted && self.undetermined.len() >= 2
    }

    /// Who is deferred again, now that the relay is known to refuse us.
    pub fn take_to_put_back(&mut self) -> Vec<Refused> {
        std::mem::take(&mut self.to_put_back)
    }
}

#[cfg(test)]
mod tests {
    use super::{Breaker, BreakerUpdate, Identity, Phase, Refused};
    use crate::address::Address;
    use crate::invitation::State;
    use crate::link::PackageId;
    use crate::outcome::testing::reply;

    fn refuse(breaker: &mut Breaker, text: &str, address: &str, state: State) -> BreakerUpdate {
        let reply = reply(text);
        let recipient = Address::parse(address).unwrap();
        let id = PackageId::parse("8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11").unwrap();
        let refused = Refused {
            identity: Identity::new("spring", id, &recipient),
            recipient,
            state,
            deferrals: 0,
            put_back: false,
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
        assert_eq!(breaker.take_to_put_back().len(), 25);
        // One recipient of many packages is one.
        let mut breaker = Breaker::new(false);
        for _ in 0..100 {
            let noted = refuse(&mut breaker, "550", "a@a.example", State::Deferred);
            assert_eq!(noted.opens, None);
        }
    }

    #[test]
    fn kinds_are_counted_side_by_side() {
        let texts = ["550 5.7.1", "554 5.7.1", "550"];
        let opened = opens_at(&mut Breaker::new(false), &texts, |number| number);
        assert_eq!(opened, Some(28), "the tenth of the first kind");
    }

    #[test]
    fn an_acceptance_begins_anew_and_ends_the_care() {
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
        assert!(breaker.take_notice() && !breaker.take_notice());
        assert_eq!(opens_at(&mut breaker, &["550 5.7.1"], |it| it), Some(10));
    }

    #[test]
    fn the_first_of_each_kind_is_told_from_the_others() {
        let mut breaker = Breaker::new(false);
        let mut first = |text| refuse(&mut breaker, text, "a@a.example", State::Deferred).first;
        assert!(first("550 5.7.1") && !first("550 5.7.1") && first("550") && first("554 5.7.1"));
    }

    #[test]
    fn two_without_evidence_and_nobody_accepted_are_a_relay_that_refuses_us() {
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

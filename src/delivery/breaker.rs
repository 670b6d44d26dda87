//! The breaker: the same refusal to three recipients at three domains is about us.
//!
//! A 5yz is a certain no, so the three can safely return to `pending`. A deferral never
//! opens the breaker, nor does a refusal of addresses (X.1.x), which lists of partners
//! are full of.

use crate::invitation::Identity;
use crate::outcome::{Phase, Reply};

/// So many recipients, each at another domain.
const ROW: usize = 3;

/// Watches the refusals of a run, over all its connections.
#[derive(Debug)]
pub struct Breaker {
    /// Off where fewer than three domains are due.
    on: bool,
    refusal: Option<Refusal>,
    row: Vec<(Identity, String)>,
    /// The refusal that opened it: those of its kind that were under way return, too.
    opened_by: Option<Refusal>,
}

/// What makes two refusals alike.
type Refusal = (Phase, u16, Option<String>);

impl Breaker {
    pub fn new(on: bool) -> Self {
        Self {
            on,
            refusal: None,
            row: Vec::new(),
            opened_by: None,
        }
    }

    /// The relay takes mail of ours after all.
    pub fn accepted(&mut self) {
        self.refusal = None;
        self.row.clear();
    }

    /// Notes a refusal of the recipient at `domain`; gives those that are to return to
    /// `pending`: the row that it completes, or its own recipient once the breaker is open.
    pub fn refused(
        &mut self,
        phase: Phase,
        reply: &Reply,
        identity: &Identity,
        domain: &str,
    ) -> Option<Vec<Identity>> {
        let enhanced = reply.enhanced.clone();
        let of_the_address = enhanced.as_deref().is_some_and(|it| it.starts_with("5.1."));
        if !self.on || reply.class() != 5 || of_the_address {
            return None;
        }
        let refusal = Some((phase, reply.code, enhanced));
        if self.opened_by == refusal {
            return Some(vec![identity.clone()]);
        }
        if self.refusal != refusal {
            self.accepted();
            self.refusal = refusal;
        }
        if self.row.iter().any(|(_, it)| it == domain) {
            return None;
        }
        self.row.push((identity.clone(), domain.to_owned()));
        (self.row.len() == ROW).then(|| {
            self.opened_by = self.refusal.take();
            self.row.drain(..).map(|(identity, _)| identity).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use crate::link::PackageId;

    fn refuse(breaker: &mut Breaker, text: &str, address: &str) -> Option<usize> {
        let (code, enhanced) = text.split_once(' ').unwrap();
        let reply = Reply {
            code: code.parse().unwrap(),
            enhanced: (!enhanced.is_empty()).then(|| enhanced.to_owned()),
            text: String::new(),
        };
        let address = Address::parse(address).unwrap();
        let id = PackageId::parse("8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11").unwrap();
        let identity = Identity::new("spring", id, &address);
        let row = breaker.refused(Phase::Rcpt, &reply, &identity, address.domain());
        row.map(|it| it.len())
    }

    #[test]
    fn three_alike_at_three_domains_open_it() {
        let mut breaker = Breaker::new(true);

        assert_eq!(refuse(&mut breaker, "550 5.7.1", "a@a.example"), None);
        assert_eq!(refuse(&mut breaker, "550 5.7.1", "b@a.example"), None);
        assert_eq!(refuse(&mut breaker, "550 5.7.1", "b@b.example"), None);
        assert_eq!(refuse(&mut breaker, "550 5.7.1", "c@c.example"), Some(3));
        assert_eq!(refuse(&mut breaker, "550 5.7.1", "d@d.example"), Some(1));
        assert_eq!(refuse(&mut breaker, "550 5.1.1", "e@e.example"), None);
    }

    #[test]
    fn an_acceptance_or_another_refusal_begins_anew() {
        let mut breaker = Breaker::new(true);
        refuse(&mut breaker, "550 5.7.1", "a@a.example");
        refuse(&mut breaker, "550 5.7.1", "b@b.example");
        breaker.accepted();
        assert_eq!(refuse(&mut breaker, "550 5.7.1", "c@c.example"), None);
        refuse(&mut breaker, "550 5.7.1", "d@d.example");
        assert_eq!(refuse(&mut breaker, "554 5.7.1", "e@e.example"), None);
        assert_eq!(refuse(&mut breaker, "550 5.7.1", "f@f.example"), None);
    }

    #[test]
    fn dead_addresses_deferrals_and_few_domains_never_open_it() {
        let mut breaker = Breaker::new(true);
        for address in ["a@a.example", "b@b.example", "c@c.example", "d@d.example"] {
            assert_eq!(refuse(&mut breaker, "550 5.1.1", address), None);
            assert_eq!(refuse(&mut breaker, "451 4.7.1", address), None);
        }
        let mut off = Breaker::new(false);
        for address in ["a@a.example", "b@b.example", "c@c.example"] {
            assert_eq!(refuse(&mut off, "550 5.7.1", address), None);
        }
    }
}

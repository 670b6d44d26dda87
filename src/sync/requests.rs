//! Who has asked for access to a package: everybody's newest request, with the assignment that came of it.
//!
//! People are kept by hashes of their addresses, so memory grows with their number only, not with the answers.
//! A person is found by the mail address, or else by the address in a guest's user name; colleagues by the
//! domain, unless it belongs to a mail service that is open to everyone.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::Timestamp;

use crate::address::Address;
use crate::entra::{
    AccessRequest, Assignment, AssignmentState, Graph, GraphError, RequestState, Resource, Subject,
};
use crate::invitation::{AccessState, PersonHash, PersonHasher};
use crate::ledger::PersonAccess;
use crate::link::PackageId;
use crate::partners::is_consumer_domain;

/// What was read about a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageAccess {
    /// Everybody with a request, and every domain, in the order of their hashes.
    pub people: Vec<PersonAccess>,
    /// How many requests were read.
    pub requests: u64,
}

/// Reads who has asked for access to a package. `on_request` is called for each request.
///
/// # Errors
/// If not everything could be read, or the package does not exist.
pub async fn read_access(
    graph: &Graph,
    package: PackageId,
    hasher: &PersonHasher,
    mut on_request: impl FnMut() + Send,
) -> Result<PackageAccess, GraphError> {
    let mut people = People::new(hasher.clone());
    let mut requests = 0;
    // In this order, because a request that is delivered meanwhile would seem to have no assignment.
    graph
        .requests_for(package, |it| {
            requests += 1;
            on_request();
            people.add_request(&it);
        })
        .await?;
    let mut assignments: u64 = 0;
    graph
        .assignments_of(package, |it| {
            assignments += 1;
            people.add_assignment(&it);
        })
        .await?;
    if requests + assignments == 0 {
        // The lists are also empty for the id of a package of another tenant.
        graph
            .get::<serde::de::IgnoredAny>(&Resource::package(package, "?$select=id"))
            .await?;
    }
    Ok(PackageAccess {
        people: people.finish(),
        requests,
    })
}

/// Everybody who is named by requests and assignments.
struct People {
    hasher: PersonHasher,
    people: HashMap<PersonHash, Person>,
}

#[derive(Default)]
struct Person {
    /// The hash of the domain, unless it is open to everyone.
    domain: Option<PersonHash>,
    /// Whether the address of the newest request is the mail address, and not that in the user name of somebody
    /// whose mail address differs; and when it was made.
    newest: Option<(bool, Option<Timestamp>)>,
    state: RequestState,
    completed_at: Option<Timestamp>,
    assignment: Option<AssignmentState>,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

impl People {
    fn new(hasher: PersonHasher) -> Self {
        Self {
            hasher,
            people: HashMap::new(),
        }
    }

    /// The people with the addresses of this subject, the mail address first.
    fn of(&mut self, subject: Option<&Subject>, mut change: impl FnMut(bool, &mut Person)) {
        for (nth, address) in subject.into_iter().flat_map(addresses).enumerate() {
            let hash = self.hasher.of_address(&address.canonical());
            let person = match self.people.entry(hash) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let domain = Some(address.domain()).filter(|it| !is_consumer_domain(it));
                    new.insert(Person {
                        domain: domain.map(|it| self.hasher.of_domain(it)),
                        ..Person::default()
                    })
                }
            };
            change(nth == 0, person);
        }
    }

    fn add_request(&mut self, request: &AccessRequest) {
        if !request.asks_for_access() {
            return;
        }
        let created_at = time(request.created_date_time.as_deref());
        let completed_at = time(request.completed_date_time.as_deref());
        self.of(request.requestor.as_ref(), |is_mail_address, person| {
            let newest = Some((is_mail_address, created_at));
            if newest >= person.newest {
                person.newest = newest;
                person.state = request.state;
                person.completed_at = completed_at;
            }
        });
    }

    fn add_assignment(&mut self, assignment: &Assignment) {
        let started_at = time(assignment.start());
        let ended_at = time(assignment.expired_date_time.as_deref());
        self.of(assignment.target.as_ref(), |_, person| {
            match assignment.state {
                AssignmentState::Expired | AssignmentState::DeliveryFailed => {
                    person.ended_at = person.ended_at.max(ended_at);
                }
                // One that is being delivered does not hide another that is in force.
                AssignmentState::Delivering if person.assignment.is_some() => {}
                state => {
                    person.assignment = Some(state);
                    person.started_at = started_at;
                }
            }
        });
    }

    /// Everybody with a request, and the best of each domain.
    fn finish(self) -> Vec<PersonAccess> {
        let mut domains: HashMap<PersonHash, PersonAccess> = HashMap::new();
        let mut all = Vec::with_capacity(self.people.len());
        for (hash, person) in self.people {
            let Some(access) = person.access(hash) else {
                continue;
            };
            if let Some(domain) = person.domain {
                let of_domain = PersonAccess {
                    person: domain,
                    ..access
                };
                let best = domains.entry(domain).or_insert(of_domain);
                if rank(&of_domain) > rank(best) {
                    *best = of_domain;
                }
            }
            all.push(access);
        }
        all.extend(domains.into_values());
        all.sort_unstable_by_key(|it| it.person);
        all
    }
}

impl Person {
    /// Their access; `None` without a request and without an assignment.
    fn access(&self, person: PersonHash) -> Option<PersonAccess> {
        use RequestState::{
            Canceled, Delivered, Delivering, Denied, PartiallyDelivered, PendingApproval,
            Scheduled, Submitted, Unknown,
        };
        let requested_at = self.newest.and_then(|it| it.1);
        let decided_at = self.completed_at.or(requested_at);
        let is_in_force = self
            .assignment
            .is_some_and(|it| it != AssignmentState::Delivering);
        let (state, at) = match self.newest.map(|_| self.state) {
            // An assignment without a request, or with one that was taken back.
            None | Some(Canceled) if is_in_force => (AccessState::Granted, self.started_at),
            None if self.assignment.is_some() => (AccessState::Requested, self.started_at),
            None | Some(Canceled) => return None,
            Some(Submitted | PendingApproval | Scheduled | Delivering | Unknown) => {
                (AccessState::Requested, requested_at)
            }
            Some(Delivered | PartiallyDelivered) if self.assignment.is_some() => {
                (AccessState::Granted, decided_at)
            }
            Some(Delivered | PartiallyDelivered) => (AccessState::Removed, self.ended_at),
            Some(Denied) => (AccessState::Denied, decided_at),
            Some(RequestState::DeliveryFailed) => (AccessState::Failed, decided_at),
        };
        Some(PersonAccess {
            person,
            state,
            at,
            requested_at,
        })
    }
}

/// Of several people in a domain, one with access comes first, then one who waits for it, then the newest.
fn rank(access: &PersonAccess) -> (u8, Option<Timestamp>) {
    let rank = match access.state {
        AccessState::Granted => 2,
        AccessState::Requested => 1,
        _ => 0,
    };
    (rank, access.at)
}

/// The mail address of a person, and the address in the user name of a guest if it is another one.
fn addresses(subject: &Subject) -> Vec<Address> {
    let mail = subject.email.as_deref();
    let mail = mail.and_then(|it| Address::parse(it.trim()).ok());
    let guest = subject.principal_name.as_deref().and_then(guest_address);
    let mut addresses: Vec<Address> = mail.into_iter().chain(guest).collect();
    addresses.dedup_by_key(|it| it.canonical());
    addresses
}

/// The address in a guest's user name: `ada_fabrikam.example#EXT#@contoso.onmicrosoft.com` is that of
/// `ada@fabrikam.example`. A domain has no `_`.
fn guest_address(user_name: &str) -> Option<Address> {
    let end = user_name.to_ascii_uppercase().find("#EXT#@")?;
    let (local, domain) = user_name[..end].rsplit_once('_')?;
    Address::parse(&format!("{local}@{domain}")).ok()
}

/// A time of Graph, as exact as the ledger keeps it.
fn time(text: Option<&str>) -> Option<Timestamp> {
    let at: Timestamp = text?.parse().ok()?;
    Timestamp::from_millisecond(at.as_millisecond()).ok()
}

#[cfg(test)]
mod tests;

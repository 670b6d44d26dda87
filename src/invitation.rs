//! An invitation: who is invited to what, where that stands, and what may change it.
//!
//! Identity decides what "once" means: campaign + access package + canonical
//! address. The transitions are one pure function, [`next`]; the ledger applies
//! nothing that it does not allow, so the rule "never twice" stands here and can
//! be read on one screen.

mod record;

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::address::Address;
use crate::link::PackageId;
use crate::outcome::Outcome;

pub use self::record::{Event, Invitee, Record, Standing};

/// The only reason so far why a partner is written to; part of the key for those to come.
pub const OCCASION: &str = "invitation";

/// What makes an invitation the same invitation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The campaign of the configuration.
    pub campaign: String,
    /// The access package.
    pub package_id: PackageId,
    /// The partner's address in its canonical form.
    pub address: String,
}

impl Identity {
    /// The invitation of `address` to a package within a campaign.
    #[must_use]
    pub fn new(campaign: &str, package_id: PackageId, address: &Address) -> Self {
        Self {
            campaign: campaign.to_owned(),
            package_id,
            address: address.canonical(),
        }
    }

    /// The Message-ID without its brackets: 128 bits of HMAC-SHA-256 over the identity and
    /// its generation, each field preceded by its length, at the sender's domain.
    ///
    /// The same invitation has the same id in preview, proof and mail, and nobody
    /// without the key can guess it.
    #[must_use]
    pub fn message_id(&self, key: &MessageIdKey, generation: u32, domain: &str) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes keys of any length");
        let package_id = self.package_id.as_bytes();
        let generation = generation.to_be_bytes();
        let fields: [&[u8]; 5] = [
            self.campaign.as_bytes(),
            &package_id,
            self.address.as_bytes(),
            OCCASION.as_bytes(),
            &generation,
        ];
        for field in fields {
            mac.update(&(field.len() as u64).to_be_bytes());
            mac.update(field);
        }
        let mac = mac.finalize().into_bytes();
        let id = u128::from_be_bytes(mac[..16].try_into().expect("SHA-256 has 32 bytes"));
        format!("{id:032x}@{domain}")
    }

    /// Sixteen bytes that stand for package and address where a million of them are kept.
    #[must_use]
    pub fn short(&self) -> [u8; 16] {
        let mut digest = Sha256::new();
        digest.update(self.package_id.as_bytes());
        digest.update(self.address.as_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&digest.finalize()[..16]);
        short
    }
}

/// The random key behind the Message-IDs of one ledger.
#[derive(Clone)]
pub struct MessageIdKey(pub [u8; 32]);

impl MessageIdKey {
    /// A new key from the system's random source.
    ///
    /// # Errors
    /// When the system has none to give.
    pub fn random() -> anyhow::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)
            .map_err(|error| anyhow::anyhow!("no random numbers from the system: {error}"))?;
        Ok(Self(key))
    }
}

/// Where an invitation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// To be mailed; certainly not accepted by any relay.
    Pending,
    /// The dot is about to leave or has left.
    Armed,
    /// The relay took responsibility.
    Accepted,
    /// Refused for now; due again later.
    Deferred,
    /// Refused for good.
    Rejected,
    /// Nobody knows; a person decides.
    Unknown,
    /// A person decided not to go on.
    Abandoned,
    /// Deferred for too long.
    Expired,
    /// Not to be mailed at all.
    Suppressed,
    /// A notification confirmed delivery.
    Delivered,
    /// A notification reported failure.
    Bounced,
}

impl State {
    /// All states, in the order in which reports list them.
    pub const ALL: [Self; 11] = [
        Self::Pending,
        Self::Armed,
        Self::Accepted,
        Self::Deferred,
        Self::Rejected,
        Self::Unknown,
        Self::Abandoned,
        Self::Expired,
        Self::Suppressed,
        Self::Delivered,
        Self::Bounced,
    ];

    /// The name in the ledger and in every report.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Armed => "armed",
            Self::Accepted => "accepted",
            Self::Deferred => "deferred",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::Abandoned => "abandoned",
            Self::Expired => "expired",
            Self::Suppressed => "suppressed",
            Self::Delivered => "delivered",
            Self::Bounced => "bounced",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a person may decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It arrived.
    Accepted,
    /// Send it again.
    Resend,
    /// Let it be.
    Abandoned,
}

/// Why a state changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The body is on the wire and the dot comes next.
    Arm,
    /// The relay answered, or failed to answer the dot.
    Outcome(Outcome),
    /// A deferral came after the time to give up.
    GiveUp,
    /// No byte of the dot was written, or the refusal was certain and about the sender.
    TakeBack,
    /// A run that died left it armed.
    Recovery,
    /// A person accepted an older copy of the ledger: a run that it lacks may have mailed it.
    OlderLedger,
    /// The relay refuses everybody, so its refusals say nothing about the recipients.
    Breaker,
    /// The message that a resend of an `unknown` must repeat has changed since.
    OtherBytes,
    /// A person decided.
    Person(Decision),
}

impl Cause {
    /// The name under which the change is recorded.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Arm => "arm",
            Self::Outcome(_) => "reply",
            Self::GiveUp => "give-up",
            Self::TakeBack => "take-back",
            Self::Recovery => "recovery",
            Self::OlderLedger => "older-ledger",
            Self::Breaker => "breaker",
            Self::OtherBytes => "other-bytes",
            Self::Person(_) => "person",
        }
    }
}

/// A change that must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{state} does not change by {}", cause.as_str())]
pub struct NotAllowed {
    /// Where the invitation stands.
    pub state: State,
    /// What was to change it.
    pub cause: Cause,
}

/// The state that follows, or that there is none: all transitions there are.
///
/// # Errors
/// When `cause` may not change `state`.
pub fn next(state: State, cause: Cause) -> Result<State, NotAllowed> {
    use State::{
        Abandoned, Accepted, Armed, Bounced, Deferred, Expired, Pending, Rejected, Unknown,
    };
    let following = match (cause, state) {
        (Cause::Arm, Pending | Deferred) => Armed,

        (Cause::Outcome(Outcome::Accepted), Armed) => Accepted,
        (Cause::Outcome(Outcome::Unknown), Armed) => Unknown,
        // RCPT and DATA refuse before anything is armed.
        (Cause::Outcome(Outcome::Deferred), Armed | Pending | Deferred) => Deferred,
        (Cause::Outcome(Outcome::Rejected), Armed | Pending | Deferred) => Rejected,
        (Cause::GiveUp, Armed | Pending | Deferred) => Expired,

        (Cause::TakeBack, Armed | Pending | Deferred) => Pending,
        (Cause::Recovery, Armed) => Unknown,
        (Cause::OlderLedger, Pending | Deferred | Armed) => Unknown,
        (Cause::Breaker, Rejected | Expired) => Deferred,
        (Cause::OtherBytes, Pending | Deferred) => Unknown,

        (Cause::Person(Decision::Accepted), Unknown) => Accepted,
        (Cause::Person(Decision::Abandoned), Unknown | Expired | Rejected | Bounced) => Abandoned,
        (
            Cause::Person(Decision::Resend),
            Unknown | Rejected | Bounced | Expired | Abandoned | Accepted,
        ) => Pending,

        _ => return Err(NotAllowed { state, cause }),
    };
    Ok(following)
}

/// When a deferred invitation is due again, and when it is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetrySchedule {
    /// The pause after the first deferral; doubles with each further one.
    pub first_after: SignedDuration,
    /// The longest pause.
    pub max_after: SignedDuration,
    /// From the first deferral; a deferral after that is the last.
    pub give_up_after: SignedDuration,
}

impl RetrySchedule {
    /// When to try again after the `deferrals`-th deferral (1 is the first) at `now`.
    ///
    /// Up to a tenth is added, by the address, so that those deferred
    /// together do not come back together.
    #[must_use]
    pub fn due_again(&self, now: Timestamp, deferrals: u32, whose: &str) -> Timestamp {
        let doublings = deferrals.saturating_sub(1).min(30);
        let pause = self
            .first_after
            .saturating_mul(1 << doublings)
            .min(self.max_after);
        let seed = Sha256::digest(format!("{whose} {deferrals}"));
        let jitter =
            SignedDuration::from_millis_i128(pause.as_millis() * i128::from(seed[0]) / (10 * 256));
        now.saturating_add(pause.saturating_add(jitter))
            .unwrap_or(Timestamp::MAX)
    }

    /// The longest pause that [`RetrySchedule::due_again`] can mean, jitter included.
    #[must_use]
    pub fn longest_pause(&self) -> SignedDuration {
        self.max_after.saturating_add(self.max_after / 10)
    }

    /// Whether a deferral at `now` is one too many.
    #[must_use]
    pub fn gives_up(&self, now: Timestamp, deferred_since: Option<Timestamp>) -> bool {
        deferred_since.is_some_and(|since| now.duration_since(since) >= self.give_up_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTCOMES: [Outcome; 4] = [
        Outcome::Accepted,
        Outcome::Deferred,
        Outcome::Rejected,
        Outcome::Unknown,
    ];

    fn causes() -> Vec<Cause> {
        let decisions = [Decision::Accepted, Decision::Resend, Decision::Abandoned];
        let mut causes = vec![
            Cause::Arm,
            Cause::GiveUp,
            Cause::TakeBack,
            Cause::Recovery,
            Cause::OlderLedger,
            Cause::Breaker,
            Cause::OtherBytes,
        ];
        causes.extend(OUTCOMES.map(Cause::Outcome));
        causes.extend(decisions.map(Cause::Person));
        causes
    }

    #[test]
    fn only_a_person_opens_what_may_have_been_accepted() {
        let closed = [State::Accepted, State::Unknown, State::Delivered];
        for state in closed {
            for cause in causes() {
                if matches!(cause, Cause::Person(_)) {
                    continue;
                }
                assert!(next(state, cause).is_err(), "{state} by {cause:?}");
            }
        }
    }

    #[test]
    fn nothing_is_accepted_or_unknown_by_a_relay_without_having_been_armed() {
        for state in State::ALL {
            for outcome in [Outcome::Accepted, Outcome::Unknown] {
                let allowed = next(state, Cause::Outcome(outcome)).is_ok();
                assert_eq!(allowed, state == State::Armed, "{state} by {outcome:?}");
            }
        }
    }

    #[test]
    fn an_armed_invitation_found_at_start_can_only_become_unknown() {
        assert_eq!(next(State::Armed, Cause::Recovery), Ok(State::Unknown));
        assert_eq!(next(State::Armed, Cause::OlderLedger), Ok(State::Unknown));
        assert!(next(State::Armed, Cause::Arm).is_err());
        assert!(next(State::Armed, Cause::Person(Decision::Resend)).is_err());
    }

    #[test]
    fn refusals_of_a_relay_that_refuses_us_leave_nobody_rejected() {
        assert_eq!(next(State::Rejected, Cause::Breaker), Ok(State::Deferred));
        assert_eq!(next(State::Expired, Cause::Breaker), Ok(State::Deferred));
        for state in [State::Pending, State::Deferred, State::Armed] {
            assert_eq!(next(state, Cause::TakeBack), Ok(State::Pending));
            assert!(next(state, Cause::Breaker).is_err());
        }
        for cause in [Cause::Breaker, Cause::TakeBack] {
            assert!(next(State::Accepted, cause).is_err());
            assert!(next(State::Unknown, cause).is_err());
        }
    }

    #[test]
    fn a_person_abandons_what_is_not_on_its_way_and_was_not_accepted() {
        let abandon = Cause::Person(Decision::Abandoned);
        for state in State::ALL {
            let allowed = matches!(
                state,
                State::Unknown | State::Expired | State::Rejected | State::Bounced
            );
            assert_eq!(next(state, abandon).is_ok(), allowed, "{state}");
        }
    }

    #[test]
    fn suppressed_is_never_left() {
        for cause in causes() {
            assert!(next(State::Suppressed, cause).is_err(), "{cause:?}");
        }
    }

    #[test]
    fn names_of_states_read_back() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.as_str()), Some(state));
        }
        assert_eq!(State::from_name("sent"), None);
    }

    #[test]
    fn pauses_double_up_to_the_longest_with_a_little_jitter() {
        let schedule = RetrySchedule {
            first_after: SignedDuration::from_mins(30),
            max_after: SignedDuration::from_hours(8),
            give_up_after: SignedDuration::from_hours(120),
        };
        let now = Timestamp::UNIX_EPOCH;
        let seconds = |deferrals| schedule.due_again(now, deferrals, "id").as_second();

        for (deferrals, minutes) in [(1, 30), (2, 60), (3, 120), (5, 480), (90, 480)] {
            let got = seconds(deferrals);
            let pause = minutes * 60;
            assert!(
                (pause..pause + pause / 10).contains(&got),
                "{deferrals}: {got}"
            );
        }
        assert!(!schedule.gives_up(now, None));
        let long_ago = now - SignedDuration::from_hours(120);
        assert!(schedule.gives_up(now, Some(long_ago)));
    }

    #[test]
    fn the_message_id_depends_on_every_field_and_on_where_fields_end() {
        let key = MessageIdKey([7; 32]);
        let id = PackageId::parse("8e1f8f5a-2f0b-4f0e-9a67-3c6c1d9c0b11").unwrap();
        let ada = Address::parse("Ada@A.example").unwrap();
        let bob = Address::parse("bob@a.example").unwrap();
        let base = Identity::new("spring", id, &ada);

        let ids = [
            base.message_id(&key, 0, "x.example"),
            base.message_id(&key, 1, "x.example"),
            base.message_id(&MessageIdKey([8; 32]), 0, "x.example"),
            Identity::new("springs", id, &ada).message_id(&key, 0, "x.example"),
            Identity::new("spring", id, &bob).message_id(&key, 0, "x.example"),
        ];

        let distinct: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        let same = Identity::new("spring", id, &Address::parse("ada@a.EXAMPLE").unwrap());
        assert_eq!(same.message_id(&key, 0, "x.example"), ids[0]);
        assert_eq!(ids[0].len(), 32 + "@x.example".len());
    }
}

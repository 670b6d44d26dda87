//! What an SMTP reply means for the recipient: phase + reply → outcome (pure).
//!
//! Replies before RCPT concern the relay or the sender, and mark no recipient. Whether a permanent refusal
//! concerns the recipient depends on its text (module `refusal`). After the final dot, everything but a
//! clear acceptance or refusal is `unknown`, because the message may have been accepted (RFC 1047).

use std::fmt;

/// The phases of an SMTP conversation, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Phase {
    /// Name resolution and TCP.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The relay's greeting.
    Banner,
    /// EHLO.
    Ehlo,
    /// STARTTLS, up to its 220.
    StartTls,
    /// AUTH, all of its steps.
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA, up to its 354.
    Data,
    /// The message, up to its last line.
    Body,
    /// The terminating dot and its reply.
    Dot,
    /// RSET after a refusal.
    Rset,
}

impl Phase {
    /// The name under which the phase is recorded and configured.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A well-formed reply of the relay (RFC 5321 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Three digits; the first is 2 to 5.
    pub code: u16,
    /// The enhanced status code (RFC 3463), if its class is that of the code.
    pub enhanced: Option<String>,
    /// The text of all lines, joined by blanks, without control characters.
    pub text: String,
}

impl Reply {
    /// The first digit of the code.
    #[must_use]
    pub fn class(&self) -> u16 {
        self.code / 100
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [self.enhanced.as_deref().unwrap_or_default(), &self.text];
        write!(f, "{}", self.code)?;
        let mut parts = parts.into_iter().filter(|it| !it.is_empty());
        parts.try_for_each(|it| write!(f, " {it}"))
    }
}

/// The outcome of one attempt to mail one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Outcome {
    /// The relay accepted the message.
    Accepted,
    /// Refused temporarily: try again later.
    Deferred,
    /// Refused permanently.
    Rejected,
    /// The relay may have accepted the message.
    Unknown,
}

/// The meaning of a reply, or of a missing reply, at a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseResult {
    /// The phase succeeded.
    Proceed,
    /// The attempt has this outcome.
    Settled(Outcome),
    /// The message was refused permanently (5yz). It is `rejected` only with direct evidence about the
    /// recipient, otherwise `deferred`.
    PermanentRefusal,
    /// The message was not accepted, and the connection cannot be used; retry over another one.
    Interrupted,
    /// The relay is not available now. No recipient is marked.
    Unavailable,
    /// The relay refuses the sender, and would refuse it again. No recipient is marked.
    Refused,
}

/// The table of outcomes. `reply` is `None` if the relay sent no reply, or a malformed one.
#[must_use]
pub fn phase_result(phase: Phase, reply: Option<&Reply>) -> PhaseResult {
    use Outcome::{Accepted, Deferred, Unknown};
    use PhaseResult::{Interrupted, PermanentRefusal, Proceed, Refused, Settled, Unavailable};

    let class = reply.map(Reply::class);
    let code = reply.map(|it| it.code);
    match phase {
        Phase::Connect
        | Phase::Tls
        | Phase::Banner
        | Phase::Ehlo
        | Phase::StartTls
        | Phase::Auth
        | Phase::Mail => match class {
            Some(2) => Proceed,
            Some(5) => Refused,
            _ => Unavailable,
        },
        // A refusal during the body is as definite as one before it.
        Phase::Rcpt | Phase::Data | Phase::Body => match (code, class) {
            (Some(354), _) if phase == Phase::Data => Proceed,
            (_, Some(2)) if phase == Phase::Rcpt => Proceed,
            (Some(421), _) => Interrupted,
            (_, Some(4)) => Settled(Deferred),
            (_, Some(5)) => PermanentRefusal,
            _ => Interrupted,
        },
        Phase::Dot => match class {
            Some(2) => Settled(Accepted),
            Some(4) => Settled(Deferred),
            Some(5) => PermanentRefusal,
            _ => Settled(Unknown),
        },
        Phase::Rset => match class {
            Some(2) => Proceed,
            _ => Interrupted,
        },
    }
}

/// Whether the connection can be used after this reply to the final dot.
///
/// A 421 announces its end, and after a malformed reply no further reply can be matched to its command.
#[must_use]
pub fn connection_survives_dot(reply: Option<&Reply>) -> bool {
    reply.is_some_and(|it| matches!(it.class(), 2 | 4 | 5) && it.code != 421)
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::{
        Outcome, Phase, PhaseResult, Reply, connection_survives_dot, phase_result, testing,
    };

    fn reply(code: u16) -> Reply {
        testing::reply(&code.to_string())
    }

    #[test]
    fn every_phase_and_reply_class_has_its_result() {
        use Outcome::{Accepted, Deferred, Unknown};
        use PhaseResult::{Interrupted, PermanentRefusal, Proceed, Refused, Settled, Unavailable};

        // Columns: 250, 354, 421, 451, 550, no reply.
        let before = [
            Proceed,
            Unavailable,
            Unavailable,
            Unavailable,
            Refused,
            Unavailable,
        ];
        let table = [
            (Phase::Connect, before),
            (Phase::Tls, before),
            (Phase::Banner, before),
            (Phase::Ehlo, before),
            (Phase::StartTls, before),
            (Phase::Auth, before),
            (Phase::Mail, before),
            (
                Phase::Rcpt,
                [
                    Proceed,
                    Interrupted,
                    Interrupted,
                    Settled(Deferred),
                    PermanentRefusal,
                    Interrupted,
                ],
            ),
            (
                Phase::Data,
                [
                    Interrupted,
                    Proceed,
                    Interrupted,
                    Settled(Deferred),
                    PermanentRefusal,
                    Interrupted,
                ],
            ),
            (
                Phase::Body,
                [
                    Interrupted,
                    Interrupted,
                    Interrupted,
                    Settled(Deferred),
                    PermanentRefusal,
                    Interrupted,
                ],
            ),
            (
                Phase::Dot,
                [
                    Settled(Accepted),
                    Settled(Unknown),
                    Settled(Deferred),
                    Settled(Deferred),
                    PermanentRefusal,
                    Settled(Unknown),
                ],
            ),
            (
                Phase::Rset,
                [
                    Proceed,
                    Interrupted,
                    Interrupted,
                    Interrupted,
                    Interrupted,
                    Interrupted,
                ],
            ),
        ];

        for (phase, expected) in table {
            let got = [250, 354, 421, 451, 550].map(|code| phase_result(phase, Some(&reply(code))));
            assert_eq!(got, expected[..5], "{phase}");
            assert_eq!(phase_result(phase, None), expected[5], "{phase}, no reply");
        }
        assert_eq!(
            phase_result(Phase::Dot, Some(&reply(268))),
            Settled(Accepted)
        );
    }

    #[test]
    fn only_a_clear_reply_to_the_dot_keeps_the_connection() {
        for code in [250, 268, 450, 451, 550, 554] {
            assert!(connection_survives_dot(Some(&reply(code))), "{code}");
        }
        for code in [354, 421] {
            assert!(!connection_survives_dot(Some(&reply(code))), "{code}");
        }
        assert!(!connection_survives_dot(None));
    }
}

//! Whether the replies to a pipelined envelope came in the order of its commands.
//!
//! Replies can be matched to commands only by their order (RFC 2920 §3.1). If a relay loses a command or
//! replies out of order, all further replies are shifted, and a refusal could be read as an acceptance.
//! Codes that do not fit their command reveal that. The order is not detected as wrong if each reply fits the
//! command to which it is matched.

use crate::outcome::{Phase, Reply};

/// The replies to one write: the final dot before it, if any, and the envelope.
#[derive(Clone, Debug, Default)]
pub struct GroupReplies {
    /// The reply to the dot that the envelope follows.
    pub dot: Option<Reply>,
    mail: Option<Reply>,
    rcpt: Option<Reply>,
    data: Option<Reply>,
}

/// Whether the codes of a group's replies fit the order of its commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyOrder {
    /// All were read, and each fits its command.
    Fits,
    /// Those that were read fit; others are missing.
    Incomplete,
    /// A command was lost or damaged: the relay reports a bad sequence of commands.
    PartLost,
    /// There are more replies than commands, all of them positive.
    Surplus,
    /// The replies are not in the order of the commands, so none of them is reliable.
    Mixed,
}

impl GroupReplies {
    /// Notes the reply that was read for `phase`.
    pub fn note(&mut self, phase: Phase, reply: &Reply) {
        let place = match phase {
            Phase::Dot => &mut self.dot,
            Phase::Mail => &mut self.mail,
            Phase::Rcpt => &mut self.rcpt,
            _ => &mut self.data,
        };
        *place = Some(reply.clone());
    }

    /// Compares the replies with the commands.
    #[must_use]
    pub fn order(&self) -> ReplyOrder {
        let class = |it: &Option<Reply>| it.as_ref().map(Reply::class);
        let (dot, mail) = (class(&self.dot), class(&self.mail));
        let (rcpt, data) = (class(&self.rcpt), class(&self.data));
        let refused = |it: Option<u16>| matches!(it, Some(4 | 5));
        let waits = self.data.as_ref().is_some_and(|it| it.code == 354);

        // A 3yz answers DATA only, and only as 354.
        if [dot, mail, rcpt].contains(&Some(3)) || (data == Some(3) && !waits) {
            return ReplyOrder::Mixed;
        }
        // After a refused MAIL, no other command of the transaction can succeed.
        if refused(mail) && (rcpt == Some(2) || waits) {
            return ReplyOrder::Mixed;
        }
        // The reply to MAIL concerns the sender. One about a recipient belongs to RCPT.
        let about_recipient = self.mail.as_ref().is_some_and(has_recipient_code);
        if dot.is_some() && refused(mail) && (about_recipient || self.continues_unexpectedly()) {
            return ReplyOrder::Mixed;
        }
        // A refused dot and a RCPT out of sequence: possibly MAIL was refused and the dot accepted.
        let unexpected = self.rcpt.as_ref().is_some_and(is_sequence_error);
        if refused(dot) && mail == Some(2) && unexpected {
            return ReplyOrder::Mixed;
        }
        if data == Some(2) {
            // DATA is answered by 354, so four positive replies are one too many.
            let positive = [dot.unwrap_or(2), mail.unwrap_or(2), rcpt.unwrap_or(2)] == [2; 3];
            return if positive {
                ReplyOrder::Surplus
            } else {
                ReplyOrder::Mixed
            };
        }
        let first_refusal = [&self.mail, &self.rcpt, &self.data]
            .into_iter()
            .flatten()
            .find(|it| refused(Some(it.class())));
        if first_refusal.is_some_and(is_sequence_error) {
            return ReplyOrder::PartLost;
        }
        if [mail, rcpt, data].iter().all(Option::is_some) {
            ReplyOrder::Fits
        } else {
            ReplyOrder::Incomplete
        }
    }

    /// Whether RCPT and DATA after a refused MAIL got other replies than usual, which are sequence errors
    /// or the same refusal each time. After 421 any reply may follow.
    fn continues_unexpectedly(&self) -> bool {
        let Some(mail) = self.mail.as_ref().filter(|it| it.code != 421) else {
            return false;
        };
        let rest = [&self.rcpt, &self.data].into_iter().flatten();
        let mut refusals = rest.filter(|it| it.class() >= 4);
        let sequence = refusals.clone().all(|it| {
            // DATA without a recipient also gets `554 no valid recipients` (RFC 5321 §3.3).
            let bare_554 = it.code == 554 && it.enhanced.is_none();
            is_sequence_error(it) || bare_554 || it.code == 421
        });
        let repeated = refusals.all(|it| (mail.code, &mail.enhanced) == (it.code, &it.enhanced));
        !sequence && !repeated
    }
}

/// Whether a reply says that a command was not understood or not expected. The commands are sent
/// complete and in order, so something was lost.
fn is_sequence_error(reply: &Reply) -> bool {
    let invalid = reply.enhanced.as_deref().and_then(|it| it.split_once('.'));
    matches!(reply.code, 500 | 502 | 503) || invalid.is_some_and(|(_, it)| it == "5.1")
}

/// Enhanced codes about a recipient's address or mailbox (RFC 3463 §3.2, §3.3).
fn has_recipient_code(reply: &Reply) -> bool {
    let detail = reply.enhanced.as_deref().and_then(|it| it.split_once('.'));
    detail.is_some_and(|(_, it)| {
        matches!(
            it,
            "1.1" | "1.2" | "1.3" | "1.4" | "1.5" | "1.6" | "1.10" | "2.1" | "2.2"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::testing;

    /// A reply `550 5.1.1`, `250`; `-` is none.
    fn reply(text: &str) -> Option<Reply> {
        (text != "-").then(|| testing::reply(text))
    }

    fn order(dot: &str, mail: &str, rcpt: &str, data: &str) -> ReplyOrder {
        GroupReplies {
            dot: reply(dot),
            mail: reply(mail),
            rcpt: reply(rcpt),
            data: reply(data),
        }
        .order()
    }

    #[test]
    fn the_order_of_replies_follows_from_their_codes() {
        use ReplyOrder::{Fits, Incomplete, Mixed, PartLost, Surplus};
        let table = [
            // Correct relays.
            ("-", "250", "250", "354", Fits),
            ("250", "250", "250", "354", Fits),
            ("550", "250", "250", "354", Fits),
            ("451", "250", "550 5.1.1", "503", Fits),
            ("250", "250", "550 5.1.1", "354", Fits),
            ("250", "250", "450", "554 5.5.1", Fits),
            ("250", "451", "503 5.5.1", "503", Fits),
            ("250", "550 5.1.8", "503", "503", Fits),
            ("250", "550 5.1.8", "503 5.5.1", "554", Fits),
            ("250", "530 5.7.57", "530 5.7.57", "530 5.7.57", Fits),
            ("250", "421", "421", "421", Fits),
            ("250", "550 5.7.1", "550 5.7.1", "503", Mixed),
            ("250", "450 4.2.0", "503", "450 4.2.0", Mixed),
            ("250", "421 4.3.2", "450 4.2.0", "-", Incomplete),
            ("250", "550 5.7.60", "503", "503", Fits),
            ("-", "550 5.1.1", "503", "503", Fits),
            ("250", "250", "250", "554 5.7.1", Fits),
            ("250", "-", "-", "-", Incomplete),
            ("250", "250", "550", "-", Incomplete),
            // A command was lost.
            ("-", "503", "503", "-", PartLost),
            ("-", "503 5.5.1", "503 5.5.1", "-", PartLost),
            ("250", "503", "503", "-", PartLost),
            ("-", "250", "503", "-", PartLost),
            ("-", "250", "554 5.5.1", "-", PartLost),
            ("-", "250", "250", "503", PartLost),
            ("-", "500 5.5.2", "250", "354", Mixed),
            ("-", "502", "503", "503", PartLost),
            // One reply too many.
            ("-", "250", "250", "250", Surplus),
            ("250", "250", "250", "250", Surplus),
            // The envelope was answered before the dot, which was accepted, deferred or refused.
            ("250", "250", "354", "250", Mixed),
            ("250", "250", "354", "550", Mixed),
            ("250", "250", "354", "-", Mixed),
            ("250", "550 5.1.1", "503", "550", Mixed),
            ("250", "550", "503", "250", Mixed),
            ("451", "503", "503", "250", Mixed),
            ("451", "250", "503 5.5.1", "503", Mixed),
            ("250", "550 5.7.1", "503", "450", Mixed),
            ("250", "550", "550 5.1.1", "503", Mixed),
            // The dot was answered between the replies to the envelope.
            ("250", "550 5.7.1", "250", "354", Mixed),
            ("250", "451", "250", "354", Mixed),
            ("354", "250", "250", "250", Mixed),
            ("250", "354", "250", "250", Mixed),
            ("-", "250", "354", "250", Mixed),
            ("-", "354", "250", "250", Mixed),
            ("250", "250", "250", "334", Mixed),
            ("250", "550 5.7.1", "550 5.1.1", "354", Mixed),
            ("550", "250", "250", "250", Mixed),
        ];
        for (dot, mail, rcpt, data, expected) in table {
            assert_eq!(
                order(dot, mail, rcpt, data),
                expected,
                "{dot}, {mail}, {rcpt}, {data}"
            );
        }
    }

    /// Finds all orders in which a late reply to the dot changes its outcome and no code shows that.
    #[test]
    fn f22_only_two_wrong_orders_are_undetected() {
        let groups = [
            ["250", "250", "354"],
            ["250", "550 5.1.1", "503 5.5.1"],
            ["250", "550 5.7.1", "503 5.5.1"],
            ["451", "503 5.5.1", "503 5.5.1"],
        ];
        let mut unnoticed = Vec::new();
        for [mail, rcpt, data] in groups {
            for dot in ["250", "450", "550 5.7.1"] {
                let replies = [dot, mail, rcpt, data];
                // The dot's reply comes later, the others in their order, as from a proxy that
                // answers envelopes by itself.
                for place in 1..4 {
                    let mut read = replies.to_vec();
                    let late = read.remove(0);
                    read.insert(place, late);
                    let order = order(read[0], read[1], read[2], read[3]);
                    let class = |it: &str| it.as_bytes()[0];
                    let [taken, meant] = [class(read[0]), class(dot)];
                    // A temporary refusal read as a permanent one, or the reverse, mails nobody twice.
                    let harmless = taken == meant || [taken, meant].iter().all(|it| *it > b'3');
                    if !harmless && order != ReplyOrder::Mixed {
                        unnoticed.push(format!("{dot} read as {}: {read:?}", read[0]));
                    }
                }
            }
        }
        assert_eq!(
            unnoticed,
            [
                "450 read as 250: [\"250\", \"250\", \"450\", \"354\"]",
                "550 5.7.1 read as 250: [\"250\", \"250\", \"550 5.7.1\", \"354\"]",
            ]
        );
    }
}

//! DNS messages (RFC 1035 §4): a query as bytes, and what an answer says about the name.

use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

use super::error::DnsError;

/// The size of UDP answers that passes most networks without fragmentation (DNS Flag Day 2020).
const UDP_SIZE: u16 = 1_232;
/// How many aliases are followed within one answer.
const ALIASES: usize = 8;

/// The types of records that can be requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail exchangers.
    Mx,
    /// Texts.
    Txt,
}

impl RecordType {
    fn code(self) -> QTYPE {
        QTYPE::TYPE(match self {
            Self::A => TYPE::A,
            Self::Aaaa => TYPE::AAAA,
            Self::Mx => TYPE::MX,
            Self::Txt => TYPE::TXT,
        })
    }
}

/// What a message from a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Not an answer to this query.
    Unrelated,
    /// It is incomplete; TCP has the complete one.
    Truncated,
    /// The server does not understand EDNS.
    WithoutEdns,
    /// The records of this type, as text; empty for types other than TXT.
    Records(Vec<String>),
    /// The name is an alias of this name, whose records are not in the answer.
    Alias(String),
    /// The name does not exist.
    NoSuchName,
    /// The server failed, refused, or the answer is malformed.
    Failed(String),
}

/// A query.
pub struct Query<'n> {
    pub id: u16,
    name: Name<'n>,
    kind: RecordType,
}

impl<'n> Query<'n> {
    pub fn new(id: u16, name: &'n str, kind: RecordType) -> Result<Self, DnsError> {
        let not_a_name = || DnsError::NotAName(name.to_owned());
        // The parser skips empty labels.
        if name.split('.').any(str::is_empty) {
            return Err(not_a_name());
        }
        let name = Name::new(name).map_err(|_| not_a_name())?;
        Ok(Self { id, name, kind })
    }

    /// The bytes of the query.
    pub fn bytes(&self, edns: bool) -> Vec<u8> {
        let mut packet = Packet::new_query(self.id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        packet.questions.push(Question::new(
            self.name.clone(),
            self.kind.code(),
            QCLASS::CLASS(CLASS::IN),
            false,
        ));
        if edns {
            *packet.opt_mut() = Some(OPT {
                opt_codes: Vec::new(),
                udp_packet_size: UDP_SIZE,
                version: 0,
            });
        }
        packet
            .build_bytes_vec()
            .expect("a query of one valid name can be written")
    }

    /// What these bytes say about the query.
    pub fn read(&self, bytes: &[u8]) -> Answer {
        // The id and the flag of an answer, by which a malformed answer is distinguished from an unrelated message.
        let is_answer =
            bytes.len() > 3 && bytes[..2] == self.id.to_be_bytes() && bytes[2] & 0x80 != 0;
        if !is_answer {
            return Answer::Unrelated;
        }
        let malformed = || Answer::Failed("sent a malformed answer".into());
        let Ok(packet) = Packet::parse(bytes) else {
            // The last record of a truncated answer may be cut.
            return match bytes[2] & 0x02 {
                0 => malformed(),
                _ => Answer::Truncated,
            };
        };
        match packet.questions.as_slice() {
            [question] if question.qname == self.name && question.qtype == self.kind.code() => {}
            // Servers may leave out the question of a query that they refuse to parse.
            [] if packet.rcode() == RCODE::FormatError => return Answer::WithoutEdns,
            _ => return Answer::Unrelated,
        }
        if packet.has_flags(PacketFlag::TRUNCATION) {
            return Answer::Truncated;
        }
        match packet.rcode() {
            RCODE::NoError => self.records(&packet),
            RCODE::NameError => Answer::NoSuchName,
            RCODE::FormatError => Answer::WithoutEdns,
            RCODE::ServerFailure => Answer::Failed("failed (SERVFAIL)".into()),
            RCODE::Refused => Answer::Failed("refused the query (REFUSED)".into()),
            other => Answer::Failed(format!("replied {other:?}")),
        }
    }

    /// The records of the name, or of what it is an alias of.
    fn records(&self, packet: &Packet<'_>) -> Answer {
        let mut owner = self.name.clone();
        let of = |owner: &Name<'_>| {
            let owner = owner.clone().into_owned();
            let answers = packet.answers.iter();
            answers.filter(move |it| it.name == owner && it.class == CLASS::IN)
        };
        for _ in 0..=ALIASES {
            let wanted = of(&owner).filter(|it| it.match_qtype(self.kind.code()));
            let records: Vec<String> = wanted.map(|it| text_of(&it.rdata)).collect();
            if !records.is_empty() {
                return Answer::Records(records);
            }
            let alias = of(&owner).find_map(|it| match &it.rdata {
                RData::CNAME(alias) => Some(alias.0.clone().into_owned()),
                _ => None,
            });
            match alias {
                Some(alias) => owner = alias,
                None if owner == self.name => return Answer::Records(Vec::new()),
                None => return Answer::Alias(owner.to_string()),
            }
        }
        Answer::Failed("sent an answer with too many aliases (CNAME)".into())
    }
}

/// The strings of a TXT record joined (RFC 7208 §3.3); bytes that are not UTF-8 are replaced.
fn text_of(record: &RData<'_>) -> String {
    match record {
        RData::TXT(text) => String::try_from(text.clone())
            .unwrap_or_else(|it| String::from_utf8_lossy(it.as_bytes()).into_owned()),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use simple_dns::rdata::{CNAME, TXT};
    use simple_dns::{CharacterString, ResourceRecord};

    use super::*;

    fn query() -> Query<'static> {
        Query::new(7, "contoso.com", RecordType::Txt).unwrap()
    }

    /// An answer to a question for the TXT records of `name`.
    fn answer(name: &'static str, records: Vec<ResourceRecord<'static>>) -> Packet<'static> {
        let mut packet = Packet::new_reply(7);
        let name = Name::new(name).unwrap();
        let question = Question::new(name, TYPE::TXT.into(), CLASS::IN.into(), false);
        packet.questions.push(question);
        packet.answers = records;
        packet
    }

    fn record(name: &'static str, data: RData<'static>) -> ResourceRecord<'static> {
        ResourceRecord::new(Name::new(name).unwrap(), CLASS::IN, 60, data)
    }

    fn txt(strings: &[&'static [u8]]) -> RData<'static> {
        let strings = strings.iter().map(|it| CharacterString::new(it).unwrap());
        RData::TXT(strings.fold(TXT::new(), TXT::with_char_string))
    }

    fn alias(target: &'static str) -> RData<'static> {
        RData::CNAME(CNAME(Name::new(target).unwrap()))
    }

    fn read(packet: &Packet<'_>) -> Answer {
        query().read(&packet.build_bytes_vec().unwrap())
    }

    #[test]
    fn the_strings_of_a_record_are_joined_and_other_names_are_ignored() {
        let packet = answer(
            "CONTOSO.com",
            vec![
                record("contoso.com", txt(&[b"v=spf1 inc", b"lude:x -all"])),
                record("other.com", txt(&[b"v=spf1 +all"])),
                record("contoso.com", txt(&[b"\xff"])),
            ],
        );
        let expected = ["v=spf1 include:x -all", "\u{fffd}"].map(str::to_owned);
        assert_eq!(read(&packet), Answer::Records(expected.to_vec()));
        assert_eq!(
            read(&answer("contoso.com", vec![])),
            Answer::Records(vec![])
        );
    }

    #[test]
    fn aliases_are_followed_within_the_answer_and_not_without_end() {
        let mut records = vec![
            record("contoso.com", alias("a.net")),
            record("b.net", txt(&[b"x"])),
        ];
        let packet = answer("contoso.com", records.clone());
        assert_eq!(read(&packet), Answer::Alias("a.net".into()));
        records.push(record("a.net", alias("B.net")));
        let packet = answer("contoso.com", records.clone());
        assert_eq!(read(&packet), Answer::Records(vec!["x".into()]));
        records[1] = record("b.net", alias("contoso.com"));
        let looping = read(&answer("contoso.com", records));
        assert!(matches!(looping, Answer::Failed(_)), "{looping:?}");
    }

    #[test]
    fn messages_that_do_not_answer_the_query_are_told_apart() {
        let bytes = |packet: &Packet<'_>| packet.build_bytes_vec().unwrap();
        let good = answer("contoso.com", vec![record("contoso.com", txt(&[b"x"]))]);

        let mut other = good.clone();
        other.set_id(8);
        assert_eq!(read(&other), Answer::Unrelated);
        assert_eq!(read(&answer("contoso.net", vec![])), Answer::Unrelated);
        assert_eq!(query().read(&query().bytes(true)), Answer::Unrelated);
        assert_eq!(query().read(&[0, 7]), Answer::Unrelated);

        let mut truncated = good.clone();
        truncated.set_flags(PacketFlag::TRUNCATION);
        assert_eq!(read(&truncated), Answer::Truncated);
        let cut = bytes(&truncated);
        assert_eq!(query().read(&cut[..cut.len() - 1]), Answer::Truncated);
        let cut = bytes(&good);
        let malformed = query().read(&cut[..cut.len() - 1]);
        assert_eq!(malformed, Answer::Failed("sent a malformed answer".into()));

        for (code, expected) in [
            (RCODE::NameError, Answer::NoSuchName),
            (RCODE::FormatError, Answer::WithoutEdns),
            (
                RCODE::ServerFailure,
                Answer::Failed("failed (SERVFAIL)".into()),
            ),
        ] {
            let mut packet = good.clone();
            *packet.rcode_mut() = code;
            assert_eq!(read(&packet), expected);
        }
    }

    #[test]
    fn names_that_dns_does_not_allow_are_refused() {
        let long = "a".repeat(64);
        let longer = "abc.".repeat(64);
        for name in ["", ".", "a..b", &long, &longer] {
            let refused = Query::new(1, name, RecordType::A).err();
            assert_eq!(refused, Some(DnsError::NotAName(name.to_owned())), "{name}");
        }
    }

    #[test]
    fn random_bytes_are_never_an_answer_with_records() {
        let mut random = fastrand::Rng::with_seed(1);
        for length in 0..2_000 {
            let mut bytes: Vec<u8> = (0..length % 200).map(|_| random.u8(..)).collect();
            if let [first, second, third, ..] = bytes.as_mut_slice() {
                (*first, *second, *third) = (0, 7, 0x80);
            }
            let read = query().read(&bytes);
            assert!(!matches!(read, Answer::Records(it) if !it.is_empty()));
        }
    }
}

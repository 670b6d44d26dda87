//! Following the lookups of an SPF record, as a receiver does for a sender that no mechanism names.

use std::collections::VecDeque;

use super::lookups::Lookups;
use super::spf::{self, Lookup};
use crate::dns::{DnsError, RecordType};

/// How many lookups receivers make for one message (RFC 7208 §4.6.4).
pub const LIMIT: usize = 10;
/// How many of them should be allowed to find nothing (the same section).
pub const VOID_LIMIT: usize = 2;
/// How many lookups are counted. A record that includes itself has no end.
pub const COUNTED: usize = 40;

/// What the lookups of a record found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// How many there are.
    pub lookups: usize,
    /// The names for which there is nothing.
    pub void: Vec<String>,
    /// Included domains without a valid record, which invalidates the whole record (§5.2), with the reason.
    pub broken: Vec<(String, String)>,
    /// All domains whose records apply.
    pub included: Vec<String>,
}

impl Walk {
    /// Follows the lookups of the record of `domain`.
    pub async fn of(
        domain: &str,
        record: &spf::Record,
        dns: &mut Lookups<'_>,
    ) -> Result<Self, DnsError> {
        let mut walk = Self::default();
        let of = |domain: &str, record: &spf::Record| {
            let domain = domain.to_owned();
            let terms = record.lookups.clone().into_iter();
            terms.map(move |it| (domain.clone(), it))
        };
        let mut next: VecDeque<(String, Lookup)> = of(domain, record).collect();
        while let Some((domain, term)) = next.pop_front()
            && walk.lookups < COUNTED
        {
            walk.lookups += 1;
            let addresses = [RecordType::A, RecordType::Aaaa];
            let (name, kinds) = match term {
                Lookup::Include(name) | Lookup::Redirect(name) => {
                    // The value of a macro depends on the message.
                    if !name.contains('%') {
                        next.extend(
                            walk.enter(&name, dns)
                                .await?
                                .iter()
                                .flat_map(|it| of(&name, it)),
                        );
                    }
                    continue;
                }
                Lookup::Address(name) => (name.unwrap_or(domain), &addresses[..]),
                Lookup::Mx(name) => (name.unwrap_or(domain), &[RecordType::Mx][..]),
                Lookup::Exists(name) => (name, &[RecordType::A][..]),
                Lookup::Ptr => continue,
            };
            if !name.contains('%') && !dns.has(&name, kinds).await? {
                walk.void.push(name);
            }
        }
        Ok(walk)
    }

    /// The record of an included domain, unless it is broken.
    async fn enter(
        &mut self,
        name: &str,
        dns: &mut Lookups<'_>,
    ) -> Result<Option<spf::Record>, DnsError> {
        self.included.push(name.to_owned());
        let texts = dns.txt(name).await?;
        if texts.is_empty() {
            self.void.push(name.to_owned());
        }
        let mut records = texts.iter().filter(|it| spf::is_spf(it));
        let why = match (records.next(), records.next()) {
            (None, _) => "has no SPF record".to_owned(),
            (Some(_), Some(_)) => "has several SPF records".to_owned(),
            (Some(record), None) => match spf::parse(record) {
                Ok(record) => return Ok(Some(record)),
                Err(term) => format!("has an invalid SPF record (`{term}`)"),
            },
        };
        self.broken.push((name.to_owned(), why));
        Ok(None)
    }
}

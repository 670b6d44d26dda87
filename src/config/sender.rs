//! `[sender]`: who invites.

use super::key::Kind;
use super::reader::Section;
use super::values::{Value, list, one_line, parsed_text, switch, text};
use crate::address::Address;

/// Who invites.
#[derive(Debug)]
pub struct Sender {
    /// The name shown beside the address.
    pub name: Option<String>,
    /// The From header and the envelope's sender.
    pub address: Address,
    /// Where replies go, if not to `address`.
    pub reply_to: Option<(Option<String>, Address)>,
    /// The inviting organisation.
    pub organization: String,
    /// Whom partners can ask whether the mail is genuine.
    pub contact: Option<String>,
    /// The selectors of the domain's DKIM keys that `check --connect` looks up; empty if not configured.
    pub dkim_selectors: Vec<String>,
    /// Whether a mail offers to refuse further mail, by a mail to `address`.
    pub unsubscribe: bool,
}

impl Sender {
    /// The address that replies go to.
    #[must_use]
    pub fn reply_address(&self) -> &Address {
        self.reply_to.as_ref().map_or(&self.address, |it| &it.1)
    }

    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let from = section
            .key("from", "From header and envelope sender")
            .required(mailbox());
        let reply_to = section
            .key("reply_to", "the address for replies; unset: `from`")
            .optional(mailbox());
        let organization = section
            .key("organization", "the inviting organisation")
            .required(text());
        let contact = section
            .key("contact", "whom to ask if the mail is genuine")
            .optional(text());
        let dkim_selectors = section
            .key(
                "dkim_selectors",
                "the DKIM keys that `check --connect` looks up",
            )
            .optional(list(selector()));
        let unsubscribe = section
            .key("unsubscribe", "adds List-Unsubscribe: a mail to `from`")
            .or("false", switch());
        let (name, address) = from?;
        Some(Self {
            name,
            address,
            reply_to,
            organization: organization?,
            contact,
            dkim_selectors: dkim_selectors.unwrap_or_default(),
            unsubscribe,
        })
    }
}

/// A selector: one or more labels of a DNS name (RFC 6376 §3.1).
fn selector<'r>() -> Value<'r, String> {
    parsed_text("a DKIM selector such as \"selector1\"", |text| {
        let is_label = |it: &str| {
            let fits = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_');
            (1..=63).contains(&it.len()) && it.bytes().all(fits)
        };
        // The key's whole name is not a selector.
        let fits = text.split('.').all(is_label) && !text.contains("_domainkey");
        fits.then(|| text.to_owned())
    })
}

/// `Name <address>` or a bare address; the name may be in quotes.
pub fn mailbox<'r>() -> Value<'r, (Option<String>, Address)> {
    const MAILBOX: &str = "a mailbox such as \"Partner Desk <partners@contoso.example>\"";
    Value::new(Kind::Text(MAILBOX), |value| {
        let written = one_line(value)?;
        let (name, address) = match written.strip_suffix('>').and_then(|it| it.rsplit_once('<')) {
            Some((name, address)) => (name.trim(), address.trim()),
            None => ("", written.as_str()),
        };
        let address =
            Address::parse(address).map_err(|error| format!("must be {MAILBOX}: {error}"))?;
        let quoted = name.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
        let name = match quoted {
            Some(name) => name.replace("\\\"", "\"").replace("\\\\", "\\"),
            None => name.to_owned(),
        };
        Ok(((!name.is_empty()).then_some(name), address))
    })
}

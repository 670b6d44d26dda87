//! A finished message, parsed for display.

use std::io;

use mail_parser::{HeaderValue, Message, MessageParser};

use crate::digest;

/// Headers that differ each time a message is composed.
const VOLATILE: [&str; 3] = ["date", "message-id", "content-type"];

/// The content of a message.
#[derive(Debug)]
pub struct ParsedMessage {
    /// The subject.
    pub subject: String,
    /// The recipient's name, where there is one.
    pub name: String,
    /// The recipient's address.
    pub address: String,
    /// The tag of its language.
    pub language: String,
    /// Every header as a mail program shows it.
    pub headers: Vec<(String, String)>,
    /// The text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
}

impl ParsedMessage {
    /// Parses finished bytes.
    ///
    /// # Errors
    /// If they are not a message.
    pub fn of(bytes: &[u8]) -> io::Result<Self> {
        let message = MessageParser::default()
            .parse(bytes)
            .ok_or_else(|| io::Error::other("the message cannot be parsed"))?;
        let to = message.to().and_then(mail_parser::Address::first);
        let part = |it: Option<&str>| it.unwrap_or_default().to_owned();
        Ok(Self {
            subject: part(message.subject()),
            name: part(to.and_then(mail_parser::Addr::name)),
            address: part(to.and_then(mail_parser::Addr::address)),
            language: match message.header("Content-Language") {
                Some(HeaderValue::Text(language)) => language.to_string(),
                _ => String::new(),
            },
            headers: headers(&message),
            text: part(message.body_text(0).as_deref()),
            html: part(message.body_html(0).as_deref()),
        })
    }

    /// Eight bytes of a hash over all that the recipient reads.
    #[must_use]
    pub fn digest(&self) -> [u8; 8] {
        let is_stable =
            |it: &&(String, String)| !VOLATILE.iter().any(|name| it.0.eq_ignore_ascii_case(name));
        let headers = self.headers.iter().filter(is_stable);
        let headers = headers.flat_map(|(name, value)| [name.as_str(), value]);
        digest::short(headers.chain([self.text.as_str(), &self.html]))
    }
}

fn headers(message: &Message<'_>) -> Vec<(String, String)> {
    let raw = message.headers_raw();
    raw.map(|(name, raw)| {
        let value = match message.header(name.to_owned()) {
            Some(HeaderValue::Address(addresses)) => {
                let shown = addresses.iter().map(|it| {
                    let address = it.address().unwrap_or_default();
                    let name = it.name().map(|name| format!("{name} <{address}>"));
                    name.unwrap_or_else(|| address.to_owned())
                });
                shown.collect::<Vec<_>>().join(", ")
            }
            Some(HeaderValue::Text(text)) if !name.eq_ignore_ascii_case("message-id") => {
                text.to_string()
            }
            _ => raw.split_whitespace().collect::<Vec<_>>().join(" "),
        };
        (name.to_owned(), value)
    })
    .collect()
}

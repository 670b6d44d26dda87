//! A finished message, parsed for display.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_parser::decoders::html::html_to_text;
use mail_parser::{HeaderValue, Message, MessageParser, MessagePart, MimeHeaders};
use serde::Serialize;

use crate::address::Address;
use crate::digest;

/// Headers that differ each time a message is composed.
const VOLATILE: [&str; 3] = ["date", "message-id", "content-type"];

/// How many characters of the text an inbox shows at most.
const PREHEADER: usize = 160;

/// A name and an address as a header has them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Mailbox {
    /// The name, where there is one.
    pub name: String,
    /// The address.
    pub address: String,
    /// The address with its domain in Unicode, where it differs.
    pub unicode: String,
}

impl Mailbox {
    fn first(addresses: Option<&mail_parser::Address<'_>>) -> Option<Self> {
        let found = addresses?.first()?;
        let part = |it: Option<&str>| it.unwrap_or_default().to_owned();
        let address = part(found.address());
        Some(Self {
            name: part(found.name()),
            unicode: unicode(&address),
            address,
        })
    }
}

/// An address with its domain in Unicode; the empty text if it is the same, or no address.
pub fn unicode(address: &str) -> String {
    let parsed = Address::parse(address).ok();
    parsed.and_then(|it| it.unicode()).unwrap_or_default()
}

/// The content of a message.
#[derive(Debug)]
pub struct ParsedMessage {
    /// The subject.
    pub subject: String,
    /// The sender.
    pub from: Mailbox,
    /// Where replies go, if not to the sender.
    pub reply_to: Option<Mailbox>,
    /// The recipient.
    pub to: Mailbox,
    /// The tag of its language.
    pub language: String,
    /// Every header as a mail program shows it.
    pub headers: Vec<(String, String)>,
    /// The text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// The images that the HTML shows: the URL of each there, and one that contains it.
    pub images: Vec<(String, String)>,
    /// What an inbox shows beside the subject: the beginning of the HTML part's text, with what it hides.
    pub preheader: String,
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
        let part = |it: Option<&str>| it.unwrap_or_default().to_owned();
        let html = part(message.body_html(0).as_deref());
        Ok(Self {
            subject: part(message.subject()),
            from: Mailbox::first(message.from()).unwrap_or_default(),
            reply_to: Mailbox::first(message.reply_to()),
            to: Mailbox::first(message.to()).unwrap_or_default(),
            language: match message.header("Content-Language") {
                Some(HeaderValue::Text(language)) => language.to_string(),
                _ => String::new(),
            },
            headers: headers(&message),
            text: part(message.body_text(0).as_deref()),
            images: message.parts.iter().filter_map(image).collect(),
            preheader: preheader(&html),
            html,
        })
    }

    /// The HTML part with its images in it, as a browser can show it without the message.
    #[must_use]
    pub fn page(&self) -> String {
        let with_image =
            |page: String, (url, data): &(String, String)| page.replace(url.as_str(), data);
        self.images.iter().fold(self.html.clone(), with_image)
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

/// The URL of an image in the HTML part, and a `data:` URL with its content.
fn image(part: &MessagePart<'_>) -> Option<(String, String)> {
    let id = part.content_id()?;
    let content_type = part.content_type().filter(|it| it.ctype() == "image")?;
    let kind = content_type.subtype()?;
    let content = STANDARD.encode(part.contents());
    Some((
        format!("cid:{id}"),
        format!("data:image/{kind};base64,{content}"),
    ))
}

fn preheader(html: &str) -> String {
    let text = html_to_text(html);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.chars().take(PREHEADER).collect()
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

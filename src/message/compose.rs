//! One partner, one message: words from the templates, MIME by lettre.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use jiff::Timestamp;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, MultiPartKind, SinglePart};
use sha2::{Digest, Sha256};

use super::{Expected, prove};
use crate::address::Address;
use crate::config::{Config, Package};
use crate::link::PackageId;
use crate::locale::Locale;
use crate::partners::Partner;
use crate::templates::{PackageScope, PartnerScope, Scope, SenderScope, Templates};

/// A message as it goes over the wire, before dot-stuffing.
#[derive(Clone, Debug)]
pub struct Message {
    /// Header and body, lines ended by CRLF.
    pub bytes: Vec<u8>,
    /// The Date header's time, in whole seconds.
    pub date: Timestamp,
}

impl Message {
    /// SHA-256 over all bytes.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }

    /// Eight bytes that stand for all but the Date header's value.
    ///
    /// What was proven and what is about to be sent must agree in them.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        const FIELD: &[u8] = b"\r\nDate: ";
        let mut digest = Sha256::new();
        let value = self
            .bytes
            .windows(FIELD.len())
            .position(|it| it == FIELD)
            .map_or(0, |place| place + FIELD.len());
        let length = self.bytes[value..]
            .iter()
            .position(|it| *it == b'\r')
            .unwrap_or_default();
        digest.update(&self.bytes[..value]);
        digest.update(&self.bytes[value + length..]);
        let digest = digest.finalize();
        u64::from_be_bytes(digest[..8].try_into().expect("SHA-256 has 32 bytes"))
    }
}

/// What all messages of a run have in common.
pub struct Composer {
    config: Arc<Config>,
    templates: Arc<Templates>,
    sender: SenderScope,
    /// Each package in the words of each locale.
    packages: HashMap<(Locale, PackageId), PackageScope>,
}

impl Composer {
    /// Prepares for messages by this configuration and these templates.
    #[must_use]
    pub fn new(config: &Arc<Config>, templates: &Arc<Templates>) -> Self {
        let sender = &config.sender;
        let mut packages = HashMap::new();
        for locale in templates.locales() {
            for package in &config.packages {
                let default = &config.templates.default_locale;
                let scope = package_scope(package, locale, default);
                packages.insert((locale.clone(), package.link.package_id()), scope);
            }
        }
        Self {
            config: config.clone(),
            templates: templates.clone(),
            sender: SenderScope {
                name: sender.name.clone().unwrap_or_default(),
                address: sender.address.wire(),
                organization: sender.organization.clone(),
                contact: sender.contact.clone().unwrap_or_default(),
                reply_to: sender.reply_address().wire(),
            },
            packages,
        }
    }

    /// The locale in which a partner is written to.
    #[must_use]
    pub fn locale_for(&self, partner: &Partner) -> &Locale {
        self.templates.choose(partner.locale.as_ref())
    }

    /// The Message-ID header's value for the left part `id`.
    #[must_use]
    pub fn message_id(&self, id: &str) -> String {
        format!("<{id}@{}>", self.config.sender.address.domain())
    }

    /// Builds the message and proves it.
    ///
    /// # Errors
    /// When a template fails, or the proof does: no such message may leave.
    pub fn compose_and_prove(
        &self,
        partner: &Partner,
        id: &str,
        date: Timestamp,
    ) -> Result<Message> {
        let (message, subject) = self.build(partner, id, date)?;
        let sender = &self.config.sender;
        prove(
            &message.bytes,
            &Expected {
                link: &partner.package.link,
                from: (sender.name.as_deref(), &sender.address),
                to: (partner.name.as_deref(), &partner.address),
                reply_to: sender
                    .reply_to
                    .as_ref()
                    .map(|(name, address)| (name.as_deref(), address)),
                reply_address: sender.reply_address(),
                subject: &subject,
                message_id: &self.message_id(id),
                language: &self.locale_for(partner).to_string(),
            },
        )?;
        Ok(message)
    }

    /// Builds the message, as [`Composer::compose_and_prove`] does, without proving it again.
    ///
    /// # Errors
    /// When a template fails.
    pub fn compose(&self, partner: &Partner, id: &str, date: Timestamp) -> Result<Message> {
        self.build(partner, id, date).map(|(message, _)| message)
    }

    fn build(&self, partner: &Partner, id: &str, date: Timestamp) -> Result<(Message, String)> {
        let locale = self.locale_for(partner);
        let tag = locale.to_string();
        let package_id = partner.package.link.package_id();
        let words = self.templates.render(
            locale,
            &Scope {
                link: partner.package.link.as_str(),
                package: &self.packages[&(locale.clone(), package_id)],
                partner: PartnerScope {
                    email: partner.address.as_written(),
                    name: partner.name.as_deref().unwrap_or_default(),
                    organization: partner.organization.as_deref().unwrap_or_default(),
                    extra: partner
                        .extra_columns
                        .iter()
                        .map(String::as_str)
                        .zip(partner.extra.iter().map(String::as_str))
                        .collect(),
                },
                sender: &self.sender,
                campaign: &self.config.campaign,
                locale: &tag,
                direction: locale.direction(),
            },
        )?;
        let sender = &self.config.sender;
        let date = Timestamp::from_second(date.as_second()).unwrap_or(date);
        let seconds = u64::try_from(date.as_second()).context("the clock stands before 1970")?;
        let mut builder = lettre::Message::builder()
            .from(mailbox(sender.name.as_deref(), &sender.address)?)
            .to(mailbox(partner.name.as_deref(), &partner.address)?)
            .subject(words.subject.as_str())
            .date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            .message_id(Some(self.message_id(id)));
        if let Some((name, address)) = &sender.reply_to {
            builder = builder.reply_to(mailbox(name.as_deref(), address)?);
        }
        let headers = [
            ("Content-Language", tag.as_str()),
            // RFC 3834 §5: keeps vacation responders quiet.
            ("Auto-Submitted", "auto-generated"),
            // MS-OXCMAIL §2.1.3.2.20; `All`, `DR` and `NDR` would silence the bounces too.
            ("X-Auto-Response-Suppress", "OOF, AutoReply"),
        ];
        for (name, value) in headers {
            let name = HeaderName::new_from_ascii_str(name);
            builder = builder.raw_header(HeaderValue::new(name, value.to_owned()));
        }
        let message = builder.multipart(
            MultiPart::builder()
                .kind(MultiPartKind::Alternative)
                .boundary(format!("={id}="))
                .singlepart(SinglePart::plain(words.text))
                .singlepart(SinglePart::html(words.html)),
        )?;
        let bytes = message.formatted();
        Ok((Message { bytes, date }, words.subject))
    }
}

fn package_scope(package: &Package, locale: &Locale, default: &Locale) -> PackageScope {
    let text = |it: &crate::config::Text| it.in_locale(locale, default).map(str::to_owned);
    let optional = |it: Option<&crate::config::Text>| it.and_then(text).unwrap_or_default();
    PackageScope {
        name: text(&package.name).unwrap_or_default(),
        description: optional(package.description.as_ref()),
        justification: optional(package.justification.as_ref()),
        respond_by: package
            .respond_by
            .map(|it| locale.write_date(it))
            .unwrap_or_default(),
    }
}

fn mailbox(name: Option<&str>, address: &Address) -> Result<Mailbox> {
    let bare = lettre::Address::new(address.local_part(), address.domain())
        .with_context(|| format!("`{address}` cannot stand in a header"))?;
    Ok(Mailbox::new(name.map(str::to_owned), bare))
}

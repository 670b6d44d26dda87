//! One partner, one message: words from the templates, MIME by lettre.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, MultiPartKind};

use super::encode;
use super::finished::{Message, dates};
use super::verify::{Expected, Verification, verify};
use crate::address::Address;
use crate::config::{Config, Package};
use crate::invitation::Invitee;
use crate::link::PackageId;
use crate::locale::Locale;
use crate::partners::Partner;
use crate::templates::{PackageScope, PartnerScope, RenderedMail, Scope, SenderScope, Templates};

/// What all messages of a run have in common.
pub struct Composer {
    pub(super) config: Arc<Config>,
    pub(super) templates: Arc<Templates>,
    pub(super) sender: SenderScope,
    /// The only recipient, where this is a trial.
    trial: Option<Address>,
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
            trial: None,
            packages,
        }
    }

    /// The same, with every subject marked and every message addressed to one person.
    #[must_use]
    pub fn for_test_send(mut self, address: &Address) -> Self {
        self.trial = Some(address.clone());
        self
    }

    /// Whom the message for a partner goes to: the partner, but for a trial.
    #[must_use]
    pub fn recipient<'a>(&'a self, partner: &'a Partner) -> &'a Address {
        self.trial.as_ref().unwrap_or(&partner.address)
    }

    /// The locale in which a partner is written to.
    #[must_use]
    pub fn locale_for(&self, partner: &Partner) -> &Locale {
        self.templates.choose(partner.locale.as_ref())
    }

    /// What the ledger is told about a partner.
    #[must_use]
    pub fn invitee(&self, partner: &Partner) -> Invitee {
        Invitee {
            package: partner.package.key.clone(),
            email: partner.address.as_written().to_owned(),
            name: partner.name.clone(),
            organization: partner.organization.clone(),
            locale: partner.locale.as_ref().map(ToString::to_string),
            template_locale: self.locale_for(partner).to_string(),
        }
    }

    /// Builds the message and proves it. `id` is its Message-ID without brackets.
    ///
    /// # Errors
    /// When a template fails, or the verification does: no such message may leave.
    pub fn compose_and_verify(
        &self,
        partner: &Partner,
        id: &str,
        date: Timestamp,
    ) -> Result<Message> {
        self.compose_for_review(partner, id, date)
            .map(|(message, _)| message)
    }

    /// Builds the message and proves it, and gives what the verification measured, too.
    ///
    /// # Errors
    /// When a template fails, or the verification does: no such message may leave.
    pub fn compose_for_review(
        &self,
        partner: &Partner,
        id: &str,
        date: Timestamp,
    ) -> Result<(Message, Verification)> {
        let locale = self.locale_for(partner);
        let package = self.package(partner, locale);
        self.build_and_verify(partner, locale, package, &self.sender, id, date)
    }

    /// Proves bytes that came from elsewhere to be the message for a partner.
    ///
    /// # Errors
    /// The first thing that is not as it must be.
    pub fn verify_again(&self, partner: &Partner, id: &str, bytes: &[u8]) -> Result<Verification> {
        let locale = self.locale_for(partner);
        let package = self.package(partner, locale);
        let words = self.words(partner, locale, package, &self.sender)?;
        self.verify(partner, locale, &words.subject, id, bytes)
    }

    /// Builds the message again that was verified with this [`Message::fingerprint`].
    ///
    /// # Errors
    /// When a template fails, or the message is not the one that was verified: it must not be sent.
    pub fn compose_verified(
        &self,
        partner: &Partner,
        id: &str,
        date: Timestamp,
        fingerprint: u64,
    ) -> Result<Message> {
        let message = self.compose(partner, id, date);
        let message = message.context("cannot be composed again; nothing more is sent")?;
        ensure!(
            message.fingerprint() == fingerprint,
            "is not the one that was verified; nothing more is sent"
        );
        Ok(message)
    }

    /// Builds the message, as [`Composer::compose_and_verify`] does, without proving it again.
    ///
    /// # Errors
    /// When a template fails.
    pub fn compose(&self, partner: &Partner, id: &str, date: Timestamp) -> Result<Message> {
        let locale = self.locale_for(partner);
        let package = self.package(partner, locale);
        let words = self.words(partner, locale, package, &self.sender)?;
        self.build(partner, locale, words, id, date)
    }

    pub(super) fn package(&self, partner: &Partner, locale: &Locale) -> &PackageScope {
        &self.packages[&(locale.clone(), partner.package.link.package_id())]
    }

    pub(super) fn build_and_verify(
        &self,
        partner: &Partner,
        locale: &Locale,
        package: &PackageScope,
        sender: &SenderScope,
        id: &str,
        date: Timestamp,
    ) -> Result<(Message, Verification)> {
        let words = self.words(partner, locale, package, sender)?;
        let subject = words.subject.clone();
        let message = self.build(partner, locale, words, id, date)?;
        let verification = self.verify(partner, locale, &subject, id, &message.bytes)?;
        Ok((message, verification))
    }

    fn verify(
        &self,
        partner: &Partner,
        locale: &Locale,
        subject: &str,
        id: &str,
        bytes: &[u8],
    ) -> Result<Verification> {
        let sender = &self.config.sender;
        verify(
            bytes,
            &Expected {
                link: &partner.package.link,
                from: (sender.name.as_deref(), &sender.address),
                to: (partner.name.as_deref(), self.recipient(partner)),
                reply_to: sender
                    .reply_to
                    .as_ref()
                    .map(|(name, address)| (name.as_deref(), address)),
                reply_address: sender.reply_address(),
                subject,
                message_id: &format!("<{id}>"),
                language: &locale.to_string(),
            },
        )
    }

    /// The templates' words for one partner.
    fn words(
        &self,
        partner: &Partner,
        locale: &Locale,
        package: &PackageScope,
        sender: &SenderScope,
    ) -> Result<RenderedMail> {
        let columns = partner.extra_columns.iter().map(String::as_str);
        let cells = partner.extra.iter().map(String::as_str);
        let mut words = self.templates.render(
            locale,
            &Scope {
                link: partner.package.link.as_str(),
                package,
                partner: PartnerScope {
                    email: partner.address.as_written(),
                    name: partner.name.as_deref().unwrap_or_default(),
                    organization: partner.organization.as_deref().unwrap_or_default(),
                    extra: columns.zip(cells).collect(),
                },
                sender,
                campaign: &self.config.campaign,
                locale: &locale.to_string(),
                direction: locale.direction(),
            },
        )?;
        if self.trial.is_some() {
            words.subject.insert_str(0, "[TEST] ");
        }
        Ok(words)
    }

    /// The words as MIME.
    fn build(
        &self,
        partner: &Partner,
        locale: &Locale,
        words: RenderedMail,
        id: &str,
        date: Timestamp,
    ) -> Result<Message> {
        let sender = &self.config.sender;
        let (date, date_header) = dates(date)?;
        let from = mailbox(sender.name.as_deref(), &sender.address)?;
        let to = mailbox(partner.name.as_deref(), self.recipient(partner))?;
        // Else lettre would parse it from the headers.
        let envelope = Envelope::new(Some(from.email.clone()), vec![to.email.clone()])?;
        let mut builder = lettre::Message::builder()
            .envelope(envelope)
            .from(from)
            .to(to)
            .subject(words.subject)
            .header(date_header)
            .message_id(Some(format!("<{id}>")));
        if let Some((name, address)) = &sender.reply_to {
            builder = builder.reply_to(mailbox(name.as_deref(), address)?);
        }
        let headers = [
            ("Content-Language", locale.to_string()),
            // RFC 3834 §5: keeps vacation responders quiet.
            ("Auto-Submitted", "auto-generated".into()),
            // MS-OXCMAIL §2.1.3.2.20; `All`, `DR` and `NDR` would silence the bounces too.
            ("X-Auto-Response-Suppress", "OOF, AutoReply".into()),
        ];
        for (name, value) in headers {
            let name = HeaderName::new_from_ascii_str(name);
            builder = builder.raw_header(HeaderValue::new(name, value));
        }
        let unique = id.split('@').next().unwrap_or_default();
        let message = builder.multipart(
            MultiPart::builder()
                .kind(MultiPartKind::Alternative)
                .boundary(format!("={unique}="))
                .singlepart(encode::text(&words.text))
                .singlepart(encode::html(&words.html)),
        )?;
        let bytes = message.formatted();
        Ok(Message { bytes, date })
    }
}

fn package_scope(package: &Package, locale: &Locale, default: &Locale) -> PackageScope {
    let text = |it: &crate::config::LocalizedText| it.in_locale(locale, default).map(str::to_owned);
    let optional =
        |it: Option<&crate::config::LocalizedText>| it.and_then(text).unwrap_or_default();
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

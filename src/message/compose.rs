//! One partner, one message: texts from the templates, MIME by lettre.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lettre::address::Envelope;
use lettre::message::Mailbox;
use lettre::message::header::{HeaderName, HeaderValue};

use super::allowed::AllowedLinks;
use super::body;
use super::error::{MessageError, Result};
use super::finished::{Message, dates};
use super::logo::Logo;
use super::scopes::Scopes;
use super::verify::{Expected, Verification, verify};
use crate::address::Address;
use crate::config::Config;
use crate::invitation::{Invited, Invitee, invite_id, unsubscribe_link};
use crate::locale::Locale;
use crate::partners::Partner;
use crate::templates::{
    InviterScope, PackageScope, PartnerScope, RenderedMail, Scope, SenderScope, Templates,
};

/// What all messages of a run have in common.
pub struct Composer {
    pub(super) config: Arc<Config>,
    pub(super) templates: Arc<Templates>,
    pub(super) scopes: Scopes,
    /// The logos of `[brand]`.
    logos: Vec<Logo>,
    /// The only recipient of a test send.
    test_recipient: Option<Address>,
}

impl Composer {
    /// A composer for this configuration and these templates.
    #[must_use]
    pub fn new(config: &Arc<Config>, templates: &Arc<Templates>) -> Self {
        let domain = config.sender.address.domain();
        let logos = templates.images.iter().map(|it| Logo::new(it, domain));
        let logos: Vec<Logo> = logos.collect();
        Self {
            config: config.clone(),
            templates: templates.clone(),
            scopes: Scopes::new(config, &templates.locales, &logos),
            logos,
            test_recipient: None,
        }
    }

    /// Marks every subject, and addresses every message to one person.
    #[must_use]
    pub fn for_test_send(mut self, address: &Address) -> Self {
        self.test_recipient = Some(address.clone());
        self
    }

    /// The recipient of the message for a partner: the partner, except in a test send.
    #[must_use]
    pub fn recipient<'a>(&'a self, partner: &'a Partner) -> &'a Address {
        self.test_recipient.as_ref().unwrap_or(&partner.address)
    }

    /// The domain of new Message-IDs.
    #[must_use]
    pub fn sender_domain(&self) -> &str {
        self.config.sender.address.domain()
    }

    /// The locale of a partner's message.
    #[must_use]
    pub fn locale_for(&self, partner: &Partner) -> &Locale {
        self.templates.choose_by(partner.locale.as_ref()).0
    }

    /// What the ledger records about a partner.
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

    /// Verifies that bytes from elsewhere are the message for a partner.
    ///
    /// # Errors
    /// If a template fails, or at the first difference.
    pub fn verify_again(&self, partner: &Partner, id: &str, bytes: &[u8]) -> Result<Verification> {
        let draft = self.draft(partner, id, None);
        draft.verify(&draft.render()?.subject, bytes)
    }

    /// The message with this Message-ID, without brackets, to a partner: the invitation, or a reminder of the
    /// invitation `reminds_of`.
    #[must_use]
    pub fn draft<'a>(
        &'a self,
        partner: &'a Partner,
        id: &'a str,
        reminds_of: Option<&'a Invited>,
    ) -> MessageDraft<'a> {
        let (locale, found) = self.templates.choose_by(partner.locale.as_ref());
        // The default template is in another language than the partner's.
        let dates = partner.locale.as_ref().filter(|_| found.is_some());
        let dates = dates.unwrap_or(locale);
        MessageDraft {
            composer: self,
            partner,
            locale,
            dates,
            package: self.scopes.package(partner, locale, dates),
            sender: &self.scopes.sender,
            id,
            reminds_of,
        }
    }
}

/// What a message is composed from.
pub struct MessageDraft<'a> {
    pub(super) composer: &'a Composer,
    pub(super) partner: &'a Partner,
    pub(super) locale: &'a Locale,
    /// The locale in which dates are written.
    pub(super) dates: &'a Locale,
    pub(super) package: Arc<PackageScope>,
    pub(super) sender: &'a SenderScope,
    /// The Message-ID without brackets.
    pub(super) id: &'a str,
    /// Of a reminder: the invitation.
    pub(super) reminds_of: Option<&'a Invited>,
}

impl MessageDraft<'_> {
    /// Composes the message and verifies it. Also returns what the verification measured.
    ///
    /// # Errors
    /// If a template or the verification fails. Such a message must not be sent.
    pub fn compose_and_verify(&self, date: Timestamp) -> Result<(Message, Verification)> {
        let mail = self.render()?;
        let message = self.build(&mail, date)?;
        let verification = self.verify(&mail.subject, &message.bytes)?;
        Ok((message, verification))
    }

    /// Composes the message again that was verified with this [`Message::fingerprint`].
    ///
    /// # Errors
    /// If a template fails, or the message is not the verified one. It must not be sent then.
    pub fn compose_verified(&self, date: Timestamp, fingerprint: u64) -> Result<Message> {
        let message = self.compose(date)?;
        let is_verified = message.fingerprint() == fingerprint;
        let changed = "is not the one that was verified; nothing more is sent";
        is_verified
            .then_some(message)
            .ok_or_else(|| MessageError::header(changed))
    }

    /// Composes the message without verifying it.
    ///
    /// # Errors
    /// If a template fails.
    pub fn compose(&self, date: Timestamp) -> Result<Message> {
        self.build(&self.render()?, date)
    }

    /// Renders the templates.
    fn render(&self) -> Result<RenderedMail> {
        let Self { partner, .. } = self;
        let columns = partner.extra_columns.iter().map(String::as_str);
        let cells = partner.extra.iter().map(String::as_str);
        let (inviter_name, inviter_email) = partner.inviter();
        let scope = Scope {
            link: partner.package.link.as_str(),
            portal_host: partner.package.link.host(),
            package: &self.package,
            partner: PartnerScope {
                email: partner.address.as_written(),
                name: partner.name.as_deref().unwrap_or_default(),
                organization: partner.organization.as_deref().unwrap_or_default(),
                note: partner.note.as_deref().unwrap_or_default(),
                extra: columns.zip(cells).collect(),
            },
            inviter: InviterScope {
                name: inviter_name.unwrap_or_default(),
                email: inviter_email.map(Address::wire).unwrap_or_default(),
            },
            sender: self.sender,
            brand: self.composer.scopes.brand(self.locale),
            campaign: &self.composer.config.campaign,
            locale: &self.locale.to_string(),
            direction: self.locale.direction(),
            unsubscribe: &self.unsubscribe_link().unwrap_or_default(),
            invited_on: self.reminds_of.map(|it| {
                let date = it.at.to_zoned_datetime(TimeZone::system()).date();
                self.dates.write_date(date)
            }),
        };
        let mut mail = self.composer.templates.render(self.locale, &scope)?;
        if self.composer.test_recipient.is_some() {
            mail.subject.insert_str(0, "[TEST] ");
        }
        Ok(mail)
    }

    fn verify(&self, subject: &str, bytes: &[u8]) -> Result<Verification> {
        let sender = &self.composer.config.sender;
        let partner = self.partner;
        let values = [
            partner.name.as_deref(),
            partner.organization.as_deref(),
            Some(&*self.package.name),
            Some(&*self.package.description),
            Some(&*self.package.justification),
            Some(&*self.sender.organization),
            Some(&*self.sender.name),
            Some(&*self.sender.contact),
        ];
        let values: Vec<&str> = values.into_iter().flatten().collect();
        let unsubscribe = self.unsubscribe_link();
        let expected = Expected {
            links: AllowedLinks {
                link: partner.package.link.as_str(),
                addresses: [Some(sender.reply_address()), partner.inviter().1],
                unsubscribe: unsubscribe.as_deref(),
                contact: sender.contact.as_deref(),
                privacy_url: self.composer.config.brand.privacy_url.as_deref(),
                values: &values,
            },
            logos: &self.composer.logos,
            from: (sender.name.as_deref(), &sender.address),
            to: self.to(),
            reply_to: self.reply_to(),
            subject,
            message_id: &format!("<{}>", self.id),
            language: &self.locale.to_string(),
            in_reply_to: self.reminds_of.map(|it| it.message_id.as_str()),
        };
        verify(bytes, &expected).map_err(|error| MessageError(format!("{error:#}")))
    }

    /// Where replies go, if not to the sender: to the inviter, otherwise as configured.
    fn reply_to(&self) -> Option<(Option<&str>, &Address)> {
        if let (name, Some(address)) = self.partner.inviter() {
            return Some((name, address));
        }
        let reply_to = self.composer.config.sender.reply_to.as_ref();
        reply_to.map(|(name, address)| (name.as_deref(), address))
    }

    /// The link by which the partner refuses further mail, if it is configured.
    fn unsubscribe_link(&self) -> Option<String> {
        let sender = &self.composer.config.sender;
        let link = || unsubscribe_link(&sender.address, &invite_id(self.id));
        sender.unsubscribe.then(link)
    }

    fn to(&self) -> (Option<&str>, &Address) {
        let address = self.composer.recipient(self.partner);
        (self.partner.name.as_deref(), address)
    }

    /// The rendered mail as MIME.
    fn build(&self, mail: &RenderedMail, date: Timestamp) -> Result<Message> {
        let sender = &self.composer.config.sender;
        let (date, date_header) = dates(date)?;
        let from = mailbox(sender.name.as_deref(), &sender.address)?;
        let (name, address) = self.to();
        let to = mailbox(name, address)?;
        // Otherwise lettre would parse it from the headers.
        let envelope = Envelope::new(Some(from.email.clone()), vec![to.email.clone()])
            .map_err(MessageError::header)?;
        let mut builder = lettre::Message::builder()
            .envelope(envelope)
            .from(from)
            .to(to)
            .subject(mail.subject.clone())
            .header(date_header)
            .message_id(Some(format!("<{}>", self.id)));
        if let Some((name, address)) = self.reply_to() {
            builder = builder.reply_to(mailbox(name, address)?);
        }
        if let Some(invitation) = self.reminds_of {
            let id = format!("<{}>", invitation.message_id);
            builder = builder.in_reply_to(id.clone()).references(id);
        }
        let unsubscribe = self.unsubscribe_link();
        let unsubscribe = unsubscribe.map(|it| ("List-Unsubscribe", format!("<{it}>")));
        let headers = [
            ("Content-Language", self.locale.to_string()),
            // RFC 3834 §5: keeps vacation responders quiet.
            ("Auto-Submitted", "auto-generated".into()),
            // MS-OXCMAIL §2.1.3.2.20; `All`, `DR` and `NDR` would suppress bounces, too.
            ("X-Auto-Response-Suppress", "OOF, AutoReply".into()),
            // By which delivery reports name the invitation, even if a relay replaces the Message-ID.
            ("X-Access-Invite-Id", invite_id(self.id)),
        ];
        for (name, value) in headers.into_iter().chain(unsubscribe) {
            let name = HeaderName::new_from_ascii_str(name);
            builder = builder.raw_header(HeaderValue::new(name, value));
        }
        let unique = self.id.split('@').next().unwrap_or_default();
        let parts = body::of(mail, &self.composer.logos, unique)?;
        let message = builder.multipart(parts).map_err(MessageError::header)?;
        let bytes = message.formatted();
        Ok(Message { bytes, date })
    }
}

fn mailbox(name: Option<&str>, address: &Address) -> Result<Mailbox> {
    let bare = lettre::Address::new(address.local_part(), address.domain());
    let bare = bare
        .map_err(|error| MessageError(format!("`{address}` cannot stand in a header: {error}")))?;
    Ok(Mailbox::new(name.map(str::to_owned), bare))
}

//! What the templates see: the variables.

use std::collections::BTreeMap;

use serde::Serialize;

/// The variables of a template. All values are texts; an absent one is empty.
#[derive(Debug, Serialize)]
pub struct Scope<'a> {
    /// The complete link.
    pub link: &'a str,
    /// The host of the link, which a partner should expect.
    pub portal_host: &'a str,
    /// The access package.
    pub package: &'a PackageScope,
    /// The invited partner.
    pub partner: PartnerScope<'a>,
    /// The person who invites.
    pub inviter: InviterScope<'a>,
    /// The sender of the invitation.
    pub sender: &'a SenderScope,
    /// How the mail looks.
    pub brand: &'a BrandScope,
    /// The campaign of the configuration.
    pub campaign: &'a str,
    /// The tag of the template's locale.
    pub locale: &'a str,
    /// `ltr` or `rtl`.
    pub direction: &'a str,
    /// A `mailto:` link by which the partner refuses further mail.
    pub unsubscribe: &'a str,
    /// In a reminder, the date on which the invitation was accepted, formatted for the partner.
    pub invited_on: &'a str,
}

/// An access package in one locale.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PackageScope {
    /// Its name.
    pub name: String,
    /// Its purpose.
    pub description: String,
    /// The suggested business justification for the request.
    pub justification: String,
    /// The last day to respond, formatted for the partner.
    pub respond_by: String,
    /// `true` if partners may pass the link on.
    pub sharing: &'static str,
    /// How long an approval usually takes.
    pub approval_time: String,
    /// How long the access lasts.
    pub access_duration: String,
}

/// The partner of one row.
#[derive(Debug, Serialize)]
pub struct PartnerScope<'a> {
    /// The address as written.
    pub email: &'a str,
    /// The person's name.
    pub name: &'a str,
    /// The partner's organisation.
    pub organization: &'a str,
    /// What the inviter adds for this partner: one paragraph.
    pub note: &'a str,
    /// The other columns.
    pub extra: BTreeMap<&'a str, &'a str>,
}

/// The person who invites.
#[derive(Debug, Default, Serialize)]
pub struct InviterScope<'a> {
    /// The person's name.
    pub name: &'a str,
    /// The address, to which replies go.
    pub email: String,
}

/// The sender and its organisation.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SenderScope {
    /// The sender's display name.
    pub name: String,
    /// The sender's address.
    pub address: String,
    /// The inviting organisation.
    pub organization: String,
    /// The contact that can confirm that the mail is genuine.
    pub contact: String,
    /// The address for replies.
    pub reply_to: String,
}

/// How the mail looks in one locale. The colours are always set, as `#rrggbb`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BrandScope {
    /// The colour of areas.
    pub color: String,
    /// The colour of text on a light background.
    pub text_color: String,
    /// The colour of text on a dark background.
    pub dark_color: String,
    /// The colour of text on an area of `color`.
    pub on_color: &'static str,
    /// The logo, as `cid:…`.
    pub logo: String,
    /// The logo for dark mode, as `cid:…`.
    pub logo_dark: String,
    /// Lines below the mail.
    pub footer: String,
    /// The privacy statement.
    pub privacy_url: String,
}

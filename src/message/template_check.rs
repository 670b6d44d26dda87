//! Checks every template with sample partners, before anybody is mailed.

use std::sync::Arc;

use jiff::Timestamp;

use super::compose::{Composer, MessageDraft};
use crate::address::Address;
use crate::config::Package;
use crate::invitation::Invited;
use crate::locale::Locale;
use crate::partners::Partner;
use crate::templates::{PackageScope, SenderScope};

impl Composer {
    /// Composes every package in every locale, once with all optional values and once with none, so that
    /// a template does not fail only at the one partner without a name. Returns all faults.
    #[must_use]
    pub fn check_templates(&self, extra_columns: &Arc<[String]>) -> Vec<String> {
        /// More faults than these have the same cause.
        const MAX_FAULTS: usize = 50;
        let invitation = Invited {
            message_id: "11111111111111111111111111111111@invitation.example".into(),
            at: Timestamp::UNIX_EPOCH,
        };
        let reminder = self.config.templates.with_reminders;
        let reminder = reminder.then_some(("reminder of", Some(&invitation)));
        let mails = [("invitation to", None)].into_iter().chain(reminder);
        let mut faults = Vec::new();
        for package in &self.config.packages {
            for locale in &self.templates.locales {
                for (mail, reminds_of) in mails.clone() {
                    if faults.len() == MAX_FAULTS {
                        faults.push("there may be more; fix these first".into());
                        return faults;
                    }
                    let results = [true, false].map(|full| {
                        let partner = sample_partner(package, extra_columns, full);
                        self.compose_sample(&partner, locale, reminds_of, full)
                    });
                    let (values, why) = match results {
                        [None, None] => continue,
                        [Some(full), Some(bare)] if full == bare => ("", full),
                        [Some(full), _] => (", with all optional values", full),
                        [None, Some(bare)] => (", with no optional values", bare),
                    };
                    let key = &package.key;
                    faults.push(format!("the {mail} `{key}` in `{locale}`{values}: {why}"));
                }
            }
        }
        faults
    }

    /// Composes the message to a sample partner; gives why that failed.
    fn compose_sample(
        &self,
        partner: &Partner,
        locale: &Locale,
        reminds_of: Option<&Invited>,
        full: bool,
    ) -> Option<String> {
        let draft = MessageDraft {
            composer: self,
            partner,
            locale,
            dates: locale,
            package: Arc::new(sample_package(
                &self.scopes.package(partner, locale, locale),
                full,
            )),
            sender: &sample_sender(&self.scopes.sender, full),
            id: "00000000000000000000000000000000@invitation.example",
            reminds_of,
        };
        let composed = draft.compose_and_verify(Timestamp::UNIX_EPOCH);
        composed.err().map(|error| error.to_string())
    }
}

/// A partner who has everything, or nothing but an address.
fn sample_partner(package: &Arc<Package>, extra_columns: &Arc<[String]>, full: bool) -> Partner {
    let optional = |text: &str| full.then(|| text.to_owned());
    Partner {
        line: 0,
        offset: 0,
        address: Address::parse("ada@partner.example").expect("it is an address"),
        name: optional("Ada Lovelace"),
        organization: optional("Analytical Engines"),
        locale: None,
        package: package.clone(),
        inviter_name: optional("Grace Hopper"),
        inviter_email: full
            .then(|| Address::parse("grace@inviter.example").expect("it is an address")),
        note: optional("As discussed in our call."),
        extra_columns: extra_columns.clone(),
        extra: extra_columns
            .iter()
            .map(|_| optional("value").unwrap_or_default())
            .collect(),
        doubts: Vec::new(),
    }
}

/// The package with every optional text, or with none.
fn sample_package(package: &PackageScope, full: bool) -> PackageScope {
    let optional = |text: &String| match text.as_str() {
        _ if !full => String::new(),
        "" => "sample".to_owned(),
        text => text.to_owned(),
    };
    PackageScope {
        name: package.name.clone(),
        description: optional(&package.description),
        justification: optional(&package.justification),
        respond_by: optional(&package.respond_by),
        sharing: package.sharing,
        approval_time: optional(&package.approval_time),
        access_duration: optional(&package.access_duration),
    }
}

fn sample_sender(sender: &SenderScope, full: bool) -> SenderScope {
    let optional = |text: &str| if full { text.to_owned() } else { String::new() };
    SenderScope {
        contact: optional("sample"),
        name: optional("Sample"),
        ..sender.clone()
    }
}

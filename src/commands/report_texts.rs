//! The text of each kind of message in a report, and whether it is the one that was sent.
//!
//! A message that was handed to the relay is composed again, with its Date and Message-ID. If its SHA-256 is the
//! one in the ledger, it is the one that was sent, byte for byte. It is composed from what the ledger records about
//! the partner, and if that does not give the same bytes, from the row of the list, which has all columns.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::job;
use crate::address::Address;
use crate::config::{Config, Package};
use crate::invitation::{Event, Identity, Invited, Occasion, Record, State};
use crate::locale::Locale;
use crate::message::{Composer, Message};
use crate::os_error::without_os_code;
use crate::partners::{Partner, Partners, RowReader};
use crate::report::campaign::{MessageSample, MessageText};
use crate::review::ParsedMessage;
use crate::templates::Templates;

/// Package, locale and occasion.
type Kind = (String, String, Occasion);

/// What is known about the messages of a kind.
struct Found {
    text: MessageText,
    /// One of them that can be composed, but is not one that was sent.
    other: Option<Candidate>,
}

/// A partner whose message can be composed.
struct Candidate {
    partner: Partner,
    message_id: String,
    reminds_of: Option<Invited>,
}

/// Composes the messages of a campaign again.
pub struct Texts {
    packages: Vec<Arc<Package>>,
    composer: Option<Composer>,
    list: Option<List>,
    kinds: BTreeMap<Kind, Found>,
}

/// The list, and where the row of each invitation is.
struct List {
    partners: Arc<Partners>,
    rows: RowReader,
    places: HashMap<[u8; 16], (u64, u64)>,
}

impl List {
    fn read(partners: Partners) -> Self {
        let partners = Arc::new(partners);
        let rows = partners.iter().filter_map(std::result::Result::ok);
        let place = |it: Partner| (it.identity("").digest(), (it.line, it.offset));
        Self {
            places: rows.map(place).collect(),
            rows: RowReader::new(&partners),
            partners,
        }
    }

    fn partner(&mut self, identity: &Identity) -> Option<Partner> {
        let (line, offset) = *self.places.get(&identity.digest())?;
        self.rows.partner_at(line, offset).ok()
    }
}

impl Texts {
    /// Loads templates and list; what cannot be loaded is a warning, because a report does not depend on it.
    pub fn load(config: &Arc<Config>, warnings: &mut Vec<String>) -> Self {
        let templates = Templates::load(&config.templates);
        let list = job::current_list(config);
        let composer = match templates {
            Ok(templates) => Some(Composer::new(config, &Arc::new(templates))),
            Err(error) => {
                let error = without_os_code(error);
                warnings.push(format!(
                    "the report lacks the text of the messages, because the templates cannot be used: {error}"
                ));
                None
            }
        };
        if list.is_none() {
            warnings.push(format!(
                "the list `{}` cannot be read, so the report does not say who is no longer in it; `access-invite check` says why",
                config.partners.path.display()
            ));
        }
        Self {
            packages: config.packages.clone(),
            composer,
            list: list.map(List::read),
            kinds: BTreeMap::new(),
        }
    }

    /// Whether the list has this invitation; `None` if the list cannot be read.
    pub fn is_listed(&self, identity: &Identity) -> Option<bool> {
        self.list.as_ref().map(|it| it.partners.contains(identity))
    }

    /// Whether the message that was sent can be composed again, byte for byte; `None` if none was sent, or none
    /// can be composed. `package` is the name of the package in the report. A reminder reminds of an invitation.
    pub fn verify(
        &mut self,
        (record, history): (&Record, &[Event]),
        reminds_of: Option<&Invited>,
        package: &str,
    ) -> Option<bool> {
        let locale = &record.invitee.template_locale;
        let occasion = record.identity.occasion;
        let kind = (package.to_owned(), locale.clone(), occasion);
        let sent = record.standing.message;
        let mut armed = history.iter().rev();
        let armed = armed.find(|it| it.to == State::Armed);
        let id = armed.map_or(&record.standing.message_id, |it| &it.message_id);

        let Self {
            packages,
            composer,
            list,
            kinds,
        } = self;
        let found = kinds.entry(kind).or_insert_with(|| Found {
            text: MessageText {
                package: package.to_owned(),
                package_id: record.identity.package_id.to_string(),
                locale: locale.clone(),
                occasion: occasion.to_string(),
                ..MessageText::default()
            },
            other: None,
        });
        found.text.sent += u64::from(sent.is_some());
        let composer = composer.as_ref()?;
        let from_list = |list: &mut List| list.partner(&record.identity);
        let listed = std::iter::once_with(|| list.as_mut().and_then(from_list));
        let candidates = std::iter::once(recorded(packages, record)).chain(listed);
        let date = sent.map_or(record.created_at, |it| it.0);
        let mut is_composed = false;
        for partner in candidates.flatten() {
            if composer.locale_for(&partner).to_string() != *locale {
                continue;
            }
            let Ok(message) = composer.draft(&partner, id, reminds_of).compose(date) else {
                continue;
            };
            if let Some((_, sha256)) = sent {
                is_composed = true;
                if message.sha256() == sha256 {
                    found.text.verified += 1;
                    if found.text.sample.is_none() {
                        found.text.sample = sample(&message, id, true);
                    }
                    return Some(true);
                }
            }
            found.other.get_or_insert_with(|| Candidate {
                partner,
                message_id: id.clone(),
                reminds_of: reminds_of.cloned(),
            });
        }
        is_composed.then_some(false)
    }

    /// The text of each kind; where none of those that were sent can be composed, one as it would be now.
    pub fn messages(self, now: Timestamp) -> Vec<MessageText> {
        let composer = self.composer.as_ref();
        let complete = |mut found: Found| {
            if found.text.sample.is_none()
                && let Some((composer, other)) = composer.zip(found.other)
            {
                let (id, reminds_of) = (&other.message_id, other.reminds_of.as_ref());
                let draft = composer.draft(&other.partner, id, reminds_of);
                let message = draft.compose(now).ok();
                found.text.sample = message.and_then(|it| sample(&it, id, false));
            }
            found.text
        };
        self.kinds.into_values().map(complete).collect()
    }
}

/// The partner as the ledger has recorded it.
fn recorded(packages: &[Arc<Package>], record: &Record) -> Option<Partner> {
    let id = record.identity.package_id;
    let package = packages.iter().find(|it| it.link.package_id() == id)?;
    let invitee = &record.invitee;
    let locale = invitee.locale.as_deref();
    Some(Partner {
        line: 0,
        offset: 0,
        address: Address::parse(&invitee.email).ok()?,
        name: invitee.name.clone(),
        organization: invitee.organization.clone(),
        locale: locale.and_then(|it| Locale::parse(it).ok()),
        package: package.clone(),
        inviter_name: None,
        inviter_email: None,
        note: None,
        extra_columns: Arc::default(),
        extra: Vec::new(),
        doubts: Vec::new(),
    })
}

fn sample(message: &Message, id: &str, is_sent: bool) -> Option<MessageSample> {
    let parsed = ParsedMessage::of(&message.bytes).ok()?;
    let header = |name: &str| {
        let mut headers = parsed.headers.iter();
        let found = headers.find(|it| it.0.eq_ignore_ascii_case(name));
        found.map(|it| it.1.clone()).unwrap_or_default()
    };
    let html = parsed.page();
    Some(MessageSample {
        is_sent,
        date: message.date,
        to: header("To"),
        from: header("From"),
        message_id: id.to_owned(),
        subject: parsed.subject,
        html,
        text: parsed.text,
    })
}

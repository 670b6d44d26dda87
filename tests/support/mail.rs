//! The mail of every shipped locale, as a preview by the real binary writes it.

use std::path::{Path, PathBuf};

use access_invite::locale::Locale;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_parser::{HeaderValue, MessageParser, MimeHeaders};

use super::page::Page;
use super::{Workplace, configuration};

/// A message, read back.
pub struct Mail {
    /// The Content-Language.
    pub locale: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// The bytes on the wire.
    pub bytes: Vec<u8>,
}

impl Mail {
    pub fn direction(&self) -> &'static str {
        Locale::parse(&self.locale).unwrap().direction()
    }

    /// The HTML part with its images within it, as mail programs show it.
    pub fn page(&self) -> String {
        let message = MessageParser::default().parse(&self.bytes).unwrap();
        let mut page = self.html.clone();
        for part in &message.parts {
            let Some(id) = part.content_id() else {
                continue;
            };
            let kind = part.content_type().unwrap();
            let kind = format!("{}/{}", kind.c_type, kind.c_subtype.as_ref().unwrap());
            let image = format!("data:{kind};base64,{}", STANDARD.encode(part.contents()));
            page = page.replace(&format!("cid:{id}"), &image);
        }
        page
    }

    /// The images that the HTML part may show, in their order.
    pub fn images(&self) -> Vec<String> {
        let page = Page::read(&self.page());
        let images = page.elements.iter().filter(|it| it.name == "img");
        images.map(|it| it.get("src").unwrap().to_owned()).collect()
    }

    /// The addresses of From, Reply-To and To.
    pub fn addresses(&self) -> Vec<String> {
        let message = MessageParser::default().parse(&self.bytes).unwrap();
        [message.from(), message.reply_to(), message.to()]
            .into_iter()
            .flatten()
            .flat_map(|it| it.iter())
            .filter_map(|it| Some(it.address()?.to_owned()))
            .collect()
    }
}

/// The values of an invitation besides the link; an empty text is an absent value.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    pub organization: &'a str,
    pub reply_to: &'a str,
    pub contact: &'a str,
    pub package: &'a str,
    pub description: &'a str,
    pub justification: &'a str,
    pub respond_by: &'a str,
    pub partner: &'a str,
    pub partner_organization: &'a str,
}

impl Values<'static> {
    /// Without optional values.
    pub const BARE: Self = Self {
        organization: "Contoso",
        reply_to: "",
        contact: "",
        package: "Project space",
        description: "",
        justification: "",
        respond_by: "",
        partner: "",
        partner_organization: "",
    };
}

impl<'a> Values<'a> {
    /// The same text in every free field.
    pub fn all(text: &'a str) -> Self {
        Self {
            organization: text,
            reply_to: "desk@contoso.example",
            contact: text,
            package: text,
            description: text,
            justification: text,
            respond_by: "2099-12-31",
            partner: text,
            partner_organization: text,
        }
    }

    /// One message to one partner in each shipped locale, in the order of their tags.
    pub fn in_every_locale(&self) -> Vec<Mail> {
        let workplace = Workplace::new(1);
        workplace.write("config.toml", &self.config());
        let mut rows = csv::Writer::from_path(workplace.file("partners.csv")).unwrap();
        rows.write_record(["email", "name", "organization", "locale"])
            .unwrap();
        for locale in locales() {
            let address = format!("someone@{}.example", locale.to_lowercase());
            rows.write_record([&address, self.partner, self.partner_organization, &locale])
                .unwrap();
        }
        rows.flush().unwrap();
        let preview = workplace.run(&["preview", "--out", "review"]);
        assert_eq!(preview.code, 0, "{preview:?}");

        let mails = read(&workplace.file("review"));
        let tags: Vec<_> = mails.iter().map(|it| it.locale.clone()).collect();
        assert_eq!(tags, locales());
        mails
    }

    fn config(&self) -> String {
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        // A JSON string is a TOML string.
        let text = |it: &str| serde_json::to_string(it).unwrap();
        let line = |key: &str, value: &str| {
            let line = format!("{key} = {}\n", text(value));
            if value.is_empty() {
                String::new()
            } else {
                line
            }
        };
        let sender = [
            line("organization", self.organization),
            line("reply_to", self.reply_to),
            line("contact", self.contact),
        ]
        .concat();
        let package = [
            line("name", self.package),
            line("description", self.description),
            line("justification", self.justification),
            // A date is not quoted.
            line("respond_by", self.respond_by).replace('"', ""),
        ]
        .concat();
        configuration(
            &format!("from = \"access@contoso.example\"\n{sender}"),
            &package,
            &templates,
            "host = \"smtp.example.com\"",
            super::FILE,
        )
    }
}

/// The tags of the shipped locales, sorted.
pub fn locales() -> Vec<String> {
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let mut tags: Vec<_> = std::fs::read_dir(templates)
        .unwrap()
        .map(|it| it.unwrap())
        .filter(|it| it.path().is_dir())
        .map(|it| it.file_name().into_string().unwrap())
        .collect();
    tags.sort();
    tags
}

/// Every message that a review holds, in its order.
pub fn read(review: &Path) -> Vec<Mail> {
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut folders = vec![review.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "eml") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let bytes = std::fs::read(path).unwrap();
            let message = MessageParser::default().parse(&bytes).unwrap();
            let Some(HeaderValue::Text(locale)) = message.header("Content-Language") else {
                panic!("{} has no Content-Language", path.display());
            };
            Mail {
                locale: locale.to_string(),
                subject: message.subject().unwrap().to_owned(),
                text: message.body_text(0).unwrap().into_owned(),
                html: message.body_html(0).unwrap().into_owned(),
                bytes: bytes.clone(),
            }
        })
        .collect()
}

/// The first message in each locale of `config.example.toml`, which the README shows, in the order of their tags.
pub fn example() -> Vec<Mail> {
    let workplace = Workplace::new(1);
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
    let config = config.to_str().unwrap();
    let preview = workplace.run(&["preview", "--out", "review", "--config", config]);
    assert_eq!(preview.code, 0, "{preview:?}");
    first_of_each_locale(&workplace.file("review"))
}

/// The first message in each locale that a review holds, in the order of their tags.
pub fn first_of_each_locale(review: &Path) -> Vec<Mail> {
    let mut mails = read(review);
    mails.sort_by(|one, other| one.locale.cmp(&other.locale));
    mails.dedup_by(|one, other| one.locale == other.locale);
    mails
}

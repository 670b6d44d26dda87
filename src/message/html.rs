//! The HTML part as a browser tokenizes it: what is linked, loaded, run and shown.

use std::convert::Infallible;

use anyhow::{Result, bail, ensure};
use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Emitter, ForwardingEmitter, Span, Tokenizer};
use memchr::{memchr2, memmem};

use super::Expected;

/// Elements that load, run, submit or redirect.
const ELEMENTS: [&str; 12] = [
    "script", "iframe", "frame", "object", "embed", "form", "base", "link", "img", "svg", "audio",
    "video",
];
/// Attributes that name something to load or to go to, beside `href`.
const ATTRIBUTES: [&str; 14] = [
    "src",
    "srcset",
    "background",
    "action",
    "formaction",
    "poster",
    "data",
    "cite",
    "ping",
    "longdesc",
    "manifest",
    "xlink:href",
    "http-equiv",
    "srcdoc",
];

/// Elements whose text is not shown.
const UNSEEN: [&str; 2] = ["style", "title"];

/// Gmail shows no more of a mail's HTML, and puts the rest behind a link.
const SHOWN_BY_GMAIL: usize = 102 * 1024;

/// What a page says, as far as the proof is concerned.
#[derive(Debug, Default)]
struct Page {
    /// The targets of elements of class `button`.
    buttons: Vec<String>,
    /// The targets of everything, those in conditional comments included.
    targets: Vec<String>,
    /// The shown text, with a line break for each tag.
    text: Vec<u8>,
    /// What must not be there.
    forbidden: Vec<String>,
    /// Inside an element whose text is not shown.
    hidden: Option<&'static str>,
    /// The tag that is being read.
    open: Tag,
}

/// A start tag in the making.
#[derive(Debug, Default)]
struct Tag {
    is_anchor: bool,
    /// Its name, where the text inside is not shown.
    hides: Option<&'static str>,
    is_button: bool,
    attribute: Attribute,
    target: Option<String>,
}

/// The attribute that is being read.
#[derive(Debug, Default)]
enum Attribute {
    Style,
    Class,
    Href,
    #[default]
    Other,
}

/// Holds the HTML against the link and the address that it may lead to.
pub fn prove(html: &str, expected: &Expected<'_>) -> Result<()> {
    let page = read(html);
    let link = expected.link.as_str();
    ensure!(
        html.len() <= SHOWN_BY_GMAIL,
        "it has {} bytes, and Gmail hides what comes after {SHOWN_BY_GMAIL}; shorten the template or the values",
        html.len()
    );
    if let Some(forbidden) = page.forbidden.first() {
        bail!(
            "{forbidden} must not be there, for the mail loads, runs and submits nothing; remove it"
        );
    }
    ensure!(
        page.buttons == [link],
        "there must be one `<a class=\"button\">`, and it must lead to the link"
    );
    let mailto = format!("mailto:{}", expected.reply_address.wire());
    if let Some(other) = page.targets.iter().find(|it| *it != link && **it != mailto) {
        bail!(
            "`{}` is linked, which is neither the link nor `{mailto}`; remove it",
            other.escape_debug()
        );
    }
    let text = String::from_utf8_lossy(&page.text);
    let Some((before, behind)) = text.split_once(link) else {
        bail!("the link is not shown as text; write `{{{{ link }}}}` once where it is read");
    };
    let alone = !before.ends_with(|it: char| !it.is_whitespace())
        && !behind.starts_with(|it: char| !it.is_whitespace());
    ensure!(
        alone && !behind.contains(link),
        "the link must be shown once as text, with nothing attached to it"
    );
    Ok(())
}

fn read(html: &str) -> Page {
    let mut page = Page::default();
    let reader = |event: CallbackEvent<'_>, _: Span<()>| -> Option<Infallible> {
        page.see(&event);
        None
    };
    let mut emitter = CallbackEmitter::new(reader);
    // Styles and titles are no markup, as for a browser.
    emitter.naively_switch_states(true);
    Tokenizer::new_with_emitter(html, Forgiving(emitter)).for_each(drop);
    page
}

/// Reads on over errors without looking for them, as a browser does; looking takes as long as reading.
struct Forgiving<E>(E);

impl<E: Emitter> ForwardingEmitter for Forgiving<E> {
    type Token = E::Token;

    fn inner(&mut self) -> &mut impl Emitter<Token = E::Token> {
        &mut self.0
    }

    fn should_emit_errors(&mut self) -> bool {
        false
    }
}

impl Page {
    fn see(&mut self, event: &CallbackEvent<'_>) {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                self.text.push(b'\n');
                self.open = Tag {
                    is_anchor: *name == b"a",
                    hides: listed(&UNSEEN, name),
                    ..Tag::default()
                };
                if let Some(name) = listed(&ELEMENTS, name) {
                    self.forbidden.push(format!("`<{name}>`"));
                }
            }
            CallbackEvent::AttributeName { name } => {
                if listed(&ATTRIBUTES, name).is_some() || name.starts_with(b"on") {
                    let name = String::from_utf8_lossy(name);
                    self.forbidden.push(format!("the attribute `{name}`"));
                }
                self.open.attribute = match *name {
                    b"style" => Attribute::Style,
                    b"class" => Attribute::Class,
                    b"href" => Attribute::Href,
                    _ => Attribute::Other,
                };
            }
            CallbackEvent::AttributeValue { value } => match self.open.attribute {
                Attribute::Style => self.styles(value),
                Attribute::Class => {
                    let mut classes = value.split(u8::is_ascii_whitespace);
                    self.open.is_button = classes.any(|it| it == b"button");
                }
                Attribute::Href => {
                    let target = String::from_utf8_lossy(value).into_owned();
                    self.targets.push(target.clone());
                    self.open.target.get_or_insert(target);
                }
                Attribute::Other => {}
            },
            CallbackEvent::CloseStartTag { .. } => self.started(),
            CallbackEvent::EndTag { name } => {
                self.text.push(b'\n');
                if self.hidden.is_some_and(|it| it.as_bytes() == *name) {
                    self.hidden = None;
                }
            }
            CallbackEvent::String { value } => match self.hidden {
                None => self.text.extend_from_slice(value),
                Some("style") => self.styles(value),
                Some(_) => {}
            },
            // Outlook reads what other clients take for a comment.
            CallbackEvent::Comment { value } => {
                let comment = String::from_utf8_lossy(value);
                let within = comment.split_once("]>").map_or("", |(_, rest)| rest);
                let within = read(within);
                self.targets.extend(within.targets);
                self.forbidden.extend(within.forbidden);
            }
            _ => {}
        }
    }

    fn started(&mut self) {
        let tag = std::mem::take(&mut self.open);
        if tag.is_anchor && tag.is_button {
            self.buttons.extend(tag.target);
        }
        self.hidden = tag.hides.or(self.hidden);
    }

    fn styles(&mut self, css: &[u8]) {
        // What loads has one of these; most styles have neither.
        if memchr2(b'(', b'@', css).is_none() {
            return;
        }
        let css = css.to_ascii_lowercase();
        for loading in ["url(", "@import", "expression("] {
            if memmem::find(&css, loading.as_bytes()).is_some() {
                self.forbidden.push(format!("`{loading}` in a style"));
            }
        }
    }
}

/// The entry of a list that a name in a page is.
fn listed(list: &[&'static str], name: &[u8]) -> Option<&'static str> {
    list.iter().copied().find(|it| it.as_bytes() == name)
}

//! The HTML part as a browser tokenizes it: what is linked, loaded, run and shown.

use std::cell::RefCell;

use anyhow::{Result, bail, ensure};
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

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
    text: String,
    /// What must not be there.
    forbidden: Vec<String>,
    /// Inside an element whose text is not shown.
    hidden: Option<String>,
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
        bail!("{forbidden} must not be there: mail loads, runs and submits nothing");
    }
    ensure!(
        page.buttons == [link],
        "there must be one `<a class=\"button\">`, and it must lead to the link"
    );
    let mailto = format!("mailto:{}", expected.reply_address.wire());
    if let Some(other) = page.targets.iter().find(|it| *it != link && **it != mailto) {
        bail!(
            "`{}` is linked, which is neither the link nor `{mailto}`",
            other.escape_debug()
        );
    }
    let Some((before, behind)) = page.text.split_once(link) else {
        bail!("the link is not shown as text");
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
    let input = BufferQueue::default();
    input.push_back(html.into());
    let tokenizer = Tokenizer::new(Reader::default(), TokenizerOpts::default());
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    tokenizer.sink.0.into_inner()
}

#[derive(Default)]
struct Reader(RefCell<Page>);

impl TokenSink for Reader {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut page = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) => return page.tag(&tag),
            Token::CharacterTokens(text) => match page.hidden.as_deref() {
                None => page.text.push_str(&text),
                Some("style") => page.styles(&text),
                Some(_) => {}
            },
            // Outlook reads what other clients take for a comment.
            Token::CommentToken(comment) => {
                let within = comment.split_once("]>").map_or("", |(_, rest)| rest);
                let within = read(within);
                page.targets.extend(within.targets);
                page.targets.extend(within.buttons);
                page.forbidden.extend(within.forbidden);
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl Page {
    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name = &*tag.name;
        self.text.push('\n');
        if tag.kind == TagKind::EndTag {
            if self.hidden.as_deref() == Some(name) {
                self.hidden = None;
            }
            return TokenSinkResult::Continue;
        }
        if ELEMENTS.contains(&name) {
            self.forbidden.push(format!("`<{name}>`"));
        }
        let value = |wanted: &str| {
            tag.attrs
                .iter()
                .find(|it| &*it.name.local == wanted)
                .map(|it| it.value.to_string())
        };
        for attribute in &tag.attrs {
            let (key, value) = (&*attribute.name.local, &*attribute.value);
            if ATTRIBUTES.contains(&key) || key.starts_with("on") {
                self.forbidden.push(format!("the attribute `{key}`"));
            }
            if key == "style" {
                self.styles(value);
            }
        }
        if let Some(target) = value("href") {
            let class = value("class").unwrap_or_default();
            if name == "a" && class.split_whitespace().any(|it| it == "button") {
                self.buttons.push(target.clone());
            }
            self.targets.push(target);
        }
        match name {
            "style" | "title" => {
                self.hidden = Some(name.to_owned());
                TokenSinkResult::RawData(match name {
                    "title" => RawKind::Rcdata,
                    _ => RawKind::Rawtext,
                })
            }
            _ => TokenSinkResult::Continue,
        }
    }

    fn styles(&mut self, css: &str) {
        // What loads has one of these; most styles have neither.
        if !css.contains(['(', '@']) {
            return;
        }
        let css = css.to_ascii_lowercase();
        for loading in ["url(", "@import", "expression("] {
            if css.contains(loading) {
                self.forbidden.push(format!("`{loading}` in a style"));
            }
        }
    }
}

//! A page as a browser's tokenizer reads it: elements, style sheets and text.

use std::cell::RefCell;

use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

/// An element with its attributes.
pub struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    /// Between `[if !mso]` and `[endif]`: Word does not see it.
    pub beside_word: bool,
    /// The comment right before it.
    pub after: String,
}

impl Element {
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.attributes.iter().filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.as_str())
    }

    pub fn declarations(&self) -> Vec<(&str, &str)> {
        declarations(self.get("style").unwrap_or_default())
    }
}

/// A page, read.
#[derive(Default)]
pub struct Page {
    pub elements: Vec<Element>,
    /// Style sheets that all clients see, and whether they are in the head.
    pub sheets: Vec<(String, bool)>,
    /// All text outside style sheets and comments, decoded.
    pub words: String,
    comment: String,
    beside_word: bool,
    in_body: bool,
    in_style: bool,
}

#[derive(Default)]
struct Reader(RefCell<Page>);

impl TokenSink for Reader {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut page = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => return page.begin(&tag),
            Token::TagToken(_) => page.in_style = false,
            Token::CharacterTokens(text) if page.in_style => {
                page.sheets.last_mut().unwrap().0.push_str(&text);
            }
            Token::CharacterTokens(text) => page.words.push_str(&text),
            Token::CommentToken(text) => {
                if text.starts_with("[if !mso]") {
                    page.beside_word = true;
                } else if text.starts_with("<![endif]") {
                    page.beside_word = false;
                }
                page.comment = text.to_string();
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl Page {
    pub fn read(html: &str) -> Self {
        let input = BufferQueue::default();
        input.push_back(html.into());
        let tokenizer = Tokenizer::new(Reader::default(), TokenizerOpts::default());
        let _ = tokenizer.feed(&input);
        tokenizer.end();
        tokenizer.sink.0.into_inner()
    }

    fn begin(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name = tag.name.to_string();
        let attributes = tag.attrs.iter();
        self.elements.push(Element {
            attributes: attributes
                .map(|it| (it.name.local.to_string(), it.value.to_string()))
                .collect(),
            beside_word: self.beside_word,
            after: std::mem::take(&mut self.comment),
            name: name.clone(),
        });
        self.in_body |= name == "body";
        if name == "style" {
            self.in_style = true;
            self.sheets.push((String::new(), !self.in_body));
            return TokenSinkResult::RawData(RawKind::Rawtext);
        }
        if matches!(name.as_str(), "title" | "textarea") {
            return TokenSinkResult::RawData(RawKind::Rcdata);
        }
        TokenSinkResult::Continue
    }
}

/// The declarations of a style, each as property and value.
pub fn declarations(style: &str) -> Vec<(&str, &str)> {
    let parts = style.split(';').filter_map(|it| it.split_once(':'));
    parts
        .map(|(property, value)| (property.trim(), value.trim()))
        .collect()
}

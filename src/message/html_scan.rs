//! Reads the HTML part as a browser tokenizes it: what it links, loads, runs and shows.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::LazyLock;

use html5gum::emitters::naive_next_state;
use html5gum::{Emitter, Error, State, Tokenizer};
use memchr::{memchr2, memmem};

/// Elements that load, run, submit or redirect, and those whose content is markup for some programs and text
/// for others.
static FORBIDDEN_ELEMENTS: LazyLock<Vec<&[u8]>> = LazyLock::new(|| {
    names(
        "script iframe frame object embed form base link svg audio video math noembed noframes noscript plaintext xmp",
    )
});
/// Attributes that name something to load or to go to, except `href`, and `src` of an image.
static FORBIDDEN_ATTRIBUTES: LazyLock<Vec<&[u8]>> = LazyLock::new(|| {
    names(
        "srcset background action formaction poster data cite ping longdesc manifest xlink:href http-equiv srcdoc",
    )
});

fn names(list: &'static str) -> Vec<&'static [u8]> {
    list.split(' ').map(str::as_bytes).collect()
}

/// What the verification needs to know about a page.
#[derive(Debug, Default)]
pub struct HtmlScan {
    /// The targets of elements of class `button`.
    pub buttons: Vec<String>,
    /// The targets of all links, those in conditional comments included.
    pub targets: Vec<String>,
    /// The sources of all images, those in conditional comments included; empty for an image without one.
    pub images: Vec<String>,
    /// The visible text, with a line break for each tag.
    pub text: Vec<u8>,
    /// The forbidden elements, attributes and styles.
    pub forbidden: Vec<String>,
}

/// Scans a page.
pub fn read(html: &str) -> HtmlScan {
    let mut scan = ScanEmitter::default();
    scan.page.text.reserve(html.len());
    Tokenizer::new_with_emitter(html, &mut scan).for_each(drop);
    scan.finish()
}

/// Collects a scan while the page is tokenized.
#[derive(Debug, Default)]
struct ScanEmitter {
    page: HtmlScan,
    /// All styles, separated by line breaks.
    css: Vec<u8>,
    /// The element whose text is not shown, while inside it.
    hidden: Option<&'static str>,
    /// The previous start tag, which an end tag may match.
    opened: Vec<u8>,
    is_end_tag: bool,
    /// The tag, attribute and comment that are being read.
    name: Vec<u8>,
    attribute: Vec<u8>,
    value: Vec<u8>,
    comment: Vec<u8>,
    /// Whether the tag has the class `button`, by its first class attribute, as in a browser.
    is_button: Option<bool>,
    /// How many targets, images and forbidden things there were before the tag.
    targets_before: usize,
    images_before: usize,
    forbidden_before: usize,
}

impl ScanEmitter {
    fn finish(mut self) -> HtmlScan {
        // A style that loads something contains one of these.
        if memchr2(b'(', b'@', &self.css).is_some() {
            self.css.make_ascii_lowercase();
            for loading in ["url(", "@import", "expression("] {
                if memmem::find(&self.css, loading.as_bytes()).is_some() {
                    self.page.forbidden.push(format!("`{loading}` in a style"));
                }
            }
        }
        self.page
    }

    /// Handles an attribute that was read, if any.
    fn end_attribute(&mut self) {
        match &*self.attribute {
            b"" => return,
            b"style" => {
                self.css.extend_from_slice(&self.value);
                self.css.push(b'\n');
            }
            b"class" => {
                let mut classes = self.value.split(u8::is_ascii_whitespace);
                let is_button = classes.any(|it| it == b"button");
                self.is_button.get_or_insert(is_button);
            }
            b"src" if self.name == b"img" && !self.is_end_tag => {
                self.page.images.push(lossy(&self.value).into_owned());
            }
            b"href" => self.page.targets.push(lossy(&self.value).into_owned()),
            name if name == b"src"
                || name.starts_with(b"on")
                || FORBIDDEN_ATTRIBUTES.contains(&name) =>
            {
                let forbidden = format!("the attribute `{}`", lossy(name));
                self.page.forbidden.push(forbidden);
            }
            _ => {}
        }
        self.attribute.clear();
        self.value.clear();
    }

    fn start(&mut self) {
        if FORBIDDEN_ELEMENTS.contains(&&*self.name) {
            let forbidden = format!("`<{}>`", lossy(&self.name));
            self.page.forbidden.insert(self.forbidden_before, forbidden);
        }
        if self.is_button == Some(true) && self.name == b"a" {
            // A browser follows the first.
            let target = self.page.targets.get(self.targets_before);
            self.page.buttons.extend(target.cloned());
        }
        if self.name == b"img" && self.page.images.len() == self.images_before {
            self.page.images.push(String::new());
        }
        self.hidden = hidden(&self.name).or(self.hidden);
    }

    fn end(&mut self) {
        if self.hidden.is_some_and(|it| it.as_bytes() == self.name) {
            self.hidden = None;
            self.css.push(b'\n');
        }
    }
}

/// Parse errors are ignored, as in a browser: finding them takes as long as reading.
impl Emitter for &mut ScanEmitter {
    type Token = Infallible;

    fn should_emit_errors(&mut self) -> bool {
        false
    }

    fn pop_token(&mut self) -> Option<Infallible> {
        None
    }

    fn emit_string(&mut self, text: &[u8]) {
        match self.hidden {
            None => self.page.text.extend_from_slice(text),
            Some("style") => self.css.extend_from_slice(text),
            Some(_) => {}
        }
    }

    fn init_start_tag(&mut self) {
        self.name.clear();
        self.is_end_tag = false;
        self.is_button = None;
        self.targets_before = self.page.targets.len();
        self.images_before = self.page.images.len();
        self.forbidden_before = self.page.forbidden.len();
    }

    fn init_end_tag(&mut self) {
        self.name.clear();
        self.is_end_tag = true;
    }

    fn push_tag_name(&mut self, name: &[u8]) {
        self.name.extend_from_slice(name);
    }

    fn init_attribute(&mut self) {
        self.end_attribute();
    }

    fn push_attribute_name(&mut self, name: &[u8]) {
        self.attribute.extend_from_slice(name);
    }

    fn push_attribute_value(&mut self, value: &[u8]) {
        self.value.extend_from_slice(value);
    }

    fn emit_current_tag(&mut self) -> Option<State> {
        self.end_attribute();
        self.page.text.push(b'\n');
        if self.is_end_tag {
            self.end();
            return None;
        }
        self.start();
        self.opened.clone_from(&self.name);
        // Styles and titles contain no markup, as in a browser.
        naive_next_state(&self.name)
    }

    fn current_is_appropriate_end_tag_token(&mut self) -> bool {
        self.is_end_tag && !self.name.is_empty() && self.name == self.opened
    }

    fn set_last_start_tag(&mut self, name: Option<&[u8]>) {
        self.opened = name.unwrap_or_default().to_vec();
    }

    fn init_comment(&mut self) {
        self.comment.clear();
    }

    fn push_comment(&mut self, text: &[u8]) {
        self.comment.extend_from_slice(text);
    }

    /// For Outlook, the end of a comment may end a tag that was left open in it.
    fn emit_eof(&mut self) {
        self.end_attribute();
    }

    fn emit_current_comment(&mut self) {
        // Outlook reads conditional comments, which other clients ignore.
        let comment = lossy(&self.comment);
        if let Some((_, within)) = comment.split_once("]>") {
            let within = read(within);
            self.page.targets.extend(within.targets);
            self.page.images.extend(within.images);
            self.page.forbidden.extend(within.forbidden);
        }
    }

    fn emit_error(&mut self, _: Error) {}
    fn set_self_closing(&mut self) {}
    fn init_doctype(&mut self) {}
    fn emit_current_doctype(&mut self) {}
    fn set_force_quirks(&mut self) {}
    fn push_doctype_name(&mut self, _: &[u8]) {}
    fn set_doctype_public_identifier(&mut self, _: &[u8]) {}
    fn set_doctype_system_identifier(&mut self, _: &[u8]) {}
    fn push_doctype_public_identifier(&mut self, _: &[u8]) {}
    fn push_doctype_system_identifier(&mut self, _: &[u8]) {}
}

/// The name of an element whose text is not shown.
fn hidden(name: &[u8]) -> Option<&'static str> {
    match name {
        b"style" => Some("style"),
        b"title" => Some("title"),
        _ => None,
    }
}

/// As `String::from_utf8_lossy`, but faster for valid UTF-8.
pub fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

#[cfg(test)]
mod tests {
    use html5gum::Token;
    use html5gum::emitters::default::DefaultEmitter;
    use proptest::prelude::*;

    use super::*;

    /// The links and the text, as the library's own emitter finds them.
    fn by_tokens(html: &str) -> (Vec<String>, Vec<u8>) {
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        let (mut targets, mut text) = (Vec::new(), Vec::new());
        let mut inside = None;
        for Ok(token) in Tokenizer::new_with_emitter(html, emitter) {
            match token {
                Token::StartTag(tag) => {
                    let target = tag.attributes.get(b"href".as_slice());
                    targets.extend(target.map(|it| lossy(it).into_owned()));
                    inside = hidden(&tag.name).or(inside);
                }
                Token::EndTag(tag) if inside == hidden(&tag.name) => inside = None,
                Token::String(shown) if inside.is_none() => text.extend_from_slice(&shown),
                _ => {}
            }
        }
        text.retain(|it| *it != b'\n');
        (targets, text)
    }

    proptest! {
        #[test]
        fn any_page_is_scanned_as_a_browser_tokenizes_it(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "<a href=\"x\">", "<a class='b button' href=y>", "<a href", "=", "\"", "'", ">", "</a>", "<", "</",
                "<p style=\"a:b\" data-x>", "<br/>", "<style>", "</style>", "<title>", "</title>", "<TITLE>",
                "<textarea>", "</textarea>", "<!--", "-->", "--!>", "<!doctype html>", "<?", "<![CDATA[", "]]>",
                "&amp;", "&#8203;", "&lt", "&", ";", "\0", "\n", "\r\n", "é", "漢", " ", "words", "/",
            ]), 0..24),
        ) {
            let html = pieces.concat();
            let mut page = read(&html);
            page.text.retain(|it| *it != b'\n');
            let (targets, text) = by_tokens(&html);

            prop_assert_eq!(page.text, text, "{}", html);
            // A browser uses the first of duplicate attributes; the verification uses all.
            let mut ours = page.targets.iter();
            prop_assert!(targets.iter().all(|it| ours.any(|ours| ours == it)), "{}", html);
        }
    }
}

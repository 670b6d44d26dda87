//! The MIME bodies of a rendered mail: ASCII only, short lines that no relay needs to wrap, and each part in a
//! suitable encoding.

use encodify::{base64, qp};
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, SinglePart};
use memchr::{memchr, memmem};

/// The maximum length of a line, without its CRLF (RFC 5322 §2.1.1).
const MAX_LINE: usize = 998;

/// The text part: quoted-printable, in which Latin letters stay readable, or base64 for other scripts where that is
/// shorter.
pub fn text(text: &str) -> SinglePart {
    encoded(ContentType::TEXT_PLAIN, text)
}

/// The HTML part: plain ASCII if possible, so that the link crosses the wire in one piece; otherwise encoded
/// like the text part.
pub fn html(html: &str) -> SinglePart {
    if is_readable_escaped(html)
        && let Some(plain) = as_references(html)
    {
        let encoding = ContentTransferEncoding::SevenBit;
        return part(ContentType::TEXT_HTML, plain, encoding);
    }
    encoded(ContentType::TEXT_HTML, html)
}

fn encoded(content_type: ContentType, text: &str) -> SinglePart {
    let (text, encoding) = if is_readable_escaped(text) {
        (
            qp::BODY.encode(text),
            ContentTransferEncoding::QuotedPrintable,
        )
    } else {
        let text = text.replace('\n', "\r\n");
        (base64::MIME.encode(text), ContentTransferEncoding::Base64)
    };
    part(content_type, text, encoding)
}

fn part(content_type: ContentType, text: String, encoding: ContentTransferEncoding) -> SinglePart {
    let body = Body::dangerous_pre_encoded(text.into_bytes(), encoding);
    SinglePart::builder().header(content_type).body(body)
}

/// Whether escapes are shorter than base64, or leave most of the text readable as in Czech or Turkish. Filters
/// suspect base64 in texts of Latin letters.
fn is_readable_escaped(text: &str) -> bool {
    is_mostly_ascii(text) || is_latin(text)
}

/// Whether most of the letters beyond ASCII are Latin ones.
fn is_latin(text: &str) -> bool {
    let (mut latin, mut others) = (0_usize, 0_usize);
    for letter in text
        .chars()
        .filter(|it| !it.is_ascii() && it.is_alphabetic())
    {
        // Latin-1 Supplement to IPA Extensions, and Latin Extended Additional, which Vietnamese needs.
        match letter {
            '\u{80}'..='\u{2af}' | '\u{1e00}'..='\u{1eff}' => latin += 1,
            _ => others += 1,
        }
    }
    latin > others
}

/// Whether quoted-printable is shorter than base64: it writes three bytes for each byte that it escapes,
/// base64 four for every three.
fn is_mostly_ascii(text: &str) -> bool {
    let escaped = |bytes: &[u8]| {
        let each = bytes
            .iter()
            .map(|it| u8::from(!it.is_ascii() || *it == b'='));
        usize::from(each.sum::<u8>())
    };
    // Counts that fit a byte are vectorised.
    let escaped: usize = text.as_bytes().chunks(255).map(escaped).sum();
    escaped <= text.len() / 6
}

/// The same page in ASCII: other characters as references, lines ended by CRLF. None if it would not be the
/// same page, or could be changed on the way.
fn as_references(html: &str) -> Option<String> {
    let mut page = String::with_capacity(html.len() + html.len() / 4);
    let mut rest = html;
    while !rest.is_empty() {
        let end = memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        let start = page.len();
        push_as_references(&mut page, line)?;
        // Mailbox files insert `>` before this word.
        if page.len() - start > MAX_LINE || line.starts_with("From ") {
            return None;
        }
        page += "\r\n";
    }
    (html.is_ascii() || styles_are_ascii(html)).then_some(page)
}

/// None at a control character: relays drop some, and references to some mean windows-1252 letters.
fn push_as_references(page: &mut String, line: &str) -> Option<()> {
    let mut digits = itoa::Buffer::new();
    let mut rest = line;
    while let Some(place) = find_special(rest.as_bytes()) {
        let (plain, behind) = rest.split_at(place);
        let mut letters = behind.chars();
        let letter = letters.next().filter(|it| !it.is_control())?;
        page.extend([plain, "&#", digits.format(u32::from(letter)), ";"]);
        rest = letters.as_str();
    }
    page.push_str(rest);
    Some(())
}

/// The position of the first byte that is not plain.
fn find_special(bytes: &[u8]) -> Option<usize> {
    // A fold without an early exit is vectorised.
    if bytes.iter().fold(true, |all, it| all & is_plain(*it)) {
        return None;
    }
    bytes.iter().position(|it| !is_plain(*it))
}

fn is_plain(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte) || byte == b'\t'
}

/// A browser decodes no references in a style sheet (WHATWG HTML §13.2.5). The other elements of that kind
/// never pass the verification.
fn styles_are_ascii(html: &str) -> bool {
    let html = html.to_ascii_lowercase();
    let mut styles = memmem::find_iter(html.as_bytes(), "<style");
    styles.all(|start| {
        let style = &html.as_bytes()[start..];
        let end = memmem::find(style, b"</style");
        style[..end.unwrap_or(style.len())].is_ascii()
    })
}

#[cfg(test)]
mod tests {
    use html5gum::emitters::default::DefaultEmitter;
    use html5gum::{Token, Tokenizer};
    use mail_parser::{MessageParser, MimeHeaders};
    use proptest::prelude::*;

    use super::*;

    /// The transfer encoding of a part, and the text that a mail program reads from it.
    fn read(part: &SinglePart) -> (String, String) {
        let bytes = part.formatted();
        assert!(bytes.is_ascii());
        let mail = MessageParser::default().parse(&bytes).unwrap();
        let encoding = mail.parts[0].content_transfer_encoding().unwrap();
        let text = mail.parts[0].text_contents().unwrap();
        // In a message, the line break at the end belongs to the boundary.
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        (encoding.to_owned(), text.to_owned())
    }

    /// What a browser makes of it, and what Outlook makes of the comments.
    fn tokens(html: &str) -> Vec<Token> {
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        let tokens = Tokenizer::new_with_emitter(html, emitter).flat_map(|Ok(token)| match token {
            Token::Error(_) => Vec::new(),
            Token::Comment(comment) => tokens(&String::from_utf8_lossy(&comment)),
            token => vec![token],
        });
        tokens.collect()
    }

    #[test]
    fn a_page_is_plain_ascii_unless_that_would_change_it() {
        let link = "<a href=\"https://myaccess.microsoft.com/@a.example#/x\">é</a>".repeat(3);
        let words = "words of Latin letters, here and there one with an accent. ".repeat(12);
        let page = |odd: &str| format!("<p>{words}</p>\n{link}\n{odd}\n");
        for (odd, encoding) in [
            ("", "7bit"),
            ("<!--[if mso]><v:rect>é</v:rect><![endif]-->", "7bit"),
            ("<p title=\"“é”\">😀 &amp; &eacute;\tx</p>", "7bit"),
            (
                "<style>p { font-family: Arial }</style>é<title>é</title>",
                "7bit",
            ),
            (
                "<style>p { font-family: \"微软雅黑\" }</style>",
                "quoted-printable",
            ),
            (
                "<!--[if mso]><STYLE>p::before { content: '→' }</STYLE>-->",
                "quoted-printable",
            ),
            ("<style>é", "quoted-printable"),
            ("<p>\u{96}</p>", "quoted-printable"),
            ("<p>\u{7}</p>", "quoted-printable"),
            ("<p>\r</p>", "quoted-printable"),
            ("From here", "quoted-printable"),
        ] {
            let (used, text) = read(&html(&page(odd)));
            assert_eq!(used, encoding, "{odd:?}");
            let whole = text.contains("https://myaccess.microsoft.com/@a.example#/x");
            assert!(whole && tokens(&text) == tokens(&page(odd)), "{odd:?}");
        }
        let long = |length: usize| format!("{}\n", "x".repeat(length));
        assert_eq!(read(&html(&long(998))).0, "7bit");
        assert_eq!(read(&html(&long(999))).0, "quoted-printable");
        assert_eq!(read(&html(&long(0))).0, "7bit");
        let japanese = "アクセス権を申請してください。".repeat(9);
        assert_eq!(read(&html(&japanese)), ("base64".into(), japanese));
    }

    #[test]
    fn text_of_latin_letters_is_quoted_printable_and_others_have_the_shorter_encoding() {
        for (words, encoding) in [
            (
                "Présentez votre demande d’accès dans le portail.\n",
                "quoted-printable",
            ),
            (
                "Žádost o přístup podáváte v portálu Můj přístup.\n",
                "quoted-printable",
            ),
            (
                "Čtěte! Příště žádný ďábelský šílený ježek.\n",
                "quoted-printable",
            ),
            (
                "Erişim isteğini Microsoft’un Erişimim portalında gönderin.\n",
                "quoted-printable",
            ),
            (
                "Gửi yêu cầu truy cập của bạn trong cổng thông tin.\n",
                "quoted-printable",
            ),
            ("アクセス権を申請してください。\n", "base64"),
            ("Αίτηση πρόσβασης στην πύλη.\n", "base64"),
            ("Запрос доступа на портале, Jiří.\n", "base64"),
            ("אנא שלחו את הבקשה בפורטל.\n", "base64"),
            (
                "アクセス https://myaccess.microsoft.com/@contoso.onmicrosoft.com#/x\n",
                "quoted-printable",
            ),
        ] {
            let words = words.repeat(9);
            let (used, read) = read(&text(&words));
            assert_eq!(
                (used.as_str(), read.replace("\r\n", "\n").trim_end()),
                (encoding, words.trim_end())
            );
        }
    }

    proptest! {
        #[test]
        fn any_page_is_read_as_it_was_written(pieces in prop::collection::vec(
            prop_oneof![
                "[ -;=-~]{0,40}".prop_map(String::from),
                "[^<]{0,20}".prop_map(String::from),
                prop::sample::select(vec![
                    "<p class=\"é\">", "</p>", "<style>", "</style>", "<title>", "</title>", "<!--", "-->",
                    "<!--[if mso]>", "<![endif]-->", "\n", "\nFrom ", "&#233;", "é", "’", "<a b='ü'>",
                ]).prop_map(str::to_owned),
            ], 0..30)) {
            // Rows and templates come without.
            let page = pieces.concat().replace('\r', "");
            let (_, read) = read(&html(&page));
            prop_assert_eq!(tokens(read.trim_end()), tokens(page.trim_end()));
        }
    }
}

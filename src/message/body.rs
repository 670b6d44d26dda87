//! The MIME structure of a mail: text and HTML as alternatives, and round the HTML the logos that it shows.

use lettre::message::MultiPart;
use lettre::message::header::ContentType;

use super::encode;
use super::error::{MessageError, Result};
use super::logo::Logo;
use crate::templates::RenderedMail;

/// The body of a mail; `unique` makes its boundaries.
pub fn of(mail: &RenderedMail, logos: &[Logo], unique: &str) -> Result<MultiPart> {
    let body = multipart(&format!("multipart/alternative; boundary=\"={unique}=\""))?
        .singlepart(encode::text(&mail.text));
    let html = encode::html(&mail.html);
    let mut shown = shown(&mail.html, logos).peekable();
    if shown.peek().is_none() {
        return Ok(body.singlepart(html));
    }
    // No boundary begins with the other (RFC 2046 §5.1.1).
    let related = format!("multipart/related; type=\"text/html\"; boundary=\"+{unique}+\"");
    let related = multipart(&related)?.singlepart(html);
    Ok(body.multipart(shown.fold(related, |it, logo| it.singlepart(logo.part.clone()))))
}

/// The logos that a page shows. Any other would be listed as an attachment.
pub fn shown<'a>(html: &str, logos: &'a [Logo]) -> impl Iterator<Item = &'a Logo> {
    logos.iter().filter(move |it| html.contains(&it.url))
}

fn multipart(content_type: &str) -> Result<lettre::message::MultiPartBuilder> {
    let content_type = ContentType::parse(content_type).map_err(MessageError::header)?;
    Ok(MultiPart::builder().header(content_type))
}

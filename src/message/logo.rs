//! A logo as a part of a message, which its HTML names by `cid:`.

use encodify::base64;
use lettre::message::header::{
    ContentDisposition, ContentId, ContentTransferEncoding, ContentType,
};
use lettre::message::{Body, SinglePart};

use crate::digest;
use crate::templates::Image;

/// A logo, encoded once for all messages.
#[derive(Debug)]
pub struct Logo {
    /// Its key in the configuration.
    pub key: &'static str,
    /// Its Content-ID without brackets: the same in all messages, so that mail programs may keep it.
    pub id: String,
    /// Its URL in HTML.
    pub url: String,
    /// The image.
    pub image: Image,
    /// The finished part.
    pub part: SinglePart,
}

impl Logo {
    /// A logo in mails from this domain.
    #[must_use]
    pub fn new(image: &Image, domain: &str) -> Self {
        let kind: &str = image.kind.into();
        let digest = u64::from_be_bytes(digest::short([&image.bytes]));
        let id = format!("logo.{digest:016x}@{domain}");
        let name = format!("logo.{}", if kind == "jpeg" { "jpg" } else { kind });
        let content_type = format!("image/{kind}");
        let content_type = ContentType::parse(&content_type).expect("it is a content type");
        let body = base64::MIME.encode(&image.bytes).into_bytes();
        let body = Body::dangerous_pre_encoded(body, ContentTransferEncoding::Base64);
        let part = SinglePart::builder()
            .header(content_type)
            .header(ContentDisposition::inline_with_name(&name))
            .header(ContentId::from(format!("<{id}>")))
            .body(body);
        Self {
            key: image.key,
            url: format!("cid:{id}"),
            id,
            image: image.clone(),
            part,
        }
    }
}

//! From a partner to the bytes on the wire, and the verification of these bytes.
//!
//! [`Composer`] builds a message with lettre. [`verify()`] reads the finished bytes with another library and
//! compares them with what they must say. Preview, sandbox and send all use them, so what is reviewed is what
//! is sent.

mod allowed;
mod body;
mod compose;
mod draft;
mod encode;
mod error;
mod finished;
mod html_scan;
mod logo;
mod scopes;
mod template_check;
mod verify;

pub use self::allowed::AllowedLinks;
pub use self::compose::Composer;
pub use self::draft::{draft, subject_and_text};
pub use self::error::MessageError;
pub use self::finished::Message;
pub use self::logo::Logo;
pub use self::verify::{Expected, Verification, verify};

#[cfg(test)]
mod tests;

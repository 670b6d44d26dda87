//! From a partner to the bytes on the wire, and the verification that these are right.
//!
//! [`Composer`] builds a message with lettre; [`verify()`] reads the finished bytes
//! back with another library and holds them against what they must say. Preview,
//! rehearsal and send all go through here, so what is reviewed is what is sent.

mod compose;
mod encode;
mod finished;
mod html_scan;
mod template_check;
mod verify;

pub use self::compose::Composer;
pub use self::finished::Message;
pub use self::verify::{Expected, Verification, verify};

#[cfg(test)]
mod tests;

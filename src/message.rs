//! From a partner to the bytes on the wire, and the proof that these are right.
//!
//! [`Composer`] builds a message with lettre; [`prove()`] reads the finished bytes
//! back with another library and holds them against what they must say. Preview,
//! rehearsal and send all go through here, so what is reviewed is what is sent.

mod compose;
mod encode;
mod finished;
mod page;
mod prove;
mod rehearsal;

pub use self::compose::Composer;
pub use self::finished::Message;
pub use self::prove::{Expected, Proof, prove};

#[cfg(test)]
mod tests;

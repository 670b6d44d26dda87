//! The relay: a connection, and the SMTP conversation on it, phase by phase.
//!
//! lettre builds our messages, but its transport is not used: it hides in which
//! phase something failed and has no deadline for each. Whether a message may have
//! been accepted hangs on both, so the conversation is ours and small.

mod addresses;
mod certificate;
mod connect;
mod conversation;
mod ehlo_extensions;
mod hello;
mod login;
mod order;
mod pipelining;
mod reply;
mod tls;
mod wire;

pub use self::addresses::ConnectError;
#[cfg(test)]
pub use self::connect::Dialer;
pub use self::connect::{Connection, Connector};
pub use self::conversation::{Conversation, Envelope, FinalDot, NoReply, TransactionAborted};
pub use self::ehlo_extensions::EhloExtensions;
pub use self::login::check as check_credentials;
pub use self::order::ReplyOrder;
pub use self::pipelining::PipeliningProbe;
pub use self::reply::{MalformedReply, ReplyReader};
#[cfg(test)]
pub use self::wire::Wire;

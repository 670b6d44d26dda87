//! The relay: opening a connection, and the SMTP conversation on it, phase by phase.
//!
//! lettre builds the messages, but its transport is not used: it does not report the phase that failed, and
//! has no deadline per phase. Whether a message may have been accepted depends on both.

mod addresses;
mod certificate;
mod connect;
mod conversation;
mod credentials;
mod ehlo;
mod error;
mod handshake;
mod login;
mod order;
mod pipelining;
mod reply;
mod reply_stream;
mod step;
mod tls;
mod tls_session;
mod token_refusal;
mod wire;

#[cfg(test)]
pub use self::connect::Dialer;
pub use self::connect::{Connection, Connector};
pub use self::conversation::{Conversation, Envelope, FinalDot, ReportRequest, TransactionAborted};
pub use self::credentials::Credentials;
pub use self::ehlo::EhloExtensions;
pub use self::error::{ConnectError, ErrorSource, NoReply, SetupError};
pub use self::order::ReplyOrder;
pub use self::pipelining::PipeliningProbe;
pub use self::reply::{MalformedReply, ReplyReader};
pub use self::step::{Step, TokenFacts};
pub use self::tls::trusting as tls_trusting;
pub use self::tls_session::{CertificateFacts, TlsSession};
#[cfg(test)]
pub use self::wire::Wire;

//! DNS queries to the servers of `/etc/resolv.conf`, for records that the system's own name lookup does not
//! return, such as TXT.
//!
//! Every query has a deadline, and an answer at most 64 KiB and a few aliases. A truncated answer is
//! requested again over TCP.

mod error;
mod message;
mod resolver;
mod system;

pub use self::error::DnsError;
pub use self::message::RecordType;
pub use self::resolver::Resolver;

//! The configuration: one TOML file, read once into final types.
//!
//! Each table has a file here with its types and the function that reads it. That function
//! declares each key once: name, type, default and description. All errors are reported together,
//! each with its line and a fix. The layers above can rely on a loaded configuration: links are
//! whole, addresses deliverable, paths resolved, values in their range. The file contains no
//! secret, and a line that might is never printed.

mod deadlines;
mod error;
mod fingerprint;
mod host;
mod key;
mod ledger_files;
mod limits;
mod load;
mod login;
mod names;
mod overlap;
mod packages;
mod partner_file;
mod pattern;
mod problems;
mod reader;
mod secrets;
mod sender;
mod smtp;
mod template_folder;
mod text;
mod values;

pub use self::deadlines::Deadlines;
pub use self::error::ConfigError;
pub use self::key::{Key, Kind, Presence};
pub use self::ledger_files::LedgerFiles;
pub use self::limits::Limits;
pub use self::load::{Config, declared_keys};
pub use self::login::{CredentialSource, Login};
pub(crate) use self::names::{first_of, nearest};
pub use self::packages::{Package, keys_of};
pub use self::partner_file::{BadRows, CellValues, Column, Columns, Field, PartnerFile};
pub use self::pattern::{Part, Pattern, PatternError};
pub use self::problems::{Problem, Problems};
pub use self::sender::Sender;
pub use self::smtp::{Smtp, Tls};
pub use self::template_folder::{MissingLocale, TemplateFolder};
pub use self::text::LocalizedText;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

//! The configuration: one TOML file, read once into final types.
//!
//! Each table has a file here with its types and the function that reads it. That function
//! declares each key once: name, type, default and description. All errors are reported together,
//! each with its line and a fix. In a loaded configuration, links are complete, addresses valid, paths
//! resolved, and values within their ranges. The file contains no secret, and a line that might contain
//! one is never printed.

mod approval;
mod bounces;
mod brand;
mod client_secret;
mod database_url;
mod deadlines;
mod endpoint;
mod entra;
mod error;
mod fingerprint;
mod host;
mod job_files;
mod json_schema;
mod key;
mod ledger_files;
mod ledger_location;
mod ledger_server;
mod limits;
mod load;
mod login;
mod microsoft;
mod monitoring;
mod names;
mod oauth;
mod overlap;
mod package_names;
mod packages;
mod partner_file;
mod pattern;
mod privacy;
mod problems;
mod provider_findings;
mod providers;
mod reader;
mod reminders;
mod secrets;
mod sender;
mod smtp;
mod template_folder;
mod text;
mod tls;
mod values;

pub use self::approval::ApprovalRules;
pub use self::bounces::{Bounces, Imap, ImapCredential};
pub use self::brand::Brand;
pub use self::client_secret::{SecretPlace, SecretSource};
pub use self::database_url::{
    DatabaseParameters, check_database_parameters, database_parameter, is_local_database,
    parse_database_url,
};
pub use self::deadlines::Deadlines;
pub use self::endpoint::parse_endpoint;
pub use self::entra::{BeforeSend, Entra};
pub use self::error::ConfigError;
pub use self::job_files::JobFiles;
pub use self::json_schema::json_schema;
pub use self::key::{Key, Kind, Presence};
pub use self::ledger_files::LedgerFiles;
pub use self::ledger_location::LedgerLocation;
pub use self::ledger_server::LedgerServer;
pub use self::limits::Limits;
pub use self::load::{Config, declared_keys};
pub use self::login::{CredentialSource, Login};
pub use self::microsoft::{ClientCredential, Cloud, Microsoft};
pub use self::monitoring::{HeartbeatUrl, Monitoring, Notify};
pub(crate) use self::names::{first_of, nearest};
pub use self::oauth::{ClientAuth, OAuth};
pub use self::package_names::{package_names, plain_letters};
pub use self::packages::{Package, keys_of};
pub use self::partner_file::{BadRows, CellValues, Column, Columns, Field, PartnerFile};
pub use self::pattern::{Pattern, PatternError, PatternPart};
pub use self::privacy::Privacy;
pub use self::problems::{Problem, Problems};
pub use self::provider_findings::CHECK as PROVIDER_CHECK;
pub use self::providers::{Place, Provider, ProviderLogin, RequiredKey, SenderRule, Source};
pub use self::sender::Sender;
pub use self::smtp::Smtp;
pub use self::template_folder::{MissingLocale, TemplateFolder};
pub use self::text::LocalizedText;
pub use self::tls::Tls;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

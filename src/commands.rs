//! The verbs, one file each. What they share: [`Job`], the ledger of a run, guards, verification,
//! delivery and the summary.

pub mod accept_older;
pub mod check;
mod check_entra;
mod checks;
mod connect;
mod connect_steps;
mod decide;
mod deliver;
mod examples;
pub mod export;
mod export_folder;
mod guards;
pub mod init;
mod job;
mod mail_checks;
mod new_config;
mod open_ledger;
pub mod packages;
mod preflight;
pub mod preview;
mod question;
mod records;
pub mod resolve;
mod review_entries;
pub mod sandbox;
pub mod send;
pub mod status;
mod summary;
pub mod sync;
pub mod test_send;
mod unrecorded;
mod verify;

pub use self::guards::PREVIEW;
pub use self::job::{Job, PartnerFilter};

//! access-invite
#![allow(missing_docs)]
pub mod address;
pub mod config;
pub mod delivery;
pub mod exit;
pub mod invitation;
pub mod ledger;
pub mod link;
pub mod locale;
pub mod message;
pub mod outcome;
pub mod partners;
pub mod plan;
pub mod relay;
pub mod templates;

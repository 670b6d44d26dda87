//! access-invite mails each partner in a CSV the whole My Access portal link of a
//! Microsoft Entra access package: once, in their language, with every result on record.
//!
//! # How it is built
//!
//! Layers, each importing only those below it (`tests/layers.rs` holds them to that):
//!
//! ```text
//! main · cli                     arguments, the error line
//! commands                       one file a verb
//! delivery results               the run: queue, workers, limits, signals · the list written again
//! plan outbox                    rows × standing → due | skipped, and why · planned send → verified message
//! ledger relay sandbox review approval report    memory · wire · rehearsal · review · leave · tables
//! oauth                          access tokens
//! http secret                    HTTPS with deadlines and proxies · secrets, read when needed
//! message                        compose · prove
//! templates partners             words · people
//! config
//! invitation                     identity, state, transitions
//! refusal                        what a refusal is about: recipient, sender, moment
//! outcome                        phase + reply → outcome
//! link address locale files digest · regular files only, bounded · hash of fields
//! exit output                    exit codes and the failure that carries one · a writer that remembers errors
//! ```
//!
//! # How data flows
//!
//! One row flows straight down: row → [`partners::Partner`] → [`plan::PlannedInvitation`] →
//! [`outbox::PlannedSend`] → [`message::Message`] → an attempt of a worker in [`delivery`] →
//! [`outcome::Outcome`] → [`ledger::Change`]. No arrow goes back.
//!
//! `docs/ARCHITECTURE.md` follows it function by function.
//!
//! # What it promises
//!
//! - A message leaves only when the whole link has been read back from its finished bytes.
//! - `armed` is durable before the final dot, the outcome before the next dot. What is armed
//!   when a run dies becomes `unknown`, and only a person opens that again.
//! - Everything that can be wrong is told before the first connection.

pub mod exit;
pub mod output;

pub mod address;
pub mod link;
pub mod locale;

pub mod digest;
pub mod files;

pub mod outcome;

pub mod refusal;

pub mod invitation;

pub mod config;

pub mod partners;
pub mod templates;

pub mod message;

pub mod http;
pub mod secret;

pub mod oauth;

pub mod approval;
pub mod ledger;
pub mod relay;
pub mod report;
pub mod review;
pub mod sandbox;

pub mod outbox;
pub mod plan;

pub mod delivery;
pub mod results;

pub mod commands;

pub mod cli;

//! access-invite mails each partner of a list the complete My Access portal link of a Microsoft Entra
//! access package: once, in their language, with every result recorded.
//!
//! # Layers
//!
//! Each imports only those below it (`tests/layers.rs` checks this):
//!
//! ```text
//! main · cli                     arguments, the error line
//! commands                       one file per verb
//! log                            lines on stderr: text or JSON, addresses masked
//! exit console                   error → exit code · stdout, stderr, questions, progress
//! delivery results               the run: queue, workers, limits, signals · the list written back
//! plan outbox sync events        rows × standing → due, or skipped with reason · planned send → verified message
//! ledger relay entra sandbox review approval report    record · SMTP · Microsoft Graph · test relay · review · approvals · tables and JSON
//! metrics notify                 the file for Prometheus · notifications at the end of a run (on the same layer)
//! sender_domain                  SPF, DKIM and DMARC of the sender's domain (on the same layer)
//! oauth                          access tokens
//! http dns secret                HTTPS with deadlines and proxies · DNS queries · secrets, read when needed
//! message                        compose · verify
//! templates partners inbox       text · people · what came back
//! config
//! invitation                     identity, state, transitions
//! refusal                        what a refusal is about: recipient, sender, time
//! outcome atomic_file mentions masking   phase + reply → outcome · a file that replaces another as a whole · an address in a text
//! link address locale color files digest         values · regular files only, bounded · hash of fields
//! finding output html            what a check found · a writer that keeps its first error · HTML escaping
//! os_error panics clock          messages of system errors · panics of parsers, caught · the time
//! ```
//!
//! # Data flow
//!
//! The path of one row: row → [`partners::Partner`] → [`plan::PlannedInvitation`] →
//! [`outbox::PlannedSend`] → [`message::Message`] → an attempt of a worker in [`delivery`] →
//! [`outcome::Outcome`] → [`ledger::Change`]. `docs/ARCHITECTURE.md` follows it function by function.
//!
//! # Guarantees
//!
//! - A message is sent only after the complete link has been read back from its finished bytes.
//! - `armed` is durable before the final dot, and the outcome before the next final dot on that connection. If a
//!   run ends abnormally, its armed invitations become `unknown`, and only an operator can reopen them.
//! - Everything is validated before the first connection.

pub mod clock;
pub mod finding;
pub mod html;
pub mod os_error;
pub mod output;
pub mod panics;

pub mod address;
pub mod color;
pub mod link;
pub mod locale;

pub mod digest;
pub mod files;

pub mod atomic_file;
pub mod masking;
pub mod mentions;
pub mod outcome;

pub mod refusal;

pub mod invitation;

pub mod config;

pub mod inbox;
pub mod partners;
pub mod templates;

pub mod message;

pub mod dns;
pub mod http;
pub mod secret;

pub mod oauth;

pub mod approval;
pub mod entra;
pub mod ledger;
pub mod metrics;
pub mod notify;
pub mod relay;
pub mod report;
pub mod review;
pub mod sandbox;
pub mod sender_domain;

pub mod events;
pub mod outbox;
pub mod plan;
pub mod sync;

pub mod delivery;
pub mod results;

pub mod log;

pub mod console;
pub mod exit;

pub mod commands;

pub mod cli;

//! Runs the program as its users do: the binary or a verb, a real relay over a socket, a real ledger.
//!
//! One binary, so that [`support`] is compiled and linked once. `cargo test --test integration tls::` runs one
//! module; `-- --ignored` runs the tests that need more than a Rust toolchain, which `.ci/run` installs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

mod approval;
mod approve;
mod brand;
mod browser;
mod clients;
mod clock;
mod crash;
mod cron;
mod cuts;
mod diagnosis;
mod dialogue;
mod documents;
mod entra;
mod errors;
mod events;
mod evidence;
mod exits;
mod export;
mod files;
mod findings;
mod forget;
mod fuzz;
mod help;
mod init;
mod inputs;
mod layers;
mod ledger;
mod ledger_copies;
mod lists;
mod login;
mod logs;
mod mail;
mod manual;
mod metrics;
mod notify;
mod oauth;
mod oauth_login;
mod overlap;
mod packages;
mod peers;
mod peers_mail;
mod peers_metrics;
mod peers_nodemailer;
mod peers_packaging;
mod peers_proxy;
mod peers_sync;
mod peers_tokens;
mod pipelining;
mod postgres_runs;
mod postgres_setup;
mod power;
mod process;
mod providers;
mod question;
mod relays;
mod reliability;
mod reminders;
mod report;
mod requests;
mod results;
mod review;
mod scale;
mod scanner;
mod schema;
mod sender_domain;
mod sending;
mod status;
mod suppress;
mod sync;
mod sync_graph;
mod syscalls;
mod terminal;
mod tls;
mod traced;
mod values;
mod verbs;
mod witness;
mod words;

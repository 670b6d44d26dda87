//! Several runs on one ledger in PostgreSQL: real processes, a real server, a real relay. After every fault the
//! invariants of docs/RELIABILITY.md hold, and further runs finish the job without mailing anybody twice.
//!
//! Run by `.ci/run`, which installs PostgreSQL. `ACCESS_INVITE_KILLS` sets the number of trials of each test that
//! injects faults at random moments.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on fails, and shows what happened"
)]

mod beside;
mod cluster;
mod connections;
mod failover;
mod kills;
mod pauses;
mod room;
mod servers;
mod together;

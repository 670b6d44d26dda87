//! The run: sends the planned messages and records an outcome for each.
//!
//! One feeder reads what is due, in its order. A few workers, each with its own connection, send it and record
//! the outcomes. Nothing is sent that cannot be recorded, and a run stops before the next final dot.

mod aborted;
mod attempt;
mod breaker;
mod forecast;
mod other_runs;
mod pace;
mod peer;
mod queue;
mod rates;
mod recorder;
mod relay_watch;
mod run;
mod run_ledger;
mod session;
mod signals;
#[cfg(test)]
mod simulation;
mod state;
mod stop;
mod tally;
mod throttle;
mod worker;

pub use self::breaker::OPEN as BREAKER_OPEN;
pub use self::forecast::Forecast;
pub use self::rates::Rates;
pub use self::run::Run;
pub use self::run_ledger::notice_name;
pub use self::signals::{Signals, survive_file_size_limit};
pub use self::stop::{Stop, StopKind};
pub use self::tally::{RunEvent, Tally, WaitReason};

//! The run: from the planned sends to a recorded outcome for each message.
//!
//! One feeder reads what is due, in its order; a few workers, each with a connection of its own, send it
//! and record the outcomes. Nothing is sent that cannot be recorded, and a run that stops does so before
//! the next final dot.

mod breaker;
mod connections;
mod event;
mod journal;
mod pace;
mod peer;
mod queue;
mod rates;
mod recorder;
mod relay_watch;
mod reporter;
mod run;
mod session;
mod signals;
#[cfg(test)]
mod simulation;
mod stop;
mod tally;
mod throttle;
mod transmitter;
mod worker;

pub use self::breaker::OPEN as BREAKER_OPEN;
pub use self::event::RunEvent;
pub use self::rates::Rates;
pub use self::run::Run;
pub use self::signals::{Signals, survive_file_size_limit};
pub use self::stop::Stop;
pub use self::tally::Tally;

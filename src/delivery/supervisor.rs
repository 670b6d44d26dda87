//! Waits for the workers of a run. Signals and the time limit stop it.

use std::pin::pin;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};

use super::event::RunEvent;
use super::signals::Signals;
use super::state::RunState;
use super::stop::{Stop, StopKind};

/// Waits until all tasks have ended; returns why the last worker that gave up did so.
///
/// After a second signal other than SIGHUP it aborts them: what is armed then becomes `unknown`.
pub async fn supervise(
    state: &RunState,
    mut tasks: JoinSet<Option<Stop>>,
    feeder: &AbortHandle,
    mut signals: Signals,
    max_runtime: Option<Duration>,
) -> Option<Stop> {
    let limit = max_runtime.unwrap_or(Duration::MAX);
    let mut time_limit = pin!(tokio::time::sleep(limit));
    let mut timed = max_runtime.is_some();
    let mut reported = false;
    let mut ending = 0;
    let mut last_failure = None;
    let stop = &state.stop;
    loop {
        tokio::select! {
            biased;
            ended = tasks.join_next() => {
                match ended {
                    None => return last_failure,
                    Some(Ok(failure)) => last_failure = failure.or(last_failure),
                    Some(Err(error)) if error.is_panic() => {
                        let why = format!("internal error: {error}; report this fault");
                        stop.because(Stop::new(StopKind::Internal, why));
                    }
                    Some(Err(_)) => {}
                }
                // If only the feeder is left, nobody takes its messages.
                if tasks.len() == 1 {
                    feeder.abort();
                }
            }
            name = signals.next() => {
                // A terminal that is closed sends SIGHUP more than once.
                ending += u32::from(name != "SIGHUP");
                if ending > 1 {
                    tasks.abort_all();
                }
                stop.because(Stop::later(format!("stopped by {name}")));
            }
            () = &mut time_limit, if timed => {
                timed = false;
                stop.because(Stop::time_limit());
            }
            () = stop.stopped(), if !reported => {
                reported = true;
                if let Some(reason) = stop.reason() {
                    state.reporter.report(RunEvent::Stopped(&reason));
                }
            }
        }
    }
}

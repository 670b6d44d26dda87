//! The signals that stop a run in good order: SIGINT, SIGTERM, SIGHUP and SIGQUIT.
//!
//! SIGHUP and SIGQUIT remain ignored if they were ignored at the start, as with `nohup`. SIGXFSZ does not kill
//! the process: a write beyond the file size limit fails instead.

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that stop a run, with their names.
const STOPPING: [(Number, &str); 4] = [
    (Number::INT, "SIGINT"),
    (Number::TERM, "SIGTERM"),
    (Number::HUP, "SIGHUP"),
    (Number::QUIT, "SIGQUIT"),
];

/// Listens until it is dropped.
pub struct Signals([Option<Signal>; STOPPING.len()]);

impl Signals {
    /// Starts to listen. If the system refuses that, signals kill the process as by default.
    #[must_use]
    pub fn listen() -> Self {
        let ignored = ignored();
        Self(STOPPING.map(|(number, _)| {
            // tokio replaces the setting, so it was read before.
            let keep = matches!(number, Number::HUP | Number::QUIT);
            if keep && ignored & bit(number) != 0 {
                return None;
            }
            signal(SignalKind::from_raw(number.as_raw())).ok()
        }))
    }

    /// Waits for the next signal and returns its name.
    pub async fn next(&mut self) -> &'static str {
        let [interrupt, terminate, hang_up, quit] = &mut self.0;
        tokio::select! {
            biased;
            () = received(interrupt) => STOPPING[0].1,
            () = received(terminate) => STOPPING[1].1,
            () = received(hang_up) => STOPPING[2].1,
            () = received(quit) => STOPPING[3].1,
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Makes a write beyond the file size limit (`ulimit -f`) fail with EFBIG, which has a message and an exit
/// code. By default such a write kills the process.
///
/// # Panics
/// Outside a tokio runtime.
pub fn survive_file_size_limit() {
    // The handler stays for the life of the process, even if nobody listens.
    let _ = signal(SignalKind::from_raw(Number::XFSZ.as_raw()));
}

/// The signals that this process ignores, from `/proc`: bit N-1 for signal N. None without `/proc`.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_in(&status)
}

fn ignored_in(status: &str) -> u64 {
    let mask = status.lines().find_map(|it| it.strip_prefix("SigIgn:"));
    mask.and_then(|it| u64::from_str_radix(it.trim(), 16).ok())
        .unwrap_or(0)
}

fn bit(number: Number) -> u64 {
    1 << (number.as_raw() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_mask() {
        let status = "Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";

        assert_ne!(ignored_in(status) & bit(Number::HUP), 0);
        assert_eq!(ignored_in(status) & bit(Number::QUIT), 0);
        assert_ne!(ignored_in(status) & bit(Number::PIPE), 0);
        assert_eq!(ignored_in(""), 0);
        // Rust ignores SIGPIPE in every program.
        assert_ne!(ignored() & bit(Number::PIPE), 0);
    }
}

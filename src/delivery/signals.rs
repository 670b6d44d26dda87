//! The signals that end a run in good order: SIGINT, SIGTERM, SIGHUP and SIGQUIT.
//!
//! A run that was started with SIGHUP ignored, as `nohup` does, goes on after its terminal is
//! closed; likewise SIGQUIT. Nobody is killed by SIGXFSZ: a write beyond the limit on the size
//! of files fails instead.

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What ends a run, with its name.
const ENDING: [(Number, &str); 4] = [
    (Number::INT, "SIGINT"),
    (Number::TERM, "SIGTERM"),
    (Number::HUP, "SIGHUP"),
    (Number::QUIT, "SIGQUIT"),
];

/// Listens for as long as it lives.
pub struct Signals([Option<Signal>; ENDING.len()]);

impl Signals {
    /// Begins to listen. If the system refuses that, signals end the process as by default.
    #[must_use]
    pub fn listen() -> Self {
        let ignored = ignored();
        Self(ENDING.map(|(number, _)| {
            // tokio replaces whatever was set, so the setting is looked up before.
            let keep = matches!(number, Number::HUP | Number::QUIT);
            if keep && ignored & bit(number) != 0 {
                return None;
            }
            signal(SignalKind::from_raw(number.as_raw())).ok()
        }))
    }

    /// Waits for the next one, and names it.
    pub async fn next(&mut self) -> &'static str {
        let [interrupt, terminate, hang_up, quit] = &mut self.0;
        tokio::select! {
            biased;
            () = received(interrupt) => ENDING[0].1,
            () = received(terminate) => ENDING[1].1,
            () = received(hang_up) => ENDING[2].1,
            () = received(quit) => ENDING[3].1,
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

/// Lets a write beyond the limit on the size of files (`ulimit -f`) fail with EFBIG, which
/// has its message and exit code; by default the system kills the process at such a write.
///
/// # Panics
/// Outside a tokio runtime.
pub fn survive_file_size_limit() {
    // The handler stays for the life of the process, whether or not anybody listens.
    let _ = signal(SignalKind::from_raw(Number::XFSZ.as_raw()));
}

/// The signals that this process ignores, as `/proc` shows them: bit N-1 for signal N. None
/// where there is no `/proc`.
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
    fn what_is_ignored_is_read_from_the_mask() {
        let status = "Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";

        assert_ne!(ignored_in(status) & bit(Number::HUP), 0);
        assert_eq!(ignored_in(status) & bit(Number::QUIT), 0);
        assert_ne!(ignored_in(status) & bit(Number::PIPE), 0);
        assert_eq!(ignored_in(""), 0);
        // Rust ignores SIGPIPE in every program.
        assert_ne!(ignored() & bit(Number::PIPE), 0);
    }
}

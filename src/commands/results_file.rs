//! Writing `results.csv` at the end of a run.

use jiff::tz::TimeZone;

use super::job::Job;
use super::summary::settled;
use crate::console::Console;
use crate::delivery::{Signals, Tally};
use crate::exit::{CommandError, Exit};
use crate::ledger::Ledger;
use crate::results;

/// Writes the results, if the configuration asks for them. A signal interrupts it, because the next run
/// writes them again.
pub async fn write_results(
    job: &Job,
    ledger: &Ledger,
    tally: &Tally,
    console: &mut Console<'_>,
) -> Exit {
    let Some(path) = &job.config.results else {
        return Exit::Done;
    };
    let shown = path.display();
    let campaign = &job.config.campaign;
    let today = console.now().to_zoned_datetime(TimeZone::system()).date();
    let mut signals = Signals::listen();
    let written = tokio::select! {
        written = results::write(path, &job.partners, campaign, ledger.reader(), today) => {
            written.map_err(CommandError::from)
        }
        name = signals.next() => {
            let message = format!("the results `{shown}` were not updated (stopped by {name}); the next run writes them");
            Err(CommandError::new(Exit::CannotWrite, message))
        }
    };
    match written {
        Err(error) => {
            console.eprint(&format!("error: {error}"));
            return error.exit;
        }
        Ok(warning) if console.interactive => console.report(&warning),
        Ok(_) => {}
    }
    if console.interactive && settled(tally) > 0 {
        console.print(&format!("the outcome of each row is in {shown}"));
    }
    Exit::Done
}

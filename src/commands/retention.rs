//! `[privacy] retain`: erases what has been closed for longer than records are kept.

use serde_json::{Map, Value};

use super::open_ledger::{export_events, note_erased};
use crate::config::Config;
use crate::console::Console;
use crate::events;
use crate::exit::{CommandError, Exit};
use crate::invitation::Cause;
use crate::ledger::{Ledger, LedgerError};
use crate::report::count;

/// Erases the closed invitations that are too old, adds their number to the counts of the run, and prints it on a
/// terminal.
pub async fn erase_closed(
    config: &Config,
    ledger: &Ledger,
    counts: &mut Map<String, Value>,
    console: &mut Console<'_>,
) -> Exit {
    let now = console.now();
    let until = config.privacy.retain.map(|it| now.saturating_sub(it));
    let Some(Ok(until)) = until else {
        return Exit::Done;
    };
    let erased = async {
        // What is erased next is not in the ledger any more.
        export_events(config, ledger).await?;
        let erased = ledger.erase_closed(until, now).await;
        if let Ok(erased) = erased {
            note_erased(config, ledger, Cause::Retention, erased, now).await?;
        }
        if let Some(path) = &config.monitoring.events {
            events::erase_before(path, until).await?;
        }
        Ok::<_, CommandError>(erased)
    };
    let erased = match erased.await {
        Ok(erased) => erased,
        Err(error) => {
            console.eprint(&format!("error: {error}"));
            return error.exit;
        }
    };
    match erased {
        Ok(0) => Exit::Done,
        Ok(erased) => {
            counts.insert("erased".to_owned(), erased.into());
            if console.interactive {
                console.print(&format!(
                    "{} erased, because of `privacy.retain`",
                    count(erased, "closed invitation")
                ));
            }
            Exit::Done
        }
        // The next run completes it.
        Err(LedgerError::Busy(_)) => Exit::Done,
        Err(error) => {
            console.eprint(&format!("error: {}", CommandError::from(error)));
            Exit::CannotWrite
        }
    }
}

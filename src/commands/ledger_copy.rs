//! `ledger copy`: moves a ledger into a database that several machines share, or back into a file.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::config::{Config, ConfigError, LedgerFiles, LedgerLocation, LedgerServer};
use crate::console::Console;
use crate::exit::{CommandError, Exit, Result};
use crate::ledger::copy;
use crate::report::count;

/// Moves a ledger.
///
/// # Errors
/// If the source is in use (75), there is a ledger at the target (65), or one of both cannot be used.
pub async fn run(path: &Path, from: &str, to: &str, console: &mut Console<'_>) -> Result<Exit> {
    let configured = match Config::load(path) {
        Ok(config) => Some(config.ledger),
        Err(ConfigError::NotFilledIn(_, files)) => Some(files.ledger),
        // Both places are named, so that it works without a configuration.
        Err(ConfigError::Unreadable { error, .. }) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let from = location(from, configured.as_ref())?;
    let to = location(to, configured.as_ref())?;
    let copied = copy(&from, &to).await?;
    console.print(&if copied.known {
        format!("{from} was moved to {to} before; nothing was to be done")
    } else {
        format!(
            "moved {} with {} of history from {from} to {to}; nothing is sent from {from} any more. Name the new place in `[ledger]` of every configuration",
            count(copied.invitations, "invitation"),
            count(copied.events, "line")
        )
    });
    Ok(Exit::Done)
}

/// The place of a ledger that is named on the command line. That of the configuration has its witness and password.
fn location(named: &str, configured: Option<&LedgerLocation>) -> Result<LedgerLocation> {
    if named.contains("://") {
        if let Some(LedgerLocation::Server(server)) = configured
            && server.url == named
        {
            return Ok(LedgerLocation::Server(server.clone()));
        }
        let server = LedgerServer::of_url(named, PathBuf::new());
        let server = server.map_err(|why| {
            CommandError::new(Exit::Usage, format!("the URL of the database {why}"))
        })?;
        return Ok(LedgerLocation::Server(Box::new(server)));
    }
    let absolute = |it: &Path| {
        let resolved = it.canonicalize();
        resolved
            .or_else(|_| std::path::absolute(it))
            .unwrap_or_else(|_| it.to_owned())
    };
    let file = absolute(Path::new(named));
    Ok(match configured {
        Some(LedgerLocation::File(files)) if absolute(&files.file) == file => {
            LedgerLocation::File(files.clone())
        }
        _ => LedgerLocation::File(LedgerFiles::of_file(file, None)),
    })
}

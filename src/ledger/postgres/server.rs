//! What the server promises, and whether it is still the same one.

use super::connection::Session;
use super::errors::Failure;
use super::rows;
use crate::config::LedgerServer;
use crate::ledger::error::LedgerError;

/// Refuses a server that may lose what it has acknowledged. Returns whether a standby may lack some of it, which the
/// configuration accepts.
pub async fn check_durability(session: &Session, server: &LedgerServer) -> Result<bool, Failure> {
    let row = session
        .query_one(
            "SELECT current_setting('fsync'), current_setting('synchronous_standby_names'),
                (SELECT count(*) FROM pg_stat_replication), pg_is_in_recovery()",
            &[],
        )
        .await?;
    let (fsync, names): (&str, &str) = (row.get(0), row.get(1));
    let standbys: i64 = row.get(2);
    let name = server.name();
    let refused = if row.get(3) {
        format!(
            "the ledger `{name}` is on a standby, which cannot be written; name the primary server in `ledger.url`, or all of them with `target_session_attrs=read-write`"
        )
    } else if fsync == "off" {
        format!(
            "the server of the ledger `{name}` has `fsync = off`, so that a power failure would lose who was mailed; set `fsync = on`"
        )
    } else if standbys > 0 && names.is_empty() && !server.accept_failover_loss {
        format!(
            "the server of the ledger `{name}` has a standby without synchronous replication: if that takes over, partners who were mailed last would be mailed again; set `synchronous_standby_names` on the server, or accept it by `ledger.accept_failover_loss = true`"
        )
    } else {
        return Ok(standbys > 0 && names.is_empty());
    };
    Err(LedgerError::Unsafe(refused).into())
}

/// The timeline of the server's log. A standby that is promoted begins another one.
pub async fn timeline(session: &Session) -> Result<String, Failure> {
    let row = session
        .query_one(
            "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || ' ' || system_identifier
             FROM pg_control_system()",
            &[],
        )
        .await?;
    rows::value(&row, 0)
}

/// Records a run again, with its writer, on a server that has taken over and may lack both. Its lease has ended.
pub async fn restore_run(session: &Session, run: i64, writer: &[u8]) -> Result<(), Failure> {
    session
        .execute(
            "INSERT INTO run (number, verb, campaign, started_at, version, host, os_user, lease_until)
             OVERRIDING SYSTEM VALUE
             SELECT $1, '', '', now, '', '', '', now
             FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now) AS clock
             ON CONFLICT DO NOTHING",
            &[&run],
        )
        .await?;
    session
        .execute(
            "INSERT INTO writer (id, run, epoch, changes) VALUES ($1, $2, 0, nextval('change'))
             ON CONFLICT DO NOTHING",
            &[&writer, &run],
        )
        .await
        .map(drop)
}

//! What `check` finds about the server of a ledger: its version, its promises, and what this role may do.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::fs::{Access, access};

use super::connection::{SCHEMA, Session};
use super::errors::Failure;
use super::settings::Settings;
use super::{rows, server, thread};
use crate::config::LedgerServer;
use crate::files::folder_of;
use crate::finding::{Finding, Severity};
use crate::ledger::columns::Columns;
use crate::os_error::without_os_code;

/// How often a latency is measured; the median counts.
const MEASURED: usize = 5;
/// How far the clocks may be apart before that is a warning.
const CLOCK_DIFFERENCE: Duration = Duration::from_mins(1);

/// What works, but is unsafe: a witness that cannot be written, and a password file that is ignored.
#[must_use]
pub fn warnings(server: &LedgerServer) -> Vec<Finding> {
    let ignored = Settings::of(server).map_or_else(|_| Vec::new(), |it| it.warnings);
    let ignored = ignored.into_iter();
    let mut found: Vec<_> = ignored
        .map(|it| Finding::warning("ledger", "", it))
        .collect();
    let witness = &server.witness;
    if let Err(why) = writable(witness) {
        let why = without_os_code(why);
        let shown = witness.display();
        let message = format!(
            "the witness `{shown}` cannot be written ({why}), so that a restored dump of the ledger would not be detected here; set `ledger.witness` to a file in a folder that this user can write"
        );
        found.push(Finding::warning("witness", shown, message));
    }
    found
}

/// Whether a file can be written, or created.
fn writable(path: &Path) -> std::io::Result<()> {
    let (place, needed) = if path.exists() {
        (path, Access::READ_OK | Access::WRITE_OK)
    } else {
        (folder_of(path), Access::WRITE_OK | Access::EXEC_OK)
    };
    Ok(access(place, needed)?)
}

/// What is found at the server. If it cannot be reached, reading the ledger reports that.
#[must_use]
pub fn server_findings(server: &LedgerServer) -> Vec<Finding> {
    let of_thread = server.clone();
    let found = thread::run(server, async move || {
        let session = Session::connect(&of_thread).await?;
        examine(&session, &of_thread).await
    });
    found.unwrap_or_default()
}

async fn examine(
    session: &Session,
    server: &LedgerServer,
) -> std::result::Result<Vec<Finding>, Failure> {
    let name = server.name();
    let ok = |what: String| Finding::without_fix("ledger", Severity::Ok, name, what);
    let mut found = vec![ok(describe(session).await?)];
    match server::check_durability(session, server).await {
        Err(Failure::Setup(error)) => found.push(Finding::error("ledger", name, error)),
        Ok(true) => found.push(Finding::warning(
            "ledger",
            name,
            "a standby of its server may lack the last records when it takes over, which `ledger.accept_failover_loss` accepts; set `synchronous_standby_names` on the server",
        )),
        Ok(false) => found.push(ok(describe_durability(session).await?)),
        Err(failure) => return Err(failure),
    }
    let (round_trip, commit) = (
        latency(session, false).await?,
        latency(session, true).await?,
    );
    found.push(ok(format!(
        "a round trip takes {}, a commit {}",
        milliseconds(round_trip),
        milliseconds(commit)
    )));
    found.extend(rights(session, name).await?);
    found.extend(clock_difference(session, name).await?);
    Ok(found)
}

/// The server with its version, and whether the connection is encrypted.
async fn describe(session: &Session) -> std::result::Result<String, Failure> {
    let row = session
        .query_opt(
            "SELECT version, cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl",
            &[],
        )
        .await?;
    let tls = match row {
        Some(row) => format!(
            "encrypted with {} ({})",
            rows::value::<&str>(&row, 0)?,
            rows::value::<&str>(&row, 1)?
        ),
        None => "on this machine, not encrypted".to_owned(),
    };
    Ok(format!(
        "PostgreSQL {} at {}, {tls}",
        session.version, session.host
    ))
}

async fn describe_durability(session: &Session) -> std::result::Result<String, Failure> {
    let row = session
        .query_one(
            "SELECT current_setting('synchronous_commit'), current_setting('synchronous_standby_names'),
                (SELECT count(*) FROM pg_stat_replication)",
            &[],
        )
        .await?;
    let (commit, names): (&str, &str) = (row.get(0), row.get(1));
    let standbys: i64 = row.get(2);
    let standbys = match (standbys, names) {
        (0, _) => "no standby".to_owned(),
        (_, names) => format!("{standbys} of the standbys `{names}` connected"),
    };
    Ok(format!(
        "every commit is durable: `fsync = on`, `synchronous_commit = {commit}`, {standbys}"
    ))
}

/// How long a statement takes, or one with a commit, which writes a message into the server's log and changes nothing.
async fn latency(session: &Session, commit: bool) -> std::result::Result<Duration, Failure> {
    let statement = if commit {
        "SELECT pg_logical_emit_message(true, 'access-invite', 'check')::text"
    } else {
        "SELECT ''"
    };
    let mut times = Vec::new();
    // The first one is prepared.
    for _ in 0..=MEASURED {
        let begun = Instant::now();
        session.query(statement, &[]).await?;
        times.push(begun.elapsed());
    }
    times.remove(0);
    times.sort_unstable();
    Ok(times[MEASURED / 2])
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

/// What this role lacks to send.
async fn rights(session: &Session, name: &str) -> std::result::Result<Option<Finding>, Failure> {
    let missing = session
        .query(
            "SELECT current_user::text, 'USAGE ON SCHEMA ' || nspname FROM pg_namespace
             WHERE nspname = $1 AND NOT has_schema_privilege(oid, 'USAGE')
             UNION ALL
             SELECT current_user::text, string_agg(needed, ', ' ORDER BY needed) || ' ON ' || relname
             FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS needed
             WHERE relnamespace = to_regnamespace($1) AND relkind = 'r'
                AND (relname <> 'meta' OR needed = 'SELECT') AND NOT has_table_privilege(oid, needed)
             GROUP BY relname
             UNION ALL
             SELECT current_user::text, 'USAGE ON SEQUENCE change' FROM pg_class
             WHERE relnamespace = to_regnamespace($1) AND relname = 'change'
                AND NOT has_sequence_privilege(oid, 'USAGE')",
            &[&SCHEMA],
        )
        .await?;
    let Some(first) = missing.first() else {
        return Ok(None);
    };
    let role: &str = rows::value(first, 0)?;
    let lacks: std::result::Result<Vec<&str>, _> =
        missing.iter().map(|it| rows::value(it, 1)).collect();
    Ok(Some(Finding::warning(
        "ledger",
        name,
        format!(
            "a real send would fail, because the role `{role}` lacks {}; grant it (docs/postgresql.md)",
            lacks?.join(", ")
        ),
    )))
}

/// A clock that differs from the server's. The server's counts for all that is recorded.
async fn clock_difference(
    session: &Session,
    name: &str,
) -> std::result::Result<Option<Finding>, Failure> {
    let before = Timestamp::now();
    let row = session
        .query_one(
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
            &[],
        )
        .await?;
    let after = Timestamp::now();
    let server = row.timestamp(0)?;
    let difference = server
        .duration_since(before)
        .unsigned_abs()
        .min(server.duration_since(after).unsigned_abs());
    Ok((difference > CLOCK_DIFFERENCE).then(|| {
        Finding::warning(
            "ledger",
            name,
            format!(
                "the clocks of this machine and of the server are {} s apart, and the server's counts for what is recorded; synchronise both (NTP)",
                difference.as_secs()
            ),
        )
    }))
}

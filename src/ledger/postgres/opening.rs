//! Opening the ledger in a database.

use jiff::Timestamp;

use super::connection::Session;
use super::errors::Failure;
use super::lease::Lease;
use super::reader::Reader;
use super::rewriting::Acknowledgements;
use super::writer::{Writer, WriterHandle};
use super::{rows, schema, server, staleness};
use crate::clock;
use crate::config::{LedgerLocation, LedgerServer};
use crate::invitation::MessageIdKey;
use crate::ledger::columns::Columns;
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::freshness;
use crate::ledger::records::RunStart;
use crate::ledger::witness::{self, Id, Witness, WitnessMark, random_id};

/// Creates the tables, or brings them to this version; returns whether something was to be done.
///
/// # Errors
/// If a witness says that there was a ledger, or the server refuses it.
pub fn create_if_missing(server: &LedgerServer) -> Result<bool> {
    let (of_thread, key) = (server.clone(), MessageIdKey::random()?);
    super::thread::run(server, async move || {
        let session = Session::connect(&of_thread).await?;
        if schema::version(&session).await?.is_none() {
            let location = LedgerLocation::Server(Box::new(of_thread.clone()));
            freshness::refuse_witness_without_ledger(&location)?;
        }
        let created = schema::create(&session, &key, random_id()?).await?;
        let migrated = schema::migrate(&session, of_thread.name()).await?;
        Ok(created || migrated)
    })
}

/// Opens the ledger for a run, and records the run.
///
/// # Errors
/// If it is missing, was moved, is older than its witness, or the server cannot be used.
pub fn open(
    server: &LedgerServer,
    start: &RunStart,
    accept_older: bool,
) -> Result<(WriterHandle, Reader)> {
    let (for_writer, start) = (server.clone(), start.clone());
    let open = async move || open_writer(for_writer, &start, accept_older).await;
    let writer = WriterHandle::start(server, open)?;
    Ok((writer, Reader::open(server)?))
}

async fn open_writer(
    server: LedgerServer,
    start: &RunStart,
    accept_older: bool,
) -> std::result::Result<Writer, Failure> {
    let content = witness::read(&server.witness)?;
    let session = Session::connect(&server).await?;
    schema::check_version(server.name(), schema::version(&session).await?)?;
    let (ledger, key, moved_to) = schema::identity(&session).await?;
    refuse_moved(&server, moved_to)?;
    let may_lose = server::check_durability(&session, &server).await?;
    let staleness = staleness::staleness(&session, ledger, content).await?;
    if let Some(staleness) = staleness
        && !accept_older
    {
        let location = LedgerLocation::Server(Box::new(server));
        return Err(staleness.error(&location).into());
    }
    let id = random_id()?;
    let timeline = server::timeline(&session).await?;
    let asked = Lease::ask();
    let lease = Lease::new(server.lease, timeline, asked);
    let (run, now) = record_run(&session, id, start, &lease).await?;
    clock::follow(now);
    // `ledger copy` waits for the start of a run and moves the ledger then, or has just done so.
    let (_, _, moved_to) = schema::identity(&session).await?;
    refuse_moved(&server, moved_to)?;
    lease.keep(&server, run)?;
    let mark = WitnessMark {
        ledger,
        run: id,
        changes: 0,
    };
    let witness = match staleness {
        Some(_) => None,
        None => Witness::open_or_create(
            &server.witness,
            WitnessMark::unwritten(ledger),
            &server.witness,
        )
        .ok(),
    };
    Ok(Writer {
        server,
        session,
        key,
        run,
        lease,
        epoch: 0,
        mark,
        witness,
        limits: None,
        acknowledged: Acknowledgements::new(may_lose),
        failed: None,
    })
}

fn refuse_moved(server: &LedgerServer, moved_to: Option<String>) -> Result<()> {
    match moved_to {
        None => Ok(()),
        Some(to) => Err(LedgerError::moved(server.name(), &to)),
    }
}

async fn record_run(
    session: &Session,
    id: Id,
    start: &RunStart,
    lease: &Lease,
) -> std::result::Result<(i64, Timestamp), Failure> {
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    let user = whoami::username().unwrap_or_default();
    let row = session
        .query_one(
            "WITH clock AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now),
             new AS (
                INSERT INTO run (verb, campaign, started_at, version, host, os_user, lease_until)
                SELECT $1, $2, now, $3, $4, $5, now + $6 FROM clock RETURNING number),
             writer AS (
                INSERT INTO writer (id, run, epoch, changes) SELECT $7, number, 0, nextval('change') FROM new)
             SELECT number, now FROM new, clock",
            &[
                &start.verb,
                &start.campaign,
                &env!("CARGO_PKG_VERSION"),
                &host,
                &user,
                &lease.milliseconds(),
                &&id[..],
            ],
        )
        .await?;
    Ok((rows::value(&row, 0)?, row.timestamp(1)?))
}

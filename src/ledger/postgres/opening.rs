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
use crate::ledger::error::{LedgerError, Result};
use crate::ledger::freshness;
use crate::ledger::records::RunStart;
use crate::ledger::witness::{self, Id, Witness, WitnessMark, random_id};

/// Creates the tables, or brings them to this version; returns whether something was to be done.
///
/// # Errors
/// If a witness says that there was a ledger, or the server refuses it.
pub fn create_if_missing(server: &LedgerServer) -> Result<bool> {
    let (server, key) = (server.clone(), MessageIdKey::random()?);
    super::thread::run(async move || {
        let name = server.name();
        let failed = |failure: Failure| failure.translate(name);
        let session = Session::connect(&server).await.map_err(failed)?;
        if schema::version(&session).await.map_err(failed)?.is_none() {
            let location = LedgerLocation::Server(Box::new(server.clone()));
            freshness::refuse_witness_without_ledger(&location)?;
        }
        let created = schema::create(&session, &key, random_id()?).await;
        let created = created.map_err(failed)?;
        let migrated = schema::migrate(&session, name).await.map_err(failed)?;
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
    let open = async move || {
        let name = for_writer.name().to_owned();
        match open_writer(for_writer, &start, accept_older).await {
            Ok(writer) => writer,
            Err(failure) => Err(failure.translate(&name)),
        }
    };
    let writer = WriterHandle::start(open)?;
    Ok((writer, Reader::open(server)?))
}

/// A failure of the server is the outer error.
async fn open_writer(
    server: LedgerServer,
    start: &RunStart,
    accept_older: bool,
) -> std::result::Result<Result<Writer>, Failure> {
    let content = match witness::read(&server.witness) {
        Ok(content) => content,
        Err(error) => return Ok(Err(error)),
    };
    let session = Session::connect(&server).await?;
    if let Err(error) = schema::check_version(server.name(), schema::version(&session).await?) {
        return Ok(Err(error));
    }
    let (ledger, key, moved_to) = schema::identity(&session).await?;
    if let Err(error) = refuse_moved(&server, moved_to) {
        return Ok(Err(error));
    }
    let may_lose = match server::check_durability(&session, &server).await? {
        Ok(may_lose) => may_lose,
        Err(error) => return Ok(Err(error)),
    };
    let staleness = staleness::staleness(&session, ledger, content).await?;
    if let Some(staleness) = staleness
        && !accept_older
    {
        let location = LedgerLocation::Server(Box::new(server));
        return Ok(Err(staleness.error(&location)));
    }
    let id = match random_id() {
        Ok(id) => id,
        Err(error) => return Ok(Err(error)),
    };
    let timeline = server::timeline(&session).await?;
    let asked = Lease::ask();
    let lease = Lease::new(server.lease, timeline, asked);
    let (run, now) = record_run(&session, id, start, &lease).await?;
    clock::follow(now);
    // `ledger copy` waits for the start of a run and moves the ledger then, or has just done so.
    let (_, _, moved_to) = schema::identity(&session).await?;
    if let Err(error) = refuse_moved(&server, moved_to) {
        return Ok(Err(error));
    }
    if let Err(error) = lease.keep(server.clone(), run) {
        return Ok(Err(error));
    }
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
    Ok(Ok(Writer {
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
    }))
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
    Ok((rows::value(&row, 0)?, rows::timestamp(&row, 1)?))
}

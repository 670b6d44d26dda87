//! Opening a connection: one host after the other, with a deadline for each.

use std::io;

use tokio::time::timeout;
use tokio_postgres::{Client, Connection, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::Error as TlsError;

use super::errors::{Failure, describe};
use super::settings::{Settings, Target};
use super::tls;
use crate::config::LedgerServer;
use crate::ledger::error::LedgerError;

/// The oldest major version of PostgreSQL that can be used.
pub const OLDEST: u32 = 13;

/// A connection that is open.
pub struct Opened {
    pub client: Client,
    /// The host, as messages call it.
    pub host: String,
    /// The server's version, as it calls it.
    pub version: String,
}

/// Connects to the first host that accepts it. The connection lives on the runtime of this thread.
pub async fn open(server: &LedgerServer) -> Result<Opened, Failure> {
    let settings = Settings::of(server)?;
    let any_encrypted = settings.targets.iter().any(|it| it.encrypted);
    let tls = any_encrypted.then(|| tls::connector(server, settings.only_roots.as_deref()));
    let tls = tls.transpose()?;
    let mut failures = Vec::new();
    for target in settings.targets {
        match open_target(server, &target, tls.as_ref(), &settings.warnings).await {
            Ok((client, version)) => {
                return Ok(Opened {
                    client,
                    host: target.shown,
                    version,
                });
            }
            Err(failure) => failures.push(failure),
        }
    }
    // A host that has answered says more than one that cannot be reached.
    let answer = failures
        .iter()
        .position(|it| !matches!(it, Failure::Lost(_)));
    Err(if let Some(number) = answer {
        failures.swap_remove(number)
    } else {
        let all: Vec<_> = failures.iter().map(ToString::to_string).collect();
        Failure::Lost(all.join("; "))
    })
}

async fn open_target(
    server: &LedgerServer,
    target: &Target,
    tls: Option<&MakeRustlsConnect>,
    warnings: &[String],
) -> Result<(Client, String), Failure> {
    let open = async {
        match tls.filter(|_| target.encrypted) {
            Some(tls) => target.config.connect(tls.clone()).await.map(spawned),
            None => target.config.connect(NoTls).await.map(spawned),
        }
    };
    let opened = timeout(target.limit, open).await.map_err(|_| {
        let seconds = target.limit.as_secs();
        Failure::Lost(format!("`{}`: no answer within {seconds} s", target.shown))
    })?;
    let (client, version) = opened.map_err(|error| explain(error, server, target, warnings))?;
    let major = version.split(['.', ' ']).next().unwrap_or_default();
    let major: u32 = major
        .trim_end_matches(|it: char| !it.is_ascii_digit())
        .parse()
        .unwrap_or_default();
    if major < OLDEST {
        return Err(Failure::Setup(LedgerError::Configuration(format!(
            "the server of the ledger `{}` is PostgreSQL {version}, and {OLDEST} is the oldest that can be used; upgrade it",
            server.name()
        ))));
    }
    Ok((client, version))
}

/// Runs a connection in the background, and returns its client and the version of its server.
fn spawned<T>((client, connection): (Client, Connection<Socket, T>)) -> (Client, String)
where
    T: tokio_postgres::tls::TlsStream + Unpin + 'static,
    Connection<Socket, T>: Future + Send,
    <Connection<Socket, T> as Future>::Output: Send,
{
    let version = connection.parameter("server_version");
    let version = version.unwrap_or_default().to_owned();
    tokio::spawn(connection);
    (client, version)
}

/// Why a host cannot be used, with the fix.
fn explain(
    error: tokio_postgres::Error,
    server: &LedgerServer,
    target: &Target,
    warnings: &[String],
) -> Failure {
    let (name, shown) = (server.name(), &target.shown);
    let wrong = |why: &str| {
        Failure::Setup(LedgerError::Configuration(format!(
            "the ledger `{name}` cannot be reached: `{shown}`: {why}"
        )))
    };
    if error.code().is_some() {
        return error.into();
    }
    let source = std::error::Error::source(&error);
    let io: Option<&io::Error> = source.and_then(|it| it.downcast_ref());
    let tls: Option<&TlsError> = io.and_then(|it| it.get_ref()?.downcast_ref());
    if let Some(error) = tls {
        return wrong(&tls::explain(error, shown));
    }
    let text = source.map(ToString::to_string).unwrap_or_default();
    match (io, text.as_str()) {
        (_, "database does not allow writes") => Failure::Lost(format!(
            "`{shown}` accepts no writes: it is a standby, or its database is read-only"
        )),
        (Some(io), _) if io.kind() == io::ErrorKind::NotFound => Failure::Lost(format!(
            "`{shown}` does not exist: no server of this machine listens there"
        )),
        (Some(io), _) => Failure::Lost(format!("`{shown}`: {io}")),
        (None, "password missing") => {
            let ignored: Vec<_> = warnings.iter().map(|it| format!(" ({it})")).collect();
            Failure::Setup(LedgerError::NoPermission(format!(
                "the server of the ledger `{name}` asks for a password, and there is none{}; set `ledger.password_file`, `password_env` or `password_credential`, or PGPASSWORD, or add a line `{}:PASSWORD` to `~/.pgpass`",
                ignored.concat(),
                target.login
            )))
        }
        (None, "server does not support TLS") => wrong(
            "it does not offer TLS, without which partners could be read on the way; set `ssl = on` with a certificate in its `postgresql.conf`",
        ),
        (None, _) if error.is_closed() => {
            Failure::Lost(format!("`{shown}` has closed the connection"))
        }
        (None, _) => wrong(&format!(
            "{}; correct `ledger.url` or the server",
            describe(&error)
        )),
    }
}

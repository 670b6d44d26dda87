//! A thread with a connection of its own: it does one piece of work after the other.
//!
//! Work is never abandoned in the middle: a query whose future is dropped would be executed all the same.

use std::pin::Pin;
use std::thread::JoinHandle;

use tokio::runtime::Builder;
use tokio::sync::mpsc;

use super::errors::Failure;
use crate::config::LedgerServer;
use crate::ledger::error::{LedgerError, Result};

/// Work that is done on the thread, with its state.
pub type Work<S> =
    Box<dyn for<'a> FnOnce(&'a mut S) -> Pin<Box<dyn Future<Output = ()> + 'a>> + Send>;

/// The closure, whatever the lifetime of the state.
pub fn boxed<S>(
    work: impl for<'a> FnOnce(&'a mut S) -> Pin<Box<dyn Future<Output = ()> + 'a>> + Send + 'static,
) -> Work<S> {
    Box::new(work)
}

/// The runtime of a thread: its connection lives on it.
///
/// # Errors
/// If the system refuses it.
fn runtime() -> Result<tokio::runtime::Runtime> {
    let built = Builder::new_current_thread().enable_all().build();
    built.map_err(|error| cannot_start(&error))
}

fn cannot_start(error: &std::io::Error) -> LedgerError {
    LedgerError::CannotWrite(format!("cannot start a thread: {error}"))
}

/// Starts a thread that opens a session of this server and then serves the requests. Returns when the session is open.
///
/// # Errors
/// As `open`.
pub fn start<R: Send + 'static, S: 'static, T: Send + 'static>(
    name: &str,
    server: &LedgerServer,
    open: impl AsyncFnOnce() -> std::result::Result<(S, T), Failure> + Send + 'static,
    serve: impl AsyncFnOnce(S, mpsc::UnboundedReceiver<R>) + Send + 'static,
) -> Result<(mpsc::UnboundedSender<R>, JoinHandle<()>, T)> {
    let ledger = server.name().to_owned();
    let (requests, queue) = mpsc::unbounded_channel();
    let (opened, waiting) = std::sync::mpsc::sync_channel(1);
    let work = move || {
        let run = async move {
            match open().await {
                Ok((session, value)) => {
                    let _ = opened.send(Ok(value));
                    serve(session, queue).await;
                }
                Err(failure) => drop(opened.send(Err(failure.translate(&ledger)))),
            }
        };
        match runtime() {
            Ok(runtime) => runtime.block_on(run),
            Err(_) => drop(run),
        }
    };
    let thread = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| cannot_start(&error))?;
    let stopped = |_| LedgerError::CannotWrite("the ledger's thread has stopped".into());
    let value = waiting.recv().map_err(stopped).flatten()?;
    Ok((requests, thread, value))
}

/// Runs something to its end on a thread of its own, and waits for it.
///
/// # Errors
/// As `work`.
pub fn run<T: Send + 'static>(
    server: &LedgerServer,
    work: impl AsyncFnOnce() -> std::result::Result<T, Failure> + Send + 'static,
) -> Result<T> {
    let open = async move || Ok(((), work().await?));
    let no_requests = async |(), _: mpsc::UnboundedReceiver<()>| {};
    let (_, thread, value) = start("ledger", server, open, no_requests)?;
    let _ = thread.join();
    Ok(value)
}

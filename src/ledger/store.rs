//! Where changes go: to a file, or to a database that several machines share.

use super::{postgres, sqlite};

/// Calls a method of the writer, whichever store it writes.
macro_rules! on_writer {
    ($store:expr, $it:ident => $call:expr) => {
        match &$store {
            $crate::ledger::store::Store::Sqlite(writer) => writer.run(move |$it| $call).await,
            $crate::ledger::store::Store::Postgres(writer) => {
                let work = async move |$it: &mut $crate::ledger::postgres::Writer| $call.await;
                writer.run(work).await
            }
        }
    };
}

pub(super) use on_writer;

/// The writer of a ledger.
pub enum Store {
    /// That of a file.
    Sqlite(sqlite::WriterHandle),
    /// That of a database.
    Postgres(postgres::WriterHandle),
}

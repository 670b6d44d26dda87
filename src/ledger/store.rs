//! Where changes go: to a file, or to a database that several machines share.

use jiff::Timestamp;

use super::error::Result;
use super::person_access::{AccessChange, PersonAccess};
use super::{postgres, sqlite};
use crate::invitation::PersonHash;
use crate::link::PackageId;

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

impl Store {
    /// Inserts and updates these people; gives those whose state has changed.
    pub async fn record_people(
        &self,
        package: PackageId,
        people: Vec<PersonAccess>,
    ) -> Result<Vec<AccessChange>> {
        on_writer!(*self, it => it.record_access(package, &people))
    }

    /// Deletes people who have no request any more.
    pub async fn forget_people(&self, package: PackageId, people: Vec<PersonHash>) -> Result<()> {
        on_writer!(*self, it => it.forget_access(package, &people))
    }

    /// Records when a package's requests were read.
    pub async fn record_reading(&self, package: PackageId, at: Timestamp) -> Result<()> {
        on_writer!(*self, it => it.record_reading(package, at))
    }
}
